/* SPDX-License-Identifier: MIT
 *
 * Work of others for a consumer that has nothing to destroy: a worker before it sleeps, or a caller
 * that has drained. The core knows that there may be such work, but not what it is.
 */
#ifndef DD_REST_H
#define DD_REST_H

#include "base/atomic.h"
#include "base/deadline.h"

/*
 * Does a part of the work, 100 us at most. is_deep: the consumer is about to sleep until it is
 * woken; otherwise it looks again soon. Returns when to call it again: 0 for at once,
 * DEFER_DROP_FOREVER for not at all.
 */
typedef uint64_t (*dd_rest_fn)(uint64_t now_ns, bool is_deep);

/*
 * Set once, or NULL. (Not a C11 atomic: a model has none that lasts from one execution to the
 * next.)
 */
extern dd_rest_fn dd_rest_hook;

static inline void dd_rest_begin(dd_rest_fn hook)
{
	/* Relaxed is enough: the pointer carries nothing else. */
	__atomic_store_n(&dd_rest_hook, hook, __ATOMIC_RELAXED);
}

static inline uint64_t dd_rest(bool is_deep)
{
	dd_rest_fn hook = __atomic_load_n(&dd_rest_hook, __ATOMIC_RELAXED);

	return hook ? hook(dd_now_ns(), is_deep) : DEFER_DROP_FOREVER;
}

#endif
