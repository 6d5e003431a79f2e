/* SPDX-License-Identifier: MIT
 *
 * The watchdog: a thread that reports destructors which run longer than a limit. (watch.h is about
 * the backlog.) There is none without a limit.
 *
 * It cannot be the consumer, which is busy in the destructor. The consumer records what it destroys
 * (record.h), and reads no clock for it; the watchdog looks some times per limit, and a destructor
 * that it still sees after the limit is slow.
 *
 * state, a futex word, settles which of the two sleeps:
 *   SPARED -> WANTED   the consumer, before it destroys anything
 *   WANTED -> SPARED   the consumer, before it sleeps for good or ceases to be the consumer
 *   SPARED -> ASLEEP   the watchdog, when nothing happened for a whole period: then it has no timer
 *   ASLEEP -> WANTED   the consumer, which wakes it with one system call
 *   any -> ENDING      whoever joins it, or would
 *   WANTED -> ASLEEP   cannot happen: it would sleep while destructors run
 *   ENDING -> SPARED   a caller of stop, which has joined it or has no more time for that
 *   ENDING -> other    cannot happen: it would never be joined
 *
 * All accesses to state are relaxed: each change is one read-modify-write, and it carries nothing
 * but itself. What the watchdog then looks at has edges of its own.
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
	_Atomic(bool) has_thread;     /* under control, like the next two */
	bool has_reported;            /* that it cannot be started */
	pthread_t thread;
	pid_t thread_id; /* as gettid(2); the watchdog writes */
};

/* Under control: starts the thread, if there is a limit, unless it runs. 0 or -ESRCH. */
int dd_watchdog_start(struct defer_drop_queue *queue);

/* The same, where nobody waits for the answer: a failure is said on stderr, once. */
void dd_watchdog_start_somehow(struct defer_drop_queue *queue);

/* Ends it and joins it. There is no consumer any more. */
void dd_watchdog_end(struct defer_drop_queue *queue);

/*
 * Ends it, in time, while the queue is stopped: it may be started again. Returns 0; -ETIMEDOUT if
 * its function has not returned, and it goes on; or -ESHUTDOWN if the queue is not stopped any
 * more.
 */
int dd_watchdog_stop(struct defer_drop_queue *queue, uint64_t deadline_ns);

/* In a forked child: the thread is the parent's. */
void dd_watchdog_survive(struct defer_drop_queue *queue);

/* By the consumer: destructors may run from now on; and, none will until then. */
void dd_watchdog_want(struct defer_drop_queue *queue);
void dd_watchdog_spare(struct defer_drop_queue *queue);

/* Is the calling thread this queue's watchdog, telling of a destructor? */
bool dd_watchdog_is_self(const struct defer_drop_queue *queue);

#endif
