/* SPDX-License-Identifier: MIT
 *
 * defer_drop: destruction off the caller's path.
 *
 * A drop is an object and the function that destroys it. Any thread pushes drops; one background
 * worker runs the destructors. A push costs the same whatever the object is, it does not enter the
 * kernel in the steady state, and the number of objects waiting to be destroyed is bounded.
 *
 *     defer_drop(tree, tree_free);      instead of tree_free(tree), on the hot path
 *     defer_drop_flush();               returns when all that was dropped so far is destroyed
 *
 * That is the whole library for most programs: it starts itself at the first push and destroys what
 * is left at exit. Most readers can stop after the section "The short calls".
 *
 * All calls, by family. A name is defer_drop, the noun of its family, and a verb; a name that
 * begins with _ in this table follows the noun. Arguments come in this order: the handle, the
 * object and its destructor, the timeout, the results.
 *
 *   defer_drop(object, destroy)                pushes to the default queue; waits for room
 *     _try, _timed, _rcu, _bytes, _with        no wait; a deadline; after a grace period; with the
 *                                              bytes that the object holds; with options
 *     _again                                   by a destructor: go on with its object later
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
 *   defer_drop_stats_print, _ask               print all statistics; have the worker print them
 *   defer_drop_report_handle                   sets where the library's lines of report go
 *
 *   <defer_drop/strategy.h>: how an object is destroyed, by a pointer
 *   defer_drop_by                              drops by a strategy
 *   defer_drop_strategy_worker, _rcu           ready-made: the default queue
 *     _in_place, _leak, _thread                at once; never; by a thread for each object
 *     _queue_init, _group_init                 made: a queue; a group
 *     _executor_init, _trace_init              made: the program's executor; a trace
 *   defer_drop_trace_print                     prints a line for a trace
 *   <defer_drop/loop.h>: objects that the thread of an event loop destroys
 *   defer_drop_strategy_loop_open              a strategy on any loop that watches a descriptor
 *     _loop_drain, _loop_close                 destroy for one turn of the loop; end it
 *   <defer_drop/uv.h>: the loop and the thread pool of libuv
 *   defer_drop_strategy_uv_open, _uv_close     a strategy on a loop; end it
 *   defer_drop_uv_submit                       hands an object to the thread pool
 *   <defer_drop/glib.h>: main contexts and thread pools of GLib
 *   defer_drop_strategy_glib_open, _glib_close a strategy on a main context; end it
 *   defer_drop_glib_submit, _glib_run          hands an object to a thread pool; its function
 *   <defer_drop/guard.h>: an object that is dropped once, however its scope is left
 *   defer_drop_guard_drop, _drop_on_error      drop it; only if something went wrong
 *     _disarm, _retarget, _leave               take it back; change the strategy; end the scope
 *     _await, _must_close                      wait for several; report one that is forgotten
 *     _state, _is_armed, _is_pending           what it does now
 *     _object, _status                         what it guards; how it ended
 *   defer_drop_trouble_handle, _abort          handlers of errors that no call can return
 *   <defer_drop/ref.h>: an object that its last user drops
 *   defer_drop_ref_init, _get, _get_many       the first reference; more
 *     _put, _put_many                          give references back
 *     _take, _retarget                         take the object back; change the strategy
 *     _is_unique, _count                       whether there is one; how many there are
 *   <defer_drop/group.h>: drops that are flushed, counted and abandoned together
 *   defer_drop_group_push                      pushes in the name of a group
 *     _create, _free                           groups
 *     _flush, _end, _abandon                   wait for what is its own; and refuse pushes; give up
 *                                              what is pending
 *     _backlog, _stats                         how many drops are pending; all counters
 *   <defer_drop/os.h>: what the kernel takes long to destroy
 *   defer_drop_os_munmap, _close, _fclose      memory, descriptors and streams, as the system's calls
 *     _unlink, _unlinkat                       names of files, and the files
 *     _discard                                 the memory of a range that stays mapped
 *     _hold, _hold_at, _let_go                 a file, around any other system call
 *     _flush, _set_limits, _stats              wait for all; how much may wait; all counters
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
 * - The short calls are short forms of calls on the default queue, with this timeout:
 *     defer_drop             defer_drop_queue_push, DEFER_DROP_FOREVER
 *     defer_drop_try         defer_drop_queue_push, 0
 *     defer_drop_timed       defer_drop_queue_push, timeout_ns
 *     defer_drop_rcu         defer_drop_queue_push_with, DEFER_DROP_FOREVER, after a grace period
 *     defer_drop_bytes       defer_drop_queue_push_with, DEFER_DROP_FOREVER, with bytes
 *     defer_drop_with        defer_drop_queue_push_with, timeout_ns
 *     defer_drop_flush       defer_drop_queue_flush, DEFER_DROP_FOREVER
 *     defer_drop_flush_timed defer_drop_queue_flush, timeout_ns
 *     defer_drop_shutdown    defer_drop_queue_shutdown, DEFER_DROP_FOREVER
 * - The manual of a call has, in this order: Threads, which may call it; Blocks, what it waits for;
 *   Errors; Ordering. "Blocks: briefly" means that it takes a lock of the library's. Another call
 *   holds such a lock for a moment, fork(2) while it forks, and a call that starts a worker until
 *   the worker runs.
 * - Each error has one meaning:
 *     -EINVAL     an argument is NULL, unknown or out of its range
 *     -EAGAIN     the call would have to wait, and its timeout is 0, which looks once
 *     -ETIMEDOUT  the call has waited in vain until its timeout was over
 *     -ESRCH      a thread that the queue needs cannot be started (pthread_create(3)); the next
 *                 call tries again
 *     -ESHUTDOWN  the queue was shut down, by a call or by exit
 *     -ECANCELED  the queue was given up while a destructor was running, which may still end: see
 *                 defer_drop_queue_shutdown
 *     -EDEADLK    the call would wait for the thread that makes it; or a watermark or
 *                 worker_start function pushes to its own queue
 *     -EBUSY      another call is using the queue or the completion; or what the call would free is
 *                 still in use
 *     -ESTALE     the ticket, completion or guard is from before a fork, or its queue has been
 *                 freed
 *     -EOVERFLOW  a timeout, a size or a count is too large
 *     -E2BIG      a struct of a later version asks for what this library does not know
 *     -ENOSPC     no lane of its own is left for the thread
 *     -EALREADY   the default queue is in use with other values
 *     -EPERM      the process may not schedule a thread so (sched_setscheduler(2),
 *                 setpriority(2))
 *     -ENOENT     there is no such lane; no queue is destroying the object
 *     -EBADF, -EMFILE  an eventfd cannot be duplicated
 *     -ENOTSUP    the library was built without liburcu, or a forked child cannot use it
 *     -ENOMEM     no memory
 * - A timeout is in nanoseconds of CLOCK_MONOTONIC, 0..DEFER_DROP_TIMEOUT_MAX, or
 *   DEFER_DROP_FOREVER; anything between the two overflows and returns -EOVERFLOW. It counts from
 *   the beginning of the call, and once per call.
 * - A push that returns an error has not taken the object: it is still the caller's, and its
 *   destructor has not run and will not.
 * - Drops of one thread, pushed to one queue, are destroyed in its order. Across threads nothing is
 *   promised, even if the threads synchronise with each other: if B must be destroyed after A, let
 *   one thread drop both, or let A's destructor drop B.
 * - What a thread did before its push is visible to the destructor. What destructors did is visible
 *   after a flush or a wait that returned 0 for them.
 * - What is said of destructors holds for the functions error, watermark and worker_start of the
 *   configuration too: the library calls them on the thread that runs destructors.
 * - The default queue is set up at its first use. These calls leave an unused queue as it is, and
 *   find it empty: defer_drop_queue_flush, _wait_backlog, _backlog, _stats, _lane_stats and their
 *   short forms; defer_drop_stats_print and defer_drop_stats_ask. Every other call on it is a use.
 *   Setting it up never fails for want of memory, except in defer_drop_start.
 * - When exit has dealt with all queues, the default queue can no longer be set up, nor another be
 *   made: -ESHUTDOWN. In a child that is forked during exit neither is possible.
 *
 * The rules of all programs:
 *
 * - Nothing here is async-signal-safe, except for defer_drop_stats_ask, and nothing may be called
 *   by the handlers of pthread_atfork(3).
 * - No call is a cancellation point (pthreads(7)), and a deferred cancellation waits until the call
 *   has returned. A thread whose cancelability type is asynchronous may call everything. Only the
 *   cancellation itself must not strike inside a call: it would leave the thread's lane, or a lock,
 *   half written. So cancel such a thread asynchronously when the process is about to end (in a
 *   crash handler, say), or disable cancellation around the calls.
 * - A destructor must return: it may not longjmp away, throw or end its thread. One that ends its
 *   thread, or throws through a call that drains, aborts the process with a line that names it; one
 *   that throws on a worker ends in std::terminate. A jump out of a call that drains is found, and
 *   ends the same way, once the thread has overwritten the stack of that call; until then it is not
 *   seen, and its effect is undefined. A destructor may switch stacks (coroutines) and switch back.
 * - The threads of the library block all signals, except SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
 *   SIGSYS, SIGABRT and SIGPROF: a fault in a destructor runs the program's crash handler, and a
 *   profiler samples destructors. A child that a destructor starts inherits this mask, and would be
 *   deaf to SIGTERM. So give it another one: posix_spawnattr_setsigmask(3) with
 *   POSIX_SPAWN_SETSIGMASK, or pthread_sigmask(3) between fork(2) and execve(2).
 * - What a destructor changes of its thread (mask of signals, name, scheduling, locale, rounding)
 *   stays so for the destructors after it. A call that drains leaves errno and the cancellation
 *   state as they were.
 * - A destructor that waits for its own queue gets -EDEADLK. Two deadlocks the library does not
 *   see: a destructor that waits for a thread which waits for room in its queue; and two queues
 *   whose destructors wait for room in each other.
 * - The worker gives each thread's drops a turn of some 100 us; nested drops and slices
 *   (DEFER_DROP_AGAIN) count in it, so a drop that makes drops without end holds up what its own
 *   thread dropped later, and nobody else. But a destructor is not interrupted: one that takes long
 *   holds up all drops of its queue. Let it return DEFER_DROP_AGAIN now and then, or call
 *   defer_drop_again; or give it a queue of its own. watchdog_ns of the configuration finds it.
 * - Exit, by exit(3) or by returning from main, deals with what is pending: see exit_timeout_ns.
 *   Handlers of atexit(3) that were set after the first push, and with them the destructors of
 *   static objects of C++ that were made after it, run before that. So when main returns, or the
 *   main thread calls exit, the library first of all waits until what is pending is destroyed: a
 *   destructor may use such objects. It does not wait for queues that callers drain, for longer
 *   than exit_timeout_ns, or for a destructor that runs for more than a second; and it cannot if
 *   the C library has no __cxa_thread_atexit_impl (musl), or if the static library is inside a
 *   shared object. For these call defer_drop_shutdown at the end of main; deferdrop::session does
 *   so in C++. A thread other than the main one calls defer_drop_shutdown before it calls exit.
 *   _exit(2), quick_exit(3) and a fatal signal run no destructor. pthread_exit(3) in main does not
 *   end the process, since the worker is a thread too: the last thread of the program calls exit(3)
 *   or shuts the queues down.
 * - A forked child has empty queues, unless at_fork says keep, and starts a worker of its own at
 *   its first push. A destructor that forks and returns in the child leaves a process whose only
 *   thread is the worker. daemon(3) forks and ends the parent by _exit(2), which loses the drops
 *   that are pending; so call it before the first push, or, when no other thread pushes, so:
 *     defer_drop_flush();
 *     daemon(0, 0);
 * - The handlers of pthread_atfork(3) are set when the library is loaded, so those of the program
 *   may take a lock that another thread holds while it pushes; a program that loads the library by
 *   dlopen(3) does so before it sets such handlers. While a thread forks, signals are held back
 *   from it until the locks of the library are free again: so a signal handler that calls exit,
 *   which POSIX forbids there, does not hang.
 * - A program may be built with ThreadSanitizer or AddressSanitizer (and LeakSanitizer) while the
 *   library is not: they are told which memory is handed over, and that pending drops are no leaks.
 *   Under ThreadSanitizer, helgrind and DRD no push takes the fast path. For the last two:
 *     valgrind --tool=helgrind --suppressions=PREFIX/share/defer_drop/defer_drop.supp PROGRAM
 *   with the shared library. AddressSanitizer of gcc 12 hangs in a child if another thread was
 *   allocating during fork.
 * - A thread that is stopped for good (by a debugger, say) in the middle of a push holds up the
 *   drops behind it in the shared lane, and nothing in a lane of its own. Stopped while it wakes
 *   the worker, it leaves the worker asleep until another call waits, or fills a ring. Stopped in
 *   its first push, or waiting for room, it may hold a lock. A worker that is stopped for good
 *   holds up no push before a ring is full, and no wait beyond its timeout, unless it holds a lock.
 * - Inside a read-side critical section of liburcu (with its QSBR flavor: in a thread that is
 *   online) nothing may wait for a queue that destroys after grace periods: neither a flush, nor a
 *   wait, nor a push for room. From the first drop after a grace period on, such a call returns
 *   -EDEADLK instead of waiting; a call that waits already does so within some 10 ms.
 * - The shared library is never unloaded. A plugin may be closed when nothing is pending whose
 *   destructor is the plugin's code: the worker would call what is gone. So let the plugin push in
 *   the name of a group (defer_drop/group.h), and end that before it is closed
 *   (defer_drop_group_end, defer_drop_group_free); what others drop later is not waited for. A
 *   plugin whose destructors take long has a queue of its own, and ends that instead
 *   (defer_drop_queue_shutdown, defer_drop_queue_free).
 * - With the static library inside a shared object, closing that object deals with what is pending
 *   as exit does. It does not unmap the lanes of its default queue, because other threads may still
 *   push: some 68 KiB for each lane whose memory has not gone back to the system (max_lanes;
 *   measured with queue_size=4096). Its names are hidden: the object neither exports them nor uses
 *   those of another copy. A process has room for some six copies, and as many loads of one that is
 *   loaded again before the old one is closed (glibc: "cannot allocate memory in static TLS
 *   block"), unless the library is built with the Meson option tls=dynamic (a push took 11.9 ns
 *   then, instead of 10.2, on x86-64 with 100,000 pushes in a row). A plugin that is loaded again
 *   and again is better built with the shared library.
 * - Every call accepts a NULL queue, group, guard, reference, pool or struct. It then returns
 *   -EINVAL, or NULL, or 0 if its result is a number or a claim; a call without a result does
 *   nothing.
 *
 * System calls, for a service that forbids others (seccomp(2), SystemCallFilter= of
 * systemd.exec(5)). These are all that the library makes, and glibc for it; what destructors call
 * comes on top. If those for scheduling are forbidden, set scheduling to inherited, for the default
 * queue also by DEFER_DROP_OPTIONS=scheduling=inherited in the environment: then a queue makes none
 * of them, unless its cpus or niceness ask for one.
 *
 *   a thread waits, or wakes another: futex, clock_gettime
 *   the first use, a fork, a worker goes to sleep, grace periods: membarrier, sched_yield, poll
 *   a fork: rt_sigprocmask
 *   memory of queues, lanes, options, pools: mmap, munmap, madvise, mprotect, mremap, brk
 *   malloc(3), its first call and the first of a thread: getrandom, sched_getaffinity
 *   a thread is started: clone3, clone, mmap, mprotect, rt_sigaction, rt_sigprocmask
 *   it begins: rseq, set_robust_list, prctl, gettid
 *   it ends and is joined: madvise, munmap, exit, getpid, tgkill, sched_yield
 *   scheduling, policy: sched_getscheduler, sched_setscheduler
 *   scheduling, priority: sched_get_priority_min, sched_get_priority_max, getpriority, setpriority
 *   scheduling, CPUs: sched_getaffinity, sched_setaffinity
 *   cpus in the configuration: openat, read, close
 *   eventfds: fcntl, poll, ppoll, write, close
 *   lines of report, statistics, guards, an abort: getpid, gettid, write, rt_sigprocmask, tgkill
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
 * - Every build compares the ABI with the recorded one, and fails if they differ.
 */
