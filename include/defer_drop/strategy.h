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
 * A strategy of one's own is a const struct with a function in it. One that needs to know something
 * is the first field of a larger struct:
 *
 *     struct to_pool {
 *             struct defer_drop_strategy strategy; // {to_pool_drop, NULL}
 *             struct pool *pool;
 *     };
 *
 * What holds for every strategy: it answers 0 or a negative errno. On an error the object is still
 * the caller's, and its destructor has not run and will not. What a thread did before it dropped is
 * visible to the destructor.
 */
#ifndef DEFER_DROP_STRATEGY_H
#define DEFER_DROP_STRATEGY_H

#include <defer_drop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct defer_drop_strategy {
	/* Calls destroy(object), or sees to it that somebody does: just once, now or later. Returns
	 * 0 or a negative errno. destroy is never NULL. Threads: any. */
	int (*drop)(
		const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy);
	/* Lets the calling thread wait for what it dropped so, until all of it is destroyed or the
	 * timeout is over; where it takes this thread to destroy it (it drains a queue, it turns a
	 * loop), it does. A timeout of 0 looks once and destroys nothing. NULL: nobody can tell.
	 * Returns 0 where it is destroyed or nobody can tell, -ETIMEDOUT, -ESHUTDOWN where that
	 * will never be, -EDEADLK where a destructor would wait for itself, and other errors. */
	int (*wait)(const struct defer_drop_strategy *strategy, uint64_t timeout_ns);
};

/*
 * Drops by a strategy.
 *
 * strategy: NULL means the worker. It must last until the call returns, no longer.
 * Errors (the object is still the caller's): -EINVAL where destroy is NULL, and those of the
 * strategy.
 */
DEFER_DROP_API int defer_drop_by(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy);

/* ---- Strategies that know nothing ------------------------------------------------------------ */

/* Destroys now, on the calling thread. Never fails. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_in_place;

/* Forgets the object, which leaks: what destroying costs at least, for benchmarks. Never fails; who
 * waits for it gets -ESHUTDOWN. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_leak;

/* The default queue, as defer_drop. Errors: those of defer_drop. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_worker;

/* The default queue after a grace period, as defer_drop_rcu. Errors: those of defer_drop_rcu. */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_rcu;

/*
 * A fresh detached thread for each object, with all signals blocked: for comparison. A process that
 * exits does not wait for them.
 *
 * Errors: -EAGAIN where there can be no more threads (pthread_create(3)), -ENOMEM.
 */
extern DEFER_DROP_API const struct defer_drop_strategy defer_drop_strategy_thread;

/* ---- A queue of one's own -------------------------------------------------------------------- */

/*
 * A queue beside the default one, with a worker, or one that the caller drains: then the objects
 * are destroyed where and when the program has time for it, by defer_drop_queue_drain (one:
 * max_drops 1; within a budget; all: defer_drop_queue_flush).
 */
struct defer_drop_strategy_queue {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	uint64_t timeout_ns;
};

/*
 * Sets such a strategy up. Errors of its drops: those of defer_drop_queue_push_timed.
 *
 * queue: stays the caller's.
 * timeout_ns: how long a drop waits for room. Who drains its own queue has 0 here.
 */
DEFER_DROP_API void defer_drop_strategy_queue_init(struct defer_drop_strategy_queue *strategy,
	struct defer_drop_queue *queue, uint64_t timeout_ns);

/*
 * Ends a queue: shuts it down, destroying what is pending, and frees it. A destructor, so that a
 * guard in place ends the queue where its scope is left:
 *
 *     DEFER_DROP_SCOPED(guard, queue, defer_drop_queue_end, &defer_drop_strategy_in_place);
 *
 * queue: a struct defer_drop_queue, not the default one.
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
};

/*
 * Sets such a strategy up. Errors of its drops: those of submit.
 */
DEFER_DROP_API void defer_drop_strategy_executor_init(
	struct defer_drop_strategy_executor *strategy, defer_drop_submit_fn submit, void *executor);

/* ---- Trace ----------------------------------------------------------------------------------- */

/* Told of each drop, by the thread that drops, before the inner strategy is. */
typedef void (*defer_drop_trace_fn)(void *context, void *object, defer_drop_fn destroy);

struct defer_drop_strategy_trace {
	struct defer_drop_strategy strategy;
	const struct defer_drop_strategy *inner;
	defer_drop_trace_fn trace;
	void *context;
};

/*
 * Sets a strategy up that reports each drop and passes it on. Errors of its drops: those of the
 * inner strategy.
 *
 * inner: NULL means the worker.
 * trace: defer_drop_trace_print, with a stream as its context, or a function of one's own.
 */
DEFER_DROP_API void defer_drop_strategy_trace_init(struct defer_drop_strategy_trace *strategy,
	const struct defer_drop_strategy *inner, defer_drop_trace_fn trace, void *context);

/*
 * Prints one line: the object's address and its destructor, by name where that is in the program's
 * dynamic symbols (cc -rdynamic), else as FILE+0xOFFSET for addr2line(1).
 *
 * stream: a FILE.
 */
DEFER_DROP_API void defer_drop_trace_print(void *stream, void *object, defer_drop_fn destroy);

#ifdef __cplusplus
}
#endif

#endif
