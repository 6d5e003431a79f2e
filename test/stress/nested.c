/* SPDX-License-Identifier: MIT
 *
 * Destructors drop more than a ring holds while the ring is full; none waits, and a flush covers
 * them.
 */
#include "stress.h"

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 300; i++)
		push_one(producer);
	return NULL;
}

void scenario_nested(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);

	for (unsigned i = 0; i < stress->producers; i++)
		producers[i].nests = (unsigned)below(&stress->random, 20);
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	check_all_destroyed(queue, producers, stress->producers);
	end_drained(queue, producers, stress->producers);
}
