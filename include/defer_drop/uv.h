/* SPDX-License-Identifier: MIT
 *
 * Strategies for libuv: objects are destroyed by its thread pool, or on its loop. All of it is in
 * this header, so that the library does not depend on libuv.
 *
 *     struct defer_drop_strategy_executor pool;      // for destructors that block
 *     defer_drop_strategy_executor_init(&pool, defer_drop_uv_submit, loop);
 *
 *     struct defer_drop_strategy_uv here;            // for destructors that must run on the loop
 *     defer_drop_strategy_uv_open(&here, loop, 1000000);
 *     defer_drop_by(&here.loop.strategy, object, destroy);
 *     ...
 *     defer_drop_strategy_uv_close(&here, NULL);
 */
#ifndef DEFER_DROP_UV_H
#define DEFER_DROP_UV_H

#include <defer_drop/loop.h>
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
 * Threads: that of the loop.
 * Blocks: as uv_queue_work.
 * Errors (the object is still the caller's): -EINVAL if loop or destroy is NULL; -ENOMEM, and those
 *   of uv_queue_work.
 */
static inline int defer_drop_uv_submit(void *loop, void *object, defer_drop_fn destroy)
{
	struct defer_drop_uv_work *work;
	int result;

	if (!loop || !destroy)
		return -EINVAL;
	work = (struct defer_drop_uv_work *)malloc(sizeof *work);
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

/* A strategy on a loop (loop.h), and the handle that watches its eventfd. */
struct defer_drop_strategy_uv {
	struct defer_drop_strategy_loop loop;
	uv_poll_t poll;
	uv_close_cb closed;
};

static inline void defer_drop_strategy_uv_drain(uv_poll_t *poll, int status, int events)
{
	struct defer_drop_strategy_uv *self = (struct defer_drop_strategy_uv *)poll->data;

	(void)status;
	(void)events;
	defer_drop_strategy_loop_drain(&self->loop);
}

/*
 * Opens a strategy whose objects are destroyed on a loop. Its wait drains if the loop's own thread
 * calls it, and else waits until the loop has turned. A child that is forked shares the eventfd
 * with its parent: it may neither drop by the strategy nor turn the loop.
 *
 * budget_ns: in one turn of the loop no destructor except the first is started once this time has
 *   passed. A timeout as in defer_drop.h.
 * Threads: that of the loop; its drops, any.
 * Blocks: briefly, as defer_drop_queue_create. Its drops: as defer_drop_try.
 * Errors:
 *   -EINVAL     self or loop is NULL
 *   -EOVERFLOW  budget_ns is above DEFER_DROP_TIMEOUT_MAX and is not DEFER_DROP_FOREVER
 *   those of eventfd(2), defer_drop_queue_create, uv_poll_init. Of the drops: those of
 *   defer_drop_try. Of the waits: those of defer_drop_queue_ticket and defer_drop_ticket_wait.
 */
static inline int defer_drop_strategy_uv_open(
	struct defer_drop_strategy_uv *self, uv_loop_t *loop, uint64_t budget_ns)
{
	int result;

	result = self && loop ? defer_drop_strategy_loop_open(&self->loop, budget_ns) : -EINVAL;
	if (result)
		return result;
	result = uv_poll_init(loop, &self->poll, self->loop.pending_eventfd);
	if (result) {
		defer_drop_strategy_loop_close(&self->loop);
		return result;
	}
	self->poll.data = self;
	/* Never fails: uv_poll_init has found that no other handle watches the eventfd. */
	return uv_poll_start(&self->poll, UV_READABLE, defer_drop_strategy_uv_drain);
}

static inline void defer_drop_strategy_uv_closed(uv_handle_t *poll)
{
	struct defer_drop_strategy_uv *self = (struct defer_drop_strategy_uv *)poll->data;

	defer_drop_strategy_loop_close(&self->loop);
	if (self->closed)
		self->closed(poll);
}

/*
 * Closes it: what is pending is destroyed at the loop's next turn, which waits for readers if drops
 * do; then the strategy's memory is the caller's again.
 *
 * self: with NULL it does nothing.
 * closed: called then, with the handle whose data is the strategy; may be NULL.
 * Threads: that of the loop. No thread may drop by it any more.
 * Blocks: never; that turn does, as defer_drop_queue_shutdown. If it happens inside a read-side
 *   critical section, the queue and its eventfd stay.
 */
static inline void defer_drop_strategy_uv_close(
	struct defer_drop_strategy_uv *self, uv_close_cb closed)
{
	if (!self)
		return;
	self->closed = closed;
	uv_close((uv_handle_t *)&self->poll, defer_drop_strategy_uv_closed);
}

#ifdef __cplusplus
}
#endif

#endif
