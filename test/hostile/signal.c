/* SPDX-License-Identifier: MIT
 *
 * Signals: handlers that interrupt every call and every wait, a process that is stopped and goes
 * on, a thread that a handler holds.
 */
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

static struct gate gate;

#define PRODUCERS 4
#define UNTOUCHED 4711 /* in errno */
#define SHORT_NS  UINT64_C(20000000)

/* ---- Handlers, and a thread that has them run ------------------------------------------------ */

static atomic_uint handled;
static atomic_uint working; /* targets that have not finished */

static void count_signal(int signal)
{
	(void)signal;
	atomic_fetch_add(&handled, 1);
}

static void handle(int signal, void (*handler)(int signal), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	CHECK(!sigaction(signal, &action, NULL));
}

struct storm {
	pthread_t thread;
	pthread_t targets[PRODUCERS];
	unsigned count;
};

static void *keep_signalling(void *argument)
{
	const struct storm *storm = argument;

	for (unsigned i = 0; atomic_load(&working); i++) {
		struct timespec pause = {.tv_nsec = 1000 * (i % 200)};

		for (unsigned j = 0; j < storm->count; j++)
			pthread_kill(storm->targets[j], SIGUSR1);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Sends signals until the targets have finished, which must not happen before the storm ends. */
static void storm_begin(struct storm *storm, int flags)
{
	handle(SIGUSR1, count_signal, flags);
	CHECK(!pthread_create(&storm->thread, NULL, keep_signalling, storm));
}

static void storm_end(struct storm *storm)
{
	CHECK(!pthread_join(storm->thread, NULL));
	CHECK(atomic_load(&handled));
}

/* ---- Every call, in a storm ------------------------------------------------------------------ */

static struct defer_drop_queue *queue;         /* of a worker */
static struct defer_drop_queue *callers_queue; /* which the producers drain */
static pthread_barrier_t all_finished;

struct producer {
	unsigned accepted;
	unsigned destroyed;
};

static struct producer producers[PRODUCERS];

/* A drop: its producer, and its number. */
static void *made(const struct producer *producer)
{
	return (void *)((uintptr_t)(producer - producers) << 32 | producer->accepted);
}

static void destroy_in_order(void *object)
{
	struct producer *producer = &producers[(uintptr_t)object >> 32];

	CHECK(((uintptr_t)object & UINT32_MAX) == producer->destroyed);
	producer->destroyed++;
}

/* No signal wakes the worker. */
static void destroy_slowly(void *object)
{
	struct timespec pause = {.tv_nsec = 30000};

	CHECK(!nanosleep(&pause, NULL));
	destroy_in_order(object);
}

static int push(struct producer *producer)
{
	return defer_drop_queue_push(queue, made(producer), destroy_slowly, DEFER_DROP_FOREVER);
}

static int push_timed(struct producer *producer)
{
	return defer_drop_queue_push(queue, made(producer), destroy_in_order, DEADLINE_NS);
}

static int push_and_flush(struct producer *producer)
{
	int error =
		defer_drop_queue_push(queue, made(producer), destroy_slowly, DEFER_DROP_FOREVER);

	return error ? error : defer_drop_queue_flush(queue, DEADLINE_NS);
}

static int push_and_wait(struct producer *producer)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;
	int error;

	options.ticket = &ticket;
	error = defer_drop_queue_push_with(
		queue, made(producer), destroy_slowly, DEFER_DROP_FOREVER, &options);
	return error ? error : defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER);
}

static int push_and_complete(struct producer *producer)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int error;

	options.completion = &completion;
	options.bytes = 60; /* of 100: they wait for each other */
	error = defer_drop_queue_push_with(
		queue, made(producer), destroy_slowly, DEFER_DROP_FOREVER, &options);
	return error ? error : defer_drop_completion_wait(&completion, DEFER_DROP_FOREVER, NULL);
}

