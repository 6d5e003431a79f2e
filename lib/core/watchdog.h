/* SPDX-License-Identifier: MIT
 *
 * The watchdog: a thread that reports destructors which run longer than a limit. (watch.h is about
 * the backlog.) There is none without a limit.
 *
 * It cannot be the consumer, which is busy in the destructor. The consumer records what it destroys
 * (record.h), and reads no clock for that. The watchdog looks a few times per limit; a destructor
 * that it still sees after the limit is slow.
 *
 * state, a futex word, decides which of the two sleeps:
 *   SPARED -> WANTED   the consumer, before it destroys anything
 *   WANTED -> SPARED   the consumer, before a deep sleep or when it ceases to be the consumer
 *   SPARED -> ASLEEP   the watchdog, when nothing happened for a whole period: it has no timer then
 *   ASLEEP -> WANTED   the consumer, which wakes it with one system call
 *   any -> ENDING      the thread that joins it, or would
 *   WANTED -> ASLEEP   cannot happen: it would sleep while destructors run
 *   ENDING -> SPARED   a caller of stop that has joined it, or has no more time to
 *   ENDING -> other    cannot happen: it would never be joined
 *
 * All accesses to state are relaxed: each change is one read-modify-write and carries no other
 * data. The records that the watchdog then reads have edges of their own.
 */
#ifndef DD_WATCHDOG_H
#define DD_WATCHDOG_H

#include <pthread.h>

#include "core/record.h"

struct defer_drop_queue;

enum dd_watchdog_state {
	DD_WATCHDOG_SPARED,
	DD_WATCHDOG_WANTED,
	DD_WATCHDOG_ASLEEP,
	DD_WATCHDOG_ENDING,
};

struct dd_watchdog {
	struct dd_record record;      /* the consumer's */
	_Atomic(uint32_t) state;      /* enum dd_watchdog_state */
	_Atomic(uint64_t) slow_total; /* the watchdog's */
	_Atomic(uint32_t) has_ended;  /* a futex word; under control */
	_Atomic(bool) has_thread;     /* under control, like has_reported and thread */
	bool has_reported;            /* the failure to start it */
	pthread_t thread;
	pid_t thread_id; /* as gettid(2); the watchdog writes */
};

/* Starts the thread, if there is a limit, unless it runs. 0 or -ESRCH. Under control. */
int dd_watchdog_start(struct defer_drop_queue *queue);

/* Starts the thread for a caller that expects no error: a failure is reported once, on stderr. */
void dd_watchdog_start_somehow(struct defer_drop_queue *queue);

/* Ends the watchdog and joins it. There is no consumer any more. */
void dd_watchdog_end(struct defer_drop_queue *queue);

/*
 * Ends the watchdog before the deadline, while the queue is stopped: it may be started again.
 * Returns 0; -ETIMEDOUT if its function has not returned, and it goes on; or -ESHUTDOWN if the
 * queue is not stopped any more.
 */
int dd_watchdog_stop(struct defer_drop_queue *queue, uint64_t deadline_ns);

/* Resets the watchdog in a forked child: the thread is the parent's. */
void dd_watchdog_survive(struct defer_drop_queue *queue);

/* By the consumer: destructors may run from now on, until dd_watchdog_spare. */
void dd_watchdog_want(struct defer_drop_queue *queue);
void dd_watchdog_spare(struct defer_drop_queue *queue);

/* True if the calling thread is this queue's watchdog, reporting a destructor. */
bool dd_watchdog_is_self(const struct defer_drop_queue *queue);

#endif
