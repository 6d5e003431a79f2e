/* SPDX-License-Identifier: MIT
 *
 * The ring: slots, claim, publish, consume. No system call, no global, no waiting.
 *
 * A position counts the drops of a ring and is never reset; its slot is position & mask. A producer
 * claims a position, fills the slot with plain stores and publishes it with one release store of
 * the destructor. The one consumer polls the slot at its cursor, never the producers' tail. It runs
 * the destructor and then clears the slot: the drop has been destroyed, and the slot is free. The
 * head says so of all slots before it, and is what producers read. It moves a batch at a time,
 * because each move costs the consumer a store that cannot be merged with its neighbours. (Measured
 * with empty destructors: 5.2 ns per drop, against 7.4 with a move for each drop. The alternative
 * to clearing, a lap bit in the slot so that the consumer never writes to it, took 7.6 ns; on two
 * cores that share no cache it took 22 to 28 ns, against 15 to 18.)
 *
 * A drop with options takes two slots: its options, then the drop. The second is filled first and
 * is marked, so that it is never taken for a drop of its own; publishing the first publishes both.
 * Plain drops pay nothing for those that have options.
 *
 * There are two ways to claim:
 *   owned   One thread pushes. It moves the tail with a plain store after it has published, so a
 *           thread that is stopped in the middle of a push delays no other thread.
 *   shared  Many threads push, with one locked instruction before they publish. A thread that is
 *           stopped between the two delays this ring, and only this ring. A claimed slot looks like
 *           a cleared one, so the head moves after each drop.
 *
 * Edges:
 *   PUBLISH  fill: slot.destroy, release -> peek, is_past: slot.destroy, acquire
 *            carries slot.object and all that the producer did before the push, including a limit
 *            that it set
 *   TAIL     advance, claim, claim_try: tail, release -> dd_ring_tail: tail, acquire
 *            carries all that the producer did before the push: a grace period that begins after
 *            this tail was read covers the drops before it. In an owned ring it carries the publish
 *            too: a thread that waits for a position must not take a slot that is still empty for
 *            one that was cleared
 *   DONE     done, done_both: slot.destroy, release -> is_past, room_owned: slot.destroy, acquire
 *            carries what the destructor did, and that the slot has been read: it may be filled
 *            again
 *   RECYCLE  recycle: head, release -> room, is_past: head, acquire
 *            carries what DONE carries, for all slots before head
 *   ROOM     raise_limit, room_owned: limit, release -> has_room, is_past: limit, acquire
 *            passes RECYCLE and DONE on from the producer that read them: to other producers of a
 *            shared ring, and to waiters. Drops that lie a lap or more before the limit are done
 *
 * On a closed ring, retract and take_contested decide who owns the object: each makes one
 * read-modify-write of the slot, and one of the two comes first. The decision carries no data, so
 * it needs no edge.
 */
#ifndef DD_RING_H
#define DD_RING_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/tools.h"
#include "defer_drop.h"

/* A cache line: data written by different threads lies this far apart, against false sharing. */
#define DD_LINE 64

/* Drops between two moves of the head of an owned ring, in rings that are large enough. */
#define DD_BATCH 16

/* The word of a slot of a closed ring whose drop was taken; cleared when the drop is destroyed. */
#define DD_TAKEN ((defer_drop_fn)(uintptr_t)1)

/*
 * The word of a slot is a destructor. Its two upper bits are a tag: no function of a user process
 * lies that high.
 *   00  the destructor of a plain drop
 *   01  the destructor of a plain drop, to run after a grace period
 *   11  not a destructor but the options of the drop in the next slot: flags, and in the lower 48
 *       bits the bytes that the object holds
 *   10  the destructor of a drop with options: it means nothing without the slot before it
 */
#define DD_TAGS    (UINT64_C(3) << 62)
#define DD_GRACE   (UINT64_C(1) << 62)
#define DD_OPTIONS (UINT64_C(3) << 62)
#define DD_SECOND  (UINT64_C(2) << 62)

