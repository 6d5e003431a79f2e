/* SPDX-License-Identifier: MIT
 *
 * A queue: lanes, one consumer, limits, and its life from open to joined.
 *
 * state:
 *   OPEN -> CLOSING       the first shutdown, under control
 *   CLOSING -> FINISHED   the consumer, when nothing is left to run; or exit, when its time is
 *                         over: then nobody waits for the consumer any more
 *   FINISHED -> JOINED    the shutdown that joined the worker, or had none to join
 *   OPEN -> FINISHED      cannot happen: pushes would be lost unseen
 *
 * Edges:
 *   STATE   set_state, finish: state, release -> dd_queue_state: state, acquire
 *           carries the deadline of a shutdown, and at the end the final counters
 */
#ifndef DD_QUEUE_H
#define DD_QUEUE_H

#include <pthread.h>

#include "boot.h"
#include "budget.h"
#include "config.h"
#include "lane.h"
#include "thread.h"
#include "wait.h"
#include "watch.h"
#include "watchdog.h"

/* Beside the public timeouts: look once, and answer -EAGAIN instead of -ETIMEDOUT. */
#define DD_TRY (DEFER_DROP_FOREVER - 1)

enum dd_state {
	DD_OPEN,
	DD_CLOSING,
	DD_FINISHED,
	DD_JOINED,
};

struct defer_drop_queue {
	struct dd_park park;

	/* The consumer's: it writes, statistics read. */
	alignas(DD_LINE) _Atomic(uint64_t) nested_total;
	_Atomic(uint64_t) nested_destroyed_total;
	_Atomic(uint64_t) nested_abandoned_total;
	_Atomic(uint64_t) naps_total;
	_Atomic(uint64_t) deep_sleeps_total;
	_Atomic(uint64_t) highest_backlog;
	_Atomic(uint64_t) failed_total;
	/* Whose drop is being destroyed, or was; NULL before the first, and after exit in one. */
	struct dd_lane *running_lane;
	struct dd_current nested; /* the last that was taken of those */
	/* The nested drop that is being destroyed, or NULL. */
	struct dd_current *nested_running;
	bool has_reported_failure;
	/* The queue closes, and nothing is left but what waits for grace periods. */
	bool is_waiting_out;
	struct dd_grace grace;
	struct dd_watch watch;
	/* At which a round begins, so that short ones starve none. */
	uint32_t next_lane;

	/* Read by the consumer after each drop; written when the queue closes. */
	alignas(DD_LINE) _Atomic(uint32_t) state; /* enum dd_state, and a futex word */
	_Atomic(uint64_t) drain_until_ns;         /* only ever made earlier */
	_Atomic(uint32_t) lane_count;             /* the shared one included; only grows */
	_Atomic(uint32_t) watchers;               /* of the backlog; also written by who waits */
	bool is_fenced;                           /* set once, like the five below */
	bool is_watched;                          /* it has a watchdog */
	uint64_t id;                              /* never used again; the default queue's is 0 */
	struct dd_slot *shared_slots;             /* to be unmapped, or NULL */
	struct dd_config config;
	uint32_t generation; /* forks that it went through */

	alignas(DD_LINE) _Atomic(uint64_t) wakes_total; /* any thread */
	pthread_mutex_t waiters_lock;
	struct dd_budget budget;

	/* Written by the consumer with each drop, where it is watched. */
	alignas(DD_LINE) struct dd_watchdog watchdog;

	_Atomic(uint32_t) consumer_seat; /* see seat.h */

	/* Under control. */
	pthread_mutex_t control;
	_Atomic(bool) has_thread;
	bool has_joiner;
	bool has_reported; /* that the worker cannot be started */
	pthread_t thread;
	struct dd_boot boot;
	bool is_boot_strict;

	/* Under the registry's lock. */
	struct defer_drop_queue *next;
	struct dd_lane *free_lanes;
	bool has_seen_exit;

	struct dd_lane shared;
	struct dd_lane *lanes[1 + DD_MAX_LANES]; /* lanes[0] is the shared one */
};

