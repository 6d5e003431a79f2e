/* SPDX-License-Identifier: MIT
 *
 * What the unit tests share: destructors that note what they saw, gates that hold up the thread
 * that runs them, queues, threads and children.
 *
 * Criterion runs each test in a process of its own. Its assertions may be used by the thread that
 * runs the test only, and not in children: those exit with a status instead.
 */
#ifndef UNIT_H
#define UNIT_H

#include <criterion/criterion.h>
#include <defer_drop.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/queue.h"

/* Sanitizers map terabytes and cannot live with limits. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#else
#define HAS_SANITIZER 0
#endif

/* Claims of the headers in common. */
#define CHECK(claim)        cr_assert(claim)
#define ANSWERS(want, call) answers(want, call)

/* Longer than any test may take: what ends by this deadline has failed. */
#define LONG_NS (UINT64_C(120) * 1000000000)

#define CALLER  DEFER_DROP_RUNNER_CALLER
#define DRAINER DEFER_DROP_RUNNER_DRAINER
#define WORKER  DEFER_DROP_RUNNER_WORKER
#define FOREVER DEFER_DROP_FOREVER
#define MS      UINT64_C(1000000)

/* max_lanes as built in, and more than any test has threads that push. */
#define LANES DD_MAX_LANES_BUILT_IN

/* max_lanes: as built in, and none, so that all push to the shared lane. */
__attribute__((unused)) static const uint32_t lanes_tried[] = {LANES, 0};

/* Checks that the call returns exactly this. */
#define answers(want, call)                                                                   \
	do {                                                                                  \
		int wanted = (want);                                                          \
		int got = (call);                                                             \
                                                                                              \
		cr_assert_eq(got, wanted, "%s answers %d instead of %d", #call, got, wanted); \
	} while (0)

/* In a child: exits with this status unless the claim holds, without exit handlers. */
#define claim_or_exit(status, claim)   \
	do {                           \
		if (!(claim))          \
			_exit(status); \
	} while (0)

/* Waits for something that must happen; the test's timeout is the deadline. */
#define await(claim)                 \
	do {                         \
		while (!(claim))     \
			usleep(500); \
	} while (0)

#include "../common/queues.h"

/* ---- Destructors ----------------------------------------------------------------------------- */

#define MAX_SEEN 16384

static void *seen[MAX_SEEN];
static atomic_uint seen_count;

/* Notes its object. */
static inline void note(void *object)
{
	unsigned at = atomic_fetch_add(&seen_count, 1);

	if (at < MAX_SEEN)
		seen[at] = object;
}

/* For drops that must never be destroyed. */
static atomic_uint forbidden_count;

static inline void forbidden(void *object)
{
	(void)object;
	atomic_fetch_add(&forbidden_count, 1);
}

static inline int forbidden_status(void *object)
{
	forbidden(object);
	return 0;
}

static inline int forbidden_context(void *object, void *context)
{
	(void)context;
	forbidden(object);
	return 0;
}

/* These end the process from the thread that destroys. */

static inline void exit_inside(void *object)
{
	(void)object;
	exit(5);
}

static inline void leave_by_exit(void *object)
{
	(void)object;
	exit(0);
}

/* Counts, in memory that may be shared with other processes. */
static inline void count_up(void *object)
{
	atomic_uint *counter = object;

	atomic_fetch_add(counter, 1);
}

static inline void *number(uintptr_t value)
{
	return (void *)value;
}

/* Exactly this number of drops was noted: the numbers from first on, in order. */
static inline void assert_seen(uintptr_t first, unsigned count)
{
	cr_assert_eq(atomic_load(&seen_count), count, "%u destroyed instead of %u",
		atomic_load(&seen_count), count);
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq((uintptr_t)seen[i], first + i, "place %u has %p", i, seen[i]);
}

/* A destructor that holds up the thread that runs it until it is let go. */
struct gate {
	sem_t entered;
	sem_t open;
};

static inline void await_semaphore(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		;
}

static inline void gate_init(struct gate *gate)
{
	sem_init(&gate->entered, 0, 0);
	sem_init(&gate->open, 0, 0);
}

static inline void pass_gate(void *object)
{
	struct gate *gate = object;

	sem_post(&gate->entered);
	await_semaphore(&gate->open);
}

/* The gates that this process holds shut, and which process that is. */
static atomic_int gates_held;
static pid_t gate_keeper;

/*
 * A test that fails behind a shut gate could never drain: Criterion 2.4.1 would wait for its
 * timeout and then give up the whole run.
 */
static inline void leave_if_held_up(void)
{
	if (atomic_load(&gates_held) > 0 && getpid() == gate_keeper)
		_exit(1);
}

/* Waits until a thread stands in the gate; it stays there until it is let go. */
static inline void await_held(struct gate *gate)
{
	await_semaphore(&gate->entered);
	gate_keeper = getpid();
	atomic_fetch_add(&gates_held, 1);
	atexit(leave_if_held_up); /* after the library's own handler was set, so it runs before */
}

/* Has the queue's worker stand in a gate of this thread's lane. */
static inline void hold_up(struct defer_drop_queue *queue, struct gate *gate)
{
	gate_init(gate);
	answers(0, defer_drop_queue_push(queue, gate, pass_gate, FOREVER));
	await_held(gate);
}

static inline void let_go(struct gate *gate)
{
	atomic_fetch_sub(&gates_held, 1);
	sem_post(&gate->open);
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static inline struct defer_drop_queue *make_queue(
	uint32_t runner, uint32_t queue_size, uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.queue_size = queue_size;
	config.max_lanes = max_lanes;
	return create_queue(&config);
}

static inline int push_ticket(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy,
	uint64_t timeout_ns, struct defer_drop_ticket *ticket)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.ticket = ticket;
	return defer_drop_queue_push_with(queue, object, destroy, timeout_ns, &options);
}

/*
 * Shuts a queue down. A destructor that was let go a moment ago may take longer to return than the
 * library waits for it: then the queue was given up, and is waited for here.
 */
static inline int shut_down_at_last(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	int result = defer_drop_queue_shutdown(queue, timeout_ns);

	if (result != -ECANCELED)
		return result;
	return defer_drop_queue_shutdown(
		queue, timeout_ns && timeout_ns != FOREVER ? LONG_NS : FOREVER);
}

/* True if a wait may return this for an abandoned drop; -ECANCELED: the queue was given up. */
static inline bool is_abandoned(int result)
{
	return result == -ESHUTDOWN || result == -ECANCELED;
}

static inline bool is_balanced(const struct defer_drop_stats *stats)
{
	return stats->pushed_total ==
	       stats->destroyed_total + stats->abandoned_total + stats->backlog;
}

/* True if a thread waits for a position in this queue. */
static inline bool has_waiter(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);
	bool has = false;

	dd_mutex_lock(&queue->waiters_lock);
	for (uint32_t i = 0; i < count; i++)
		has |= queue->lanes[i]->waiters.first != NULL;
	dd_mutex_unlock(&queue->waiters_lock);
	return has;
}

