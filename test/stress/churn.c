/* SPDX-License-Identifier: MIT
 *
 * Threads push a little and end, giving their lanes to the next with drops still in them; some push
 * once more from a destructor of their thread-specific data.
 */
#include "stress.h"

#define GENERATIONS 20

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void push_last(void *argument)
{
	static _Thread_local unsigned rounds;
	struct producer *producer = argument;

	/* In the rounds that follow it would find the lane given back, and the shared lane may run
	 * ahead of it: there is no order to check. */
	push_one(producer);
	if (++rounds < 2)
		pthread_setspecific(key, argument);
}

static void make_key(void)
{
	CHECK(!pthread_key_create(&key, push_last));
}

static void *run(void *argument)
{
	struct producer *producer = argument;
	uint64_t drops = below(&producer->random, 30);

	pthread_once(&once, make_key);
	for (uint64_t i = 0; i < drops; i++)
		push_one(producer);
	CHECK(!pthread_setspecific(key, producer));
	return NULL;
}

void scenario_churn(struct stress *stress)
{
	struct producer producers[GENERATIONS][MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);

	for (unsigned i = 0; i < GENERATIONS; i++) {
		start_producers(stress, producers[i], stress->producers, queue, run);
		join_producers(producers[i], stress->producers);
	}
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	end_drained(queue, producers[0], GENERATIONS * MAX_PRODUCERS);
}
