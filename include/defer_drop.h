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
 * That is the whole library for most programs: it starts itself at the first push and destroys what
 * is left at exit. Most readers can stop after the section "The short calls".
 *
 * All calls, by family. A name is defer_drop, the noun of its family, and a verb: what begins with
 * _ here follows the noun. Handles come first among the arguments, then the object and its
 * destructor, then the timeout, then what is filled in.
 *
 *   defer_drop(object, destroy)                pushes to the default queue; waits for room
 *     _try, _timed, _rcu, _bytes, _with        no wait; a deadline; after a grace period; with the
 *                                              bytes that the object holds; with options
 *     _flush, _flush_timed, _shutdown          wait for what was pushed; close and destroy all
 *     _start, _version                         set up the default queue; the library's version
 *   defer_drop_config_init, _built_in, _check  the built-in values; what is wrong with a
 *                                              configuration
 *   defer_drop_queue_default, _create, _free   the queues of a process
 *     _push, _push_with, _push_many            push: one drop; with options; many, with options
 *     _flush, _wait_backlog, _drain            wait until all is destroyed, or until little is
 *                                              pending; destroy on the calling thread
 *     _stop, _start, _shutdown                 end the queue's threads for a while; start them
 *                                              again; close the queue
 *     _attach, _ticket                         reserve this thread's lane; a ticket for all that
 *                                              this thread has pushed
 *     _backlog, _stats, _lane_stats            how many drops are pending; all counters
 *     _config, _set_max_bytes                  the configuration in force; the one value that can
 *                                              be changed
 *     _end                                     shut down and free, as a destructor (strategy.h)
 *   defer_drop_ticket_wait, _notify            "this drop": wait for it; have an eventfd signalled
 *   defer_drop_completion_wait                 the end and the status of drops with a completion
 *   defer_drop_report_handle                   where the lines go that the library has to say
 *
 *   <defer_drop/strategy.h>: how an object is destroyed, by a pointer
 *   defer_drop_by                              drops by a strategy
 *   defer_drop_strategy_worker, _rcu           ready-made: the default queue
 *     _in_place, _leak, _thread                now; never; a thread for each
 *     _queue_init, _executor_init, _trace_init made: a queue; somebody's executor; a trace
 *   defer_drop_trace_print                     prints a line for a trace
 *   <defer_drop/guard.h>: an object that is dropped once, however its scope is left
 *   defer_drop_guard_drop, _drop_on_error      drop it; only if something went wrong
 *     _disarm, _retarget, _leave               take it back; change the strategy; end the scope
 *     _await, _must_close                      wait for several; report it if it is forgotten
 *     _state, _is_armed, _is_pending           where it stands
 *     _object, _status                         what it guards; how it ended
 *   defer_drop_trouble_handle, _abort          who hears of what no call can return
 *   <defer_drop/ref.h>: an object that its last user drops
 *   defer_drop_ref_init, _get, _get_many       the first reference; more
 *     _put, _put_many                          give references back
 *     _take, _retarget                         take the object back; change the strategy
 *     _is_unique, _count                       whether there is one; how many there are
 *   <defer_drop/pool.h>: memory that comes home
 *   defer_drop_pool_take, _give                a block of a pool, instead of malloc(3) and free(3)
 *     _create, _free, _trim, _stats            pools; give blocks at rest back; all counters
 *     _config_init, _config_built_in           the built-in values
 *   defer_drop_classes_take, _give             a block of any size, of a set of pools
 *     _create, _free, _trim, _stats            sets of pools
 *
 * The rules of all calls:
 *
 * - A call that can fail returns 0 or a negative errno. A call that returns 0 leaves errno as it
 *   was.
 * - Each error has one meaning:
 *     -EINVAL     an argument is NULL, unknown or out of its range
 *     -EAGAIN     the call would have to wait, and was told not to: it is a _try, or its timeout
 *                 is 0, which looks once
 *     -ETIMEDOUT  the call has waited until its timeout was over, in vain
 *     -ESRCH      a thread that the queue needs cannot be started (pthread_create(3)); the next
 *                 call tries again
 *     -ESHUTDOWN  the queue was shut down, by a call or by exit
 *     -ECANCELED  the queue was given up while a destructor was running, which may still end: see
 *                 defer_drop_queue_shutdown
 *     -EDEADLK    the call would wait for the thread that makes it
 *     -EBUSY      another call is using the thing
 *     -ESTALE     the thing is from before a fork, or its queue has been freed
 *     -EOVERFLOW  a timeout, a size or a count is too large
 *     -E2BIG      a struct of a later version asks for what this library does not know
 *     -ENOSPC     no lane of its own is left for the thread
 *     -EALREADY   the default queue is in use with other values
 *     -EPERM      the process may not do that (sched_setscheduler(2), setpriority(2))
 *     -ENOENT     there is no such lane
 *     -EBADF, -EMFILE  an eventfd cannot be duplicated
 *     -ENOTSUP    the library was built without that, or the process cannot have it
 *     -ENOMEM     no memory
 * - A timeout is in nanoseconds of CLOCK_MONOTONIC, 0..DEFER_DROP_TIMEOUT_MAX, or
 *   DEFER_DROP_FOREVER; anything between the two overflows and returns -EOVERFLOW. It counts from
 *   the beginning of the call, and once per call.
 * - A push that returns an error has not taken the object: it is still the caller's, and its
 *   destructor has not run and will not.
 * - Drops of one thread, pushed to one queue, are destroyed in its order. Across threads nothing is
 *   promised, even where the threads synchronise with each other.
 * - What a thread did before its push is visible to the destructor. What destructors did is visible
 *   after a flush or a wait that returned 0 for them.
 *
 * The rules of all programs:
 *
 * - Nothing here is async-signal-safe, and nothing may be called by the handlers of
 *   pthread_atfork(3).
 * - No call is a cancellation point (pthreads(7)), and a deferred cancellation waits until the call
 *   has returned. A thread whose cancelability type is asynchronous may call everything. Only the
 *   cancellation itself must not strike inside a call: it would leave the thread's lane, or a lock,
 *   half written for those who come later. So cancel such a thread asynchronously when the process
 *   is about to end (in a crash handler, say), or disable cancellation around the calls.
 * - A destructor must return: it may not longjmp away, throw or end its thread. One that ends its
 *   thread, or throws through a call that drains, aborts the process with a line that names it; one
 *   that throws on a worker ends in std::terminate. A jump out of a call that drains is found, and
 *   ends the same way, once the thread has overwritten the stack of that call; until then it is not
 *   seen, and its effect is undefined. A destructor may switch stacks (coroutines) and switch back.
 * - What a destructor changes of its thread (mask of signals, name, scheduling, locale, rounding)
 *   stays so for those after it. A call that drains leaves errno and the cancellation state as
 *   they were.
 * - Inside a read-side critical section of liburcu (with its QSBR flavor: in a thread that is
 *   online) nothing may wait for a queue that destroys after grace periods: neither a flush, nor a
 *   wait, nor a push for room. Where the library sees that, the call returns -EDEADLK instead.
 * - The shared library is never unloaded. With the static one inside a shared object, closing that
 *   object deals with what is pending as exit does. It does not unmap the lanes of its default
 *   queue, because other threads may still push: some 68 KiB for each thread that has pushed
 *   (measured with queue_size=4096). A plugin that is loaded again and again is better built with
 *   the shared library.
 * - Every call accepts a NULL queue, guard, reference or struct: it returns -EINVAL if it returns a
 *   status, NULL or 0 if it returns a pointer, a number or a claim, and else does nothing.
 *
 * Versions. The version is MAJOR.MINOR.PATCH, by the rules of semantic versioning (semver.org):
 *
 * - While MAJOR is 0, a new MINOR may change the interface: it has another SONAME
 *   (libdefer_drop.so.0.MINOR), so that a program keeps the library that it was built with. A new
 *   PATCH changes neither the interface nor its meaning.
 * - From 1.0 on, a new MINOR only adds, and the SONAME is libdefer_drop.so.MAJOR.
 * - A change of the ABI is: a symbol that goes or changes its type, a field that moves or changes
 *   its meaning, a constant that changes its value, an error that a call did not return before.
 * - Each release with new symbols has a symbol version node of its own, DEFER_DROP_MAJOR.MINOR.
 * - A struct that callers allocate and fill in begins with its size, or its version, and grows at
 *   its end. A struct that the library fills in says in size how much of it was filled in. A struct
 *   that cannot grow so has reserved fields, which stay 0. Begin each with its _INIT: then a field
 *   that this header does not know has its built-in value.
 * - Every build compares the ABI with the recorded one, and fails where they differ.
 */
