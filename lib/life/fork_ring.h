/* SPDX-License-Identifier: MIT
 *
 * What becomes of a ring in a forked child, in which no other thread runs: so nothing here needs an
 * order.
 */
#ifndef DD_FORK_RING_H
#define DD_FORK_RING_H

#include "core/ring.h"

/* What is published there. */
static inline defer_drop_fn dd_ring_word(struct dd_ring *ring, uint64_t at)
{
	return atomic_load_explicit(&ring->slots[at & ring->mask].destroy, memory_order_relaxed);
}

/* Empties a slot; returns its word. */
static inline defer_drop_fn dd_ring_empty(struct dd_ring *ring, uint64_t at)
{
	defer_drop_fn word = dd_ring_word(ring, at);

	atomic_store_explicit(
		&ring->slots[at & ring->mask].destroy, (defer_drop_fn)NULL, memory_order_relaxed);
	return word;
}

/*
 * The drop before the cursor was being destroyed, by a thread that is no more: empties its slots,
 * unless they were done and may have been filled again.
 */
static inline void dd_ring_forget_running(struct dd_ring *ring)
{
	uint64_t cursor = dd_plain_load(&ring->cursor);
	uint64_t limit = atomic_load_explicit(&ring->limit, memory_order_relaxed);

	for (uint64_t at = cursor - 2; at != cursor; at++)
		if (!dd_is_before(at + dd_ring_capacity(ring), limit))
			dd_ring_empty(ring, at);
}

/*
 * Nothing is published from here on: that would lie in the slots of the running drop, or beyond. An
 * owner publishes before it moves the tail. running: as below.
 */
static inline uint64_t dd_ring_reach(struct dd_ring *ring, uint64_t running)
{
	uint64_t lap = dd_plain_load(&ring->cursor) - running + dd_ring_capacity(ring);
	uint64_t tail = dd_ring_own_tail(ring) + 2;

	return dd_is_before(lap, tail) ? lap : tail;
}

/* Does a slot before the tail hold options? */
static inline bool dd_ring_holds_options(struct dd_ring *ring, uint64_t at)
{
	return dd_is_options(dd_ring_word(ring, at));
}

/* The destructor of the drop that begins here, or that lies here behind its options. */
static inline defer_drop_fn dd_ring_destructor(struct dd_ring *ring, uint64_t at)
{
	return dd_untagged(dd_ring_word(ring, at + dd_ring_holds_options(ring, at)));
}

/* Makes gaps of the drops with this destructor. */
static inline void dd_ring_lose(struct dd_ring *ring, defer_drop_fn destroy, uint64_t running)
{
	uint64_t end = dd_ring_reach(ring, running);

	for (uint64_t at = dd_plain_load(&ring->cursor); dd_is_before(at, end); at++)
		if (dd_ring_destructor(ring, at) == destroy)
			dd_ring_empty(ring, at);
}

/*
 * Keeps what was published, closing the gaps that threads left behind between claim and publish, or
 * keeps nothing. running: the slots of the drop before the cursor, where the calling thread is the
 * consumer and inside its destructor, and they stay taken; else 0.
 */
static inline void dd_ring_survive(struct dd_ring *ring, bool is_kept, uint64_t running)
{
	uint64_t cursor = dd_plain_load(&ring->cursor);
	uint64_t head = cursor - running;
	uint64_t to = cursor;
	bool is_first_kept = false;
	uint64_t end = dd_ring_reach(ring, running);

	if (!running)
		dd_ring_forget_running(ring);
	for (uint64_t at = cursor; dd_is_before(at, end); at++) {
		void *object = dd_plain_load(&ring->slots[at & ring->mask].object);
		defer_drop_fn word = dd_ring_empty(ring, at);

		/* A second slot stays behind the first that was kept just before it. */
		if (dd_is_second(word) ? is_first_kept : is_kept && word)
			dd_ring_publish(ring, to++, object, word);
		is_first_kept = is_kept && dd_is_options(word);
	}
	atomic_store_explicit(&ring->tail, to, memory_order_relaxed);
	atomic_store_explicit(&ring->limit, to, memory_order_relaxed);
	atomic_store_explicit(&ring->head, head, memory_order_relaxed);
}

/* The options at this position; and, these instead. */
static inline struct dd_options dd_ring_options(struct dd_ring *ring, uint64_t at)
{
	return (struct dd_options){(uint64_t)(uintptr_t)dd_ring_word(ring, at),
		dd_plain_load(&ring->slots[at & ring->mask].object)};
}

static inline void dd_ring_set_options(
	struct dd_ring *ring, uint64_t at, const struct dd_options *options)
{
	dd_plain_store(&ring->slots[at & ring->mask].object, options->pointer);
	atomic_store_explicit(&ring->slots[at & ring->mask].destroy, dd_options_word(options),
		memory_order_relaxed);
}

#endif
