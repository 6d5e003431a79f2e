/* SPDX-License-Identifier: MIT
 *
 * Waiting for a completion.
 */
#include "core/completion.h"

#include <errno.h>

#include "calls/drain.h"
#include "core/worker.h"

/* True if a fork has come between. */
static bool is_stale(const struct dd_completion *completion)
{
	return completion->generation != completion->queue->generation;
}

/* Returns the outcome of a completion that is over, and stores its status. */
static int give(struct dd_completion *completion, int *status)
{
	if (status)
		*status = dd_plain_load(&completion->status);
	return dd_plain_load(&completion->outcome);
}

/*
 * True if another thread waits for it too, which may not know yet that it was called. Under the
 * lock.
 */
static bool is_waited_for(
	const struct defer_drop_queue *queue, const struct dd_completion *completion)
{
	for (const struct dd_waiter *at = queue->completion_waiters.first; at; at = at->next)
		if (((const struct dd_completion_waiter *)at)->completion == completion)
			return true;
	return false;
}

/* Adds a waiter. False, and does nothing, if the queue was given up. */
static bool begin_waiting(struct defer_drop_queue *queue, struct dd_completion_waiter *waiter)
{
	bool is_hoped_for;

	dd_mutex_lock(&queue->waiters_lock);
	is_hoped_for = dd_queue_state(queue) != DD_GIVEN_UP;
	if (is_hoped_for) {
		if (!is_waited_for(queue, waiter->completion))
			dd_completion_listen(waiter->completion);
		dd_waiters_insert(&queue->completion_waiters, &waiter->waiter, NULL);
	}
	dd_mutex_unlock(&queue->waiters_lock);
	return is_hoped_for;
}

static void end_waiting(struct defer_drop_queue *queue, struct dd_completion_waiter *waiter)
{
	dd_mutex_lock(&queue->waiters_lock);
	dd_waiters_remove(&queue->completion_waiters, &waiter->waiter);
	dd_mutex_unlock(&queue->waiters_lock);
}

static void sleep_while_pending(struct dd_completion *completion, uint64_t deadline_ns)
{
	uint32_t word;

	while ((word = dd_completion_ask(completion)))
		if (dd_futex_wait(&completion->state, word, deadline_ns) == -ETIMEDOUT)
			return;
}

/*
 * Sleeps until the completion is over, the thread is called, or the deadline comes. True if the
 * thread got the consumer's seat instead, which it may take if may_drain.
 */
static bool sleep_until_over(struct dd_completion *completion, bool may_drain, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = completion->queue;
	struct dd_completion_waiter self = {.completion = completion};
	bool has_seat;

	if (!begin_waiting(queue, &self))
		return false;
	/* In the list first: a consumer that leaves a wanted seat wakes the threads in it. */
	has_seat = may_drain && dd_seat_ask(&queue->consumer_seat);
	if (!has_seat)
		sleep_while_pending(completion, deadline_ns);
	end_waiting(queue, &self);
	return has_seat;
}

/* Looks once. Returns -EINPROGRESS if it is not over. */
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
		/* For the moment in which the eventfd is still needed. */
		sleep_while_pending(completion, DEFER_DROP_FOREVER);
	}
	dd_completion_look(completion);
	return give(completion, status);
}

static bool is_pending(struct dd_completion *completion)
{
	return dd_completion_look(completion) == DD_COMPLETION_PENDING && !is_stale(completion);
}

static bool is_over(struct defer_drop_queue *queue, const void *completion)
{
	(void)queue;
	return !is_pending((struct dd_completion *)completion);
}

/* Returns 0 if the calling thread may wait. */
static int may_wait(struct defer_drop_queue *queue)
{
	if (dd_is_running(queue) || dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	return dd_worker_ensure(queue);
}

static void wait_until_over(struct dd_completion *completion, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = completion->queue;

	dd_queue_ring(queue); /* a nap delays it */
	do {
		/* On a queue that closes, the thread that closes it ends the completion. */
		bool may_drain = dd_queue_waits_drain(queue) && dd_queue_state(queue) < DD_CLOSING;
		uint64_t until_ns = dd_grace_ask_again_ns(&queue->grace, deadline_ns);

		if (sleep_until_over(completion, may_drain, until_ns))
			dd_drain_until(queue, completion->lane, is_over, completion, until_ns);
	} while (is_pending(completion) && dd_queue_state(queue) != DD_GIVEN_UP &&
		 !dd_grace_is_reading(&queue->grace) && !dd_deadline_has_come(deadline_ns));
}

/* Returns why a thread that could wait waits no longer, though the completion is pending. */
static int reason(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	if (dd_queue_state(queue) == DD_GIVEN_UP)
		return -ECANCELED;
	if (deadline_ns && dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	return dd_deadline_error(deadline_ns);
}

int dd_queue_await(struct dd_completion *completion, uint64_t deadline_ns, int *status)
{
	int result = look(completion, status);

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
	return reason(completion->queue, deadline_ns);
}

int defer_drop_completion_wait(
	struct defer_drop_completion *completion, uint64_t timeout_ns, int *status)
{
	uint64_t deadline_ns = dd_deadline_after(timeout_ns);
	int result = completion ? dd_timeout_check(timeout_ns) : -EINVAL;

	return result ? result
		      : dd_queue_await((struct dd_completion *)completion, deadline_ns, status);
}
