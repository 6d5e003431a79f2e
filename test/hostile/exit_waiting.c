/* SPDX-License-Identifier: MIT
 *
 * Processes that end while a thread waits, while a destructor does not return, and in ways that the
 * library cannot notice.
 */
#include "ending.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Exit while a thread waits --------------------------------------------------------------- */

enum wait {
	IN_PUSH,
	IN_PUSH_SHARED,
	IN_FLUSH,
	IN_TICKET,
	IN_COMPLETION,
	IN_BACKLOG,
	IN_SHUTDOWN,
	WAITS,
};

static struct {
	enum wait wait;
	const char *policy;
	struct ledger *ledger; /* mark: the answer, negated, plus 1 */
	struct defer_drop_ticket ticket;
	struct defer_drop_completion completion;
	atomic_bool is_set;
} waiting;

static int wait_somewhere(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();

	switch (waiting.wait) {
	case IN_FLUSH:
		return defer_drop_flush();
	case IN_TICKET:
		return defer_drop_ticket_wait(&waiting.ticket, FOREVER);
	case IN_COMPLETION:
		return defer_drop_completion_wait(&waiting.completion, FOREVER, NULL);
	case IN_BACKLOG:
		return defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER);
	case IN_SHUTDOWN:
		return defer_drop_shutdown();
	default:
		return ledger_push(waiting.ledger, queue);
	}
}

static bool pushes(void)
{
	return waiting.wait == IN_PUSH || waiting.wait == IN_PUSH_SHARED;
}

static void *wait_in_thread(void *argument)
{
	while (pushes() && !defer_drop_try(waiting.ledger, ledger_count))
		atomic_fetch_add(&waiting.ledger->accepted, 1);
	atomic_store(&waiting.is_set, true);
	atomic_store(&waiting.ledger->mark, (unsigned)(1 - wait_somewhere()));
	return argument;
}

/* The worker stands in the gate; 3 drops are pending behind it; a thread waits. */
static void begin_wait(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	char policy[96];

	snprintf(policy, sizeof policy, "%s%s", waiting.policy,
		waiting.wait == IN_PUSH_SHARED ? ",max_lanes=0" : "");
	set_options(policy);
	hold_up_default();
	options.ticket = &waiting.ticket;
	options.completion = &waiting.completion;
	ANSWERS(0, ledger_push(waiting.ledger, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_with(waiting.ledger, ledger_count, 0, &options));
	ANSWERS(0, ledger_push(waiting.ledger, defer_drop_queue_default()));
	atomic_fetch_add(&waiting.ledger->accepted, 1);
	spawn_detached(wait_in_thread, NULL);
	AWAIT(atomic_load(&waiting.is_set));
	usleep(3000); /* most probably it waits by then; the claims hold in any case */
}

/* True if a call may return this when exit leaves at once, beside a destructor that goes on or does
 * not. */
static bool is_told_of_leaving(int answer)
{
	if (waiting.wait == IN_SHUTDOWN)
		return !answer;
	if (waiting.wait == IN_BACKLOG && !answer) /* what is abandoned is not pending */
		return true;
	return answer == -ESHUTDOWN || answer == -ECANCELED;
}

/* Checks that the thread got the right result. */
static void settle_wait(void)
{
	bool drains = strcmp(waiting.policy, AT_ONCE);
	struct ledger *counts = waiting.ledger;
	struct defer_drop_stats stats;
	int answer;

	AWAIT(atomic_load(&counts->mark));
	answer = 1 - (int)atomic_load(&counts->mark);
	AWAIT(!stats_of(defer_drop_queue_default()).backlog); /* the worker may be left behind */
	stats = stats_of(defer_drop_queue_default());
	if (pushes())
		CHECK(!answer || answer == -ESHUTDOWN);
	else if (!drains)
		CHECK(is_told_of_leaving(answer));
	else
		CHECK(!answer || (answer == -ESHUTDOWN && waiting.wait == IN_BACKLOG));
	CHECK(stats.pushed_total == 1 + atomic_load(&counts->accepted));
	CHECK(stats.destroyed_total == 1 + atomic_load(&counts->destroyed));
	if (drains || waiting.wait != IN_SHUTDOWN) /* which may have begun to drain before */
		CHECK(atomic_load(&counts->destroyed) ==
			(drains ? atomic_load(&counts->accepted) : 0));
	CHECK(stats.pushed_total == stats.destroyed_total + stats.abandoned_total);
}

static void exit_beside_wait(void *argument)
{
	(void)argument;
	CHECK(!atexit(settle_wait));
	begin_wait();
	spawn_detached(open_when_closing, NULL);
	exit(GOOD);
}

static void run_waits(void)
{
	const char *const policies[] = {DRAIN, TIMED, AT_ONCE};

	for (unsigned i = 0; i < 3 * WAITS; i++) {
		struct outcome outcome;

		waiting.wait = i / 3;
		waiting.policy = policies[i % 3];
		waiting.ledger = ledger_open();
		waiting.completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		run_to_end(&outcome, exit_beside_wait, NULL, GOOD, 0);
	}
}

/* ---- A destructor that does not return ------------------------------------------------------- */

/* None of these calls may wait: the time is over. */
static void use_in_vain(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	struct defer_drop_queue *made;
	int pushed = defer_drop(&gate, pass_gate);

	CHECK(!pushed || pushed == -ESHUTDOWN); /* accepted, it is abandoned */
	ANSWERS(-ESHUTDOWN, defer_drop_start(NULL));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_start(queue));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_stop(queue, FOREVER));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_create(&made, NULL));
	ANSWERS(-ECANCELED, defer_drop_flush());
	ANSWERS(-ECANCELED, defer_drop_ticket_wait(&waiting.ticket, 0));
	ANSWERS(-ECANCELED, defer_drop_ticket_wait(&waiting.ticket, FOREVER));
	ANSWERS(-ECANCELED, defer_drop_completion_wait(&waiting.completion, 0, NULL));
	ANSWERS(-ECANCELED, defer_drop_completion_wait(&waiting.completion, FOREVER, NULL));
	ANSWERS(-ECANCELED, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	if (waiting.wait == IN_SHUTDOWN) {
		CHECK(!atomic_load(&waiting.ledger->mark)); /* it waits for the destructor */
	} else {
		AWAIT(atomic_load(&waiting.ledger->mark));
		ANSWERS(pushes() ? -ESHUTDOWN : -ECANCELED,
			1 - (int)atomic_load(&waiting.ledger->mark));
	}
	/* If the destructor does return, the worker still has the last word. */
	atomic_store(&gate.is_open, true);
	AWAIT(waiting.wait != IN_SHUTDOWN || atomic_load(&waiting.ledger->mark) == 1);
	AWAIT(!stats_of(queue).backlog);
	CHECK(stats_of(queue).destroyed_total == 1);
	AWAIT(defer_drop_completion_wait(&waiting.completion, 0, NULL) == -ESHUTDOWN);
	/* The worker ends completions before it says that it has finished. */
	AWAIT(defer_drop_ticket_wait(&waiting.ticket, 0) == -ESHUTDOWN);
}

