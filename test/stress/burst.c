/* SPDX-License-Identifier: MIT
 *
 * Many producers push in random bursts, with silences long enough for the worker to nap and sleep;
 * each drop is destroyed exactly once and in its thread's order.
 */
#include "stress.h"

#include <unistd.h>

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned burst = 0; burst < 20; burst++) {
		uint64_t drops = below(&producer->random, 200);

		for (uint64_t i = 0; i < drops; i++)
			push_one(producer);
		if (!below(&producer->random, 4))
			usleep((useconds_t)below(&producer->random, 3000));
	}
	return NULL;
}

void scenario_burst(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);

	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	check_all_destroyed(queue, producers, stress->producers);
	end_drained(queue, producers, stress->producers);
}