#ifndef DEFER_DROP_H
#define DEFER_DROP_H

#ifndef __linux__
#error "defer_drop needs Linux: futex(2), membarrier(2), eventfd(2)"
#elif __SIZEOF_POINTER__ != 8
#error "defer_drop needs pointers of 64 bits: the upper bits of a destructor's address hold marks"
#endif

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

/* Destroys an object. Runs on the worker thread, with signals blocked (see "The rules of all
 * programs") and with cancellation disabled (pthread_setcancelstate(3)), so that to cancel the
 * worker does nothing. */
typedef void (*defer_drop_fn)(void *object);

/*
 * Hands an object over, to be destroyed by destroy(object) in the background.
 *
 * object: passed on as it is, NULL too.
 * Threads: any, at any time, beside every other call; also destructors (a nested drop, which runs
 *   before what the destructor's thread dropped next, and never waits for room), destructors of
 *   thread-specific data, and atexit handlers.
 * Blocks: while the thread's ring is full, until there is room (it spins for some microseconds,
 *   then sleeps, so that a worker of less priority gets its CPU too). In a destructor of
 *   thread-specific data that runs after the library's own, if another thread has taken over the
 *   lane by then: until what the thread pushed before is destroyed (the push destroys nothing
 *   itself). The first push of a thread blocks briefly (defer_drop_queue_attach does that ahead of
 *   time), and so does the push with which it leaves the shared lane (max_lanes). The first push
 *   after a quiet spell makes one system call to wake the worker; the first push of the process
 *   starts it.
 * Errors (the object is still the caller's):
 *   -EINVAL     destroy is NULL
 *   -ESHUTDOWN  the queue was shut down, by a call or by exit (see defer_drop_queue_shutdown)
 *   -ESRCH      the push would have to wait, and the worker cannot be started
 *   -EDEADLK    the push would have to wait inside a read-side critical section; or it was made by
 *               the watermark or the worker_start function of the queue
 *   -ENOMEM     nested drops only: no memory to remember it
 * Ordering: the push happens before its destructor.
 */
