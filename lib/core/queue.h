/* SPDX-License-Identifier: MIT
 *
 * A queue: lanes, one consumer, limits, and its life from open to joined.
 *
 * state:
 *   OPEN -> STOPPED           a caller of stop, under control: the worker ends and loses no drops
 *   STOPPED -> OPEN           a caller of start, or a stop whose time is over; under control
 *   OPEN, STOPPED -> CLOSING  the first shutdown, under control
 *   CLOSING -> GIVEN_UP       a shutdown, or exit, whose time is over while a destructor runs:
 *                             no thread waits for the consumer any more
 *   CLOSING, GIVEN_UP -> FINISHED  the consumer, when nothing is left to run
 *   FINISHED -> JOINED        the shutdown that joined the worker, or had none to join
 *   OPEN -> FINISHED          cannot happen: pushes would be lost unseen
 *   GIVEN_UP -> JOINED        cannot happen: the worker would be freed with its queue
 *
 * Edges:
 *   STATE   set_state, move_state: state, release -> dd_queue_state: state, acquire
 *           carries the deadline of a shutdown, and at the end the final counters
 *   LANES   add: lane_count, release -> dd_queue_lanes: lane_count, acquire
 *           carries the lane that was added
 */
#ifndef DD_QUEUE_H
#define DD_QUEUE_H

#include <pthread.h>

#include "base/counter.h"
#include "base/latch.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "config/config.h"
#include "core/budget.h"
#include "core/figures.h"
#include "core/lane.h"
#include "core/wait.h"
#include "core/watch.h"
#include "core/watchdog.h"

/* The id of the default queue. No queue has 0, so a zeroed ticket names none. */
#define DD_DEFAULT_ID 1

/* The longest that a consumer outside of destructors may take to see that it must stop or end. */
#define DD_PATIENCE_NS (100 * DD_MS)

/* Returns when to stop waiting for a consumer that must see a timeout to be over. */
static inline uint64_t dd_patient_deadline(uint64_t timeout_ns)
{
	return timeout_ns == DEFER_DROP_FOREVER ? DEFER_DROP_FOREVER
						: dd_now_ns() + timeout_ns + DD_PATIENCE_NS;
}

/* How often callers check for a shutdown that does not wake them. */
#define DD_LOOK_NS (10 * DD_MS)

enum dd_state {
	DD_OPEN,
	DD_STOPPED,
	DD_CLOSING,
	DD_GIVEN_UP,
	DD_FINISHED,
	DD_JOINED,
};

/* The progress of a stop. */
enum dd_stop {
	DD_STOP_WANTED,
	DD_STOP_LEFT,      /* the worker has left, or is about to end */
	DD_STOP_OVERTAKEN, /* by a shutdown, which deals with the worker */
};

struct defer_drop_queue {
	struct dd_park park;

	/* The consumer's: it writes, statistics read. */
	alignas(DD_LINE) _Atomic(uint64_t) nested_total;
	_Atomic(uint64_t) nested_destroyed_total;
	_Atomic(uint64_t) nested_abandoned_total;
	_Atomic(uint64_t) passed_over_total; /* abandoned with their group, while it was open */
	_Atomic(uint64_t) naps_total;
	_Atomic(uint64_t) deep_sleeps_total;
	_Atomic(uint64_t) highest_backlog;
	_Atomic(uint64_t) failed_total;
	_Atomic(uint64_t)
		drop_ns; /* what a drop took lately, 0 if unknown; waiting pushes read it */
	/* The lane of the drop being destroyed, or of the last one. NULL before the first drop,
	 * while watermark or worker_start is called, and after exit in a destructor. */
	struct dd_lane *running_lane;
	/* The nested drop that is being destroyed, or NULL. */
	struct dd_current *nested_running;
	bool has_reported_failure;
	/* In the last round a turn ended before its lane was empty. */
	bool has_more;
	/* The queue closes, and only drops that wait for grace periods are left. */
	bool is_waiting_out;
	/* The next plain drop takes the slow way: it is timed, or is_observed. */
	bool is_next_observed;
	struct dd_timing timing;
	struct dd_figures *figures; /* set once */
	struct dd_grace grace;
	struct dd_watch watch;
	/* The lane at which a round begins, so that short rounds starve none. */
	uint32_t next_lane;
	/* Drops of the fullest lane, summed over the rounds since the worker last rested. */
	uint64_t fullest_ran;
	/* For each lane, where the word of its next slot lies; NULL while the lane has its turn, if
	 * its drop is left in the middle, and before its first turn. So a round reads one cache
	 * line of a lane that is empty. (An empty drain with 1,000 such lanes: 4 us; 47 us when each
	 * had a turn.) */
	_Atomic(defer_drop_fn) *next_words[1 + DD_MAX_LANES];

