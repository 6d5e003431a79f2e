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
 *     ...
 *     defer_drop_strategy_glib_close(&here);
 */
#ifndef DEFER_DROP_GLIB_H
#define DEFER_DROP_GLIB_H

#include <defer_drop/strategy.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

/*
 * A queue that the thread of a context drains, and the source that watches its eventfd. It is
 * compiled into the program, as all of this header, and so has no reserved fields.
 */
struct defer_drop_strategy_glib {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	GSource *source;
	GThread *thread;        /* that iterates the context */
	guint64 budget_ns;      /* for one iteration */
	gint32 pending_eventfd; /* the library signals it when a drain is due */
};

/* The library's own. */
struct defer_drop_glib_source {
	GSource source;
	struct defer_drop_strategy_glib *strategy;
};

/* Never waits: the thread that iterates the context may be the one that drops. */
static inline int defer_drop_strategy_glib_drop(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_glib *self =
		(const struct defer_drop_strategy_glib *)strategy;

	return defer_drop_queue_push(self->queue, object, destroy, 0);
}

static inline guint64 defer_drop_glib_now_ns(void)
{
	return (guint64)g_get_monotonic_time() * 1000;
}

/* Drains until the drops of a ticket are destroyed. */
static inline int defer_drop_strategy_glib_drain_until(const struct defer_drop_strategy_glib *self,
	const struct defer_drop_ticket *ticket, uint64_t timeout_ns)
{
	const uint64_t nap_ns = 1000000; /* short beside what readers take */
	const uint64_t batch = 64;       /* drops between two looks at the ticket */
	uint64_t begin_ns = defer_drop_glib_now_ns();
	uint64_t destroyed = 1;
	int result;

	/* A drain that destroys nothing, since drops wait for readers or another thread drains, is
	 * followed by a sleep, which returns -EDEADLK inside a read-side critical section. */
	while ((result = defer_drop_ticket_wait(ticket, destroyed ? 0 : nap_ns)) == -EAGAIN ||
		result == -ETIMEDOUT) {
		uint64_t passed_ns = defer_drop_glib_now_ns() - begin_ns;
		uint64_t budget_ns = timeout_ns;

		if (passed_ns >= timeout_ns)
			return -ETIMEDOUT;
		if (timeout_ns != DEFER_DROP_FOREVER)
			budget_ns -= passed_ns;
		destroyed = 0;
		defer_drop_queue_drain(self->queue, batch, budget_ns, &destroyed);
	}
	return result;
}

/* Drains on the context's own thread, since no other thread would; other threads wait for it. */
static inline int defer_drop_strategy_glib_wait(
	const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	const struct defer_drop_strategy_glib *self =
		(const struct defer_drop_strategy_glib *)strategy;
	struct defer_drop_ticket ticket;
	int result;

	if (timeout_ns > DEFER_DROP_TIMEOUT_MAX && timeout_ns != DEFER_DROP_FOREVER)
		return -EOVERFLOW;
	result = defer_drop_queue_ticket(self->queue, &ticket);
	if (result)
		return result;
	if (!timeout_ns || g_thread_self() != self->thread)
		return defer_drop_ticket_wait(&ticket, timeout_ns);
	return defer_drop_strategy_glib_drain_until(self, &ticket, timeout_ns);
}

static inline gboolean defer_drop_strategy_glib_drain(
	GSource *source, GSourceFunc ignored, gpointer data)
{
	struct defer_drop_strategy_glib *self = ((struct defer_drop_glib_source *)source)->strategy;
	uint64_t destroyed;
	eventfd_t signals;

	(void)ignored;
	(void)data;
	/* Read before the drain, which signals again if it leaves something to be destroyed. */
	eventfd_read(self->pending_eventfd, &signals);
	if (defer_drop_queue_drain(self->queue, UINT64_MAX, self->budget_ns, &destroyed))
		return G_SOURCE_CONTINUE;
	/* One at least: the budget may have been over before the first. */
	if (!destroyed)
		defer_drop_queue_drain(self->queue, 1, DEFER_DROP_FOREVER, &destroyed);
	return G_SOURCE_CONTINUE;
}

/* Makes the queue and its eventfd. */
static inline int defer_drop_strategy_glib_create(struct defer_drop_strategy_glib *self)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	int result;

	self->pending_eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (self->pending_eventfd < 0)
		return -errno;
	config.runner = DEFER_DROP_RUNNER_DRAINER;
	config.pending_eventfd = self->pending_eventfd;
	result = defer_drop_queue_create(&self->queue, &config);
	if (result)
		close(self->pending_eventfd);
	return result;
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

	if (!self)
		return -EINVAL;
	if (budget_ns > DEFER_DROP_TIMEOUT_MAX && budget_ns != DEFER_DROP_FOREVER)
		return -EOVERFLOW;
	self->strategy.version = DEFER_DROP_STRATEGY_VERSION;
	self->strategy.drop = defer_drop_strategy_glib_drop;
	self->strategy.wait = defer_drop_strategy_glib_wait;
	self->thread = g_thread_self();
	self->budget_ns = budget_ns;
	result = defer_drop_strategy_glib_create(self);
	if (result)
		return result;
	self->source = g_source_new(&functions, sizeof(struct defer_drop_glib_source));
	((struct defer_drop_glib_source *)self->source)->strategy = self;
	g_source_add_unix_fd(self->source, self->pending_eventfd, G_IO_IN);
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
	if (defer_drop_queue_shutdown(self->queue, DEFER_DROP_FOREVER))
		return;
	defer_drop_queue_free(self->queue);
	close(self->pending_eventfd);
}

#ifdef __cplusplus
}
#endif

#endif