DEFER_DROP_API int defer_drop(void *object, defer_drop_fn destroy);

/*
 * Pushes as defer_drop, and never waits: defer_drop_timed with a timeout of 0.
 *
 * Threads: as defer_drop.
 * Blocks: briefly, when defer_drop does; never for room, and never for earlier drops.
 * Errors, beside -EINVAL, -ESHUTDOWN, -ENOMEM and the -EDEADLK of a watermark or worker_start
 * function, as for defer_drop (the object is still the caller's):
 *   -EAGAIN     defer_drop would have to wait
 * Ordering: as defer_drop.
 */
DEFER_DROP_API int defer_drop_try(void *object, defer_drop_fn destroy);

/*
 * Pushes as defer_drop, and waits for room until its timeout is over. With 0 it is defer_drop_try,
 * with DEFER_DROP_FOREVER defer_drop.
 *
 * Threads: as defer_drop.
 * Blocks: as defer_drop, until timeout_ns is over.
 * Errors, beside those of defer_drop (the object is still the caller's):
 *   -EAGAIN     the push would have to wait, and timeout_ns is 0
 *   -ETIMEDOUT  there was no room until the timeout was over
 *   -EOVERFLOW  timeout_ns lies above DEFER_DROP_TIMEOUT_MAX and is not DEFER_DROP_FOREVER
 * Ordering: as defer_drop.
 */