static int push_and_wait_for_backlog(struct producer *producer)
{
	int error =
		defer_drop_queue_push(queue, made(producer), destroy_slowly, DEFER_DROP_FOREVER);

	return error ? error : defer_drop_queue_wait_backlog(queue, 1, UINT64_MAX, DEADLINE_NS);
}

static atomic_uint inside;

/* The thread that drains is interrupted, and no other one. */
static void destroy_alone(void *object)
{
	struct timespec pause = {.tv_nsec = 30000};
	int before = errno;

	(void)object;
	CHECK(!atomic_fetch_add(&inside, 1));
	nanosleep(&pause, NULL);
	atomic_fetch_sub(&inside, 1);
	errno = before; /* of the thread that drains */
}

/* Takes turns with the other threads that drain. */
static int drain(struct producer *producer)
{
	int error =
		defer_drop_queue_push(queue, made(producer), destroy_in_order, DEFER_DROP_FOREVER);

	ANSWERS(0, defer_drop_queue_push(callers_queue, NULL, destroy_alone, DEFER_DROP_FOREVER));
	return error ? error : defer_drop_queue_flush(callers_queue, DEFER_DROP_FOREVER);
}

static int begin_and_end_a_queue(struct producer *producer)
{
	struct defer_drop_queue *own;

	ANSWERS(0, defer_drop_queue_create(&own, NULL));
	ANSWERS(0, defer_drop_queue_push(own, NULL, ignore, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_stop(own, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_push(own, NULL, ignore, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_start(own));
	end_queue(own);
	return defer_drop_queue_push(queue, made(producer), destroy_in_order, DEFER_DROP_FOREVER);
}

static int (*const calls[])(struct producer *producer) = {push, push, push_timed, push_and_flush,
	push_and_wait, push_and_complete, push_and_wait_for_backlog, drain, begin_and_end_a_queue};

#define CALLS (sizeof calls / sizeof *calls)

static void *produce(void *argument)
{
	struct producer *producer = argument;
	unsigned count = scaled(400, 20000);

	for (unsigned i = 0; i < count; i++) {
		errno = UNTOUCHED;
		ANSWERS(0, calls[(i + i / CALLS) % CALLS](producer));
		CHECK(errno == UNTOUCHED);
		producer->accepted++;
	}
	atomic_fetch_sub(&working, 1);
	pthread_barrier_wait(&all_finished);
	return NULL;
}

static void make_queues(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 4;
	config.max_lanes = PRODUCERS / 2; /* the others share one */
	config.max_bytes = 100;
	config.quiet_spell_ns = 1000000;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	config.runner = DEFER_DROP_RUNNER_CALLER;
	config.queue_size = 64; /* one drop of each at most: no push waits for a drain */
	ANSWERS(0, defer_drop_queue_create(&callers_queue, &config));
}

static void end_queues(void)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	unsigned accepted = 0;

	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	for (unsigned i = 0; i < PRODUCERS; i++) {
		CHECK(producers[i].destroyed == producers[i].accepted);
		accepted += producers[i].accepted;
	}
	CHECK(stats.destroyed_total == accepted && !stats.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(queue));
	end_queue(callers_queue);
}

static void produce_in_storm(int flags)
{
	struct storm storm = {.count = PRODUCERS};

	make_queues();
	CHECK(!pthread_barrier_init(&all_finished, NULL, PRODUCERS + 1));
	atomic_store(&working, PRODUCERS);
	handle(SIGUSR1, count_signal, flags);
	for (unsigned i = 0; i < PRODUCERS; i++)
		CHECK(!pthread_create(&storm.targets[i], NULL, produce, &producers[i]));
	storm_begin(&storm, flags);
	storm_end(&storm);
	pthread_barrier_wait(&all_finished);
	for (unsigned i = 0; i < PRODUCERS; i++)
		CHECK(!pthread_join(storm.targets[i], NULL));
	pthread_barrier_destroy(&all_finished);
	end_queues();
}

static void run_storm(void)
{
	produce_in_storm(0);
}

static void run_storm_restart(void)
{
	produce_in_storm(SA_RESTART);
}

/* ---- Deadlines, in a storm ------------------------------------------------------------------- */

/* The worker stands in a gate, before a ring that is full. */
static struct defer_drop_ticket fill(uint32_t max_lanes, struct defer_drop_completion *completion)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_options named = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;

	config.queue_size = 4;
	config.max_lanes = max_lanes;
	config.max_bytes = 100;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	hold_up(queue, &gate);
	options.bytes = 100;
	options.completion = completion;
	ANSWERS(0, defer_drop_queue_push_with(queue, NULL, ignore, 0, &options));
	named.ticket = &ticket;
	ANSWERS(0, defer_drop_queue_push_with(queue, NULL, ignore, 0, &named));
	ANSWERS(-EAGAIN, defer_drop_queue_push(queue, NULL, ignore, 0));
	return ticket;
}

#define TIMES_OUT(call)                                 \
	do {                                            \
		uint64_t since_ns = now_ns();           \
                                                        \
		ANSWERS(-ETIMEDOUT, call);              \
		CHECK(now_ns() - since_ns >= SHORT_NS); \
	} while (0)

static void time_out(uint32_t max_lanes)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_options named = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket = fill(max_lanes, &completion);
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	options.bytes = 1;
	named.ticket = &ticket;
	TIMES_OUT(defer_drop_queue_push(queue, NULL, ignore, SHORT_NS));
	TIMES_OUT(defer_drop_queue_push_with(queue, NULL, ignore, SHORT_NS, &options));
	TIMES_OUT(defer_drop_queue_push_with(queue, NULL, ignore, SHORT_NS, &named));
	TIMES_OUT(defer_drop_queue_flush(queue, SHORT_NS));
	TIMES_OUT(defer_drop_ticket_wait(&ticket, SHORT_NS));
	TIMES_OUT(defer_drop_completion_wait(&completion, SHORT_NS, NULL));
	TIMES_OUT(defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, SHORT_NS));
	TIMES_OUT(defer_drop_queue_stop(queue, SHORT_NS));
	atomic_store(&gate.is_open, true);
	ANSWERS(0, defer_drop_completion_wait(&completion, DEADLINE_NS, NULL));
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	CHECK(stats.destroyed_total == 3 && !stats.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(queue));
}

