/* SPDX-License-Identifier: MIT
 *
 * Producers flush at random; after a flush all that they have pushed is destroyed, and a flush with
 * a deadline that fails has lost nothing. In turn with a worker, with a queue that its users drain,
 * and with one that a single thread drains.
 */
#include "stress.h"

#include <errno.h>

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 300; i++) {
		uint64_t chance = below(&producer->random, 20);
		uint64_t timeout_ns;
		int result;

		push_one(producer);
		if (chance == 0) {
			CHECK(!defer_drop_queue_flush(producer->queue, DEFER_DROP_FOREVER));
			CHECK(producer->destroyed == producer->accepted);
		} else if (chance == 1) {
			timeout_ns = some_ns(&producer->random, 100000);
			result = defer_drop_queue_flush(producer->queue, timeout_ns);
			CHECK(!result || result == in_vain(timeout_ns));
			CHECK(result || producer->destroyed == producer->accepted);
		}
	}
	return NULL;
}

/* A push that waits on a queue that nobody drains would wait for ever: one thread drains. */
static void *drain(void *argument)
{
	struct producer *producer = argument;

	for (;;) {
		uint64_t most = below(&producer->random, 10);
		uint64_t destroyed;
		int result = defer_drop_queue_drain(producer->queue, most, 100000, &destroyed);

		if (result == -ESHUTDOWN)
			return NULL;
		CHECK(!result || result == -EBUSY);
		CHECK(destroyed <= (result ? 0 : most));
	}
}

void scenario_flush(struct stress *stress)
{
	static const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_WORKER,
		DEFER_DROP_RUNNER_CALLER, DEFER_DROP_RUNNER_DRAINER};
	uint32_t runner = runners[below(&stress->random, 4)];
	struct producer producers[MAX_PRODUCERS] = {0};
	struct producer drainer = {0};
	struct defer_drop_queue *queue = make_queue(stress, runner);

	if (runner != DEFER_DROP_RUNNER_WORKER)
		start_producers(stress, &drainer, 1, queue, drain);
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	check_all_destroyed(queue, producers, stress->producers);
	CHECK(!defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	if (runner != DEFER_DROP_RUNNER_WORKER)
		join_producers(&drainer, 1);
	CHECK(!defer_drop_queue_free(queue));
}
