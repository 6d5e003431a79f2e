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
 *     ...
 *     defer_drop_strategy_uv_close(&here, NULL);
 */
#ifndef DEFER_DROP_UV_H
#define DEFER_DROP_UV_H

#include <defer_drop/strategy.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
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

/*
 * A queue that the loop drains, and the handle that watches its eventfd. It is compiled into the
 * program, as all of this header, and so has no reserved fields.
 */
struct defer_drop_strategy_uv {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	uv_poll_t poll;
	uv_thread_t thread;      /* the loop's */
	uint64_t budget_ns;      /* for one turn of the loop */
	int32_t pending_eventfd; /* the library signals it when a drain is due */
	uv_close_cb closed;
};

/* Never waits: the loop's own thread may be the one that drops. */
static inline int defer_drop_strategy_uv_drop(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_uv *self = (const struct defer_drop_strategy_uv *)strategy;

	return defer_drop_queue_push(self->queue, object, destroy, 0);
}

/* Drains until the drops of a ticket are destroyed. */
static inline int defer_drop_strategy_uv_drain_until(const struct defer_drop_strategy_uv *self,
	const struct defer_drop_ticket *ticket, uint64_t timeout_ns)
{
	const uint64_t nap_ns = 1000000; /* short beside what readers take */
	const uint64_t batch = 64;       /* drops between two looks at the ticket */
	uint64_t begin_ns = uv_hrtime();
	uint64_t destroyed = 1;
	int result;

	/* A drain that destroys nothing, since drops wait for readers or another thread drains, is
	 * followed by a sleep, which returns -EDEADLK inside a read-side critical section. */
	while ((result = defer_drop_ticket_wait(ticket, destroyed ? 0 : nap_ns)) == -EAGAIN ||
		result == -ETIMEDOUT) {
		uint64_t passed_ns = uv_hrtime() - begin_ns;
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

/* Drains on the loop's own thread, since no other thread would; other threads wait for the loop. */
static inline int defer_drop_strategy_uv_wait(
	const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	const struct defer_drop_strategy_uv *self = (const struct defer_drop_strategy_uv *)strategy;
	uv_thread_t thread = uv_thread_self();
	struct defer_drop_ticket ticket;
	int result;

	if (timeout_ns > DEFER_DROP_TIMEOUT_MAX && timeout_ns != DEFER_DROP_FOREVER)
		return -EOVERFLOW;
	result = defer_drop_queue_ticket(self->queue, &ticket);
	if (result)
		return result;
	if (!timeout_ns || !uv_thread_equal(&self->thread, &thread))
		return defer_drop_ticket_wait(&ticket, timeout_ns);
	return defer_drop_strategy_uv_drain_until(self, &ticket, timeout_ns);
}

static inline void defer_drop_strategy_uv_drain(uv_poll_t *poll, int status, int events)
{
	struct defer_drop_strategy_uv *self = (struct defer_drop_strategy_uv *)poll->data;
	uint64_t destroyed;
	eventfd_t signals;

	(void)status;
	(void)events;
	/* Read before the drain, which signals again if it leaves something to be destroyed. */
	eventfd_read(self->pending_eventfd, &signals);
	if (defer_drop_queue_drain(self->queue, UINT64_MAX, self->budget_ns, &destroyed))
		return;
	/* One at least: the budget may have been over before the first. */
	if (!destroyed)
		defer_drop_queue_drain(self->queue, 1, DEFER_DROP_FOREVER, &destroyed);
}

/* Makes the queue and its eventfd. */
static inline int defer_drop_strategy_uv_create(struct defer_drop_strategy_uv *self)
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

/* Destroys what is pending. The eventfd stays open if the queue cannot be shut down. */
static inline void defer_drop_strategy_uv_end(struct defer_drop_strategy_uv *self)
{
	if (defer_drop_queue_shutdown(self->queue, DEFER_DROP_FOREVER))
		return;
	defer_drop_queue_free(self->queue);
	close(self->pending_eventfd);
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

	if (!self || !loop)
		return -EINVAL;
	if (budget_ns > DEFER_DROP_TIMEOUT_MAX && budget_ns != DEFER_DROP_FOREVER)
		return -EOVERFLOW;
	self->strategy.version = DEFER_DROP_STRATEGY_VERSION;
	self->strategy.drop = defer_drop_strategy_uv_drop;
	self->strategy.wait = defer_drop_strategy_uv_wait;
	self->thread = uv_thread_self();
	self->budget_ns = budget_ns;
	result = defer_drop_strategy_uv_create(self);
	if (result)
		return result;
	result = uv_poll_init(loop, &self->poll, self->pending_eventfd);
	if (result) {
		defer_drop_strategy_uv_end(self);
		return result;
	}
	self->poll.data = self;
	/* Never fails: uv_poll_init has found that no other handle watches the eventfd. */
	return uv_poll_start(&self->poll, UV_READABLE, defer_drop_strategy_uv_drain);
}

static inline void defer_drop_strategy_uv_closed(uv_handle_t *poll)
{
	struct defer_drop_strategy_uv *self = (struct defer_drop_strategy_uv *)poll->data;

	defer_drop_strategy_uv_end(self);
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
