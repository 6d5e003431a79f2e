/* SPDX-License-Identifier: MIT
 *
 * Times: the shortest and the longest, clocks that jump, and waits that are interrupted.
 *
 * What the library asks of clocks and futexes passes through here (the linker's --wrap). Calls that
 * go by other clocks are wrapped too (test/meson.build) and stand nowhere: a library that makes one
 * does not link.
 */
#include <defer_drop/guard.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

#define FOREVER DEFER_DROP_FOREVER
#define LONGEST DEFER_DROP_TIMEOUT_MAX

/* ---- What the library asks of clocks --------------------------------------------------------- */

static atomic_uint looks_total;
static atomic_uint deadlines_total;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	CHECK(clock == CLOCK_MONOTONIC);
	atomic_fetch_add(&looks_total, 1);
	return __real_clock_gettime(clock, now);
}

static void check_futex(long operation, long deadline)
{
	if (operation == FUTEX_WAKE_PRIVATE)
		return;
	/* With FUTEX_CLOCK_REALTIME beside it, the deadline would be one of a clock that jumps. */
	CHECK(operation == FUTEX_WAIT_BITSET_PRIVATE);
	if (deadline)
		atomic_fetch_add(&deadlines_total, 1);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	va_list arguments;
	long at[6];

	va_start(arguments, number);
	for (unsigned i = 0; i < 6; i++)
		at[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_futex)
		check_futex(at[1], at[3]);
	else if (number == SYS_tgkill)
		CHECK(!at[2]); /* only asks whether the thread exists */
	else
		CHECK(number == SYS_membarrier || number == SYS_sched_getscheduler ||
			number == SYS_sched_setscheduler);
	return __real_syscall(number, at[0], at[1], at[2], at[3], at[4], at[5]);
}

/* ---- A queue in which everything has to wait ------------------------------------------------- */

static struct ledger *ledger;
static sem_t entered;
static sem_t opened;
static struct defer_drop_ticket held;
static struct defer_drop_completion held_too;

static void stand_in_gate(void *object)
{
	ledger_count(object);
	sem_post(&entered);
	while (sem_wait(&opened))
		;
}

/* Another's executor: what the guard in the gate dropped. */
static struct defer_drop_guard held_guard;
static _Atomic(defer_drop_fn) held_run;

static int hold(const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	CHECK(object == &held_guard);
	atomic_store(&held_run, destroy);
	return 0;
}

static const struct defer_drop_strategy holding = {DEFER_DROP_STRATEGY_VERSION, hold, NULL};

static void start(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	ledger = ledger_open();
	sem_init(&entered, 0, 0);
	sem_init(&opened, 0, 0);
	config.queue_size = 4;
	config.max_bytes = 10;
	ANSWERS(0, defer_drop_start(&config));
}

/* The worker stands in a gate, the ring is full, and so is the byte budget. */
static void shut_gate(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_options to_be_named = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_guard armed = DEFER_DROP_GUARD_INIT(ledger, ledger_count, &holding);
	struct defer_drop_guard *const guards = &held_guard;

	held_guard = armed;
	held_too = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	options.completion = &held_too;
	options.bytes = 10;
	to_be_named.ticket = &held;
	ANSWERS(0, defer_drop(ledger, stand_in_gate));
	while (sem_wait(&entered))
		;
	ANSWERS(0, defer_drop_with(ledger, ledger_count, FOREVER, &options));
	ANSWERS(0, defer_drop_with(ledger, ledger_count, FOREVER, &to_be_named));
	ANSWERS(-EAGAIN, defer_drop_guard_await(&guards, 1, 0));
	atomic_fetch_add(&ledger->accepted, 4);
}

/* By any thread. */
static void open_gate(void)
{
	sem_post(&opened);
	atomic_load (&held_run)(&held_guard);
}

/* By the thread that shut it, when no thread waits any more. */
static void settle(void)
{
	struct defer_drop_guard *const guards = &held_guard;

	ANSWERS(0, defer_drop_flush());
	ANSWERS(0, defer_drop_completion_wait(&held_too, FOREVER, NULL));
	ANSWERS(0, defer_drop_guard_await(&guards, 1, FOREVER));
	CHECK(atomic_load(&ledger->accepted) == atomic_load(&ledger->destroyed));
}

/* ---- Each call that takes a timeout ---------------------------------------------------------- */

static int count_pushed(int result)
{
	if (!result)
		atomic_fetch_add(&ledger->accepted, 1);
	return result;
}

static int push_short(uint64_t timeout_ns)
{
	return count_pushed(defer_drop_timed(ledger, ledger_count, timeout_ns));
}

