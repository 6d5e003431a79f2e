/* SPDX-License-Identifier: MIT
 *
 * Strategies: how an object is destroyed, chosen by a pointer instead of by the call.
 *
 *     defer_drop_by(&defer_drop_strategy_worker, tree, tree_free);    does what defer_drop does
 *     defer_drop_by(&defer_drop_strategy_in_place, tree, tree_free);  calls tree_free(tree)
 *
 * Guards (guard.h) and references (ref.h) keep such a pointer for their object; the pointer can be
 * changed until the object is dropped. A program that always destroys in one way needs no strategy:
 * it calls defer_drop.
 *
 * A strategy of your own is a const struct with a function in it:
 *
 *     const struct defer_drop_strategy mine = {DEFER_DROP_STRATEGY_VERSION, mine_drop, NULL};
 *
 * A strategy with data of its own is the first field of a larger struct:
 *
 *     struct to_pool {
 *             struct defer_drop_strategy strategy;
 *             struct pool *pool;
 *     };
 *
 * What holds for every strategy: it returns 0 or a negative errno. On an error the object is still
 * the caller's, and its destructor has not run and will not. What a thread did before it dropped is
 * visible to the destructor.
 */
#ifndef DEFER_DROP_STRATEGY_H
#define DEFER_DROP_STRATEGY_H

#include <defer_drop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the struct below that this header declares: later ones have more fields. */
#define DEFER_DROP_STRATEGY_VERSION 1

struct defer_drop_strategy {
	uint32_t version; /* DEFER_DROP_STRATEGY_VERSION */
	/* Calls destroy(object) once, now or later, here or on another thread. Returns 0 or a
	 * negative errno. destroy is never NULL. object is opaque: it may be NULL, or no address at
	 * all. Threads: called by any, unless the strategy's manual says otherwise. */
	int (*drop)(
		const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy);
	/* Waits until all that the calling thread dropped by the strategy is destroyed, or the
	 * timeout is over. If only this thread can destroy it (it drains a queue, it turns a loop),
	 * this function does. A timeout of 0 looks once and destroys nothing. NULL: the strategy
	 * does not know when objects are destroyed. Returns 0 if all is destroyed or that is not
	 * known, -EAGAIN (if the timeout is 0) or -ETIMEDOUT if some is not, -ESHUTDOWN if some
	 * never will be, -ECANCELED if its queue was given up, -EDEADLK if a destructor would wait
	 * for itself, and other errors. */
	int (*wait)(const struct defer_drop_strategy *strategy, uint64_t timeout_ns);
};

/*
 * Drops by a strategy.
 *
 * strategy: NULL means the worker. It must last until the call returns, no longer.
 * Threads, Blocks: as the strategy. The call itself takes no lock.
 * Errors (the object is still the caller's), beside those of the strategy:
 *   -EINVAL  destroy is NULL; or the strategy has version 0 or no drop function
 *   -E2BIG   the strategy has a later version than this library knows
 * Ordering: what the thread did before is visible to the destructor.
 */
DEFER_DROP_API int defer_drop_by(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy);

/* ---- Strategies without data ----------------------------------------------------------------- */

/* Destroys at once. Threads: any, and the destructor runs there. Blocks: for what it takes. Errors:
 * none. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_in_place;

/* Forgets the object, which leaks: the lower bound of what destroying can cost, for benchmarks.
 * Threads: any. Blocks: never. Errors: none; a wait for it returns -ESHUTDOWN. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_leak;

/* Pushes to the default queue. Threads, Blocks, Errors, Ordering: as defer_drop. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_worker;

/* Pushes to the default queue, after a grace period. Threads, Blocks, Errors, Ordering: as
 * defer_drop_rcu. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_rcu;

/*
 * Starts a detached thread for each object, with the mask of signals of a worker: for comparison. A
 * process that exits does not wait for these threads.
 *
 * Threads: any. Blocks: while the thread is created.
 * Errors: -ESRCH if there can be no more threads (pthread_create(3)), -ENOMEM.
 */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_thread;

/* ---- A queue of your own --------------------------------------------------------------------- */

/*
 * A queue beside the default one, with a worker, or one that callers drain. In the latter case the
 * program destroys the objects when it has time for that, by defer_drop_queue_drain (one: max_drops
 * 1; within a budget; all: max_drops UINT64_MAX and DEFER_DROP_FOREVER).
 */
struct defer_drop_strategy_queue {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	uint64_t timeout_ns;
	void *reserved[2];
};

/*
 * Sets up a strategy that pushes to a queue. Threads, Blocks, Errors, Ordering of its drops: as
 * defer_drop_queue_push.
 *
 * queue: stays the caller's, and must last as long as the strategy is used.
 * timeout_ns: how long a drop waits for room. A thread that drains its own queue says 0.
 * Threads: one, before any drops by the strategy. Blocks: never.
 * Errors (the strategy is untouched): -EINVAL if strategy or queue is NULL; -EOVERFLOW as for
 *   defer_drop_timed.
 */
