/* SPDX-License-Identifier: MIT
 *
 * Grace periods: when every reader of liburcu's who was inside at the push has left.
 *
 * One thread beside the worker, which nothing else knows of, waits for one grace period after the
 * other (grace_thread.h), so that the worker never does. A grace period covers what was in the
 * rings when it began: each lane notes its tail then. The worker sets a lane aside whose next drop
 * is not covered; when the grace period is over, it looks at such lanes again, and where that is
 * not enough begins another one, some microseconds later so that more comes in. So a reader who
 * stays inside holds up those who asked, and nobody else.
 */
#ifndef DD_GRACE_H
#define DD_GRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ring.h"

struct defer_drop_queue;
struct dd_lane;
struct rcu_flavor_struct;

/* How far a lane is covered: in its ring, and in its list of nested drops. */
struct dd_cover {
	uint64_t position;
	uint64_t nested;
};

/* The thread that waits, and what it shares with the worker. Outlives the queue where it must. */
struct dd_grace_thread;

struct dd_grace {
	/* Read by each push after a grace period. */
	alignas(DD_LINE) _Atomic(bool) is_used; /* any producer; taken back in an orphan */
	const struct rcu_flavor_struct *flavor; /* set once, like the next */
	bool is_reader_from_start;
	bool is_orphaned; /* set in a forked child, before its first push */

	/* The consumer's. */
	alignas(DD_LINE) struct dd_grace_thread *thread; /* NULL before the first grace period */
	bool has_worker;                                 /* the consumer is the worker */
	bool is_reader;                                  /* which is registered */
	uint64_t wanted_since_ns; /* a grace period is to begin soon; 0: none is */
	bool is_running;          /* a grace period has begun that was not found to be over */
	_Atomic(uint64_t) begun_total;
};

/* ---- By producers ---------------------------------------------------------------------------- */

/* Before a push after a grace period: 0 or -ENOTSUP. */
int dd_grace_use(struct dd_grace *grace);

/* True if dd_grace_use would return 0 without writing. */
static inline bool dd_grace_is_ready(struct dd_grace *grace)
{
	return atomic_load_explicit(&grace->is_used, memory_order_relaxed);
}

/* Is the calling thread a reader that a grace period of this queue would wait for? */
bool dd_grace_is_reading(struct dd_grace *grace);

/* ---- By the consumer ------------------------------------------------------------------------- */

/*
 * May the drop at this position of the lane, or its next nested drop, be destroyed? Otherwise the
 * lane is to be set aside; a grace period that covers it has begun, or will when this one is over.
 */
bool dd_grace_covers(struct dd_lane *lane, uint64_t at);
bool dd_grace_covers_nested(struct dd_lane *lane);

/*
 * Begins a grace period that is wanted. Is the one over that had begun? Then no lane is set aside
 * any more. may_wait: where no thread can be had to wait for it, the caller waits, however long.
 */
void dd_grace_collect(struct defer_drop_queue *queue, bool may_wait);

/* Waits for that, until the bell is rung or the deadline comes. */
void dd_grace_rest(struct defer_drop_queue *queue, uint64_t deadline_ns);

/*
 * By a caller that stops draining: begins a grace period that is wanted. False if nobody will tell
 * when one has passed: it has already, or no thread can be had.
 */
bool dd_grace_hurry(struct defer_drop_queue *queue);

/* By the worker, when it begins and ends. */
void dd_grace_enter(struct dd_grace *grace);
void dd_grace_leave(struct dd_grace *grace);

/* The worker is about to sleep, has slept; and has nothing in hand. */
void dd_grace_go_offline(struct dd_grace *grace);
void dd_grace_go_online(struct dd_grace *grace);
void dd_grace_be_quiescent(struct dd_grace *grace);

/* ---- The end of a queue, a process, a fork --------------------------------------------------- */

/* flavor: as configured. Returns 0 or -ENOTSUP. */
int dd_grace_init(struct dd_grace *grace, const struct rcu_flavor_struct *flavor);

/*
 * In place of a consumer, which there is none of: ends the thread, once the grace period that it
 * waits for has passed. Returns 0, -ETIMEDOUT, or -ESHUTDOWN if the queue is not stopped any more.
 */
int dd_grace_stop(struct defer_drop_queue *queue, uint64_t deadline_ns);

/* When the consumer has finished. */
void dd_grace_end(struct dd_grace *grace);

/*
 * The process ends, and the calling thread, which may be online with QSBR, will wait for that: no
 * grace period may wait for it. True where it has to be resumed, before it runs destructors, and
 * when it waits no longer.
 */
bool dd_grace_suspend(struct dd_grace *grace);
void dd_grace_resume(struct dd_grace *grace);

/* In a forked child, before any queue of it survives. */
void dd_grace_fork(void);

/*
 * In a forked child. is_worker: the calling thread is the queue's worker. False where what waits
 * for a grace period could never be destroyed here; where is_orphaned, that needs none.
 */
bool dd_grace_survive(struct dd_grace *grace, bool is_worker);

#endif
