/* SPDX-License-Identifier: MIT
 *
 * Waiting for the backlog to shrink.
 */
#include <errno.h>

#include "calls/drain.h"
#include "core/watch.h"
#include "core/worker.h"
#include "life/default.h"

/*
 * Waits until the consumer has looked, or calls. True if the thread got the consumer's seat
 * instead, which it may take if may_drain.
 */
static bool wait_for_look(struct defer_drop_queue *queue, struct dd_watcher *self, bool may_drain,
	uint64_t deadline_ns)
{
	if (!dd_watch_enlist(queue, self))
		return false;
	/* In the list first: a consumer that leaves a wanted seat wakes the threads in it. */
	if (may_drain && dd_seat_ask(&queue->consumer_seat)) {
		dd_watch_unlist(queue, self);
		return true;
	}
	/* The bell carries the watcher: the consumer looks before it sleeps again. */
	dd_queue_ring(queue);
	while (!dd_latch_is_open(&self->waiter.is_woken))
		if (dd_latch_wait(&self->waiter.is_woken, deadline_ns) == -ETIMEDOUT &&
			dd_watch_unlist(queue, self))
			break;
	return false;
}

static bool is_enough(struct defer_drop_queue *queue, const void *wanted)
{
	struct defer_drop_level level = dd_watch_level(queue, false);

	return dd_watch_is_enough(wanted, &level);
}

/* Returns the result of a wait that need not go on, or -EINPROGRESS. */
static int look(
	struct defer_drop_queue *queue, const struct dd_watcher *wanted, uint64_t deadline_ns)
{
	uint32_t state = dd_queue_state(queue);

	if (wanted->has_been_enough || is_enough(queue, wanted))
		return 0;
	if (state == DD_GIVEN_UP)
		return -ECANCELED;
	if (state >= DD_FINISHED)
		return -ESHUTDOWN;
	return dd_deadline_has_come(deadline_ns) ? dd_deadline_error(deadline_ns) : -EINPROGRESS;
}

static int wait_for_backlog(
	struct defer_drop_queue *queue, struct dd_watcher *wanted, uint64_t deadline_ns)
{
	int result;

	while ((result = look(queue, wanted, deadline_ns)) == -EINPROGRESS) {
		bool may_drain = dd_queue_waits_drain(queue) && dd_queue_state(queue) < DD_CLOSING;
		uint64_t until_ns = dd_grace_ask_again_ns(&queue->grace, deadline_ns);

		if (dd_grace_is_reading(&queue->grace))
			return -EDEADLK;
		result = dd_worker_ensure(queue);
		if (result)
			return result;
		if (wait_for_look(queue, wanted, may_drain, until_ns))
			dd_drain_until(queue, NULL, is_enough, wanted, until_ns);
	}
	return result;
}

int defer_drop_queue_wait_backlog(
	struct defer_drop_queue *queue, uint64_t max_drops, uint64_t max_bytes, uint64_t timeout_ns)
{
	struct dd_watcher wanted = {.max_drops = max_drops, .max_bytes = max_bytes};
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (result || !dd_queue_has_opened(queue))
		return result;
	if (dd_is_running(queue))
		return -EDEADLK;
	if (dd_queue_state(queue) >= DD_FINISHED)
		return -ESHUTDOWN;
	return wait_for_backlog(queue, &wanted, dd_deadline_after(timeout_ns));
}
