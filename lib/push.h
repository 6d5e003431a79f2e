/* SPDX-License-Identifier: MIT
 *
 * The fast path of a push: all of what the caller pays in the steady state.
 */
#ifndef DD_PUSH_H
#define DD_PUSH_H

#include "queue.h"

/* Pushes at the tail of the thread's own lane, which has room. */
static inline int dd_push_at(struct dd_lane *lane, struct defer_drop_queue *queue, uint64_t at,
	void *object, defer_drop_fn destroy)
{
	dd_ring_publish(&lane->ring, at, object, destroy);
	if (dd_unlikely(dd_heed(&queue->park.attention)))
		return dd_queue_push_settle(lane, at, destroy);
	dd_ring_advance(&lane->ring, at + 1);
	return 0;
}

/* The same for a drop with options. */
static inline int dd_push_both_at(struct dd_lane *lane, struct defer_drop_queue *queue, uint64_t at,
	const struct dd_options *options, const struct dd_drop *drop)
{
	dd_ring_publish_both(&lane->ring, at, options, drop);
	if (dd_unlikely(dd_heed(&queue->park.attention)))
		return dd_queue_push_settle(lane, at, dd_options_word(options));
	dd_count(&lane->ring.pairs_total);
	dd_ring_advance(&lane->ring, at + 2);
	return 0;
}

/*
 * Pushes a drop that counts bytes to the default queue, of which the lane is the thread's own, or
 * leaves it to the slow path. bytes: not 0.
 */
static inline int dd_push_bytes(struct dd_lane *lane, struct defer_drop_queue *queue, void *object,
	defer_drop_fn destroy, uint64_t bytes)
{
	const struct dd_options options = {DD_OPTIONS | bytes, NULL};
	const struct dd_drop drop = {object, destroy};
	struct dd_ring *ring = &lane->ring;
	uint64_t at = dd_ring_own_tail(ring);
	int result;

	if (dd_unlikely(dd_ring_is_beyond_limit(ring, at + 1) || !dd_is_destructor(destroy) ||
			bytes > DD_BYTES || !dd_budget_take(&queue->budget, bytes)))
		return dd_queue_push_bytes(queue, object, destroy, bytes);
	result = dd_push_both_at(lane, queue, at, &options, &drop);
	if (dd_unlikely(result))
		dd_queue_give_bytes(queue, bytes);
	return result;
}

/* Pushes to a lane of the calling thread's own, or leaves it to the slow path. */
static inline int dd_push(struct dd_lane *lane, struct defer_drop_queue *queue, void *object,
	defer_drop_fn destroy, uint64_t timeout_ns)
{
	struct dd_ring *ring = &lane->ring;
	uint64_t at = dd_ring_own_tail(ring);

	/* A shared lane, and that of a thread without one, is always at its limit. */
	if (dd_unlikely(dd_ring_is_at_limit(ring, at) || !dd_is_destructor(destroy)))
		return dd_queue_push(queue, object, destroy, timeout_ns);
	return dd_push_at(lane, queue, at, object, destroy);
}

#endif
