/* SPDX-License-Identifier: MIT
 *
 * The holder's thread, its lists, and the queue whose worker destroys.
 *
 * All that callers and the holder share is under one lock, and signals are blocked while a thread
 * has it, so that a handler may call what its thread was in the middle of.
 */
#include "face/os_holder.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/counter.h"
#include "base/fork.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "config/versioned.h"

/* Not in the headers of older systems. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOSE_RANGE_UNSHARED (1u << 1)

/* What is built in of max_bytes: four of the largest objects that were measured. */
#define MAX_BYTES (UINT64_C(8) << 30)
/* So long after the last drop the threads end: a process whose main thread has ended by
 * pthread_exit(3) must not live on for them. */
#define IDLE_NS (50 * DD_MS)
/* A full ring has room again when the worker has destroyed something. */
#define FULL_NS DD_MS

DD_FIRST_VERSION(struct defer_drop_os_counts, pending_bytes, 104);

static struct dd_mutex lock;

/* Under the lock. */
/* That the holder runs in, or 0. It is not getpid() after vfork(2), nor after a fork of which no
 * handler heard. */
static pid_t process;
static struct dd_os_request *asked;
static struct dd_os_drop *waiting;
static pid_t home;      /* the process, since it first came here: not at load, which writes to few
			   pages */
static pid_t thread_id; /* the holder's, once it runs */

/* The holder's own. */
static struct defer_drop_queue *queue; /* made once */
static bool is_open;                   /* false: it is stopped */
static bool has_table;                 /* of descriptors; without, it holds no files */
/* 1: exit has closed the queue; what is pending is the kernel's. */
static _Atomic(uint32_t) is_over;

/* Counts what the holder has to look at; a futex word. */
static _Atomic(uint32_t) bell;
/* Threads that wait for all; nothing rests meanwhile. Written under the lock. */
static _Atomic(uint32_t) flushes;
/* Objects. */
static _Atomic(uint32_t) pending;
/* 1: there is a holder. Written under the lock. */
static _Atomic(uint32_t) is_here;
/* Counts what flushes wait for: the end of the holder, or of the queue. A futex word. */
static _Atomic(uint32_t) ends;
static _Atomic(uint64_t) pending_bytes;
static _Atomic(uint64_t) max_bytes = MAX_BYTES;
static _Atomic(uint64_t) exit_timeout_ns;

static struct {
	_Atomic(uint64_t) deferred, bytes, in_place, caller_ns, worker_ns;
} counts[DD_OS_KINDS];

/* ---- The lock -------------------------------------------------------------------------------- */

/* A signal's handler may come here too. */
static void lock_all(sigset_t *before)
{
	dd_thread_hold_signals(before);
	dd_mutex_lock(&lock);
}

