/* SPDX-License-Identifier: MIT
 *
 * Whether something was set up that is set up once, by whoever comes first, under a lock. Who finds
 * that it was needs no lock.
 *
 * Edges:
 *   OPEN    done: flag, release -> is_done: flag, acquire
 *           carries all that was set up
 */
#ifndef DD_ONCE_H
#define DD_ONCE_H

#include <stdbool.h>

#include "atomic.h"

static inline void dd_once_done(_Atomic(bool) *flag)
{
	/* OPEN->: without release a push could use a queue that is half set up. */
	atomic_store_explicit(flag, true, memory_order_release);
}

static inline bool dd_once_is_done(_Atomic(bool) *flag)
{
	/* ->OPEN: without acquire the same. */
	return atomic_load_explicit(flag, memory_order_acquire);
}

#endif