static void run_deadlines(void)
{
	struct storm storm = {.count = 1, .targets = {pthread_self()}};

	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		atomic_store(&working, 1);
		storm_begin(&storm, flags);
		time_out(1);
		time_out(0);
		atomic_store(&working, 0);
		storm_end(&storm);
	}
}

/* ---- The worker ------------------------------------------------------------------------------ */

/* What a process gets from outside; SIGALRM is the case's deadline. */
static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGTERM, SIGCHLD,
	SIGCONT, SIGURG, SIGVTALRM, SIGWINCH, SIGIO};

#define SIGNALS (sizeof signals / sizeof *signals)

static void send_all(void)
{
	for (unsigned i = 0; i < SIGNALS; i++)
		CHECK(!kill(getpid(), signals[i]));
}

/* Every thread but the worker has all signals blocked: none runs, and all are pending. */
static void send_to_the_worker_alone(void)
{
	sigset_t all;
	sigset_t pending;

	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	CHECK(!pthread_sigmask(SIG_SETMASK, &all, NULL));
	send_all();
	for (unsigned i = 0; i < 100; i++)
		ANSWERS(0, defer_drop(NULL, ignore));
	ANSWERS(0, defer_drop_flush());
	CHECK(!atomic_load(&handled));
	CHECK(!sigpending(&pending));
	for (unsigned i = 0; i < SIGNALS; i++)
		CHECK(sigismember(&pending, signals[i]));
}

static void run_worker(void)
{
	sigset_t none;

	for (unsigned i = 0; i < SIGNALS; i++)
		handle(signals[i], count_signal, 0);
	ANSWERS(0, defer_drop(&gate, pass_gate)); /* starts it, with no signal blocked here */
	AWAIT(atomic_load(&gate.is_entered));
	atomic_store(&gate.is_open, true);
	send_to_the_worker_alone();
	sigemptyset(&none);
	CHECK(!pthread_sigmask(SIG_SETMASK, &none, NULL));
	CHECK(atomic_load(&handled) == SIGNALS);
}