DEFER_DROP_API int defer_drop_timed(void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/*
 * Pushes as defer_drop; the destructor runs after a grace period: when every read-side critical
 * section of liburcu's that was running at the push has ended. The object must be unreachable for
 * later readers, as for call_rcu(3).
 *
 * The order of one thread's drops holds for drops with and without a grace period: what the thread
 * drops afterwards waits behind this drop. What other threads drop does not wait, except in the
 * shared lane.
 *
 * Threads: as defer_drop; also inside a read-side critical section.
 * Blocks: as defer_drop; for a grace period only if the ring is full of drops that wait for one.
 *   Grace periods have a thread of their own. If it cannot be started, the worker waits for them
 *   itself, or the caller that drains without a deadline, and destroys nothing else meanwhile.
 * Errors, beside those of defer_drop (the object is still the caller's):
 *   -ENOTSUP  the library was built without liburcu; or this is the child of a fork whose parent
 *             had waited for grace periods. liburcu does not survive fork, except for its bp
 *             flavor, if the program calls urcu_bp_before_fork and its companions
 * Ordering: as defer_drop.
 */
DEFER_DROP_API int defer_drop_rcu(void *object, defer_drop_fn destroy);

/*
 * Pushes as defer_drop, and says how many bytes the object holds. A push beyond max_bytes of the
 * configuration waits for that budget as it waits for room in the ring. The drop takes two slots
 * of the ring.
 *
 * bytes: 0..DEFER_DROP_BYTES_END-1; with 0 it is defer_drop.
 * Threads: as defer_drop.
 * Blocks: as defer_drop, and while the budget is used up. A nested drop waits for neither.
 * Errors, beside those of defer_drop (the object is still the caller's):
 *   -EOVERFLOW  bytes is too large, or more than 2^62 bytes would be pending
 * Ordering: as defer_drop.
 */
DEFER_DROP_API int defer_drop_bytes(void *object, defer_drop_fn destroy, uint64_t bytes);

/*
 * Goes on later with an object, from inside its own destructor: pushes the object to the queue that
 * is destroying it, as a nested drop. A destructor with a status returns DEFER_DROP_AGAIN instead.
 *
 *     static void tree_free(void *tree)
 *     {
 *             while (tree_free_some(tree))
 *                     if (!defer_drop_again(tree, tree_free))
 *                             return;
 *     }
 *
 * object: the one that the calling destructor was called with.
 * destroy: called with the object when the calling destructor has returned, and after the nested
 *   drops that were pushed before. If the turn of this thread's drops is over by then, others have
 *   theirs first. (After DEFER_DROP_AGAIN others always have their turn first.)
 * Threads: one that runs a destructor.
 * Blocks: never.
 * Errors (nothing was pushed: the destructor goes on by itself):
 *   -EINVAL  destroy is NULL
 *   -ENOENT  no queue is destroying this object on this thread: the destructor was called in place
 *   -ENOMEM  no memory to remember it
 * Ordering: the call happens before the call of destroy.
 */
DEFER_DROP_API int defer_drop_again(void *object, defer_drop_fn destroy);

/* bytes lies below this: 2^48. */
#define DEFER_DROP_BYTES_END (UINT64_C(1) << 48)

/*
 * Waits until every drop pushed before this call has been destroyed, nested drops included: those
 * that such drops make, and those that these make, as far as that ends.
 *
 * "Before" is what happened before this call: the caller's own pushes, and those of threads that
 * the caller synchronised with. Later pushes do not prolong it.
 *
 * Threads: any, beside every other call.
 * Blocks: until those destructors have returned; while the queue is stopped, also until it is
 *   started.
 * Errors (nothing is lost):
 *   -EDEADLK    called by a destructor that the queue runs, whatever the timeout, since its own
 *               drop is not destroyed before it returns; or the flush would have to wait inside a
 *               read-side critical section
 *   -ESHUTDOWN  the queue was shut down, even if it destroyed all; defer_drop_queue_stats says how
 *               many drops were abandoned
 *   -ECANCELED  the queue was given up, and a destructor may still be running
 *   -ESRCH      drops are pending and the worker cannot be started
 * Ordering: everything those destructors did is visible after 0.
 */
DEFER_DROP_API int defer_drop_flush(void);

/*
 * Flushes as defer_drop_flush, and waits until its timeout is over. With DEFER_DROP_FOREVER it is
 * defer_drop_flush; with 0 it looks once.
 *
 * Threads: any, beside every other call.
 * Blocks: as defer_drop_flush, until timeout_ns is over.
 * Errors, beside those of defer_drop_flush (nothing is lost):
 *   -EAGAIN     some drops are pending, and timeout_ns is 0
 *   -ETIMEDOUT  some drops are still pending
 *   -EOVERFLOW  as for defer_drop_timed
 * Ordering: as defer_drop_flush.
 */
DEFER_DROP_API int defer_drop_flush_timed(uint64_t timeout_ns);

/*
 * Closes the default queue, destroys everything that was pushed, and ends its threads.
 *
 * Calling it is optional: at exit the library does what the configuration says (by default, it
 * destroys all).
 *
 * Threads, Blocks, Errors, Ordering: as defer_drop_queue_shutdown with DEFER_DROP_FOREVER.
 */
DEFER_DROP_API int defer_drop_shutdown(void);

/* ---- Configuration -------------------------------------------------------------------------- */

struct defer_drop_queue;  /* opaque */
struct defer_drop_group;  /* opaque, see defer_drop/group.h */
struct rcu_flavor_struct; /* liburcu's, <urcu/flavor.h> */

/* Destroys an object, and returns 0, or what went wrong as a negative errno; or, if it has only
 * destroyed a part of it, DEFER_DROP_AGAIN. */
typedef int (*defer_drop_status_fn)(void *object);

/* Destroys an object with the help of a context, and returns as a defer_drop_status_fn. */
typedef int (*defer_drop_context_fn)(void *object, void *context);

/*
 * A destructor that is not finished returns this: it destroys a big object in slices, so that other
 * drops need not wait for all of it. It is called again with the same object (and context) when all
 * other threads' drops, and the drops that this slice made, have had their turn; so a slice is some
 * microseconds of work, or it is not worth the change. What the thread dropped later waits until
 * the object is destroyed, and so do a flush, a ticket and a completion. Slices come one after the
 * other, each sees what the one before did, but they may run on different threads. A destructor
 * cannot wait for something in this way: the worker calls it again as soon as the other drops have
 * had their turn, and does not sleep.
 *
 * A drop that is not finished when its queue is shut down, or given up, and the time for that is
 * over, is abandoned: its destructor is not called again. A forked child that keeps drops goes on
 * with it only if a destructor of this queue forked; otherwise the drop had begun to be destroyed,
 * and the child does not have it.
 */
#define DEFER_DROP_AGAIN 0x40000000

/* A drop whose destructor returned a status that is not 0, or whose completion has an eventfd that
 * could not be written to. */
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
 * Called for each failure, and for each crossing of a watermark. context is that of the
 * configuration.
 *
 * Threads: called on the thread that runs destructors, between two of them. They may do what a
 *   destructor may, except that a watermark function may not push to its queue (-EDEADLK).
 * Blocks: destructors wait until they return.
 */
typedef void (*defer_drop_error_fn)(void *context, const struct defer_drop_failure *failure);
typedef void (*defer_drop_watermark_fn)(void *context, const struct defer_drop_level *level);

/* A destructor that has been running for watchdog_ns; or a drop that has not been finished for so
 * long, while others had their turn: because of its nested drops, the next of which this is, or its
 * slices. */
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
 * Called for each destructor that has run for watchdog_ns, and again whenever its running time has
 * doubled since. context is that of the configuration.
 *
 * Threads: called by the watchdog, a thread of the queue's own, with the mask of signals of the
 *   worker, beside the destructor, which may return meanwhile. It may push, and may end the
 *   process: abort(3) leaves the destructor's stack in the core.
 * Blocks: nothing else of its queue is reported until it returns, and a shutdown waits for that. A
 *   flush or a waiting push in it blocks until the destructor returns; stopping or shutting the
 *   queue down returns -EDEADLK there. In a child that it forks it may not return.
 */
typedef void (*defer_drop_watchdog_fn)(void *context, const struct defer_drop_slow *slow);

/*
 * Called by each worker of the queue when it starts, before it runs a destructor: after the first
 * push or defer_drop_start, after defer_drop_queue_start, and in a forked child. In this function
 * the program makes the thread its own: it sets the mask of signals, the scheduling or the CPUs,
 * registers the thread with an interpreter, or keeps pthread_self(3). context is that of the
 * configuration.
 *
 * A crash handler that must stop the worker (to test memory, say) does so by a signal. This
 * function unblocks the signal with pthread_sigmask(3); the signal's handler never returns (it
 * calls pause(2) in a loop); and the crash handler sends the signal with pthread_kill(3) to the
 * thread that was kept. So the worker stops inside a destructor and asleep, too. It may hold a lock
 * then: the crash handler itself may wait for nothing of the library's. pthread_cancel(3) has no
 * effect: the worker has cancellation disabled.
 *
 * Threads: called on the worker. It may not push to its queue, wait for it or shut it down
 *   (-EDEADLK), nor end the thread.
 * Blocks: destructors wait until it returns; defer_drop_start and defer_drop_queue_create do not.
 */
typedef void (*defer_drop_worker_fn)(void *context);

/* Which threads run the destructors of a queue. */
enum defer_drop_runner {
	DEFER_DROP_RUNNER_DEFAULT = 0, /* the worker */
	DEFER_DROP_RUNNER_WORKER = 1,  /* a thread of the queue's own */
	/* Threads that call drain, flush, a wait or shutdown: all of these destroy what they wait
	 * for. For a program with one thread. A push never destroys. */
	DEFER_DROP_RUNNER_CALLER = 2,
	/* Threads that call drain or shutdown; flushes and waits wait for such a thread. For
	 * destructors that must run on one thread, that of an event loop, while other threads
	 * wait. */
	DEFER_DROP_RUNNER_DRAINER = 3,
};

/*
 * What becomes, in a forked child, of the drops that were pending in the parent. Queues that the
 * parent had begun to shut down, by exit too, are shut down and empty in the child; queues that it
 * had stopped are stopped. The child starts from the watermark level that the parent reported last.
 */
enum defer_drop_at_fork {
	DEFER_DROP_AT_FORK_DEFAULT = 0, /* empty */
	DEFER_DROP_AT_FORK_EMPTY = 1,   /* they are the parent's: the child starts with none */
	/* The child destroys its copies too, except for what had begun to be destroyed; completions
	 * are the parent's alone, and so is what a guard waits for. A destructor that pushes to
	 * another queue does so as the child's worker, which is another thread than the parent's
	 * and has another lane there: no order holds between its pushes to that queue and those
	 * that the parent's worker had made. */
	DEFER_DROP_AT_FORK_KEEP = 2,
};

/*
 * How the kernel schedules the worker (sched(7)).
 *
 * Linux gives a new thread what the thread has that starts it, and the thread that starts the
 * worker is, without defer_drop_start, the first to push. The library undoes this for the policy,
 * the CPUs and, where the system lets it, the niceness: there the worker is as the process, which
 * means as its main thread, and never real-time by default. It cannot undo, and the worker has for
 * ever: a filter of system calls (seccomp(2)); credentials and capabilities that were set for one
 * thread (fsuid, keyrings, SECBIT_* flags); namespaces, working directory, umask and descriptors
 * that were unshared (unshare(2)); a higher niceness or SCHED_IDLE without CAP_SYS_NICE; the
 * priority of I/O (ioprio_set(2)); the policy of memory (set_mempolicy(2)); the control group; what
 * prctl(2) sets for a thread (timer slack, speculation). A SCHED_DEADLINE thread cannot start a
 * thread at all. So if threads of the program differ in one of these, call defer_drop_start in
 * main, before they do.
 */
enum defer_drop_scheduling {
	/* BATCH, so that the worker does not take the CPU from the thread that wakes it; IDLE if
	 * the process is IDLE. */
	DEFER_DROP_SCHEDULING_DEFAULT = 0,
	DEFER_DROP_SCHEDULING_OTHER = 1,
	DEFER_DROP_SCHEDULING_BATCH = 2,
	DEFER_DROP_SCHEDULING_IDLE = 3,
	DEFER_DROP_SCHEDULING_FIFO = 4, /* with scheduling_priority; needs CAP_SYS_NICE */
	DEFER_DROP_SCHEDULING_RR = 5,   /* with scheduling_priority; needs CAP_SYS_NICE */
	/* As the thread that starts it, in CPUs and niceness too, unless cpus or niceness say
	 * otherwise: for a process that is killed if it makes a system call for scheduling. */
	DEFER_DROP_SCHEDULING_INHERITED = 6,
};

/*
 * Which destructors a queue times. A time is that of CLOCK_MONOTONIC from the call to the return,
 * waits and lost CPUs included, and one reading of the clock, some 20 ns, too long. A destructor
 * that is called again (DEFER_DROP_AGAIN) counts with each call.
 */
enum defer_drop_times {
	DEFER_DROP_TIMES_OFF = 0, /* none */
	/* Some, chosen at random, each of which stands for those since the one before it: the
	 * fewer, the less they take, one in 1,024 on average if they do next to nothing, and every
	 * one while they take 20 us or more. Counts and sums are estimates, and a slow destructor
	 * among many fast ones may be missed: watchdog_ns finds it. */
	DEFER_DROP_TIMES_SAMPLED = 1,
	DEFER_DROP_TIMES_EXACT = 2, /* every one: two readings of the clock each */
};

/* How statistics are printed. */
enum defer_drop_format {
	DEFER_DROP_FORMAT_NONE = 0, /* not at all */
	DEFER_DROP_FORMAT_TEXT = 1, /* lines for people; they may change with each version */
	/* One object of JSON, in ASCII. Its members queues and pools are arrays; fields have the
	 * names and units of the structs; later versions add members. */
	DEFER_DROP_FORMAT_JSON = 2,
};

/* exit_timeout_ns, low_drops, low_bytes: the program does not say. */
#define DEFER_DROP_UNSET (UINT64_MAX - 1)
/* niceness: that of the process, if the system lets the worker have it. */
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
	 * max_lanes]. A thread owns lanes of at most 8 queues; in more queues it pushes to the
	 * shared lane. It gets a lane of its own when another thread ends, or one of its queues is
	 * freed, and what it has pushed to the shared lane is destroyed. The memory of most lanes
	 * that no thread owns goes back to the system. */
	uint32_t max_lanes;

	/* The name of the queue, in reports and in DEFER_DROP_OPTIONS, and of its worker
	 * (pthread_setname_np(3)): 1 to 15 bytes ["defer_drop"]. Queues may have the same name. */
	const char *name;
	/* CPUs the worker may run on, as "0-3,6" [NULL, those of the process]. */
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
	 * spurious, and one signal can stand for two events. It is open when the queue is created,
	 * and stays open until the queue is shut down; a push to a queue that is not empty pays
	 * nothing for it. A forked child has none, since its parent would read what it counts [-1,
	 * none]. */
	int32_t pending_eventfd;

	/* What exit does with drops that are pending: DEFER_DROP_FOREVER destroys all, and waits
	 * for the readers of grace periods; 0 leaves at once, silently, even beside or from a
	 * destructor that is running; a time in between destroys for that long, and reports how
	 * many drops are abandoned. If the time is over before the worker has ended, exit gives the
	 * queue up and goes on: defer_drop_queue_shutdown says what a push returns afterwards, in a
	 * later exit handler for instance [DEFER_DROP_UNSET, which is forever]. */
	uint64_t exit_timeout_ns;
	/* Of the worker: PTHREAD_STACK_MIN..4294967296, or 0, the system's [0]. If there is no
	 * memory for the system's (mlockall(2), setrlimit(2)), a smaller one is tried, of 64 KiB at
	 * least, and that is reported. */
	uint64_t stack_size_bytes;
	/* After this time without drops the worker sleeps until it is woken:
	 * 1000000..DEFER_DROP_TIMEOUT_MAX or DEFER_DROP_NEVER [100000000, 100 ms]. */
	uint64_t quiet_spell_ns;
	/* Until then the worker looks for drops at least this often; the timer slack of the system
	 * and the scheduling of the worker come on top: 1000..1000000000 [20000000, 20 ms]. It
	 * looks more often while drops come so fast that a quarter of a ring, of max_bytes or of a
	 * high mark would gather meanwhile; and at once when a call waits, when a ring is half
	 * full, and for a drop whose completion has an eventfd. A longer delay costs memory and
	 * saves wake-ups: 20 ms are 50 a second. */
	uint64_t longest_delay_ns;

	/* Bytes that pending drops may hold together, as their pushes said, 1..2^62 [2^62]. A push
	 * beyond that waits as for room in the ring; one drop alone may be larger. */
	uint64_t max_bytes;
	/* The watermark function is called when more than high_drops or high_bytes are pending, and
	 * when no more than the low mark of each is. High: 1..2^62, or 0, no mark [0]; it takes a
	 * watermark function. Low: 0..2^62, below high [DEFER_DROP_UNSET, half of high]. */
	uint64_t high_drops;
	uint64_t low_drops;
	uint64_t high_bytes;
	uint64_t low_bytes;
	/* Between two of these calls lies at least: 0..2^62 [10000000, 10 ms]; the last call before
	 * the worker sleeps, or when a caller has drained all, may come sooner. */
	uint64_t watermark_interval_ns;
	defer_drop_watermark_fn watermark;
	/* Without it the queue's first failure without a completion is reported; all failures are
	 * counted [NULL]. */
	defer_drop_error_fn error;
	/* A destructor that runs for this long is reported, at the latest when it has run for a
	 * quarter more and the watchdog has got a CPU; never one that returned before:
	 * 1000000..DEFER_DROP_TIMEOUT_MAX, or 0, no watchdog [0]. A drop that takes so long with
	 * its nested drops, or in slices, is reported too. The watchdog wakes up four times
	 * in this time. It sleeps when the worker sleeps until woken, or no thread drains. To find
	 * the name it takes a lock of the dynamic linker's: it waits for a destructor inside
	 * dlclose(3). Of the instructions for a drop 32 are for the watchdog, and 2 if there is
	 * none (callgrind, x86-64). */
	uint64_t watchdog_ns;
	/* Without it a line is reported; without watchdog_ns it is not called [NULL]. */
	defer_drop_watchdog_fn watchdog;
	/* With the runner worker only [NULL]. */
	defer_drop_worker_fn worker_start;
	void *context;
	/* The flavor of liburcu for grace periods: &rcu_flavor of the urcu header in use [NULL,
	 * that of <urcu/urcu-memb.h>]. If it is given, the worker is a reader of it from the start,
	 * else from the first drop after a grace period on: then destructors may enter read-side
	 * critical sections. A thread that drains a queue must register as a reader itself.
	 * -ENOTSUP in a build without liburcu. */
	const struct rcu_flavor_struct *rcu_flavor;
	/* 1: the memory of a lane is there when the lane is made, in the first push of a thread or
	 * by defer_drop_queue_attach, and stays. 0: it comes while the ring is filled, page by
	 * page: one push in 256 takes a page fault then. The shared lane of the default queue is
	 * not populated [0]. */
	uint32_t populate_lanes;

	/* enum defer_drop_times: which destructors are timed, for defer_drop_stats_print [OFF]. */
	uint32_t destructor_times;
	/* enum defer_drop_format: at exit, when it has dealt with all queues, prints the statistics
	 * of the process to stderr, as defer_drop_stats_print does, in a forked child too; of
	 * several queues the one that exit deals with last decides the format [NONE]. */
	uint32_t stats_print;
	uint32_t reserved; /* 0 */
};

