/* SPDX-License-Identifier: MIT
 *
 * Waits in every way for a worker that is awake, for interrupt.sh to watch: producers whose rings are
 * full, flushes, tickets, a completion. The worker never goes to deep sleep here.
 */
#include <defer_drop.h>
#include <pthread.h>
#include <stddef.h>

#define PRODUCERS 4
#define PUSHES    2000
#define WAITS     50

static void nothing(void *object)
{
	(void)object;
}

static void *produce(void *failures)
{
	for (unsigned i = 0; i < PUSHES; i++)
		if (defer_drop(NULL, nothing))
			return failures;
	return NULL;
}

static int wait_in_every_way(void)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;

	options.completion = &completion;
	options.ticket = &ticket;
	return defer_drop_with(NULL, nothing, DEFER_DROP_FOREVER, &options) ||
	       defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER) ||
	       defer_drop_completion_wait(&completion, DEFER_DROP_FOREVER, NULL) ||
	       defer_drop(NULL, nothing) || defer_drop_flush();
}

int main(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	pthread_t producers[PRODUCERS];
	void *failure = NULL;

	config.queue_size = 64;
	config.quiet_spell_ns = DEFER_DROP_NEVER;
	if (defer_drop_start(&config))
		return 1;
	for (unsigned i = 0; i < PRODUCERS; i++)
		if (pthread_create(&producers[i], NULL, produce, &config))
			return 1;
	for (unsigned i = 0; i < PRODUCERS; i++)
		if (pthread_join(producers[i], &failure) || failure)
			return 1;
	for (unsigned i = 0; i < WAITS; i++)
		if (wait_in_every_way())
			return 1;
	if (defer_drop_queue_stats(defer_drop_queue_default(), &stats))
		return 1;
	/* A ring was full, or this shows nothing. */
	return !stats.waits_total;
}