/* ---- Faults on the library's own threads ----------------------------------------------------- */

/* What a fault raises, and what samples. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};

#define FAULTS (sizeof faults / sizeof *faults)

static volatile pthread_t at_fault; /* written before the fault */

static void note_fault(int signal)
{
	(void)signal;
	CHECK(pthread_equal(pthread_self(), at_fault));
	atomic_fetch_add(&handled, 1);
}

/* raise(3) returns when the handler has; where the signal is blocked, at once. */
static void be_at_fault(void *ignored)
{
	(void)ignored;
	at_fault = pthread_self();
	for (unsigned i = 0; i < FAULTS; i++) {
		CHECK(!raise(faults[i]));
		CHECK(atomic_load(&handled) == i + 1);
	}
}

/* A destructor that writes where nothing is. */
static void fault_for_real(void *nowhere)
{
	at_fault = pthread_self();
	*(volatile int *)nowhere = 1;
}

static void leave_by_handler(int signal)
{
	(void)signal;
	_exit(pthread_equal(pthread_self(), at_fault) ? 0 : 1);
}

static void crash_in_destructor(void *ignored)
{
	static char *volatile nowhere = (char *)16; /* not for the compiler to see */

	(void)ignored;
	handle(SIGSEGV, leave_by_handler, 0);
	ANSWERS(0, defer_drop(nowhere, fault_for_real));
	defer_drop_flush();
	_exit(2);
}

/* Returns the mask of blocked signals of a thread, if it is one of the library's. */
static bool is_own_thread(const char *thread, unsigned long long *blocked)
{
	char path[300];
	char line[128];
	bool is_own = false;
	FILE *status;

	snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof line, status)) {
		if (!strncmp(line, "Name:", 5))
			is_own = strstr(line, "defer_drop") || strstr(line, "drop_watchdog");
		sscanf(line, "SigBlk: %llx", blocked);
	}
	if (status)
		fclose(status);
	return is_own;
}

static unsigned check_masks(void)
{
	DIR *threads = opendir("/proc/self/task");
	struct dirent *thread;
	unsigned own = 0;

	CHECK(threads);
	while ((thread = readdir(threads))) {
		unsigned long long blocked;

		if (!is_own_thread(thread->d_name, &blocked))
			continue;
		own++;
		for (unsigned i = 0; i < FAULTS; i++)
			CHECK(!(blocked >> (faults[i] - 1) & 1));
		CHECK(blocked >> (SIGTERM - 1) & 1);
	}
	closedir(threads);
	return own;
}

#ifdef __SANITIZE_THREAD__
#define HAS_TSAN true
#else
#define HAS_TSAN false
#endif

static void run_faults(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	int grace;

	for (unsigned i = 0; i < FAULTS; i++)
		handle(faults[i], note_fault, 0);
	config.watchdog_ns = UINT64_C(3600000000000);
	ANSWERS(0, defer_drop_start(&config));
	ANSWERS(0, defer_drop(NULL, be_at_fault));
	ANSWERS(0, defer_drop_flush());
	CHECK(atomic_load(&handled) == FAULTS);
	grace = defer_drop_rcu(NULL, ignore);
	CHECK(!grace || grace == -ENOTSUP);
	ANSWERS(0, defer_drop_flush());
	/* The worker, its watchdog, and the thread that waits for grace periods. */
	CHECK(check_masks() == (grace ? 2 : 3));
	/* valgrind counts the fault. Under ThreadSanitizer no child may start threads. */
	if (!RUNNING_ON_VALGRIND && !HAS_TSAN)
		run_good_child(crash_in_destructor, NULL);
}

/* ---- A process that is stopped --------------------------------------------------------------- */

