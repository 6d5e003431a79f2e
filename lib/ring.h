/* SPDX-License-Identifier: MIT
 *
 * The ring: slots, claim, publish, consume. No system call, no global, no waiting.
 *
 * A position counts the drops of a ring and is never reset; its slot is position & mask. Whoever
 * pushes claims a position, fills the slot with plain stores and publishes it with one release
 * store of the destructor. The one consumer polls the slot at its cursor, never the producers'
 * tail; it runs the destructor and then clears the slot, which says at once that this drop has been
 * destroyed and that the slot is free. Head says the same of all slots before it, and is what
 * producers look at; it is moved a batch at a time, because each move costs the consumer a store
 * that cannot be merged with its neighbours. (Measured with empty destructors: 5.2 ns per drop
 * instead of 7.4 with a move for each drop. The alternative to clearing, a lap bit in the slot so
 * that the consumer never writes to it, came to 7.6 ns, and on two cores that share no cache to 22
 * to 28 ns instead of 15 to 18.)
 *
 * Two ways to claim, by who may push:
 *   owned   one thread, which moves the tail with a plain store after it has published, so that a
 *           thread stopped in the middle of a push holds up nobody;
 *   shared  many threads, with one locked instruction before they publish: a thread stopped between
 *           the two holds up this ring, and only this ring. As a slot that is claimed looks like
 *           one that is cleared, head is moved after each drop.
 *
 * Edges:
 *   PUBLISH  fill: slot.destroy, release -> take: slot.destroy, acquire
 *            carries slot.object and all that the producer did before the push
 *   TAIL     advance: tail, release -> dd_ring_tail: tail, acquire
 *            carries the publish before it: who waits for a position may not take the empty slot
 *            from before the publish for the cleared one
 *   DONE     done: slot.destroy, release -> is_past, room_owned: slot.destroy, acquire
 *            carries what the destructor did; and that the slot has been read, so that it may be
 *            filled again
 *   RECYCLE  recycle: head, release -> room, is_past: head, acquire
 *            the same for all slots before head
 *   ROOM     room, room_owned: limit, release -> has_room, is_past: limit, acquire
 *            hands RECYCLE and DONE on from the producer that looked, to other producers of a
 *            shared ring, and to waiters: what lies a lap or more before the limit is done
 *
 * Whose the object is on a closed ring is decided by retract and take_contested, by one
 * read-modify-write of the slot each, of which one comes first; that carries nothing, so it needs no
 * edge.
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

/* Drops of an owned ring between two moves of head, in rings large enough for it. */
#define DD_BATCH 16

/* In a slot of a closed ring: its drop was taken. It is cleared when that has been destroyed. */
#define DD_TAKEN ((defer_drop_fn)(uintptr_t)1)

struct dd_drop {
	void *object;
	defer_drop_fn destroy;
};

struct dd_slot {
	DD_PLAIN(void *) object;
	_Atomic(defer_drop_fn) destroy; /* NULL: not published, or done */
};

struct dd_ring {
	/* The producers' line: they write, statistics and flush read. */
	alignas(DD_LINE) _Atomic(uint64_t) tail; /* next position to push at */
	_Atomic(uint64_t) limit;                 /* no need to look at head before it is reached */
	struct dd_slot *slots;                   /* set once, like mask */
	uint64_t mask;

	/* The consumer's line: it writes; producers read head when they reach their limit. */
	alignas(DD_LINE) _Atomic(uint64_t) head; /* drops before it have been destroyed */
	DD_PLAIN(uint64_t) cursor;               /* drops before it have been taken */
	DD_PLAIN(uint64_t) contested_from;       /* drops before it were taken while it was open */
	struct dd_slot *taken_from;              /* = slots, = mask: set once, like batch */
	uint64_t taken_mask;
	uint64_t batch; /* a power of two; 1 in shared rings */
};

_Static_assert(sizeof(struct dd_slot) == 2 * sizeof(void *), "four slots to a line of 64 bytes");

/*
 * Positions begin one lap below 2^64, so that every ring of every program wraps early and the
 * arithmetic is never believed, only exercised.
 */
static inline uint64_t dd_ring_first(uint64_t capacity)
{
	return -capacity;
}

static inline bool dd_is_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* An eighth of the ring at most, so that producers of a small one are not kept waiting. */
static inline uint64_t dd_ring_batch(uint64_t capacity, bool is_shared)
{
	if (is_shared || capacity < 16)
		return 1;
	return capacity / 8 < DD_BATCH ? capacity / 8 : DD_BATCH;
}

