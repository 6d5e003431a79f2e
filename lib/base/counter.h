/* SPDX-License-Identifier: MIT
 *
 * Counters. All accesses are relaxed: a counter carries nothing but its number.
 */
#ifndef DD_COUNTER_H
#define DD_COUNTER_H

#include <stdint.h>

#include "base/atomic.h"

static inline uint64_t dd_read(_Atomic(uint64_t) *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline uint32_t dd_read_32(_Atomic(uint32_t) *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Adds to a counter that one thread writes and any may read. */
static inline void dd_add(_Atomic(uint64_t) *counter, uint64_t count)
{
	atomic_store_explicit(counter, dd_read(counter) + count, memory_order_relaxed);
}

static inline void dd_count(_Atomic(uint64_t) *counter)
{
	dd_add(counter, 1);
}

/* Adds to a counter that many threads write. */
static inline void dd_add_shared(_Atomic(uint64_t) *counter, uint64_t count)
{
	atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

#endif
