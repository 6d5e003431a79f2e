/* SPDX-License-Identifier: MIT
 *
 * Waiting for a position: by a flush, a ticket, or a push that needs room. All three wait for one
 * lane to pass a position. They stand in a list of that lane, by position, under a mutex of the
 * queue, and the lane has an *alarm*: the first position in the list. The consumer compares the
 * alarm after each drop, and takes the mutex only when the alarm is due. So a waiter is woken as
 * soon as its position has passed, and not before.
 *
 * A waiter raises the alarm and then checks whether the position has passed; the consumer publishes
 * what it has done and then reads the alarm. At least one of them must see the other. A fence
 * between the two steps, after each drop, would cost the consumer more than the drop; a
 * membarrier(2) by the waiter would interrupt every CPU that runs the process. So two cheap looks
 * back up the plain one:
 *   - The consumer looks once more when a turn ends, with a read-modify-write. The waiter's access
 *     to the alarm is one too, and one of the two comes first: either the consumer sees the alarm,
 *     or the waiter has ALARM. Nothing is missed, but a waiter may be woken only at the turn's end.
 *   - A waiter that still sleeps looks once more after the time in which stores become visible
 *     (DD_STORES_SETTLE_NS). So a destructor that never returns does not delay a thread that waits
 *     for the drop before it. No thread looks for an eventfd: it may be signalled only at the end
 *     of that turn, if it was asked for at the very moment in which its drop was done.
 *
 * Edges:
 *   ALARM   is_due_at_last: alarm, release -> raise: alarm, acquire
 *           carries what the consumer has done in its turn: a waiter whose alarm comes too late
 *           sees that its position has passed
 *
 * The lists need no edge: the mutex orders them. What the destructors did reaches a waiter by DONE
 * and RECYCLE, when it reads its position.
 */
#ifndef DD_WAIT_H
#define DD_WAIT_H

#include <pthread.h>

#include "core/lane.h"

/* From a lane's first position to an alarm that is never due: 2^62 drops away. */
#define DD_NO_ALARM (UINT64_C(1) << 62)

/*
 * Checks whether the drops before position have been destroyed. Returns 0, -EINPROGRESS, -ESHUTDOWN
 * if they never will be, or -ECANCELED if the queue was given up.
 */
int dd_wait_poll(struct dd_lane *lane, uint64_t position);

/*
 * Waits for position. There must be a consumer. Returns 0, -ETIMEDOUT, -ESHUTDOWN, -ECANCELED, or
 * -EDEADLK if a grace period would wait for the calling thread by now: a destructor may make a drop
 * after one.
 */
int dd_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns);

/*
 * Waits for position, on a queue that callers drain, while another caller does. True if the calling
 * thread got the consumer's seat. False if the position has passed, the deadline has come, or the
 * caller must try again.
 */
bool dd_wait_for_seat(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns);

/* Wakes the threads that may take the seat, by a consumer that has left it and saw it wanted. */
void dd_wait_call(struct defer_drop_queue *queue);

/* Signals and closes eventfd, which then is the library's, when position passes. Does not wait. */
int dd_wait_notify(struct dd_lane *lane, uint64_t position, int eventfd);

/* Wakes the waiters of this lane whose position has passed. By the consumer. */
void dd_wait_wake(struct dd_lane *lane);

/* Wakes all waiters, when the consumer has finished or was given up. */
void dd_wait_release(struct defer_drop_queue *queue);

/* Forgets the waiters, in a forked child: they were in the parent. */
void dd_wait_forget(struct dd_lane *lane);

/* True if the alarm is due; may miss one that was just raised. By the consumer, after each drop. */
static inline bool dd_alarm_is_due(struct dd_lane *lane)
{
	/* The compiler's half of the fence; dd_stores_settled has the rest. */
	atomic_signal_fence(memory_order_seq_cst);
	return !dd_is_before(dd_plain_load(&lane->ring.cursor),
		atomic_load_explicit(&lane->alarm, memory_order_relaxed));
}

/* True if the alarm is due; misses none. By the consumer, at the end of a turn. */
static inline bool dd_alarm_is_due_at_last(struct dd_lane *lane)
{
	/* ALARM->: without release a waiter whose alarm comes after this could look at its position
	 * too early, and sleep. */
	return !dd_is_before(dd_plain_load(&lane->ring.cursor),
		atomic_fetch_add_explicit(&lane->alarm, 0, memory_order_release));
}

#endif