	/* Read by the consumer after each drop; written when the queue closes. */
	alignas(DD_LINE) _Atomic(uint32_t) state; /* enum dd_state, and a futex word */
	_Atomic(uint64_t) drain_until_ns;         /* only ever made earlier */
	_Atomic(uint32_t) lane_count;             /* the shared one included; only grows */
	_Atomic(uint32_t) watchers; /* of the backlog: waiters, and 1 for watermarks; any thread */
	bool has_watchdog;          /* set once, like id and shared_slots */
	bool is_observed;           /* it has one, or a tool looks for races; set once */
	_Atomic(uint64_t) id;       /* never reused; the default queue's is 1 */
	struct dd_slot *shared_slots; /* to be unmapped, or NULL */
	struct dd_config config;      /* set once, except that a child has no pending_eventfd */
	uint32_t generation;          /* forks that it went through; a child adds one */

	alignas(DD_LINE) _Atomic(uint64_t) wakes_total; /* any thread */
	struct dd_ages ages;
	_Atomic(uint32_t)
		print_asked; /* enum defer_drop_format; any thread, until the consumer prints */
	struct dd_mutex waiters_lock;
	struct dd_waiters completion_waiters; /* under it */
	struct dd_waiters group_waiters;      /* too */
	struct dd_budget budget;

	/* Written by the consumer with each drop, if the queue has a watchdog. */
	alignas(DD_LINE) struct dd_watchdog watchdog;

	_Atomic(uint32_t) consumer_seat; /* see seat.h */

	/* Under control. */
	struct dd_mutex control;
	_Atomic(bool) has_thread;
	bool has_joiner;
	bool is_closed_by_callers; /* no worker closes it */
	bool has_stopper;          /* a caller of stop or start is at work */
	bool has_reported;         /* that the worker cannot be started */
	bool is_out_of_time;       /* the time of exit; only the thread that exits uses it */
	pthread_t thread;
	struct dd_latch has_booted;
	DD_PLAIN(int) boot_result; /* of the worker: 0 or a negative errno */
	bool is_boot_strict;
	_Atomic(uint32_t) stop; /* enum dd_stop, and a futex word */
	pid_t thread_id;        /* the worker's, as gettid(2); set before its start is reported */

	/* Under the registry's lock. */
	struct defer_drop_queue *next;
	struct dd_lane *free_lanes; /* given back, with whatever is still in them */
	struct dd_lane *cold_lanes; /* given back and empty, without memory for their slots */
	/* Of the first list; the consumer reads it without the lock. */
	_Atomic(uint32_t) free_count;
	/* Threads in the shared lane read this without the lock: the index of a lane that
	 * was given back, UINT32_MAX if one can be made, or 0. */
	_Atomic(uint32_t) vacancy;
	bool has_seen_exit;
	bool has_seen_main_end;
	bool is_in_main_end;  /* the main thread flushes it */
	uint32_t group_count; /* groups of it that are not freed */

	struct dd_lane shared;
	struct dd_lane *lanes[1 + DD_MAX_LANES]; /* lanes[0] is the shared one */
};

static inline uint32_t dd_queue_state(struct defer_drop_queue *queue)
{
	/* ->STATE: without acquire a shutdown's deadline and the final counters could be stale. */
	return atomic_load_explicit(&queue->state, memory_order_acquire);
}

