/* SPDX-License-Identifier: MIT
 *
 * Forks while the process exits.
 */
#include "forking.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	struct defer_drop_queue *queue;
	struct ledger *ledger;
} exiting;

/* A drop of the first queue that exit deals with; the default one has not had its turn. */
static void fork_in_exit(void *object)
{
	struct ledger *ledger = object;
	struct defer_drop_queue *made;
	struct defer_drop_stats stats;
	pid_t child;
	int result;

	ANSWERS(0, defer_drop_queue_push(exiting.queue, &open_one, pass_gate, FOREVER));
	child = fork_bounded();
	if (child) {
		await_good(child);
		return;
	}
	stats = stats_of(exiting.queue);
	CHECK(stats.pushed_total == 1 && stats.backlog == 1 && !stats.nested_total);
	ledger_push(ledger, defer_drop_queue_default());
	result = defer_drop_queue_create(&made, NULL);
	CHECK(!result || result == -ESHUTDOWN);
	if (!result)
		ledger_push(ledger, made);
	exit(0);
}

static void open_gate(void *object)
{
	struct gate *gate = object;

	atomic_store(&gate->is_open, true);
}

/* The newest queue has its turn first: when it opens the gate, exit has begun. */
static void exit_with_fork(void *argument)
{
	static struct gate gate;
	bool by_worker = argument;
	struct defer_drop_queue *first;

	exiting.queue = make_queue(by_worker ? DEFER_DROP_RUNNER_WORKER : DEFER_DROP_RUNNER_CALLER,
		DEFER_DROP_AT_FORK_KEEP, 16, LANES);
	first = make_queue(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_EMPTY, 16, LANES);
	ANSWERS(0, ledger_push(exiting.ledger, defer_drop_queue_default()));
	if (by_worker)
		hold_up(exiting.queue, &gate);
	ANSWERS(0, defer_drop_queue_push(exiting.queue, exiting.ledger, fork_in_exit, FOREVER));
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, defer_drop_queue_push(exiting.queue, &open_one, pass_gate, FOREVER));
	ANSWERS(0, defer_drop_queue_push(first, &gate, open_gate, FOREVER));
	exit(0);
}

static void run_exiting(void)
{
	for (uintptr_t by_worker = 0; by_worker < 2; by_worker++) {
		exiting.ledger = ledger_open();
		run_good_child(exit_with_fork, (void *)by_worker);
		CHECK(atomic_load(&exiting.ledger->destroyed) ==
			atomic_load(&exiting.ledger->accepted));
	}
}

const struct hostile_case hostile_cases[] = {
	{"exiting", "A drop of a child of an exiting process is destroyed or refused.",
		run_exiting},
	{NULL, NULL, NULL},
};
