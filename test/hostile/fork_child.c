/* SPDX-License-Identifier: MIT
 *
 * What a child learns of its parent's drops, and which programs it may execute.
 */
#include "forking.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- What a child is told, and is not -------------------------------------------------------- */

static int fail_and_nest(void *queue)
{
	ANSWERS(0, defer_drop_queue_push(queue, &open_one, pass_gate, FOREVER));
	return -EIO;
}

/* The parent has a count of everything that is counted. */
static struct defer_drop_queue *make_history(bool is_closed, uint32_t at_fork)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = is_closed ? DEFER_DROP_RUNNER_CALLER : DEFER_DROP_RUNNER_WORKER;
	config.at_fork = at_fork;
	config.quiet_spell_ns = 1000000;
	config.queue_size = 16;
	config.error = ignore_failure;
	queue = create_queue(&config);
	options.destroy_status = fail_and_nest;
	options.bytes = 1;
	for (unsigned i = 0; i < 5; i++)
		ANSWERS(0, defer_drop_queue_push_with(queue, queue, NULL, FOREVER, &options));
	if (is_closed) {
		ANSWERS(0, defer_drop_queue_drain(queue, 2, FOREVER, NULL));
		ANSWERS(0, defer_drop_queue_shutdown(queue, 0));
	} else {
		ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
		AWAIT(stats_of(queue).deep_sleeps_total);
		ANSWERS(0, defer_drop_queue_push(queue, &open_one, pass_gate, FOREVER));
		ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
		AWAIT(stats_of(queue).deep_sleeps_total > 1);
	}
	return queue;
}

static void fork_with_history(bool is_closed, uint32_t at_fork)
{
	struct defer_drop_queue *queue = make_history(is_closed, at_fork);
	struct defer_drop_stats stats = stats_of(queue);
	struct defer_drop_stats none = DEFER_DROP_STATS_INIT;
	pid_t child;

	CHECK(stats.nested_total && stats.failed_total && stats.highest_backlog);
	CHECK(is_closed ? stats.abandoned_total : stats.naps_total && stats.wakes_total);
	child = fork_bounded();
	if (!child) {
		none.lanes = stats.lanes;
		none.mapped_bytes = stats.mapped_bytes;
		stats = stats_of(queue);
		/* Padding is the initializer's, here and in the library. */
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		CHECK(!memcmp(&stats, &none, sizeof none));
		/* Past checkers of leaks: what the parent's worker had for nested drops is lost. */
		raise(SIGKILL);
	}
	await_killed(child);
	if (!is_closed)
		ANSWERS(0, defer_drop_queue_shutdown(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_free(queue));
}

static void run_history(void)
{
	for (unsigned i = 0; i < POLICIES; i++) {
		fork_with_history(false, policies[i]);
		fork_with_history(true, policies[i]);
	}
}

static unsigned count_descriptors(void)
{
	unsigned count = 0;

	for (int i = 0; i < 1024; i++)
		count += fcntl(i, F_GETFD) >= 0;
	return count;
}

static struct defer_drop_ticket watch_drop(
	struct defer_drop_queue *queue, struct ledger *ledger, int event)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;

	options.ticket = &ticket;
	ANSWERS(0, defer_drop_queue_push_with(queue, ledger, ledger_count, FOREVER, &options));
	ANSWERS(0, defer_drop_ticket_notify(&ticket, event));
	return ticket;
}

/* The child destroys its copy of a drop; the ticket of the parent does not change. */
static void run_ticket(void)
{
	struct defer_drop_queue *queue =
		make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, 16, LANES);
	struct ledger *ledger = ledger_open();
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct defer_drop_ticket ticket;
	struct gate gate = {0};
	eventfd_t value;
	unsigned before;
	pid_t child;

	hold_up(queue, &gate);
	ticket = watch_drop(queue, ledger, event);
	before = count_descriptors();
	child = fork_bounded();
	if (!child) {
		CHECK(count_descriptors() == before - 1);
		ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
		ANSWERS(-ESTALE, defer_drop_ticket_wait(&ticket, 0));
		ANSWERS(-ESTALE, defer_drop_ticket_wait(&ticket, FOREVER));
		ANSWERS(-ESTALE, defer_drop_ticket_notify(&ticket, event));
		exit(0);
	}
	await_good(child);
	CHECK(atomic_load(&ledger->destroyed) == 1);
	CHECK(eventfd_read(event, &value) && errno == EAGAIN);
	ANSWERS(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
	atomic_store(&gate.is_open, true);
	end_queue(queue);
	CHECK(!eventfd_read(event, &value) && value == 1);
	close(event);
}

/* ---- Other programs -------------------------------------------------------------------------- */

#define EXPECTED "HOSTILE_DESCRIPTORS"

/* What the cases below execute. */
static void be_executed(void)
{
	const char *expected = getenv(EXPECTED);
	struct ledger *ledger = ledger_open();

	CHECK(!expected || count_descriptors() == (unsigned)atoi(expected));
	for (unsigned i = 0; i < 1000; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_flush());
	CHECK(atomic_load(&ledger->destroyed) == 1000);
}

static char *const itself[] = {(char *)"hostile_fork_child", (char *)"executed", NULL};

static pid_t execute(unsigned way)
{
	pid_t child;

	if (way == 0) {
		CHECK(!posix_spawn(&child, program_invocation_name, NULL, NULL, itself, environ));
		return child;
	}
	child = way == 1 ? vfork() : fork();
	if (!child) {
		execv(program_invocation_name, itself);
		_exit(127);
	}
	return child;
}

static struct defer_drop_queue *executing;
static atomic_bool is_over;

static void *push_on(void *argument)
{
	while (!atomic_load(&is_over))
		ANSWERS(0, ledger_push(argument, executing));
	return NULL;
}

static void run_programs(void)
{
	struct ledger *ledger = ledger_open();
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct gate gate = {0};
	pthread_t threads[2];
	char expected[16];

	snprintf(expected, sizeof expected, "%u", count_descriptors() - 1);
	CHECK(!setenv(EXPECTED, expected, 1));
	executing = make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, 16, LANES);
	for (unsigned i = 0; i < 2; i++)
		threads[i] = spawn(push_on, ledger);
	hold_up(executing, &gate);
	watch_drop(executing, ledger, event);
	for (unsigned way = 0; way < 6; way++) {
		if (way == 3)
			atomic_store(&gate.is_open, true);
		await_good(execute(way % 3));
	}
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 2; i++)
		join_thread(threads[i]);
	end_queue(executing);
	CHECK(atomic_load(&ledger->destroyed) == atomic_load(&ledger->accepted) + 1);
	close(event);
}

const struct hostile_case hostile_cases[] = {
	{"history", "All that is counted begins at the fork.", run_history},
	{"ticket", "A child neither signals nor holds the eventfds of its parent's tickets.",
		run_ticket},
	{"programs", "Other programs may be run in every way, and inherit no descriptor.",
		run_programs},
	{"executed", "A program that was executed has a library of its own.", be_executed},
	{NULL, NULL, NULL},
};
