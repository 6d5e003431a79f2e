/* SPDX-License-Identifier: MIT
 *
 * Waiting for a position, and being woken.
 */
#include "core/wait.h"

#include <stdlib.h>

#include "base/eventfd.h"
#include "core/budget.h"
#include "core/completion.h"
#include "core/queue.h"
#include "core/seat.h"
#include "core/watch.h"

struct position_waiter {
	struct dd_waiter waiter; /* woken if a thread waits */
	struct dd_lane *lane;
	uint64_t position;
	int eventfd;    /* or -1 */
	bool may_drain; /* it becomes the consumer if there is none */
};

/* ---- The lists, under the lock --------------------------------------------------------------- */

static struct position_waiter *first_of(const struct dd_lane *lane)
{
	return (struct position_waiter *)lane->waiters.first;
}

/* Sets a lane's alarm to the first position that a waiter stands for. */
static void raise_alarm(struct dd_lane *lane)
{
	const struct position_waiter *first = first_of(lane);
	uint64_t alarm = first ? first->position : lane->first + DD_NO_ALARM;

	/* ->ALARM: without acquire the waiter could read its position too early, and sleep. */
	atomic_exchange_explicit(&lane->alarm, alarm, memory_order_acquire);
}

/* Links by position, behind waiters for an equal one. Nearly always that is the end of the list. */
static void link_waiter(struct position_waiter *self)
{
	struct dd_waiters *list = &self->lane->waiters;
	struct dd_waiter *previous = list->last;

	while (previous &&
		dd_is_before(self->position, ((struct position_waiter *)previous)->position))
		previous = previous->previous;
	dd_waiters_insert(list, &self->waiter, previous ? previous->next : list->first);
}

/* Adds a waiter and rings. False, and does nothing, if the consumer finished or was given up. */
static bool enlist_and_ring(struct position_waiter *self)
{
	struct defer_drop_queue *queue = self->lane->queue;

	if (!dd_queue_lock_waiters(queue))
		return false;
	link_waiter(self);
	raise_alarm(self->lane);
	dd_mutex_unlock(&queue->waiters_lock);
	dd_queue_ring(queue);
	return true;
}

static void unlist(struct position_waiter *self)
{
	struct dd_mutex *lock = &self->lane->queue->waiters_lock;

	dd_mutex_lock(lock);
	dd_waiters_leave(&self->lane->waiters, &self->waiter);
	dd_mutex_unlock(lock);
}

/* Signals an eventfd that is in no list, and is the library's. */
static void signal_and_free(struct position_waiter *self)
{
	dd_eventfd_signal(self->eventfd); /* a failure cannot be reported to anyone */
	dd_eventfd_close(self->eventfd);
	free(self);
}

static void dismiss(struct position_waiter *self)
{
	struct dd_waiters *list = &self->lane->waiters;

	if (self->eventfd < 0) {
		dd_waiters_wake(list, &self->waiter);
		return;
	}
	dd_waiters_remove(list, &self->waiter);
	signal_and_free(self);
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
static bool has_slept_enough(struct position_waiter *self, uint64_t *until_ns, uint64_t deadline_ns)
{
	if (dd_ring_is_past(&self->lane->ring, self->position))
		return true;
	if (dd_latch_wait(&self->waiter.is_woken, *until_ns) != -ETIMEDOUT)
		return false;
	if (*until_ns == deadline_ns)
		return true;
	/* What the consumer did before it could see the alarm is visible to the next look. */
	dd_stores_settled();
	*until_ns = deadline_ns;
	return false;
}

/* Sleeps until the position has passed, the waiter is woken, or the deadline comes. */
static void sleep_in_list(struct position_waiter *self, uint64_t deadline_ns)
{
	uint64_t settled_ns = dd_now_ns() + DD_STORES_SETTLE_NS;
	uint64_t until_ns = dd_least(settled_ns, deadline_ns);

	while (!dd_latch_is_open(&self->waiter.is_woken)) {
		if (!has_slept_enough(self, &until_ns, deadline_ns))
			continue;
		unlist(self);
		break;
	}
}

/* Waits for a while, or until woken. */
static int wait_a_while(struct dd_lane *lane, uint64_t position, uint64_t until_ns)
{
	struct position_waiter self = {.lane = lane, .position = position, .eventfd = -1};

	if (enlist_and_ring(&self))
		sleep_in_list(&self, until_ns);
	return outcome(lane, position);
}

int dd_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	struct dd_grace *grace = &lane->queue->grace;
	uint64_t until_ns;
	int result;

	do {
		until_ns = dd_grace_ask_again_ns(grace, deadline_ns);
		result = wait_a_while(lane, position, until_ns);
		if (result == -ETIMEDOUT && dd_grace_is_reading(grace))
			result = -EDEADLK;
	} while (result == -ETIMEDOUT && until_ns != deadline_ns);
	return result;
}

bool dd_wait_for_seat(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = lane->queue;
	struct position_waiter self = {
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
	unlist(&self);
	return true;
}

int dd_wait_notify(struct dd_lane *lane, uint64_t position, int eventfd)
{
	struct position_waiter *waiter = malloc(sizeof *waiter);

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct position_waiter){.lane = lane, .position = position, .eventfd = eventfd};
	if (!enlist_and_ring(waiter))
		signal_and_free(waiter);
	else if (dd_ring_is_past(&lane->ring, position))
		dd_wait_wake(lane); /* it passed before the consumer could see the alarm */
	return 0;
}

/* ---- By the consumer ------------------------------------------------------------------------- */

void dd_wait_wake(struct dd_lane *lane)
{
	struct dd_mutex *lock = &lane->queue->waiters_lock;

	dd_mutex_lock(lock);
	while (first_of(lane) && dd_ring_is_past(&lane->ring, first_of(lane)->position))
		dismiss(first_of(lane));
	raise_alarm(lane);
	dd_mutex_unlock(lock);
}

static void release_lane(struct dd_lane *lane)
{
	while (first_of(lane))
		dismiss(first_of(lane));
}

static void call_lane(struct dd_lane *lane)
{
	struct dd_waiter *next;

	for (struct dd_waiter *at = lane->waiters.first; at; at = next) {
		next = at->next;
		if (((struct position_waiter *)at)->may_drain)
			dismiss((struct position_waiter *)at);
	}
	raise_alarm(lane);
}

void dd_wait_call(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	dd_mutex_lock(&queue->waiters_lock);
	for (uint32_t i = 0; i < count; i++)
		if (queue->lanes[i]->waiters.first)
			call_lane(queue->lanes[i]);
	dd_completion_call(&queue->completion_waiters);
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
	while (first_of(lane)) {
		struct position_waiter *waiter = first_of(lane);

		dd_waiters_remove(&lane->waiters, &waiter->waiter);
		if (waiter->eventfd >= 0) { /* the others lie on stacks of the parent's threads */
			dd_eventfd_close(waiter->eventfd);
			free(waiter);
		}
	}
}
