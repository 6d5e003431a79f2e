/* SPDX-License-Identifier: MIT
 *
 * Measures take and give on one thread, against malloc and free: 64 blocks are taken, touched and
 * given, again and again. The shortest of many short spells counts: no other program interrupted it.
 */
#include "pool.h"

#include <math.h>
#include <stdlib.h>

#include "bench.h"
#include "timer.h"

#define BLOCKS 64
#define SPELL  20 /* times 64 blocks: some 10 us */

const size_t single_bytes[SIZES] = {16, 64, 256, 4096};

static struct defer_drop_pool *pool;
static struct defer_drop_classes *classes;

static void *touched(char *block)
{
	if (!block)
		abort();
	*(volatile char *)block = 1;
	return block;
}

static void spell_malloc(void **blocks, size_t bytes)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = touched(malloc(bytes));
	for (unsigned i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

static void spell_pool(void **blocks, size_t bytes)
{
	(void)bytes;
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = touched(defer_drop_pool_take(pool));
	for (unsigned i = 0; i < BLOCKS; i++)
		defer_drop_pool_give(pool, blocks[i]);
}

static void spell_classes(void **blocks, size_t bytes)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = touched(defer_drop_classes_take(classes, bytes));
	for (unsigned i = 0; i < BLOCKS; i++)
		defer_drop_classes_give(classes, blocks[i], bytes);
}

static double measure(void (*spell)(void **blocks, size_t bytes), size_t bytes, uint64_t pairs)
{
	double least_ns = INFINITY;
	void *blocks[BLOCKS];

	for (uint64_t i = 0; i < pairs; i += BLOCKS * SPELL) {
		uint64_t begin = timer_now();
		double ns;

		for (unsigned j = 0; j < SPELL; j++)
			spell(blocks, bytes);
		ns = timer_mean_ns(timer_now() - begin, 1) / (BLOCKS * SPELL);
		least_ns = ns < least_ns ? ns : least_ns;
	}
	return least_ns;
}

void single_measure(struct pool_figures *figures, const struct pool_settings *settings)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	bench_check(defer_drop_classes_create(&classes, &config));
	for (unsigned i = 0; i < SIZES; i++) {
		struct single_figures *to = &figures->single[i];
		size_t bytes = single_bytes[i];

		config.block_bytes = bytes;
		bench_check(defer_drop_pool_create(&pool, &config));
		for (unsigned round = 0; round < settings->rounds; round++) {
			uint64_t pairs = settings->single_pairs;

			to->malloc_ns[round] = measure(spell_malloc, bytes, pairs);
			to->pool_ns[round] = measure(spell_pool, bytes, pairs);
			to->classes_ns[round] = measure(spell_classes, bytes, pairs);
		}
		bench_check(defer_drop_pool_free(pool));
	}
	bench_check(defer_drop_classes_free(classes));
}
