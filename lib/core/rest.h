/* SPDX-License-Identifier: MIT
 *
 * What others want done by a consumer that has nothing to destroy: a worker before it sleeps, a
 * caller that has drained. The core knows that there may be something, and not what.
 */
#ifndef DD_REST_H
#define DD_REST_H

#include "base/atomic.h"
#include "base/deadline.h"

/*
 * Does a bit of it, some 100 us at most. is_deep: the consumer is about to sleep until it is woken,
 * else it looks again soon. Returns when it wants to be called again: 0, at once; or
 * DEFER_DROP_FOREVER, not at all.
 */
typedef uint64_t (*dd_rest_fn)(uint64_t now_ns, bool is_deep);

/* Set once, or NULL. (Not C11's: a model has no such thing that lasts.) */
extern dd_rest_fn dd_rest_hook;

static inline void dd_rest_begin(dd_rest_fn hook)
{
	/* Relaxed is enough: it carries nothing but itself. */
	__atomic_store_n(&dd_rest_hook, hook, __ATOMIC_RELAXED);
}

static inline uint64_t dd_rest(bool is_deep)
{
	dd_rest_fn hook = __atomic_load_n(&dd_rest_hook, __ATOMIC_RELAXED);

	return hook ? hook(dd_now_ns(), is_deep) : DEFER_DROP_FOREVER;
}

#endif
