/* SPDX-License-Identifier: MIT
 *
 * Pools, from inside: a depot, and two magazines for each thread.
 *
 *     depot.h     magazines, and how they go from thread to thread
 *     cache.h     a thread's two magazines of a pool
 *     take.c      take and give
 *     cache.c     what a thread has: making it, its end, fork
 *     own.c       what a thread has at first
 *     pool.c      making and freeing pools, trimming, statistics
 *     classes.c   size classes
 *     rest.c      what a consumer does for pools before it sleeps
 *     check.c     checked pools: by themselves, or by tools
 *
 * One lock, of all pools, is taken when a pool is made or freed, when a thread first uses a pool or
 * ends, when a consumer rests, for statistics and by fork. No other lock is taken under it, and no
 * function of the backing is called.
 *
 * (Not called pool.h: libabigail tells public names from others by the names of files.)
 */
#ifndef DD_POOLS_H
#define DD_POOLS_H

#include "defer_drop/pool.h"
#include "pool/cache.h"

/* ---- Pools ----------------------------------------------------------------------------------- */

/* Why a pool's calls leave the fast path. */
enum {
	DD_POOL_CHECKED = DEFER_DROP_POOL_CHECKED, /* blocks have headers */
	DD_POOL_POISONED = 1 << 1,                 /* AddressSanitizer is there */
	DD_POOL_MEMCHECKED = 1 << 2,               /* the process runs in valgrind */
	DD_POOL_TRACED = 1 << 3,                   /* a tool looks for races */
};

struct defer_drop_pool {
	/* Set once. */
	uint32_t fast_index; /* of the cache that take and give look at; 0, which no pool has, if
			      * they must leave the fast path */
	uint32_t last_byte;  /* of a block, to prefetch: malloc does not align blocks to lines */
	uint32_t index;      /* of its caches */
	uint32_t magazine_blocks;
	uint32_t checks;
	size_t header_bytes; /* before each block */
	uint64_t max_blocks; /* in the depot */
	struct defer_drop_pool_config config;

	struct dd_depot depot;

	/* Counts of threads without a cache, and of threads that have ended. */
	alignas(DD_DEPOT_LINE) _Atomic(uint64_t) counts[DD_POOL_COUNTS];
	_Atomic(uint64_t) to_backing_total; /* by any thread */
	_Atomic(uint64_t) turned_at_ns;     /* the last turn; the thread that sets it makes one */

	/* Threads that give blocks back to the backing, for which freeing waits: a futex word. */
	_Atomic(uint32_t) visitors;

	struct dd_depot_held held; /* during fork, under the lock */
};

static inline size_t dd_pool_bytes(const struct defer_drop_pool *pool, uint64_t blocks)
{
	return blocks * pool->config.block_bytes;
}

/* ---- The list (list.c) ----------------------------------------------------------------------- */

/* All pools. Under the lock. */
extern struct dd_pools {
	struct defer_drop_pool **at; /* by index; no pool has index 0 */
	uint32_t places;
} dd_pools;

void dd_pools_lock(void);
void dd_pools_unlock(void);

/* Enters a pool. Returns its index, or 0 if there is no memory. Under the lock. */
uint32_t dd_pools_place(struct defer_drop_pool *pool);

/* Returns the next pool of that index or a greater one, and its index; NULL if there is none. The
 * pool is not freed before dd_pool_leave. */
struct defer_drop_pool *dd_pools_visit(uint32_t *index);
void dd_pool_leave(struct defer_drop_pool *pool);
/* Reads the counts of the next pool, see core/print.h. */
bool dd_pools_next(uint32_t *index, struct defer_drop_pool_counts *counts, size_t *block_bytes);
/* Waits for the visitors of a pool that was removed. */
void dd_pool_await(struct defer_drop_pool *pool);

/* ---- All threads (cache.c) ------------------------------------------------------------------- */

/* Enters a pool, and gives it an index. 0 or -ENOMEM. */
int dd_pools_add(struct defer_drop_pool *pool);
/* Takes a pool from the list, and its magazines from the threads. -EBUSY if blocks are out. */
int dd_pools_remove(struct defer_drop_pool *pool);

/* Sums the counts of a pool. */
void dd_pool_count(struct defer_drop_pool *pool, uint64_t counts[DD_POOL_COUNTS]);

/* Returns the calling thread's cache of a pool, if it has one already. */
static inline struct dd_cache *dd_cache_look(const struct defer_drop_pool *pool)
{
	return pool->index < dd_own->count ? dd_caches_at(dd_own, pool->index) : NULL;
}