/* capacity: a power of two, of at least 2. */
static inline void dd_ring_init(
	struct dd_ring *ring, struct dd_slot *zeroed, uint64_t capacity, bool is_shared)
{
	uint64_t first = dd_ring_first(capacity);

	ring->slots = ring->taken_from = zeroed;
	ring->mask = ring->taken_mask = capacity - 1;
	ring->batch = dd_ring_batch(capacity, is_shared);
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

/* ---- Producers ------------------------------------------------------------------------------- */

/*
 * Looks at head for a producer that would push at this position, and sets the next limit: the end
 * of a quarter of the ring at most, so that producers look up often enough to see their backlog
 * grow. Answers the backlog; below the capacity there is room.
 */
static inline uint64_t dd_ring_room(struct dd_ring *ring, uint64_t at)
{
	/* ->RECYCLE: without acquire the slot could be filled while the consumer still reads it. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint64_t capacity = dd_ring_capacity(ring);
	uint64_t backlog = at - head;
	uint64_t quarter = capacity < 4 ? 1 : capacity / 4;
	uint64_t limit = at - at % quarter + quarter;

	if (backlog < capacity) {
		if (dd_is_before(head + capacity, limit))
			limit = head + capacity;
		/* ROOM->: without release a producer that relies on this limit has no RECYCLE. */
		atomic_store_explicit(&ring->limit, limit, memory_order_release);
	}
	return backlog;
}

/* Owned: the same at the tail; where head says full, the slot itself may say that it is done. */
static inline uint64_t dd_ring_room_owned(struct dd_ring *ring, uint64_t at)
{
	uint64_t backlog = dd_ring_room(ring, at);

	if (backlog < dd_ring_capacity(ring))
		return backlog;
	/* ->DONE: as for head. */
	if (atomic_load_explicit(&ring->slots[at & ring->mask].destroy, memory_order_acquire))
		return backlog;
	/* ROOM->: without release is_past could see the slot filled again, and no reason for it. */
	atomic_store_explicit(&ring->limit, at + 1, memory_order_release);
	return dd_ring_capacity(ring) - 1;
}

