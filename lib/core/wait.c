/* SPDX-License-Identifier: MIT
 *
 * Waiting for a position, and being woken.
 */
#include "core/wait.h"

#include <stdlib.h>

#include "base/eventfd.h"
#include "base/latch.h"
#include "core/budget.h"
#include "core/completion.h"
#include "core/queue.h"
#include "core/seat.h"
#include "core/watch.h"

struct dd_waiter {
	struct dd_waiter *next;
	struct dd_lane *lane;
	uint64_t position;
	struct dd_latch is_woken; /* if a thread waits */
	int eventfd;              /* or -1 */
	bool may_drain;           /* it becomes the consumer if there is none */
};

/* ---- The lists, under the lock --------------------------------------------------------------- */

/* Sets a lane's alarm to the first position that a waiter stands for. */
static void raise_alarm(struct dd_lane *lane)
{
	const struct dd_waiter *first = lane->first_waiter;
	uint64_t alarm = first ? first->position : lane->first + DD_NO_ALARM;

	/* ->ALARM: without acquire the waiter could read its position too early, and sleep. */
	atomic_exchange_explicit(&lane->alarm, alarm, memory_order_acquire);
}

/* Links by position, behind waiters for an equal one. Nearly always that is the end of the list. */
static void link_waiter(struct dd_waiter *waiter)
{
	struct dd_lane *lane = waiter->lane;
	struct dd_waiter **at = &lane->first_waiter;

	if (lane->last_waiter && !dd_is_before(waiter->position, lane->last_waiter->position))
		at = &lane->last_waiter->next;
	while (*at && !dd_is_before(waiter->position, (*at)->position))
		at = &(*at)->next;
	waiter->next = *at;
	*at = waiter;
	if (!waiter->next)
		lane->last_waiter = waiter;
}

static void unlink_first(struct dd_lane *lane)
{
	lane->first_waiter = lane->first_waiter->next;
	if (!lane->first_waiter)
		lane->last_waiter = NULL;
}

/* Unlinks a waiter unless it was woken, and so is no longer in the list. */
static void unlink_waiter(struct dd_waiter *waiter)
{
	struct dd_lane *lane = waiter->lane;
	struct dd_waiter *before = NULL;

	for (struct dd_waiter *at = lane->first_waiter; at; before = at, at = at->next) {
		if (at != waiter)
			continue;
		if (before)
			before->next = at->next;
		else
			lane->first_waiter = at->next;
		if (!at->next)
			lane->last_waiter = before;
		return;
	}
}

/* Adds a waiter and rings. False, and does nothing, if the consumer finished or was given up. */
static bool enlist_and_ring(struct dd_waiter *waiter)
{
	struct defer_drop_queue *queue = waiter->lane->queue;
	bool is_open;

	dd_mutex_lock(&queue->waiters_lock);
	is_open = dd_queue_state(queue) < DD_GIVEN_UP;
	if (is_open) {
		link_waiter(waiter);
		raise_alarm(waiter->lane);
	}
	dd_mutex_unlock(&queue->waiters_lock);
	if (!is_open)
		return false;
	dd_queue_ring(queue);
	return true;
}

static void dismiss(struct dd_waiter *waiter)
{
	if (waiter->eventfd >= 0) {
		dd_eventfd_signal(waiter->eventfd); /* a failure cannot be reported to anyone */
		dd_eventfd_close(waiter->eventfd);
		free(waiter);
		return;
	}
	dd_latch_open(&waiter->is_woken);
}

/* ---- By waiters ------------------------------------------------------------------------------ */

int dd_wait_poll(struct dd_lane *lane, uint64_t position)
{
	/* In this order: a position not past once the queue has finished will never be. */
	uint32_t state = dd_queue_state(lane->queue);

	if (dd_ring_is_past(&lane->ring, position))
		return 0;
	if (state >= DD_FINISHED)
		return -ESHUTDOWN;
	return state == DD_GIVEN_UP ? -ECANCELED : -EINPROGRESS;
}

static int outcome(struct dd_lane *lane, uint64_t position)
{
	int result = dd_wait_poll(lane, position);

	return result == -EINPROGRESS ? -ETIMEDOUT : result;
}