static void unlock_all(const sigset_t *before)
{
	dd_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static void hold(void)
{
	dd_mutex_lock(&lock);
}

static void let_go(void)
{
	dd_mutex_unlock(&lock);
}

/* Notes the process that comes here first. Returns the calling one. Under the lock. */
static pid_t note_home(void)
{
	pid_t own = getpid();

	if (!home)
		home = own;
	return own;
}

/* What was pending is the parent's: its mappings are not in the child, nor are its descriptors. */
static void survive(void)
{
	process = 0;
	home = 0;
	asked = NULL;
	waiting = NULL;
	thread_id = 0;
	is_open = false;
	atomic_store_explicit(&flushes, 0, memory_order_relaxed);
	atomic_store_explicit(&is_here, 0, memory_order_relaxed);
	atomic_store_explicit(&pending, 0, memory_order_relaxed);
	atomic_store_explicit(&pending_bytes, 0, memory_order_relaxed);
	memset(counts, 0, sizeof counts);
	dd_mutex_init(&lock);
}

static struct dd_fork_part fork_part = {hold, let_go, survive, NULL};

/* The last part: so fork takes this lock before those of queues. */
__attribute__((constructor(102))) static void hear_of_fork(void)
{
	dd_fork_add(&fork_part);
}

/* ---- The budget and the statistics ----------------------------------------------------------- */

static void ring(void)
{
	atomic_fetch_add_explicit(&bell, 1, memory_order_relaxed);
	dd_futex_wake(&bell, 1);
}

static void tell_flushes(void)
{
	atomic_fetch_add_explicit(&ends, 1, memory_order_relaxed);
	dd_futex_wake(&ends, INT_MAX);
}

bool dd_os_reserve(uint64_t bytes)
{
	uint64_t before = atomic_fetch_add_explicit(&pending_bytes, bytes, memory_order_relaxed);

	atomic_fetch_add_explicit(&pending, 1, memory_order_relaxed);
	if (before + bytes <= dd_read(&max_bytes))
		return true;
	dd_os_give_back(bytes);
	return false;
}

void dd_os_give_back(uint64_t bytes)
{
	atomic_fetch_sub_explicit(&pending_bytes, bytes, memory_order_relaxed);
	if (atomic_fetch_sub_explicit(&pending, 1, memory_order_relaxed) == 1 &&
		dd_read_32(&flushes))
		ring();
}

uint64_t dd_os_pending_bytes(void)
{
	return dd_read(&pending_bytes);
}

int defer_drop_os_set_limits(uint64_t most_bytes, uint64_t timeout_ns)
{
	int error = dd_timeout_check(timeout_ns);
	sigset_t before;

	if (most_bytes > UINT64_C(1) << 62)
		return -EINVAL;
	if (error)
		return error;
	lock_all(&before);
	note_home(); /* before a child of vfork(2) can come first */
	unlock_all(&before);
	atomic_store_explicit(&max_bytes, most_bytes, memory_order_relaxed);
	atomic_store_explicit(&exit_timeout_ns, timeout_ns, memory_order_relaxed);
	return 0;
}

void dd_os_count_deferred(enum dd_os_kind kind, uint64_t bytes, uint64_t caller_ns)
{
	dd_add_shared(&counts[kind].deferred, 1);
	dd_add_shared(&counts[kind].bytes, bytes);
	dd_add_shared(&counts[kind].caller_ns, caller_ns);
}

void dd_os_count_in_place(enum dd_os_kind kind)
{
	dd_add_shared(&counts[kind].in_place, 1);
}

static struct defer_drop_os_kind counts_of(enum dd_os_kind kind)
{
	struct defer_drop_os_kind read = {
		.deferred_total = dd_read(&counts[kind].deferred),
		.deferred_bytes_total = dd_read(&counts[kind].bytes),
		.in_place_total = dd_read(&counts[kind].in_place),
		.caller_ns_total = dd_read(&counts[kind].caller_ns),
		.worker_ns_total = dd_read(&counts[kind].worker_ns),
	};

	return read;
}

int defer_drop_os_stats(struct defer_drop_os_counts *stats)
{
	struct defer_drop_os_counts values = {
		.mappings = counts_of(DD_OS_MAPPING),
		.files = counts_of(DD_OS_FILE),
		.pending = dd_read_32(&pending),
		.pending_bytes = dd_os_pending_bytes(),
	};

	return stats ? dd_versioned_fill(stats, sizeof values, &values, sizeof values) : -EINVAL;
}

/* ---- The worker ------------------------------------------------------------------------------ */

/* Under the lock. At the end: drops that are due are served in their order. */
static void enlist(struct dd_os_drop *drop)
{
	struct dd_os_drop **at = &waiting;

	while (*at)
		at = &(*at)->next;
	drop->next = NULL;
	*at = drop;
}

static void put_to_rest(struct dd_os_drop *drop, uint64_t until_ns)
{
	sigset_t before;

	drop->due_ns = until_ns;
	lock_all(&before);
	enlist(drop);
	unlock_all(&before);
	ring();
}

/* Returns how long to rest after a slice. */
static uint64_t rest_ns(const struct dd_os_drop *drop, uint64_t slice_ns)
{
	uint64_t paced_ns = drop->bytes_per_second ? (uint64_t)((double)drop->slice_bytes * 1e9 /
								(double)drop->bytes_per_second)
						   : 0;
	uint64_t polite_ns = drop->is_polite ? slice_ns : 0;

	paced_ns = paced_ns > slice_ns ? paced_ns - slice_ns : 0;
	return paced_ns > polite_ns ? paced_ns : polite_ns;
}

/* Destroys a slice: the destructor of every drop. A rest is not spent here: the drop goes back to
 * the holder, so that the worker goes on with what else is pending. */
static int destroy(void *object)
{
	struct dd_os_drop *drop = object;
	enum dd_os_kind kind = drop->kind;
	uint64_t bytes = drop->bytes;
	uint64_t begin_ns = dd_now_ns();
	bool is_last = drop->destroy_some(drop);
	uint64_t now_ns = dd_now_ns();
	uint64_t pause_ns;

	dd_add_shared(&counts[kind].worker_ns, now_ns - begin_ns);
	if (is_last) {
		dd_os_give_back(bytes);
		return 0;
	}
	pause_ns = rest_ns(drop, now_ns - begin_ns);
	if (!pause_ns)
		return DEFER_DROP_AGAIN;
	put_to_rest(drop, now_ns + pause_ns);
	return 0;
}

/* ---- Waiting for all ------------------------------------------------------------------------- */

/* Adds to the number of threads that flush. Returns the last holder's thread. */
static pid_t flush_begin_or_end(unsigned more)
{
	sigset_t before;
	pid_t holder;

	lock_all(&before);
	atomic_fetch_add_explicit(&flushes, more, memory_order_relaxed);
	holder = thread_id;
	unlock_all(&before);
	ring();
	return holder;
}

/* True if nothing is pending, and the holder has ended, which while a thread flushes waits for no
 * more. */
static bool has_ended(void)
{
	return !dd_read_32(&pending) && !dd_read_32(&is_here);
}

/* Looks once. Returns 0 if all is over, -EINPROGRESS if to wait makes sense, or an error. */
static int look(uint64_t deadline_ns)
{
	if (has_ended())
		return 0;
	if (dd_read_32(&is_over))
		return -ESHUTDOWN;
	return dd_deadline_has_come(deadline_ns) ? dd_deadline_error(deadline_ns) : -EINPROGRESS;
}

int defer_drop_os_flush(uint64_t timeout_ns)
{
	uint64_t deadline_ns = dd_deadline_after(timeout_ns);
	int result = dd_timeout_check(timeout_ns);
	uint32_t seen;
	pid_t holder;

	if (result || has_ended())
		return result;
	if (!timeout_ns)
		return dd_read_32(&pending) ? -EAGAIN : 0;
	flush_begin_or_end(1);
	do {
		seen = dd_read_32(&ends);
		result = look(deadline_ns);
	} while (result == -EINPROGRESS && !dd_futex_wait(&ends, seen, deadline_ns));
	holder = flush_begin_or_end(-1u);
	if (result == -EINPROGRESS)
		result = look(deadline_ns);
	/* unshare(2) counts it for a moment longer. */
	if (!result)
		dd_thread_await(holder);
	return result;
}

/*
 * Runs before the library's own handler of exit, since it is set later; unless exit began between
 * the two. Then the queue is closed, and what is pending is the kernel's.
 */
static void at_exit(void)
{
	if (defer_drop_queue_start(queue) != -ESHUTDOWN)
		defer_drop_os_flush(dd_read(&exit_timeout_ns));
}

/* ---- The holder ------------------------------------------------------------------------------ */

/*
 * Makes the queue, or starts it again: on this thread, whose table of descriptors the worker
 * shares. Not before something is to be pushed, since the first queue of a process with threads
 * waits some ms for the kernel (membarrier(2)), and a caller waits for this thread. Exit leaves
 * what is pending to the kernel, which destroys it when the process has ended.
 */
static int open_queue(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	int error;

	if (queue)
		return defer_drop_queue_start(queue);
	config.name = "defer_drop_os";
	config.exit_timeout_ns = 0;
	error = defer_drop_queue_create(&queue, &config);
	if (!error)
		atexit(at_exit);
	return error;
}

static int try_to_push(struct dd_os_drop *drop)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int error = is_open ? 0 : open_queue();

	if (error)
		return error;
	is_open = true;
	options.destroy_status = destroy;
	options.bytes = dd_least(drop->bytes, DEFER_DROP_BYTES_END - 1);
	options.flags = DEFER_DROP_EXCEED_BUDGET; /* dd_os_reserve has seen to that */
	return defer_drop_queue_push_with(queue, drop, NULL, 0, &options);
}