/*
 * Fills in the built-in values of the library that runs.
 *
 * config: its size field says how much to fill in, and afterwards how much was.
 * Threads: any. Blocks: never.
 * Errors: -EINVAL if config is NULL or its size is smaller than that of the first version.
 */
DEFER_DROP_API int defer_drop_config_built_in(struct defer_drop_config *config);

/* Returns the built-in values: DEFER_DROP_CONFIG_INIT is this call, and so no constant for objects
 * of static storage. Threads: any. Blocks: never. */
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
 * wrong with it. It does not look at the environment.
 *
 * config: NULL means the built-in values, which are right.
 * why: gets one line without a newline that names the field, its value and what is accepted, cut
 *   off after why_bytes-1 bytes; untouched if the result is 0. It may be NULL if
 *   why_bytes is 0.
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
 * sets itself up has the built-in values, tuned by the environment; if the worker cannot have its
 * cpus, scheduling or niceness then, it runs without, and that is reported.
 *
 * config: NULL means the built-in values.
 * Environment: DEFER_DROP_OPTIONS, as in "queue_size=8k,watchdog_ns=5ms,io:max_bytes=1G", tunes
 *   every queue that is set up. Names are those of the fields. A name alone is for the default
 *   queue; NAME:option is for queues of that name. Times are in ns, or have a unit: ns, us, ms, s,
 *   m; sizes and counts may end in k, M or G, powers of 1024. Choices are written as other, batch,
 *   idle, fifo, rr, default, empty, keep, forever, never, unset, inherited, off, sampled, exact,
 *   none, text and json. The environment overrides the program, except for what the program decides
 *   for the sake of its correctness: runner, pending_eventfd and name are the program's alone;
 *   exit_timeout_ns and at_fork if the program has set them. A name with a comma cannot be reached,
 *   nor one that begins with a digit, except as the first. A wrong name or value is reported with
 *   what is accepted and what stays in force, when the queue is set up. The option "help" reports
 *   all names with their values. All of it is ignored in set-user-ID programs (secure_getenv(3)).
 *   Values from the environment can make this call fail as the program's own can: with -EPERM,
 *   -EINVAL, -ESRCH or -ENOMEM.
 * Threads: any. Asking again for the values in force returns 0, and starts a queue that was
 *   stopped.
 * Blocks: until the worker runs; and briefly.
 * Errors (nothing was changed): those of defer_drop_config_check, and
 *   -EALREADY   the queue is in use with other values
 *   -EPERM      the worker cannot be scheduled so (sched_setscheduler(2), setpriority(2)), also if
 *               only the environment asks for it. A push instead of this call, or after it, sets
 *               the queue up, and the worker runs without
 *   -EINVAL     also if cpus names only CPUs that are offline, or outside the process's affinity
 *   -ESRCH      the worker or the watchdog cannot be started
 *   -ENOMEM     no memory for the rings
 *   -ESHUTDOWN  the queue was shut down, or exit has dealt with all queues
 *   -EBUSY, -EDEADLK  it is stopped: as for defer_drop_queue_start
 */
DEFER_DROP_API int defer_drop_start(const struct defer_drop_config *config);

/*
 * Returns the version of the library that runs, comparable with DEFER_DROP_VERSION.
 *
 * Threads: any. Blocks: never.
 */
DEFER_DROP_API uint32_t defer_drop_version(void);

/*
 * Takes a line that the library reports, without a newline: "PROCESS[PID]: defer_drop: ..." of the
 * default queue, "PROCESS[PID]: defer_drop NAME: ..." of a queue of that name.
 *
 * Threads: called by any thread inside a call of the library, and by threads of the library; also
 *   by several at once. Locks of the library may be held: it may not call the library. It may not
 *   throw.
 */
typedef void (*defer_drop_report_fn)(void *context, const char *line);

/*
 * Sets the function that takes the library's lines, for the whole process.
 *
 * handle: NULL means the built-in one, which writes the line to stderr. context: passed to it.
 * Threads: any. The former function may still be running when this returns.
 * Blocks: briefly.
 */
DEFER_DROP_API void defer_drop_report_handle(defer_drop_report_fn handle, void *context);

/* ---- Queues: lanes, one worker (or callers that drain), limits ------------------------------- */

/*
 * Returns the default queue, for the calls below: never NULL, and never freed. That alone does not
 * set it up.
 *
 * Threads: any. Blocks: never.
 */