/* Flags in a word of options. */
#define DD_AFTER_GRACE    (UINT64_C(1) << 48)
#define DD_HAS_STATUS     (UINT64_C(1) << 49) /* the destructor is a defer_drop_status_fn */
#define DD_HAS_CONTEXT    (UINT64_C(1) << 50) /* the destructor is a defer_drop_context_fn */
#define DD_HAS_COMPLETION (UINT64_C(1) << 51)
#define DD_HAS_GROUP      (UINT64_C(1) << 52)
#define DD_IN_PHASE_1     (UINT64_C(1) << 53) /* of its group; otherwise in phase 0 */
#define DD_BYTES          (DEFER_DROP_BYTES_END - 1)

/* Sorts the destructor of a drop with this word of options by its type: the other two are NULL. */
static inline void dd_sort_destructor(uint64_t word, defer_drop_fn destroy, defer_drop_fn *plain,
	defer_drop_status_fn *with_status, defer_drop_context_fn *with_context)
{
	*plain = word & (DD_HAS_STATUS | DD_HAS_CONTEXT) ? NULL : destroy;
	*with_status = word & DD_HAS_STATUS ? (defer_drop_status_fn)(uintptr_t)destroy : NULL;
	*with_context = word & DD_HAS_CONTEXT ? (defer_drop_context_fn)(uintptr_t)destroy : NULL;
}

struct dd_drop {
	void *object;
	defer_drop_fn destroy;
};

/*
 * The options of a drop: DD_OPTIONS with the flags and the bytes, or 0; and a pointer. With
 * HAS_GROUP it is the drop's member of the group, which has the context too; otherwise it is the
 * context, or NULL. With HAS_COMPLETION it is the completion, which keeps that pointer.
 */
struct dd_options {
	uint64_t word;
	void *pointer;
};

struct dd_slot {
	DD_PLAIN(void *) object;        /* in the first slot of two: the pointer of the options */
	_Atomic(defer_drop_fn) destroy; /* NULL: not published, or done */
};

struct dd_ring {
	/* The producers' line: they write; statistics and flush read. */
	alignas(DD_LINE) _Atomic(uint64_t) tail; /* next position to push at */
	_Atomic(uint64_t) limit;                 /* no need to look at head before it is reached */
	struct dd_slot *slots;                   /* set once, like mask */
	uint64_t mask;
	uint64_t limit_step; /* from one limit to the next: a quarter of the ring; set once */
	_Atomic(uint64_t) pairs_total; /* drops with options that were pushed: not part of the ring,
					* but written by the writers of this line */

	/* The consumer's line: it writes; producers read head when they reach the limit. */
	alignas(DD_LINE) _Atomic(uint64_t) head; /* drops before it have been destroyed */
	DD_PLAIN(uint64_t) cursor;               /* drops before it have been taken */
	DD_PLAIN(uint64_t) contested_from;       /* drops before it were taken while it was open */
	struct dd_slot *taken_from;              /* = slots, = mask: set once, like batch */
	uint64_t taken_mask;
	uint64_t batch; /* a power of two; 1 in shared rings */
};

_Static_assert(sizeof(struct dd_slot) == 16, "four slots to a line; and 64 bits to a tagged word");

/*
 * Positions begin one lap below 2^64, so every ring of every program wraps early, and the wrap is
 * exercised everywhere.
 */
static inline uint64_t dd_ring_first(uint64_t capacity)
{
	return -capacity;
}

static inline bool dd_is_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* True if this can be a destructor. False for NULL too. */
static inline bool dd_is_destructor(defer_drop_fn destroy)
{
	return (intptr_t)destroy > 0;
}

static inline uint64_t dd_tag(defer_drop_fn word)
{
	return (uint64_t)(uintptr_t)word & DD_TAGS;
}

