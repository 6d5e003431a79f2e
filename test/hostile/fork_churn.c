/* SPDX-License-Identifier: MIT
 *
 * Forks beside queues and threads that come and go: no lock stays held in the child.
 */
#define _GNU_SOURCE
#include "forking.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* AddressSanitizer has a lock that new threads take, and that fork(2) does not know. */
#if defined(__SANITIZE_ADDRESS__)
#define CAN_CHURN 0
#else
#define CAN_CHURN 1
#endif

static struct defer_drop_queue *crowded;
static atomic_bool is_over;

static void *make_queues(void *argument)
{
	while (!atomic_load(&is_over)) {
		struct defer_drop_queue *queue =
			make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, 4, LANES);

		for (unsigned i = 0; i < 20; i++)
			ANSWERS(0, ledger_push(argument, queue));
		end_queue(queue);
	}
	return NULL;
}

static void *push_many(void *argument)
{
	for (unsigned i = 0; i < 200; i++)
		ANSWERS(0, ledger_push(argument, crowded));
	return NULL;
}

static void *push_once(void *argument)
{
	ANSWERS(0, ledger_push(argument, crowded));
	return NULL;
}

static void *make_threads(void *argument)
{
	while (!atomic_load(&is_over))
		join_thread(spawn(push_once, argument));
	return NULL;
}

static void *flush_on(void *argument)
{
	while (!atomic_load(&is_over)) {
		int result;

		ANSWERS(0, ledger_push(argument, crowded));
		result = defer_drop_queue_flush(crowded, 20000);
		CHECK(!result || result == -ETIMEDOUT);
	}
	return NULL;
}

static _Noreturn void leave_churn(void)
{
	struct ledger *own = ledger_open();
	struct defer_drop_queue *queue =
		make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, 4, LANES);
	pthread_t threads[3];

	for (unsigned i = 0; i < 10; i++) {
		ANSWERS(0, ledger_push(own, crowded));
		ANSWERS(0, ledger_push(own, queue));
		ANSWERS(0, ledger_push(own, defer_drop_queue_default()));
	}
	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(push_many, own);
	push_many(own);
	for (unsigned i = 0; i < 3; i++)
		join_thread(threads[i]);
	end_queue(queue);
	ANSWERS(0, defer_drop_queue_flush(crowded, FOREVER));
	ANSWERS(0, defer_drop_shutdown());
	CHECK(atomic_load(&own->destroyed) == 830);
	exit(0);
}

static void run_churn(void)
{
	if (!CAN_CHURN)
		return;

	void *(*const runs[])(void *) = {make_queues, make_threads, flush_on, flush_on};
	struct ledger *ledgers[4];
	pthread_t threads[4];

	crowded = make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, 16, 3);
	ANSWERS(0, defer_drop_queue_push(crowded, &open_one, pass_gate, FOREVER)); /* has a lane */
	for (unsigned i = 0; i < 4; i++) {
		ledgers[i] = ledger_open();
		threads[i] = spawn(runs[i], ledgers[i]);
	}
	for (unsigned i = 0; i < 60; i++) {
		pid_t child = fork_bounded();

		if (!child)
			leave_churn();
		await_good(child);
	}
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 4; i++)
		join_thread(threads[i]);
	end_queue(crowded);
	/* Drops that children kept are counted too. */
	CHECK(atomic_load(&ledgers[0]->destroyed) >= atomic_load(&ledgers[0]->accepted));
	for (unsigned i = 1; i < 4; i++)
		CHECK(atomic_load(&ledgers[i]->destroyed) == atomic_load(&ledgers[i]->accepted));
}

const struct hostile_case hostile_cases[] = {
	{"churn", "A fork beside queues and threads that come and go leaves no lock held.",
		run_churn},
	{NULL, NULL, NULL},
};
