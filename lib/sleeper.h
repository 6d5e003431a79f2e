/* SPDX-License-Identifier: MIT
 *
 * A thread that waits to be woken, once at a time. It lies in its own memory, mostly on the
 * stack, beside what others note down for it: see wait.c, budget.c and watch.c.
 *
 * Edges:
 *   WOKEN   wake: woken, release -> is_woken: woken, acquire
 *           carries what was noted down; after it, nobody but the sleeper touches its memory
 */
#ifndef DD_SLEEPER_H
#define DD_SLEEPER_H

#include "futex.h"

struct dd_sleeper {
	_Atomic(uint32_t) woken;
};

/* Before others can know of it: it may have been woken before. */
static inline void dd_sleeper_begin(struct dd_sleeper *sleeper)
{
	/* Relaxed is enough: what tells others of it carries it. */
	atomic_store_explicit(&sleeper->woken, 0, memory_order_relaxed);
}

/* True once it was woken; then its memory is its own again. */
static inline bool dd_sleeper_is_woken(struct dd_sleeper *sleeper)
{
	/* ->WOKEN: without acquire the sleeper could use its memory while it is still read. */
	return atomic_load_explicit(&sleeper->woken, memory_order_acquire);
}

/* May return early for no reason. Returns 0 or -ETIMEDOUT. */
static inline int dd_sleeper_wait(struct dd_sleeper *sleeper, uint64_t deadline_ns)
{
	return dd_futex_wait(&sleeper->woken, 0, deadline_ns);
}

static inline void dd_sleeper_wake(struct dd_sleeper *sleeper)
{
	/* WOKEN->: without release the sleeper could leave before our last access to it. The wake
	 * that follows may find its stack gone, which futex(2) allows: it goes by the address. */
	atomic_store_explicit(&sleeper->woken, 1, memory_order_release);
	dd_futex_wake(&sleeper->woken, 1);
}

#endif