static inline defer_drop_fn dd_tagged(defer_drop_fn destroy, uint64_t tag)
{
	return (defer_drop_fn)(uintptr_t)((uint64_t)(uintptr_t)destroy | tag);
}

static inline defer_drop_fn dd_untagged(defer_drop_fn word)
{
	return (defer_drop_fn)(uintptr_t)((uint64_t)(uintptr_t)word & ~DD_TAGS);
}

/* True if a slot with this word holds the options of the drop in the next slot. */
static inline bool dd_is_options(defer_drop_fn word)
{
	return dd_tag(word) == DD_OPTIONS;
}

static inline bool dd_is_second(defer_drop_fn word)
{
	return dd_tag(word) == DD_SECOND;
}

/* True if the drop that begins with this word waits for a grace period. */
static inline bool dd_is_after_grace(defer_drop_fn word)
{
	return dd_tag(word) == DD_GRACE ||
	       (dd_is_options(word) && ((uint64_t)(uintptr_t)word & DD_AFTER_GRACE));
}

/* Returns how many slots a drop takes whose first slot has this word. */
static inline uint64_t dd_width(defer_drop_fn word)
{
	return dd_is_options(word) ? 2 : 1;
}

static inline defer_drop_fn dd_options_word(const struct dd_options *options)
{
	return (defer_drop_fn)(uintptr_t)options->word;
}

/* An eighth of the ring at most, so that producers of a small ring do not wait for a batch. */
static inline uint64_t dd_ring_batch(uint64_t capacity, bool is_shared)
{
	if (is_shared || capacity < 16)
		return 1;
	return capacity / 8 < DD_BATCH ? capacity / 8 : DD_BATCH;
}

/* capacity: a power of two, at least 2. */
static inline void dd_ring_init(
	struct dd_ring *ring, struct dd_slot *zeroed, uint64_t capacity, bool is_shared)
{
	uint64_t first = dd_ring_first(capacity);

