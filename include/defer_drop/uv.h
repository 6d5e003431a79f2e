/* SPDX-License-Identifier: MIT
 *
 * Strategies for libuv: objects are destroyed by its thread pool, or on its loop. All of it is in
 * this header, so that the library does not depend on libuv.
 *
 *     struct defer_drop_strategy_executor pool;      // for destructors that block
 *     defer_drop_strategy_executor_init(&pool, defer_drop_uv_submit, loop);
 *
 *     struct defer_drop_strategy_uv here;            // for those that must run on the loop
 *     defer_drop_strategy_uv_open(&here, loop, 1000000);
 *     ...
 *     defer_drop_strategy_uv_close(&here, NULL);
 */
#ifndef DEFER_DROP_UV_H
#define DEFER_DROP_UV_H

#include <defer_drop/strategy.h>
#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The thread pool ------------------------------------------------------------------------- */

/* The library's own: a drop on its way. */
struct defer_drop_uv_work {
	uv_work_t request;
	void *object;
	defer_drop_fn destroy;
};

static inline void defer_drop_uv_work_run(uv_work_t *request)
{
	struct defer_drop_uv_work *work = (struct defer_drop_uv_work *)request->data;

	work->destroy(work->object);
}

static inline void defer_drop_uv_work_end(uv_work_t *request, int status)
{
	(void)status;
	free(request->data);
}

/*
 * A submit function (defer_drop_submit_fn): uv_queue_work, on a uv_loop_t.
 *
 * Threads: that of the loop. Errors: -ENOMEM, and those of uv_queue_work.
 */
static inline int defer_drop_uv_submit(void *loop, void *object, defer_drop_fn destroy)
{
	struct defer_drop_uv_work *work = (struct defer_drop_uv_work *)malloc(sizeof *work);
	int result;

	if (!work)
		return -ENOMEM;
	work->request.data = work;
	work->object = object;
	work->destroy = destroy;
	result = uv_queue_work(
		(uv_loop_t *)loop, &work->request, defer_drop_uv_work_run, defer_drop_uv_work_end);
	if (result)
		free(work);
	return result;
}

/* ---- The loop -------------------------------------------------------------------------------- */

/* A queue that the loop drains, and the handle that tells it to. */
struct defer_drop_strategy_uv {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	uv_async_t async;
	uv_thread_t thread; /* the loop's */
	uint64_t budget_ns; /* for one turn of the loop */
	uv_close_cb closed;
};

/* Never waits: the loop's own thread may be the one that drops. */
static inline int defer_drop_strategy_uv_drop(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	struct defer_drop_strategy_uv *self = (struct defer_drop_strategy_uv *)strategy;
	int result = defer_drop_queue_push_try(self->queue, object, destroy);

	if (!result)
		uv_async_send(&self->async);
	return result;
}

/* On the loop's thread it turns to the objects; other threads have to wait for it. */
static inline int defer_drop_strategy_uv_wait(
	const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	const struct defer_drop_strategy_uv *self = (const struct defer_drop_strategy_uv *)strategy;
	uv_thread_t thread = uv_thread_self();

	if (!uv_thread_equal(&self->thread, &thread))
		return 0;
	return defer_drop_queue_flush(self->queue, timeout_ns);
}

static inline void defer_drop_strategy_uv_drain(uv_async_t *async)
{
	struct defer_drop_strategy_uv *self = (struct defer_drop_strategy_uv *)async->data;
	struct defer_drop_drained drained;

	/* One at least: a budget may be over before the first. */
	if (defer_drop_queue_drain(self->queue, 1, DEFER_DROP_FOREVER, &drained))
		return;
	defer_drop_queue_drain(self->queue, UINT64_MAX, self->budget_ns, &drained);
	if (drained.remaining)
		uv_async_send(async);
}

/*
 * Opens a strategy whose objects are destroyed on a loop.
 *
 * budget_ns: in one turn of the loop no destructor but the first is started once so much time has
 * passed. Threads: that of the loop; its drops, any.
 * Errors: those of defer_drop_queue_create, uv_async_init. Of the drops: those of defer_drop_try.
 */
static inline int defer_drop_strategy_uv_open(
	struct defer_drop_strategy_uv *self, uv_loop_t *loop, uint64_t budget_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	int result;

	self->strategy.drop = defer_drop_strategy_uv_drop;
	self->strategy.wait = defer_drop_strategy_uv_wait;
	self->thread = uv_thread_self();
	self->budget_ns = budget_ns;
	self->async.data = self;
	config.runner = DEFER_DROP_RUNNER_CALLER;
	result = defer_drop_queue_create(&self->queue, &config);
	if (result)
		return result;
	result = uv_async_init(loop, &self->async, defer_drop_strategy_uv_drain);
	if (result)
		defer_drop_queue_end(self->queue);
	return result;
}

static inline void defer_drop_strategy_uv_closed(uv_handle_t *async)
{
	struct defer_drop_strategy_uv *self = (struct defer_drop_strategy_uv *)async->data;

	defer_drop_queue_end(self->queue);
	if (self->closed)
		self->closed(async);
}

/*
 * Closes it: what is pending is destroyed at the loop's next turn, and the strategy is free to go.
 *
 * closed: called then, with the handle whose data is the strategy; may be NULL.
 * Threads: that of the loop. Nobody may drop by it any more.
 */
static inline void defer_drop_strategy_uv_close(
	struct defer_drop_strategy_uv *self, uv_close_cb closed)
{
	self->closed = closed;
	uv_close((uv_handle_t *)&self->async, defer_drop_strategy_uv_closed);
}

#ifdef __cplusplus
}
#endif

#endif
