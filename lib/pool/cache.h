/* SPDX-License-Identifier: MIT
 *
 * What a thread has of a pool: two magazines, and counts.
 */
#ifndef DD_POOL_CACHE_H
#define DD_POOL_CACHE_H

#include "base/counter.h"
#include "base/tls.h"
#include "pool/depot.h"

/*
 * Take prefetches, for writing, the block that is taken this many blocks later. (Measured with a
 * worker on another core, lists of 64 nodes of 64 bytes, all in the cache: the caller's time for a
 * node is 5.6 ns with 8, 5.1 with 16, 4.1 with 32. Prefetched for reading, as compilers do unless
 * they are told of the CPU, and with 16: 5.8 instead of 5.6.)
 */
#define DD_AHEAD 32

/* On a CPU that does not know the instruction, it does nothing. */
static inline void dd_fetch_to_write(const void *address)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
	dd_prefetch_to_write(address);
#endif
}

/* The counts of a pool that each thread keeps. */
enum dd_pool_counter {
	DD_POOL_TAKEN,
	DD_POOL_GIVEN,
	DD_POOL_FROM_BACKING,
	DD_POOL_COUNTS,
};

/*
 * A thread's magazines of one pool: one is loaded, the other is full or empty, or missing. (With
 * two, a thread that takes and gives in turn does not go to the depot each time that one ends.) All
 * zeros: it has none. Written by its thread; other threads read the counts. It takes exactly one
 * cache line.
 */
struct dd_cache {
	/* In the loaded magazine: the end of its blocks, its first block, the end of its places. */
	alignas(DD_DEPOT_LINE) struct dd_place *top;
	struct dd_place *bottom;
	struct dd_place *limit;
	struct dd_magazine *loaded; /* NULL: none, and the three above are NULL too */
	struct dd_magazine *previous;
	_Atomic(uint64_t) counts[DD_POOL_COUNTS];
};

/* What a thread has of all pools. Its caches follow, by the index of the pool. */
struct dd_caches {
	alignas(DD_DEPOT_LINE) uint32_t count; /* set once; 0 in dd_nobody and dd_ended */
	struct dd_caches *next;                /* under the lock, like link */
	struct dd_caches **link;
};

static inline struct dd_cache *dd_caches_at(struct dd_caches *caches, uint32_t index)
{
	return (struct dd_cache *)(caches + 1) + index;
}

/* The calling thread's caches. Never NULL. */
extern _Thread_local struct dd_caches *dd_own __attribute__((tls_model(DD_TLS_MODEL)));

/* Stand-ins for a thread's caches: before it has some, and when it is ending. */
extern struct dd_caches dd_nobody;
extern struct dd_caches dd_ended;

/* ---- The loaded magazine --------------------------------------------------------------------- */

/* Loads a magazine that has room for `blocks` blocks. */
static inline void dd_cache_load(
	struct dd_cache *cache, struct dd_magazine *magazine, uint32_t blocks)
{
	cache->loaded = magazine;
	cache->bottom = dd_magazine_places(magazine);
	cache->top = cache->bottom + dd_plain_load(&magazine->count);
	cache->limit = cache->bottom + blocks;
}

/* Unloads the loaded magazine, and stores its count in it. Returns it, or NULL. */
static inline struct dd_magazine *dd_cache_unload(struct dd_cache *cache)
{
	struct dd_magazine *loaded = cache->loaded;

	if (loaded)
		dd_plain_store(&loaded->count, (uint64_t)(cache->top - cache->bottom));
	cache->top = cache->bottom = cache->limit = NULL;
	cache->loaded = NULL;
	return loaded;
}

static inline bool dd_cache_is_empty(const struct dd_cache *cache)
{
	return cache->top == cache->bottom;
}

static inline bool dd_cache_is_full(const struct dd_cache *cache)
{
	return cache->top == cache->limit;
}

/* Prefetches a block for writing: its first line, and the line of the byte at last_byte. */
static inline void dd_cache_fetch_block(char *block, uint32_t last_byte)
{
	dd_fetch_to_write(block);
	dd_fetch_to_write(block + last_byte);
}

/* Takes from a cache that is not empty. last_byte: of the pool. */
static inline void *dd_cache_pop(struct dd_cache *cache, uint32_t last_byte)
{
	struct dd_place *top = cache->top - 1;
	ptrdiff_t below = top - cache->bottom;

	/* Without a branch, which would be mispredicted at the end of each magazine. */
	dd_cache_fetch_block(
		dd_plain_load(&top[-(below < DD_AHEAD ? below : DD_AHEAD)].block), last_byte);
	cache->top = top;
	dd_count(&cache->counts[DD_POOL_TAKEN]);
	return dd_plain_load(&top->block);
}

/* Gives to a cache that is not full. */
static inline void dd_cache_push(struct dd_cache *cache, void *block)
{
	dd_plain_store(&cache->top->block, block);
	cache->top++;
	dd_count(&cache->counts[DD_POOL_GIVEN]);
}

/* Prefetches the places of a magazine just loaded, and the blocks that are taken next. */
static inline void dd_cache_fetch(const struct dd_cache *cache, uint32_t last_byte)
{
	const ptrdiff_t places_in_line = DD_DEPOT_LINE / sizeof(struct dd_place);
	ptrdiff_t count = cache->top - cache->bottom;

	for (ptrdiff_t i = 1; i <= count; i += places_in_line)
		dd_prefetch(cache->top - i);
	for (ptrdiff_t i = 1; i <= DD_AHEAD && i <= count; i++)
		dd_cache_fetch_block(dd_plain_load(&cache->top[-i].block), last_byte);
}

#endif