DEFER_DROP_API struct defer_drop_queue *defer_drop_queue_default(void);

/*
 * Makes a queue beside the default one, and starts its worker if runner says that it has one.
 *
 * queue: receives the new queue; untouched on error.
 * config, Environment: as for defer_drop_start.
 * Threads: any.
 * Blocks: until the worker runs; and briefly.
 * Errors (there is no new queue): those of defer_drop_config_check, and
 *   -EINVAL     also if queue is NULL; and as for defer_drop_start
 *   -EPERM, -ESRCH  as for defer_drop_start
 *   -ENOMEM     no memory for the queue and its rings
 *   -ESHUTDOWN  exit has dealt with all queues
 */
DEFER_DROP_API int defer_drop_queue_create(
	struct defer_drop_queue **queue, const struct defer_drop_config *config);

/*
 * Frees a queue that was shut down.
 *
 * Threads: any; no other call on the queue, its tickets or its completions may be running. No call
 *   on the queue may follow; calls on its tickets may, and return -ESTALE. Threads that pushed to
 *   it may live on.
 * Blocks: briefly.
 * Errors (the queue is as it was):
 *   -EINVAL  queue is NULL or the default one, which is never freed
 *   -EBUSY   the queue has not been shut down; a group of it has not been freed; or the queue was
 *            given up, and its worker has not ended: defer_drop_queue_shutdown still returns
 *            -ECANCELED
 */
DEFER_DROP_API int defer_drop_queue_free(struct defer_drop_queue *queue);

/*
 * Pushes to a queue.
 *
 * timeout_ns: how long to wait for room. With 0 it pushes as defer_drop_try, with
 *   DEFER_DROP_FOREVER as defer_drop, else as defer_drop_timed.
 * Threads: as defer_drop.
 * Blocks: as defer_drop, until timeout_ns is over. If callers drain the queue, a push that waits
 *   does not drain: it waits for a thread that does. So a program of one thread pushes with 0.
 * Errors: those of defer_drop_timed; -EINVAL also if queue is NULL.
 * Ordering: as defer_drop.
 */
DEFER_DROP_API int defer_drop_queue_push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/*
 * Reserves a lane for the calling thread, as its first push would: that takes a lock and maps
 * memory, which a thread does better before it becomes time-critical.
 *
 * Threads: any. A second call does nothing, unless the first was answered -ENOSPC.
 * Blocks: briefly; a second call never, unless the first was answered -ENOSPC.
 * Errors:
 *   -EINVAL     queue is NULL
 *   -ENOSPC     the thread pushes to the shared lane: max_lanes are in use, there is no memory for
 *               another, what the thread has pushed to the shared lane is not destroyed yet, the
 *               thread pushes to more than 8 queues, or it is ending; or the process has no key of
 *               thread-specific data left (pthread_key_create(3))
 *   -EDEADLK    called by a destructor that the queue runs, which never needs a lane
 *   -ESHUTDOWN  the queue was shut down, or exit has dealt with all queues
 */
DEFER_DROP_API int defer_drop_queue_attach(struct defer_drop_queue *queue);

/*
 * Waits until every drop pushed to a queue before this call has been destroyed, as
 * defer_drop_flush_timed.
 *
 * Threads: any, beside every other call.
 * Blocks: as defer_drop_flush, until timeout_ns is over; with 0 never. With the runner caller this
 *   call drains, unless the timeout is 0: it returns late by the destructor that runs when the
 *   timeout is over. With the runner drainer it waits for a thread that drains.
 * Errors: those of defer_drop_flush_timed, and
 *   -EINVAL  queue is NULL
 *   -ESTALE  this call drains, a destructor forked, and this is the child
 * Ordering: as defer_drop_flush.
 */
