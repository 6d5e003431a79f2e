/* SPDX-License-Identifier: MIT
 *
 * From whom to whom lanes go: all of it under the registry's lock, but the consumer's look at how
 * many there are.
 *
 * Edges:
 *   LANES   add: lane_count, release -> dd_queue_lanes: lane_count, acquire
 *           carries the lane that was added
 *
 * What the last owner of a lane did with its ring comes to the next by the registry's lock, so it
 * needs no edge: a push of the next owner goes on at the tail that the last one left.
 */
#ifndef DD_HANDOVER_H
#define DD_HANDOVER_H

#include "queue.h"

/* Its owner is leaving, or is no more. Returns where its drops in this lane end. */
static inline uint64_t dd_lane_give_back(struct dd_lane *lane)
{
	struct defer_drop_queue *queue = lane->queue;

	lane->next_free = queue->free_lanes;
	queue->free_lanes = lane;
	return dd_ring_own_tail(&lane->ring);
}

/* One that was given back, with what may still be in it; or NULL. */
static inline struct dd_lane *dd_lane_take_over(struct defer_drop_queue *queue)
{
	struct dd_lane *lane = queue->free_lanes;

	if (lane)
		queue->free_lanes = lane->next_free;
	return lane;
}

/* The one that is given, if it was given back and nobody has taken it over. */
static inline bool dd_lane_take_back(struct dd_lane *lane)
{
	struct dd_lane **at = &lane->queue->free_lanes;

	while (*at && *at != lane)
		at = &(*at)->next_free;
	if (!*at)
		return false;
	*at = lane->next_free;
	return true;
}

/* A new one. */
static inline void dd_lane_add(struct defer_drop_queue *queue, struct dd_lane *lane)
{
	uint32_t count = atomic_load_explicit(&queue->lane_count, memory_order_relaxed);

	lane->index = count;
	queue->lanes[count] = lane;
	/* LANES->: without release the consumer could see the count before the lane. */
	atomic_store_explicit(&queue->lane_count, count + 1, memory_order_release);
}

#endif
