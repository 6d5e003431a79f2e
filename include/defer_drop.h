/* SPDX-License-Identifier: MIT
 *
 * defer_drop: destruction off the caller's path.
 *
 * A drop is an object and the function that destroys it. Any thread pushes drops; one background
 * worker runs the destructors. A push costs the same whatever the object is, it does not enter the
 * kernel in the steady state, and the number of objects waiting to be destroyed is bounded.
 *
 *     defer_drop(tree, tree_free);      instead of tree_free(tree), on the hot path
 *     defer_drop_flush();               where everything dropped so far must be gone
 *
 * That is the whole library for most programs: it starts itself at the first push and drains what
 * is left at exit. A reader who wants no more can stop after the first section below.
 *
 * What holds for every call:
 *
 * - Results are 0 or a negative errno value. A call that answers 0 leaves errno as it was.
 * - A push that answers an error has not taken the object: it is still the caller's, and its
 *   destructor has not run and will not.
 * - Drops of one thread, pushed to one queue, are destroyed in its order. Across threads nothing is
 *   promised, even where the threads synchronise with each other.
 * - What a thread did before its push is visible to the destructor. What destructors did is visible
 *   after a flush, a wait or a poll that answered 0 for them.
 * - Nothing here is async-signal-safe, and nothing may be called by the handlers of
 *   pthread_atfork(3). No call is a cancellation point (pthreads(7)), and none is
 *   async-cancel-safe: a thread whose cancelability type is asynchronous disables cancellation
 *   before it calls.
 * - A destructor must return: it may not longjmp away, throw or end its thread. One that ends its
 *   thread, or throws through a call that drains, aborts the process with a line on stderr that
 *   names it; one that throws on a worker ends in std::terminate. A jump out of a call that drains
 *   ends the same way, when its thread next calls the library: surely where that call's stack is no
 *   deeper than that of the library when it called the destructor, mostly where it is. A jump from
 *   one destructor of a worker into another, or to another thread's stack, is not seen, and its
 *   effect is undefined.
 * - What a destructor changes of its thread (mask of signals, name, scheduling, locale, rounding)
 *   stays so for those after it. A call that drains leaves errno and the cancellation state as
 *   they were.
 * - Inside a read-side critical section of liburcu (with its QSBR flavor: in a thread that is
 *   online) nothing may wait for a queue that destroys after grace periods: neither a flush, nor a
 *   wait, nor a push for room. Where the library sees that, it answers -EDEADLK instead.
 * - The shared library is never unloaded. With the static one inside a shared object, closing that
 *   object deals with what is pending as exit does, and leaves the lanes of its default queue
 *   mapped, since it could be exit, beside which other threads may push: some 68 KiB for each thread
 *   that has pushed (measured with queue_size=4096). What is loaded again and again is better built
 *   with the shared library.
 * - All times are nanoseconds of CLOCK_MONOTONIC. A timeout lies in 0..DEFER_DROP_TIMEOUT_MAX or is
 *   DEFER_DROP_FOREVER; anything between the two overflows and answers -EOVERFLOW.
 */
#ifndef DEFER_DROP_H
#define DEFER_DROP_H

#include <stddef.h>
#include <stdint.h>

#define DEFER_DROP_VERSION_MAJOR 0
#define DEFER_DROP_VERSION_MINOR 1
#define DEFER_DROP_VERSION_PATCH 0
#define DEFER_DROP_VERSION                                                   \
	(DEFER_DROP_VERSION_MAJOR * 10000 + DEFER_DROP_VERSION_MINOR * 100 + \
		DEFER_DROP_VERSION_PATCH)

#if defined(__GNUC__)
#define DEFER_DROP_API __attribute__((visibility("default")))
#else
#define DEFER_DROP_API
#endif

/* Wait as long as it takes. */
#define DEFER_DROP_FOREVER UINT64_MAX
/* The longest finite timeout: 2^62 ns, about 146 years. */
#define DEFER_DROP_TIMEOUT_MAX (UINT64_C(1) << 62)

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The short calls: one queue for the whole process --------------------------------------- */

/* Destroys an object. Runs on the worker thread, with all signals blocked and with cancellation
 * disabled (pthread_setcancelstate(3)), so that to cancel the worker does nothing. */
typedef void (*defer_drop_fn)(void *object);