/* Has the worker destroy a slice. False if there is no room or no worker for now, or exit has
 * closed the queue. */
static bool push(struct dd_os_drop *drop)
{
	int error = try_to_push(drop);

	if (error == -ESHUTDOWN && !atomic_exchange_explicit(&is_over, 1, memory_order_relaxed))
		tell_flushes();
	return !error;
}

/* Takes a drop whose time has come, or returns NULL and lowers the time to that of the first one.
 * Under the lock. */
static struct dd_os_drop *take_due(uint64_t *next_ns)
{
	uint64_t now_ns = dd_now_ns();

	for (struct dd_os_drop **at = &waiting; *at; at = &(*at)->next) {
		struct dd_os_drop *drop = *at;

		if (drop->due_ns <= now_ns || dd_read_32(&flushes)) {
			*at = drop->next;
			return drop;
		}
		*next_ns = dd_least(*next_ns, drop->due_ns);
	}
	return NULL;
}

static struct dd_os_request *take_request(void)
{
	struct dd_os_request *request = asked;

	if (request)
		asked = request->next;
	return request;
}

/* Serves a request, or pushes a drop that is due. False if there is neither. Under the lock, except
 * meanwhile. */
static bool serve_one(uint64_t *next_ns)
{
	struct dd_os_request *request = take_request();
	struct dd_os_drop *drop = request ? NULL : take_due(next_ns);
	bool is_late = false;

	if (!request && !drop)
		return false;
	dd_mutex_unlock(&lock);
	if (request) {
		if (has_table)
			request->serve(request);
		dd_latch_open(&request->served);
	} else if (!push(drop)) {
		drop->due_ns = dd_now_ns() + FULL_NS;
		is_late = true;
	}
	dd_mutex_lock(&lock);
	if (is_late)
		enlist(drop);
	return !is_late;
}

