/* SPDX-License-Identifier: MIT
 *
 * Making and freeing pools, trimming, statistics.
 */
#include "pool/pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/versioned.h"
#include "core/print.h"
#include "core/rest.h"

/* Sizes of the first version of each struct; later versions add to them. */
#define DD_POOL_CONFIG_SIZE_0 72
#define DD_POOL_COUNTS_SIZE_0 80

_Static_assert(sizeof(struct defer_drop_pool_config) == DD_POOL_CONFIG_SIZE_0, "pool_config");
_Static_assert(sizeof(struct defer_drop_pool_counts) == DD_POOL_COUNTS_SIZE_0, "pool_counts");
_Static_assert(sizeof(struct dd_cache) == DD_DEPOT_LINE, "a cache takes one line");

#define MOST_BLOCK_BYTES   (UINT64_C(1) << 40)
#define MOST_ALIGNMENT     (UINT64_C(1) << 20)
#define MOST_MAGAZINE      4096
#define MOST_AT_REST_BYTES (UINT64_C(1) << 62)
#define LEAST_IDLE_NS      DD_MS

/* Bytes of a block that are prefetched: two lines, after which the CPU sees a pattern. */
#define MOST_FETCHED 128

/* ---- The built-in backing -------------------------------------------------------------------- */

static void *take_from_malloc(void *context, size_t bytes, size_t alignment)
{
	(void)context;
	if (alignment <= _Alignof(max_align_t))
		return malloc(bytes);
	return aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));
}

static void give_to_malloc(void *context, void *block, size_t bytes, size_t alignment)
{
	(void)context;
	(void)bytes;
	(void)alignment;
	free(block);
}

/* Returns how many blocks a magazine holds. With its own 16 bytes, 126 blocks make it 1 KiB. A
 * thread and the depot hold two magazines or more; of large blocks they must not hold megabytes. */
static uint32_t magazine_blocks(size_t block_bytes)
{
	const size_t most_bytes = 65536;
	uint32_t blocks = 126;

	while (blocks > 2 && blocks * block_bytes > most_bytes)
		blocks = blocks / 2 - 1;
	return blocks;
}

/* ---- Configuration --------------------------------------------------------------------------- */

int defer_drop_pool_config_built_in(struct defer_drop_pool_config *config)
{
	const struct defer_drop_pool_config built_in = {
		.alignment = _Alignof(max_align_t),
		.max_bytes = UINT64_C(16) << 20,
		.idle_ns = 500 * DD_MS,
	};

	return config ? dd_versioned_fill(config, DD_POOL_CONFIG_SIZE_0, &built_in, sizeof built_in)
		      : -EINVAL;
}

static bool is_in_range(const struct defer_drop_pool_config *config)
{
	return config->block_bytes >= 1 && config->block_bytes <= MOST_BLOCK_BYTES &&
	       config->alignment >= 1 && config->alignment <= MOST_ALIGNMENT &&
	       !(config->alignment & (config->alignment - 1)) && config->magazine_blocks != 1 &&
	       config->magazine_blocks <= MOST_MAGAZINE &&
	       !(config->flags & ~(uint32_t)DEFER_DROP_POOL_CHECKED) &&
	       config->max_bytes <= MOST_AT_REST_BYTES && config->idle_ns >= LEAST_IDLE_NS &&
	       (config->idle_ns <= DEFER_DROP_TIMEOUT_MAX || config->idle_ns == DEFER_DROP_NEVER) &&
	       !config->backing_take == !config->backing_give;
}

int dd_pool_config_make(
	const struct defer_drop_pool_config *asked, struct defer_drop_pool_config *config)
{
	int result = asked ? dd_versioned_copy(config, sizeof *config, DD_POOL_CONFIG_SIZE_0, asked)
			   : -EINVAL;

	if (result)
		return result;
	if (!config->backing_take && !config->backing_give) {
		config->backing_take = take_from_malloc;
		config->backing_give = give_to_malloc;
	}
	return 0;
}

/* ---- The calls ------------------------------------------------------------------------------- */

