/* SPDX-License-Identifier: MIT
 *
 * Forks while the parent's threads push, wait, close or stop: the child does none of that.
 */
#include "forking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- What the parent's threads were doing ---------------------------------------------------- */

enum wait {
	WAIT_FOR_ROOM,
	WAIT_FOR_BYTES,
	WAIT_FOR_BACKLOG,
	WAITS,
};

static struct {
	struct defer_drop_queue *queue;
	struct ledger *ledger;
	enum wait wait;
	atomic_bool waits; /* or is about to */
} waiting;

static void push_bytes(uint64_t bytes)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = bytes;
	ANSWERS(0, defer_drop_queue_push_with(
			   waiting.queue, waiting.ledger, ledger_count, FOREVER, &options));
}

static void *wait_in_thread(void *argument)
{
	if (waiting.wait == WAIT_FOR_BYTES)
		push_bytes(100);
	while (waiting.wait == WAIT_FOR_ROOM &&
		!defer_drop_queue_push(waiting.queue, waiting.ledger, ledger_count, 0))
		atomic_fetch_add(&waiting.ledger->accepted, 1);
	atomic_store(&waiting.waits, true);
	if (waiting.wait == WAIT_FOR_BYTES)
		push_bytes(100);
	else if (waiting.wait == WAIT_FOR_ROOM)
		ANSWERS(0, ledger_push(waiting.ledger, waiting.queue));
	else
		ANSWERS(0, defer_drop_queue_wait_backlog(waiting.queue, 0, 0, FOREVER));
	return argument;
}

/* In the child no thread waits, and there is as much room as ever. */
static _Noreturn void leave_waiting(unsigned kept)
{
	unsigned before = atomic_load(&waiting.ledger->destroyed);
	struct defer_drop_stats stats = stats_of(waiting.queue);

	CHECK(stats.pushed_total == kept && stats.backlog == kept && !stats.waits_total);
	for (unsigned i = 0; i < 20; i++)
		push_bytes(60);
	ANSWERS(0, defer_drop_queue_wait_backlog(waiting.queue, 0, 0, FOREVER));
	ANSWERS(0, defer_drop_queue_flush(waiting.queue, FOREVER));
	CHECK(atomic_load(&waiting.ledger->destroyed) == before + kept + 20);
	AWAIT(stats_of(waiting.queue).deep_sleeps_total);
	exit(0);
}

static void fork_beside_waiting(enum wait wait, bool is_kept, uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct gate gate = {0};
	pthread_t thread;
	unsigned pending;
	pid_t child;

	config.at_fork = is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;
	config.queue_size = 4;
	config.max_lanes = max_lanes;
	config.max_bytes = 100;
	config.quiet_spell_ns = 1000000;
	waiting.queue = create_queue(&config);
	waiting.ledger = ledger_open();
	waiting.wait = wait;
	atomic_store(&waiting.waits, false);
	hold_up(waiting.queue, &gate);
	thread = spawn(wait_in_thread, NULL);
	AWAIT(atomic_load(&waiting.waits));
	usleep(3000); /* most probably it waits by then; the claims hold in any case */
	pending = wait == WAIT_FOR_ROOM ? (max_lanes ? 4 : 3) : wait == WAIT_FOR_BYTES ? 1 : 0;
	child = fork_bounded();
	if (!child)
		leave_waiting(is_kept ? pending : 0);
	await_good(child);
	atomic_store(&gate.is_open, true);
	join_thread(thread);
	end_queue(waiting.queue);
}

static void run_waiting(void)
{
	for (unsigned i = 0; i < 4 * WAITS; i++)
		fork_beside_waiting(i / 4, i & 1, i & 2 ? 0 : LANES);
}

static void *shut_down_default(void *argument)
{
	ANSWERS(0, defer_drop_shutdown());
	return argument;
}

static _Noreturn void leave_closing(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	struct defer_drop_stats stats;

	ANSWERS(-ESHUTDOWN, defer_drop(NULL, pass_gate));
	ANSWERS(-ESHUTDOWN, defer_drop_try(NULL, pass_gate));
	ANSWERS(-ESHUTDOWN, defer_drop_flush());
	ANSWERS(-ESHUTDOWN, defer_drop_start(NULL));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_stop(queue, FOREVER));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_start(queue));
	ANSWERS(0, defer_drop_queue_shutdown(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_shutdown(queue, 0));
	stats = stats_of(queue);
	CHECK(!stats.pushed_total && !stats.destroyed_total && !stats.abandoned_total);
	CHECK(!stats.backlog && !defer_drop_queue_backlog(queue));
	exit(0);
}