/* Serves until nothing has been pending for a while. Under the lock, except meanwhile. */
static void serve(void)
{
	uint64_t busy_ns = dd_now_ns();

	for (;;) {
		uint32_t seen = atomic_load_explicit(&bell, memory_order_relaxed);
		uint64_t next_ns = dd_now_ns() + IDLE_NS;

		while (serve_one(&next_ns))
			;
		if (dd_read_32(&pending))
			busy_ns = dd_now_ns();
		else if (dd_now_ns() - busy_ns >= IDLE_NS || dd_read_32(&flushes))
			return;
		dd_mutex_unlock(&lock);
		dd_futex_wait(&bell, seen, next_ns);
		dd_mutex_lock(&lock);
	}
}

static void *run(void *unused)
{
	/* The table of descriptors begins empty: the peers of the program's pipes and sockets would
	 * wait for this thread too, if it kept copies. */
	has_table = !syscall(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARED);
	prctl(PR_SET_NAME, "defer_drop_hold");
	dd_mutex_lock(&lock);
	thread_id = gettid();
	serve();
	/* Under the lock, so that the next holder finds the queue stopped; fork takes it before
	 * those of queues. */
	if (is_open)
		defer_drop_queue_stop(queue, DEFER_DROP_FOREVER);
	is_open = false;
	process = 0;
	atomic_store_explicit(&is_here, 0, memory_order_relaxed);
	dd_mutex_unlock(&lock);
	tell_flushes();
	return unused;
}

/* Starts the holder. Under the lock. */
static bool start_holder(void)
{
	pthread_t thread;

	if (!dd_fork_is_heard() || dd_thread_create(&thread, NULL, run, NULL))
		return false;
	pthread_detach(thread);
	process = getpid();
	atomic_store_explicit(&is_here, 1, memory_order_relaxed);
	return true;
}

/* True if there is a holder, from now on. Under the lock. A process that was made by vfork(2), or
 * by a fork of which no handler heard, has none, and may not start one in memory that it shares. */
static bool has_holder(void)
{
	pid_t own = note_home();

	return own == home && (process == own || (!process && start_holder()));
}

bool dd_os_ask(struct dd_os_request *request)
{
	sigset_t before;
	bool is_heard;

	dd_latch_close(&request->served);
	lock_all(&before);
	is_heard = has_holder();
	if (is_heard) {
		request->next = asked;
		asked = request;
	}
	unlock_all(&before);
	if (!is_heard)
		return false;
	ring();
	while (!dd_latch_is_open(&request->served))
		dd_latch_wait(&request->served, DEFER_DROP_FOREVER);
	return true;
}

bool dd_os_hand_over(struct dd_os_drop *drop)
{
	sigset_t before;
	bool is_heard;

	lock_all(&before);
	is_heard = has_holder();
	if (is_heard)
		enlist(drop);
	unlock_all(&before);
	if (is_heard)
		ring();
	return is_heard;
}
