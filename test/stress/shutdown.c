/* SPDX-License-Identifier: MIT
 *
 * Producers push until they are refused, while two threads shut the queue down in different ways;
 * every drop accepted is destroyed or counted as left, and every other is still its producer's.
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
	uint32_t mode;
	uint64_t timeout_ns;
	struct defer_drop_report report;
	pthread_t thread;
};

static void *close_queue(void *argument)
{
	struct closer *closer = argument;
	int result = defer_drop_queue_shutdown(
		closer->queue, closer->mode, closer->timeout_ns, &closer->report);

	CHECK(!result || (result == -ETIMEDOUT && closer->mode == DEFER_DROP_SHUTDOWN_TIMED));
	return NULL;
}

void scenario_shutdown(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);
	struct closer closers[2] = {0};
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	uint64_t accepted = 0;
	uint64_t destroyed = 0;
	uint64_t refused = 0;

	start_producers(stress, producers, stress->producers, queue, run);
	usleep((useconds_t)below(&stress->random, 2000));
	for (unsigned i = 0; i < 2; i++) {
		closers[i].queue = queue;
		closers[i].mode = (uint32_t)below(&stress->random, 3);
		if (closers[i].mode == DEFER_DROP_SHUTDOWN_TIMED)
			closers[i].timeout_ns = below(&stress->random, 100000);
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
	CHECK(closers[0].report.destroyed_total == destroyed);
	CHECK(closers[0].report.left_total == accepted - destroyed);
	CHECK(closers[1].report.destroyed_total == destroyed);
	CHECK(closers[1].report.left_total == accepted - destroyed);
	CHECK(!defer_drop_queue_stats(queue, &stats));
	CHECK(stats.pushed_total == accepted && stats.refused_total == refused);
	CHECK(!defer_drop_queue_free(queue));
	free_objects(producers, stress->producers);
}