DEFER_DROP_API int defer_drop_strategy_queue_init(struct defer_drop_strategy_queue *strategy,
	struct defer_drop_queue *queue, uint64_t timeout_ns);

/* A group (group.h), and its queue. */
struct defer_drop_strategy_group {
	struct defer_drop_strategy strategy;
	struct defer_drop_group *group;
	uint64_t timeout_ns;
	void *reserved[2];
};

/*
 * Sets up a strategy that pushes in the name of a group. Threads, Blocks, Errors, Ordering of its
 * drops: as defer_drop_group_push. A wait waits for all of the group: defer_drop_group_flush.
 *
 * group: stays the caller's, and must last as long as the strategy is used.
 * timeout_ns: how long a drop waits for room.
 * Threads: one, before any drops by the strategy. Blocks: never.
 * Errors (the strategy is untouched): -EINVAL if strategy or group is NULL; -EOVERFLOW as for
 *   defer_drop_timed.
 */
DEFER_DROP_API int defer_drop_strategy_group_init(struct defer_drop_strategy_group *strategy,
	struct defer_drop_group *group, uint64_t timeout_ns);

/*
 * Ends a queue: shuts it down, destroying what is pending, and frees it. It has the type of a
 * destructor, so that a guard whose strategy is in place ends the queue when its scope is left:
 *
 *     DEFER_DROP_SCOPED(guard, queue, defer_drop_queue_end, &defer_drop_strategy_in_place);
 *
 * queue: a struct defer_drop_queue; with the default one, or NULL, it does nothing.
 * Threads: any, except one that runs a destructor of the queue or is inside a read-side critical
 *   section: the queue would stay. No other call on the queue may be running.
 * Blocks: as defer_drop_queue_shutdown with DEFER_DROP_FOREVER.
 */
DEFER_DROP_API void defer_drop_queue_end(void *queue);

/* ---- An executor of the program's ------------------------------------------------------------ */

/*
 * Hands destroy(object) to an executor, which calls it once, later. Returns 0 or a negative errno.
 * <defer_drop/uv.h> and <defer_drop/glib.h> have ready-made ones.
 */
typedef int (*defer_drop_submit_fn)(void *executor, void *object, defer_drop_fn destroy);

struct defer_drop_strategy_executor {
	struct defer_drop_strategy strategy;
	defer_drop_submit_fn submit;
	void *executor;
	void *reserved[2];
};

/*
 * Sets up a strategy that hands objects to an executor. Threads, Blocks, Errors of its drops: as
 * submit.
 *
 * executor: passed to submit; must last as long as the strategy is used.
 * Threads: one, before any drops by the strategy. Blocks: never.
 * Errors (the strategy is untouched): -EINVAL if strategy or submit is NULL.
 */
DEFER_DROP_API int defer_drop_strategy_executor_init(
	struct defer_drop_strategy_executor *strategy, defer_drop_submit_fn submit, void *executor);

/* ---- Trace ----------------------------------------------------------------------------------- */

/* Called for each drop, on the thread that drops, before the inner strategy. */
typedef void (*defer_drop_trace_fn)(void *context, void *object, defer_drop_fn destroy);

struct defer_drop_strategy_trace {
	struct defer_drop_strategy strategy;
	const struct defer_drop_strategy *inner;
	defer_drop_trace_fn trace;
	void *context;
	void *reserved[2];
};

/*
 * Sets up a strategy that reports each drop and passes it on. Threads, Blocks, Errors, Ordering of
 * its drops: as the inner strategy, and as trace.
 *
 * inner: NULL means the worker; must last as long as the strategy is used.
 * trace: defer_drop_trace_print, with a stream as its context, or a function of your own.
 * Threads: one, before any drops by the strategy. Blocks: never.
 * Errors (the strategy is untouched): -EINVAL if strategy or trace is NULL; those of defer_drop_by
 *   for inner.
 */
DEFER_DROP_API int defer_drop_strategy_trace_init(struct defer_drop_strategy_trace *strategy,
	const struct defer_drop_strategy *inner, defer_drop_trace_fn trace, void *context);

/*
 * Prints one line: the object's address and its destructor, by name if that is in the program's
 * dynamic symbols (cc -rdynamic), else as FILE+0xOFFSET for addr2line(1).
 *
 * stream: a FILE; with NULL it prints nothing.
 * Threads: any. Blocks: as fprintf(3), and for a lock of the dynamic linker's (dladdr(3)).
 */
DEFER_DROP_API void defer_drop_trace_print(void *stream, void *object, defer_drop_fn destroy);

#ifdef __cplusplus
}
#endif

#endif
