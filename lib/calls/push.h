/* SPDX-License-Identifier: MIT
 *
 * The fast path of a push: all that a caller pays in the steady state.
 */
#ifndef DD_PUSH_H
#define DD_PUSH_H

#include "core/queue.h"

/* A drop to be pushed, with its options. */
struct dd_request {
	struct dd_drop drop;
	struct dd_options options;        /* word: 0 if it has none */
	struct defer_drop_ticket *ticket; /* to be filled in, or NULL */
	void *kept;                       /* by the completion: see dd_options_kept */
	struct defer_drop_group *group;   /* or NULL */
	bool may_exceed;                  /* the byte budget */
};

/* Pushes a drop that left the fast path. timeout_ns was checked. */
int dd_queue_push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/* Pushes a drop that never was on the fast path, and was checked. */
int dd_queue_push_request(
	struct defer_drop_queue *queue, const struct dd_request *request, uint64_t deadline_ns);

/* Ends a push that published in its own lane and found attention set. */
int dd_queue_push_settle(struct dd_lane *lane, uint64_t at, defer_drop_fn word);

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

/* Pushes a drop with options at the tail of the thread's own lane, which has room. */
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

/* Pushes to a lane of the calling thread's own, or leaves it to the slow path. */
static inline int dd_push(struct dd_lane *lane, struct defer_drop_queue *queue, void *object,
	defer_drop_fn destroy, uint64_t timeout_ns)
{
	struct dd_ring *ring = &lane->ring;
	uint64_t at = dd_ring_own_tail(ring);

	/* A shared lane, and the lane of a thread without one, is always at its limit. */
	if (dd_unlikely(dd_ring_is_at_limit(ring, at) || !dd_is_destructor(destroy)))
		return dd_queue_push(queue, object, destroy, timeout_ns);
	return dd_push_at(lane, queue, at, object, destroy);
}

#endif