static int push_short_with(uint64_t timeout_ns)
{
	return count_pushed(defer_drop_with(ledger, ledger_count, timeout_ns, NULL));
}

static int push_to_queue(uint64_t timeout_ns)
{
	return count_pushed(defer_drop_queue_push(
		defer_drop_queue_default(), ledger, ledger_count, timeout_ns));
}

static int push_ticket(uint64_t timeout_ns)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;

	options.ticket = &ticket;
	return count_pushed(defer_drop_queue_push_with(
		defer_drop_queue_default(), ledger, ledger_count, timeout_ns, &options));
}

static int push_many(uint64_t timeout_ns)
{
	void *const object = ledger;
	size_t pushed = 7;
	int result = defer_drop_queue_push_many(
		defer_drop_queue_default(), &object, 1, ledger_count, timeout_ns, NULL, &pushed);

	CHECK(pushed == !result);
	return count_pushed(result);
}

static int push_bytes(uint64_t timeout_ns)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 1;
	return count_pushed(defer_drop_queue_push_with(
		defer_drop_queue_default(), ledger, ledger_count, timeout_ns, &options));
}

/* A strategy that cannot be set up drops nothing. */
static int push_by_strategy(uint64_t timeout_ns)
{
	struct defer_drop_strategy_queue strategy;
	int error =
		defer_drop_strategy_queue_init(&strategy, defer_drop_queue_default(), timeout_ns);

	if (error)
		return error;
	return count_pushed(defer_drop_by(&strategy.strategy, ledger, ledger_count));
}

static int wait_ticket(uint64_t timeout_ns)
{
	return defer_drop_ticket_wait(&held, timeout_ns);
}

static int wait_completion(uint64_t timeout_ns)
{
	return defer_drop_completion_wait(&held_too, timeout_ns, NULL);
}

static int wait_backlog(uint64_t timeout_ns)
{
	return defer_drop_queue_wait_backlog(defer_drop_queue_default(), 0, 0, timeout_ns);
}

static int flush_queue(uint64_t timeout_ns)
{
	return defer_drop_queue_flush(defer_drop_queue_default(), timeout_ns);
}

static int wait_by_strategy(uint64_t timeout_ns)
{
	return defer_drop_strategy_worker.wait(&defer_drop_strategy_worker, timeout_ns);
}

static int wait_guard(uint64_t timeout_ns)
{
	struct defer_drop_guard *const guards = &held_guard;

	return defer_drop_guard_await(&guards, 1, timeout_ns);
}

static const struct timed {
	const char *name;
	int (*call)(uint64_t timeout_ns);
} all_timed[] = {
	{"defer_drop_timed", push_short},
	{"defer_drop_with", push_short_with},
	{"defer_drop_queue_push", push_to_queue},
	{"defer_drop_queue_push_with, a ticket", push_ticket},
	{"defer_drop_queue_push_many", push_many},
	{"defer_drop_queue_push_with, for bytes", push_bytes},
	{"defer_drop_strategy_queue, drop", push_by_strategy},
	{"defer_drop_strategy_worker, wait", wait_by_strategy},
	{"defer_drop_ticket_wait", wait_ticket},
	{"defer_drop_completion_wait", wait_completion},
	{"defer_drop_queue_wait_backlog", wait_backlog},
	{"defer_drop_flush_timed", defer_drop_flush_timed},
	{"defer_drop_queue_flush", flush_queue},
	{"defer_drop_guard_await", wait_guard},
};

#define TIMED (sizeof all_timed / sizeof all_timed[0])

/* Checks that the call returns this, and not before its deadline. */
static void expect(const struct timed *timed, uint64_t timeout_ns, int want)
{
	uint64_t since_ns = now_ns();
	int got = timed->call(timeout_ns);

	if (got != want)
		fail_answer(__FILE__, __LINE__, timed->name, got);
	if (got == -ETIMEDOUT && now_ns() - since_ns < timeout_ns)
		fail(__FILE__, __LINE__, timed->name);
}

static void *open_later(void *unused)
{
	(void)unused;
	rest_a_bit();
	open_gate();
	return NULL;
}

/* It waits until the gate is opened. */
static void expect_patience(const struct timed *timed, uint64_t timeout_ns)
{
	pthread_t opener;

	shut_gate();
	CHECK(!pthread_create(&opener, NULL, open_later, NULL));
	expect(timed, timeout_ns, 0);
	CHECK(!pthread_join(opener, NULL));
	settle();
}

/* Checks that a call that need not wait takes any timeout. */
static void expect_at_once(const struct timed *timed, uint64_t timeout_ns)
{
	expect(timed, timeout_ns, 0);
	settle();
}