	ring->slots = ring->taken_from = zeroed;
	ring->mask = ring->taken_mask = capacity - 1;
	ring->limit_step = capacity < 4 ? 1 : capacity / 4;
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
 * Moves the limit forward. The limit of a shared ring never moves back: another producer may have
 * filled slots up to the later limit, and a forked child takes drops a lap before it for done.
 */
static inline void dd_ring_raise_limit(struct dd_ring *ring, uint64_t limit)
{
	uint64_t seen = atomic_load_explicit(&ring->limit, memory_order_relaxed);

	/* ROOM->: without release a producer that relies on this limit has no RECYCLE. */
	while (dd_is_before(seen, limit) &&
		!atomic_compare_exchange_weak_explicit(
			&ring->limit, &seen, limit, memory_order_release, memory_order_relaxed))
		;
}

/*
 * Reads head for a producer that would push at this position, and sets the next limit: at most the
 * end of a quarter of the ring (limit_step), so that producers notice in time that their backlog grows. Returns
 * the backlog; there is room if it is below the capacity.
 */
static inline uint64_t dd_ring_room(struct dd_ring *ring, uint64_t at)
{
	/* ->RECYCLE: without acquire the slot could be filled while the consumer still reads it. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint64_t capacity = dd_ring_capacity(ring);
	uint64_t backlog = at - head;
	uint64_t limit = at - at % ring->limit_step + ring->limit_step;

	if (backlog < capacity) {
		if (dd_is_before(head + capacity, limit))
			limit = head + capacity;
		dd_ring_raise_limit(ring, limit);
	}
	return backlog;
}

/* Owned: reads head for a push at the tail. If head has no room, the slot itself may be done. */
static inline uint64_t dd_ring_room_owned(struct dd_ring *ring, uint64_t at)
{
	uint64_t backlog = dd_ring_room(ring, at);

	if (backlog < dd_ring_capacity(ring))
		return backlog;
	/* ->DONE: without acquire the slot could be filled while the consumer still reads it. */
	if (atomic_load_explicit(&ring->slots[at & ring->mask].destroy, memory_order_acquire))
		return backlog;
	/* ROOM->: without release is_past could see the slot filled again, but not the limit. */
	atomic_store_explicit(&ring->limit, at + 1, memory_order_release);
	return dd_ring_capacity(ring) - 1;
}

/* Owned: the tail, which only its owner moves. */
static inline uint64_t dd_ring_own_tail(struct dd_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/* Owned: true if head must be read before a push at this position. */
static inline bool dd_ring_is_at_limit(struct dd_ring *ring, uint64_t at)
{
	return at == atomic_load_explicit(&ring->limit, memory_order_relaxed);
}

/* Owned: true if a drop whose last slot is `last` needs the limit moved, which is at the tail or
 * after it. */
static inline bool dd_ring_is_beyond_limit(struct dd_ring *ring, uint64_t last)
{
	return !dd_is_before(last, atomic_load_explicit(&ring->limit, memory_order_relaxed));
}

/* Shared: true if there is room at this position. */
static inline bool dd_ring_has_room(struct dd_ring *ring, uint64_t at)
{
	/* ->ROOM: without acquire the slot could be filled while the consumer still reads it. */
	uint64_t limit = atomic_load_explicit(&ring->limit, memory_order_acquire);

	return dd_is_before(at, limit) || dd_ring_room(ring, at) < dd_ring_capacity(ring);
}

/*
 * Shared: claims the next slots, one or two, whether there is room or not. The caller then waits
 * for room at the last of them.
 */
static inline uint64_t dd_ring_claim(struct dd_ring *ring, uint64_t width)
{
	/* TAIL->: without release a grace period could begin after the claim, and yet before the
	 * program took the object out of reach. */
	return atomic_fetch_add_explicit(&ring->tail, width, memory_order_release);
}

/* Shared: claims the next slots if there is room at the last of them. */
static inline bool dd_ring_claim_try(struct dd_ring *ring, uint64_t width, uint64_t *at)
{
	uint64_t seen;

	*at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	do {
		/* The answer "no room" is void if others have claimed this position meanwhile. */
		while (!dd_ring_has_room(ring, *at + width - 1)) {
			seen = *at;
			*at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
			if (*at == seen)
				return false;
		}
		/* TAIL->: without release a grace period could begin too early, as in claim. */
	} while (!atomic_compare_exchange_weak_explicit(
		&ring->tail, at, *at + width, memory_order_release, memory_order_relaxed));
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

/* Publishes a drop with options. at: the first of its two slots. */
static inline void dd_ring_publish_both(struct dd_ring *ring, uint64_t at,
	const struct dd_options *options, const struct dd_drop *drop)
{
	struct dd_slot *second = &ring->slots[(at + 1) & ring->mask];

	dd_plain_store(&second->object, drop->object);
	/* The consumer does not take it before the first slot, but a waiter may read it. PUBLISH->:
	 * without release is_past could see the slot filled again, but not the limit. */
	atomic_store_explicit(
		&second->destroy, dd_tagged(drop->destroy, DD_SECOND), memory_order_release);
	dd_ring_publish(ring, at, options->pointer, dd_options_word(options));
}

/* Owned: moves the tail past what was published. */
static inline void dd_ring_advance(struct dd_ring *ring, uint64_t next)
{
	/* TAIL->: without release a waiter could see the tail and an empty slot before it. */
	atomic_store_explicit(&ring->tail, next, memory_order_release);
}

/* Owned: moves the limit back to the tail, so that the next push leaves the fast path. */
static inline void dd_ring_withdraw(struct dd_ring *ring)
{
	atomic_store_explicit(&ring->limit, dd_ring_own_tail(ring), memory_order_relaxed);
}

/*
 * On a closed ring: takes a published drop back. False if the consumer has taken it, or will. Only
 * a producer that saw CLOSED after it published may call this: CLOSE carries contested_from. For a
 * drop with options, word is that of its first slot; the second slot keeps its word, which then
 * means nothing.
 */
static inline bool dd_ring_retract(struct dd_ring *ring, uint64_t at, defer_drop_fn word)
{
	/* Taken while the ring was open: the slot may now hold another drop of this destructor. */
	if (dd_is_before(at, dd_plain_load(&ring->contested_from)))
		return false;
	/* Relaxed is enough: the object is ours, and a consumer that loses does not touch it. */
	return atomic_compare_exchange_strong_explicit(&ring->slots[at & ring->mask].destroy, &word,
		(defer_drop_fn)NULL, memory_order_relaxed, memory_order_relaxed);
}

/* ---- The consumer ---------------------------------------------------------------------------- */

/* Returns where the word of the slot at the cursor lies. */
static inline _Atomic(defer_drop_fn) *dd_ring_next_word(struct dd_ring *ring)
{
	return &ring->taken_from[dd_plain_load(&ring->cursor) & ring->taken_mask].destroy;
}

/* True if there is a published drop at the cursor. Takes nothing. */
static inline bool dd_ring_is_published(struct dd_ring *ring)
{
	return atomic_load_explicit(dd_ring_next_word(ring), memory_order_relaxed);
}

/* Reads the next drop, whose word may be tagged, or the options of one. False if there is none. */
static inline bool dd_ring_peek(struct dd_ring *ring, struct dd_drop *drop)
{
	uint64_t at = dd_plain_load(&ring->cursor);
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];

	/* ->PUBLISH: without acquire the object read below could be the slot's former one. */
	drop->destroy = atomic_load_explicit(&slot->destroy, memory_order_acquire);
	if (!drop->destroy)
		return false;
	drop->object = dd_plain_load(&slot->object);
	return true;
}

/* Returns the plain drop taken last, from its slot, which may be DD_TAKEN. It is not done yet. */
static inline struct dd_drop dd_ring_last_taken(const struct dd_ring *ring)
{
	uint64_t at = dd_plain_load(&ring->cursor) - 1;
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];
	/* Relaxed is enough: the PUBLISH of the take carries it. */
	defer_drop_fn word = atomic_load_explicit(&slot->destroy, memory_order_relaxed);

	return (struct dd_drop){dd_plain_load(&slot->object), dd_untagged(word)};
}

/* Takes the drop that peek has read: moves the cursor past it. */
static inline void dd_ring_move_on(struct dd_ring *ring)
{
	dd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);
}

static inline bool dd_ring_take(struct dd_ring *ring, struct dd_drop *drop)
{
	if (!dd_ring_peek(ring, drop))
		return false;
	dd_ring_move_on(ring);
	return true;
}

/* Takes the drop whose options were taken. */
static inline void dd_ring_take_second(struct dd_ring *ring, struct dd_drop *drop)
{
	uint64_t at = dd_plain_load(&ring->cursor);
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];
	/* Relaxed is enough: the first slot's PUBLISH carries it. */
	defer_drop_fn word = atomic_load_explicit(&slot->destroy, memory_order_relaxed);

