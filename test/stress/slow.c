/* SPDX-License-Identifier: MIT
 *
 * Some destructors take long; pushes wait on full rings, with and without a deadline, and all that
 * was accepted is destroyed in order.
 */
#include "stress.h"

#include <unistd.h>

static void sleep_a_little(void *object)
{
	usleep((useconds_t)(uintptr_t)object);
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 40; i++) {
		push_one(producer);
		if (!below(&producer->random, 8))
			CHECK(!defer_drop_queue_push(producer->queue,
				(void *)(uintptr_t)below(&producer->random, 1000), sleep_a_little,
				DEFER_DROP_FOREVER));
	}
	return NULL;
}

void scenario_slow(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);

	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	for (unsigned i = 0; i < stress->producers; i++)
		CHECK(producers[i].destroyed == producers[i].accepted);
	end_queue(queue);
}
