/* Replaces a configuration that other threads read without locks. */
#define URCU_API_MAP /* liburcu: the names without a flavor */
#include <defer_drop.h>
#include <pthread.h>
#include <stdlib.h>
#include <urcu/urcu-memb.h>

struct settings {
	unsigned version;
};

static struct settings *current;

static int publish(unsigned version)
{
	struct settings *settings = malloc(sizeof *settings);

	if (!settings)
		return 1;
	settings->version = version;
	settings = rcu_xchg_pointer(&current, settings);
	/* Frees the one before when no reader has it any more; the caller goes on at once. */
	return defer_drop_rcu(settings, free);
}

static void *read_on(void *argument)
{
	unsigned seen = 0;

	rcu_register_thread();
	while (seen < 1000) {
		rcu_read_lock();
		seen = rcu_dereference(current)->version;
		rcu_read_unlock();
	}
	rcu_unregister_thread();
	return argument;
}

int main(void)
{
	pthread_t reader;

	if (publish(0) || pthread_create(&reader, NULL, read_on, NULL))
		return 1;
	for (unsigned version = 1; version <= 1000; version++)
		if (publish(version))
			return 1;
	pthread_join(reader, NULL);
	free(current);
	return defer_drop_flush(); /* now all before the last are gone */
}
