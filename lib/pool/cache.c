/* SPDX-License-Identifier: MIT
 *
 * What a thread has of pools: how it is made, the end of the thread, and fork.
 */
#include "pool/pools.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fork.h"

static struct dd_caches *threads; /* under the lock of pools */

static pthread_once_t farewell_once = PTHREAD_ONCE_INIT;
static pthread_key_t farewell_key;
static bool farewell_works; /* pthread_once(3) carries it */

/* ---- Counts ---------------------------------------------------------------------------------- */

/* Sums the counts of a pool over all threads. Under the lock. */
static void sum_up(struct defer_drop_pool *pool, uint64_t counts[DD_POOL_COUNTS])
{
	for (unsigned which = 0; which < DD_POOL_COUNTS; which++) {
		counts[which] = dd_read(&pool->counts[which]);
		for (struct dd_caches *at = threads; at; at = at->next)
			if (pool->index < at->count)
				counts[which] +=
					dd_read(&dd_caches_at(at, pool->index)->counts[which]);
	}
}

void dd_pool_count(struct defer_drop_pool *pool, uint64_t counts[DD_POOL_COUNTS])
{
	dd_pools_lock();
	sum_up(pool, counts);
	dd_pools_unlock();
}

/* Adds the counts of a cache that has no thread any more to its pool. Under the lock. */
static void hand_over_counts(struct defer_drop_pool *pool, struct dd_cache *cache)
{
	for (unsigned which = 0; which < DD_POOL_COUNTS; which++) {
		dd_add_shared(&pool->counts[which], dd_read(&cache->counts[which]));
		atomic_store_explicit(&cache->counts[which], 0, memory_order_relaxed);
	}
}

/* ---- A thread's end -------------------------------------------------------------------------- */

/* Puts a magazine into the depot; if that is full, its blocks go to the backing first. */
static void put_away(struct defer_drop_pool *pool, struct dd_magazine *magazine)
{
	if (magazine && dd_pool_is_full(pool))
		dd_pool_release(pool, magazine);
	dd_depot_return(&pool->depot, magazine);
}

static void leave(struct defer_drop_pool *pool, struct dd_cache *cache)
{
	struct dd_magazine *loaded;
	struct dd_magazine *previous;

	dd_pools_lock();
	hand_over_counts(pool, cache);
	loaded = dd_cache_unload(cache);
	previous = cache->previous;
	cache->previous = NULL;
	dd_pools_unlock();
	put_away(pool, loaded);
	put_away(pool, previous);
}

/*
 * Runs when a thread ends, among the destructors of other thread-specific data. These may still
 * take and give, without a cache.
 */
static void farewell(void *self)
{
	struct dd_caches *mine = dd_own;
	struct defer_drop_pool *pool;

	(void)self;
	dd_own = &dd_ended;
	for (uint32_t i = 0; i < mine->count && (pool = dd_pools_visit(&i)); i++) {
		if (i < mine->count)
			leave(pool, dd_caches_at(mine, i));
		dd_pool_leave(pool);
	}
	if (mine == &dd_nobody || mine == &dd_ended)
		return;
	dd_pools_lock();
	*mine->link = mine->next;
	if (mine->next)
		mine->next->link = mine->link;
	dd_pools_unlock();
	free(mine);
}

static void make_farewell_key(void)
{
	farewell_works = !pthread_key_create(&farewell_key, farewell);
}

/*
 * A static library inside a shared object is unloaded with it: threads that end later must not call
 * its farewell.
 */
__attribute__((destructor)) static void delete_farewell_key(void)
{
	if (farewell_works)
		pthread_key_delete(farewell_key);
	farewell_works = false;
}

/* True if this thread will give its magazines back when it ends. */
static bool will_say_farewell(void)
{
	pthread_once(&farewell_once, make_farewell_key);
	return farewell_works && !pthread_setspecific(farewell_key, &farewell_key);
}

/* ---- A thread's caches ----------------------------------------------------------------------- */

static void link_first(struct dd_caches *caches)
{
	caches->next = threads;
	caches->link = &threads;
	if (threads)
		threads->link = &caches->next;
	threads = caches;
}

/* Replaces the thread's caches in the list. */
static void link_instead(struct dd_caches *caches, struct dd_caches *before)
{
	memcpy(dd_caches_at(caches, 0), dd_caches_at(before, 0),
		before->count * sizeof(struct dd_cache));
	caches->next = before->next;
	caches->link = before->link;
	*caches->link = caches;
	if (caches->next)
		caches->next->link = &caches->next;
}

/* Makes room for the caches of all pools that exist. False if there is no memory. */
static bool grow(void)
{
	struct dd_caches *before = dd_own;
	struct dd_caches *caches;
	size_t bytes;

	dd_pools_lock();
	bytes = sizeof *caches + dd_pools.places * sizeof(struct dd_cache);
	caches = aligned_alloc(DD_DEPOT_LINE, bytes);
	if (caches) {
		memset(caches, 0, bytes);
		caches->count = dd_pools.places;
		if (before == &dd_nobody)
			link_first(caches);
		else
			link_instead(caches, before);
		dd_own = caches;
	}
	dd_pools_unlock();
	if (caches && before != &dd_nobody)
		free(before);
	return caches;
}

struct dd_cache *dd_cache_of(const struct defer_drop_pool *pool)
{
	int before = errno;

	if (!dd_cache_look(pool) && dd_own != &dd_ended &&
		(dd_own != &dd_nobody || will_say_farewell()))
		grow();
	errno = before;
	return dd_cache_look(pool);
}

