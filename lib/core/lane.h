/* SPDX-License-Identifier: MIT
 *
 * Lanes: a ring, and the threads that push to it.
 *
 * The first push of a thread to a queue finds it a lane: its own, while there are any, or the
 * shared one. A thread keeps its own lane. It leaves the shared lane when there is one of its own,
 * and its drops in the shared one are destroyed. A thread that ends gives its lane back, with the
 * drops that are still in it. The next thread gets an empty lane, or a new one, or else one with
 * drops, and goes on behind them. The registry's lock decides which thread owns which lane, and
 * carries the producer's side of the ring from one owner to the next.
 */
#ifndef DD_LANE_H
#define DD_LANE_H

#include "base/tls.h"
#include "core/age.h"
#include "core/escape.h"
#include "core/grace.h"
#include "core/nested.h"
#include "core/park.h"
#include "core/record.h"
#include "core/waiters.h"

/* Queues in which a thread can have its own lane at a time; in others it uses the shared one. */
#define DD_TENANCIES 8

/* Free lanes that keep their memory, for threads that come and go. */
#define DD_WARM_LANES 8

/* Lanes begin at this many different cache lines of a page, by turns. */
#define DD_LANE_COLOURS 64

/* Lanes that are trimmed at a time: some 100 us. */
#define DD_TRIMMED_LANES 16

/*
 * A thread's use of a lane in one queue; only that thread reads it. It may outlive the queue: then
 * no queue has this id any more, and the lane must not be touched.
 */
struct dd_tenancy {
	uint64_t queue_id;
	struct dd_lane *lane; /* NULL: this tenancy is unused */
	uint64_t left_at;     /* where its drops end: in the shared lane, and in its own lane once
			       * the thread is leaving */
};

/* A drop that is being destroyed. */
struct dd_current {
	struct dd_drop drop;       /* set only for drops with options, like the next two */
	struct dd_options options; /* word: 0 if there are none, or they are settled */
	int status;
	uint32_t width; /* slots */
	bool is_again;  /* its destructor returned DEFER_DROP_AGAIN, and is to be called again */
	bool is_passed_over; /* its group was abandoned: its destructor is not called */
};

struct dd_lane {
	struct dd_ring ring;

	/* Only the consumer uses these. */
	alignas(DD_LINE) struct dd_nested nested; /* made by the drop that is being destroyed */
	struct dd_current current;
	struct dd_current nested_current; /* the nested drop that was taken last */
	struct dd_cover cover;            /* drops after a grace period that may be destroyed */
	struct dd_cover next_cover;       /* the cover when the running grace period has passed */
	uint64_t gap;                     /* positions passed over, and not counted yet */
	uint32_t stride;                  /* destructors between two looks at the clock */
	bool is_set_aside;     /* its next drop, or nested drop, waits for a grace period */
	bool is_unfinished;    /* the drop before the cursor was left in the middle */
	bool is_cut_short;     /* such a drop was abandoned, and its slots stay filled */
	struct dd_record left; /* the drop left in the middle, if there is a watchdog */
	struct dd_sight sight; /* what the watchdog knows of that drop */
	_Atomic(uint64_t) pairs_done_total; /* drops with options: each took two positions */
	_Atomic(uint64_t) skipped_total;    /* positions passed at the end with nothing in them */
	_Atomic(uint64_t) abandoned_total;
	_Atomic(uint64_t) passed_over_total; /* abandoned with their group: the position passed */
	_Atomic(uint64_t) highest_backlog;
	struct dd_age age;

	/* Written by waiters, read by the consumer after each drop: see wait.h. */
	alignas(DD_LINE) _Atomic(uint64_t) alarm;
	struct dd_waiters waiters; /* by position; under the waiters' lock */
	/* Counters off the fast path; any producer writes. */
	_Atomic(uint64_t) refused_total;
	_Atomic(uint64_t) retracted_total; /* positions that were claimed in a shared ring */
	_Atomic(uint64_t) waits_total;
	_Atomic(uint64_t) wait_ns_total;
	_Atomic(uint32_t) room_spins; /* how long the next push that needs room spins */

