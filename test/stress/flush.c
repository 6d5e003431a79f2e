/* SPDX-License-Identifier: MIT
 *
 * Producers flush at random; after a flush all that they have pushed is destroyed, and a flush with
 * a deadline that fails has lost nothing. In turn with a worker and with a queue that its users
 * drain.
 */
#include "stress.h"

#include <errno.h>

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 300; i++) {
		uint64_t chance = below(&producer->random, 20);
		int result;

		push_one(producer);
		if (chance == 0) {
			CHECK(!defer_drop_queue_flush(producer->queue, DEFER_DROP_FOREVER));
			CHECK(producer->destroyed == producer->accepted);
		} else if (chance == 1) {
			result = defer_drop_queue_flush(
				producer->queue, below(&producer->random, 100000));
			CHECK(!result || result == -ETIMEDOUT);
			CHECK(result || producer->destroyed == producer->accepted);
		}
	}
	return NULL;
}

/* A push that waits on a queue that nobody drains would wait for ever: one thread drains. */
static void *drain(void *argument)
{
	struct producer *producer = argument;
	struct defer_drop_drained drained;

	for (;;) {
		int result = defer_drop_queue_drain(
			producer->queue, below(&producer->random, 10), 100000, &drained);

		if (result == -ESHUTDOWN)
			return NULL;
		CHECK(!result || result == -EBUSY);
	}
}

void scenario_flush(struct stress *stress)
{
	uint32_t runner =
		below(&stress->random, 2) ? DEFER_DROP_RUNNER_WORKER : DEFER_DROP_RUNNER_CALLER;
	struct producer producers[MAX_PRODUCERS] = {0};
	struct producer drainer = {0};
	struct defer_drop_queue *queue = make_queue(stress, runner);

	if (runner == DEFER_DROP_RUNNER_CALLER)
		start_producers(stress, &drainer, 1, queue, drain);
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	check_all_destroyed(queue, producers, stress->producers);
	CHECK(!defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL));
	if (runner == DEFER_DROP_RUNNER_CALLER)
		join_producers(&drainer, 1);
	CHECK(!defer_drop_queue_free(queue));
}
