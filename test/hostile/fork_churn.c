/* SPDX-License-Identifier: MIT
 *
 * Forks beside queues and threads that come and go: no lock stays held in the child.
 */
#include "forking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
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

/* ---- Handlers of the program ----------------------------------------------------------------- */

static pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;

static void lock_mine(void)
{
	CHECK(!pthread_mutex_lock(&mine));
}

static void unlock_mine(void)
{
	CHECK(!pthread_mutex_unlock(&mine));
}

/* Each thread's first push takes locks of the library. */
static void *push_under_lock(void *argument)
{
	lock_mine();
	ANSWERS(0, ledger_push(argument, defer_drop_queue_default()));
	unlock_mine();
	return NULL;
}

static void *make_pushing_threads(void *argument)
{
	while (!atomic_load(&is_over))
		join_thread(spawn(push_under_lock, argument));
	return NULL;
}

/* The handlers are there before the library is used. */
static void run_handlers(void)
{
	struct ledger *ledger = ledger_open();
	pthread_t thread;

	if (!CAN_CHURN)
		return;
	CHECK(!pthread_atfork(lock_mine, unlock_mine, unlock_mine));
	thread = spawn(make_pushing_threads, ledger);
	AWAIT(atomic_load(&ledger->accepted));
	for (unsigned i = 0; i < scaled(300, 3000); i++) {
		pid_t child = fork_bounded();

		if (!child)
			_exit(0);
		await_good(child);
	}
	atomic_store(&is_over, true);
	join_thread(thread);
}

/* ---- The first use --------------------------------------------------------------------------- */

static void *use_first(void *argument)
{
	ANSWERS(0, ledger_push(argument, defer_drop_queue_default()));
	return NULL;
}

static void fork_in_first_use(void *argument)
{
	pthread_t threads[3];
	pid_t child;

	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(use_first, argument);
	child = fork_bounded();
	if (!child) {
		struct ledger *own = ledger_open();

		ANSWERS(0, ledger_push(own, defer_drop_queue_default()));
		ANSWERS(0, defer_drop_flush());
		CHECK(atomic_load(&own->destroyed) == 1);
		exit(0);
	}
	for (unsigned i = 0; i < 3; i++)
		join_thread(threads[i]);
	await_good(child);
	exit(0);
}

static void run_first_use(void)
{
	for (unsigned i = 0; i < scaled(50, 1000) && CAN_CHURN; i++) {
		struct ledger *ledger = ledger_open();

		run_good_child(fork_in_first_use, ledger);
		CHECK(atomic_load(&ledger->destroyed) == 3);
	}
}

/* ---- A signal handler that exits ------------------------------------------------------------- */

static void leave(int signal)
{
	(void)signal;
	exit(0);
}

static void *shoot(void *forker)
{
	rest_a_bit();
	CHECK(!pthread_kill(*(pthread_t *)forker, SIGUSR1));
	return NULL;
}

/* It is hit somewhere; POSIX forbids to exit there, and many programs do. */
static void fork_until_shot(void *argument)
{
	struct sigaction action = {.sa_handler = leave};
	pthread_t self = pthread_self();

	for (unsigned i = 0; i < 20; i++)
		ANSWERS(0, ledger_push(argument, defer_drop_queue_default()));
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	spawn(shoot, &self);
	for (;;) {
		pid_t child = fork_bounded();

		if (!child)
			_exit(0);
		await_good(child);
	}
}

static void run_shot(void)
{
	for (unsigned i = 0; i < scaled(100, 1000) && CAN_CHURN; i++) {
		struct ledger *ledger = ledger_open();

		run_good_child(fork_until_shot, ledger);
		CHECK(atomic_load(&ledger->destroyed) == 20);
	}
}

const struct hostile_case hostile_cases[] = {
	{"churn", "A fork beside queues and threads that come and go leaves no lock held.",
		run_churn},
	{"handlers",
		"A fork handler of the program may take a lock that a thread holds while it "
		"pushes.",
		run_handlers},
	{"first_use", "A fork in the middle of the very first use leaves both processes usable.",
		run_first_use},
	{"shot", "A signal handler that exits while the thread forks ends the process.", run_shot},
	{NULL, NULL, NULL},
};
