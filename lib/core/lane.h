/* SPDX-License-Identifier: MIT
 *
 * Lanes: a ring, and who pushes to it.
 *
 * A thread's first push to a queue finds it a lane: one of its own while there are any, which it
 * keeps, else the shared one, until there is one of its own and its drops in the shared are destroyed. It gives its own back when it ends, with whatever is still in it. The
 * next thread gets an empty lane, as long as there is one or can be one more; else it goes on behind
 * the drops in one that was given back. Who owns which lane is decided under the registry's lock,
 * which also hands the producer's side of the ring from one owner to the next.
 */
#ifndef DD_LANE_H
#define DD_LANE_H

#include "core/escape.h"
#include "core/grace.h"
#include "core/nested.h"
#include "core/park.h"
#include "core/record.h"

/* Queues in which one thread can have a lane of its own at a time; in others it uses the shared. */
#define DD_TENANCIES 8

/* Lanes that nobody owns and whose memory stays, for threads that come and go. */
#define DD_WARM_LANES 8

/* Lines of a page at which lanes begin by turns. */
#define DD_LANE_COLOURS 64

/* Lanes whose memory is given back at a time, which takes some 100 us. */
#define DD_TRIMMED_LANES 16

/*
 * A thread's lane in one queue, its own business alone. It may outlive the queue: then no queue has
 * this id any more, and the lane is not to be touched.
 */
struct dd_tenancy {
	uint64_t queue_id;
	struct dd_lane *lane; /* NULL: this tenancy is unused */
	uint64_t left_at;     /* its drops in this lane end here: of the shared one, and of its own
			       * once the thread is leaving */
};

/* A drop that is being destroyed. */
struct dd_current {
	struct dd_drop drop;       /* known of those with options only, like the next two */
	struct dd_options options; /* word: 0 where there are none, or when they are dealt with */
	int status;
	uint32_t width; /* slots */
	bool is_again; /* its destructor has answered DEFER_DROP_AGAIN, and is to be called again */
};

struct dd_lane {
	struct dd_ring ring;

	/* The consumer's. */
	alignas(DD_LINE) struct dd_nested nested; /* made by the drop that is being destroyed */
	struct dd_current current;
	struct dd_current nested_current; /* the nested drop that was taken last */
	struct dd_cover cover;            /* what may be destroyed, of drops after a grace period */
	struct dd_cover next_cover;       /* when the grace period that is running has passed */
	uint64_t gap;                     /* positions passed over, and not counted yet */
	uint32_t stride;                  /* destructors between two looks at the clock */
	bool is_set_aside;     /* its next drop, or nested drop, waits for a grace period */
	bool is_unfinished;    /* the drop before the cursor was left in the middle */
	bool is_cut_short;     /* such a one was abandoned, and its slots stay as they were */
	struct dd_record left; /* the drop that was left in the middle, where it is watched */
	struct dd_sight sight; /* the watchdog's, of that */
	_Atomic(uint64_t) pairs_done_total; /* drops with options: each took two positions */
	_Atomic(uint64_t) skipped_total;    /* positions passed at the end with nothing in them */
	_Atomic(uint64_t) abandoned_total;
	_Atomic(uint64_t) highest_backlog;

	/* Written by waiters, read by the consumer after each drop: see wait.h. */
	alignas(DD_LINE) _Atomic(uint64_t) alarm;
	struct dd_waiter *first_waiter; /* under the waiters' lock, like the next */
	struct dd_waiter *last_waiter;
	/* Counters off the fast path; any producer writes. */
	_Atomic(uint64_t) refused_total;
	_Atomic(uint64_t) retracted_total; /* of positions claimed in a shared ring */
	_Atomic(uint64_t) waits_total;
	_Atomic(uint64_t) wait_ns_total;
	_Atomic(uint32_t) room_spins; /* how long the next push that needs room spins */

	/* Set once. */
	alignas(DD_LINE) struct defer_drop_queue *queue;
	void *mapping; /* in which it lies, with its slots */
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
	struct dd_running entered; /* the innermost of those, to tell when its frame is gone */
	const struct defer_drop_queue *watched; /* whose watchdog it is, or NULL */
	/* More queues than tenancies, so that further ones use the shared lane: one more than the
	 * queues that had been removed then; 0: never. */
	uint64_t overflowed_at;
	bool is_leaving; /* its lanes are given back: it uses the shared ones */
};

/* A lane that is always at its limit, so that a push by a new thread leaves the fast path. */
extern struct dd_lane dd_unattached;
extern _Thread_local struct dd_thread dd_self __attribute__((tls_model("initial-exec")));

/* Makes a lane over zeroed slots. */
void dd_lane_init(struct dd_lane *lane, struct defer_drop_queue *queue, struct dd_slot *zeroed,
	bool is_shared);

/* The calling thread's lane in this queue; found or made at its first push. Never NULL. */
struct dd_lane *dd_lane_of(struct defer_drop_queue *queue);

/*
 * By a thread that is leaving: takes the lane that it gave back, unless another thread has taken it
 * since. Give it back with dd_lane_return before anything else runs.
 */
bool dd_lane_reclaim(const struct dd_tenancy *tenancy);
void dd_lane_return(struct dd_tenancy *tenancy);

/* What the calling thread has of this queue, if it has pushed to it; else NULL. */
struct dd_tenancy *dd_tenancy_of(const struct defer_drop_queue *queue);

/*
 * By the consumer: gives memory back of lanes that nobody owns and nothing is in. False if there was
 * none; else there may be more.
 */
bool dd_lanes_trim(struct defer_drop_queue *queue);

/* Unmaps the lanes of a queue that nobody uses. */
void dd_lanes_unmap(struct defer_drop_queue *queue);

/*
 * The lane's owner leaves it, or has ended. Under the registry's lock, which carries what the owner
 * did with the ring to the next one. Returns where its drops in this lane end.
 */
uint64_t dd_lane_give_back(struct dd_lane *lane);

/*
 * Slots for a ring: zeroed, in memory that costs nothing until it is written, or that is there if
 * it is populated. NULL on failure.
 */
struct dd_slot *dd_slots_map(uint64_t capacity, bool is_populated);
void dd_slots_unmap(struct dd_slot *slots, uint64_t capacity);

/* Is the calling thread inside a destructor that this queue runs? */
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