	/* Set once. */
	alignas(DD_LINE) struct defer_drop_queue *queue;
	void *mapping; /* the memory of the lane and its slots */
	uint64_t mapped_bytes;
	uint32_t index;
	bool is_shared;

	uint64_t first; /* position at which counting began: set at birth and in a forked child */

	/* Under the registry's lock. */
	struct dd_lane *next_free;
};

/* What the library knows of a thread. */
struct dd_thread {
	struct dd_lane *lane; /* in the default queue; dd_unattached before the first push */
	struct dd_tenancy tenancies[DD_TENANCIES];
	struct dd_running *running;
	struct dd_running entered; /* a copy of the innermost, to find out if its frame is gone */
	const struct defer_drop_queue *watched; /* the queue whose watchdog it is, or NULL */
	/* When a queue found no tenancy left: 1 + the queues that were removed by then. 0: never. */
	uint64_t overflowed_at;
	bool is_leaving; /* its lanes are given back: it uses the shared ones */
};

/* A lane that is always at its limit, so that a push by a new thread leaves the fast path. */
extern struct dd_lane dd_unattached;
extern _Thread_local struct dd_thread dd_self __attribute__((tls_model(DD_TLS_MODEL)));

/* Sets a lane up over zeroed slots. */
void dd_lane_init(struct dd_lane *lane, struct defer_drop_queue *queue, struct dd_slot *zeroed,
	bool is_shared);

/* Returns the calling thread's lane in this queue, found or made at its first push. Never NULL. */
struct dd_lane *dd_lane_of(struct defer_drop_queue *queue);

/* True if the calling thread will give its lanes back when it ends, and report a destructor that it
 * is in. */
bool dd_lane_will_say_farewell(void);

/*
 * By a thread that is leaving: takes back the lane that it gave away, unless another thread has it.
 * The caller must give it back with dd_lane_return before other code of the program runs.
 */
bool dd_lane_reclaim(const struct dd_tenancy *tenancy);
void dd_lane_return(struct dd_tenancy *tenancy);

/* Returns the calling thread's tenancy of this queue, or NULL if it has none. */
struct dd_tenancy *dd_tenancy_of(const struct defer_drop_queue *queue);

/*
 * By the consumer: gives the memory of some free, empty lanes back to the system. False if there
 * was none; otherwise there may be more.
 */
bool dd_lanes_trim(struct defer_drop_queue *queue);

/* Unmaps the lanes of a queue that no thread uses any more. */
void dd_lanes_unmap(struct defer_drop_queue *queue);

/*
 * Gives a lane back whose owner leaves it, or has ended. Under the registry's lock, which carries
 * what the owner did with the ring to the next owner. Returns where its drops in this lane end.
 */
uint64_t dd_lane_give_back(struct dd_lane *lane);

/*
 * Maps zeroed slots for a ring. is_populated: their memory is there at once; otherwise it costs
 * nothing until it is written. NULL if there is no memory.
 */
struct dd_slot *dd_slots_map(uint64_t capacity, bool is_populated);
void dd_slots_unmap(struct dd_slot *slots, uint64_t capacity);

/* Returns the position before which all is destroyed. By the consumer, between two drops. */
static inline uint64_t dd_lane_done(struct dd_lane *lane)
{
	return dd_plain_load(&lane->ring.cursor) - (lane->is_unfinished ? lane->current.width : 0);
}

/* True if the calling thread is inside a destructor that this queue runs. */
static inline bool dd_is_running(const struct defer_drop_queue *queue)
{
	if (dd_unlikely(dd_self.running != NULL))
		dd_escape_look();
	for (const struct dd_running *at = dd_self.running; at; at = at->outer)
		if (at->queue == queue)
			return true;
	return false;
}

#endif
