/* SPDX-License-Identifier: MIT
 *
 * Forks from every thread beside the others; the number and the order of drops hold in every
 * process.
 */
#include "forking.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Drops that are numbered by their producer ----------------------------------------------- */

#define PRODUCERS 4

/*
 * In memory of the process: a child has what its parent knew at the fork. The worker may have been
 * in the middle of one drop then, which the child does not see again.
 */
static struct {
	_Atomic(uintptr_t) accepted;
	_Atomic(uintptr_t) destroyed;
} book[PRODUCERS];
static atomic_int may_miss;

static void note(void *object)
{
	uintptr_t number = (uintptr_t)object / PRODUCERS;
	unsigned producer = (uintptr_t)object % PRODUCERS;

	if (number == atomic_load(&book[producer].destroyed) + 1)
		CHECK(atomic_fetch_sub(&may_miss, 1) > 0);
	else
		CHECK(number == atomic_load(&book[producer].destroyed));
	atomic_store(&book[producer].destroyed, number + 1);
}

static int note_status(void *object)
{
	note(object);
	return 0;
}

/* Every third one has options, and takes two slots. */
static void push_numbered(struct defer_drop_queue *queue, unsigned producer)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	uintptr_t number = atomic_load(&book[producer].accepted);
	void *object = (void *)(number * PRODUCERS + producer);

	options.bytes = 100;
	options.destroy_status = note_status;
	if (number % 3)
		ANSWERS(0, defer_drop_queue_push(queue, object, note, FOREVER));
	else
		ANSWERS(0, defer_drop_queue_push_with(queue, object, NULL, FOREVER, &options));
	atomic_store(&book[producer].accepted, number + 1);
}

/* In a child: what it does not keep was its parent's. */
static void forget_book(void)
{
	for (unsigned i = 0; i < PRODUCERS; i++)
		atomic_store(&book[i].destroyed, atomic_load(&book[i].accepted));
}

/* ---- Fork from every thread, beside the others ----------------------------------------------- */

static struct {
	struct defer_drop_queue *queue;
	struct ledger *ledger;
	bool is_kept;
} crowd;

/* The calling thread goes on as the only producer; the others may have been inside a push. */
static _Noreturn void leave_crowd(unsigned self, bool is_flushed)
{
	struct defer_drop_stats stats;

	if (crowd.is_kept)
		atomic_store(&may_miss, 1);
	else
		forget_book();
	for (unsigned i = 0; i < 50; i++)
		push_numbered(crowd.queue, self);
	if (!is_flushed)
		exit(0); /* drains; a child that was wrong about it fails in note */
	ANSWERS(0, defer_drop_queue_flush(crowd.queue, FOREVER));
	for (unsigned i = 0; i < PRODUCERS; i++) {
		uintptr_t accepted = atomic_load(&book[i].accepted);
		uintptr_t destroyed = atomic_load(&book[i].destroyed);

		/* A push that had published had not counted yet; one that was being destroyed
		 * may have been the last of its producer. */
		CHECK(destroyed == accepted || destroyed == accepted + 1 ||
			(destroyed + 1 == accepted && atomic_fetch_sub(&may_miss, 1) > 0));
		CHECK(i != self || destroyed == accepted);
	}
	stats = stats_of(crowd.queue);
	CHECK(stats.pushed_total == stats.destroyed_total && !stats.backlog);
	CHECK(!stats.backlog_bytes && !stats.abandoned_total);
	_exit(0);
}

static void *push_and_fork(void *argument)
{
	unsigned self = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < 6; i++) {
		pid_t child;

		for (unsigned j = 0; j < 200; j++)
			push_numbered(crowd.queue, self);
		child = fork_bounded();
		if (!child)
			leave_crowd(self, (self + i) % 3);
		for (unsigned j = 0; j < 20; j++)
			push_numbered(crowd.queue, self);
		await_good(child);
	}
	return NULL;
}

static void run_crowd(bool is_kept, uint32_t max_lanes)
{
	pthread_t threads[PRODUCERS];

	memset(book, 0, sizeof book);
	crowd.is_kept = is_kept;
	crowd.queue = make_queue(DEFER_DROP_RUNNER_WORKER,
		is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY, 16, max_lanes);
	for (uintptr_t i = 1; i < PRODUCERS; i++)
		threads[i] = spawn(push_and_fork, (void *)i);
	push_and_fork(NULL);
	for (uintptr_t i = 1; i < PRODUCERS; i++)
		join_thread(threads[i]);
	end_queue(crowd.queue);
	for (unsigned i = 0; i < PRODUCERS; i++)
		CHECK(book[i].destroyed == book[i].accepted);
}

static void run_crowds(void)
{
	const uint32_t lanes[] = {LANES, 2, 0};

	for (unsigned i = 0; i < 6; i++)
		run_crowd(i % 2, lanes[i / 2]);
}

/* ---- What a child does with what is pending -------------------------------------------------- */

/* The default queue, set up by the environment; its worker stands in a gate. */
static void leave_at_once(const char *options, bool by_exit, unsigned kept)
{
	struct ledger *ledger = ledger_open();
	struct gate gate = {0};
	pid_t child;

	CHECK(!setenv("DEFER_DROP_OPTIONS", options, 1));
	hold_up(defer_drop_queue_default(), &gate);
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	child = fork_bounded();
	if (!child && by_exit)
		exit(0);
	if (!child)
		_exit(0);
	await_good(child);
	CHECK(atomic_load(&ledger->destroyed) == kept);
	atomic_store(&gate.is_open, true);
	ANSWERS(0, defer_drop_flush());
	CHECK(atomic_load(&ledger->destroyed) == kept + 10);
}

static void leave_way(void *argument)
{
	switch ((uintptr_t)argument) {
	case 0:
		leave_at_once("", true, 0);
		break;
	case 1:
		leave_at_once("at_fork=empty", false, 0);
		break;
	case 2:
		leave_at_once("at_fork=keep", true, 10);
		break;
	case 3:
		leave_at_once("at_fork=keep", false, 0);
		break;
	case 4:
		leave_at_once("at_fork=keep,exit_timeout_ns=0", true, 0);
	}
}

static void run_at_once(void)
{
	for (uintptr_t way = 0; way < 5; way++)
		run_good_child(leave_way, (void *)way);
}

/* In a child whose worker has not begun: the next one has the copies of all before it. */
static _Noreturn void be_generation(
	struct defer_drop_queue *queue, struct ledger *ledger, unsigned left)
{
	pid_t child = 0;

	while (left && !child) {
		child = fork_bounded();
		left--;
	}
	ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
	if (child)
		await_good(child);
	exit(0);
}

static void run_generations(void)
{
	struct ledger *ledger = ledger_open();
	struct defer_drop_queue *queue =
		make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, 64, LANES);
	struct gate gate = {0};
	pid_t child;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, ledger_push(ledger, queue));
	child = fork_bounded();
	if (!child)
		be_generation(queue, ledger, 2);
	await_good(child);
	CHECK(atomic_load(&ledger->destroyed) == 33);
	atomic_store(&gate.is_open, true);
	end_queue(queue);
	CHECK(atomic_load(&ledger->destroyed) == 43);
}

const struct hostile_case hostile_cases[] = {
	{"crowd",
		"Every thread may fork beside the others; order and number of drops hold in all "
		"processes, whatever the child keeps.",
		run_crowds},
	{"at_once", "A child that leaves at once destroys what it keeps, and by _exit nothing.",
		run_at_once},
	{"generations", "Each generation destroys its own copies of the drops that were pending.",
		run_generations},
	{NULL, NULL, NULL},
};