/*
 * Hands an object over, to be destroyed by destroy(object) in the background.
 *
 * object: passed on as it is, NULL too.
 * Threads: any, at any time, beside every other call; also from a destructor (a nested drop, which
 *   runs on the worker soon after the destructor that made it and never waits), from destructors of
 *   thread-specific data, and from atexit handlers.
 * Blocks: only while the thread's ring is full, for as long as that lasts (it spins for some
 *   microseconds, then sleeps, so that also a worker of less priority gets its CPU); and, in a
 *   thread that ends, from destructors of thread-specific data, until what it pushed before is
 *   destroyed. The first push of a thread takes a lock to find its lane, which fork(2) and
 *   defer_drop_start hold for a while; the first push after a quiet spell makes one system call to
 *   wake the worker; the first push of the process starts it.
 * Errors (the object is still the caller's):
 *   -EINVAL     destroy is NULL
 *   -ESHUTDOWN  the queue was shut down, by a call or by exit; so it is for every later push,
 *               unless an exit that was timed gave up
 *   -EAGAIN     the ring is full and the worker thread cannot be started (pthread_create(3))
 *   -ENOMEM     nested drops only: no memory to remember it
 * Ordering: the push happens before its destructor.
 */
DEFER_DROP_API int defer_drop(void *object, defer_drop_fn destroy);

/*
 * As defer_drop, but never waits for room.
 *
 * Errors, beside those of defer_drop: -EAGAIN where it would have to wait.
 */
DEFER_DROP_API int defer_drop_try(void *object, defer_drop_fn destroy);

/*
 * As defer_drop, but waits for room at most so long. A timeout of 0 looks once.
 *
 * Errors, beside those of defer_drop:
 *   -ETIMEDOUT  there was no room all the while
 *   -EOVERFLOW  timeout_ns lies above DEFER_DROP_TIMEOUT_MAX and is not DEFER_DROP_FOREVER
 */
