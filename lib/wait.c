/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "queue.h"

struct dd_waiter {
	struct dd_waiter *next;
	struct dd_lane *lane;
	uint64_t position;
	_Atomic(uint32_t) woken; /* futex word of a waiting thread */
	int eventfd;             /* or -1 */
};

/* ---- The list, under its lock ---------------------------------------------------------------- */

/* Sets a lane's alarm to the first position that anyone waits for. */
static void raise_alarm(struct dd_waiters *waiters, struct dd_lane *lane)
{
	uint64_t alarm = dd_plain_load(&lane->first) + DD_NO_ALARM;

	for (struct dd_waiter *at = waiters->first; at; at = at->next)
		if (at->lane == lane && dd_is_before(at->position, alarm))
			alarm = at->position;
	/* ALARM->: where FENCED; see is_due. */
	atomic_exchange_explicit(&lane->alarm, alarm, memory_order_acq_rel);
}

static void unlink_waiter(struct dd_waiters *waiters, struct dd_waiter *waiter)
{
	for (struct dd_waiter **at = &waiters->first; *at; at = &(*at)->next) {
		if (*at != waiter)
			continue;
		*at = waiter->next;
		return;
	}
}

/* Adds a waiter. False, and nothing done, where the consumer has finished. */
static bool enlist(struct defer_drop_queue *queue, struct dd_waiter *waiter)
{
	struct dd_waiters *waiters = &queue->waiters;
	bool is_open;

	pthread_mutex_lock(&waiters->lock);
	is_open = dd_queue_state(queue) < DD_FINISHED;
	if (is_open) {
		waiter->next = waiters->first;
		waiters->first = waiter;
		raise_alarm(waiters, waiter->lane);
	}
	pthread_mutex_unlock(&waiters->lock);
	if (is_open && !queue->is_fenced)
		dd_membarrier();
	return is_open;
}

/*
 * Adds 1 to an eventfd. One that would block stands at its maximum, and so is readable already.
 */
static void signal_eventfd(int eventfd)
{
	struct pollfd writable = {.fd = eventfd, .events = POLLOUT};
	uint64_t one = 1;

	if (poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT) &&
		write(eventfd, &one, sizeof one) < 0)
		return; /* no eventfd then: there is nobody left to tell */
}

static void dismiss(struct dd_waiter *waiter)
{
	if (waiter->eventfd >= 0) {
		signal_eventfd(waiter->eventfd);
		close(waiter->eventfd);
		free(waiter);
		return;
	}
	/* WOKEN->: without release the waiter could leave before our last access to it. The wake
	 * that follows may find its stack gone, which futex(2) allows: it goes by the address. */
	atomic_store_explicit(&waiter->woken, 1, memory_order_release);
	dd_futex_wake(&waiter->woken, 1);
}

/* ---- By waiters ------------------------------------------------------------------------------ */

static int outcome(struct dd_lane *lane, uint64_t position)
{
	if (dd_ring_is_past(&lane->ring, position))
		return 0;
	return dd_queue_state(lane->queue) < DD_FINISHED ? -ETIMEDOUT : -ESHUTDOWN;
}

int dd_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_waiter self = {.lane = lane, .position = position, .eventfd = -1};

	if (!enlist(queue, &self))
		return outcome(lane, position);
	if (dd_bell_ring(&queue->park.bell))
		dd_add_shared(&queue->wakes_total, 1);
	/* ->WOKEN: without acquire our stack could be reused under the consumer. */
	while (!atomic_load_explicit(&self.woken, memory_order_acquire)) {
		if (dd_ring_is_past(&lane->ring, position) ||
			dd_futex_wait(&self.woken, 0, deadline_ns) == -ETIMEDOUT) {
			pthread_mutex_lock(&queue->waiters.lock);
			unlink_waiter(&queue->waiters, &self);
			pthread_mutex_unlock(&queue->waiters.lock);
			break;
		}
	}
	return outcome(lane, position);
}

int dd_wait_notify(struct dd_lane *lane, uint64_t position, int eventfd)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_waiter *waiter = malloc(sizeof *waiter);

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct dd_waiter){.lane = lane, .position = position, .eventfd = eventfd};
	if (!enlist(queue, waiter))
		dismiss(waiter);
	else if (dd_ring_is_past(&lane->ring, position))
		dd_wait_wake(lane); /* it passed before the consumer could see the alarm */
	return 0;
}

/* ---- By the consumer ------------------------------------------------------------------------- */

/* Takes those who need wait no longer off the list and dismisses them. */
static void dismiss_if(struct dd_waiters *waiters, struct dd_lane *lane, bool is_finished)
{
	struct dd_waiter **at = &waiters->first;

	while (*at) {
		struct dd_waiter *waiter = *at;

		if (is_finished || (waiter->lane == lane &&
					   dd_ring_is_past(&lane->ring, waiter->position))) {
			*at = waiter->next;
			dismiss(waiter);
		} else {
			at = &waiter->next;
		}
	}
}

void dd_wait_wake(struct dd_lane *lane)
{
	struct dd_waiters *waiters = &lane->queue->waiters;

	pthread_mutex_lock(&waiters->lock);
	dismiss_if(waiters, lane, false);
	raise_alarm(waiters, lane);
	pthread_mutex_unlock(&waiters->lock);
}

void dd_wait_release(struct defer_drop_queue *queue)
{
	pthread_mutex_lock(&queue->waiters.lock);
	dismiss_if(&queue->waiters, NULL, true);
	pthread_mutex_unlock(&queue->waiters.lock);
}

void dd_wait_forget(struct defer_drop_queue *queue)
{
	while (queue->waiters.first) {
		struct dd_waiter *waiter = queue->waiters.first;

		queue->waiters.first = waiter->next;
		if (waiter->eventfd >= 0) { /* the others lie on stacks of the parent's threads */
			close(waiter->eventfd);
			free(waiter);
		}
	}
}
