/* SPDX-License-Identifier: MIT
 *
 * Producers push until they are refused, while two threads shut the queue down in different ways;
 * every drop that was accepted is destroyed or counted as abandoned; every other one is still its
 * producer's.
 */
#include "stress.h"

#include <errno.h>
#include <unistd.h>

static void *run(void *argument)
{
	struct producer *producer = argument;
	int result;

	producer->is_gap_allowed = true;
	do
		result = push_one(producer);
	while (result != -ESHUTDOWN);
	CHECK(push_one(producer) == -ESHUTDOWN);
	return NULL;
}

struct closer {
	struct defer_drop_queue *queue;
	uint64_t timeout_ns;
	pthread_t thread;
};

/* A destructor that gets no CPU for a tenth of a second is given up. */
static void *close_queue(void *argument)
{
	struct closer *closer = argument;
	bool is_short = closer->timeout_ns != DEFER_DROP_FOREVER;
	int result = defer_drop_queue_shutdown(closer->queue, closer->timeout_ns);

	if (result == -ECANCELED && is_short)
		CHECK(!defer_drop_queue_shutdown(closer->queue, DEFER_DROP_FOREVER));
	else if (closer->timeout_ns && is_short)
		CHECK(result == (stats_of(closer->queue).abandoned_total ? -ETIMEDOUT : 0));
	else
		CHECK(!result);
	return NULL;
}

static uint64_t some_timeout(struct stress *stress)
{
	return below(&stress->random, 3) ? some_ns(&stress->random, 100000) : DEFER_DROP_FOREVER;
}

void scenario_shutdown(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);
	struct closer closers[2] = {0};
	struct defer_drop_stats stats;
	uint64_t accepted = 0;
	uint64_t destroyed = 0;
	uint64_t refused = 0;

	start_producers(stress, producers, stress->producers, queue, run);
	usleep((useconds_t)below(&stress->random, 2000));
	for (unsigned i = 0; i < 2; i++) {
		closers[i].queue = queue;
		closers[i].timeout_ns = some_timeout(stress);
		CHECK(!pthread_create(&closers[i].thread, NULL, close_queue, &closers[i]));
	}
	for (unsigned i = 0; i < 2; i++)
		CHECK(!pthread_join(closers[i].thread, NULL));
	join_producers(producers, stress->producers);
	for (unsigned i = 0; i < stress->producers; i++) {
		accepted += producers[i].accepted;
		destroyed += producers[i].destroyed;
		refused += producers[i].refused;
	}
	stats = stats_of(queue);
	CHECK(stats.destroyed_total == destroyed);
	CHECK(stats.abandoned_total == accepted - destroyed && !stats.backlog);
	CHECK(stats.pushed_total == accepted && stats.refused_total == refused);
	CHECK(destroyed == accepted || closers[0].timeout_ns != DEFER_DROP_FOREVER ||
		closers[1].timeout_ns != DEFER_DROP_FOREVER);
	CHECK(!defer_drop_queue_free(queue));
	free_objects(producers, stress->producers);
}