/* Waits of all kinds, until the parent has enough. */
static void be_stopped(struct ledger *ledger)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	alarm(DEADLINE_SECONDS);
	handle(SIGCONT, count_signal, 0); /* interrupts what the stop did not */
	config.queue_size = 4;
	config.quiet_spell_ns = 1000000;
	ANSWERS(0, defer_drop_start(&config));
	while (!atomic_load(&ledger->mark)) {
		for (unsigned i = 0; i < 50; i++)
			ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
		ANSWERS(0, defer_drop_flush_timed(DEFER_DROP_FOREVER));
		CHECK(ledger->destroyed == ledger->accepted);
		time_out(1);
	}
	exit(0);
}

static void run_stop(void)
{
	struct ledger *ledger = ledger_open();
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child)
		be_stopped(ledger);
	AWAIT(ledger->destroyed);
	for (unsigned i = 0; i < scaled(30, 1000); i++) {
		CHECK(!kill(child, SIGSTOP));
		CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
		rest_a_bit();
		CHECK(!kill(child, SIGCONT));
		rest_a_bit();
	}
	atomic_store(&ledger->mark, 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(!status);
	CHECK(ledger->destroyed == ledger->accepted);
}

/* ---- A process that is stopped by way of one of its threads ---------------------------------- */

#define CONSUMER     PRODUCERS /* its place among the thread ids */
#define FIRST_THREAD (PRODUCERS + 1)

/* What the process that sends and the one that is stopped share. */
struct stage {
	atomic_int threads[PRODUCERS + 2]; /* ids; 0 while there is none */
	/* Stops that came to pass, and are over: in a round by way of each, and all. */
	atomic_uint stopped[PRODUCERS + 2];
	atomic_uint stops;
	atomic_uint accepted;
	atomic_uint destroyed;
};

static struct stage *stage;

static int thread_id(void)
{
	return (int)syscall(SYS_gettid);
}

/* SIGCONT wakes the process, whichever thread it is sent to; a thread that has it blocked runs no
 * handler. */
static void go_on(int signal)
{
	(void)signal;
	CHECK(thread_id() != atomic_load(&stage->threads[CONSUMER]));
}

/* Runs on the worker. */
static void destroy_staged(void *object)
{
	atomic_store(&stage->threads[CONSUMER], thread_id());
	destroy_slowly(object);
	atomic_fetch_add(&stage->destroyed, 1);
}

/* A destructor beside which the process is stopped, by way of one thread after the other, the one
 * that waits for the destructor among them. */
static void outlast_stops(void *ignored)
{
	unsigned before = atomic_load(&stage->stops);

	(void)ignored;
	atomic_store(&stage->threads[CONSUMER], thread_id());
	AWAIT(atomic_load(&stage->stops) - before >= PRODUCERS + 2);
}

/* Each of them may time out, and none loses anything; 0 or -ESHUTDOWN. */
static int flush_with_deadlines(void)
{
	int result;

	do {
		uint64_t since_ns = now_ns();

		result = defer_drop_queue_flush(queue, SHORT_NS);
		CHECK(result != -ETIMEDOUT || now_ns() - since_ns >= SHORT_NS);
	} while (result == -ETIMEDOUT);
	CHECK(!result || result == -ESHUTDOWN);
	return result;
}

static int push_staged(struct producer *producer, unsigned i)
{
	if (i % 3 == 0)
		return defer_drop_queue_push(
			queue, made(producer), destroy_staged, DEFER_DROP_FOREVER);
	if (i % 3 == 1)
		return defer_drop_queue_push(queue, made(producer), destroy_staged, SHORT_NS);
	return defer_drop_queue_push(queue, made(producer), destroy_staged, DEFER_DROP_FOREVER);
}

static void *push_until_shut_down(void *argument)
{
	struct producer *producer = argument;
	int result = 0;

	atomic_store(&stage->threads[producer - producers], thread_id());
	for (unsigned i = 0; result != -ESHUTDOWN; i++) {
		result = push_staged(producer, i);
		CHECK(!result || result == -ESHUTDOWN || (i % 3 == 1 && result == -ETIMEDOUT));
		if (result)
			continue;
		producer->accepted++;
		atomic_fetch_add(&stage->accepted, 1);
		if (i % 50 == 49)
			result = flush_with_deadlines();
	}
	atomic_store(&stage->threads[producer - producers], 0);
	return NULL;
}

