/* SPDX-License-Identifier: MIT
 *
 * Threads wait for guards, several at once and of several strategies, with deadlines that are often
 * too short. Once a wait is over each destructor has run once, and its status is there.
 */
#include "stress.h"

#include <defer_drop/guard.h>
#include <errno.h>

#define GUARDS 4

/* Plain on purpose: the guard must order it. */
static int destroy(void *argument)
{
	int *destroyed = argument;

	return -++*destroyed;
}

static void await_all(struct producer *producer, struct defer_drop_guard *const *guards)
{
	uint64_t timeout_ns;
	int result;

	do {
		timeout_ns = some_ns(&producer->random, 100000);
		result = defer_drop_guard_await(guards, GUARDS, timeout_ns);
	} while (result == in_vain(timeout_ns));
	CHECK(result == -1);
}

static void *run(void *argument)
{
	struct producer *producer = argument;
	struct defer_drop_strategy_queue by;
	const struct defer_drop_strategy *const strategies[] = {
		&by.strategy, &defer_drop_strategy_in_place, &defer_drop_strategy_thread, NULL};

	CHECK(!defer_drop_strategy_queue_init(&by, producer->queue, DEFER_DROP_FOREVER));
	for (unsigned i = 0; i < 50; i++) {
		struct defer_drop_guard guards[GUARDS];
		struct defer_drop_guard *all[GUARDS];
		int destroyed[GUARDS] = {0};

		for (unsigned j = 0; j < GUARDS; j++) {
			guards[j] = (struct defer_drop_guard)DEFER_DROP_GUARD_STATUS_INIT(
				&destroyed[j], destroy, strategies[below(&producer->random, 4)]);
			all[j] = &guards[j];
		}
		await_all(producer, all);
		for (unsigned j = 0; j < GUARDS; j++)
			CHECK(destroyed[j] == 1 && defer_drop_guard_status(all[j]) == -1);
	}
	return NULL;
}

static void ignore_trouble(void *context, const struct defer_drop_trouble *trouble)
{
	(void)context;
	CHECK(trouble->kind == DEFER_DROP_TROUBLE_FAILED && trouble->error == -1);
}

void scenario_await(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);

	defer_drop_trouble_handle(ignore_trouble, NULL);
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	defer_drop_queue_end(queue);
}