/* Sleeps for a while. True if the position has passed, or the deadline has come. */
static bool has_slept_enough(struct dd_waiter *self, uint64_t *until_ns, uint64_t deadline_ns)
{
	if (dd_ring_is_past(&self->lane->ring, self->position))
		return true;
	if (dd_latch_wait(&self->is_woken, *until_ns) != -ETIMEDOUT)
		return false;
	if (*until_ns == deadline_ns)
		return true;
	/* What the consumer did before it could see the alarm is visible to the next look. */
	dd_stores_settled();
	*until_ns = deadline_ns;
	return false;
}

/* Sleeps until the position has passed, the waiter is woken, or the deadline comes. */
static void sleep_in_list(struct dd_waiter *self, uint64_t deadline_ns)
{
	struct dd_mutex *lock = &self->lane->queue->waiters_lock;
	uint64_t settled_ns = dd_now_ns() + DD_STORES_SETTLE_NS;
	uint64_t until_ns = dd_least(settled_ns, deadline_ns);

	while (!dd_latch_is_open(&self->is_woken)) {
		if (!has_slept_enough(self, &until_ns, deadline_ns))
			continue;
		dd_mutex_lock(lock);
		unlink_waiter(self);
		dd_mutex_unlock(lock);
		break;
	}
}

int dd_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	struct dd_waiter self = {.lane = lane, .position = position, .eventfd = -1};

	if (enlist_and_ring(&self))
		sleep_in_list(&self, deadline_ns);
	return outcome(lane, position);
}

bool dd_wait_for_seat(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_waiter self = {
		.lane = lane,
		.position = position,
		.eventfd = -1,
		.may_drain = true,
	};

	if (!enlist_and_ring(&self))
		return false;
	/* In the list first: a consumer that leaves a wanted seat wakes the threads in it. */
	if (!dd_seat_ask(&queue->consumer_seat)) {
		sleep_in_list(&self, deadline_ns);
		return false;
	}
	dd_mutex_lock(&queue->waiters_lock);
	unlink_waiter(&self);
	dd_mutex_unlock(&queue->waiters_lock);
	return true;
}

int dd_wait_notify(struct dd_lane *lane, uint64_t position, int eventfd)
{
	struct dd_waiter *waiter = malloc(sizeof *waiter);

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct dd_waiter){.lane = lane, .position = position, .eventfd = eventfd};
	if (!enlist_and_ring(waiter))
		dismiss(waiter);
	else if (dd_ring_is_past(&lane->ring, position))
		dd_wait_wake(lane); /* it passed before the consumer could see the alarm */
	return 0;
}

/* ---- By the consumer ------------------------------------------------------------------------- */

void dd_wait_wake(struct dd_lane *lane)
{
	struct dd_mutex *lock = &lane->queue->waiters_lock;

	dd_mutex_lock(lock);
	while (lane->first_waiter && dd_ring_is_past(&lane->ring, lane->first_waiter->position)) {
		struct dd_waiter *waiter = lane->first_waiter;

		unlink_first(lane);
		dismiss(waiter);
	}
	raise_alarm(lane);
	dd_mutex_unlock(lock);
}

static void release_lane(struct dd_lane *lane)
{
	while (lane->first_waiter) {
		struct dd_waiter *waiter = lane->first_waiter;

		unlink_first(lane);
		dismiss(waiter);
	}
}

static void call_lane(struct dd_lane *lane)
{
	struct dd_waiter *next;

	for (struct dd_waiter *at = lane->first_waiter; at; at = next) {
		next = at->next;
		if (!at->may_drain)
			continue;
		unlink_waiter(at);
		dismiss(at);
	}
	raise_alarm(lane);
}

void dd_wait_call(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	dd_mutex_lock(&queue->waiters_lock);
	for (uint32_t i = 0; i < count; i++)
		if (queue->lanes[i]->first_waiter)
			call_lane(queue->lanes[i]);
	dd_completion_call(queue->completion_waiters);
	dd_watch_release(queue);
	dd_mutex_unlock(&queue->waiters_lock);
}

void dd_wait_release(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	dd_mutex_lock(&queue->waiters_lock);
	for (uint32_t i = 0; i < count; i++)
		release_lane(queue->lanes[i]);
	dd_budget_release(&queue->budget);
	dd_watch_release(queue);
	dd_mutex_unlock(&queue->waiters_lock);
}

void dd_wait_forget(struct dd_lane *lane)
{
	while (lane->first_waiter) {
		struct dd_waiter *waiter = lane->first_waiter;

		unlink_first(lane);
		if (waiter->eventfd >= 0) { /* the others lie on stacks of the parent's threads */
			dd_eventfd_close(waiter->eventfd);
			free(waiter);
		}
	}
}
