/* SPDX-License-Identifier: MIT
 *
 * Finishing a completion, and waiting for it.
 */
#define _GNU_SOURCE
#include "completion.h"

#include <errno.h>

#include "eventfd.h"
#include "run.h"
#include "worker.h"

int dd_completion_finish(struct dd_completion *completion, uint32_t drops)
{
	int eventfd = completion->eventfd;
	int result = 0;

	if (!dd_completion_count(completion, drops))
		return 0;
	if (eventfd >= 0) {
		dd_completion_tell(completion);
		result = dd_eventfd_signal(eventfd);
	}
	/* Its last access: the wake goes by the address. */
	if (dd_completion_end(completion))
		dd_futex_wake(&completion->state, INT_MAX);
	return result;
}

/* A fork came between. */
static bool is_stale(const struct dd_completion *completion)
{
	return completion->generation != completion->queue->generation;
}

/* The status of a completion that is over. */
static int give(struct dd_completion *completion, int *status)
{
	if (status)
		*status = dd_plain_load(&completion->status);
	return dd_plain_load(&completion->outcome);
}

/* Under the lock: another thread waits for it too, which may have been called and not know yet. */
static bool is_waited_for(
	const struct defer_drop_queue *queue, const struct dd_completion *completion)
{
	for (const struct dd_completion_waiter *at = queue->completion_waiters; at; at = at->next)
		if (at->completion == completion)
			return true;
	return false;
}

/* False, and nothing done, if the queue was given up. */
static bool enlist(struct defer_drop_queue *queue, struct dd_completion_waiter *waiter)
{
	bool is_hoped_for;

	pthread_mutex_lock(&queue->waiters_lock);
	is_hoped_for = dd_queue_state(queue) != DD_GIVEN_UP;
	if (is_hoped_for) {
		if (!is_waited_for(queue, waiter->completion))
			dd_completion_listen(waiter->completion);
		waiter->next = queue->completion_waiters;
		queue->completion_waiters = waiter;
	}
	pthread_mutex_unlock(&queue->waiters_lock);
	return is_hoped_for;
}

static void leave(struct defer_drop_queue *queue, struct dd_completion_waiter *waiter)
{
	struct dd_completion_waiter **at = &queue->completion_waiters;

	pthread_mutex_lock(&queue->waiters_lock);
	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	pthread_mutex_unlock(&queue->waiters_lock);
}

void dd_completion_call(struct defer_drop_queue *queue)
{
	for (struct dd_completion_waiter *at = queue->completion_waiters; at; at = at->next)
		dd_completion_wake(at->completion);
}

static void sleep_while_pending(struct dd_completion *completion, uint64_t deadline_ns)
{
	uint32_t word;

	while ((word = dd_completion_ask(completion)))
		if (dd_futex_wait(&completion->state, word, deadline_ns) == -ETIMEDOUT)
			return;
}

/*
 * Sleeps until it is over, the thread is called, or the deadline comes. True if the thread has the
 * consumer's seat instead, which it may take if may_drain.
 */
static bool sleep_until_over(struct dd_completion *completion, bool may_drain, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = completion->queue;
	struct dd_completion_waiter self = {.completion = completion};
	bool has_seat;

	if (!enlist(queue, &self))
		return false;
	/* In the list first, as in dd_wait_for_seat. */
	has_seat = may_drain && dd_seat_ask(&queue->consumer_seat);
	if (!has_seat)
		sleep_while_pending(completion, deadline_ns);
	leave(queue, &self);
	return has_seat;
}

/* Looks once. -EINPROGRESS if it is not over. */
static int look(struct dd_completion *completion, int *status)
{
	uint32_t state = dd_completion_look(completion);

	if (state == DD_COMPLETION_UNUSED)
		return -EINVAL;
	if (state != DD_COMPLETION_OVER && is_stale(completion)) {
		dd_plain_store(&completion->outcome, -ESTALE);
		dd_completion_end(completion);
	} else if (state == DD_COMPLETION_PENDING) {
		return -EINPROGRESS;
	} else {
		/* For the moment that the eventfd is still needed. */
		sleep_while_pending(completion, DEFER_DROP_FOREVER);
	}
	dd_completion_look(completion);
	return give(completion, status);
}

static bool is_pending(struct dd_completion *completion)
{
	return dd_completion_look(completion) == DD_COMPLETION_PENDING && !is_stale(completion);
}

/* By the thread that has the seat: destroys until it is over, or others are to have a turn. */
static void drain_until_over(struct dd_completion *completion, uint64_t deadline_ns)
{
	struct dd_lane *lane = completion->lane;
	struct defer_drop_queue *queue = lane->queue;
	DD_RUNNING(frame);

	dd_running_enter(&frame, queue);
	while (is_pending(completion) && dd_queue_state(queue) < DD_CLOSING &&
		!dd_deadline_has_come(deadline_ns))
		if (!dd_worker_turn(lane, deadline_ns)) {
			dd_worker_linger(queue, &frame, deadline_ns);
			return;
		}
	dd_consumer_leave(queue, &frame);
}

/* 0 if the calling thread may wait. */
static int may_wait(struct defer_drop_queue *queue)
{
	if (dd_is_running(queue) || dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	return dd_worker_ensure(queue);
}

static void wait_until_over(struct dd_completion *completion, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = completion->queue;

	if (dd_bell_ring(&queue->park.bell)) /* cuts a nap short */
		dd_add_shared(&queue->wakes_total, 1);
	do {
		/* Where a queue closes, the thread that closes it ends the completion. */
		bool may_drain = dd_queue_waits_drain(queue) && dd_queue_state(queue) < DD_CLOSING;

		if (sleep_until_over(completion, may_drain, deadline_ns))
			drain_until_over(completion, deadline_ns);
	} while (is_pending(completion) && dd_queue_state(queue) != DD_GIVEN_UP &&
		 !dd_deadline_has_come(deadline_ns));
}

int defer_drop_completion_wait(
	struct defer_drop_completion *asked, uint64_t timeout_ns, int *status)
{
	struct dd_completion *completion = (struct dd_completion *)asked;
	uint64_t deadline_ns = dd_deadline_after(timeout_ns);
	int result = completion ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (!result)
		result = look(completion, status);
	if (result != -EINPROGRESS)
		return result;
	if (deadline_ns) {
		result = may_wait(completion->queue);
		if (result)
			return result;
		wait_until_over(completion, deadline_ns);
		result = look(completion, status);
		if (result != -EINPROGRESS)
			return result;
	}
	return dd_queue_state(completion->queue) == DD_GIVEN_UP ? -ECANCELED
								: dd_deadline_error(deadline_ns);
}