#ifndef DEFER_DROP_H
#define DEFER_DROP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DEFER_DROP_VERSION_MAJOR 0
#define DEFER_DROP_VERSION_MINOR 2
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
 *   defer_drop_start hold for a while (see defer_drop_queue_attach); the first push after a quiet
 *   spell makes one system call to wake the worker; the first push of the process starts it.
 * Errors (the object is still the caller's):
 *   -EINVAL     destroy is NULL
 *   -ESHUTDOWN  the queue was shut down, and so it is for every later push
 *   -ESRCH      the ring is full and the worker cannot be started
 *   -ENOMEM     nested drops only: no memory to remember it
 * Ordering: the push happens before its destructor.
 */
DEFER_DROP_API int defer_drop(void *object, defer_drop_fn destroy);

/*
 * The push of defer_drop that never waits for room.
 *
 * Errors, beside those of defer_drop: -EAGAIN if there is no room.
 */
DEFER_DROP_API int defer_drop_try(void *object, defer_drop_fn destroy);

/*
 * The push of defer_drop that waits for room until its timeout is over.
 *
 * Errors, beside those of defer_drop:
 *   -EAGAIN     there is no room, and timeout_ns is 0
 *   -ETIMEDOUT  there was no room all the while
 *   -EOVERFLOW  timeout_ns lies above DEFER_DROP_TIMEOUT_MAX and is not DEFER_DROP_FOREVER
 */
DEFER_DROP_API int defer_drop_timed(void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/*
 * The push of defer_drop whose destructor runs after a grace period: when every read-side critical
 * section of liburcu's that was running at the push has ended. The object must be unreachable for
 * later readers, as for call_rcu(3).
 *
 * Order holds across both kinds: what this thread drops afterwards waits behind it, what other
 * threads drop does not.
 *
 * Blocks: as defer_drop; for a grace period only if the ring is full of drops that wait for one.
 *   Grace periods have a thread of their own; if none can be started, the worker waits for them, or
 *   the caller that drains without a deadline, and destroys nothing else meanwhile.
 * Errors, beside those of defer_drop:
 *   -ENOTSUP  the library was built without liburcu; or this is the child of a fork whose parent
 *             had waited for grace periods: liburcu does not survive fork, except for its bp
 *             flavor, of which the program calls urcu_bp_before_fork and its companions
 *   -EDEADLK  it would have to wait for room inside a read-side critical section
 */
DEFER_DROP_API int defer_drop_rcu(void *object, defer_drop_fn destroy);

/*
 * The push of defer_drop that says how much the object holds. A push beyond max_bytes of the
 * configuration waits for that budget as it waits for room in the ring. It takes two places in the
 * ring.
 *
 * bytes: 0..DEFER_DROP_BYTES_END-1; with 0 it is defer_drop.
 * Errors, beside those of defer_drop: -EOVERFLOW if bytes is too large.
 */
DEFER_DROP_API int defer_drop_bytes(void *object, defer_drop_fn destroy, uint64_t bytes);

/* bytes lies below this: 2^48. */
#define DEFER_DROP_BYTES_END (UINT64_C(1) << 48)

/*
 * Waits until every drop pushed before this call has been destroyed, nested drops included.
 *
 * "Before" is what happened before this call: the caller's own pushes, and those of threads that
 * the caller synchronised with. Later pushes do not prolong it.
 *
 * Threads: any, beside every other call.
 * Blocks: until those destructors have returned.
 * Errors:
 *   -EDEADLK    called by a destructor, whatever the timeout, since its own drop is not destroyed
 *               before it returns; or inside a read-side critical section (see above)
 *   -ESHUTDOWN  the queue was shut down; defer_drop_queue_stats says what was abandoned
 *   -ECANCELED  the queue was given up, and a destructor may still be running
 *   -ESRCH      drops are pending and the worker cannot be started
 * Ordering: everything those destructors did is visible after 0.
 */
DEFER_DROP_API int defer_drop_flush(void);

/*
 * The flush of defer_drop_flush that waits until its timeout is over.
 *
 * Errors, beside those of defer_drop_flush:
 *   -EAGAIN     some are pending, and timeout_ns is 0
 *   -ETIMEDOUT  some are still pending; nothing was lost
 *   -EOVERFLOW  as for defer_drop_timed
 */
DEFER_DROP_API int defer_drop_flush_timed(uint64_t timeout_ns);

/*
 * Closes the default queue, destroys everything that was pushed, and ends its threads.
 *
 * The same as defer_drop_queue_shutdown on the default queue with DEFER_DROP_FOREVER. Calling it is
 * optional: at exit the library does what the configuration says (by default, it destroys all).
 */
DEFER_DROP_API int defer_drop_shutdown(void);

/* ---- Configuration -------------------------------------------------------------------------- */

struct defer_drop_queue;  /* opaque */
struct rcu_flavor_struct; /* liburcu's, <urcu/flavor.h> */

/* Destroys an object that this can fail for: 0, or what went wrong as a negative errno. */
typedef int (*defer_drop_status_fn)(void *object);

/* Destroys an object with the help of a context: 0, or what went wrong as a negative errno. */
typedef int (*defer_drop_context_fn)(void *object, void *context);

/* A drop that was destroyed with a status that is not 0, or whose completion could not be told. */
struct defer_drop_failure {
	size_t size;  /* filled in by the library */
	void *object; /* destroyed: an address, nothing more */
	/* The destructor is one of these; the others are NULL. */
	defer_drop_fn destroy;
	defer_drop_status_fn destroy_status;
	defer_drop_context_fn destroy_context;
	int status; /* what the destructor returned; or, from write(2) to the eventfd, -EBADF ... */
};

/* What is pending in a queue. */
struct defer_drop_level {
	size_t size;            /* filled in by the library */
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
	size_t size;  /* filled in by the library */
	void *object; /* half destroyed: an address, nothing more */
	/* The destructor is one of these; the others are NULL. */
	defer_drop_fn destroy;
	defer_drop_status_fn destroy_status;
	defer_drop_context_fn destroy_context;
	/* Its symbol, if dladdr(3) finds one (a static function has none there), else
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
 * Blocks: nothing else of its queue is reported until it returns, and a shutdown waits for that. A
 *   flush or a waiting push in it blocks until the destructor returns; stopping or shutting the
 *   queue down returns -EDEADLK there. In a child that it forks it may not return.
 */
typedef void (*defer_drop_watchdog_fn)(void *context, const struct defer_drop_slow *slow);

/*
 * Called by each worker of the queue when it starts, before it runs a destructor: after the first
 * push or defer_drop_start, after defer_drop_queue_start, and in a forked child. There the program
 * makes the thread its own: it sets the mask of signals, the scheduling or the CPUs in its own way,
 * registers the thread with an interpreter, or keeps pthread_self(3), which is the way to the
 * worker's thread. context is that of the configuration.
 *
 * A crash handler that must stop the worker (to test memory, say) does so by a signal: here the
 * program unblocks one with pthread_sigmask(3), whose handler never returns (it calls pause(2) in a
 * loop), and the crash handler sends that with pthread_kill(3) to the thread that was kept. So the
 * worker stops also inside a destructor and asleep. It may hold a lock then: the crash handler
 * itself waits for nothing of the library's. pthread_cancel(3) has no effect: the worker has
 * cancellation disabled.
 *
 * Blocks: destructors wait for it; defer_drop_start and defer_drop_queue_create do not. It may not
 *   push to its queue, wait for it or shut it down (-EDEADLK), nor end the thread.
 */
typedef void (*defer_drop_worker_fn)(void *context);

/* Which threads run the destructors of a queue. */
enum defer_drop_runner {
	DEFER_DROP_RUNNER_DEFAULT = 0, /* the worker */
	DEFER_DROP_RUNNER_WORKER = 1,  /* a thread of the queue's own */
	/* Threads that call drain, flush, a wait or shutdown: all of these destroy what they wait
	 * for. For a program with one thread. A push never destroys. */
	DEFER_DROP_RUNNER_CALLER = 2,
	/* Threads that call drain or shutdown; flushes and waits wait for these. For destructors
	 * that must run on one thread, that of an event loop, while other threads wait. */
	DEFER_DROP_RUNNER_DRAINER = 3,
};

/*
 * What becomes, in a forked child, of the drops that were pending in the parent. Queues that the
 * parent had begun to shut down, by exit too, are shut down in the child, with none; queues that it
 * had stopped are stopped. The child starts from the watermark level that the parent
 * reported last.
 */
enum defer_drop_at_fork {
	DEFER_DROP_AT_FORK_DEFAULT = 0, /* empty */
	DEFER_DROP_AT_FORK_EMPTY = 1,   /* they are the parent's: the child starts with none */
	/* The child destroys its copies too, except for what had begun to be destroyed; completions
	 * are the parent's alone, and so is what a guard waits for. */
	DEFER_DROP_AT_FORK_KEEP = 2,
};

/* How the kernel schedules the worker (sched(7)). */
enum defer_drop_scheduling {
	DEFER_DROP_SCHEDULING_DEFAULT = 0, /* as the thread that starts it; but BATCH if that is
					    * OTHER, so that the worker does not take the CPU from
					    * the thread that wakes it */
	DEFER_DROP_SCHEDULING_OTHER = 1,
	DEFER_DROP_SCHEDULING_BATCH = 2,
	DEFER_DROP_SCHEDULING_IDLE = 3,
	DEFER_DROP_SCHEDULING_FIFO = 4, /* with scheduling_priority; needs CAP_SYS_NICE */
	DEFER_DROP_SCHEDULING_RR = 5,   /* with scheduling_priority; needs CAP_SYS_NICE */
};

/* exit_timeout_ns, low_drops, low_bytes: the program does not say. */
#define DEFER_DROP_UNSET (UINT64_MAX - 1)
/* niceness: that of the thread that starts the worker. */
#define DEFER_DROP_NICENESS_INHERITED INT32_MIN
/* quiet_spell_ns: the worker never goes to deep sleep; it naps. */
#define DEFER_DROP_NEVER UINT64_MAX

/*
 * How a queue is set up. Begin with DEFER_DROP_CONFIG_INIT, which fills in the built-in values,
 * given in brackets, and change what you want otherwise. Each value means itself, 0 too.
 *
 *     struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
 *     config.queue_size = 8192;
 *     defer_drop_start(&config);
 */
struct defer_drop_config {
	size_t size; /* sizeof(struct defer_drop_config) */

	/* Drops per lane, a power of two in 2..16777216 [Meson option queue_size]. */
	uint32_t queue_size;
	/* Lanes owned by a thread each, 0..1024. Threads beyond that share one lane [Meson option
	 * max_lanes]. */
	uint32_t max_lanes;

	/* The name of the queue, in reports and in DEFER_DROP_OPTIONS, and of its worker
	 * (pthread_setname_np(3)): 1 to 15 bytes ["defer_drop"]. Queues may have the same name. */
	const char *name;
	/* CPUs the worker may run on, as "0-3,6" [NULL, those of the starter]. */
	const char *cpus;

	/* enum defer_drop_scheduling [DEFAULT]. */
	uint32_t scheduling;
	/* 1..99 with FIFO and RR; 0 with all others [0]. */
	uint32_t scheduling_priority;
	/* -20..19, the worker's own, or [DEFER_DROP_NICENESS_INHERITED]. */
	int32_t niceness;

	uint32_t runner;  /* enum defer_drop_runner [DEFAULT, the worker] */
	uint32_t at_fork; /* enum defer_drop_at_fork [DEFAULT, empty] */

	/* With the runners caller and drainer: an eventfd(2) to which 1 is added when the queue,
	 * which a drain had left empty, gets a drop; when a drain leaves something that could be
	 * destroyed; and when a grace period has passed that drops wait for. So an event loop reads
	 * it, drains, and need not know more. A new queue counts as empty. A signal can be
	 * spurious, and one signal can stand for two events. It must stay open until
	 * the queue is shut down; a push to a queue that is not empty pays nothing for it. A forked
	 * child has none, since its parent would read what it counts [-1, none]. */
	int32_t pending_eventfd;

	/* What exit does with what is pending, as defer_drop_queue_shutdown: DEFER_DROP_FOREVER
	 * destroys all, and waits for the readers of grace periods; 0 leaves at once, silently, even
	 * beside or from a destructor that is running; a time in between destroys for so long and
	 * reports how many drops are abandoned. If exit leaves beside a destructor, pushes by later
	 * exit handlers may be answered 0, and their objects leak [DEFER_DROP_UNSET, which is
	 * forever]. */
	uint64_t exit_timeout_ns;
	/* Of the worker: PTHREAD_STACK_MIN..4294967296, or 0, the system's [0]. */
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
	 * than the low mark of each is. High: 1..2^62, or 0, no mark [0]; it takes a watermark
	 * function. Low: 0..2^62, below high [DEFER_DROP_UNSET, half of high]. */
	uint64_t high_drops;
	uint64_t low_drops;
	uint64_t high_bytes;
	uint64_t low_bytes;
	/* Between two of these calls lies at least: 0..2^62 [10000000, 10 ms]; the last call before
	 * the worker sleeps, or when a caller has drained all, may come sooner. */
	uint64_t watermark_interval_ns;
	defer_drop_watermark_fn watermark;
	/* Without it the queue's first failure that has no completion to go to is reported; all are
	 * counted [NULL]. */
	defer_drop_error_fn error;
	/* A destructor that runs for so long is reported, at the latest when it has run for a quarter
	 * more and the watchdog has got a CPU; never one that returned before:
	 * 1000000..DEFER_DROP_TIMEOUT_MAX, or 0, no watchdog [0]. The watchdog wakes up four times in
	 * it, until the worker sleeps for good or nobody drains; then it sleeps as well. To find the
	 * name it takes a lock of the dynamic linker's: it waits for a destructor inside dlclose(3). */
	uint64_t watchdog_ns;
	/* Without it a line is reported; without watchdog_ns it is not called [NULL]. */
	defer_drop_watchdog_fn watchdog;
	/* With the runner worker only [NULL]. */
	defer_drop_worker_fn worker_start;
	void *context;
	/* Of which liburcu grace periods are: &rcu_flavor of the urcu header in use [NULL, that of
	 * <urcu/urcu-memb.h>]. Given, the worker is its reader from the start, else from the first
	 * drop after a grace period on: then destructors may enter read-side critical sections. A
	 * thread that drains a queue must be a reader by itself. -ENOTSUP in a build without liburcu.
	 */
	const struct rcu_flavor_struct *rcu_flavor;
};

/*
 * Fills in the built-in values of the library that runs.
 *
 * config: its size field says how much to fill in, and afterwards how much was.
 * Threads: any. Blocks: never.
 * Errors: -EINVAL if config is NULL or its size is smaller than that of the first version.
 */
DEFER_DROP_API int defer_drop_config_built_in(struct defer_drop_config *config);

/* What DEFER_DROP_CONFIG_INIT stands for. It is no constant: not for objects of static storage. */
static inline struct defer_drop_config defer_drop_config_init(void)
{
	struct defer_drop_config config;

	memset(&config, 0, sizeof config);
	config.size = sizeof config;
	defer_drop_config_built_in(&config);
	config.size = sizeof config; /* also the fields that an older library does not know */
	return config;
}

#define DEFER_DROP_CONFIG_INIT defer_drop_config_init()

/*
 * Checks a configuration, as defer_drop_start and defer_drop_queue_create do, and says what is
 * wrong with it.
 *
 * config: NULL is right: it means the built-in values.
 * why: gets one line without a newline that names the field, its value and what is accepted, cut
 *   off after why_bytes-1 bytes; untouched if the answer is 0. It may be NULL if why_bytes is 0.
 * Threads: any. Blocks: never.
 * Errors:
 *   -EINVAL   a field is out of its range, or does not go with another; cpus names no CPU that
 *             exists; size is smaller than that of the struct's first version
 *   -E2BIG    config is of a later version and uses what this library does not know
 *   -ENOTSUP  rcu_flavor is given, and the library was built without liburcu
 */
DEFER_DROP_API int defer_drop_config_check(
	const struct defer_drop_config *config, char *why, size_t why_bytes);

/*
 * Sets the default queue up and starts its worker. Optional, before the first use: a queue that
 * sets itself up has the built-in values, and a worker that does without cpus, scheduling or
 * niceness if they cannot be had, and reports so.
 *
 * config: NULL means the built-in values.
 * Environment: DEFER_DROP_OPTIONS, as in "queue_size=8k,watchdog_ns=5ms,io:max_bytes=1G", tunes
 *   every queue that is set up. Names are those of the fields. A name alone is for the default
 *   queue; NAME:option is for queues of that name. Times are in ns, or have a unit: ns, us, ms, s,
 *   m; sizes and counts may end in k, M or G, powers of 1024. Choices are written as other, batch,
 *   idle, fifo, rr, default, empty, keep, forever, never, unset and inherited. The environment
 *   overrides the program, except for what the program decides for the sake of its correctness:
 *   runner, pending_eventfd and name are the program's alone; exit_timeout_ns and at_fork if the
 *   program has set them. A name with a comma cannot be reached, nor one that begins with a digit,
 *   except as the first. A wrong name or value is reported with what is accepted and what stays in
 *   force, when the queue is set up. The option "help"
 *   reports all names with their values. All of it is ignored in set-user-ID programs
 *   (secure_getenv(3)).
 * Threads: any. Asking again for the values in force returns 0, and starts a queue that was
 *   stopped.
 * Blocks: until the worker runs.
 * Errors (nothing was changed): those of defer_drop_config_check, and
 *   -EALREADY   the queue is in use with other values
 *   -EPERM      the worker cannot be scheduled so (sched_setscheduler(2), setpriority(2))
 *   -EINVAL     also if cpus names only CPUs that are offline, or outside the process's affinity
 *   -ESRCH      the worker or the watchdog cannot be started
 *   -ENOMEM     no memory for the rings
 *   -ESHUTDOWN  the queue was shut down, or the process is exiting
 *   -EBUSY, -EDEADLK  it is stopped: as for defer_drop_queue_start
 */
DEFER_DROP_API int defer_drop_start(const struct defer_drop_config *config);

/* The version of the library that runs, comparable with DEFER_DROP_VERSION. */
DEFER_DROP_API uint32_t defer_drop_version(void);

/*
 * Takes a line that the library has to say, without a newline: "PROCESS[PID]: defer_drop: ..." of
 * the default queue, "PROCESS[PID]: defer_drop NAME: ..." of a queue of that name.
 *
 * Threads: any thread inside a call of the library, and threads of the library; also several at
 *   once. Locks of the library may be held: it may not call the library. It may not throw.
 */
typedef void (*defer_drop_report_fn)(void *context, const char *line);

/*
 * Sets where the lines go, for the whole process.
 *
 * handle: NULL means the built-in one, which writes the line to stderr.
 * Threads: any. The former one may still be running when this returns.
 * Blocks: for other threads that call it, or fork.
 */
DEFER_DROP_API void defer_drop_report_handle(defer_drop_report_fn handle, void *context);

/* ---- Queues: lanes, one worker (or callers that drain), limits ------------------------------- */

/* The default queue, for the calls below. Never NULL, never freed. */
DEFER_DROP_API struct defer_drop_queue *defer_drop_queue_default(void);

/*
 * Makes a queue beside the default one, and starts its worker if runner says that it has one.
 *
 * queue: receives the new queue; untouched on error.
 * config, Environment: as for defer_drop_start.
 * Threads: any.
 * Blocks: until the worker runs.
 * Errors: those of defer_drop_start, except -EALREADY; -EINVAL also if queue is NULL.
 */
DEFER_DROP_API int defer_drop_queue_create(
	struct defer_drop_queue **queue, const struct defer_drop_config *config);

/*
 * Gives a queue's memory back. It must have been shut down, and no other call on it or on its
 * tickets may be running. No call on it may follow; calls on its tickets may, and return -ESTALE.
 * Threads that pushed to it may live on. The default queue is never freed.
 *
 * Errors (nothing was changed):
 *   -EINVAL   queue is NULL or the default one
 *   -EBUSY    it has not been shut down, or was given up and its worker has not ended
 */
DEFER_DROP_API int defer_drop_queue_free(struct defer_drop_queue *queue);

/*
 * Pushes to a queue. timeout_ns: how long to wait for room: 0 is defer_drop_try,
 * DEFER_DROP_FOREVER is defer_drop, else it is defer_drop_timed.
 *
 * If callers drain the queue, a waiting push waits for one that does: a program of one thread
 * pushes with 0.
 *
 * Threads, Blocks, Ordering: as defer_drop.
 * Errors: those of defer_drop_timed; -EINVAL also if queue is NULL.
 */
DEFER_DROP_API int defer_drop_queue_push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/*
 * Reserves a lane of the calling thread's own, which its first push would do: that takes a lock and
 * maps memory, which a thread does better before it becomes time-critical.
 *
 * Threads: any. A second call does nothing.
 * Blocks: as a first push.
 * Errors:
 *   -EINVAL     queue is NULL
 *   -ENOSPC     there is no lane left, or no memory for one: the thread pushes to the shared lane
 *   -EDEADLK    called by a destructor that the queue runs, which never needs a lane
 *   -ENOMEM     the default queue was not used yet and cannot be set up
 *   -ESHUTDOWN  the queue was shut down, or the process is exiting
 */
DEFER_DROP_API int defer_drop_queue_attach(struct defer_drop_queue *queue);

/*
 * The flush of defer_drop_flush_timed, of a queue. With the runner caller this call drains.
 *
 * Errors: those of defer_drop_flush_timed, and
 *   -EINVAL  queue is NULL
 *   -ESTALE  this call drains, a destructor forked, and this is the child
 */
DEFER_DROP_API int defer_drop_queue_flush(struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * Waits until at most max_drops drops, which hold at most max_bytes bytes, are pending: for
 * producers in bulk. UINT64_MAX means any number. With the runner caller this call drains.
 *
 * Errors: those of defer_drop_queue_flush. Ordering: none; it is a hint, true for a moment.
 */
DEFER_DROP_API int defer_drop_queue_wait_backlog(struct defer_drop_queue *queue, uint64_t max_drops,
	uint64_t max_bytes, uint64_t timeout_ns);

/*
 * Runs destructors on the calling thread, within a budget. For queues that callers drain.
 *
 * max_drops: stop after so many; 0 runs none.
 * budget_ns: start no further destructor once so much time has passed. A timeout as above.
 * destroyed: how many this call has destroyed, nested ones not counted, also on error; may be NULL.
 * Threads: any, one at a time.
 * Blocks: for what the destructors take; never for another thread. What waits for readers, or is
 *   not quite pushed, stays: see defer_drop_queue_backlog, and pending_eventfd of the
 *   configuration.
 * Errors:
 *   -EINVAL     queue is NULL, or has a worker
 *   -EBUSY      another thread is draining it; with a pending_eventfd that is told when the thread
 *               is done and something is left
 *   -EDEADLK    called by a destructor that the queue runs
 *   -EOVERFLOW  as for defer_drop_timed
 *   -ESHUTDOWN  the queue was shut down
 */
DEFER_DROP_API int defer_drop_queue_drain(struct defer_drop_queue *queue, uint64_t max_drops,
	uint64_t budget_ns, uint64_t *destroyed);

/*
 * Ends the threads of a queue for a while, and loses nothing: for a program that must have one
 * thread for a moment (unshare(2), setns(2), a prefork master before it forks, a checkpoint). The
 * threads are gone from /proc/self/task when this returns 0. Until defer_drop_queue_start, pushes
 * queue up; a full ring answers or waits as always, and so do flushes and waits. A queue that
 * callers drain has no worker, and can be drained meanwhile; what is being drained when it is
 * stopped is waited for.
 *
 * It can be stopped again, which does nothing, and shut down, which destroys what is pending on the
 * calling thread. Exit does that too.
 *
 * timeout_ns: how long to wait for the destructor, or watchdog function, that is running, and for
 *   readers that a grace period has to wait for; and a tenth of a second more, for threads that run
 *   none.
 * Threads: any; one caller stops a queue at a time, others get -EBUSY.
 * Blocks: until the threads have ended.
 * Errors:
 *   -EINVAL     queue is NULL
 *   -EAGAIN     they have not, and timeout_ns is 0; as -ETIMEDOUT
 *   -ETIMEDOUT  they have not; the queue goes on as if nothing had been asked
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs, by a thread of the queue's, or inside a
 *               read-side critical section
 *   -EBUSY      another caller is stopping it
 *   -ENOMEM     the default queue was not used yet and cannot be set up
 *   -ESHUTDOWN  the queue was shut down
 */
DEFER_DROP_API int defer_drop_queue_stop(struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * Starts a queue that was stopped. On one that was not, it starts what is not running yet.
 *
 * Threads: any.
 * Blocks: until the worker runs.
 * Errors (the queue is still stopped): -EINVAL if queue is NULL, and the -EPERM, -EINVAL, -ESRCH,
 *   -ENOMEM and -ESHUTDOWN of defer_drop_start; -EDEADLK and -EBUSY of defer_drop_queue_stop.
 */
DEFER_DROP_API int defer_drop_queue_start(struct defer_drop_queue *queue);

/*
 * Closes a queue, deals with what is pending, and ends its threads. Idempotent.
 *
 * Every push that returns 0 is either destroyed or counted as abandoned; every other returns
 * -ESHUTDOWN and keeps its object. Concurrent and later callers all wait for the end, each for its
 * own timeout; the earliest of their deadlines applies to what is destroyed.
 * defer_drop_queue_stats says what became of the drops; the objects of those that were abandoned
 * leak.
 *
 * timeout_ns: DEFER_DROP_FOREVER destroys all that is pending; 0 destroys nothing more; with a time
 *   in between no destructor starts once it is over. If the destructor that is running has not
 *   returned a tenth of a second after that, the queue is given up: flushes and waits are answered
 *   -ECANCELED, and so is the caller. The destructor runs on, and nothing after it; until it ends,
 *   a push may still return 0, and is abandoned. Call again to wait for its end. Exit does not wait
 *   for a queue that was given up.
 * Threads: any.
 * Blocks: until that is done.
 * Errors (the queue is shut down all the same, unless said otherwise):
 *   -ETIMEDOUT  the time, neither 0 nor forever, was over, and drops were abandoned
 *   -ECANCELED  given up: the worker has not ended, and the queue cannot be freed
 *   -EINVAL     queue is NULL; nothing was done. This also holds for the errors below
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs, or by a thread of the queue's; or, with
 *               a timeout that is not 0, inside a read-side critical section
 *   -ENOMEM     the default queue was not used yet and cannot be set up
 * Ordering: everything the destructors did is visible after 0 and -ETIMEDOUT.
 */
DEFER_DROP_API int defer_drop_queue_shutdown(struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * The configuration in force. It can be passed to defer_drop_queue_create.
 *
 * config: its size field says how much to fill in, and afterwards how much was. Strings live as
 *   long as the queue.
 * Errors: -EINVAL if queue or config is NULL or config->size is smaller than that of the first
 *   version; if the default queue was not used yet, -ENOMEM if it cannot be set up and -ESHUTDOWN
 *   if the process is exiting.
 */
DEFER_DROP_API int defer_drop_queue_config(
	struct defer_drop_queue *queue, struct defer_drop_config *config);

/*
 * Changes what pending drops may hold together, as max_bytes of the configuration. More wakes the
 * pushes that fit now; less takes nothing back, and later pushes wait until the backlog has shrunk.
 *
 * max_bytes: 1..2^62.
 * Threads: any. Blocks: never for long. It takes a lock that waiting threads hold briefly.
 * Errors: -EINVAL if queue is NULL or max_bytes is out of its range; -ENOMEM and -ESHUTDOWN as for
 *   defer_drop_queue_config.
 */
DEFER_DROP_API int defer_drop_queue_set_max_bytes(
	struct defer_drop_queue *queue, uint64_t max_bytes);

/* ---- Tickets: "this drop" -------------------------------------------------------------------- */

/*
 * Names a drop, or everything a thread has pushed up to a point. A value: copy it freely, for as
 * long as you like. A zeroed one names no drop.
 */
struct defer_drop_ticket {
	uint64_t queue_id; /* never used again, so a ticket that is too old is found out */
	uint64_t position;
	uint32_t lane;
	uint32_t generation;
	uint64_t reserved;
};

/*
 * A ticket for everything that the calling thread has pushed to a queue so far. If the thread
 * pushes to the shared lane, it covers that whole lane. The ticket of one drop comes from its
 * options.
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
 * Waits until what the ticket names has been destroyed. With a timeout of 0 it looks and never
 * blocks, not even for a destructor; else, with the runner caller, this call drains.
 *
 * Errors:
 *   -EAGAIN     not yet, and timeout_ns is 0
 *   -ETIMEDOUT  not yet
 *   -ESHUTDOWN  never: the queue was shut down before its turn came
 *   -ECANCELED  the queue was given up: it may or may not be destroyed yet
 *   -ESTALE     the ticket is from before a fork, or its queue has been freed; also if this call
 *               drains, a destructor forked, and this is the child
 *   -EINVAL     ticket is NULL, or names no drop. A position that no push returned is not noticed
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs, or inside a read-side critical section,
 *               with a timeout that is not 0
 *   -ESRCH      the worker cannot be started
 * Ordering: what the destructor did is visible after 0.
 */
DEFER_DROP_API int defer_drop_ticket_wait(
	const struct defer_drop_ticket *ticket, uint64_t timeout_ns);

/*
 * Adds 1 to an eventfd(2) when what the ticket names has been destroyed or abandoned; at once if it
 * has been already.
 *
 * eventfd: the library keeps a duplicate until then, so that the caller may close its own. Whether
 *   it is an eventfd is not checked: 8 bytes are written to whatever it is, if it can take them
 *   at once.
 * Errors (the eventfd will not be signalled):
 *   -ESTALE, -EINVAL  as for defer_drop_ticket_wait
 *   -EBADF, -EMFILE   eventfd cannot be duplicated (dup(2))
 *   -ESRCH            the worker cannot be started
 *   -ENOMEM           no memory to remember it
 */
DEFER_DROP_API int defer_drop_ticket_notify(const struct defer_drop_ticket *ticket, int eventfd);

/* ---- Drops with options ---------------------------------------------------------------------- */

enum defer_drop_flags {
	DEFER_DROP_AFTER_GRACE_PERIOD = 1 << 0, /* as defer_drop_rcu */
	/* The push takes its bytes beyond max_bytes rather than wait for them: for a caller that
	 * would otherwise destroy a big object itself. */
	DEFER_DROP_EXCEED_BUDGET = 1 << 1,
};

/*
 * Tells when drops have been destroyed, and with which status. The caller's, wherever it likes; it
 * serves one push at a time. From that push until a wait reports that it is over, it may not be
 * touched, copied or freed; afterwards it may be used again. Other threads may wait for it once the
 * push has returned.
 */
struct defer_drop_completion {
	/* An eventfd(2) to which 1 is added when it is over, or -1. It must stay open until then;
	 * one that cannot be written to is a failure (defer_drop_error_fn). */
	int32_t eventfd;

	/* The library's own. */
	uint32_t state;
	uint32_t pending;
	int32_t status;
	int32_t outcome;
	uint32_t generation;
	struct defer_drop_queue *queue;
	void *lane;
	void *context;
	void *reserved[2];
};

/*
 * What a drop asks for. Begin with DEFER_DROP_OPTIONS_INIT, which asks for nothing. A drop that
 * counts bytes, has a status, a context or a completion takes two places in its ring; a grace
 * period alone takes none beside its own.
 */
struct defer_drop_options {
	size_t size; /* sizeof(struct defer_drop_options) */

	uint64_t bytes; /* that the object holds, for max_bytes: 0..DEFER_DROP_BYTES_END-1 */
	uint32_t flags; /* enum defer_drop_flags, added up */

	/* One of these instead of destroy, which is NULL then. */
	defer_drop_status_fn destroy_status;
	defer_drop_context_fn destroy_context;
	void *context; /* for destroy_context, passed on as it is */

	struct defer_drop_completion *completion; /* NULL: nobody wants to know */
	struct defer_drop_ticket *ticket;         /* filled in on success; NULL: none wanted */
};

/*
 * Pushes with options.
 *
 * timeout_ns: how long to wait for room in the ring and in the byte budget.
 * options: NULL asks for nothing. Read before the call returns, except for the completion.
 * Threads, Blocks: as defer_drop. A nested drop never waits, not even if it exceeds the budget.
 * Errors, beside those of defer_drop_timed (the object is still the caller's, the completion
 * unused):
 *   -EINVAL     not exactly one of destroy, destroy_status and destroy_context; context without
 *               destroy_context; an unknown flag; size smaller than that of the first version;
 *               eventfd below -1; queue is NULL
 *   -E2BIG      options is of a later version and uses what this library does not know
 *   -EOVERFLOW  also if bytes is too large, or more than 2^62 would be pending
 *   -EBUSY      the completion serves another push that is not over
 *   -ENOTSUP, -EDEADLK  as for defer_drop_rcu; -EDEADLK also if it would have to wait for the
 *               budget inside a read-side critical section
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
 * Errors: those of defer_drop_queue_push_with, and
 *   -EINVAL     objects is NULL and count is not 0
 *   -EOVERFLOW  also if count is too large
 *   On error the first *pushed objects are the library's, and the completion is in use for them
 *   alone (if none was pushed, it is unused); the others are still the caller's.
 */
DEFER_DROP_API int defer_drop_queue_push_many(struct defer_drop_queue *queue, void *const *objects,
	size_t count, defer_drop_fn destroy, uint64_t timeout_ns,
	const struct defer_drop_options *options, size_t *pushed);

/*
 * Waits until all drops of a completion are destroyed. With a timeout of 0 it looks, and may be
 * called by destructors; else, with the runner caller, this call drains.
 *
 * status: the first that was not 0, or 0; set if the answer is 0 or -ESHUTDOWN; may be NULL.
 * Threads: any, also several.
 * Blocks: also with a timeout of 0 for the moment that the worker takes from its write to the
 *   eventfd to its leaving the completion alone.
 * Errors:
 *   -ESHUTDOWN  it is over, and some drops will never be destroyed: the queue was shut down before
 *               their turn came
 *   -ESTALE     it is over: a fork came between, and completions are not the child's
 *   -EINVAL     completion is NULL or was never used
 *   After the others it is still in use:
 *   -EAGAIN     not yet, and timeout_ns is 0
 *   -ETIMEDOUT  not yet
 *   -ECANCELED  the queue was given up: the library still writes to the completion when the
 *               destructor returns that was running, which may be never
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs, or inside a read-side critical section,
 *               with a timeout that is not 0
 *   -ESRCH      the worker cannot be started
 * Ordering: what the destructors did is visible after 0.
 */
DEFER_DROP_API int defer_drop_completion_wait(
	struct defer_drop_completion *completion, uint64_t timeout_ns, int *status);

/* ---- Statistics ------------------------------------------------------------------------------ */

/*
 * Counters since the queue began (in a forked child: since the fork). Taken without locks while the
 * queue runs, each is exact and they are read one after the other; once nobody pushes and a flush
 * has returned they agree: pushed = destroyed + abandoned + backlog. A push that waits for ever for
 * room in the shared lane may count as pushed, if it has its place in it.
 */
struct defer_drop_stats {
	size_t size; /* sizeof(struct defer_drop_stats), set by the caller; then what was filled in */

	uint64_t pushed_total;    /* accepted, nested included */
	uint64_t destroyed_total; /* destructors returned, nested included */
	uint64_t
		refused_total; /* pushes that found no room, no bytes, a closed queue or no worker */
	uint64_t abandoned_total; /* accepted, never to be destroyed; their objects leak */
	uint64_t nested_total;    /* pushed by destructors; of a queue, 0 for a lane */

	uint64_t waits_total;   /* times that a push found its ring full and waited */
	uint64_t wait_ns_total; /* time spent so; for the byte budget too */

	/* Of a queue, 0 for a lane: */
	uint64_t wakes_total;       /* calls that woke the worker, by pushes and waits */
	uint64_t naps_total;        /* short timed sleeps of the worker */
	uint64_t deep_sleeps_total; /* sleeps until woken, the present one included */

	uint64_t backlog; /* pending now */
	/* The largest backlog that was seen. The worker looks when it wakes up and when much was
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

/*
 * How many drops are pending in a queue, nested ones included; 0 if queue is NULL. It is the
 * backlog of the statistics, for a few loads per lane.
 *
 * Threads: any. Blocks: never. Ordering: none; it was true a moment ago.
 */
DEFER_DROP_API uint64_t defer_drop_queue_backlog(struct defer_drop_queue *queue);

/*
 * Statistics of a queue.
 *
 * Threads: any. Blocks: never.
 * Errors: -EINVAL if queue or stats is NULL or stats->size is smaller than that of the first
 *   version.
 */
DEFER_DROP_API int defer_drop_queue_stats(
	struct defer_drop_queue *queue, struct defer_drop_stats *stats);

/*
 * Statistics of one lane: 0 is the shared one, then those owned by threads in order of making.
 *
 * Errors: those of defer_drop_queue_stats; -ENOENT if there is no such lane.
 */
DEFER_DROP_API int defer_drop_queue_lane_stats(
	struct defer_drop_queue *queue, uint32_t lane, struct defer_drop_stats *stats);

#ifdef __cplusplus
}

/* In C++ the initializers below are calls: C++17 has none that name a field. */
template <class Struct> inline Struct defer_drop_sized()
{
	Struct made = Struct();

	made.size = sizeof made;
	return made;
}

inline struct defer_drop_completion defer_drop_unused()
{
	struct defer_drop_completion made = defer_drop_completion();

	made.eventfd = -1;
	return made;
}

#define DEFER_DROP_OPTIONS_INIT    defer_drop_sized<struct defer_drop_options>()
#define DEFER_DROP_STATS_INIT      defer_drop_sized<struct defer_drop_stats>()
#define DEFER_DROP_COMPLETION_INIT defer_drop_unused()
#else
/* clang-format off */
#define DEFER_DROP_OPTIONS_INIT    {.size = sizeof(struct defer_drop_options)}
#define DEFER_DROP_STATS_INIT      {.size = sizeof(struct defer_drop_stats)}
#define DEFER_DROP_COMPLETION_INIT {.eventfd = -1}
/* clang-format on */
#endif

#endif
