/* SPDX-License-Identifier: MIT
 *
 * Waiting for a position: by a flush, a ticket, or a push that needs room. All three wait for one
 * lane to pass a position; they stand in a list of that lane, by position, under a mutex of the
 * queue, and the lane has an *alarm*: the first position in the list. The consumer compares the
 * alarm after each drop, and takes the mutex only when it is due. So a waiter is woken as soon as
 * its position has passed, neither later nor for nothing.
 *
 * A waiter raises the alarm, passes a fence, and then looks whether the position has passed; the
 * consumer says what it has done, passes a fence, and then looks at the alarm: at least one sees
 * the other. As in park.h, both fences are a membarrier by the waiter; where FENCED, both accesses
 * to the alarm are read-modify-writes, of which one comes first: either the consumer sees the
 * alarm, or the waiter has ALARM.
 *
 * Edges:
 *   ALARM   is_due: alarm, release -> raise: alarm, acquire (where FENCED)
 *           carries what the consumer has done: a waiter whose alarm comes too late sees that its
 *           position has passed
 *
 * The lists need no edge: the mutex orders them. What the destructors did comes to a waiter by DONE
 * and RECYCLE, when it looks at its position.
 */
#ifndef DD_WAIT_H
#define DD_WAIT_H

#include <pthread.h>

#include "core/lane.h"

/* From a lane's first position to an alarm that is never due: 2^62 drops away. */
#define DD_NO_ALARM (UINT64_C(1) << 62)

/*
 * Looks whether the drops before position have been destroyed. Returns 0, -EINPROGRESS, -ESHUTDOWN
 * if they never will be, or -ECANCELED if the queue was given up.
 */
int dd_wait_poll(struct dd_lane *lane, uint64_t position);

/* Waits for that. There must be a consumer. Returns 0, -ETIMEDOUT, -ESHUTDOWN or -ECANCELED. */
int dd_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns);

/*
 * Waits for that, if callers drain and another one does. True if the calling thread has the
 * consumer's seat instead; else the position has passed, or the deadline has come, or it is to be
 * tried again.
 */
bool dd_wait_for_seat(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns);

/* By a consumer that has left a seat which was wanted: calls those who may take it. */
void dd_wait_call(struct defer_drop_queue *queue);

/* Has an eventfd, which is the library's, signalled and closed then. Does not wait. */
int dd_wait_notify(struct dd_lane *lane, uint64_t position, int eventfd);

/* By the consumer: wakes the waiters of this lane whose position has passed. */
void dd_wait_wake(struct dd_lane *lane);

/* When the consumer has finished, or is given up: wakes all. */
void dd_wait_release(struct defer_drop_queue *queue);

/* In a forked child: whoever waited was in the parent. */
void dd_wait_forget(struct dd_lane *lane);

/* By the consumer, after each drop. */
static inline bool dd_alarm_is_due(struct dd_lane *lane, bool is_fenced)
{
	uint64_t alarm;

	atomic_signal_fence(memory_order_seq_cst);
	/* ALARM->: without release a waiter whose alarm comes after this could look at its position
	 * too early, and sleep. */
	if (dd_unlikely(is_fenced))
		alarm = atomic_fetch_add_explicit(&lane->alarm, 0, memory_order_release);
	else
		alarm = atomic_load_explicit(&lane->alarm, memory_order_relaxed);
	return !dd_is_before(dd_plain_load(&lane->ring.cursor), alarm);
}

#endif
