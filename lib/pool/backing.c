/* SPDX-License-Identifier: MIT
 *
 * Taking blocks from the backing, and giving them back.
 */
#include "pool/pools.h"

void *dd_backing_take(struct defer_drop_pool *pool)
{
	const struct defer_drop_pool_config *config = &pool->config;
	char *memory = config->backing_take(
		config->context, pool->header_bytes + config->block_bytes, config->alignment);

	if (!memory)
		return NULL;
	if (dd_unlikely(pool->checks))
		dd_check_enter(pool, memory + pool->header_bytes);
	dd_pool_count_here(pool, DD_POOL_TAKEN, 1);
	dd_pool_count_here(pool, DD_POOL_FROM_BACKING, 1);
	return memory + pool->header_bytes;
}

void dd_backing_give(struct defer_drop_pool *pool, void *block)
{
	const struct defer_drop_pool_config *config = &pool->config;

	if (dd_unlikely(pool->checks))
		dd_check_leave(pool, block);
	config->backing_give(config->context, (char *)block - pool->header_bytes,
		pool->header_bytes + config->block_bytes, config->alignment);
}

/* Counts in the pool, not in a cache: a thread may give back blocks of a pool that is being freed,
 * whose caches belong to no thread any more. */
void dd_backing_count(struct defer_drop_pool *pool, uint64_t count)
{
	dd_add_shared(&pool->to_backing_total, count);
}

void dd_pool_release(struct defer_drop_pool *pool, struct dd_magazine *magazine)
{
	uint64_t count = dd_plain_load(&magazine->count);

	for (uint64_t i = 0; i < count; i++)
		dd_backing_give(pool, dd_plain_load(&dd_magazine_places(magazine)[i].block));
	dd_plain_store(&magazine->count, 0);
	dd_backing_count(pool, count);
}