static void try_timeouts(void)
{
	start();
	for (size_t i = 0; i < TIMED; i++) {
		shut_gate();
		expect(&all_timed[i], 0, -EAGAIN);
		expect(&all_timed[i], 1, -ETIMEDOUT);
		expect(&all_timed[i], 2000000, -ETIMEDOUT);
		expect(&all_timed[i], LONGEST + 1, -EOVERFLOW);
		expect(&all_timed[i], FOREVER - 1, -EOVERFLOW);
		open_gate();
		settle();
		expect_patience(&all_timed[i], LONGEST);
		expect_patience(&all_timed[i], FOREVER);
		expect_at_once(&all_timed[i], 0);
		expect_at_once(&all_timed[i], 1);
		expect_at_once(&all_timed[i], LONGEST);
	}
	CHECK(atomic_load(&looks_total) && atomic_load(&deadlines_total));
}

/* ---- A queue that is stopped ----------------------------------------------------------------- */

static int stop(uint64_t timeout_ns)
{
	return defer_drop_queue_stop(defer_drop_queue_default(), timeout_ns);
}

static const struct timed stopping = {"defer_drop_queue_stop", stop};

/* The queue stops once the gate is open. A queue that is stopped has no thread to wait for, and
 * destroys nothing. */
static void expect_patience_of_stop(uint64_t timeout_ns)
{
	pthread_t opener;
	uint64_t backlog;

	shut_gate();
	CHECK(!pthread_create(&opener, NULL, open_later, NULL));
	expect(&stopping, timeout_ns, 0);
	CHECK(!pthread_join(opener, NULL));
	expect(&stopping, 0, 0);
	expect(&stopping, LONGEST, 0);
	backlog = defer_drop_queue_backlog(defer_drop_queue_default());
	ANSWERS(backlog ? -ETIMEDOUT : 0, defer_drop_flush_timed(2000000));
	ANSWERS(backlog ? -EAGAIN : 0, defer_drop_flush_timed(0));
	CHECK(defer_drop_queue_backlog(defer_drop_queue_default()) == backlog);
	ANSWERS(0, defer_drop_queue_start(defer_drop_queue_default()));
	settle();
}

/* A stop waits for the destructor in the gate, and nothing is lost if it waits in vain. */
static void try_stops(void)
{
	start();
	shut_gate();
	expect(&stopping, 0, -EAGAIN);
	expect(&stopping, 1, -ETIMEDOUT);
	expect(&stopping, 2000000, -ETIMEDOUT);
	expect(&stopping, LONGEST + 1, -EOVERFLOW);
	expect(&stopping, FOREVER - 1, -EOVERFLOW);
	open_gate();
	settle();
	expect_patience_of_stop(LONGEST);
	expect_patience_of_stop(FOREVER);
}

/* ---- Where the caller drains ----------------------------------------------------------------- */

