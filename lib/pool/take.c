/* SPDX-License-Identifier: MIT
 *
 * Take and give, off the fast path.
 *
 * The fast path of both is in pools.h: one access to thread-local data finds the thread's caches,
 * among them the pool's. Everything else is here, and happens once for each magazine.
 */
#include "pool/pools.h"

#include <errno.h>
#include <stdlib.h>

/* ---- Magazines come and go ------------------------------------------------------------------- */

/* Returns an empty magazine; NULL if there is no memory. */
static struct dd_magazine *find_empty(struct defer_drop_pool *pool)
{
	struct dd_magazine *magazine = dd_stack_take(&pool->depot.empty);

	return magazine ? magazine : dd_magazine_new(pool->magazine_blocks);
}

/* Loads an empty cache with blocks that came home. False if there are none. */
static bool refill(struct defer_drop_pool *pool, struct dd_cache *cache)
{
	struct dd_magazine *next = cache->previous;

	if (!next || !dd_plain_load(&next->count)) {
		next = dd_depot_take(&pool->depot);
		if (!next)
			return false;
		if (cache->previous)
			dd_stack_put(&pool->depot.empty, cache->previous);
	}
	cache->previous = dd_cache_unload(cache);
	dd_cache_load(cache, next, pool->magazine_blocks);
	dd_cache_fetch(cache, pool->last_byte);
	return true;
}

/* Gives a full cache an empty magazine. False if there is no memory for one. */
static bool make_room(struct defer_drop_pool *pool, struct dd_cache *cache)
{
	struct dd_magazine *empty = cache->previous;

	if (!empty || dd_plain_load(&empty->count)) {
		empty = find_empty(pool);
		if (!empty)
			return false;
		if (cache->previous)
			dd_depot_send(&pool->depot, cache->previous);
	}
	cache->previous = dd_cache_unload(cache);
	dd_cache_load(cache, empty, pool->magazine_blocks);
	return true;
}

/* Empties the magazine that would go home, into the backing. That may make the thread a cache of
 * another pool, which moves its caches. Returns the cache. */
static struct dd_cache *release_previous(struct defer_drop_pool *pool, struct dd_cache *cache)
{
	struct dd_magazine *previous = cache->previous;

	cache->previous = NULL;
	dd_pool_release(pool, previous);
	cache = dd_cache_look(pool);
	cache->previous = previous;
	return cache;
}

/* ---- Without a cache: no memory for one, or the thread is ending ----------------------------- */

static void *take_without_cache(struct defer_drop_pool *pool)
{
	struct dd_magazine *magazine = dd_depot_take(&pool->depot);
	uint64_t left;
	void *block;

	if (!magazine)
		return dd_backing_take(pool);
	left = dd_plain_load(&magazine->count) - 1;
	block = dd_plain_load(&dd_magazine_places(magazine)[left].block);
	dd_plain_store(&magazine->count, left);
	dd_depot_return(&pool->depot, magazine);
	dd_pool_count_here(pool, DD_POOL_TAKEN, 1);
	return block;
}

static bool give_without_cache(struct defer_drop_pool *pool, void *block)
{
	/* The last one, to fill those up that this function makes. */
	struct dd_magazine *magazine = dd_depot_take_last(&pool->depot);
	uint64_t count;

	if (magazine && dd_plain_load(&magazine->count) == pool->magazine_blocks) {
		dd_depot_send(&pool->depot, magazine);
		magazine = NULL;
	}
	if (!magazine && !dd_pool_is_full(pool))
		magazine = find_empty(pool);
	if (!magazine)
		return false;
	count = dd_plain_load(&magazine->count);
	dd_plain_store(&dd_magazine_places(magazine)[count].block, block);
	dd_plain_store(&magazine->count, count + 1);
	dd_depot_send(&pool->depot, magazine);
	dd_pool_count_here(pool, DD_POOL_GIVEN, 1);
	return true;
}

/* ---- Off the fast path ----------------------------------------------------------------------- */

static void *take_cached(struct defer_drop_pool *pool)
{
	struct dd_cache *cache = dd_cache_of(pool);

	if (!cache)
		return take_without_cache(pool);
	if (dd_cache_is_empty(cache) && !refill(pool, cache))
		return dd_backing_take(pool);
	return dd_cache_pop(cache, pool->last_byte);
}

/* Gives a block to the cache or the depot. False if there is no room for it. */
static bool give_cached(struct defer_drop_pool *pool, void *block)
{
	struct dd_cache *cache = dd_cache_of(pool);

	if (!cache)
		return give_without_cache(pool, block);
	if (dd_cache_is_full(cache)) {
		if (dd_pool_is_full(pool) && cache->previous)
			cache = release_previous(pool, cache);
		if (!make_room(pool, cache))
			return false;
	}
	dd_cache_push(cache, block);
	return true;
}

void *dd_pool_take_slowly(struct defer_drop_pool *pool)
{
	void *block = pool ? take_cached(pool) : NULL;

	if (block && dd_unlikely(pool->checks))
		dd_check_take(pool, block);
	return block;
}

void dd_pool_give_slowly(struct defer_drop_pool *pool, void *block)
{
	int before = errno;

	if (!pool || !block)
		return;
	if (dd_unlikely(pool->checks))
		dd_check_give(pool, block);
	if (!give_cached(pool, block)) {
		dd_backing_give(pool, block);
		dd_pool_count_here(pool, DD_POOL_GIVEN, 1);
		dd_backing_count(pool, 1);
	}
	errno = before;
}

/* ---- The calls ------------------------------------------------------------------------------- */

/*
 * Functions, and not inline in the header: otherwise a program would know the layout of a cache,
 * and could not run with another version of the library. This costs a take and a give together 2.8
 * ns: 5.7 instead of 2.9, where malloc and free take 6.0 (mimalloc) to 10 (glibc).
 */
void *defer_drop_pool_take(struct defer_drop_pool *pool)
{
	return dd_likely(pool != NULL) ? dd_pool_take(pool) : NULL;
}

void defer_drop_pool_give(struct defer_drop_pool *pool, void *block)
{
	if (dd_likely(pool && block))
		dd_pool_give(pool, block);
}
