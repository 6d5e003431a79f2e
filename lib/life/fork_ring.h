/* SPDX-License-Identifier: MIT
 *
 * Rings in a forked child. No other thread runs there, so nothing here needs an order.
 */
#ifndef DD_FORK_RING_H
#define DD_FORK_RING_H

#include "core/ring.h"

/* Returns the word of a slot. */
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
 * The drop before the cursor was being destroyed, by a thread that has ended. Empties its slots,
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
 * First position at which nothing can be published: one lap past the running drop, or two past the
 * tail, since an owner publishes before it moves the tail. running: see dd_ring_survive.
 */
static inline uint64_t dd_ring_reach(struct dd_ring *ring, uint64_t running)
{
	uint64_t lap = dd_plain_load(&ring->cursor) - running + dd_ring_capacity(ring);
	uint64_t tail = dd_ring_own_tail(ring) + 2;

	return dd_is_before(lap, tail) ? lap : tail;
}

/* True if a slot before the tail holds options. */
static inline bool dd_ring_holds_options(struct dd_ring *ring, uint64_t at)
{
	return dd_is_options(dd_ring_word(ring, at));
}

/* Returns the destructor of the drop that begins here; if options lie here, of their drop. */
static inline defer_drop_fn dd_ring_destructor(struct dd_ring *ring, uint64_t at)
{
	return dd_untagged(dd_ring_word(ring, at + dd_ring_holds_options(ring, at)));
}

/* Turns the drops with this destructor into gaps. */
static inline void dd_ring_lose(struct dd_ring *ring, defer_drop_fn destroy, uint64_t running)
{
	uint64_t end = dd_ring_reach(ring, running);

	for (uint64_t at = dd_plain_load(&ring->cursor); dd_is_before(at, end); at++)
		if (dd_ring_destructor(ring, at) == destroy)
			dd_ring_empty(ring, at);
}

/*
 * Keeps the published drops and closes the gaps that threads left between claim and publish; or
 * keeps nothing. running: how many slots the drop before the cursor takes, if the calling thread is
 * the consumer and inside the destructor of that drop: these slots stay taken. Otherwise 0.
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

		/* A second slot stays behind the first, if that was kept just before. */
		if (dd_is_second(word) ? is_first_kept : is_kept && word)
			dd_ring_publish(ring, to++, object, word);
		else
			dd_tools_left(object);
		is_first_kept = is_kept && dd_is_options(word);
	}
	atomic_store_explicit(&ring->tail, to, memory_order_relaxed);
	atomic_store_explicit(&ring->limit, to, memory_order_relaxed);
	atomic_store_explicit(&ring->head, head, memory_order_relaxed);
}

/* Returns the options at this position. */
static inline struct dd_options dd_ring_options(struct dd_ring *ring, uint64_t at)
{
	return (struct dd_options){(uint64_t)(uintptr_t)dd_ring_word(ring, at),
		dd_plain_load(&ring->slots[at & ring->mask].object)};
}

/* Replaces the options at this position. */
static inline void dd_ring_set_options(
	struct dd_ring *ring, uint64_t at, const struct dd_options *options)
{
	dd_plain_store(&ring->slots[at & ring->mask].object, options->pointer);
	atomic_store_explicit(&ring->slots[at & ring->mask].destroy, dd_options_word(options),
		memory_order_relaxed);
}

#endif
