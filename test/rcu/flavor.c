/* SPDX-License-Identifier: MIT
 *
 * flavor: readers of one of liburcu's flavors, which the build chose, see a pointer that updaters
 * replace; an object is destroyed when no reader can see it any more. Destructors read too.
 */
#define URCU_API_MAP /* the names without a flavor */
#include FLAVOR

#include "rcu.h"

#define UPDATES 2000

static struct defer_drop_queue *queue;
static struct mark *published;

static void look(bool is_slow)
{
	struct mark *seen;

	rcu_read_lock();
	seen = rcu_dereference(published);
	CHECK(is_alive(seen));
	if (is_slow)
		usleep(200);
	CHECK(is_alive(seen));
	rcu_read_unlock();
}

static void *read_on(void *argument)
{
	rcu_register_thread();
	for (unsigned i = 0; !atomic_load(&has_ended); i++) {
		look(i % 1000 == 0);
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return argument;
}

static void destroy(void *object)
{
	poison(object);
	look(false);
}

static void count(void *counter)
{
	++*(unsigned *)counter;
}

/* What it drops behind an object waits with that. */
static void *update(void *argument)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	unsigned counted = 0;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	for (unsigned i = 0; i < UPDATES; i++) {
		struct mark *before = rcu_xchg_pointer(&published, calloc(1, sizeof *published));

		CHECK(!defer_drop_queue_push_with(
			queue, before, destroy, DEFER_DROP_FOREVER, &options));
		CHECK(!defer_drop_queue_push(queue, &counted, count, DEFER_DROP_FOREVER));
	}
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	CHECK(counted == UPDATES);
	return argument;
}

int main(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.rcu_flavor = &rcu_flavor;
	config.queue_size = 64;
	queue = create_queue(&config);
	published = calloc(1, sizeof *published);
	update_under_readers(update, read_on);
	end_queue(queue);
	CHECK(free_destroyed() == UPDATERS * UPDATES);
	free(published);
	return 0;
}
