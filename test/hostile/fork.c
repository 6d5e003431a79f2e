/* SPDX-License-Identifier: MIT
 *
 * Processes that fork wherever they can, and children that do what they like.
 */
#define _GNU_SOURCE
#include "hostile.h"
#include "queue.h"

#include <defer_drop/guard.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOREVER DEFER_DROP_FOREVER

/* AddressSanitizer has a lock that new threads take, and that fork(2) does not know. */
#if defined(__SANITIZE_ADDRESS__)
#define CAN_CHURN 0
#else
#define CAN_CHURN 1
#endif

/* What LeakSanitizer asks: a child has copies of its parent's drops, which are not its to free. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

/* ---- Children -------------------------------------------------------------------------------- */

/* fork(2) from anywhere, also from a destructor; a child that hangs ends by a signal. */
static pid_t fork_bounded(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		alarm(DEADLINE_SECONDS);
	return child;
}

static void await_good(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		CHECK(errno == EINTR);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* A good one too, but one that ended past all handlers. */
static void await_killed(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		CHECK(errno == EINTR);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- Queues, threads, gates ------------------------------------------------------------------ */

static struct defer_drop_queue *make_queue(
	uint32_t runner, uint32_t at_fork, uint32_t queue_size, uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = runner;
	config.at_fork = at_fork;
	config.queue_size = queue_size;
	config.max_lanes = max_lanes;
	config.quiet_spell_ns = 1000000;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	return queue;
}

/* Lanes for threads, as many as there are threads here and more. */
#define LANES 16

#define POLICIES 2
static const uint32_t policies[POLICIES] = {DEFER_DROP_AT_FORK_EMPTY, DEFER_DROP_AT_FORK_KEEP};

static void end_queue(struct defer_drop_queue *queue)
{
	ANSWERS(0, defer_drop_queue_shutdown(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_free(queue));
}

static pthread_t spawn(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run, argument));
	return thread;
}

static void join(pthread_t thread)
{
	CHECK(!pthread_join(thread, NULL));
}

static struct defer_drop_stats stats_of(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	return stats;
}

/* Through which one passes. */
static struct gate open_one = {.is_open = true};

static void hold_up(struct defer_drop_queue *queue, struct gate *gate)
{
	ANSWERS(0, defer_drop_queue_push(queue, gate, pass_gate, FOREVER));
	AWAIT(atomic_load(&gate->is_entered));
}

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

/* Every third one has options, and takes two places. */
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
		join(threads[i]);
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

/* In the child nobody waits, and there is room for as much as ever. */
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
	ANSWERS(0, defer_drop_queue_create(&waiting.queue, &config));
	waiting.ledger = ledger_open();
	waiting.wait = wait;
	atomic_store(&waiting.waits, false);
	hold_up(waiting.queue, &gate);
	thread = spawn(wait_in_thread, NULL);
	AWAIT(atomic_load(&waiting.waits));
	usleep(3000); /* most probably it waits by then; all must hold in any case */
	pending = wait == WAIT_FOR_ROOM ? (max_lanes ? 4 : 3) : wait == WAIT_FOR_BYTES ? 1 : 0;
	child = fork_bounded();
	if (!child)
		leave_waiting(is_kept ? pending : 0);
	await_good(child);
	atomic_store(&gate.is_open, true);
	join(thread);
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
	join(thread);
	CHECK(atomic_load(&ledger->destroyed) == 3);
}

static void run_closing(void)
{
	run_good_child(fork_while_closing, (void *)"at_fork=empty");
	run_good_child(fork_while_closing, (void *)"at_fork=keep");
}

static unsigned threads_of_process(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;

	CHECK(tasks);
	while (readdir(tasks))
		count++;
	closedir(tasks);
	return count - 2; /* . and .. */
}

/* The queue is stopped in the child too, with what it keeps, until the child starts it. */
static _Noreturn void leave_stopped(
	struct ledger *ledger, struct defer_drop_queue *queue, bool keeps)
{
	unsigned kept = keeps ? 10 : 0;

