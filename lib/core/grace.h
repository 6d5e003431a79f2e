/* SPDX-License-Identifier: MIT
 *
 * Grace periods of liburcu. One is over when every reader that was inside at its start has left.
 *
 * A thread beside the worker waits for one grace period after the other (grace_thread.h), so that
 * the worker never does. A grace period covers the drops that were in the rings when it began: each
 * lane notes its tail at that time. The worker sets a lane aside if its next drop is not covered.
 * When the grace period is over, the worker looks at these lanes again; if their next drops are
 * still not covered it begins another one, some microseconds later, so that it covers more drops.
 * So a reader that stays inside delays drops that wait for readers, and no others.
 */
#ifndef DD_GRACE_H
#define DD_GRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ring.h"

struct defer_drop_queue;
struct dd_lane;
struct rcu_flavor_struct;

/* Up to where a lane is covered: in its ring, and in its list of nested drops. */
struct dd_cover {
	uint64_t position;
	uint64_t nested;
};

/* What the consumer shares with the thread that waits. It may outlive the queue. */
struct dd_grace_thread;

struct dd_grace {
	/* Read by each push after a grace period. */
	alignas(DD_LINE) _Atomic(bool) is_used; /* any producer; taken back in an orphan */
	const struct rcu_flavor_struct *flavor; /* set once, like is_reader_from_start */
	bool is_reader_from_start;
	bool is_orphaned; /* set in a forked child, before its first push */

	/* The consumer's. */
	alignas(DD_LINE) struct dd_grace_thread *thread; /* NULL before the first grace period */
	bool has_worker;                                 /* the consumer is the worker */
	bool is_reader;                                  /* the worker is registered */
	uint64_t wanted_since_ns; /* when a grace period was asked for; 0: none is wanted */
	bool is_running;          /* a grace period has begun and was not yet seen to be over */
	_Atomic(uint64_t) begun_total;
};

/* ---- By producers ---------------------------------------------------------------------------- */

/* Notes that a push after a grace period will follow. Returns 0 or -ENOTSUP. */
int dd_grace_use(struct dd_grace *grace);

/* True if dd_grace_use would return 0 without writing. */
static inline bool dd_grace_is_ready(struct dd_grace *grace)
{
	return atomic_load_explicit(&grace->is_used, memory_order_relaxed);
}

/*
 * True if the calling thread is a reader that a grace period of this queue would wait for, and the
 * queue has had a drop after a grace period: then the thread may not wait for the queue.
 */
bool dd_grace_is_reading(struct dd_grace *grace);

/* True if it is such a reader, also before the first of these drops. */
bool dd_grace_is_inside(struct dd_grace *grace);

/*
 * By a thread that may wait until the deadline: returns until when it may before it asks
 * dd_grace_is_reading again. For a reader that is soon: no thread wakes it when the first drop
 * after a grace period comes, and what it waits for may lie behind that drop.
 */
uint64_t dd_grace_ask_again_ns(struct dd_grace *grace, uint64_t deadline_ns);

/* ---- By the consumer ------------------------------------------------------------------------- */

/*
 * True if the drop at this position of the lane, or its next nested drop, may be destroyed.
 * Otherwise the caller sets the lane aside; a grace period that covers the drop has begun, or will
 * when this one is over.
 */
bool dd_grace_covers(struct dd_lane *lane, uint64_t at);
bool dd_grace_covers_nested(struct dd_lane *lane);

/*
 * Begins a grace period if one has been wanted for a while. If the one that had begun is over, no
 * lane is set aside any more. may_wait: if no thread can be started to wait, the caller waits, for
 * any time.
 */
void dd_grace_collect(struct defer_drop_queue *queue, bool may_wait);

/* Waits until a grace period has passed, the bell is rung or the deadline comes. */
void dd_grace_rest(struct defer_drop_queue *queue, uint64_t deadline_ns);

/*
 * By a caller that stops draining: begins a grace period if one is wanted. False if no thread will
 * report its end: it has passed already, or no thread can be started.
 */
bool dd_grace_hurry(struct defer_drop_queue *queue);

/* Enters and leaves, as the worker begins and ends. */
void dd_grace_enter(struct dd_grace *grace);
void dd_grace_leave(struct dd_grace *grace);

/* Called when the worker is about to sleep, when it has slept, and when it holds no object. */
void dd_grace_go_offline(struct dd_grace *grace);
void dd_grace_go_online(struct dd_grace *grace);
void dd_grace_be_quiescent(struct dd_grace *grace);

/* ---- The end of a queue, a process, a fork --------------------------------------------------- */

/* Sets the grace periods of a queue up. flavor: as configured. Returns 0 or -ENOTSUP. */
int dd_grace_init(struct dd_grace *grace, const struct rcu_flavor_struct *flavor);

/*
 * Ends the thread, by a caller in place of the consumer, after the grace period that the thread
 * waits for has passed. Returns 0, -ETIMEDOUT, -EDEADLK if that would wait for the caller, or
 * -ESHUTDOWN if the queue is not stopped any more.
 */
int dd_grace_stop(struct defer_drop_queue *queue, uint64_t deadline_ns);

/* Ends the thread, after the consumer has finished. */
void dd_grace_end(struct dd_grace *grace);

/*
 * The process ends, and the calling thread, which may be online with QSBR, will wait for that end:
 * takes it offline, since no grace period may wait for it. True if dd_grace_resume must be called
 * before the thread runs destructors, and when it stops waiting.
 */
bool dd_grace_suspend(struct dd_grace *grace);
void dd_grace_resume(struct dd_grace *grace);

/* Prepares a forked child, before any of its queues survives. */
void dd_grace_fork(void);

/*
 * Sets the grace periods of a queue up in a forked child. is_worker: the calling thread is the
 * queue's worker. False if drops that wait for a grace period could never be destroyed here. A
 * queue that is_orphaned accepts no drops after a grace period.
 */
bool dd_grace_survive(struct dd_grace *grace, bool is_worker);

#endif
