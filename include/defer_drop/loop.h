/* SPDX-License-Identifier: MIT
 *
 * A strategy for an event loop: objects are destroyed on the thread of the loop, between its other
 * work. For libuv and GLib, uv.h and glib.h are this with a handle; any other loop watches a
 * descriptor:
 *
 *     struct defer_drop_strategy_loop here;
 *     defer_drop_strategy_loop_open(&here, 1000000);
 *     epoll_ctl(epoll, EPOLL_CTL_ADD, here.pending_eventfd, ...);
 *     ...
 *     defer_drop_by(&here.strategy, object, destroy);      // any thread
 *     ...
 *     defer_drop_strategy_loop_drain(&here);               // the descriptor is readable
 */
#ifndef DEFER_DROP_LOOP_H
#define DEFER_DROP_LOOP_H

#include <defer_drop/strategy.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A queue that the thread of the loop drains. It is compiled into the program, as all of this
 * header, and so has no reserved fields.
 */
struct defer_drop_strategy_loop {
	struct defer_drop_strategy strategy;
	struct defer_drop_queue *queue;
	pthread_t thread;        /* of the loop */
	uint64_t budget_ns;      /* for one turn of the loop */
	int32_t pending_eventfd; /* readable when a drain is due */
};

/* Never waits: the loop's own thread may be the one that drops. */
static inline int defer_drop_strategy_loop_drop(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_loop *self =
		(const struct defer_drop_strategy_loop *)strategy;

	return defer_drop_queue_push(self->queue, object, destroy, 0);
}

/* Of POSIX, which <time.h> leaves out if a program asks for ISO C alone. */
#ifndef CLOCK_MONOTONIC
#define CLOCK_MONOTONIC 1
extern int clock_gettime(int clock, struct timespec *now);
#endif

static inline uint64_t defer_drop_strategy_loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Drains until the drops of a ticket are destroyed. */
static inline int defer_drop_strategy_loop_drain_until(const struct defer_drop_strategy_loop *self,
	const struct defer_drop_ticket *ticket, uint64_t timeout_ns)
{
	const uint64_t nap_ns = 1000000; /* short beside what readers take */
	const uint64_t batch = 64;       /* drops between two looks at the ticket */
	uint64_t begin_ns = defer_drop_strategy_loop_now_ns();
	uint64_t ran = 1;
	int result;

	/* A drain that destroys nothing, since drops wait for readers or another thread drains, is
	 * followed by a sleep, which returns -EDEADLK inside a read-side critical section. */
	while ((result = defer_drop_ticket_wait(ticket, ran ? 0 : nap_ns)) == -EAGAIN ||
		result == -ETIMEDOUT) {
		uint64_t passed_ns = defer_drop_strategy_loop_now_ns() - begin_ns;
		uint64_t budget_ns = timeout_ns;

		if (passed_ns >= timeout_ns)
			return -ETIMEDOUT;
		if (timeout_ns != DEFER_DROP_FOREVER)
			budget_ns -= passed_ns;
		ran = 0;
		defer_drop_queue_drain(self->queue, batch, budget_ns, &ran);
	}
	return result;
}

/* Drains on the loop's own thread, since no other thread would; other threads wait for the loop. */
static inline int defer_drop_strategy_loop_wait(
	const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	const struct defer_drop_strategy_loop *self =
		(const struct defer_drop_strategy_loop *)strategy;
	struct defer_drop_ticket ticket;
	int result;

	if (timeout_ns > DEFER_DROP_TIMEOUT_MAX && timeout_ns != DEFER_DROP_FOREVER)
		return -EOVERFLOW;
	result = defer_drop_queue_ticket(self->queue, &ticket);
	if (result)
		return result;
	if (!timeout_ns || !pthread_equal(self->thread, pthread_self()))
		return defer_drop_ticket_wait(&ticket, timeout_ns);
	return defer_drop_strategy_loop_drain_until(self, &ticket, timeout_ns);
}

/* Makes the queue and its eventfd. */
static inline int defer_drop_strategy_loop_create(struct defer_drop_strategy_loop *self)
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
 * Opens a strategy whose objects are destroyed by the calling thread, when it drains. Its wait
 * drains if that thread calls it, and else waits until the loop has turned. A child that is forked
 * shares the eventfd with its parent: it may neither drop by the strategy nor turn the loop.
 *
 * budget_ns: in one turn of the loop no destructor except the first is started once this time has
 *   passed. A timeout as in defer_drop.h.
 * Threads: that of the loop; its drops, any.
 * Blocks: briefly, as defer_drop_queue_create. Its drops: as defer_drop_try.
 * Errors:
 *   -EINVAL     self is NULL
 *   -EOVERFLOW  budget_ns is above DEFER_DROP_TIMEOUT_MAX and is not DEFER_DROP_FOREVER
 *   those of eventfd(2) and defer_drop_queue_create. Of the drops: those of defer_drop_try. Of the
 *   waits: those of defer_drop_queue_ticket and defer_drop_ticket_wait.
 */
static inline int defer_drop_strategy_loop_open(
	struct defer_drop_strategy_loop *self, uint64_t budget_ns)
{
	if (!self)
		return -EINVAL;
	if (budget_ns > DEFER_DROP_TIMEOUT_MAX && budget_ns != DEFER_DROP_FOREVER)
		return -EOVERFLOW;
	self->strategy.version = DEFER_DROP_STRATEGY_VERSION;
	self->strategy.drop = defer_drop_strategy_loop_drop;
	self->strategy.wait = defer_drop_strategy_loop_wait;
	self->thread = pthread_self();
	self->budget_ns = budget_ns;
	return defer_drop_strategy_loop_create(self);
}

/*
 * Drains for one turn of the loop; for when pending_eventfd is readable. The eventfd becomes
 * readable again if something is left that could be destroyed.
 *
 * self: with NULL it does nothing.
 * Threads: that of the loop.
 * Blocks: for the destructors that it runs: budget_ns, and the one that it cannot interrupt.
 */
static inline void defer_drop_strategy_loop_drain(struct defer_drop_strategy_loop *self)
{
	uint64_t ran;
	eventfd_t signals;

	if (!self)
		return;
	/* Read before the drain, which signals again if it leaves something to be destroyed. */
	eventfd_read(self->pending_eventfd, &signals);
	if (defer_drop_queue_drain(self->queue, UINT64_MAX, self->budget_ns, &ran))
		return;
	/* One at least: the budget may have been over before the first. */
	if (!ran)
		defer_drop_queue_drain(self->queue, 1, DEFER_DROP_FOREVER, &ran);
}

/*
 * Closes it, when the loop no longer watches the eventfd: destroys what is pending.
 *
 * self: with NULL it does nothing.
 * Threads: that of the loop, except in one of the strategy's destructors and inside a read-side
 *   critical section: the queue and its eventfd would stay. No thread may drop by it any more.
 * Blocks: as defer_drop_queue_shutdown.
 */
static inline void defer_drop_strategy_loop_close(struct defer_drop_strategy_loop *self)
{
	if (!self || defer_drop_queue_shutdown(self->queue, DEFER_DROP_FOREVER))
		return;
	defer_drop_queue_free(self->queue);
	close(self->pending_eventfd);
}

#ifdef __cplusplus
}
#endif

#endif