static unsigned least_stopped(void)
{
	unsigned least = UINT_MAX;

	for (unsigned i = 0; i < PRODUCERS + 2; i++)
		if (atomic_load(&stage->stopped[i]) < least)
			least = atomic_load(&stage->stopped[i]);
	return least;
}

/* Beside flushes and pushes the process is stopped by way of each thread, and then beside the
 * shutdown. */
static void be_stopped_for_a_round(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	pthread_t threads[PRODUCERS];
	unsigned outlasting = 1;
	unsigned accepted = 0;

	for (unsigned i = 0; i < PRODUCERS + 2; i++)
		atomic_store(&stage->stopped[i], 0);
	config.queue_size = 4;
	config.max_lanes = PRODUCERS / 2; /* the others share one */
	config.quiet_spell_ns = 1000000;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	for (unsigned i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){0};
		CHECK(!pthread_create(&threads[i], NULL, push_until_shut_down, &producers[i]));
	}
	for (; least_stopped() < 2; outlasting++) {
		ANSWERS(0, defer_drop_queue_push(queue, NULL, outlast_stops, DEFER_DROP_FOREVER));
		ANSWERS(0, flush_with_deadlines());
	}
	ANSWERS(0, defer_drop_queue_push(queue, NULL, outlast_stops, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	atomic_store(&stage->threads[CONSUMER], 0);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		CHECK(!pthread_join(threads[i], NULL));
		CHECK(producers[i].destroyed == producers[i].accepted);
		accepted += producers[i].accepted;
	}
	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	CHECK(stats.destroyed_total == accepted + outlasting && !stats.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(queue));
}

static void be_stopped_by_threads(void)
{
	unsigned rounds = scaled(10, 100);

	CHECK(!prctl(PR_SET_PDEATHSIG, SIGKILL)); /* or it might be left behind, stopped */
	alarm(DEADLINE_SECONDS);
	handle(SIGCONT, go_on, 0);
	atomic_store(&stage->threads[FIRST_THREAD], thread_id());
	while (rounds--)
		be_stopped_for_a_round();
	exit(0);
}

static bool send_to_thread(pid_t child, int thread, int signal)
{
	if (!syscall(SYS_tgkill, child, thread, signal))
		return true;
	CHECK(errno == ESRCH); /* it has ended */
	return false;
}

/* Stops the process and has it go on. False where it has ended; its status then. */
static bool stop_by_thread(pid_t child, unsigned at, int *status)
{
	int thread = atomic_load(&stage->threads[at]);
	pid_t changed = 0;

	if (!thread || !send_to_thread(child, thread, SIGSTOP))
		return true;
	/* A thread that ends takes its signal along, unless all have been stopped before. */
	AWAIT((changed = waitpid(child, status, WUNTRACED | WNOHANG)) ||
		!send_to_thread(child, thread, 0));
	CHECK(!changed || changed == child);
	if (changed && !WIFSTOPPED(*status))
		return false;
	rest_a_bit();
	/* In either case the process goes on, if it was stopped at all. */
	if (!send_to_thread(child, thread, SIGCONT))
		CHECK(!kill(child, SIGCONT));
	atomic_fetch_add(&stage->stopped[at], changed != 0);
	atomic_fetch_add(&stage->stops, changed != 0);
	return true;
}

static void run_stop_thread(void)
{
	pid_t child;
	int status;

	stage = share_memory(sizeof *stage);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		be_stopped_by_threads();
	for (unsigned at = 0; stop_by_thread(child, at % (PRODUCERS + 2), &status); at++)
		usleep(100 * (at % 11)); /* at every place in a round, sooner or later */
	CHECK(!status);
	CHECK(stage->accepted && stage->destroyed == stage->accepted);
}

