/* SPDX-License-Identifier: MIT
 *
 * Sleeping and waking the consumer, and closing the queue.
 *
 * Both pose one problem: a producer publishes and then reads a word; the consumer writes that word
 * and then reads what was published. At least one of them must see the other. Fences on both sides
 * cost each push some 20 cycles, for an event that comes once in a quiet spell. So the sides are
 * made unequal, by membarrier(2): the producer *heeds* a word (a plain load that the compiler may
 * not move up), and the other side *announces* (writes the word, then makes every running thread
 * pass a fence). After that, everything published by a thread that did not see the word is visible
 * to the announcer.
 *
 * If membarrier is missing, FENCED stays set in `attention`. Every push then takes the path of
 * producers that found the word set, and reads it again with a read-modify-write.
 * Read-modify-writes of one word come one after the other, and a later one sees all that went
 * before an earlier one: this replaces the fences. The push itself has no branch for it.
 *
 * attention, read by every push:
 *   ASLEEP  the consumer sleeps until woken, or does not exist yet: the producer that clears it
 *           rings
 *   CLOSED  set once, by the consumer: a producer that published tries to take its drop back
 *   FENCED  set before the first push, or never
 *
 * bell, the futex word on which the consumer sleeps:
 *   AWAKE -> NAPPING    consumer, before it sleeps
 *   NAPPING -> CALLED   any thread, which then wakes it with one system call
 *   CALLED -> CALLED    any thread, which wakes it too: the first may be stopped before its call
 *   AWAKE -> RUNG       any thread: the consumer looks again before it sleeps
 *   NAPPING, CALLED, RUNG -> AWAKE   consumer, before it looks
 *   CALLED, RUNG -> NAPPING          cannot happen: it would sleep through a ring
 *
 * Edges:
 *   WAKE    ring: bell, release -> answer, rest: bell, acquire
 *           carries what the thread that rings wants seen: a wish to close, an alarm, a drop
 *   CLOSE   announce: attention, acq_rel -> settle: attention, acquire
 *           carries contested_from: from that position on, the consumer contests what it takes
 */
#ifndef DD_PARK_H
#define DD_PARK_H

#include "base/futex.h"
#include "core/ring.h"

enum {
	DD_ASLEEP = 1u << 0,
	DD_CLOSED = 1u << 1,
	DD_FENCED = 1u << 2,
};

enum dd_bell {
	DD_BELL_AWAKE,
	DD_BELL_NAPPING,
	DD_BELL_RUNG,
	DD_BELL_CALLED = DD_BELL_NAPPING | DD_BELL_RUNG,
};

struct dd_park {
	alignas(DD_LINE) _Atomic(uint32_t)
		attention; /* nearly always 0, and nearly never written */
	alignas(DD_LINE) _Atomic(uint32_t) bell;
};

/* ---- attention ------------------------------------------------------------------------------- */

/* Returns the word that a producer reads after it has published. */
static inline uint32_t dd_heed(_Atomic(uint32_t) *attention)
{
	/* The compiler's half of the fence; announce makes the processor's half. */
	atomic_signal_fence(memory_order_seq_cst);
	return atomic_load_explicit(attention, memory_order_relaxed);
}

/* Returns the word again, for a producer whose heed was not 0. */
static inline uint32_t dd_settle(_Atomic(uint32_t) *attention)
{
	/* ->CLOSE: without acquire the producer could miss that its drop was taken before. With
	 * FENCED, this read-modify-write either comes after the announcement, or makes the
	 * announcer see the publish. */
	return atomic_fetch_or_explicit(attention, 0, memory_order_acq_rel);
}

/* Sets bits. Publishes by producers that do not heed the bits become visible to the caller. */
static inline void dd_announce(_Atomic(uint32_t) *attention, uint32_t bits)
{
	/* CLOSE->: without release a producer could see CLOSED before contested_from. */
	if (!(atomic_fetch_or_explicit(attention, bits, memory_order_acq_rel) & DD_FENCED))
		dd_membarrier();
}

/*
 * Clears ASLEEP. True for the one caller that cleared it. Relaxed is enough: the bell carries what
 * the consumer must see, and a read-modify-write breaks no release sequence of this word.
 */
static inline bool dd_rouse(_Atomic(uint32_t) *attention)
{
	return atomic_fetch_and_explicit(attention, ~(uint32_t)DD_ASLEEP, memory_order_relaxed) &
	       DD_ASLEEP;
}

/* ---- bell ------------------------------------------------------------------------------------ */

/*
 * Makes the consumer look once more before it sleeps, or wakes it. True for the first thread that
 * rang while it slept.
 */
static inline bool dd_bell_ring(_Atomic(uint32_t) *bell)
{
	/* WAKE->: without release the consumer could look before it can see what this is for. */
	uint32_t before = atomic_fetch_or_explicit(bell, DD_BELL_RUNG, memory_order_acq_rel);

	if (before & DD_BELL_NAPPING)
		dd_futex_wake(bell, 1);
	return before == DD_BELL_NAPPING;
}

/* True if a ring would shorten a nap. May be out of date: for hints only. */
static inline bool dd_bell_is_napping(_Atomic(uint32_t) *bell)
{
	return atomic_load_explicit(bell, memory_order_relaxed) == DD_BELL_NAPPING;
}

/* Sleeps, as the consumer, until the bell is rung or the deadline comes. True if it slept. */
static inline bool dd_bell_rest(_Atomic(uint32_t) *bell, uint64_t deadline_ns)
{
	uint32_t awake = DD_BELL_AWAKE;
	bool slept = false;

	/* Relaxed is enough: AWAKE is the consumer's own. */
	if (atomic_compare_exchange_strong_explicit(
		    bell, &awake, DD_BELL_NAPPING, memory_order_relaxed, memory_order_relaxed)) {
		slept = true;
		while (atomic_load_explicit(bell, memory_order_relaxed) == DD_BELL_NAPPING)
			if (dd_futex_wait(bell, DD_BELL_NAPPING, deadline_ns) == -ETIMEDOUT)
				break;
	}
	/* ->WAKE: without acquire what the ring was for could still be invisible. */
	atomic_exchange_explicit(bell, DD_BELL_AWAKE, memory_order_acq_rel);
	return slept;
}

#endif
