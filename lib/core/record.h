/* SPDX-License-Identifier: MIT
 *
 * Which drop a queue is destroying now: written by the consumer, read by the watchdog. There is
 * also one for each lane, of its drop left in the middle: it begins when a turn leaves the drop,
 * and ends when the drop is finished.
 *
 * number changes whenever a destructor begins or ends, and never comes back; its lowest bit:
 *   0 -> 1  a destructor begins
 *   1 -> 0  it has returned, or ended the process
 *   1 -> 1  cannot happen: a reader could take half of one drop for half of the other
 *
 * Edges:
 *   RECORDED  dd_record_begin: number, release -> dd_record_read: number, acquire
 *             carries the drop
 *   REPLACED  dd_record_begin: object, destroy, release -> dd_record_read: object, destroy, acquire
 *             carries the number which says that the drop before it has ended
 */
#ifndef DD_RECORD_H
#define DD_RECORD_H

#include "core/ring.h"

enum {
	DD_RECORD_RUNS = 1 << 0,
	DD_RECORD_TYPE = 3 << 1, /* of the destructor: HAS_STATUS and HAS_CONTEXT of its options */
	DD_RECORD_NEXT = 1 << 3,
};

#define DD_RECORD_SHIFT 48 /* from the bits of options to those of a number */

_Static_assert((DD_HAS_STATUS | DD_HAS_CONTEXT) >> DD_RECORD_SHIFT == DD_RECORD_TYPE, "the bits");

struct dd_record {
	_Atomic(uint64_t) number;
	_Atomic(void *) object;
	_Atomic(defer_drop_fn) destroy;
};

/* What a reader has read. */
struct dd_recorded {
	uint64_t number;
	struct dd_drop drop;
};

/* What the watchdog knows of the drop that it saw in a record at its last look. */
struct dd_sight {
	uint64_t number;
	uint64_t since_ns; /* it ran at this time, and has run at least since then */
	uint64_t due_ns;   /* the running time after which to report it */
};

/* Begins a record. word: of the drop's options. */
static inline void dd_record_begin(
	struct dd_record *record, const struct dd_drop *drop, uint64_t word)
{
	uint64_t number = atomic_load_explicit(&record->number, memory_order_relaxed);

	number = (number & ~(uint64_t)DD_RECORD_TYPE) + DD_RECORD_NEXT + DD_RECORD_RUNS;
	number |= (word >> DD_RECORD_SHIFT) & DD_RECORD_TYPE;
	/* REPLACED->: without release this object could be taken for that of the drop before it. */
	atomic_store_explicit(&record->object, drop->object, memory_order_release);
	/* REPLACED->: without release this could be taken for the drop before's destructor. */
	atomic_store_explicit(&record->destroy, drop->destroy, memory_order_release);
	/* RECORDED->: without release the drop before it could be taken for this one. */
	atomic_store_explicit(&record->number, number, memory_order_release);
}

static inline void dd_record_end(struct dd_record *record)
{
	uint64_t number = atomic_load_explicit(&record->number, memory_order_relaxed);

	/* Relaxed is enough: it carries nothing. A reader of the next drop has this by REPLACED. */
	atomic_store_explicit(
		&record->number, number & ~(uint64_t)DD_RECORD_RUNS, memory_order_relaxed);
}

/*
 * True if a destructor runs; then to->drop is its drop. to->number is always the latest. By any
 * thread.
 */
static inline bool dd_record_read(struct dd_record *record, struct dd_recorded *to)
{
	/* ->RECORDED: without acquire the drop before it could be taken for this one. */
	uint64_t number = atomic_load_explicit(&record->number, memory_order_acquire);

	/* ->REPLACED: without acquire the number below could be older than this object. */
	to->drop.object = atomic_load_explicit(&record->object, memory_order_acquire);
	/* ->REPLACED: without acquire the number below could be older than this destructor. */
	to->drop.destroy = atomic_load_explicit(&record->destroy, memory_order_acquire);
	to->number = atomic_load_explicit(&record->number, memory_order_relaxed);
	return to->number == number && (number & DD_RECORD_RUNS);
}

#endif