int dd_pool_begin(struct defer_drop_pool *pool, const struct defer_drop_pool_config *config)
{
	int result;

	if (!is_in_range(config))
		return -EINVAL;
	memset(pool, 0, sizeof *pool);
	pool->config = *config;
	pool->magazine_blocks = config->magazine_blocks ? config->magazine_blocks
							: magazine_blocks(config->block_bytes);
	pool->max_blocks = config->max_bytes / config->block_bytes;
	pool->last_byte = config->block_bytes < MOST_FETCHED ? (uint32_t)config->block_bytes - 1
							     : MOST_FETCHED - 1;
	dd_check_begin(pool);
	result = dd_pools_add(pool);
	if (result)
		dd_check_end(pool);
	else
		pool->fast_index = pool->checks ? 0 : pool->index;
	dd_rest_begin(dd_pools_rest);
	dd_print_pools(dd_pools_next);
	return result;
}

int dd_pool_end(struct defer_drop_pool *pool)
{
	int result = dd_pools_remove(pool);

	if (result)
		return result;
	dd_pool_await(pool);
	dd_pool_shrink(pool, 0);
	dd_check_end(pool);
	return 0;
}

int defer_drop_pool_create(
	struct defer_drop_pool **pool, const struct defer_drop_pool_config *config)
{
	struct defer_drop_pool_config checked;
	struct defer_drop_pool *made;
	int result = pool ? dd_pool_config_make(config, &checked) : -EINVAL;

	if (result)
		return result;
	made = aligned_alloc(_Alignof(struct defer_drop_pool), sizeof *made);
	if (!made)
		return -ENOMEM;
	result = dd_pool_begin(made, &checked);
	if (result)
		free(made);
	else
		*pool = made;
	return result;
}

int defer_drop_pool_free(struct defer_drop_pool *pool)
{
	int result = pool ? dd_pool_end(pool) : -EINVAL;

	if (!result)
		free(pool);
	return result;
}

int defer_drop_pool_trim(struct defer_drop_pool *pool, uint64_t keep_bytes)
{
	if (!pool)
		return -EINVAL;
	dd_cache_send(pool);
	dd_pool_shrink(pool, keep_bytes / pool->config.block_bytes);
	return 0;
}

/* ---- Statistics ------------------------------------------------------------------------------ */

static uint64_t difference(uint64_t more, uint64_t less)
{
	return more > less ? more - less : 0;
}

void dd_pool_add_stats(struct defer_drop_pool *pool, struct defer_drop_pool_counts *stats)
{
	/* Read first: blocks that were given to the backing came from it before. */
	uint64_t to_backing = dd_read(&pool->to_backing_total);
	uint64_t counts[DD_POOL_COUNTS];
	uint64_t in_use; /* from the backing, and not given back */
	uint64_t out;

	dd_pool_count(pool, counts);
	out = difference(counts[DD_POOL_TAKEN], counts[DD_POOL_GIVEN]);
	in_use = difference(counts[DD_POOL_FROM_BACKING], to_backing);
	stats->taken_total += counts[DD_POOL_TAKEN];
	stats->given_total += counts[DD_POOL_GIVEN];
	stats->from_home_total += difference(counts[DD_POOL_TAKEN], counts[DD_POOL_FROM_BACKING]);
	stats->from_backing_total += counts[DD_POOL_FROM_BACKING];
	stats->to_backing_total += to_backing;
	stats->out += out;
	stats->at_rest += difference(in_use, out);
	stats->out_bytes += dd_pool_bytes(pool, out);
	stats->at_rest_bytes += dd_pool_bytes(pool, difference(in_use, out));
}

bool dd_pools_next(uint32_t *index, struct defer_drop_pool_counts *counts, size_t *block_bytes)
{
	struct defer_drop_pool *pool = dd_pools_visit(index);

	if (!pool)
		return false;
	*counts = (struct defer_drop_pool_counts){.size = sizeof *counts};
	*block_bytes = pool->config.block_bytes;
	dd_pool_add_stats(pool, counts);
	dd_pool_leave(pool);
	return true;
}

int dd_pool_give_stats(
	const struct defer_drop_pool_counts *stats, struct defer_drop_pool_counts *to)
{
	return dd_versioned_fill(to, DD_POOL_COUNTS_SIZE_0, stats, sizeof *stats);
}

int defer_drop_pool_stats(struct defer_drop_pool *pool, struct defer_drop_pool_counts *to)
{
	struct defer_drop_pool_counts stats = {0};

	if (!pool || !to)
		return -EINVAL;
	dd_pool_add_stats(pool, &stats);
	return dd_pool_give_stats(&stats, to);
}