/* Sends both magazines home, except for a loaded one that is empty: it will be needed. */
static void send_both(struct defer_drop_pool *pool, struct dd_cache *cache)
{
	dd_depot_return(&pool->depot, cache->previous);
	cache->previous = NULL;
	if (!dd_cache_is_empty(cache))
		dd_depot_return(&pool->depot, dd_cache_unload(cache));
}

void dd_cache_send(struct defer_drop_pool *pool)
{
	struct dd_cache *cache = dd_cache_look(pool);

	if (cache)
		send_both(pool, cache);
}

/* True if a pool's magazines should go home. Under the lock, which keeps the pools in place. */
static bool wants_to_be_sent(struct defer_drop_pool *pool, bool is_in_any_case)
{
	return is_in_any_case ? !dd_pool_is_full(pool) : dd_depot_is_empty(&pool->depot);
}

void dd_caches_send(bool is_in_any_case)
{
	dd_pools_lock();
	for (uint32_t i = 1; i < dd_own->count; i++) {
		struct dd_cache *cache = dd_caches_at(dd_own, i);

		if ((cache->loaded || cache->previous) &&
			wants_to_be_sent(dd_pools.at[i], is_in_any_case))
			send_both(dd_pools.at[i], cache);
	}
	dd_pools_unlock();
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void hold(void)
{
	dd_pools_lock();
	for (uint32_t i = 1; i < dd_pools.places; i++)
		if (dd_pools.at[i])
			dd_depot_hold(&dd_pools.at[i]->depot, &dd_pools.at[i]->held);
}

static void let_go(void)
{
	for (uint32_t i = 1; i < dd_pools.places; i++)
		if (dd_pools.at[i])
			dd_depot_let_go(&dd_pools.at[i]->depot, &dd_pools.at[i]->held);
	dd_pools_unlock();
}

static uint64_t blocks_of(struct dd_magazine *chain)
{
	uint64_t blocks = 0;

	for (; chain; chain = dd_plain_load(&chain->next))
		blocks += dd_plain_load(&chain->count);
	return blocks;
}

static uint64_t blocks_in(const struct dd_cache *cache)
{
	uint64_t blocks = (uint64_t)(cache->top - cache->bottom);

	return cache->previous ? blocks + dd_plain_load(&cache->previous->count) : blocks;
}

/* Repairs a pool in the child. What other threads were doing may be half done: only what is held is
 * whole. */
static void repair(struct defer_drop_pool *pool)
{
	const struct dd_depot_held *held = &pool->held;
	uint64_t at_rest = blocks_of(held->home) + blocks_of(held->ready);
	const struct dd_cache *cache = dd_cache_look(pool);
	uint64_t counts[DD_POOL_COUNTS];
	uint64_t lost;

	dd_depot_survive(&pool->depot, at_rest);
	dd_depot_let_go(&pool->depot, held);
	atomic_store_explicit(&pool->visitors, 0, memory_order_relaxed);
	sum_up(pool, counts);
	at_rest += cache ? blocks_in(cache) : 0;
	lost = counts[DD_POOL_FROM_BACKING] + counts[DD_POOL_GIVEN] - counts[DD_POOL_TAKEN] -
	       dd_read(&pool->to_backing_total) - at_rest;
	if (lost < UINT64_MAX / 2) /* a thread that has ended may have been about to count */
		dd_add_shared(&pool->to_backing_total, lost);
}

static void survive(void)
{
	struct dd_caches *next;

	for (struct dd_caches *at = threads; at; at = next) {
		next = at->next;
		if (at == dd_own)
			continue;
		for (uint32_t i = 1; i < at->count; i++)
			if (dd_pools.at[i])
				hand_over_counts(dd_pools.at[i], dd_caches_at(at, i));
		free(at);
	}
	threads = NULL;
	if (dd_own != &dd_nobody && dd_own != &dd_ended)
		link_first(dd_own);
	for (uint32_t i = 1; i < dd_pools.places; i++)
		if (dd_pools.at[i])
			repair(dd_pools.at[i]);
	dd_pools_unlock();
}

static struct dd_fork_part fork_part = {hold, let_go, survive, NULL};

DD_AT_LOAD static void hear_of_fork(void)
{
	dd_fork_add(&fork_part);
}

/* ---- Pools come and go ----------------------------------------------------------------------- */

int dd_pools_add(struct defer_drop_pool *pool)
{
	dd_pools_lock();
	pool->index = dd_fork_is_heard() ? dd_pools_place(pool) : 0;
	dd_pools_unlock();
	return pool->index ? 0 : -ENOMEM;
}

/* Takes a pool's magazines from all threads. Under the lock. */
static void take_from_threads(struct defer_drop_pool *pool)
{
	for (struct dd_caches *at = threads; at; at = at->next) {
		struct dd_cache *cache;

		if (pool->index >= at->count)
			continue;
		cache = dd_caches_at(at, pool->index);
		hand_over_counts(pool, cache);
		dd_depot_return(&pool->depot, dd_cache_unload(cache));
		dd_depot_return(&pool->depot, cache->previous);
		cache->previous = NULL;
	}
}

int dd_pools_remove(struct defer_drop_pool *pool)
{
	uint64_t counts[DD_POOL_COUNTS];
	bool is_out;

	dd_pools_lock();
	sum_up(pool, counts);
	is_out = counts[DD_POOL_TAKEN] != counts[DD_POOL_GIVEN];
	if (!is_out) {
		take_from_threads(pool);
		dd_pools.at[pool->index] = NULL;
	}
	dd_pools_unlock();
	return is_out ? -EBUSY : 0;
}