DEFER_DROP_API int defer_drop_timed(void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/*
 * As defer_drop, but the destructor runs after a grace period: when every read-side critical
 * section of liburcu's that was running at the push has ended. The object must be out of reach of
 * readers who come later, as for call_rcu(3).
 *
 * Order holds across both kinds: what this thread drops afterwards waits behind it, what others
 * drop does not.
 *
 * Blocks: as defer_drop; for a grace period only where the ring is full of drops that wait for one.
 *   Grace periods have a thread of their own; where none can be started the worker waits for them,
 *   or who drains and has no deadline, and destroys nothing else meanwhile.
 * Errors, beside those of defer_drop:
 *   -ENOTSUP  the library was built without liburcu; or this is the child of a fork whose parent
 *             had waited for grace periods: liburcu does not survive fork, but for its bp flavor,
 *             of which the program calls urcu_bp_before_fork and its companions
 *   -EDEADLK  it would have to wait for room inside a read-side critical section
 */
DEFER_DROP_API int defer_drop_rcu(void *object, defer_drop_fn destroy);

/*
 * Waits until every drop pushed before this call has been destroyed, nested drops included.
 *
 * "Before" is what happened before this call: the caller's own pushes, and those of threads that
 * the caller synchronised with. Later pushes do not prolong it.
 *
 * Threads: any, beside every other call.
 * Blocks: until those destructors have returned.
 * Errors:
 *   -EDEADLK    called by a destructor, or inside a read-side critical section (see above)
 *   -ESHUTDOWN  the queue was shut down; the shutdown's report tells what was left
 *   -EAGAIN     drops are pending and the worker thread cannot be started
 * Ordering: everything those destructors did is visible after 0.
 */
DEFER_DROP_API int defer_drop_flush(void);

/*
 * As defer_drop_flush, but waits at most so long. A timeout of 0 looks once.
 *
 * Errors, beside those of defer_drop_flush:
 *   -ETIMEDOUT  some are still pending; nothing was lost
 *   -EOVERFLOW  as for defer_drop_timed
 */
DEFER_DROP_API int defer_drop_flush_timed(uint64_t timeout_ns);

/*
 * Closes the default queue, destroys everything that was pushed, and ends the worker.
 *
 * The same as defer_drop_queue_shutdown on the default queue, draining, with no report. Calling it
 * is optional: at exit the configured policy (by default, to drain) runs by itself.
 */
DEFER_DROP_API int defer_drop_shutdown(void);

/* ---- Configuration -------------------------------------------------------------------------- */

struct defer_drop_queue;  /* opaque */
struct rcu_flavor_struct; /* liburcu's, <urcu/flavor.h> */

/* Destroys an object that this can fail for: 0, or what went wrong as a negative errno. */
typedef int (*defer_drop_status_fn)(void *object);

/* A drop that was destroyed with a status that is not 0, or whose completion could not be told. */
struct defer_drop_failure {
	void *object;                        /* destroyed: an address, nothing more */
	defer_drop_fn destroy;               /* its destructor is this one, */
	defer_drop_status_fn destroy_status; /* or this one; the other is NULL */
	int status; /* what the destructor returned; or, from write(2) to the eventfd, -EBADF ... */
};

/* What is pending in a queue. */
struct defer_drop_level {
	uint64_t backlog;       /* drops */
	uint64_t backlog_bytes; /* that they said they hold */
	int is_high;            /* 1: above a high mark; 0: below the low ones again */
};

/*
 * Told of each failure, and of each crossing of a watermark. Both run where destructors run,
 * between two of them; what they may do is what a destructor may, except that the latter may not
 * push to the queue that it watches (-EDEADLK). context is that of the configuration.
 */
typedef void (*defer_drop_error_fn)(void *context, const struct defer_drop_failure *failure);
typedef void (*defer_drop_watermark_fn)(void *context, const struct defer_drop_level *level);

/* A destructor that has been running for watchdog_ns. */
struct defer_drop_slow {
	void *object;                        /* half destroyed: an address, nothing more */
	defer_drop_fn destroy;               /* the destructor is this one, */
	defer_drop_status_fn destroy_status; /* or this one; the other is NULL */
	/* Its symbol, where dladdr(3) finds one (a static function has none there), else
	 * file+offset, as addr2line(1) takes it. Valid during the call. */
	const char *name;
	uint64_t running_ns; /* at least: the watchdog may have seen it late, see watchdog_ns */
	uint64_t backlog;    /* drops that are pending in the queue beside it */
};

/*
 * Told of each destructor that has run for watchdog_ns, and again whenever its running time has
 * doubled since. context is that of the configuration.
 *
 * Threads: called by the watchdog, a thread of the queue's own, with all signals blocked, beside
 *   the destructor, which may return meanwhile. It may push, and may end the process: abort(3)
 *   leaves the destructor's stack in the core.
 * Blocks: nothing else of its queue is reported until it returns, and a shutdown waits for that.
 *   Where it waits for the queue (a flush, a push for room) it waits for the destructor; shutting
 *   the queue down answers -EDEADLK there. In a child that it forks it may not return.
 */
typedef void (*defer_drop_watchdog_fn)(void *context, const struct defer_drop_slow *slow);

/* Who runs the destructors of a queue. */
enum defer_drop_runner {
	DEFER_DROP_RUNNER_DEFAULT = 0, /* the worker */
	DEFER_DROP_RUNNER_WORKER = 1,  /* a thread of the queue's own */
	DEFER_DROP_RUNNER_CALLER = 2,  /* whoever calls drain, flush, wait or shutdown */
};

/* What becomes of the drops that are pending when the process exits. */
enum defer_drop_at_exit {
	DEFER_DROP_AT_EXIT_DEFAULT = 0, /* drain */
	DEFER_DROP_AT_EXIT_DRAIN = 1,   /* destroy all, and wait for the readers of grace periods */
	/* Destroy for exit_timeout_ns, and say on stderr what is left. Where a destructor is still
	 * running then, exit handlers that push while there is room are answered 0, and it is lost. */
	DEFER_DROP_AT_EXIT_TIMED = 2,
	DEFER_DROP_AT_EXIT_ABANDON = 3, /* wait for the destructor that is running, and no more */
};

/*
 * What becomes, in a forked child, of the drops that were pending in the parent. Queues that the
 * parent had begun to shut down, by exit too, are shut down in the child, with none. Of a watermark
 * the child has been told what the parent was: it goes on from that level.
 */
enum defer_drop_at_fork {
	DEFER_DROP_AT_FORK_DEFAULT = 0, /* empty */
	DEFER_DROP_AT_FORK_EMPTY = 1,   /* they are the parent's: the child starts with none */
	/* The child destroys its copies too, but for what had begun to be destroyed; completions
	 * are the parent's alone, and so is what a guard waits for. */
	DEFER_DROP_AT_FORK_KEEP = 2,
};

/* How the kernel schedules the worker (sched(7)). */
enum defer_drop_scheduling {
	DEFER_DROP_SCHEDULING_DEFAULT = 0, /* as the thread that starts it; but BATCH where that is
					    * OTHER, so that the worker does not take the CPU from
					    * who wakes it */
	DEFER_DROP_SCHEDULING_OTHER = 1,
	DEFER_DROP_SCHEDULING_BATCH = 2,
	DEFER_DROP_SCHEDULING_IDLE = 3,
	DEFER_DROP_SCHEDULING_FIFO = 4, /* with scheduling_priority; needs CAP_SYS_NICE */
	DEFER_DROP_SCHEDULING_RR = 5,   /* likewise */
};

/* max_lanes: no lanes of their own for threads, all push to the shared lane. */
#define DEFER_DROP_NO_LANES UINT32_MAX
/* quiet_spell_ns: the worker never goes to deep sleep; it naps. */
#define DEFER_DROP_NEVER UINT64_MAX

/*
 * How a queue is set up. Begin with DEFER_DROP_CONFIG_INIT; a field left 0 means the built-in
 * value, given in brackets.
 *
 * The struct grows at its end: size tells the library which of its versions the caller was compiled
 * with, and fields it does not have mean their built-in value.
 */
struct defer_drop_config {
	size_t size; /* sizeof(struct defer_drop_config) */

	/* Drops per lane, a power of two in 2..16777216 [Meson option queue_size]. */
	uint32_t queue_size;
	/* Lanes owned by a thread each, 1..1024, or DEFER_DROP_NO_LANES. Threads beyond that share
	 * one lane [Meson option max_lanes]. */
	uint32_t max_lanes;

	/* 1 to 15 bytes (pthread_setname_np(3)) ["defer_drop"]. */
	const char *worker_name;
	/* CPUs the worker may run on, as "0-3,6" [those of the starter]. */
	const char *cpus;

	/* enum defer_drop_scheduling. */
	uint32_t scheduling;
	/* 1..99, with FIFO and RR only. */
	uint32_t scheduling_priority;
	/* -20..19, the worker's own; 0 means the starter's. */
	int32_t niceness;

	uint32_t runner;  /* enum defer_drop_runner */
	uint32_t at_exit; /* enum defer_drop_at_exit */
	uint32_t at_fork; /* enum defer_drop_at_fork */

	/* 1..DEFER_DROP_TIMEOUT_MAX, with DEFER_DROP_AT_EXIT_TIMED only. */
	uint64_t exit_timeout_ns;
	/* Of the worker: PTHREAD_STACK_MIN..4294967296 [the system's]. */
	uint64_t stack_size_bytes;
	/* Without drops for so long, the worker sleeps until it is woken:
	 * 1000000..DEFER_DROP_TIMEOUT_MAX or DEFER_DROP_NEVER [100000000, 100 ms]. */
	uint64_t quiet_spell_ns;
	/* Until then it looks at least this often: 1000..1000000000 [1000000, 1 ms]. */
	uint64_t longest_nap_ns;

	/* What pending drops may hold together, as they say themselves, 1..2^62 [2^62]. A push
	 * beyond that waits as for room in the ring; one alone may be larger. */
	uint64_t max_bytes;
	/* watermark is told when more than high_drops or high_bytes are pending, and when no more
	 * than the low mark of each is; 1..2^62, low below high [low: half of high; high: no mark],
	 * with watermark only. */
	uint64_t high_drops;
	uint64_t low_drops;
	uint64_t high_bytes;
	uint64_t low_bytes;
	/* Between two of these calls lies at least: 1000..2^62 [10000000, 10 ms]; the last call
	 * before the worker sleeps, or when a caller has drained all, may come sooner. */
	uint64_t watermark_interval_ns;
	defer_drop_watermark_fn watermark;
	/* Without it the queue's first failure that has no completion to go to is reported on stderr;
	 * all are counted. */
	defer_drop_error_fn error;
	void *context;
	/* Of which liburcu grace periods are: &rcu_flavor of the urcu header in use [that of
	 * <urcu/urcu-memb.h>]. Given, the worker is its reader from the start, else from the first
	 * drop after a grace period on: then destructors may enter read-side critical sections.
	 * Whoever drains a queue must be a reader by itself. -ENOTSUP in a build without liburcu.
	 */
	const struct rcu_flavor_struct *rcu_flavor;

	/* A destructor that runs for so long is reported, at the latest when it has run for a quarter
	 * more and the watchdog has got a CPU; never one that returned before:
	 * 1000000..DEFER_DROP_TIMEOUT_MAX [0, no watchdog]. The watchdog wakes up four times in it,
	 * until the worker sleeps for good or nobody drains; then it sleeps as well. To find the name
	 * it takes a lock of the dynamic linker's: it waits for a destructor inside dlclose(3). */
	uint64_t watchdog_ns;
	/* Without it a line on stderr; without watchdog_ns it is not called. */
	defer_drop_watchdog_fn watchdog;
};

#define DEFER_DROP_CONFIG_INIT                                                                    \
	{                                                                                         \
		sizeof(struct defer_drop_config), 0, 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
			0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, NULL                         \
	}

/*
 * Sets the default queue up and starts its worker. Optional, before the first use: a queue that
 * sets itself up has the built-in values, and a worker that does without cpus, scheduling or
 * niceness where they cannot be had, and says so on stderr.
 *
 * config: NULL means all built-in values. The environment variable DEFER_DROP_OPTIONS, as in
 *   "queue_size=8192,at_exit=abandon", overrides it, whether this is called or not: names are those
 *   of the fields, choices are written as worker, caller, drain, timed, abandon, empty, keep,
 *   other, batch, idle, fifo, rr, never and none. A wrong name or value is reported on stderr with
 *   what is accepted, when the queue is set up, and leaves the value as it was. It is ignored in
 *   set-user-ID programs (secure_getenv(3)).
 * Threads: any. Asking again for the values in force answers 0.
 * Blocks: until the worker runs.
 * Errors (nothing was changed):
 *   -EINVAL     a field is out of its range, cpus names no CPU that exists, or size is smaller than
 *               that of the struct's first version
 *   -E2BIG      config is of a later version and uses what this library does not know
 *   -EALREADY   the queue is in use with other values
 *   -EAGAIN, -EPERM  the worker cannot be started, or not so (pthread_create(3),
 *               sched_setscheduler(2), setpriority(2)), or its watchdog cannot; -EINVAL where cpus
 *               names only CPUs that are offline or not ours
 *   -ENOMEM     no memory for the rings
 *   -ENOTSUP    rcu_flavor is given, and the library was built without liburcu
 *   -ESHUTDOWN  the queue was shut down, or the process is exiting
 */
DEFER_DROP_API int defer_drop_start(const struct defer_drop_config *config);

/* ---- Queues: lanes, one worker (or a caller who drains), limits ------------------------------ */

/*
 * The default queue, for the calls below. Never NULL, never freed.
 */
DEFER_DROP_API struct defer_drop_queue *defer_drop_queue_default(void);

/*
 * Makes a queue beside the default one, and starts its worker unless runner says the caller drains.
 *
 * queue: where to put it; untouched on error.
 * config: as for defer_drop_start; DEFER_DROP_OPTIONS does not apply.
 * Threads: any.
 * Blocks: until the worker runs.
 * Errors: as defer_drop_start, except -EALREADY; -EINVAL also where queue is NULL.
 */
DEFER_DROP_API int defer_drop_queue_create(
	struct defer_drop_queue **queue, const struct defer_drop_config *config);

/*
 * Gives a queue's memory back. It must have been shut down, and no other call on it may be running
 * or follow; threads that pushed to it may live on. The default queue is never freed.
 *
 * Errors (nothing was changed):
 *   -EINVAL   queue is NULL or the default one
 *   -EBUSY    it has not been shut down
 */
DEFER_DROP_API int defer_drop_queue_free(struct defer_drop_queue *queue);

/*
 * defer_drop, defer_drop_try, defer_drop_timed, to a queue.
 *
 * Where the caller drains, a waiting push waits for somebody to drain: a program of one thread
 * uses try.
 *
 * Errors: as the short calls; -EINVAL also where queue is NULL.
 */
DEFER_DROP_API int defer_drop_queue_push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy);
DEFER_DROP_API int defer_drop_queue_push_try(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy);
DEFER_DROP_API int defer_drop_queue_push_timed(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/*
 * As defer_drop_flush_timed, on a queue. Where the caller drains, this call drains.
 *
 * Errors: as defer_drop_flush_timed, and
 *   -EINVAL  queue is NULL
 *   -ESTALE  the caller drains, a destructor forked, and this is the child
 */
DEFER_DROP_API int defer_drop_queue_flush(struct defer_drop_queue *queue, uint64_t timeout_ns);

/* What a drain did. */
struct defer_drop_drained {
	uint64_t ran_total; /* drops destroyed by this call, nested ones not counted */
	uint64_t remaining; /* drops pending when it returned */
};

/*
 * Runs destructors on the calling thread, within a budget. For queues that the caller drains.
 *
 * max_drops: stop after so many; 0 runs none.
 * budget_ns: start no further destructor once so much time has passed. A timeout as above.
 * drained: what was done, also on -EBUSY; may be NULL.
 * Threads: any, one at a time.
 * Blocks: for what the destructors take; never for another thread.
 * Errors:
 *   -EINVAL     queue is NULL, or has a worker
 *   -EBUSY      another thread is draining it
 *   -EDEADLK    called by a destructor that the queue runs
 *   -EOVERFLOW  as for defer_drop_timed
 *   -ESHUTDOWN  the queue was shut down
 */
DEFER_DROP_API int defer_drop_queue_drain(struct defer_drop_queue *queue, uint64_t max_drops,
	uint64_t budget_ns, struct defer_drop_drained *drained);

/* How a shutdown treats what is pending. */
enum defer_drop_shutdown_mode {
	DEFER_DROP_SHUTDOWN_DRAIN = 0,   /* destroy all */
	DEFER_DROP_SHUTDOWN_TIMED = 1,   /* start no further destructor after timeout_ns */
	DEFER_DROP_SHUTDOWN_ABANDON = 2, /* start no further destructor */
};

/* What became of a queue's drops, over its whole life. */
struct defer_drop_report {
	uint64_t destroyed_total;
	uint64_t left_total; /* accepted and abandoned, nested ones included; their objects leak */
};

/*
 * Closes a queue, deals with what is pending, and joins the worker. Idempotent.
 *
 * Every push that answers 0 is either destroyed or counted as left; every other answers -ESHUTDOWN
 * and keeps its object. Concurrent and later callers all wait for the end and get the same report;
 * the strictest of their modes wins.
 *
 * mode: enum defer_drop_shutdown_mode. timeout_ns: with DEFER_DROP_SHUTDOWN_TIMED, else 0.
 * report: may be NULL.
 * Threads: any.
 * Blocks: until the destructors that are still to run, and the one that is running, have returned.
 * Errors:
 *   -EINVAL     queue is NULL, mode is unknown, or timeout_ns is given where it means nothing
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs, or by its watchdog
 *   -ETIMEDOUT  mode was timed and some drops were left; the queue is shut down all the same
 * Ordering: everything the destructors did is visible afterwards.
 */
DEFER_DROP_API int defer_drop_queue_shutdown(struct defer_drop_queue *queue, uint32_t mode,
	uint64_t timeout_ns, struct defer_drop_report *report);

/*
 * The configuration in force, every built-in value filled in.
 *
 * config: its size field says how much to fill in. Strings live as long as the queue.
 * Errors: -EINVAL where queue or config is NULL or config->size is smaller than the
 *   first version's; where the default queue was not used yet, -ENOMEM if it cannot be set up and
 *   -ESHUTDOWN if the process is exiting.
 */
DEFER_DROP_API int defer_drop_queue_config(
	struct defer_drop_queue *queue, struct defer_drop_config *config);

/* ---- Tickets: "this drop" -------------------------------------------------------------------- */

/*
 * Names a drop, or everything a thread has pushed up to a point. A value: copy it freely. Good
 * until its queue is freed; not good in a forked child.
 */
struct defer_drop_ticket {
	struct defer_drop_queue *queue;
	uint64_t position;
	uint32_t lane;
	uint32_t generation;
};

/*
 * A push that returns the drop's ticket.
 *
 * timeout_ns: how long to wait for room; 0 looks once.
 * ticket: filled in on success only.
 * Errors: as defer_drop_timed; -EINVAL also where queue or ticket is NULL.
 *   A nested drop's ticket is that of the drop whose destructor made it.
 */
DEFER_DROP_API int defer_drop_queue_push_ticket(struct defer_drop_queue *queue, void *object,
	defer_drop_fn destroy, uint64_t timeout_ns, struct defer_drop_ticket *ticket);

/*
 * A ticket for everything that the calling thread has pushed to a queue so far: a flush that does
 * not block, for event loops. Where the thread pushes to the shared lane it covers that whole lane.
 *
 * Errors:
 *   -EINVAL     queue or ticket is NULL
 *   -EDEADLK    called by a destructor that the queue runs: its own drop cannot be done before it
 *               returns
 *   -ENOMEM     the default queue was not used yet and cannot be set up
 *   -ESHUTDOWN  the default queue was not used yet and the process is exiting
 */
DEFER_DROP_API int defer_drop_queue_ticket(
	struct defer_drop_queue *queue, struct defer_drop_ticket *ticket);

/*
 * Has it been destroyed?
 *
 * Returns 0 where it has, and
 *   -EINPROGRESS  not yet
 *   -ESHUTDOWN    never: the queue was shut down before its turn came
 *   -ESTALE       the ticket is from before a fork
 *   -EINVAL       ticket is NULL, or names no queue or no lane of it. A position that no push
 *                 returned is not noticed
 * Blocks: never. Ordering: what the destructor did is visible after 0.
 */
DEFER_DROP_API int defer_drop_ticket_poll(const struct defer_drop_ticket *ticket);

/*
 * Waits until it has been destroyed. Where the caller drains, this call drains.
 *
 * Errors: as defer_drop_ticket_poll except -EINPROGRESS, and
 *   -ETIMEDOUT  not yet; a timeout of 0 looks once
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs
 *   -EAGAIN     the worker thread cannot be started
 *   -ESTALE     also where the caller drains, a destructor forked, and this is the child
 */
DEFER_DROP_API int defer_drop_ticket_wait(
	const struct defer_drop_ticket *ticket, uint64_t timeout_ns);

/*
 * Adds 1 to an eventfd(2) when it has been destroyed or abandoned; at once where it has been
 * already.
 *
 * eventfd: the library keeps a duplicate until then, so that the caller may close its own. Whether
 *   it is an eventfd is not checked: 8 bytes are written to whatever it is, if it can take them
 *   at once.
 * Errors (the eventfd will not be signalled):
 *   -ESTALE, -EINVAL  as defer_drop_ticket_poll
 *   -EBADF, -EMFILE   eventfd cannot be duplicated (dup(2))
 *   -EAGAIN           the worker thread cannot be started
 *   -ENOMEM           no memory to remember it
 */
DEFER_DROP_API int defer_drop_ticket_notify(const struct defer_drop_ticket *ticket, int eventfd);

/* ---- Drops with options ---------------------------------------------------------------------- */

enum defer_drop_flags {
	DEFER_DROP_AFTER_GRACE_PERIOD = 1 << 0, /* as defer_drop_rcu */
};

/* bytes lies below this: 2^48. */
#define DEFER_DROP_BYTES_END (UINT64_C(1) << 48)

/*
 * Tells when drops have been destroyed, and with which status. The caller's, wherever it likes; it
 * serves one push at a time. From that push until a poll or a wait answered that it is over it may
 * not be touched, copied or freed; afterwards it may be used again. Other threads may poll it or
 * wait for it once the push has returned.
 */
struct defer_drop_completion {
	/* An eventfd(2) to which 1 is added when it is over, or -1. It must stay open until then;
	 * one that cannot be written to is a failure (defer_drop_error_fn). */
	int32_t eventfd;

	/* The library's own. */
	uint32_t state;
	uint32_t left;
	int32_t status;
	int32_t outcome;
	uint32_t generation;
	struct defer_drop_queue *queue;
	void *lane;
};

#define DEFER_DROP_COMPLETION_INIT            \
	{                                     \
		-1, 0, 0, 0, 0, 0, NULL, NULL \
	}

/*
 * What a drop asks for. Begin with DEFER_DROP_OPTIONS_INIT, which asks for nothing. A drop that
 * counts bytes, has a status or a completion takes two places in its ring; a grace period alone
 * takes none beside its own.
 *
 * The struct grows at its end, as struct defer_drop_config does.
 */
struct defer_drop_options {
	size_t size; /* sizeof(struct defer_drop_options) */

	uint64_t bytes; /* that the object holds, for max_bytes: 0..DEFER_DROP_BYTES_END-1 */
	uint32_t flags; /* enum defer_drop_flags, added up */

	defer_drop_status_fn destroy_status;      /* instead of destroy, which is NULL then */
	struct defer_drop_completion *completion; /* NULL: nobody wants to know */
	struct defer_drop_ticket *ticket;         /* filled in on success; NULL: none wanted */
};

#define DEFER_DROP_OPTIONS_INIT                                           \
	{                                                                 \
		sizeof(struct defer_drop_options), 0, 0, NULL, NULL, NULL \
	}

/*
 * The push that does everything, to the default queue or another one.
 *
 * timeout_ns: how long to wait for room in the ring and in the byte budget; 0 looks once.
 * options: NULL asks for nothing. Read before the call returns, but for the completion.
 * Threads, Blocks: as defer_drop. A nested drop never waits, also where it exceeds the budget.
 * Errors, beside those of defer_drop_timed (the object is still the caller's, the completion
 * unused):
 *   -EINVAL     not just one of destroy and destroy_status; an unknown flag; size smaller than that
 *               of the first version; eventfd below -1
 *   -E2BIG      options is of a later version and uses what this library does not know
 *   -EOVERFLOW  also bytes too large
 *   -EBUSY      the completion serves another push that is not over
 *   -ENOTSUP, -EDEADLK  as for defer_drop_rcu; -EDEADLK also where it would have to wait for the
 *               budget so
 */
DEFER_DROP_API int defer_drop_with(void *object, defer_drop_fn destroy, uint64_t timeout_ns,
	const struct defer_drop_options *options);
DEFER_DROP_API int defer_drop_queue_push_with(struct defer_drop_queue *queue, void *object,
	defer_drop_fn destroy, uint64_t timeout_ns, const struct defer_drop_options *options);

/*
 * Pushes many objects, in order. One completion counts them all and keeps the first status that is
 * not 0.
 *
 * objects: the array may be freed when the call returns. count: 0..2147483647; with 0 the
 *   completion is over at once.
 * options: for each of them; the ticket is that of the last.
 * pushed: how many were, also on error; may be NULL.
 * Errors: as defer_drop_queue_push_with, and
 *   -EINVAL     queue, or objects with a count, is NULL
 *   -EOVERFLOW  also count too large
 *   On error the first *pushed objects are the library's, and the completion is in use for them
 *   alone (if none was pushed, it is unused); the others are still the caller's.
 */
DEFER_DROP_API int defer_drop_queue_push_many(struct defer_drop_queue *queue, void *const *objects,
	size_t count, defer_drop_fn destroy, uint64_t timeout_ns,
	const struct defer_drop_options *options, size_t *pushed);

/*
 * Are all its drops destroyed?
 *
 * status: the first that was not 0, or 0; set where the answer is 0 or -ESHUTDOWN; may be NULL.
 * Returns 0 where they are, and
 *   -EINPROGRESS  not yet
 *   -ESHUTDOWN    they are, or never will be: the queue was shut down before the turn of some
 *   -ESTALE       a fork came between: completions are not the child's
 *   -EINVAL       completion is NULL or was never used
 * Blocks: for the moment that the worker takes from its write to the eventfd to its leaving the
 *   completion alone. Ordering: what the destructors did is visible after 0.
 */
DEFER_DROP_API int defer_drop_completion_poll(
	struct defer_drop_completion *completion, int *status);

/*
 * Waits until all its drops are destroyed. Where the caller drains, this call drains.
 *
 * Threads: any, also several.
 * Errors: as defer_drop_completion_poll except -EINPROGRESS, and those that defer_drop_ticket_wait
 *   adds; after -ETIMEDOUT, -EDEADLK and -EAGAIN it is still in use. -EDEADLK also inside a
 *   read-side critical section.
 */
DEFER_DROP_API int defer_drop_completion_wait(
	struct defer_drop_completion *completion, uint64_t timeout_ns, int *status);

/*
 * Waits until no more than so many drops, holding no more than so many bytes, are pending: for who
 * produces in bulk. UINT64_MAX means any number. Where the caller drains, this call drains.
 *
 * Errors: as defer_drop_queue_flush. Ordering: none; it is a hint, true for a moment.
 */
DEFER_DROP_API int defer_drop_queue_wait_backlog(struct defer_drop_queue *queue, uint64_t max_drops,
	uint64_t max_bytes, uint64_t timeout_ns);

/* ---- Statistics ------------------------------------------------------------------------------ */

/*
 * Counters since the queue began (in a forked child: since the fork). Taken without locks while the
 * queue runs, each is exact and they are read one after the other; once nobody pushes and a flush
 * has returned they agree: pushed = destroyed + abandoned + backlog. A push that waits for ever for
 * room in the shared lane may count as pushed, where it has its place in it.
 */
struct defer_drop_stats {
	size_t size; /* sizeof(struct defer_drop_stats), set by the caller */

	uint64_t pushed_total;    /* accepted, nested included */
	uint64_t destroyed_total; /* destructors returned, nested included */
	uint64_t refused_total;   /* pushes that found no room, a closed queue or no worker */
	uint64_t abandoned_total; /* accepted, never to be destroyed */
	uint64_t nested_total;    /* pushed by destructors; of a queue, 0 for a lane */

	uint64_t waits_total;   /* times that a push found its ring full and waited */
	uint64_t wait_ns_total; /* time spent so; for the byte budget too */

	/* Of a queue, 0 for a lane: */
	uint64_t wakes_total;       /* calls that woke the worker, by pushes and waits */
	uint64_t naps_total;        /* short timed sleeps of the worker */
	uint64_t deep_sleeps_total; /* sleeps until woken, the present one included */

	uint64_t backlog; /* pending now */
	/* Most pending that was seen at a look. The worker looks when it wakes up and when much was
	 * pending; a caller, each time it drains. */
	uint64_t highest_backlog;

	uint32_t lanes; /* of a queue: lanes in existence, the shared one included */

	/* Of a queue, 0 for a lane: */
	uint64_t backlog_bytes; /* what pending drops said they hold */
	/* Failures, see struct defer_drop_failure; and eventfds that a defer_drop_queue_push_many
	 * could not tell. */
	uint64_t failed_total;
	uint64_t grace_periods_total; /* waited for */
	uint64_t slow_total;          /* destructors that ran for watchdog_ns */
};

#define DEFER_DROP_STATS_INIT                                                                      \
	{                                                                                          \
		sizeof(struct defer_drop_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}

/*
 * Statistics of a queue.
 *
 * Threads: any. Blocks: never.
 * Errors: -EINVAL where queue or stats is NULL or stats->size is smaller than the first version's.
 */
DEFER_DROP_API int defer_drop_queue_stats(
	struct defer_drop_queue *queue, struct defer_drop_stats *stats);

/*
 * Statistics of one lane: 0 is the shared one, then those owned by threads in order of making.
 *
 * Errors: as defer_drop_queue_stats; -ENOENT where there is no such lane.
 */
DEFER_DROP_API int defer_drop_queue_lane_stats(
	struct defer_drop_queue *queue, uint32_t lane, struct defer_drop_stats *stats);

/*
 * The version of the library that runs, comparable with DEFER_DROP_VERSION.
 */
DEFER_DROP_API uint32_t defer_drop_version(void);

#ifdef __cplusplus
}
#endif

#endif