/* True if the worker has announced deep sleep, and sleeps. */
static inline bool is_asleep(struct defer_drop_queue *queue)
{
	return (atomic_load(&queue->park.attention) & DD_ASLEEP) &&
	       atomic_load(&queue->park.bell) == DD_BELL_NAPPING;
}

/* ---- Threads, processes, memory -------------------------------------------------------------- */

/* A thread that has pushed a drop to a queue, and keeps its lane until it is let go. */
struct tenant {
	struct defer_drop_queue *queue;
	void *object;
	defer_drop_fn destroy;
	struct gate gate;
	pthread_t thread;
};

static inline void *stay_tenant(void *argument)
{
	struct tenant *tenant = argument;

	answers(0, defer_drop_queue_push(tenant->queue, tenant->object, tenant->destroy, 0));
	pass_gate(&tenant->gate);
	return NULL;
}

static inline void tenant_begin(struct tenant *tenant)
{
	gate_init(&tenant->gate);
	tenant->thread = spawn(stay_tenant, tenant);
	await_semaphore(&tenant->gate.entered);
}

static inline void tenant_end(struct tenant *tenant)
{
	sem_post(&tenant->gate.open);
	join_thread(tenant->thread);
}

/* Zeroed memory that children share. */
static inline void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(memory, MAP_FAILED);
	return memory;
}

/* Waits for a child. Returns its exit status, or 1000 and its signal. */
static inline int status_of(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) != child)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* What a child wrote to stderr. */
static char said[8192];

/* Runs a function in a child, which then exits with 0 by way of exit(); notes what it says. */
static inline int run_child(void (*run)(void))
{
	int file = memfd_create("stderr", MFD_CLOEXEC);
	ssize_t length;
	pid_t child;
	int status;

	cr_assert_geq(file, 0);
	fflush(NULL);
	child = fork();
	if (!child) {
		dup2(file, 2);
		run();
		exit(0);
	}
	status = status_of(child);
	length = pread(file, said, sizeof said - 1, 0);
	said[length > 0 ? length : 0] = 0;
	close(file);
	return status;
}

/* Returns how often the child wrote these words. */
static inline unsigned times_said(const char *words)
{
	unsigned times = 0;

	for (const char *at = said; (at = strstr(at, words)); at++)
		times++;
	return times;
}

/* From now on this process can map only this much more. */
static inline void limit_memory(uint64_t more_bytes)
{
	struct rlimit limit;
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu", &pages) != 1)
		abort();
	fclose(file);
	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = pages * (uint64_t)sysconf(_SC_PAGESIZE) + more_bytes;
	setrlimit(RLIMIT_AS, &limit);
}

static inline void unlimit_memory(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_AS, &limit);
}

static atomic_bool has_no_threads;

/* From now on no thread can be started; and then it can again. */
static inline void forbid_threads(void)
{
	atomic_store(&has_no_threads, true);
}

static inline void allow_threads(void)
{
	atomic_store(&has_no_threads, false);
}

#if !HAS_SANITIZER

/* Stands before the C library's, for the library inside this program too. */
int pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (atomic_load(&has_no_threads))
		return EAGAIN;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attributes, run, argument);
}

#endif

struct block {
	struct block *next;
};

/* Takes all memory that malloc would give, down to the smallest size. */
static inline struct block *take_memory(void)
{
	struct block *first = NULL;

	limit_memory(1 << 20);
	for (size_t bytes = 1 << 20; bytes; bytes = bytes > 1024 ? bytes / 2 : bytes - 8) {
		struct block *block;

		while ((block = malloc(bytes))) {
			block->next = first;
			first = block;
		}
	}
	return first;
}

static inline void give_memory(struct block *first)
{
	while (first) {
		struct block *next = first->next;

		free(first);
		first = next;
	}
	unlimit_memory();
}

#endif