/* Counts for a pool in the thread's cache, or in the pool if it has none. */
static inline void dd_pool_count_here(
	struct defer_drop_pool *pool, enum dd_pool_counter which, uint64_t count)
{
	struct dd_cache *cache = dd_cache_look(pool);

	if (cache)
		dd_add(&cache->counts[which], count);
	else
		dd_add_shared(&pool->counts[which], count);
}

/* Returns the cache, made if needed; NULL if there is no memory, or the thread is ending. */
struct dd_cache *dd_cache_of(const struct defer_drop_pool *pool);

/* Sends the magazines of the calling thread's cache of a pool home. */
void dd_cache_send(struct defer_drop_pool *pool);
/* Sends those of pools with nothing at home; is_in_any_case: of pools whose depot has room. */
void dd_caches_send(bool is_in_any_case);

/* ---- Making and freeing, statistics (pool.c) ------------------------------------------------- */

/* Completes a configuration. 0, or an error of defer_drop_pool_create. */
int dd_pool_config_make(
	const struct defer_drop_pool_config *asked, struct defer_drop_pool_config *config);

/* Makes a pool in the caller's memory, by a complete configuration; dd_pool_end frees it. */
int dd_pool_begin(struct defer_drop_pool *pool, const struct defer_drop_pool_config *config);
int dd_pool_end(struct defer_drop_pool *pool);

void dd_pool_add_stats(struct defer_drop_pool *pool, struct defer_drop_pool_counts *stats);
int dd_pool_give_stats(
	const struct defer_drop_pool_counts *stats, struct defer_drop_pool_counts *to);

/* ---- The backing (backing.c) ----------------------------------------------------------------- */

/* Takes a block from the backing, or returns NULL; gives one back, without counting it. */
void *dd_backing_take(struct defer_drop_pool *pool);
void dd_backing_give(struct defer_drop_pool *pool, void *block);
void dd_backing_count(struct defer_drop_pool *pool, uint64_t count);

/* Gives all blocks of the caller's magazine back to the backing. */
void dd_pool_release(struct defer_drop_pool *pool, struct dd_magazine *magazine);

/* ---- Take and give (take.c) ------------------------------------------------------------------ */

/* True if the depot would have too much with one more magazine. */
static inline bool dd_pool_is_full(struct defer_drop_pool *pool)
{
	return dd_depot_blocks(&pool->depot) + pool->magazine_blocks > pool->max_blocks;
}

/* Take and give off the fast path. pool or block may be NULL. */
void *dd_pool_take_slowly(struct defer_drop_pool *pool);
void dd_pool_give_slowly(struct defer_drop_pool *pool, void *block);

/* Take and give, for a pool and a block that are not NULL. */
static inline void *dd_pool_take(struct defer_drop_pool *pool)
{
	struct dd_caches *own = dd_own;
	uint32_t index = pool->fast_index;

	if (dd_unlikely(index >= own->count || dd_cache_is_empty(dd_caches_at(own, index))))
		return dd_pool_take_slowly(pool);
	return dd_cache_pop(dd_caches_at(own, index), pool->last_byte);
}

static inline void dd_pool_give(struct defer_drop_pool *pool, void *block)
{
	struct dd_caches *own = dd_own;
	uint32_t index = pool->fast_index;

	if (dd_unlikely(index >= own->count || dd_cache_is_full(dd_caches_at(own, index))))
		dd_pool_give_slowly(pool, block);
	else
		dd_cache_push(dd_caches_at(own, index), block);
}

/* ---- Rest (rest.c) --------------------------------------------------------------------------- */

/* Does what a consumer does for pools before it sleeps, see core/rest.h. */
uint64_t dd_pools_rest(uint64_t now_ns, bool is_deep);

/* Gives blocks at rest back to the backing until at most `blocks` are in the depot. */
void dd_pool_shrink(struct defer_drop_pool *pool, uint64_t blocks);

/* ---- Checks (check.c) ------------------------------------------------------------------------ */

/* Finds out which checks apply, and what they need before each block. Before the pool is used. */
void dd_check_begin(struct defer_drop_pool *pool);
/* Ends the checks, after the last block has gone. */
void dd_check_end(struct defer_drop_pool *pool);

/* A block comes from the backing; goes back to it. Between, it is at rest unless it is out. */
void dd_check_enter(struct defer_drop_pool *pool, void *block);
void dd_check_leave(struct defer_drop_pool *pool, void *block);
/* A block is taken; is given. The second aborts if it was not taken from this pool. */
void dd_check_take(struct defer_drop_pool *pool, void *block);
void dd_check_give(struct defer_drop_pool *pool, void *block);

#endif