static void fork_while_closing(void *options)
{
	struct ledger *ledger = ledger_open();
	struct gate gate = {0};
	pthread_t thread;
	pid_t child;

	CHECK(!setenv("DEFER_DROP_OPTIONS", options, 1));
	hold_up(defer_drop_queue_default(), &gate);
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	thread = spawn(shut_down_default, NULL);
	AWAIT(defer_drop_start(NULL) == -ESHUTDOWN);
	child = fork_bounded();
	if (!child)
		leave_closing();
	await_good(child);
	CHECK(!atomic_load(&ledger->destroyed));
	atomic_store(&gate.is_open, true);
	join_thread(thread);
	CHECK(atomic_load(&ledger->destroyed) == 3);
}

static void run_closing(void)
{
	run_good_child(fork_while_closing, (void *)"at_fork=empty");
	run_good_child(fork_while_closing, (void *)"at_fork=keep");
}

/* The queue is stopped in the child too, with what it keeps, until the child starts it. */
static _Noreturn void leave_stopped(
	struct ledger *ledger, struct defer_drop_queue *queue, bool keeps)
{
	unsigned kept = keeps ? 10 : 0;

	CHECK(count_threads() == 1);
	CHECK(defer_drop_queue_backlog(queue) == kept);
	ANSWERS(keeps ? -EAGAIN : 0, defer_drop_queue_flush(queue, 0));
	ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(queue, 2000000));
	ANSWERS(0, defer_drop_queue_stop(queue, 0));
	CHECK(count_threads() == 1);
	CHECK(defer_drop_queue_backlog(queue) == kept + 1 && !atomic_load(&ledger->destroyed));
	ANSWERS(0, defer_drop_queue_start(queue));
	ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
	CHECK(atomic_load(&ledger->destroyed) == kept + 1);
	exit(0);
}

/* As a process does that forks its workers. */
static void fork_while_stopped(void *at_fork)
{
	struct ledger *ledger = ledger_open();
	bool keeps = *(const uint32_t *)at_fork == DEFER_DROP_AT_FORK_KEEP;
	struct defer_drop_queue *queue =
		make_queue(DEFER_DROP_RUNNER_WORKER, *(const uint32_t *)at_fork, 64, LANES);
	pid_t child;

	ANSWERS(0, defer_drop_queue_push(queue, &open_one, pass_gate, FOREVER));
	ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_stop(queue, FOREVER));
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, ledger_push(ledger, queue));
	CHECK(count_threads() == 1);
	child = fork_bounded();
	if (!child)
		leave_stopped(ledger, queue, keeps);
	await_good(child);
	CHECK(atomic_load(&ledger->destroyed) == (keeps ? 11 : 1));
	end_queue(queue); /* destroys on this thread */
	CHECK(atomic_load(&ledger->destroyed) == (keeps ? 21 : 11));
}

static void run_stopped(void)
{
	for (unsigned i = 0; i < POLICIES; i++)
		run_good_child(fork_while_stopped, (void *)&policies[i]);
}

static void nest_and_pass(void *object)
{
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, ledger_push(waiting.ledger, waiting.queue));
	pass_gate(object);
}

/* A drop that was begun is the parent's, with the nested drops that it has made. */
static void fork_beside_nested(uint32_t at_fork)
{
	struct gate gate = {0};
	pid_t child;

	waiting.ledger = ledger_open();
	waiting.queue = make_queue(DEFER_DROP_RUNNER_WORKER, at_fork, 16, 0);
	ANSWERS(0, defer_drop_queue_push(waiting.queue, &gate, nest_and_pass, FOREVER));
	AWAIT(atomic_load(&gate.is_entered));
	child = fork_bounded();
	if (!child) {
		ANSWERS(0, ledger_push(waiting.ledger, waiting.queue));
		ANSWERS(0, defer_drop_queue_flush(waiting.queue, FOREVER));
		CHECK(atomic_load(&waiting.ledger->destroyed) == 1);
		CHECK(stats_of(waiting.queue).pushed_total == 1);
		raise(SIGKILL); /* past checkers of leaks: the list of the nested ones is lost */
	}
	await_killed(child);
	atomic_store(&gate.is_open, true);
	end_queue(waiting.queue);
	CHECK(atomic_load(&waiting.ledger->destroyed) == 4);
}

static void run_nested(void)
{
	for (unsigned i = 0; i < POLICIES; i++)
		fork_beside_nested(policies[i]);
}

const struct hostile_case hostile_cases[] = {
	{"waiting", "A child has room, whatever its parent's threads were waiting for.",
		run_waiting},
	{"closing", "A queue that was closing at the fork is shut down in the child.", run_closing},
	{"stopped",
		"A queue that is stopped has no thread, nor has it in the child, until it is "
		"started there.",
		run_stopped},
	{"nested", "A child goes on with no nested drop of its parent's.", run_nested},
	{NULL, NULL, NULL},
};