DEFER_DROP_API int defer_drop_queue_flush(struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * Waits until at most max_drops drops, which hold at most max_bytes bytes, are pending: for
 * producers in bulk.
 *
 * max_drops, max_bytes: UINT64_MAX means any number.
 * Threads: any, beside every other call.
 * Blocks: as defer_drop_queue_flush. It returns 0 at once if the backlog is that small already.
 * Errors: those of defer_drop_queue_flush, except -ESTALE.
 * Ordering: none; the backlog was that small for a moment.
 */
DEFER_DROP_API int defer_drop_queue_wait_backlog(struct defer_drop_queue *queue, uint64_t max_drops,
	uint64_t max_bytes, uint64_t timeout_ns);

/*
 * Runs destructors on the calling thread, within a budget. For queues that callers drain.
 *
 * max_drops: stops after it has run this many destructors, those of nested drops included; one that
 *   is not finished (DEFER_DROP_AGAIN) counts each time that it is called. 0 runs none.
 * budget_ns: starts no further destructor once this time has passed, nor calls one again: a timeout
 *   like all others. A drop that is left in the middle by either limit is pending, and the next
 *   drain goes on with it.
 * ran: how many destructors this call has run, counted so, also on error; may be NULL. If it is 0,
 *   there was nothing that could be destroyed, unless a limit was 0 or over before.
 * Threads: any, one at a time.
 * Blocks: for what the destructors take, and briefly. Drops that wait for readers, or that another
 *   thread is just pushing, are not waited for, and stay: see defer_drop_queue_backlog, and
 *   pending_eventfd of the configuration.
 * Errors:
 *   -EINVAL     queue is NULL, or has a worker
 *   -EBUSY      another thread is draining it; the pending_eventfd is signalled when that thread
 *               is done and something is left
 *   -EDEADLK    called by a destructor that the queue runs
 *   -EOVERFLOW  budget_ns, as for defer_drop_timed
 *   -ESHUTDOWN  the queue was shut down, also by another thread just now: this call ran nothing.
 *               One that has begun to run destructors then stops, and returns 0
 * Ordering: what the destructors did is visible to the caller.
 */
DEFER_DROP_API int defer_drop_queue_drain(
	struct defer_drop_queue *queue, uint64_t max_drops, uint64_t budget_ns, uint64_t *ran);

/*
 * Ends the threads of a queue for a while, and loses nothing: for a program that must have one
 * thread for a moment (unshare(2), setns(2), a prefork master before it forks, a checkpoint). The
 * threads are gone from /proc/self/task when this returns 0. Until defer_drop_queue_start, pushes
 * queue up; a push that finds its ring full waits or returns as always, and so do flushes and
 * waits. A queue that callers drain has no worker, and can be drained while it is stopped.
 *
 * A stopped queue can be stopped again, which does nothing, and shut down, which destroys what is
 * pending on the calling thread. Exit does that too.
 *
 * timeout_ns: how long to wait for the destructor, or watchdog function, that is running, and for
 *   readers that a grace period has to wait for. A tenth of a second is added to it for threads
 *   that run none.
 * Threads: any; one caller stops or starts a queue at a time, others get -EBUSY.
 * Blocks: until the threads have ended and no caller drains, or that time is over.
 * Errors (the queue goes on as if nothing had been asked):
 *   -EINVAL     queue is NULL
 *   -EAGAIN     the threads have not ended, and timeout_ns is 0
 *   -ETIMEDOUT  the threads have not ended
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs, by a thread of the queue's, or inside a
 *               read-side critical section
 *   -EBUSY      another caller is stopping or starting it
 *   -ESHUTDOWN  the queue was shut down, or exit has dealt with all queues
 * Ordering: the order of a thread's drops holds across stop and start. But a destructor that pushes
 *   to another queue does so as the worker, and after defer_drop_queue_start the worker is another
 *   thread, with another lane in that other queue: no order holds between what it pushes there
 *   before and after.
 */
DEFER_DROP_API int defer_drop_queue_stop(struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * Starts a queue that was stopped. If it was not, it starts the threads that are not running yet.
 *
 * Threads: any; one caller stops or starts a queue at a time.
 * Blocks: until the worker runs; and briefly.
 * Errors (a stopped queue is still stopped):
 *   -EINVAL     queue is NULL; or as for defer_drop_start
 *   -EPERM, -ESRCH, -ENOMEM       as for defer_drop_start
 *   -EDEADLK, -EBUSY, -ESHUTDOWN  as for defer_drop_queue_stop
 */
DEFER_DROP_API int defer_drop_queue_start(struct defer_drop_queue *queue);

/*
 * Closes a queue, deals with what is pending, and ends its threads. It can be called again.
 *
 * A push that returned 0 is either destroyed or counted as abandoned. Once the queue is closed,
 * every push returns -ESHUTDOWN, and its object is still the caller's. defer_drop_queue_stats says
 * what became of the drops; the objects of abandoned drops leak.
 *
 * Giving up: if the destructor that is running has not returned a tenth of a second after the
 * timeout, the queue is given up. Flushes and waits return -ECANCELED, and so does this call. The
 * destructor runs on, and no other after it. Until it has returned, the queue is not closed: a push
 * that has room returns 0 and is abandoned, one that would have to wait returns -EAGAIN if its
 * timeout is 0 and else -ESHUTDOWN. What the destructor uses must stay, completions and guards that
 * are pending too. Call again to wait for the end. Exit does not wait for a queue that was given
 * up. Exit itself gives up a queue whose worker has not ended when exit_timeout_ns is over, without
 * the tenth of a second; until the process ends, pushes return what is said here.
 *
 * timeout_ns: DEFER_DROP_FOREVER destroys all that is pending; 0 destroys nothing more; with a time
 *   in between no destructor starts once it is over.
 * Threads: any, also several and later: all wait for the end, each for its own timeout. The
 *   earliest of their deadlines applies to what is destroyed.
 * Blocks: until the threads have ended, or the queue is given up. A watchdog function that is
 *   running is waited for, however long it takes. A queue that callers drain, or that is stopped,
 *   is finished on the calling thread, which runs the destructors.
 * Errors (the queue is shut down nevertheless, unless said otherwise):
 *   -ETIMEDOUT  drops were abandoned, at this call's deadline or at another's. Never with a timeout
 *               of 0 or DEFER_DROP_FOREVER: these return 0 even if another caller, or exit,
 *               abandoned drops, so that only abandoned_total of the statistics tells
 *   -ECANCELED  given up: the worker has not ended, and the queue cannot be freed
 *   -EINVAL     queue is NULL; nothing was done. This also holds for the errors below
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    called by a destructor that the queue runs, or by a thread of the queue's; or, with
 *               a timeout that is not 0, inside a read-side critical section
 * Ordering: everything the destructors did is visible after 0 and -ETIMEDOUT.
 */
DEFER_DROP_API int defer_drop_queue_shutdown(struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * Fills in the configuration in force. It can be passed to defer_drop_queue_create.
 *
 * config: its size field says how much to fill in, and afterwards how much was. Strings live as
 *   long as the queue.
 * Threads: any, beside every other call.
 * Blocks: never; as the first use of the default queue, briefly.
 * Errors (config is untouched):
 *   -EINVAL     queue or config is NULL, or config->size is smaller than that of the first version
 *   -ESHUTDOWN  the default queue was not used before exit
 */
DEFER_DROP_API int defer_drop_queue_config(
	struct defer_drop_queue *queue, struct defer_drop_config *config);

/*
 * Changes how many bytes pending drops may hold together, as max_bytes of the configuration. More
 * wakes the pushes that fit now; less takes nothing back, and later pushes wait until the backlog
 * has shrunk.
 *
 * max_bytes: 1..2^62.
 * Threads: any, beside every other call.
 * Blocks: briefly.
 * Errors (nothing was changed):
 *   -EINVAL     queue is NULL, or max_bytes is out of its range
 *   -ESHUTDOWN  as for defer_drop_queue_config
 */
DEFER_DROP_API int defer_drop_queue_set_max_bytes(
	struct defer_drop_queue *queue, uint64_t max_bytes);

/* ---- Tickets: "this drop" -------------------------------------------------------------------- */

/*
 * Names a drop, or everything a thread has pushed up to a point. A value: copy it freely, for as
 * long as you like. A zeroed one names no drop.
 */
struct defer_drop_ticket {
	uint64_t queue_id; /* never used again, so that a ticket of a freed queue is noticed */
	uint64_t position;
	uint32_t lane;
	uint32_t generation;
	uint64_t reserved;
};

/*
 * Fills in a ticket for everything that the calling thread has pushed to a queue so far. If the
 * thread pushes to the shared lane, or has not pushed yet, the ticket covers all that the shared
 * lane holds. The ticket of one drop comes from its options.
 *
 * Threads: any, for itself.
 * Blocks: never; as the first use of the default queue, briefly.
 * Errors (ticket is untouched):
 *   -EINVAL     queue or ticket is NULL
 *   -EDEADLK    called by a destructor that the queue runs: its own drop cannot be done before it
 *               returns
 *   -ESHUTDOWN  the default queue was not used before exit
 */
DEFER_DROP_API int defer_drop_queue_ticket(
	struct defer_drop_queue *queue, struct defer_drop_ticket *ticket);

/*
 * Waits until what the ticket names has been destroyed.
 *
 * Threads: any, also several with one ticket; destructors that the queue runs with a timeout of 0.
 * Blocks: until then, until timeout_ns is over; with 0 it looks, and never blocks. While the queue
 *   is stopped, the wait goes on until it is started. With the runner caller this call drains,
 *   unless the timeout is 0: it returns late by the destructor that runs when the timeout is over.
 *   With the runner drainer it waits for a thread that drains.
 * Errors:
 *   -EAGAIN     not yet, and timeout_ns is 0
 *   -ETIMEDOUT  not yet
 *   -ESHUTDOWN  it will never be destroyed: the queue was shut down before its turn came
 *   -ECANCELED  the queue was given up: it may or may not be destroyed yet
 *   -ESTALE     the ticket is from before a fork, or its queue has been freed; also if this call
 *               drains, a destructor forked, and this is the child
 *   -EINVAL     ticket is NULL, or names no drop. A position that no push returned is not noticed
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    with a timeout that is not 0: called by a destructor that the queue runs, or the
 *               call would have to wait inside a read-side critical section
 *   -ESRCH      not yet, and the worker cannot be started
 * Ordering: what the destructor did is visible after 0.
 */
DEFER_DROP_API int defer_drop_ticket_wait(
	const struct defer_drop_ticket *ticket, uint64_t timeout_ns);

/*
 * Adds 1 to an eventfd(2) when what the ticket names has been destroyed or abandoned, or when its
 * queue is given up; at once if that has happened already.
 *
 * eventfd: the library keeps a duplicate until then, so that the caller may close its own. Whether
 *   it is an eventfd is not checked: 8 bytes are written to whatever it is, if it can take them
 *   at once. A forked child does not write to it.
 * Threads: any, destructors too.
 * Blocks: briefly. A worker that is not running yet is started, and not waited for.
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
 * Says when drops have been destroyed, and with which status. It is the caller's memory, on the
 * stack too, and serves one push at a time. From that push until a wait reports that it is over, it
 * may not be touched, copied or freed; afterwards it may be used again. Other threads may wait for
 * it once the push has returned.
 */
struct defer_drop_completion {
	/* An eventfd(2) to which 1 is added when it is over, or -1. It must stay open until then;
	 * one that cannot be written to is a failure (defer_drop_error_fn). A push with it wakes a
	 * worker that naps, by a system call. */
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
 * counts bytes, has a status, a context, a completion or a group takes two slots of its ring; a
 * grace period alone takes none beside its own.
 */
struct defer_drop_options {
	size_t size; /* sizeof(struct defer_drop_options) */

	uint64_t bytes; /* that the object holds, for max_bytes: 0..DEFER_DROP_BYTES_END-1 */
	uint32_t flags; /* enum defer_drop_flags, added up */

	/* One of these instead of destroy, which is NULL then. */
	defer_drop_status_fn destroy_status;
	defer_drop_context_fn destroy_context;
	void *context; /* for destroy_context, passed on as it is */

	struct defer_drop_completion *completion; /* NULL: none */
	struct defer_drop_ticket *ticket;         /* filled in on success; NULL: none wanted */

	/* In whose name it is pushed (defer_drop/group.h); NULL: in none, or, if a destructor of a
	 * group pushes, in that one's. With a context the drop takes memory of malloc(3). */
	struct defer_drop_group *group;
};

/*
 * Pushes with options.
 *
 * timeout_ns: how long to wait for room in the ring and in the byte budget.
 * options: NULL asks for nothing. Read before the call returns, except for the completion.
 * Threads: as defer_drop.
 * Blocks: as defer_drop, and while the budget is used up, until timeout_ns is over. A nested drop
 *   never waits, not even if it exceeds the budget.
 * Errors, beside those of defer_drop_timed (the object is still the caller's, the completion
 * unused, and the ticket untouched):
 *   -EINVAL     not exactly one of destroy, destroy_status and destroy_context; context without
 *               destroy_context; an unknown flag; size smaller than that of the first version;
 *               eventfd below -1; queue is NULL; the group is of another queue, or was freed
 *   -E2BIG      options is of a later version and uses what this library does not know
 *   -EOVERFLOW  also if bytes is too large, or more than 2^62 would be pending
 *   -EBUSY      the completion serves another push that is not over
 *   -ESHUTDOWN, -EOVERFLOW  also as for defer_drop_group_push
 *   -ENOMEM     also if there is no memory for a context in a group
 *   -ENOTSUP    as for defer_drop_rcu
 * Ordering: as defer_drop.
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
 * options: for each of the objects; the ticket is that of the last.
 * pushed: how many were pushed, also on error; may be NULL.
 * Threads, Blocks: as defer_drop_queue_push_with. The timeout counts once for all.
 * Errors: those of defer_drop_queue_push_with, and
 *   -EINVAL     objects is NULL and count is not 0
 *   -EOVERFLOW  also if count is too large
 *   On error the first *pushed objects are the library's, and the completion is in use for them
 *   alone (if none was pushed, it is unused); the others are still the caller's.
 * Ordering: as defer_drop, for each.
 */
DEFER_DROP_API int defer_drop_queue_push_many(struct defer_drop_queue *queue, void *const *objects,
	size_t count, defer_drop_fn destroy, uint64_t timeout_ns,
	const struct defer_drop_options *options, size_t *pushed);

/*
 * Waits until all drops of a completion are destroyed.
 *
 * status: the first that was not 0, or 0; set if the result is 0, -ESHUTDOWN or -ESTALE; may be
 *   NULL.
 * Threads: any, also several; destructors that the queue runs with a timeout of 0.
 * Blocks: as defer_drop_ticket_wait; also with a timeout of 0 for the moment between the worker's
 *   write to the eventfd and its last access to the completion.
 * Errors:
 *   -ESHUTDOWN  it is over, and some drops will never be destroyed: the queue was shut down before
 *               their turn came, or their group was abandoned
 *   -ESTALE     it is over: a fork came between, and completions are not the child's
 *   -EINVAL     completion is NULL or was never used
 *   After the others it is still in use:
 *   -EAGAIN     not yet, and timeout_ns is 0
 *   -ETIMEDOUT  not yet
 *   -ECANCELED  the queue was given up: the library still writes to the completion when the
 *               destructor returns that was running, which may be never
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    with a timeout that is not 0, while it is not over: called by a destructor that the
 *               queue runs, or inside a read-side critical section
 *   -ESRCH      not yet, and the worker cannot be started
 * Ordering: what the destructors did is visible after 0.
 */
DEFER_DROP_API int defer_drop_completion_wait(
	struct defer_drop_completion *completion, uint64_t timeout_ns, int *status);

/* ---- Statistics ------------------------------------------------------------------------------ */

/*
 * Counters since the queue began (in a forked child: since the fork). Taken without locks while the
 * queue runs, each is exact and they are read one after the other; once no thread pushes and a flush
 * has returned they agree: pushed = destroyed + abandoned + backlog. A push that waits for ever for
 * room in the shared lane may count as pushed, if it has its position there.
 */
struct defer_drop_stats {
	size_t size; /* sizeof(struct defer_drop_stats), set by the caller; then what was filled in */

	uint64_t pushed_total;    /* accepted, nested included */
	uint64_t destroyed_total; /* destructors returned, nested included */
	uint64_t
		refused_total; /* pushes that found no room, no bytes, a closed queue or no worker */
	uint64_t abandoned_total; /* accepted, never to be destroyed; their objects leak. Of an open
				   * queue: with their groups (defer_drop/group.h) */
	uint64_t nested_total;    /* pushed by destructors; of a queue, 0 for a lane */

	uint64_t waits_total;   /* waits of pushes for room in a ring or for bytes */
	uint64_t wait_ns_total; /* time spent in them */

	/* Of a queue, 0 for a lane: */
	uint64_t wakes_total;       /* calls that woke the worker, by pushes and waits */
	uint64_t naps_total;        /* short timed sleeps of the worker */
	uint64_t deep_sleeps_total; /* sleeps until woken, the present one included */

	uint64_t backlog; /* pending now */
	/* The largest backlog that was seen. The worker looks when it wakes up, and each time that
	 * it has run some 1,000 destructors; a caller, when it calls defer_drop_queue_drain. */
	uint64_t highest_backlog;

	uint32_t lanes; /* of a queue: lanes in existence, the shared one included */

	/* Of a queue, 0 for a lane: */
	uint64_t backlog_bytes; /* what pending drops said they hold */
	/* Failures, see struct defer_drop_failure; and eventfds that defer_drop_queue_push_many
	 * could not write to. */
	uint64_t failed_total;
	uint64_t grace_periods_total; /* waited for */
	uint64_t slow_total;          /* destructors that ran for watchdog_ns */

	/*
	 * How long the oldest pending drop has waited, at most and at least; both 0 if there is
	 * none, the second also if it is not known. Drops have no times of their own. The worker
	 * notes the time when it wakes up, and each time that it has run some 1,000 destructors, but
	 * not twice in 100 us; a caller, when it calls defer_drop_queue_drain. A push that finds the
	 * worker asleep, or a drain due, notes the time too. The two figures lie as far apart as the
	 * notes before and after the push: a nap (longest_delay_ns), or what 1,000 destructors take.
	 * While nothing was noted after the push, because a destructor holds the worker up or no
	 * caller drains, the second is 0. If more than 16 notes were made of one lane's backlog,
	 * they lie further apart. A child that keeps drops counts their time in the parent.
	 */
	uint64_t oldest_ns;
	uint64_t oldest_least_ns;
	uint64_t mapped_bytes; /* of rings, lanes and the queue; untouched pages take no memory */
};

/*
 * Returns how many drops are pending in a queue, nested ones included; 0 if queue is NULL. It is
 * the backlog of the statistics, for a few loads per lane.
 *
 * Threads: any. Blocks: never. Ordering: none; the number was true a moment ago.
 */
DEFER_DROP_API uint64_t defer_drop_queue_backlog(struct defer_drop_queue *queue);

/*
 * Fills in the statistics of a queue.
 *
 * Threads: any. Blocks: never.
 * Errors: -EINVAL if queue or stats is NULL, or stats->size is smaller than that of the first
 *   version.
 */
DEFER_DROP_API int defer_drop_queue_stats(
	struct defer_drop_queue *queue, struct defer_drop_stats *stats);

/*
 * Fills in the statistics of one lane.
 *
 * lane: 0 is the shared lane; then come those owned by threads, in the order in which they were
 *   made.
 * Threads: any. Blocks: never.
 * Errors: those of defer_drop_queue_stats; -ENOENT if there is no such lane, as in a default queue
 *   that was not used yet.
 */
DEFER_DROP_API int defer_drop_queue_lane_stats(
	struct defer_drop_queue *queue, uint32_t lane, struct defer_drop_stats *stats);

/*
 * Takes some of a text that is printed, a line or less; text ends with 0. context is the caller's.
 * Returns 0, or a negative errno, which ends the printing.
 *
 * Threads: called on the thread that prints, which holds no lock of the library's.
 */
typedef int (*defer_drop_write_fn)(void *context, const char *text, size_t bytes);

/*
 * Prints the statistics of the process: of each queue in use the fields of defer_drop_stats; how
 * long its drops have waited (delays); with destructor_times, how long its destructors took, all,
 * the 16 functions or so that cost most, by symbol, and the others; and the counts of all pools.
 *
 * Of times there are their number, their sum, the longest, and percentiles, wrong by a sixteenth at
 * most. Delays count slots (a drop with options takes two). The delay of a drop is the longest
 * that it can be: too long by the time between the two notes before and after its push (see
 * oldest_ns), and by the rest of its turn, some 100 us and one destructor. Drops that a call other
 * than drain destroys, or a shutdown, have none.
 *
 * write: writes the text; NULL writes it to stderr.
 * format: TEXT or JSON.
 * Threads: any, beside every other call; destructors too. What it prints was true a moment ago.
 * Blocks: briefly, as write does, and on a lock of the dynamic linker's, to find the symbols.
 * Errors: -EINVAL if format is none of these; or what write returned, and the text is not complete.
 */
DEFER_DROP_API int defer_drop_stats_print(
	defer_drop_write_fn write, void *context, uint32_t format);

/*
 * Asks a queue's worker to print the statistics of the process to stderr, as defer_drop_stats_print
 * does: for a signal handler.
 *
 *     static void on_signal(int signal)
 *     {
 *             (void)signal;
 *             defer_drop_stats_ask(defer_drop_queue_default(), DEFER_DROP_FORMAT_TEXT);
 *     }
 *
 * The worker prints between two rounds of its lanes, so not before a destructor that is running has
 * returned, except that a watchdog prints meanwhile, after a quarter of watchdog_ns at most; a
 * worker that is not running prints when it starts. Without a worker, the next thread that has
 * drained prints. Of several requests that are made before it prints, the last one counts.
 *
 * Threads: any. It is async-signal-safe (signal-safety(7)), the only call that is: it allocates
 *   nothing, takes no lock, and leaves errno as it was.
 * Blocks: never.
 * Errors:
 *   -EINVAL     queue is NULL, or format neither TEXT nor JSON
 *   -ESHUTDOWN  the queue was shut down, by a call or by exit
 */
DEFER_DROP_API int defer_drop_stats_ask(struct defer_drop_queue *queue, uint32_t format);

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