	drop->destroy = dd_untagged(word);
	drop->object = dd_plain_load(&slot->object);
	dd_plain_store(&ring->cursor, at + 1);
}

/* Makes takes from the cursor on contested. Called before the ring is announced to be closed. */
static inline void dd_ring_contest(struct dd_ring *ring)
{
	dd_plain_store(&ring->contested_from, dd_plain_load(&ring->cursor));
}

/*
 * On a closed ring: takes the drop at the cursor, or the options of one, unless its producer takes
 * it back; moves on in either case. Reads the object after the exchange: before it, the slot may
 * change hands.
 */
static inline bool dd_ring_take_contested(struct dd_ring *ring, struct dd_drop *drop)
{
	uint64_t at = dd_plain_load(&ring->cursor);
	struct dd_slot *slot = &ring->taken_from[at & ring->taken_mask];
	defer_drop_fn word = atomic_load_explicit(&slot->destroy, memory_order_relaxed);

	dd_plain_store(&ring->cursor, at + 1);
	/* An empty slot needs no write. A second slot here is one whose first was passed over or
	 * taken back, so it holds no drop. */
	if (!word || dd_is_second(word))
		return false;
	/* ->PUBLISH: without acquire the object could be the slot's former one. */
	drop->destroy = atomic_exchange_explicit(&slot->destroy, DD_TAKEN, memory_order_acquire);
	if (!drop->destroy)
		return false;
	drop->object = dd_plain_load(&slot->object);
	return true;
}

