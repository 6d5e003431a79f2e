/* SPDX-License-Identifier: MIT
 *
 * Processes whose first push is made while they end, and those whose main thread ends first.
 */
#include "ending.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEWCOMERS 6

static pthread_barrier_t start;
static pthread_key_t last_words; /* its destructor pushes */

static void *push_first(void *argument)
{
	int result = pthread_barrier_wait(&start);

	CHECK(!result || result == PTHREAD_BARRIER_SERIAL_THREAD);
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	pthread_barrier_wait(&start);
	return argument;
}

static void exit_after_first_use(void *argument)
{
	(void)argument;
	CHECK(!pthread_barrier_init(&start, NULL, NEWCOMERS));
	for (unsigned i = 1; i < NEWCOMERS; i++)
		spawn_detached(push_first, NULL);
	push_first(NULL);
	exit(GOOD);
}

static void run_first_use(void)
{
	for (unsigned i = 0; i < 20; i++)
		check_turn(exit_after_first_use, NULL, 0);
}

static void push_last(void *object)
{
	(void)object;
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
}

#define LAST_DROPS 10 /* there is room for them behind the gate */

/* An exit whose time is over leaves the worker in the gate. */
static void settle_last(void)
{
	struct defer_drop_stats stats;

	atomic_store(&gate.is_open, true);
	AWAIT(!stats_of(defer_drop_queue_default()).backlog);
	ANSWERS(-ESHUTDOWN, defer_drop_try(ledger, ledger_count));
	stats = stats_of(defer_drop_queue_default());
	/* The gate is one of them. */
	CHECK(stats.pushed_total == atomic_load(&ledger->accepted) + 1);
	CHECK(stats.destroyed_total == atomic_load(&ledger->destroyed) + 1);
	CHECK(stats.abandoned_total == stats.pushed_total - stats.destroyed_total);
}

/* The main thread has ended; the worker keeps the process alive. */
static void *be_last(void *policy)
{
	for (unsigned i = 0; i < 1000; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	AWAIT(atomic_load(&ledger->mark));
	if (!policy) {
		ANSWERS(0, defer_drop_shutdown());
		return NULL;
	}
	ANSWERS(0, defer_drop_flush());
	hold_up_default();
	for (unsigned i = 0; i < LAST_DROPS; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	if (!((const struct policy *)policy)->is_held)
		spawn_detached(open_when_closing, NULL);
	exit(GOOD);
}

static void mark_end(void *object)
{
	push_last(object);
	atomic_fetch_add(&ledger->mark, 1);
}

static void end_main_thread(void *argument)
{
	struct policy *policy = argument;

	if (policy) {
		set_options(policy->options);
		CHECK(!atexit(settle_last));
	}
	CHECK(!pthread_key_create(&last_words, mark_end));
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	CHECK(!pthread_setspecific(last_words, &gate));
	spawn_detached(be_last, policy);
	pthread_exit(NULL);
}

/* Drops before the gate were destroyed; drops behind it are left, and so is the gate if it does not
 * open. */
static void check_last(struct policy *policy)
{
	bool is_reported = policy->is_held && reports(policy);
	unsigned left[QUEUES];
	struct outcome outcome;

	ledger = ledger_open();
	run_child(&outcome, end_main_thread, policy);
	fprintf(stderr, "%s", outcome.words);
	CHECK(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == GOOD);
	read_report(&outcome, left);
	CHECK(left[0] == (is_reported ? LAST_DROPS + 1 : 0) && !left[1]);
	CHECK(atomic_load(&ledger->accepted) == 1002 + LAST_DROPS);
	CHECK(atomic_load(&ledger->destroyed) == 1002 + (policy->drains ? LAST_DROPS : 0));
	CHECK(atomic_load(&ledger->mark) == 1);
}

static void run_main_thread(void)
{
	static struct policy policy; /* a checker may take the first thread's stack away with it */
	struct outcome outcome;

	need_ends_in_children();
	for (unsigned i = 0; i < POLICIES; i++) {
		policy = exit_policies[i];
		/* An exit whose time is over always stands here: the number is known. */
		if (policy.drains || policy.is_held || !policy.exit_timeout_ns)
			check_last(&policy);
	}
	ledger = ledger_open();
	run_to_end(&outcome, end_main_thread, NULL, 0, 0);
	CHECK(atomic_load(&ledger->destroyed) == atomic_load(&ledger->accepted));
}

/* ---- Handlers that were set after the first push --------------------------------------------- */

static void expect_destroyed(void)
{
	CHECK(atomic_load(&ledger->destroyed) == atomic_load(&ledger->accepted));
	/* The queue is still open. */
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	atomic_fetch_add(&ledger->mark, 1);
}

static void rest_and_count(void *object)
{
	rest_a_bit();
	ledger_count(object);
}

static void push_and_leave(void *ignored)
{
	struct defer_drop_queue *queue;

	(void)ignored;
	ANSWERS(0, defer_drop_queue_create(&queue, NULL));
	for (unsigned i = 0; i < 50; i++) {
		ANSWERS(0, defer_drop_queue_push(queue, ledger, rest_and_count, FOREVER));
		ANSWERS(0, defer_drop(ledger, rest_and_count));
		atomic_fetch_add(&ledger->accepted, 2);
	}
	CHECK(!atexit(expect_destroyed));
	exit(GOOD);
}

static void open_the_gate(void)
{
	atomic_store(&gate.is_open, true);
}

/* A destructor that waits for a handler of exit does not hold it up for long. */
static void leave_beside_a_waiting_one(void *ignored)
{
	(void)ignored;
	hold_up_default();
	CHECK(!atexit(open_the_gate));
	exit(GOOD);
}

/* How C++ destroys thread-local objects. */
extern int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *dso)
	__attribute__((weak));

static void run_handlers(void)
{
	struct outcome outcome;

	if (!__cxa_thread_atexit_impl)
		skip("this C library tells nobody that the main thread leaves main");
	ledger = ledger_open();
	run_to_end(&outcome, push_and_leave, NULL, GOOD, 0);
	CHECK(atomic_load(&ledger->destroyed) == 101 && atomic_load(&ledger->mark) == 1);
	run_to_end(&outcome, leave_beside_a_waiting_one, NULL, GOOD, 0);
}

const struct hostile_case hostile_cases[] = {
	{"first_use", "Threads that make the first push of the process lose nothing.",
		run_first_use},
	{"main_thread",
		"Without its main thread the process ends as the last one and the policy say.",
		run_main_thread},
	{"handlers", "Handlers of exit that were set after the first push find all destroyed.",
		run_handlers},
	{NULL, NULL, NULL},
};
