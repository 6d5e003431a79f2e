/* SPDX-License-Identifier: MIT
 *
 * What a consumer does for pools before it sleeps: it sends its own magazines home, and gives idle
 * blocks back to the backing.
 *
 * A pool's depot makes a turn each idle_ns. Blocks that were not needed between two turns leave, in
 * pieces, so that drops pushed meanwhile do not wait for all of them.
 */
#include "pool/pools.h"

#include <stdlib.h>

/* Blocks given back to the backing before the consumer looks at its lanes again: some 50 us. */
#define DD_PIECE 1024

/* When the next turn of any pool is due, as far as is known, so that napping consumers need not
 * look. A plain word, for hints: that of another consumer may be missed, until this one is about
 * to sleep. */
static uint64_t due_ns;

/* Gives a piece of what is idle back to the backing. True if nothing is left of it. */
static bool release_some(struct defer_drop_pool *pool)
{
	struct dd_depot *depot = &pool->depot;
	uint64_t released = 0;
	struct dd_magazine *magazine;

	while (released < DD_PIECE) {
		magazine = dd_depot_take_idle(depot);
		magazine = magazine ? magazine : dd_stack_take(&depot->spare);
		if (!magazine)
			return true;
		released += dd_plain_load(&magazine->count) + 1;
		dd_pool_release(pool, magazine);
		dd_magazine_free(magazine);
	}
	return false;
}

/* Makes the turn that is due. False if another consumer makes it. */
static bool turn(struct defer_drop_pool *pool, uint64_t last_ns, uint64_t now_ns)
{
	if (!atomic_compare_exchange_strong_explicit(&pool->turned_at_ns, &last_ns, now_ns,
		    memory_order_relaxed, memory_order_relaxed))
		return false;
	dd_depot_turn(&pool->depot);
	return true;
}

/* Does what a pool needs. Returns when to look next. */
static uint64_t look_after(struct defer_drop_pool *pool, uint64_t now_ns)
{
	uint64_t last_ns = atomic_load_explicit(&pool->turned_at_ns, memory_order_relaxed);

	if (!release_some(pool))
		return 0;
	if ((dd_depot_is_empty(&pool->depot) && dd_stack_is_empty(&pool->depot.empty)) ||
		pool->config.idle_ns == DEFER_DROP_NEVER)
		return DEFER_DROP_FOREVER;
	if (now_ns - last_ns < pool->config.idle_ns)
		return last_ns + pool->config.idle_ns;
	return turn(pool, last_ns, now_ns) ? 0 : now_ns + pool->config.idle_ns;
}

uint64_t dd_pools_rest(uint64_t now_ns, bool is_deep)
{
	uint64_t next_ns = DEFER_DROP_FOREVER;
	struct defer_drop_pool *pool;

	dd_caches_send(is_deep);
	if (!is_deep && now_ns < __atomic_load_n(&due_ns, __ATOMIC_RELAXED))
		return DEFER_DROP_FOREVER;
	for (uint32_t i = 1; (pool = dd_pools_visit(&i)); i++) {
		uint64_t look_ns = look_after(pool, now_ns);

		next_ns = look_ns < next_ns ? look_ns : next_ns;
		dd_pool_leave(pool);
	}
	__atomic_store_n(&due_ns, next_ns, __ATOMIC_RELAXED);
	return next_ns;
}

static void free_all(struct dd_magazine *chain)
{
	while (chain) {
		struct dd_magazine *next = dd_plain_load(&chain->next);

		dd_magazine_free(chain);
		chain = next;
	}
}

void dd_pool_shrink(struct defer_drop_pool *pool, uint64_t blocks)
{
	struct dd_depot *depot = &pool->depot;
	struct dd_magazine *magazine;

	while (dd_depot_blocks(depot) > blocks && (magazine = dd_depot_take(depot))) {
		dd_pool_release(pool, magazine);
		dd_magazine_free(magazine);
	}
	free_all(dd_stack_take_all(&depot->empty));
	free_all(dd_stack_take_all(&depot->spare));
}
