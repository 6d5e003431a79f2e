/* SPDX-License-Identifier: MIT
 *
 * A latch: closed until a thread opens it; other threads test it without a lock, or wait for it.
 * All that the library sets up once has one; so has a thread that sleeps until it is woken, mostly
 * on its stack; and so has the start of a worker.
 *
 * Edges:
 *   LATCH   set, open: word, release -> is_open: word, acquire
 *           carries all that was done before; afterwards only the thread that waited accesses the
 *           memory of its latch
 */
#ifndef DD_LATCH_H
#define DD_LATCH_H

#include "base/futex.h"
#include "base/tools.h"

struct dd_latch {
	_Atomic(uint32_t) word; /* 1: open; a futex word */
};

/* Closes a latch, before other threads can know of it. */
static inline void dd_latch_close(struct dd_latch *latch)
{
	/* Relaxed is enough: the way by which other threads learn of the latch carries it. */
	atomic_store_explicit(&latch->word, 0, memory_order_relaxed);
}

static inline bool dd_latch_is_open(struct dd_latch *latch)
{
	/* ->LATCH: without acquire what was done before could be missed. */
	if (!atomic_load_explicit(&latch->word, memory_order_acquire))
		return false;
	dd_tools_acquire(latch);
	return true;
}

/* Waits for it to be opened, once; may return early for no reason. Returns 0 or -ETIMEDOUT. */
static inline int dd_latch_wait(struct dd_latch *latch, uint64_t deadline_ns)
{
	return dd_futex_wait(&latch->word, 0, deadline_ns);
}

/* Opens a latch that no thread waits for. */
static inline void dd_latch_set(struct dd_latch *latch)
{
	dd_tools_release(latch);
	/* LATCH->: without release a thread could go on before what was done is visible. */
	atomic_store_explicit(&latch->word, 1, memory_order_release);
}

/* Opens a latch, and wakes the thread that waits. */
static inline void dd_latch_open(struct dd_latch *latch)
{
	dd_latch_set(latch);
	/* The stack of that thread may be gone, which futex(2) allows: it uses only the address. */
	dd_futex_wake(&latch->word, 1);
}

#endif
