/* SPDX-License-Identifier: MIT
 *
 * The ring: slots, claim, publish, consume. No system call, no global, no waiting.
 *
 * A position counts the drops of a ring and is never reset; its slot is position & mask. Whoever
 * pushes claims a position, fills the slot with plain stores and publishes it with one release store.
 * The one consumer polls the slot at its cursor, never the producers' tail.
 *
 * Published or not is one bit, the top bit of the slot's destructor address: it must equal the lowest
 * bit of the lap, which turns over each time round the ring. So the consumer never writes to a slot,
 * its line goes to the consumer's core once to be read and back once to be written, and a slot need
 * not be cleared. (Measured against clearing each slot, 2 cores, empty destructors: 6.4 to 7.6 ns per
 * drop against 11 to 24.) It needs addresses of functions to leave the top bit clear, as all 64-bit
 * Linux ABIs do for user space.
 *
 * Two ways to claim, by who may push:
 *   owned   one thread, which moves the tail with a plain store after it has published, so that a
 *           thread stopped in the middle of a push holds up nobody;
 *   shared  many threads, with one locked instruction before they publish: a thread stopped between
 *           the two holds up this ring, and only this ring.
 *
 * Edges:
 *   PUBLISH  publish: slot.destroy, release -> take: slot.destroy, acquire
 *            carries slot.object and all that the producer did before the push
 *   DONE     done: head, release -> room, is_past: head, acquire
 *            carries what the destructors did; and that the slots before head have been read, so
 *            that a producer may fill them again
 *   ROOM     room: limit, release -> has_room: limit, acquire   (shared rings)
 *            hands DONE on from the producer that looked at head to the others
 *   RETRACT  retract: slot.destroy, acq_rel <-> take_contested: slot.destroy, acq_rel
 *            decides, on a closed ring, whose the object is
 */
#ifndef DD_RING_H
#define DD_RING_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "defer_drop.h"

/* What two cores fight over at a time: lines written by different threads lie this far apart. */
#define DD_LINE 64

#define DD_LAP_BIT (UINT64_C(1) << 63)

struct dd_drop {
	void *object;
	defer_drop_fn destroy;
};

struct dd_slot {
	DD_PLAIN(void *) object;
	_Atomic(uint64_t) destroy; /* address, with the lap in the top bit */
};

struct dd_ring {
	/* The producers' line: they write, statistics and flush read. */
	alignas(DD_LINE) _Atomic(uint64_t) tail; /* next position to push at */
	_Atomic(uint64_t) limit;                 /* no need to look at head before it is reached */
	DD_PLAIN(uint64_t) lap;                  /* owned: dd_lap of the positions up to limit */
	struct dd_slot *slots;                   /* set once, like the two below */
	uint64_t mask;
	uint64_t order; /* the ring has 2^order slots */

	/* The consumer's line: it writes; producers read head when they reach their limit. */
	alignas(DD_LINE) _Atomic(uint64_t) head; /* drops before it have been destroyed */
	DD_PLAIN(uint64_t) cursor;               /* drops before it have been taken */
	DD_PLAIN(uint64_t) contested_from;       /* drops before it were taken while it was open */
	struct dd_slot *taken_from;              /* = slots, = mask, = order: set once */
	uint64_t taken_mask;
	uint64_t taken_order;
};

_Static_assert(sizeof(struct dd_slot) == 16, "four slots to a line of 64 bytes");
_Static_assert(sizeof(void *) == 8, "the lap needs a spare bit in a function's address");

/*
 * Positions begin one lap below 2^64, so that every ring of every program wraps early and the
 * arithmetic is never believed, only exercised. That first lap is odd: zeroed slots are unpublished.
 */
static inline uint64_t dd_ring_first(uint64_t order)
{
	return -(UINT64_C(1) << order);
}

static inline bool dd_is_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static inline void dd_ring_init(struct dd_ring *ring, struct dd_slot *zeroed, uint64_t order)
{
	uint64_t first = dd_ring_first(order);

	ring->slots = ring->taken_from = zeroed;
	ring->mask = ring->taken_mask = (UINT64_C(1) << order) - 1;
	ring->order = ring->taken_order = order;
	dd_plain_store(&ring->lap, 0);
	dd_plain_store(&ring->cursor, first);
	dd_plain_store(&ring->contested_from, first);
	atomic_store_explicit(&ring->tail, first, memory_order_relaxed);
	atomic_store_explicit(&ring->limit, first, memory_order_relaxed);
	atomic_store_explicit(&ring->head, first, memory_order_relaxed);
}

static inline uint64_t dd_ring_capacity(const struct dd_ring *ring)
{
	return ring->mask + 1;
}

/* What the top bit of a published slot is at this position. */
static inline uint64_t dd_lap(uint64_t position, uint64_t order)
{
	return (position >> order) << 63;
}

/* ---- Producers ------------------------------------------------------------------------------- */