	CHECK(threads_of_process() == 1);
	CHECK(defer_drop_queue_backlog(queue) == kept);
	ANSWERS(keeps ? -EAGAIN : 0, defer_drop_queue_flush(queue, 0));
	ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(queue, 2000000));
	ANSWERS(0, defer_drop_queue_stop(queue, 0));
	CHECK(threads_of_process() == 1);
	CHECK(defer_drop_queue_backlog(queue) == kept + 1 && !atomic_load(&ledger->destroyed));
	ANSWERS(0, defer_drop_queue_start(queue));
	ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
	CHECK(atomic_load(&ledger->destroyed) == kept + 1);
	exit(0);
}

/* As a master does that forks its workers. */
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
	CHECK(threads_of_process() == 1);
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

/* What was begun is the parent's, with the nested drops that it has made. */
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

/* ---- Beside threads that come and go, and queues --------------------------------------------- */

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
		ANSWERS(0, ledger_push(argument, crowd.queue));
	return NULL;
}

static void *push_once(void *argument)
{
	ANSWERS(0, ledger_push(argument, crowd.queue));
	return NULL;
}

static void *make_threads(void *argument)
{
	while (!atomic_load(&is_over))
		join(spawn(push_once, argument));
	return NULL;
}

static void *flush_on(void *argument)
{
	while (!atomic_load(&is_over)) {
		int result;

		ANSWERS(0, ledger_push(argument, crowd.queue));
		result = defer_drop_queue_flush(crowd.queue, 20000);
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
		ANSWERS(0, ledger_push(own, crowd.queue));
		ANSWERS(0, ledger_push(own, queue));
		ANSWERS(0, ledger_push(own, defer_drop_queue_default()));
	}
	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(push_many, own);
	push_many(own);
	for (unsigned i = 0; i < 3; i++)
		join(threads[i]);
	end_queue(queue);
	ANSWERS(0, defer_drop_queue_flush(crowd.queue, FOREVER));
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

	crowd.queue = make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, 16, 3);
	ANSWERS(0,
		defer_drop_queue_push(crowd.queue, &open_one, pass_gate, FOREVER)); /* has a lane */
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
		join(threads[i]);
	end_queue(crowd.queue);
	/* Drops that children kept are counted too. */
	CHECK(atomic_load(&ledgers[0]->destroyed) >= atomic_load(&ledgers[0]->accepted));
	for (unsigned i = 1; i < 4; i++)
		CHECK(atomic_load(&ledgers[i]->destroyed) == atomic_load(&ledgers[i]->accepted));
}

/* ---- Fork from a destructor, a callback, a thread that ends ---------------------------------- */

enum place {
	IN_DESTRUCTOR,
	IN_ERROR,
	IN_WATERMARK,
	PLACES,
};

static struct {
	struct defer_drop_queue *queue;
	struct ledger *ledger; /* each process has its own */
	pthread_t worker;
	unsigned kept; /* in the child */
	bool has_forked;
	pid_t child;
} forking;

static void count_on_worker(void *object)
{
	(void)object;
	CHECK(!forking.has_forked || pthread_equal(pthread_self(), forking.worker));
	ledger_count(forking.ledger);
}

/* A thread of the child, which goes on after the destructor has returned. */
static void *push_ten(void *argument)
{
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, defer_drop_queue_push(forking.queue, NULL, count_on_worker, FOREVER));
	ANSWERS(0, defer_drop_queue_flush(forking.queue, FOREVER));
	CHECK(atomic_load(&forking.ledger->destroyed) == forking.kept + 10);
	exit(0);
	return argument;
}

/* The child returns, and its one thread goes on as the worker. */
static void fork_on_worker(void)
{
	forking.worker = pthread_self();
	forking.has_forked = true;
	forking.child = fork_bounded();
	if (forking.child)
		return;
	forking.ledger = ledger_open();
	spawn(push_ten, NULL);
}

static int fork_among_nested(void *object)
{
	bool fails = object;

	for (unsigned i = 0; i < 2; i++)
		ANSWERS(0, defer_drop_queue_push(forking.queue, NULL, count_on_worker, FOREVER));
	if (!fails)
		fork_on_worker();
	return fails ? -EIO : 0;
}