/* ---- A thread that is held by a handler ------------------------------------------------------ */

static atomic_bool is_held;
static atomic_bool is_over;

static void hold(int signal)
{
	(void)signal;
	atomic_store(&is_held, true);
	while (atomic_load(&is_held))
		rest_a_bit();
}

static struct ledger *held_ledger;

/* Its ring is never near to full, so that it waits for nothing. */
static void *push_until_over(void *ignored)
{
	(void)ignored;
	while (!atomic_load(&is_over)) {
		if (held_ledger->accepted - held_ledger->destroyed < 500)
			ANSWERS(0, ledger_push(held_ledger, queue));
		else
			rest_a_bit();
	}
	return NULL;
}

static void go_on_beside(struct ledger *ledger)
{
	unsigned before = ledger->destroyed;

	for (unsigned i = 0; i < 200; i++)
		ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(ledger->destroyed == before + 200);
}

static void run_held(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct ledger *ledger = ledger_open();
	pthread_t victim;

	config.queue_size = 4096;
	config.quiet_spell_ns = DEFER_DROP_NEVER;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	held_ledger = ledger_open();
	handle(SIGUSR1, hold, 0);
	CHECK(!pthread_create(&victim, NULL, push_until_over, NULL));
	AWAIT(held_ledger->destroyed); /* it has its lane */
	for (unsigned i = 0; i < scaled(300, 20000); i++) {
		CHECK(!pthread_kill(victim, SIGUSR1));
		AWAIT(atomic_load(&is_held));
		go_on_beside(ledger);
		atomic_store(&is_held, false);
	}
	atomic_store(&is_over, true);
	CHECK(!pthread_join(victim, NULL));
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	CHECK(held_ledger->destroyed == held_ledger->accepted);
	ANSWERS(0, defer_drop_queue_free(queue));
}

/* ---- A crash handler that stops the worker --------------------------------------------------- */

enum { STOPPED_ASLEEP, STOPPED_NAPPING, STOPPED_BUSY, STOPPED_INSIDE, STOPPED_WAYS };

static pthread_t kept;
static atomic_bool has_been_stopped;

static void stay(int number)
{
	(void)number;
	atomic_store(&has_been_stopped, true);
	for (;;)
		pause();
}

/* As in the manual: the worker's thread is kept, and one signal is unblocked. */
static void keep_worker(void *context)
{
	sigset_t one;

	(void)context;
	kept = pthread_self();
	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	CHECK(!pthread_sigmask(SIG_UNBLOCK, &one, NULL));
}

/* Ensures that the worker runs, and does the work in which it is stopped. */
static void come_upon(
	struct defer_drop_queue *worked, struct ledger *ledger, struct gate *doorway, int way)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, ledger_push(ledger, worked));
	ANSWERS(0, defer_drop_queue_flush(worked, DEADLINE_NS));
	/* No thread waits for this drop, so the worker does not hold the lock of waiters then. */
	ANSWERS(0, ledger_push(ledger, worked));
	AWAIT(ledger->destroyed == 2);
	if (way == STOPPED_INSIDE) {
		ANSWERS(0, defer_drop_queue_push(worked, doorway, pass_gate, 0));
		AWAIT(atomic_load(&doorway->is_entered));
	} else if (way == STOPPED_BUSY) {
		for (unsigned i = 0; i < 1000; i++)
			ANSWERS(0, ledger_push(ledger, worked));
	} else if (way == STOPPED_ASLEEP) {
		AWAIT(!defer_drop_queue_stats(worked, &stats) && stats.deep_sleeps_total);
	}
}