static inline uint64_t dd_ring_tail(struct dd_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/*
 * Looks at head for a producer that would push at this position, and sets the next limit: the end of
 * a quarter of the ring at most, so that producers look up often enough to see their backlog grow,
 * and at the end of each lap. Answers the backlog; below the capacity there is room.
 */
static inline uint64_t dd_ring_room(struct dd_ring *ring, uint64_t at)
{
	/* ->DONE: without acquire the slot could be filled while the consumer still reads it. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint64_t capacity = dd_ring_capacity(ring);
	uint64_t backlog = at - head;
	uint64_t quarter = capacity < 4 ? 1 : capacity / 4;
	uint64_t limit = at - at % quarter + quarter;

	if (backlog < capacity) {
		if (dd_is_before(head + capacity, limit))
			limit = head + capacity;
		/* ROOM->: without release a producer that relies on this limit has no DONE. */
		atomic_store_explicit(&ring->limit, limit, memory_order_release);
	}
	return backlog;
}

/* Owned: the same, and keeps the lap at hand for the pushes up to the limit. */
static inline uint64_t dd_ring_room_owned(struct dd_ring *ring, uint64_t at)
{
	dd_plain_store(&ring->lap, dd_lap(at, ring->order));
	return dd_ring_room(ring, at);
}

/* Owned: is there room at the tail without looking at head? The limit is only ever moved by us. */
static inline bool dd_ring_is_at_limit(struct dd_ring *ring, uint64_t at)
{
	return at == atomic_load_explicit(&ring->limit, memory_order_relaxed);
}

/* Shared: is there room at this position? */
static inline bool dd_ring_has_room(struct dd_ring *ring, uint64_t at)
{
	/* ->ROOM: without acquire the slot could be filled while the consumer still reads it. */
	uint64_t limit = atomic_load_explicit(&ring->limit, memory_order_acquire);

	return dd_is_before(at, limit) || dd_ring_room(ring, at) < dd_ring_capacity(ring);
}

/*
 * Shared: claims the next position, room or not; the caller then waits for room there. Relaxed is
 * enough: a claim carries nothing, the slot's PUBLISH does.
 */
static inline uint64_t dd_ring_claim(struct dd_ring *ring)
{
	return atomic_fetch_add_explicit(&ring->tail, 1, memory_order_relaxed);
}