static void fork_in_error(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	CHECK(failure->status == -EIO);
	fork_on_worker();
}

static void fork_in_watermark(void *context, const struct defer_drop_level *level)
{
	(void)context;
	if (level->is_high && !forking.has_forked)
		fork_on_worker();
}

static void make_forking_queue(enum place place, bool is_kept)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.at_fork = is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;
	config.queue_size = 8; /* just enough */
	config.error = fork_in_error;
	if (place == IN_WATERMARK) {
		config.watermark = fork_in_watermark;
		config.high_drops = 3;
	}
	ANSWERS(0, defer_drop_queue_create(&forking.queue, &config));
	forking.ledger = ledger_open();
	forking.kept = is_kept ? 7 : 0;
	forking.has_forked = false;
}

static void fork_inside(enum place place, bool is_kept)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct gate gate = {0};

	make_forking_queue(place, is_kept);
	hold_up(forking.queue, &gate);
	options.destroy_status = fork_among_nested;
	if (place != IN_WATERMARK)
		ANSWERS(0, defer_drop_queue_push_with(forking.queue,
				   place == IN_ERROR ? &gate : NULL, NULL, FOREVER, &options));
	for (unsigned i = place == IN_WATERMARK ? 0 : 2; i < 7; i++)
		ANSWERS(0, defer_drop_queue_push(forking.queue, NULL, count_on_worker, FOREVER));
	atomic_store(&gate.is_open, true);
	ANSWERS(0, defer_drop_queue_flush(forking.queue, FOREVER));
	CHECK(forking.has_forked);
	await_good(forking.child);
	end_queue(forking.queue);
	CHECK(atomic_load(&forking.ledger->destroyed) == 7);
}

static void run_inside(void)
{
	for (unsigned i = 0; i < 2 * PLACES; i++)
		fork_inside(i / 2, i % 2);
}

static struct {
	struct defer_drop_queue *queue;
	atomic_bool is_at_rest;
} resting;

/* The last look before the worker falls asleep. */
static void fork_at_rest(void *context, const struct defer_drop_level *level)
{
	pid_t child;

	(void)context;
	if (level->is_high)
		return;
	atomic_store(&resting.is_at_rest, true);
	AWAIT(dd_queue_state(resting.queue) == DD_CLOSING);
	child = fork_bounded();
	if (child)
		await_good(child);
}

/* In the child the worker is the only thread, and its end is that of the process. */
static void run_at_rest(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct gate gate = {0};

	config.quiet_spell_ns = 1000000;
	config.high_drops = 3;
	config.watermark_interval_ns = DEADLINE_NS; /* but for the last look */
	config.watermark = fork_at_rest;
	ANSWERS(0, defer_drop_queue_create(&resting.queue, &config));
	hold_up(resting.queue, &gate);
	for (unsigned i = 0; i < 5; i++)
		ANSWERS(0, defer_drop_queue_push(resting.queue, &open_one, pass_gate, FOREVER));
	atomic_store(&gate.is_open, true);
	AWAIT(atomic_load(&resting.is_at_rest));
	end_queue(resting.queue);
}

static void *drain_in_vain(void *argument)
{
	ANSWERS(-EBUSY, defer_drop_queue_drain(argument, 1, FOREVER, NULL));
	return NULL;
}

/* The child is still inside the drain. */
static void fork_and_be_drained(void *queue)
{
	pid_t child = fork_bounded();

	if (child) {
		await_good(child);
		return;
	}
	join(spawn(drain_in_vain, queue));
	exit(0);
}

static void run_draining(void)
{
	for (unsigned i = 0; i < POLICIES; i++) {
		struct defer_drop_queue *queue =
			make_queue(DEFER_DROP_RUNNER_CALLER, policies[i], 16, LANES);

		ANSWERS(0, defer_drop_queue_push(queue, queue, fork_and_be_drained, FOREVER));
		ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
		end_queue(queue);
	}
}