static void exit_before_gate(void *argument)
{
	(void)argument;
	CHECK(!atexit(use_in_vain));
	begin_wait();
	exit(GOOD);
}

/* A thread of the program drains, and stands in the gate. */
static void *drain_in_thread(void *argument)
{
	defer_drop_queue_drain(argument, UINT64_MAX, FOREVER, NULL);
	return NULL;
}

static void exit_beside_drain(void *exit_timeout_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	config.name = "stuck";
	config.exit_timeout_ns = (uintptr_t)exit_timeout_ns;
	queue = create_queue(&config);
	ANSWERS(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
	ANSWERS(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
	spawn_detached(drain_in_thread, queue);
	AWAIT(atomic_load(&gate.is_entered));
	exit(GOOD);
}

/* Exit reports how many drops it leaves, or nothing if it leaves at once. */
static void check_stuck(const char *policy)
{
	bool is_reported = strcmp(policy, AT_ONCE);
	unsigned more[WAITS] = {[IN_PUSH] = 16, [IN_PUSH_SHARED] = 11};
	struct outcome outcome;
	char text[64];

	waiting.policy = policy;
	waiting.ledger = ledger_open();
	waiting.completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	run_to_end(&outcome, exit_before_gate, NULL, GOOD, is_reported);
	snprintf(text, sizeof text, ABANDONS "\n", 4 + more[waiting.wait]);
	fprintf(stderr, "%s", outcome.words);
	CHECK(has_report(&outcome, text) == is_reported);
	CHECK(!atomic_load(&waiting.ledger->destroyed));
}

static void run_stuck(void)
{
	struct outcome outcome;
	char text[64];

	for (waiting.wait = 0; waiting.wait < WAITS; waiting.wait++) {
		check_stuck("exit_timeout_ns=2ms");
		check_stuck(AT_ONCE);
	}
	run_to_end(&outcome, exit_beside_drain, (void *)1000000, GOOD, 1);
	snprintf(text, sizeof text, " stuck" ABANDONS "\n", 2);
	CHECK(has_report(&outcome, text));
	run_to_end(&outcome, exit_beside_drain, (void *)0, GOOD, 0);
}

/* ---- Ends that the library does not hear of -------------------------------------------------- */

static void end_quickly(void)
{
	quick_exit(GOOD);
}

static void end_at_once(void)
{
	_exit(GOOD);
}

static void end_abruptly(void *end)
{
	ledger = waiting.ledger;
	begin_wait();
	CHECK(!at_quick_exit(mark_destroyed));
	((void (*)(void))(uintptr_t)end)();
}

static void end_in_destructor(void *end)
{
	waiting.policy = DRAIN;
	((void (*)(void))(uintptr_t)end)();
}

static void drop_the_end(void *end)
{
	begin_wait();
	ANSWERS(0, defer_drop(end, end_in_destructor));
	atomic_store(&gate.is_open, true);
	pause();
}

static void run_abruptly(void)
{
	void (*const ends[])(void) = {end_quickly, end_at_once, abort};

	for (unsigned i = 0; i < 6; i++) {
		struct outcome outcome;

		waiting.wait = IN_FLUSH;
		waiting.policy = DRAIN;
		waiting.ledger = ledger_open();
		waiting.completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		run_child(&outcome, i / 3 ? drop_the_end : end_abruptly,
			(void *)(uintptr_t)ends[i % 3]);
		CHECK(!strstr(outcome.words, "defer_drop")); /* an emulator tells of an abort */
		CHECK(atomic_load(&waiting.ledger->destroyed) == (i / 3 ? 3 : 0));
		if (i % 3 == 2)
			CHECK(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT);
		else
			CHECK(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == GOOD);
	}
}

const struct hostile_case hostile_cases[] = {
	{"waits", "A thread that waits while the process ends gets the true answer.", run_waits},
	{"stuck",
		"A timed exit waits for nothing that takes longer, and counts what it leaves; one "
		"at once waits for nothing.",
		run_stuck},
	{"abruptly", "If no handlers run, nothing is destroyed and nothing waits.", run_abruptly},
	{NULL, NULL, NULL},
};