/*
 * Sets a zeroed queue up. slots: for the shared lane, or NULL to map them. Returns 0 or -ENOMEM.
 */
int dd_queue_init(
	struct defer_drop_queue *queue, const struct dd_config *config, struct dd_slot *slots);

/* What is to be pushed. */
struct dd_request {
	struct dd_drop drop;
	struct dd_options options;        /* word: 0 where it has none */
	struct defer_drop_ticket *ticket; /* to be filled in, or NULL */
};

/* A push that left the fast path. timeout_ns: as public, or DD_TRY. */
int dd_queue_push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/* A push that never was on it, and was checked. */
int dd_queue_push_request(
	struct defer_drop_queue *queue, const struct dd_request *request, uint64_t timeout_ns);

/* A push after a grace period that was not checked. */
int dd_queue_push_rcu(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy);

/* The rest of a push that published in its own lane and found attention set. */
int dd_queue_push_settle(struct dd_lane *lane, uint64_t at, defer_drop_fn word);

/* Waits for a position, as flush and tickets do. */
int dd_queue_wait(struct dd_lane *lane, uint64_t position, uint64_t timeout_ns);

/* For the registry. dd_queue_exit returns how many drops were left. */
void dd_queue_lock_all(struct defer_drop_queue *queue);
void dd_queue_unlock_all(struct defer_drop_queue *queue);
void dd_queue_survive(struct defer_drop_queue *queue, bool is_exiting);
uint64_t dd_queue_exit(struct defer_drop_queue *queue);

/* Sets the default queue up, if it is asked for that and it was not. */
int dd_queue_open(struct defer_drop_queue *queue);

/* False for a default queue that was not used yet: there is nothing in it to look at. */
bool dd_queue_has_opened(const struct defer_drop_queue *queue);

static inline uint32_t dd_queue_state(struct defer_drop_queue *queue)
{
	/* ->STATE: without acquire a shutdown's deadline and the final counters could be stale. */
	return atomic_load_explicit(&queue->state, memory_order_acquire);
}

/* Has the consumer announced that it takes no more? */
static inline bool dd_is_closed(struct defer_drop_queue *queue)
{
	return atomic_load_explicit(&queue->park.attention, memory_order_relaxed) & DD_CLOSED;
}

static inline void dd_queue_set_state(struct defer_drop_queue *queue, enum dd_state state)
{
	/* STATE->: without release it could be seen before what led to it. */
	atomic_store_explicit(&queue->state, state, memory_order_release);
	dd_futex_wake(&queue->state, INT_MAX);
}

/* CLOSING -> FINISHED, unless it is beyond that: a forked child is, and who comes too late. */
static inline void dd_queue_finish(struct defer_drop_queue *queue)
{
	uint32_t closing = DD_CLOSING;

	/* STATE->: as above. */
	if (atomic_compare_exchange_strong_explicit(&queue->state, &closing, DD_FINISHED,
		    memory_order_release, memory_order_relaxed))
		dd_futex_wake(&queue->state, INT_MAX);
}

static inline uint32_t dd_queue_lanes(struct defer_drop_queue *queue)
{
	/* ->LANES, see handover.h: without acquire the newest lane could be read before it was
	 * stored. */
	return atomic_load_explicit(&queue->lane_count, memory_order_acquire);
}

static inline uint64_t dd_read(_Atomic(uint64_t) *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline uint32_t dd_read_32(_Atomic(uint32_t) *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* To a counter that one thread writes and any may read. */
static inline void dd_add(_Atomic(uint64_t) *counter, uint64_t count)
{
	atomic_store_explicit(counter, dd_read(counter) + count, memory_order_relaxed);
}

static inline void dd_count(_Atomic(uint64_t) *counter)
{
	dd_add(counter, 1);
}

/* To a counter that many threads write. */
static inline void dd_add_shared(_Atomic(uint64_t) *counter, uint64_t count)
{
	atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

#endif