static pthread_key_t last_words;

/* Once the library has taken this thread's lane back. */
static void fork_when_leaving(void *round)
{
	if (round == (void *)1) {
		CHECK(!pthread_setspecific(last_words, (void *)2));
		return;
	}
	forking.child = fork_bounded();
	if (forking.child)
		return;
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, ledger_push(forking.ledger, forking.queue));
	ANSWERS(0, defer_drop_queue_flush(forking.queue, FOREVER));
	CHECK(atomic_load(&forking.ledger->destroyed) == forking.kept + 3);
	exit(0);
}

static void *push_and_leave(void *argument)
{
	CHECK(!pthread_setspecific(last_words, (void *)1));
	for (unsigned i = 0; i < 7; i++)
		ANSWERS(0, ledger_push(argument, forking.queue));
	return NULL;
}

static void run_leaving(void)
{
	CHECK(!pthread_key_create(&last_words, fork_when_leaving));
	for (unsigned i = 0; i < 2; i++) {
		struct gate gate = {0};

		make_forking_queue(IN_DESTRUCTOR, i);
		hold_up(forking.queue, &gate);
		join(spawn(push_and_leave, forking.ledger));
		await_good(forking.child);
		atomic_store(&gate.is_open, true);
		end_queue(forking.queue);
		CHECK(atomic_load(&forking.ledger->destroyed) == forking.kept + 10);
	}
}

/* In a child. This thread may well have the number that the parent's worker has. */
static void *fork_again(void *argument)
{
	struct ledger *ledger = argument;
	pid_t child = fork_bounded();

	if (child) {
		await_good(child);
		return NULL;
	}
	ANSWERS(0, ledger_push(ledger, crowd.queue));
	AWAIT(atomic_load(&ledger->destroyed) == 2); /* and nobody flushes */
	exit(0);
}

static void fork_beside_thread(uint32_t at_fork)
{
	struct ledger *ledger = ledger_open();
	pid_t child;

	crowd.queue = make_queue(DEFER_DROP_RUNNER_WORKER, at_fork, 16, LANES);
	ANSWERS(0, ledger_push(ledger, crowd.queue));
	ANSWERS(0, defer_drop_queue_flush(crowd.queue, FOREVER));
	child = fork_bounded();
	if (!child) {
		join(spawn(fork_again, ledger));
		_exit(0);
	}
	await_good(child);
	end_queue(crowd.queue);
}

static void run_thread_of_child(void)
{
	for (unsigned i = 0; i < POLICIES; i++)
		fork_beside_thread(policies[i]);
}

/* ---- Guards ---------------------------------------------------------------------------------- */

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
		join(thread);
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
	join(spawn(drop_guarded, NULL));
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
	join(thread);
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

/* ---- What a child is told, and is not -------------------------------------------------------- */

static int fail_and_nest(void *queue)
{
	ANSWERS(0, defer_drop_queue_push(queue, &open_one, pass_gate, FOREVER));
	return -EIO;
}

static void ignore(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	(void)failure;
}

/* Of everything that is counted, the parent has some. */
static struct defer_drop_queue *make_history(bool is_closed, uint32_t at_fork)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = is_closed ? DEFER_DROP_RUNNER_CALLER : DEFER_DROP_RUNNER_WORKER;
	config.at_fork = at_fork;
	config.quiet_spell_ns = 1000000;
	config.queue_size = 16;
	config.error = ignore;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
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
		stats = stats_of(queue);
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

/* The child destroys its copy; that is nobody's business but its own. */
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

static char *const itself[] = {(char *)"hostile_fork", (char *)"executed", NULL};

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