/* Gives all slots before the cursor back to the producers. */
static inline void dd_ring_recycle(struct dd_ring *ring)
{
	/* RECYCLE->: without release a slot could be filled while we still read it, and a waiter
	 * could miss what the destructors did. */
	atomic_store_explicit(&ring->head, dd_plain_load(&ring->cursor), memory_order_release);
}

/* Marks the drop that was taken last as destroyed. */
static inline void dd_ring_done(struct dd_ring *ring)
{
	uint64_t next = dd_plain_load(&ring->cursor);

	/* DONE->: without release this slot could be filled while we still read it, and a waiter
	 * could miss what the destructor did. */
	atomic_store_explicit(&ring->taken_from[(next - 1) & ring->taken_mask].destroy,
		(defer_drop_fn)NULL, memory_order_release);
	if (!(next & (ring->batch - 1)))
		dd_ring_recycle(ring);
}

/* Marks the drop with options that was taken last as destroyed. */
static inline void dd_ring_done_both(struct dd_ring *ring)
{
	uint64_t next = dd_plain_load(&ring->cursor);

	/* DONE->: without release the first slot could be filled too early. It is cleared first: a
	 * producer that finds the second one cleared may fill both. */
	atomic_store_explicit(&ring->taken_from[(next - 2) & ring->taken_mask].destroy,
		(defer_drop_fn)NULL, memory_order_release);
	dd_ring_done(ring);
	if ((next & (ring->batch - 1)) == 1) /* the end of a batch lies between the two */
		dd_ring_recycle(ring);
}

/* ---- Anyone ---------------------------------------------------------------------------------- */

static inline uint64_t dd_ring_tail(struct dd_ring *ring)
{
	/* ->TAIL: without acquire the slot before it could still look empty. */
	return atomic_load_explicit(&ring->tail, memory_order_acquire);
}

/* dd_ring_is_past, without word to the program's sanitizer. */
static inline bool dd_ring_has_passed(struct dd_ring *ring, uint64_t position)
{
	/* ->RECYCLE: without acquire what the destructors did need not be visible to the caller. */
	if (!dd_is_before(atomic_load_explicit(&ring->head, memory_order_acquire), position))
		return true;
	/* ->DONE: without acquire what the destructor did need not be visible: a drop past head. */
	if (ring->batch > 1 &&
		!atomic_load_explicit(
			&ring->slots[(position - 1) & ring->mask].destroy, memory_order_acquire))
		return true;
	/* The slot may have been filled again, by a producer that saw it done and set the limit
	 * first.
	 * ->ROOM: without acquire what the destructors did need not be visible to the caller. */
	return !dd_is_before(
		atomic_load_explicit(&ring->limit, memory_order_acquire) - dd_ring_capacity(ring),
		position);
}

/* True if all drops before this position, which lies at the tail or before it, are destroyed. */
static inline bool dd_ring_is_past(struct dd_ring *ring, uint64_t position)
{
	if (!dd_ring_has_passed(ring, position))
		return false;
	dd_tools_acquire(&ring->head);
	return true;
}

#endif
