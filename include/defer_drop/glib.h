/* SPDX-License-Identifier: MIT
 *
 * Strategies for GLib: objects are destroyed by a thread pool, or by who iterates a main context.
 * All of it is in this header, so that the library does not depend on GLib.
 *
 *     GThreadPool *pool = g_thread_pool_new(defer_drop_glib_run, NULL, 4, FALSE, NULL);
 *     struct defer_drop_strategy_executor by_pool;
 *     defer_drop_strategy_executor_init(&by_pool, defer_drop_glib_submit, pool);
 *
 *     struct defer_drop_strategy_glib here;          // for what must run in the main loop
 *     defer_drop_strategy_glib_open(&here, g_main_context_default(), 1000000);
 *     ...
 *     defer_drop_strategy_glib_close(&here);
 */
#ifndef DEFER_DROP_GLIB_H
#define DEFER_DROP_GLIB_H

#include <defer_drop/strategy.h>
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
 * Threads: any. Errors: -ENOMEM.
 */
static inline int defer_drop_glib_submit(void *pool, void *object, defer_drop_fn destroy)
{
	struct defer_drop_glib_work *work = (struct defer_drop_glib_work *)malloc(sizeof *work);

	if (!work)
		return -ENOMEM;
	work->object = object;
	work->destroy = destroy;
	/* Where it cannot start a thread it answers FALSE, and has taken the work all the same. */
	g_thread_pool_push((GThreadPool *)pool, work, NULL);
	return 0;
}

/* ---- A main context -------------------------------------------------------------------------- */

/* A queue that whoever iterates the context drains, and the source that is ready when it should. */
struct defer_drop_strategy_glib {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	GSource *source;
	GThread *thread;   /* that iterates the context */
	guint64 budget_ns; /* for one iteration */
};

/* The library's own. */
struct defer_drop_glib_source {
	GSource source;
	struct defer_drop_strategy_glib *strategy;
};

/* Never waits: who iterates the context may be the one that drops. */
static inline int defer_drop_strategy_glib_drop(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_glib *self =
		(const struct defer_drop_strategy_glib *)strategy;
	int result = defer_drop_queue_push_try(self->queue, object, destroy);

	if (!result)
		g_source_set_ready_time(self->source, 0);
	return result;
}

/* The thread that iterates the context turns to the objects; others have to wait for it. */
static inline int defer_drop_strategy_glib_wait(
	const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	const struct defer_drop_strategy_glib *self =
		(const struct defer_drop_strategy_glib *)strategy;

	return g_thread_self() == self->thread ? defer_drop_queue_flush(self->queue, timeout_ns)
					       : 0;
}

static inline gboolean defer_drop_strategy_glib_drain(
	GSource *source, GSourceFunc ignored, gpointer data)
{
	struct defer_drop_strategy_glib *self = ((struct defer_drop_glib_source *)source)->strategy;
	struct defer_drop_drained drained;

	(void)ignored;
	(void)data;
	g_source_set_ready_time(source, -1);
	/* One at least: a budget may be over before the first. */
	if (defer_drop_queue_drain(self->queue, 1, DEFER_DROP_FOREVER, &drained))
		return G_SOURCE_CONTINUE;
	defer_drop_queue_drain(self->queue, UINT64_MAX, self->budget_ns, &drained);
	if (drained.remaining)
		g_source_set_ready_time(source, 0);
	return G_SOURCE_CONTINUE;
}

/*
 * Opens a strategy whose objects are destroyed in a main context.
 *
 * context: NULL means the default one.
 * budget_ns: in one iteration no destructor but the first is started once so much time has passed.
 * Threads: that which iterates the context; its drops, any.
 * Errors: those of defer_drop_queue_create. Of the drops: those of defer_drop_try.
 */
static inline int defer_drop_strategy_glib_open(
	struct defer_drop_strategy_glib *self, GMainContext *context, guint64 budget_ns)
{
	static GSourceFuncs functions = {
		NULL, NULL, defer_drop_strategy_glib_drain, NULL, NULL, NULL};
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	int result;

	self->strategy.drop = defer_drop_strategy_glib_drop;
	self->strategy.wait = defer_drop_strategy_glib_wait;
	self->thread = g_thread_self();
	self->budget_ns = budget_ns;
	config.runner = DEFER_DROP_RUNNER_CALLER;
	result = defer_drop_queue_create(&self->queue, &config);
	if (result)
		return result;
	self->source = g_source_new(&functions, sizeof(struct defer_drop_glib_source));
	((struct defer_drop_glib_source *)self->source)->strategy = self;
	g_source_attach(self->source, context);
	return 0;
}

/*
 * Closes it: destroys what is pending, and the strategy is free to go.
 *
 * Threads: that which iterates the context. Nobody may drop by it any more.
 */
static inline void defer_drop_strategy_glib_close(struct defer_drop_strategy_glib *self)
{
	g_source_destroy(self->source);
	g_source_unref(self->source);
	defer_drop_queue_end(self->queue);
}

#ifdef __cplusplus
}
#endif

#endif
