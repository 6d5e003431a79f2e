/* SPDX-License-Identifier: MIT
 *
 * Strategies for GLib: objects are destroyed by a thread pool, or by the thread of a main context.
 * All of it is in this header, so that the library does not depend on GLib.
 *
 *     GThreadPool *pool = g_thread_pool_new(defer_drop_glib_run, NULL, 4, FALSE, NULL);
 *     struct defer_drop_strategy_executor by_pool;
 *     defer_drop_strategy_executor_init(&by_pool, defer_drop_glib_submit, pool);
 *
 *     struct defer_drop_strategy_glib here;  // for destructors that must run in the main loop
 *     defer_drop_strategy_glib_open(&here, g_main_context_default(), 1000000);
 *     defer_drop_by(&here.loop.strategy, object, destroy);
 *     ...
 *     defer_drop_strategy_glib_close(&here);
 */
#ifndef DEFER_DROP_GLIB_H
#define DEFER_DROP_GLIB_H

#include <defer_drop/loop.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- A thread pool --------------------------------------------------------------------------- */

/* The library's own: a drop on its way. */
struct defer_drop_glib_work {
	void *object;
	defer_drop_fn destroy;
};

/* The function of the pool (GFunc). */
static inline void defer_drop_glib_run(gpointer data, gpointer ignored)
{
	struct defer_drop_glib_work work = *(struct defer_drop_glib_work *)data;

	(void)ignored;
	free(data);
	work.destroy(work.object);
}

/*
 * A submit function (defer_drop_submit_fn): g_thread_pool_push, on a GThreadPool whose function is
 * defer_drop_glib_run.
 *
 * Threads: any.
 * Blocks: as g_thread_pool_push.
 * Errors (the object is still the caller's): -EINVAL if pool or destroy is NULL; -ENOMEM.
 */
static inline int defer_drop_glib_submit(void *pool, void *object, defer_drop_fn destroy)
{
	struct defer_drop_glib_work *work;

	if (!pool || !destroy)
		return -EINVAL;
	work = (struct defer_drop_glib_work *)malloc(sizeof *work);
	if (!work)
		return -ENOMEM;
	work->object = object;
	work->destroy = destroy;
	/* If it cannot start a thread it returns FALSE, and has taken the work nevertheless. */
	g_thread_pool_push((GThreadPool *)pool, work, NULL);
	return 0;
}

/* ---- A main context -------------------------------------------------------------------------- */

/* A strategy on a loop (loop.h), and the source that watches its eventfd. */
struct defer_drop_strategy_glib {
	struct defer_drop_strategy_loop loop;
	GSource *source;
};

/* The library's own. */
struct defer_drop_glib_source {
	GSource source;
	struct defer_drop_strategy_glib *strategy;
};

static inline gboolean defer_drop_strategy_glib_drain(
	GSource *source, GSourceFunc ignored, gpointer data)
{
	(void)ignored;
	(void)data;
	defer_drop_strategy_loop_drain(&((struct defer_drop_glib_source *)source)->strategy->loop);
	return G_SOURCE_CONTINUE;
}

/*
 * Opens a strategy whose objects are destroyed in a main context. Its wait drains if the context's
 * own thread calls it, and else waits until the context was iterated. A child that is forked shares
 * the eventfd with its parent: it may neither drop by the strategy nor iterate the context.
 *
 * context: NULL means the default one.
 * budget_ns: in one iteration no destructor except the first is started once this time has passed.
 *   A timeout as in defer_drop.h.
 * Threads: the one that iterates the context; its drops, any.
 * Blocks: briefly, as defer_drop_queue_create. Its drops: as defer_drop_try.
 * Errors:
 *   -EINVAL     self is NULL
 *   -EOVERFLOW  budget_ns is above DEFER_DROP_TIMEOUT_MAX and is not DEFER_DROP_FOREVER
 *   those of eventfd(2), defer_drop_queue_create. Of the drops: those of defer_drop_try. Of the
 *   waits: those of defer_drop_queue_ticket and defer_drop_ticket_wait.
 */
static inline int defer_drop_strategy_glib_open(
	struct defer_drop_strategy_glib *self, GMainContext *context, guint64 budget_ns)
{
	static GSourceFuncs functions = {
		NULL, NULL, defer_drop_strategy_glib_drain, NULL, NULL, NULL};
	int result;

	result = defer_drop_strategy_loop_open(self ? &self->loop : NULL, budget_ns);
	if (result)
		return result;
	self->source = g_source_new(&functions, sizeof(struct defer_drop_glib_source));
	((struct defer_drop_glib_source *)self->source)->strategy = self;
	g_source_add_unix_fd(self->source, self->loop.pending_eventfd, G_IO_IN);
	g_source_attach(self->source, context);
	return 0;
}

/*
 * Closes it: destroys what is pending, and the strategy's memory is the caller's again.
 *
 * self: with NULL it does nothing.
 * Threads: the one that iterates the context, except in one of the strategy's destructors and
 *   inside a read-side critical section: the queue and its eventfd would stay. No thread may drop
 *   by the strategy any more.
 * Blocks: as defer_drop_queue_shutdown.
 */
static inline void defer_drop_strategy_glib_close(struct defer_drop_strategy_glib *self)
{
	if (!self)
		return;
	g_source_destroy(self->source);
	g_source_unref(self->source);
	defer_drop_strategy_loop_close(&self->loop);
}

#ifdef __cplusplus
}
#endif

#endif