static void be_crashing(void *way)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct ledger *ledger = ledger_open();
	struct defer_drop_queue *worked;
	struct gate doorway = {0};
	unsigned destroyed;

	config.queue_size = 4096;
	config.quiet_spell_ns = (intptr_t)way == STOPPED_NAPPING ? DEFER_DROP_NEVER : 1000000;
	config.worker_start = keep_worker;
	handle(SIGUSR2, stay, 0);
	ANSWERS(0, defer_drop_queue_create(&worked, &config));
	come_upon(worked, ledger, &doorway, (int)(intptr_t)way);
	CHECK(!pthread_kill(kept, SIGUSR2));
	AWAIT(atomic_load(&has_been_stopped));
	/* No drop is destroyed any more, and no thread is held up. */
	destroyed = ledger->destroyed;
	for (unsigned i = 0; i < 1000; i++)
		ANSWERS(0, ledger_push(ledger, worked));
	atomic_store(&doorway.is_open, true);
	ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(worked, 20000000));
	CHECK(ledger->destroyed == destroyed);
	_exit(0);
}

static void run_crash(void)
{
	for (intptr_t way = 0; way < STOPPED_WAYS; way++)
		run_good_child(be_crashing, (void *)way);
}

/* ---- Statistics that a handler asks for ------------------------------------------------------ */

static void ask(int signal)
{
	int errno_before = errno;

	(void)signal;
	errno = UNTOUCHED;
	CHECK(!defer_drop_stats_ask(queue, DEFER_DROP_FORMAT_JSON));
	CHECK(errno == UNTOUCHED);
	errno = errno_before;
	atomic_fetch_add(&handled, 1);
}

/* Returns how often the words stand in a file. */
static unsigned times_in(int file, const char *words)
{
	off_t bytes = lseek(file, 0, SEEK_END);
	char *text = calloc(1, (size_t)bytes + 1);
	unsigned times = 0;

	CHECK(text && pread(file, text, (size_t)bytes, 0) == bytes);
	for (const char *at = text; (at = strstr(at, words)); at++)
		times++;
	free(text);
	return times;
}

/* The signals interrupt pushes, flushes, and the calls that wake the worker. */
static void run_asked(void)
{
	struct storm storm = {.targets = {pthread_self()}, .count = 1};
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	int file = memfd_create("stderr", MFD_CLOEXEC);
	int stderr_before = dup(STDERR_FILENO);

	config.quiet_spell_ns = 1000000;
	config.destructor_times = DEFER_DROP_TIMES_EXACT;
	queue = create_queue(&config);
	CHECK(file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
	atomic_store(&working, 1);
	storm_begin(&storm, 0);
	handle(SIGUSR1, ask, 0);
	for (unsigned i = 0; i < 2000 || !times_in(file, "]}\n"); i++) {
		ANSWERS(0, defer_drop_queue_push(queue, NULL, ignore, DEFER_DROP_FOREVER));
		if (i % 100 == 0)
			ANSWERS(0, defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	}
	atomic_store(&working, 0);
	storm_end(&storm);
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	CHECK(dup2(stderr_before, STDERR_FILENO) == STDERR_FILENO);
	CHECK(times_in(file, "{\"pid\"") == times_in(file, "]}\n"));
	close(file);
	close(stderr_before);
	ANSWERS(0, defer_drop_queue_free(queue));
}

const struct hostile_case hostile_cases[] = {
	{"storm", "Signals interrupt every call, and none shows it: no EINTR, nothing lost.",
		run_storm},
	{"storm_restart", "Nor do they if their handlers ask for calls to be restarted.",
		run_storm_restart},
	{"deadlines", "A wait until a deadline ends at the deadline, however often a signal comes.",
		run_deadlines},
	{"worker", "No signal that comes to the process runs on the worker.", run_worker},
	{"faults",
		"Where a destructor faults the process's handler runs, on every thread of the "
		"library.",
		run_faults},
	{"stop", "A process that is stopped and goes on again loses nothing.", run_stop},
	{"stop_thread",
		"Whichever thread a stop is sent to, the process goes on and nothing is lost.",
		run_stop_thread},
	{"held", "A thread that a handler holds while it pushes holds up no other.", run_held},
	{"crash", "A crash handler stops the worker: asleep, napping, busy, inside a destructor.",
		run_crash},
	{"asked", "Handlers ask for statistics anywhere, and the worker prints them whole.",
		run_asked},
	{NULL, NULL, NULL},
};
