/* SPDX-License-Identifier: MIT
 *
 * Waiting for a position: by a flush, a ticket, or a push that needs room. All three wait for one
 * lane to pass a position; they stand in a list of that lane, by position, under a mutex of the
 * queue, and the lane has an *alarm*: the first position in the list. The consumer compares the
 * alarm after each drop, and takes the mutex only when it is due. So a waiter is woken as soon as
 * its position has passed, not for nothing, and not later.
 *
 * A waiter raises the alarm and then looks whether the position has passed; the consumer publishes
 * what it has done and then looks at the alarm. At least one of them must see the other. A fence
 * between the two steps, after each drop, would cost the consumer more than the drop; and a
 * membarrier(2) by the waiter would interrupt every CPU that runs the process. So two cheap looks
 * stand behind the plain one:
 *   - The consumer looks once more when a turn ends, with a read-modify-write. The waiter's access
 *     to the alarm is one too, and one of the two comes first: either the consumer sees the alarm,
 *     or the waiter has ALARM. Nothing is missed, but a waiter may be woken as late as the turn ends.
 *   - The waiter, if it still sleeps then, looks once more after the time in which stores become
 *     visible (DD_STORES_SETTLE_NS). So a destructor that never returns does not hold up who waits
 *     for the drop before it. An eventfd has nobody who could look: it may be written to as late as
 *     when that turn ends, if it was asked for in the very moment in which its drop was done.
 *
 * Edges:
 *   ALARM   is_due_at_last: alarm, release -> raise: alarm, acquire
 *           carries what the consumer has done in its turn: a waiter whose alarm comes too late sees
 *           that its position has passed
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

/* By the consumer, after each drop. It may miss an alarm that was raised a moment ago. */
static inline bool dd_alarm_is_due(struct dd_lane *lane)
{
	/* The compiler's half: dd_stores_settled has the rest. */
	atomic_signal_fence(memory_order_seq_cst);
	return !dd_is_before(dd_plain_load(&lane->ring.cursor),
		atomic_load_explicit(&lane->alarm, memory_order_relaxed));
}

/* By the consumer, at the end of a turn. It misses none. */
static inline bool dd_alarm_is_due_at_last(struct dd_lane *lane)
{
	/* ALARM->: without release a waiter whose alarm comes after this could look at its position
	 * too early, and sleep. */
	return !dd_is_before(dd_plain_load(&lane->ring.cursor),
		atomic_fetch_add_explicit(&lane->alarm, 0, memory_order_release));
}

#endif