static void *push_on(void *argument)
{
	while (!atomic_load(&is_over))
		ANSWERS(0, ledger_push(argument, crowd.queue));
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
	crowd.queue = make_queue(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, 16, LANES);
	for (unsigned i = 0; i < 2; i++)
		threads[i] = spawn(push_on, ledger);
	hold_up(crowd.queue, &gate);
	watch_drop(crowd.queue, ledger, event);
	for (unsigned way = 0; way < 6; way++) {
		if (way == 3)
			atomic_store(&gate.is_open, true);
		await_good(execute(way % 3));
	}
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 2; i++)
		join(threads[i]);
	end_queue(crowd.queue);
	CHECK(atomic_load(&ledger->destroyed) == atomic_load(&ledger->accepted) + 1);
	close(event);
}

/* ---- The child of a process that exits ------------------------------------------------------- */

/* A drop of the first queue that exit deals with; the default one has not had its turn. */
static void fork_in_exit(void *object)
{
	struct ledger *ledger = object;
	struct defer_drop_queue *made;
	struct defer_drop_stats stats;
	pid_t child;
	int result;

	ANSWERS(0, defer_drop_queue_push(crowd.queue, &open_one, pass_gate, FOREVER));
	child = fork_bounded();
	if (child) {
		await_good(child);
		return;
	}
	stats = stats_of(crowd.queue);
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

	crowd.queue = make_queue(by_worker ? DEFER_DROP_RUNNER_WORKER : DEFER_DROP_RUNNER_CALLER,
		DEFER_DROP_AT_FORK_KEEP, 16, LANES);
	first = make_queue(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_EMPTY, 16, LANES);
	ANSWERS(0, ledger_push(crowd.ledger, defer_drop_queue_default()));
	if (by_worker)
		hold_up(crowd.queue, &gate);
	ANSWERS(0, defer_drop_queue_push(crowd.queue, crowd.ledger, fork_in_exit, FOREVER));
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, defer_drop_queue_push(crowd.queue, &open_one, pass_gate, FOREVER));
	ANSWERS(0, defer_drop_queue_push(first, &gate, open_gate, FOREVER));
	exit(0);
}

static void run_exiting(void)
{
	for (uintptr_t by_worker = 0; by_worker < 2; by_worker++) {
		crowd.ledger = ledger_open();
		run_good_child(exit_with_fork, (void *)by_worker);
		CHECK(atomic_load(&crowd.ledger->destroyed) ==
			atomic_load(&crowd.ledger->accepted));
	}
}

const struct hostile_case hostile_cases[] = {
	{"crowd",
		"Every thread may fork beside the others; order and number of drops hold in all "
		"processes, whatever the child keeps.",
		run_crowds},
	{"at_once", "A child that leaves at once destroys what it keeps, and by _exit nothing.",
		run_at_once},
	{"generations", "Each generation destroys its own copies of what was pending.",
		run_generations},
	{"waiting", "A child has room, whatever its parent's threads were waiting for.",
		run_waiting},
	{"closing", "A queue that was closing at the fork is shut down in the child.", run_closing},
	{"stopped",
		"A queue that is stopped has no thread, nor has it in the child, until it is "
		"started there.",
		run_stopped},
	{"nested", "A child goes on with no nested drop of its parent's.", run_nested},
	{"churn", "A fork beside queues and threads that come and go leaves no lock held.",
		run_churn},
	{"inside", "A child that returns from where it forked goes on as the only worker.",
		run_inside},
	{"at_rest",
		"A worker that forks before it falls asleep ends in the child of a queue that "
		"closes.",
		run_at_rest},
	{"draining", "In the child of a drain nobody else may drain.", run_draining},
	{"leaving", "A thread may fork when its lane has been taken back.", run_leaving},
	{"thread_of_child", "No thread of a child is taken for a worker of its parent's.",
		run_thread_of_child},
	{"history", "All that is counted begins at the fork.", run_history},
	{"guards", "No guard is the child's but one whose destructor forked in its own thread.",
		run_guards},
	{"ticket", "A child neither signals nor holds the eventfds of its parent's tickets.",
		run_ticket},
	{"programs", "Other programs may be run in every way, and inherit no descriptor.",
		run_programs},
	{"executed", "A program that was executed has a library of its own.", be_executed},
	{"exiting", "What a child of an exiting process pushes is destroyed or refused.",
		run_exiting},
	{NULL, NULL, NULL},
};