/* True if the consumer has announced that it takes no more. */
static inline bool dd_is_closed(struct defer_drop_queue *queue)
{
	return atomic_load_explicit(&queue->park.attention, memory_order_relaxed) & DD_CLOSED;
}

static inline void dd_queue_set_state(struct defer_drop_queue *queue, enum dd_state state)
{
	/* STATE->: without release it could be seen before the writes that led to it. */
	atomic_store_explicit(&queue->state, state, memory_order_release);
	dd_futex_wake(&queue->state, INT_MAX);
}

/* Moves from one state to another. False if the queue is not, or no longer, in the first. */
static inline bool dd_queue_move_state(
	struct defer_drop_queue *queue, uint32_t from, enum dd_state to)
{
	/* STATE->: without release it could be seen before the writes that led to it. */
	if (!atomic_compare_exchange_strong_explicit(
		    &queue->state, &from, to, memory_order_release, memory_order_relaxed))
		return false;
	dd_futex_wake(&queue->state, INT_MAX);
	return true;
}

/* Moves to FINISHED, by the consumer, unless the queue is beyond that: in a forked child it is. */
static inline void dd_queue_finish(struct defer_drop_queue *queue)
{
	if (!dd_queue_move_state(queue, DD_CLOSING, DD_FINISHED))
		dd_queue_move_state(queue, DD_GIVEN_UP, DD_FINISHED);
}

/* Notes the progress of a stop. Under control. */
static inline void dd_set_stop(struct defer_drop_queue *queue, enum dd_stop stop)
{
	/* Relaxed is enough: readers look again under control. */
	atomic_store_explicit(&queue->stop, stop, memory_order_relaxed);
	dd_futex_wake(&queue->stop, INT_MAX);
}

/* True if the queue has a worker, or would have one if it were not stopped. */
static inline bool dd_queue_has_worker(const struct defer_drop_queue *queue)
{
	return queue->config.values.runner == DEFER_DROP_RUNNER_WORKER;
}

/* True if flushes and waits of callers run destructors. */
static inline bool dd_queue_waits_drain(const struct defer_drop_queue *queue)
{
	return queue->config.values.runner == DEFER_DROP_RUNNER_CALLER;
}

/* True for the default queue. Before it is opened its id is 0. */
static inline bool dd_queue_is_default(const struct defer_drop_queue *queue)
{
	return atomic_load_explicit(&queue->id, memory_order_relaxed) <= DD_DEFAULT_ID;
}

static inline uint32_t dd_queue_lanes(struct defer_drop_queue *queue)
{
	/* ->LANES: without acquire the newest lane could be read before it was stored. */
	return atomic_load_explicit(&queue->lane_count, memory_order_acquire);
}

/*
 * Takes the lock of waiters. False, and takes nothing, if the consumer has finished or was given
 * up: then nobody would wake a thread that waits.
 */
static inline bool dd_queue_lock_waiters(struct defer_drop_queue *queue)
{
	dd_mutex_lock(&queue->waiters_lock);
	if (dd_queue_state(queue) < DD_GIVEN_UP)
		return true;
	dd_mutex_unlock(&queue->waiters_lock);
	return false;
}

/* False if the lane with this index has nothing to run. By the consumer. */
static inline bool dd_queue_has_next(const struct defer_drop_queue *queue, uint32_t index)
{
	_Atomic(defer_drop_fn) *word = queue->next_words[index];

	return !word || atomic_load_explicit(word, memory_order_relaxed);
}

/*
 * False if no drop of the lane with this index is pending. By the consumer. In the shared lane drops
 * may lie behind a position that was claimed and is not published.
 */
static inline bool dd_queue_may_have_backlog(const struct defer_drop_queue *queue, uint32_t index)
{
	return !index || dd_queue_has_next(queue, index);
}

/* Ends the consumer's nap or sleep, and counts it if that took a system call. */
static inline void dd_queue_ring(struct defer_drop_queue *queue)
{
	if (dd_bell_ring(&queue->park.bell))
		dd_add_shared(&queue->wakes_total, 1);
}

#endif