/* Owned: the tail, and whether head must be looked at before a push there. Only we move them. */
static inline uint64_t dd_ring_own_tail(struct dd_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

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
	uint64_t seen;

	*at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	do {
		/* No room at a position that others have claimed meanwhile says nothing. */
		while (!dd_ring_has_room(ring, *at)) {
			seen = *at;
			*at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
			if (*at == seen)
				return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&ring->tail, at, *at + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* Publishes at a position that has room: a claimed one, or the tail of an owned ring. */
static inline void dd_ring_publish(
	struct dd_ring *ring, uint64_t at, void *object, defer_drop_fn destroy)
{
	struct dd_slot *slot = &ring->slots[at & ring->mask];

	dd_plain_store(&slot->object, object);
	/* PUBLISH->: without release the consumer could take the slot's former object. */
	atomic_store_explicit(&slot->destroy, destroy, memory_order_release);
}

/* Owned: moves the tail past what was published. */
static inline void dd_ring_advance(struct dd_ring *ring, uint64_t at)
{
	/* TAIL->: without release a waiter could see the tail and an empty slot before it. */
	atomic_store_explicit(&ring->tail, at + 1, memory_order_release);
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
	/* Taken while the ring was open: the slot may hold another's drop of the same destructor. */
	if (dd_is_before(at, dd_plain_load(&ring->contested_from)))
		return false;
	/* Relaxed is enough: the object is ours, and who loses does not touch it. */
	return atomic_compare_exchange_strong_explicit(&ring->slots[at & ring->mask].destroy,
		&destroy, (defer_drop_fn)NULL, memory_order_relaxed, memory_order_relaxed);
}

/* ---- The consumer ---------------------------------------------------------------------------- */

/* Is there a published drop at the cursor? Takes nothing. */
static inline bool dd_ring_is_published(struct dd_ring *ring)
{
	uint64_t at = dd_plain_load(&ring->cursor);

	return atomic_load_explicit(
		&ring->taken_from[at & ring->taken_mask].destroy, memory_order_relaxed);
}

/* Takes the next drop. False where none is published. */
static inline bool dd_ring_take(struct dd_ring *ring, struct dd_drop *drop)
{
	uint64_t at = dd_plain_load(&ring->cursor);
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];

	/* ->PUBLISH: without acquire the object read below could be the slot's former one. */
	drop->destroy = atomic_load_explicit(&slot->destroy, memory_order_acquire);
	if (!drop->destroy)
		return false;
	drop->object = dd_plain_load(&slot->object);
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
 * either way. The object is read after the exchange: before it, the slot may change hands.
 */
static inline bool dd_ring_take_contested(struct dd_ring *ring, struct dd_drop *drop)
{
	uint64_t at = dd_plain_load(&ring->cursor);
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];
	bool is_published = dd_ring_is_published(ring);

	dd_plain_store(&ring->cursor, at + 1);
	if (!is_published) /* spares the write to a slot never used */
		return false;
	/* ->PUBLISH: as in take. */
	drop->destroy = atomic_exchange_explicit(&slot->destroy, DD_TAKEN, memory_order_acquire);
	if (!drop->destroy)
		return false;
	drop->object = dd_plain_load(&slot->object);
	return true;
}

/* All slots before the cursor are the producers' again. */
static inline void dd_ring_recycle(struct dd_ring *ring)
{
	/* RECYCLE->: without release a slot could be filled while we still read it, and a waiter
	 * could miss what the destructors did. */
	atomic_store_explicit(&ring->head, dd_plain_load(&ring->cursor), memory_order_release);
}

/* The drop taken last has been destroyed. */
static inline void dd_ring_done(struct dd_ring *ring)
{
	uint64_t next = dd_plain_load(&ring->cursor);

	/* DONE->: as RECYCLE, for this slot. */
	atomic_store_explicit(&ring->taken_from[(next - 1) & ring->taken_mask].destroy,
		(defer_drop_fn)NULL, memory_order_release);
	if (!(next & (ring->batch - 1)))
		dd_ring_recycle(ring);
}

/*
 * In a forked child, where no other thread is: keeps what was published, closing the gaps that
 * threads left behind between claim and publish, or keeps nothing. is_running: the calling thread
 * is the consumer, inside the destructor of the drop before the cursor, whose slot stays taken.
 */
static inline void dd_ring_survive(struct dd_ring *ring, bool is_kept, bool is_running)
{
	uint64_t cursor = dd_plain_load(&ring->cursor);
	uint64_t lap_on = cursor - 1 + dd_ring_capacity(ring);
	uint64_t head = cursor - is_running;
	uint64_t to = cursor;
	uint64_t end = dd_ring_own_tail(ring) + 1; /* an owner publishes before it moves the tail */

	if (dd_is_before(head + dd_ring_capacity(ring), end))
		end = head + dd_ring_capacity(ring);
	/* The drop before the cursor was being destroyed, by a thread that is no more: unless it was
	 * done, and its slot may have been filled again. */
	if (!is_running &&
		!dd_is_before(lap_on, atomic_load_explicit(&ring->limit, memory_order_relaxed)))
		atomic_store_explicit(&ring->slots[lap_on & ring->mask].destroy,
			(defer_drop_fn)NULL, memory_order_relaxed);
	for (uint64_t at = cursor; dd_is_before(at, end); at++) {
		struct dd_slot *slot = &ring->slots[at & ring->mask];
		defer_drop_fn destroy = atomic_load_explicit(&slot->destroy, memory_order_relaxed);

		if (!destroy)
			continue;
		atomic_store_explicit(&slot->destroy, (defer_drop_fn)NULL, memory_order_relaxed);
		if (is_kept)
			dd_ring_publish(ring, to++, dd_plain_load(&slot->object), destroy);
	}
	atomic_store_explicit(&ring->tail, to, memory_order_relaxed);
	atomic_store_explicit(&ring->limit, to, memory_order_relaxed);
	atomic_store_explicit(&ring->head, head, memory_order_relaxed);
}

/* ---- Anyone ---------------------------------------------------------------------------------- */

static inline uint64_t dd_ring_tail(struct dd_ring *ring)
{
	/* ->TAIL: without acquire the slot before it could still look empty. */
	return atomic_load_explicit(&ring->tail, memory_order_acquire);
}

/*
 * Have all drops before this position, which lies at the tail or before it, been destroyed?
 */
static inline bool dd_ring_is_past(struct dd_ring *ring, uint64_t position)
{
	/* ->RECYCLE: without acquire what the destructors did need not be visible to the caller. */
	if (!dd_is_before(atomic_load_explicit(&ring->head, memory_order_acquire), position))
		return true;
	/* ->DONE: as above, for a drop that head has not reached. */
	if (ring->batch > 1 &&
		!atomic_load_explicit(
			&ring->slots[(position - 1) & ring->mask].destroy, memory_order_acquire))
		return true;
	/* It may have been filled again: by a producer that knew it to be done, and said so before.
	 * ->ROOM: without acquire what the destructors did need not be visible to the caller. */
	return !dd_is_before(
		atomic_load_explicit(&ring->limit, memory_order_acquire) - dd_ring_capacity(ring),
		position);
}

#endif
