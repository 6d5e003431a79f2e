/* SPDX-License-Identifier: MIT
 *
 * A mutex of one word. fork takes those of all queues, and ThreadSanitizer gives up where a thread
 * holds more than 64 of pthread's.
 *
 * word:
 *   FREE -> HELD               a thread takes it that finds it free
 *   any -> CONTENDED           a thread takes it, or sleeps, that found it taken: others may sleep
 *   HELD, CONTENDED -> FREE    the thread that holds it; from CONTENDED it wakes one
 *   CONTENDED -> HELD          cannot happen: a thread that sleeps would not be woken
 *
 * Edges:
 *   MUTEX   unlock: word, release -> lock: word, acquire
 *           carries all that was done under it
 */
#ifndef DD_MUTEX_H
#define DD_MUTEX_H

#include "base/futex.h"
#include "base/tools.h"

enum { DD_FREE, DD_HELD, DD_CONTENDED };

/* All zeros: free. */
struct dd_mutex {
	_Atomic(uint32_t) word; /* a futex word */
};

/* Makes it free: in a forked child the thread that holds it may be missing. */
static inline void dd_mutex_init(struct dd_mutex *mutex)
{
	/* Relaxed is enough: other threads do not know of it yet. */
	atomic_store_explicit(&mutex->word, DD_FREE, memory_order_relaxed);
}

static inline void dd_mutex_lock(struct dd_mutex *mutex)
{
	uint32_t word = DD_FREE;

	/* ->MUTEX: without acquire what the last holder did could be missed. */
	if (atomic_compare_exchange_strong_explicit(
		    &mutex->word, &word, DD_HELD, memory_order_acquire, memory_order_relaxed)) {
		dd_tools_acquire(mutex);
		return;
	}
	/* ->MUTEX: without acquire what the last holder did could be missed. */
	while (atomic_exchange_explicit(&mutex->word, DD_CONTENDED, memory_order_acquire))
		dd_futex_wait(&mutex->word, DD_CONTENDED, DEFER_DROP_FOREVER);
	dd_tools_acquire(mutex);
}

static inline void dd_mutex_unlock(struct dd_mutex *mutex)
{
	dd_tools_release(mutex);
	/* MUTEX->: without release the next holder could miss what was done under it. */
	if (atomic_exchange_explicit(&mutex->word, DD_FREE, memory_order_release) == DD_CONTENDED)
		dd_futex_wake(&mutex->word, 1);
}

#endif
