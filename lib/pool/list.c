/* SPDX-License-Identifier: MIT
 *
 * All pools by their index, and visits to them that freeing waits for.
 *
 * Edges:
 *   VISIT   dd_pool_leave: visitors, release -> dd_pool_await: visitors, acquire
 *           carries what the visitor did with the pool, to the thread that frees it
 */
#include "pool/pools.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/futex.h"

static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;

struct dd_pools dd_pools;

void dd_pools_lock(void)
{
	pthread_mutex_lock(&pools_lock);
}

void dd_pools_unlock(void)
{
	pthread_mutex_unlock(&pools_lock);
}

/* Returns a free index, or 0 if there is no memory. Under the lock. */
static uint32_t find_place(void)
{
	enum { MORE = 16 };
	struct defer_drop_pool **more;

	for (uint32_t i = 1; i < dd_pools.places; i++)
		if (!dd_pools.at[i])
			return i;
	more = realloc(dd_pools.at, (dd_pools.places + MORE) * sizeof(struct defer_drop_pool *));
	if (!more)
		return 0;
	dd_pools.at = more;
	memset(dd_pools.at + dd_pools.places, 0, MORE * sizeof(struct defer_drop_pool *));
	dd_pools.places += MORE;
	return dd_pools.places == MORE ? 1 : dd_pools.places - MORE;
}

uint32_t dd_pools_place(struct defer_drop_pool *pool)
{
	uint32_t place = find_place();

	if (place)
		dd_pools.at[place] = pool;
	return place;
}

struct defer_drop_pool *dd_pools_visit(uint32_t *index)
{
	struct defer_drop_pool *pool = NULL;

	dd_pools_lock();
	while (*index < dd_pools.places && !(pool = dd_pools.at[*index]))
		++*index;
	if (pool)
		atomic_fetch_add_explicit(&pool->visitors, 1, memory_order_relaxed);
	dd_pools_unlock();
	return pool;
}

void dd_pool_leave(struct defer_drop_pool *pool)
{
	/* In a child that the backing forked, no visitor is counted. */
	if (!atomic_load_explicit(&pool->visitors, memory_order_relaxed))
		return;
	/* VISIT->: without release the pool could be freed while this thread still uses it. */
	atomic_fetch_sub_explicit(&pool->visitors, 1, memory_order_release);
	dd_futex_wake(&pool->visitors, 1);
}

void dd_pool_await(struct defer_drop_pool *pool)
{
	uint32_t visitors;

	/* ->VISIT: without acquire the pool could be freed while a visitor still uses it. */
	while ((visitors = atomic_load_explicit(&pool->visitors, memory_order_acquire)))
		dd_futex_wait(&pool->visitors, visitors, DEFER_DROP_FOREVER);
}
