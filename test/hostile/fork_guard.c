/* SPDX-License-Identifier: MIT
 *
 * Forks beside guards, and from the destructors of guards.
 */
#include "forking.h"

#include <defer_drop/guard.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	struct defer_drop_strategy_queue strategy;
	struct defer_drop_guard guard;
	struct defer_drop_queue *queue;
	struct ledger *ledger;
} guarded;

static struct defer_drop_guard *const the_guard = &guarded.guard;

static int destroy_guarded(void *ledger)
{
	ledger_count(ledger);
	return -EIO;
}

static void arm(uint32_t runner, uint32_t at_fork, uint32_t max_lanes, defer_drop_status_fn destroy)
{
	guarded.ledger = ledger_open();
	guarded.queue = make_queue(runner, at_fork, 16, max_lanes);
	ANSWERS(0, defer_drop_strategy_queue_init(&guarded.strategy, guarded.queue, FOREVER));
	guarded.guard = (struct defer_drop_guard)DEFER_DROP_GUARD_STATUS_INIT(
		guarded.ledger, destroy, &guarded.strategy.strategy);
}

static void *drop_guarded(void *ignored)
{
	(void)ignored;
	ANSWERS(-EIO, defer_drop_guard_drop(the_guard));
	return NULL;
}

/* In a child. The guard's thread is its parent's, or is the one that forked. */
static _Noreturn void find_guard(bool is_own)
{
	ANSWERS(0, ledger_push(guarded.ledger, guarded.queue));
	ANSWERS(0, defer_drop_queue_flush(guarded.queue, FOREVER));
	CHECK(defer_drop_guard_state(the_guard) == DEFER_DROP_GUARD_PENDING);
	if (is_own)
		ANSWERS(-ESTALE, defer_drop_guard_await(&the_guard, 1, FOREVER));
	CHECK(!is_own || defer_drop_guard_state(the_guard) == DEFER_DROP_GUARD_EMPTY);
	CHECK(guarded.ledger->destroyed == 1);
	exit(0);
}

static void fork_beside_guard(uint32_t at_fork, bool is_own)
{
	struct gate gate = {0};
	pthread_t thread;
	pid_t child;

	arm(DEFER_DROP_RUNNER_WORKER, at_fork, LANES, destroy_guarded);
	hold_up(guarded.queue, &gate);
	if (is_own)
		ANSWERS(-EAGAIN, defer_drop_guard_await(&the_guard, 1, 0));
	else
		thread = spawn(drop_guarded, NULL);
	AWAIT(stats_of(guarded.queue).pushed_total == 2);
	child = fork_bounded();
	if (!child)
		find_guard(is_own);
	await_good(child);
	atomic_store(&gate.is_open, true);
	if (is_own)
		drop_guarded(NULL);
	else
		join_thread(thread);
	end_queue(guarded.queue);
	CHECK(guarded.ledger->destroyed == 2);
}

/* A nested drop: the guard's destructor has returned. */
static void leave_guard(void *ignored)
{
	(void)ignored;
	CHECK(defer_drop_guard_state(the_guard) == DEFER_DROP_GUARD_PENDING);
	exit(0);
}

static int fork_and_leave(void *ledger)
{
	pid_t child = fork_bounded();

	if (child)
		await_good(child);
	else
		ANSWERS(0, defer_drop_queue_push(guarded.queue, NULL, leave_guard, FOREVER));
	return destroy_guarded(ledger);
}

/* The guard lies with a thread that the child does not have. */
static void fork_in_guard(uint32_t at_fork)
{
	arm(DEFER_DROP_RUNNER_WORKER, at_fork, LANES, fork_and_leave);
	join_thread(spawn(drop_guarded, NULL));
	end_queue(guarded.queue);
}

static pid_t forked;

static int fork_and_return(void *ledger)
{
	forked = fork_bounded();
	return destroy_guarded(ledger);
}

/* It lies with the thread that drains, and forks. */
static void fork_in_own_guard(uint32_t at_fork)
{
	arm(DEFER_DROP_RUNNER_CALLER, at_fork, LANES, fork_and_return);
	drop_guarded(NULL);
	CHECK(!defer_drop_guard_is_pending(the_guard));
	if (!forked)
		exit(0);
	await_good(forked);
	end_queue(guarded.queue);
}

/* Returns in both. */
static void fork_and_await(void)
{
	forked = fork_bounded();
	if (forked)
		await_good(forked);
}

/* Before the guard, in the same lane, and before one more drop. */
static void fork_and_go_on(void *ignored)
{
	(void)ignored;
	AWAIT(stats_of(guarded.queue).pushed_total == 3);
	fork_and_await();
}

static void find_guard_passed_over(void *ignored)
{
	(void)ignored;
	if (forked)
		return;
	CHECK(defer_drop_guard_state(the_guard) == DEFER_DROP_GUARD_PENDING);
	CHECK(!guarded.ledger->destroyed);
	exit(0);
}

/* The child goes on as the worker, with what it keeps. */
static void fork_before_guard(uint64_t bytes)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	pthread_t thread;

	arm(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, 0, destroy_guarded);
	options.bytes = bytes;
	ANSWERS(0,
		defer_drop_queue_push_with(guarded.queue, NULL, fork_and_go_on, FOREVER, &options));
	thread = spawn(drop_guarded, NULL);
	AWAIT(stats_of(guarded.queue).pushed_total == 2);
	ANSWERS(0, defer_drop_queue_push(guarded.queue, NULL, find_guard_passed_over, FOREVER));
	join_thread(thread);
	end_queue(guarded.queue);
}

static int push_to_guarded(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	return defer_drop_queue_push(guarded.queue, object, destroy, FOREVER);
}

static const struct defer_drop_strategy without_wait = {
	DEFER_DROP_STRATEGY_VERSION, push_to_guarded, NULL};

static void fork_with_nested_guard(void *ignored)
{
	(void)ignored;
	ANSWERS(-EAGAIN, defer_drop_guard_await(&the_guard, 1, 0));
	fork_and_await();
}

/* The guard is a nested drop, of a strategy that lets it be. */
static void fork_beside_nested_guard(void)
{
	struct gate gate = {0};

	arm(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, LANES, destroy_guarded);
	defer_drop_guard_retarget(the_guard, &without_wait);
	hold_up(guarded.queue, &gate);
	ANSWERS(0, defer_drop_queue_push(guarded.queue, NULL, fork_with_nested_guard, FOREVER));
	ANSWERS(0, defer_drop_queue_push(guarded.queue, NULL, find_guard_passed_over, FOREVER));
	atomic_store(&gate.is_open, true);
	ANSWERS(0, defer_drop_queue_flush(guarded.queue, FOREVER));
	end_queue(guarded.queue);
	CHECK(defer_drop_guard_state(the_guard) == DEFER_DROP_GUARD_OVER);
	CHECK(guarded.ledger->destroyed == 1);
}

static void run_guards(void)
{
	fork_before_guard(0);
	fork_before_guard(1);
	fork_beside_nested_guard();
	for (unsigned i = 0; i < POLICIES; i++) {
		fork_beside_guard(policies[i], true);
		fork_beside_guard(policies[i], false);
		fork_in_guard(policies[i]);
		fork_in_own_guard(policies[i]);
	}
}

const struct hostile_case hostile_cases[] = {
	{"guards", "The child has no guard except one whose destructor forked in its own thread.",
		run_guards},
	{NULL, NULL, NULL},
};