static void try_budgets(void)
{
	struct defer_drop_queue *queue;
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	uint64_t destroyed = 7;

	ledger = ledger_open();
	config.runner = DEFER_DROP_RUNNER_CALLER;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(-EOVERFLOW, defer_drop_queue_drain(queue, 1, LONGEST + 1, &destroyed));
	ANSWERS(0, defer_drop_queue_drain(queue, 1, 0, &destroyed));
	CHECK(!destroyed && defer_drop_queue_backlog(queue) == 3);
	ANSWERS(-EAGAIN, defer_drop_queue_flush(queue, 0));
	CHECK(!ledger->destroyed);
	ANSWERS(0, defer_drop_queue_drain(queue, 1, LONGEST, &destroyed));
	CHECK(destroyed == 1 && defer_drop_queue_backlog(queue) == 2);
	ANSWERS(0, defer_drop_queue_drain(queue, 1, FOREVER, &destroyed));
	CHECK(destroyed == 1 && defer_drop_queue_backlog(queue) == 1);
	ANSWERS(0, defer_drop_queue_flush(queue, LONGEST));
	end_queue(queue);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* One drop is pending: what becomes of it. */
static void try_shutdown(uint64_t timeout_ns, bool is_destroyed)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct defer_drop_queue *queue;

	ledger = ledger_open();
	config.runner = DEFER_DROP_RUNNER_CALLER;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	ANSWERS(-EOVERFLOW, defer_drop_queue_shutdown(queue, LONGEST + 1));
	ANSWERS(-EOVERFLOW, defer_drop_queue_shutdown(queue, FOREVER - 1));
	ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(is_destroyed || !timeout_ns ? 0 : -ETIMEDOUT,
		defer_drop_queue_shutdown(queue, timeout_ns));
	ANSWERS(0, defer_drop_queue_shutdown(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	CHECK(stats.destroyed_total == is_destroyed && stats.abandoned_total == !is_destroyed);
	CHECK(ledger->destroyed == is_destroyed);
	ANSWERS(0, defer_drop_queue_free(queue));
}

/* The time that a destructor has to return once the deadline has come. */
#define PATIENCE_NS UINT64_C(100000000)

/* A destructor stands in the gate: the queue is given up, not before its deadline. */
static void try_to_give_up(uint64_t timeout_ns)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct defer_drop_queue *queue;
	uint64_t since_ns;

	ledger = ledger_open();
	sem_init(&entered, 0, 0);
	sem_init(&opened, 0, 0);
	ANSWERS(0, defer_drop_queue_create(&queue, NULL));
	ANSWERS(0, defer_drop_queue_push(queue, ledger, stand_in_gate, FOREVER));
	ANSWERS(0, ledger_push(ledger, queue));
	while (sem_wait(&entered))
		;
	since_ns = now_ns();
	ANSWERS(-ECANCELED, defer_drop_queue_shutdown(queue, timeout_ns));
	CHECK(now_ns() - since_ns >= timeout_ns + PATIENCE_NS);
	ANSWERS(-ECANCELED, defer_drop_queue_shutdown(queue, timeout_ns));
	ANSWERS(-ECANCELED, defer_drop_queue_flush(queue, FOREVER));
	ANSWERS(-EBUSY, defer_drop_queue_free(queue));
	sem_post(&opened);
	ANSWERS(0, defer_drop_queue_shutdown(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	CHECK(stats.destroyed_total == 1 && stats.abandoned_total == 1);
	ANSWERS(-ESHUTDOWN, defer_drop_queue_flush(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_free(queue));
}

static void try_shutdowns(void)
{
	try_shutdown(0, false);
	try_shutdown(1, false);
	try_shutdown(LONGEST, true);
	try_shutdown(FOREVER, true);
	try_to_give_up(0);
	try_to_give_up(1);
	try_to_give_up(2000000);
}

/* ---- Interruptions --------------------------------------------------------------------------- */

static atomic_uint signals_total;
static atomic_bool is_quiet;

static void note_signal(int number)
{
	(void)number;
	atomic_fetch_add(&signals_total, 1);
}

static void *interrupt(void *argument)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (!atomic_load(&is_quiet)) {
		pthread_kill(*(pthread_t *)argument, SIGUSR1);
		rest_a_bit();
	}
	return NULL;
}

static void wait_beside_signals(void)
{
	const struct sigaction action = {.sa_handler = note_signal}; /* without SA_RESTART */
	pthread_t self = pthread_self();
	pthread_t thread;

	start();
	shut_gate();
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	CHECK(!pthread_create(&thread, NULL, interrupt, &self));
	for (size_t i = 0; i < TIMED; i++) {
		unsigned before = atomic_load(&signals_total);

		do
			expect(&all_timed[i], 10000000, -ETIMEDOUT);
		while (atomic_load(&signals_total) - before < 3);
	}
	atomic_store(&is_quiet, true);
	CHECK(!pthread_join(thread, NULL));
	open_gate();
	settle();
}

/* ---- A clock that is late -------------------------------------------------------------------- */

static void try_timeouts_late(void *unused)
{
	(void)unused;
	CHECK(now_ns() > LONGEST - LONGEST / 1000);
	try_timeouts();
	exit(0);
}

/* As late as the kernel lets a clock be: near 2^62 ns, the longest timeout away from its end. */
static void live_late(void)
{
	char offset[64];
	int length = snprintf(offset, sizeof offset, "monotonic %llu 0",
		(unsigned long long)((LONGEST - now_ns()) / 1000000000 - 1000));
	int file;

	if (unshare(CLONE_NEWTIME)) {
		printf("left out: no time namespaces here\n");
		return;
	}
	file = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	CHECK(write(file, offset, (size_t)length) == length);
	close(file);
	run_good_child(try_timeouts_late, NULL);
}

const struct hostile_case hostile_cases[] = {
	{"timeouts", "Each timeout, from 0 to for ever, is kept to, by the clock that never jumps.",
		try_timeouts},
	{"stops", "So is that of a stop, which waits for the destructor that is running.",
		try_stops},
	{"budgets", "The same holds for callers that drain.", try_budgets},
	{"shutdowns", "The same for a shutdown.", try_shutdowns},
	{"signals", "Waits that signals interrupt again and again end at their deadline.",
		wait_beside_signals},
	{"late", "The longest timeout works even if the clock has run for 146 years.", live_late},
	{NULL, NULL, NULL},
};