/* Shared: claims the next position if there is room at it. */
static inline bool dd_ring_claim_try(struct dd_ring *ring, uint64_t *at)
{
	*at = dd_ring_tail(ring);
	do {
		if (!dd_ring_has_room(ring, *at))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&ring->tail, at, *at + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static inline void dd_ring_fill(
	struct dd_ring *ring, uint64_t at, uint64_t lap, void *object, defer_drop_fn destroy)
{
	struct dd_slot *slot = &ring->slots[at & ring->mask];

	dd_plain_store(&slot->object, object);
	/* PUBLISH->: without release the consumer could take the slot's former object. */
	atomic_store_explicit(
		&slot->destroy, (uint64_t)(uintptr_t)destroy | lap, memory_order_release);
}

/* Shared: publishes at a claimed position that has room. */
static inline void dd_ring_publish(
	struct dd_ring *ring, uint64_t at, void *object, defer_drop_fn destroy)
{
	dd_ring_fill(ring, at, dd_lap(at, ring->order), object, destroy);
}

/* Owned: publishes at the tail, which is below the limit. */
static inline void dd_ring_publish_owned(
	struct dd_ring *ring, uint64_t at, void *object, defer_drop_fn destroy)
{
	dd_ring_fill(ring, at, dd_plain_load(&ring->lap), object, destroy);
}

/* Owned: moves the tail past what was published. */
static inline void dd_ring_advance(struct dd_ring *ring, uint64_t at)
{
	atomic_store_explicit(&ring->tail, at + 1, memory_order_relaxed);
}

/* Owned: moves the tail back to what was taken back, and the limit with it. */
static inline void dd_ring_withdraw(struct dd_ring *ring, uint64_t at)
{
	atomic_store_explicit(&ring->tail, at, memory_order_relaxed);
	atomic_store_explicit(&ring->limit, at, memory_order_relaxed);
}

/*
 * On a closed ring: takes a published drop back. False where the consumer has taken it, or will.
 * Only a producer that saw CLOSED after it published may ask: CLOSE carries contested_from.
 */
static inline bool dd_ring_retract(struct dd_ring *ring, uint64_t at, defer_drop_fn destroy)
{
	uint64_t lap = dd_lap(at, ring->order);
	uint64_t published = (uint64_t)(uintptr_t)destroy | lap;

	/* While the ring was open, what was taken stayed in its slot as it was. */
	if (dd_is_before(at, dd_plain_load(&ring->contested_from)))
		return false;
	/* RETRACT<->: one of the two changes the slot, and the other sees it. */
	return atomic_compare_exchange_strong_explicit(&ring->slots[at & ring->mask].destroy,
		&published, lap ^ DD_LAP_BIT, memory_order_acq_rel, memory_order_relaxed);
}

/* ---- The consumer ---------------------------------------------------------------------------- */

/* Is there a published drop at this position? Takes nothing. */
static inline bool dd_ring_is_published(struct dd_ring *ring, uint64_t at)
{
	uint64_t destroy = atomic_load_explicit(
		&ring->taken_from[at & ring->taken_mask].destroy, memory_order_relaxed);

	return !((destroy ^ dd_lap(at, ring->taken_order)) & DD_LAP_BIT);
}

/* Takes the next drop. False where none is published. */
static inline bool dd_ring_take(struct dd_ring *ring, struct dd_drop *drop)
{
	uint64_t at = dd_plain_load(&ring->cursor);
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];
	/* ->PUBLISH: without acquire the object read below could be the slot's former one. */
	uint64_t destroy = atomic_load_explicit(&slot->destroy, memory_order_acquire);

	if ((destroy ^ dd_lap(at, ring->taken_order)) & DD_LAP_BIT)
		return false;
	drop->object = dd_plain_load(&slot->object);
	drop->destroy = (defer_drop_fn)(uintptr_t)(destroy & ~DD_LAP_BIT);
	dd_plain_store(&ring->cursor, at + 1);
	return true;
}

/* From the cursor on, takes will be contested. Before the ring is announced to be closed. */
static inline void dd_ring_contest(struct dd_ring *ring)
{
	dd_plain_store(&ring->contested_from, dd_plain_load(&ring->cursor));
}

/*
 * On a closed ring: takes the drop at the cursor unless its producer takes it back, and moves on
 * either way. The object is read after the exchange: before it, the producer may retract one drop and
 * publish another in its place.
 */
static inline bool dd_ring_take_contested(struct dd_ring *ring, struct dd_drop *drop)
{
	uint64_t at = dd_plain_load(&ring->cursor);
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];
	uint64_t lap = dd_lap(at, ring->taken_order);
	uint64_t destroy;

	dd_plain_store(&ring->cursor, at + 1);
	if (!dd_ring_is_published(ring, at)) /* spares the write to a slot never used */
		return false;
	/* RETRACT<->, ->PUBLISH: as in retract, and as in take. */
	destroy = atomic_exchange_explicit(&slot->destroy, lap ^ DD_LAP_BIT, memory_order_acq_rel);
	if ((destroy ^ lap) & DD_LAP_BIT)
		return false;
	drop->object = dd_plain_load(&slot->object);
	drop->destroy = (defer_drop_fn)(uintptr_t)(destroy & ~DD_LAP_BIT);
	return true;
}

/* Everything taken so far has been destroyed: its slots are the producers' again. */
static inline void dd_ring_done(struct dd_ring *ring)
{
	/* DONE->: without release a waiter could miss what the destructors did. */
	atomic_store_explicit(&ring->head, dd_plain_load(&ring->cursor), memory_order_release);
}

/*
 * In a forked child, where no other thread is: keeps what was published, closing the gaps that
 * threads left behind between claim and publish, or keeps nothing.
 */
static inline void dd_ring_survive(struct dd_ring *ring, bool is_kept)
{
	uint64_t begin = dd_plain_load(&ring->cursor);
	uint64_t end = dd_ring_tail(ring) + 1; /* an owner publishes before it moves the tail */
	uint64_t to = begin;

	if (dd_is_before(begin + dd_ring_capacity(ring), end))
		end = begin + dd_ring_capacity(ring);
	for (uint64_t at = begin; dd_is_before(at, end); at++) {
		struct dd_slot *slot = &ring->slots[at & ring->mask];
		uint64_t destroy = atomic_load_explicit(&slot->destroy, memory_order_relaxed);

		if (!dd_ring_is_published(ring, at))
			continue;
		atomic_store_explicit(
			&slot->destroy, dd_lap(at, ring->order) ^ DD_LAP_BIT, memory_order_relaxed);
		if (is_kept)
			dd_ring_publish(ring, to++, dd_plain_load(&slot->object),
				(defer_drop_fn)(uintptr_t)(destroy & ~DD_LAP_BIT));
	}
	atomic_store_explicit(&ring->tail, to, memory_order_relaxed);
	atomic_store_explicit(&ring->limit, begin, memory_order_relaxed);
	atomic_store_explicit(&ring->head, begin, memory_order_relaxed);
}

/* ---- Anyone ---------------------------------------------------------------------------------- */

/* Have all drops before this position been destroyed? */
static inline bool dd_ring_is_past(struct dd_ring *ring, uint64_t position)
{
	/* ->DONE: without acquire what the destructors did need not be visible to the caller. */
	return !dd_is_before(
		atomic_load_explicit(&ring->head, memory_order_acquire), position);
}

#endif
