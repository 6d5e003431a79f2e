/* SPDX-License-Identifier: MIT
 *
 * The consumer of a queue: its worker thread, or a caller that drains it.
 */
#ifndef DD_WORKER_H
#define DD_WORKER_H

#include <errno.h>

#include "core/queue.h"
#include "core/seat.h"

/*
 * Starts the worker unless it runs. is_strict: waits until it runs as configured, or fails with the
 * error of pthread_create, sched_setscheduler or setpriority. Otherwise it runs as well as it can,
 * or the result is -ESRCH. Starts the watchdog too, if there is a limit. Returns 0 also for a queue
 * that has no worker, is stopped or is closed.
 */
int dd_worker_start(struct defer_drop_queue *queue, bool is_strict);

/* Starts the worker unless it runs, without is_strict; takes no lock if it runs already. */
int dd_worker_ensure(struct defer_drop_queue *queue);

/* By a producer that cleared ASLEEP: wakes or starts the worker, or reports that a drain is due. */
void dd_worker_wake(struct defer_drop_queue *queue);

/* Gives each lane one turn: at most `most` destructors altogether. Returns how many ran. */
uint64_t dd_worker_round(struct defer_drop_queue *queue, uint64_t most, uint64_t deadline_ns);

/*
 * By a caller that waits for a lane: runs one destructor of that lane. If its drop is left in the
 * middle, gives all lanes a turn, so that a drop without end delays none. Returns how many ran.
 */
uint64_t dd_worker_turn(struct dd_lane *lane, uint64_t deadline_ns);

/*
 * By a caller that drains, after a turn that ran nothing: begins the grace period that its drops
 * wait for, leaves the seat, and waits a moment.
 */
void dd_worker_linger(
	struct defer_drop_queue *queue, struct dd_running *frame, uint64_t deadline_ns);

/* Reads the backlog of all lanes, for the statistics. By the consumer, now and then. */
void dd_worker_look(struct defer_drop_queue *queue);

/*
 * Finishes a queue that closes, by its consumer: runs or abandons the drops that are left. Does
 * nothing if the queue has finished.
 */
void dd_worker_finish(struct defer_drop_queue *queue);

/* Makes the caller the thread that runs destructors, and ends that. frame: a DD_RUNNING. */
void dd_running_enter(struct dd_running *frame, struct defer_drop_queue *queue);
void dd_running_leave(struct dd_running *frame);

/* Becomes the consumer of a queue without a worker, after waiting for the seat. 0 or -ETIMEDOUT. */
static inline int dd_consumer_enter(
	struct defer_drop_queue *queue, struct dd_running *frame, uint64_t deadline_ns)
{
	int result = dd_seat_take(&queue->consumer_seat, deadline_ns);

	if (!result)
		dd_running_enter(frame, queue);
	return result;
}

/* Signals the eventfd of a queue that callers drain, if it has one. */
void dd_worker_tell_pending(struct defer_drop_queue *queue);

/* Leaves the consumer's seat. Signals the eventfd if a drain is due again. */
void dd_consumer_release(struct defer_drop_queue *queue);

/* Ceases to be the consumer of a queue without a worker. */
void dd_consumer_leave(struct defer_drop_queue *queue, struct dd_running *frame);

#endif
