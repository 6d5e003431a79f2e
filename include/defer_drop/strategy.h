/* SPDX-License-Identifier: MIT
 *
 * Strategies: how an object is destroyed, chosen by a pointer instead of by the call.
 *
 *     defer_drop_by(&defer_drop_strategy_worker, tree, tree_free);    the same as defer_drop
 *     defer_drop_by(&defer_drop_strategy_in_place, tree, tree_free);  the same as tree_free(tree)
 *
 * Guards (guard.h) and references (ref.h) keep such a pointer for their object, which can be
 * changed until the object is dropped. A program that knows what it wants needs no strategy: it
 * calls defer_drop.
 *
 * A strategy of one's own is a const struct with a function in it:
 *
 *     const struct defer_drop_strategy mine = {DEFER_DROP_STRATEGY_VERSION, mine_drop, NULL};
 *
 * One that needs to know something is the first field of a larger struct:
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
	/* Calls destroy(object), now or later, or has it called, once. Returns 0 or a negative
	 * errno. destroy is never NULL. object is opaque: it may be NULL, or no address at all.
	 * Threads: any. */
	int (*drop)(
		const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy);
	/* Lets the calling thread wait for what it dropped so, until all of it is destroyed or the
	 * timeout is over; if it takes this thread to destroy it (it drains a queue, it turns a
	 * loop), it does. A timeout of 0 looks once and destroys nothing. NULL: nobody can tell.
	 * Returns 0 if it is destroyed or nobody can tell, -EAGAIN (of a timeout of 0) or
	 * -ETIMEDOUT if it is not, -ESHUTDOWN if it never will be, -ECANCELED if its queue was
	 * given up, -EDEADLK if a destructor would wait for itself, and other errors. */
	int (*wait)(const struct defer_drop_strategy *strategy, uint64_t timeout_ns);
};

/*
 * Drops by a strategy.
 *
 * strategy: NULL means the worker. It must last until the call returns, no longer.
 * Errors (the object is still the caller's), beside those of the strategy:
 *   -EINVAL  destroy is NULL; or the strategy has version 0 or no drop function
 *   -E2BIG   the strategy has a later version than this library knows
 */
DEFER_DROP_API int defer_drop_by(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy);

/* ---- Strategies that know nothing ------------------------------------------------------------ */

/* Destroys now, on the calling thread. Never fails. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_in_place;

/* Forgets the object, which leaks: what destroying costs at least, for benchmarks. Never fails; a
 * wait for it returns -ESHUTDOWN. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_leak;

/* The default queue, as defer_drop. Errors: those of defer_drop. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_worker;

/* The default queue after a grace period, as defer_drop_rcu. Errors: those of defer_drop_rcu. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_rcu;

/*
 * A fresh detached thread for each object, with all signals blocked: for comparison. A process that
 * exits does not wait for them.
 *
 * Errors: -ESRCH if there can be no more threads (pthread_create(3)), -ENOMEM.
 */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_thread;

/* ---- A queue of one's own -------------------------------------------------------------------- */

/*
 * A queue beside the default one, with a worker, or one that callers drain: then the objects are
 * destroyed where and when the program has time for it, by defer_drop_queue_drain (one: max_drops
 * 1; within a budget; all: max_drops UINT64_MAX and DEFER_DROP_FOREVER).
 */
struct defer_drop_strategy_queue {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	uint64_t timeout_ns;
	void *reserved[2];
};

/*
 * Sets such a strategy up. Errors of its drops: those of defer_drop_queue_push.
 *
 * queue: stays the caller's.
 * timeout_ns: how long a drop waits for room. A thread that drains its own queue says 0.
 * Errors: -EINVAL if strategy or queue is NULL; -EOVERFLOW as for defer_drop_timed.
 */
DEFER_DROP_API int defer_drop_strategy_queue_init(struct defer_drop_strategy_queue *strategy,
	struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * Ends a queue: shuts it down, destroying what is pending, and frees it. A destructor, so that a
 * guard in place ends the queue when its scope is left:
 *
 *     DEFER_DROP_SCOPED(guard, queue, defer_drop_queue_end, &defer_drop_strategy_in_place);
 *
 * queue: a struct defer_drop_queue; with the default one, or NULL, it does nothing.
 * Blocks: as defer_drop_queue_shutdown. Not by one of its own destructors: the queue would stay.
 */
DEFER_DROP_API void defer_drop_queue_end(void *queue);

/* ---- Somebody else's executor ---------------------------------------------------------------- */

/*
 * Hands destroy(object) to an executor, which calls it once, later. Returns 0 or a negative errno.
 * Ready-made ones: <defer_drop/uv.h>, <defer_drop/glib.h>.
 */
typedef int (*defer_drop_submit_fn)(void *executor, void *object, defer_drop_fn destroy);

struct defer_drop_strategy_executor {
	struct defer_drop_strategy strategy;
	defer_drop_submit_fn submit;
	void *executor;
	void *reserved[2];
};

/*
 * Sets such a strategy up. Errors of its drops: those of submit.
 *
 * Errors: -EINVAL if strategy or submit is NULL.
 */
DEFER_DROP_API int defer_drop_strategy_executor_init(
	struct defer_drop_strategy_executor *strategy, defer_drop_submit_fn submit, void *executor);

/* ---- Trace ----------------------------------------------------------------------------------- */

/* Told of each drop, by the thread that drops, before the inner strategy is. */
typedef void (*defer_drop_trace_fn)(void *context, void *object, defer_drop_fn destroy);

struct defer_drop_strategy_trace {
	struct defer_drop_strategy strategy;
	const struct defer_drop_strategy *inner;
	defer_drop_trace_fn trace;
	void *context;
	void *reserved[2];
};

/*
 * Sets a strategy up that reports each drop and passes it on. Errors of its drops: those of the
 * inner strategy.
 *
 * inner: NULL means the worker.
 * trace: defer_drop_trace_print, with a stream as its context, or a function of one's own.
 * Errors: -EINVAL if strategy or trace is NULL, or inner is not valid for defer_drop_by.
 */
DEFER_DROP_API int defer_drop_strategy_trace_init(struct defer_drop_strategy_trace *strategy,
	const struct defer_drop_strategy *inner, defer_drop_trace_fn trace, void *context);

/*
 * Prints one line: the object's address and its destructor, by name if that is in the program's
 * dynamic symbols (cc -rdynamic), else as FILE+0xOFFSET for addr2line(1).
 *
 * stream: a FILE; with NULL it prints nothing.
 */
DEFER_DROP_API void defer_drop_trace_print(void *stream, void *object, defer_drop_fn destroy);

#ifdef __cplusplus
}
#endif

#endif
