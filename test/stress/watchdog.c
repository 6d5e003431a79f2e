/* SPDX-License-Identifier: MIT
 *
 * A watchdog watches destructors of two kinds that follow each other as fast as they can; no report
 * mixes two drops.
 */
#include "stress.h"

#include <unistd.h>

#define LIMIT_NS UINT64_C(1000000) /* the shortest there is */

/* An object is a number: its lowest bit says which destructor it has, the rest how long that
 * sleeps. */
static void destroy_even(void *object)
{
	if ((uintptr_t)object / 2)
		usleep((useconds_t)((uintptr_t)object / 2));
}

static void destroy_odd(void *object)
{
	destroy_even(object);
}

static void check_pair(void *context, const struct defer_drop_slow *slow)
{
	atomic_uint *told = context;
	bool is_odd = (uintptr_t)slow->object & 1;

	CHECK(slow->destroy == (is_odd ? destroy_odd : destroy_even));
	CHECK(slow->running_ns >= LIMIT_NS);
	atomic_fetch_add(told, 1);
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (uintptr_t i = 0; i < 400; i++) {
		uintptr_t sleep_us = below(&producer->random, 100) ? 0 : 2000;

		CHECK(!defer_drop_queue_push(producer->queue, (void *)(sleep_us * 2 + i % 2),
			i % 2 ? destroy_odd : destroy_even, DEFER_DROP_FOREVER));
	}
	return NULL;
}

void scenario_watchdog(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_config config = make_config(stress, DEFER_DROP_RUNNER_WORKER);
	struct defer_drop_queue *queue;
	atomic_uint told = 0;

	config.watchdog_ns = LIMIT_NS;
	config.watchdog = check_pair;
	config.context = &told;
	queue = create_queue(&config);
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	CHECK(stats_of(queue).slow_total <= atomic_load(&told));
	CHECK(!defer_drop_queue_free(queue));
}
