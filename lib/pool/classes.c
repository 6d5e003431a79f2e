/* SPDX-License-Identifier: MIT
 *
 * Size classes: one pool for each class.
 */
#include "pool/pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sizes are looked up in units of this many bytes, to which blocks are aligned too. */
#define UNIT       16
#define MOST_UNITS (DEFER_DROP_CLASSES_MOST_BYTES / UNIT)

/* One class for each of the first 8 units, then four for each of the six doublings above. */
#define CLASSES (8 + 4 * 6)

struct defer_drop_classes {
	/* Set once. */
	uint8_t class_of[MOST_UNITS + 1]; /* by units, rounded up */
	struct defer_drop_pool_config config;

	/* Of blocks larger than the largest class. */
	_Atomic(uint64_t) large_taken_total;
	_Atomic(uint64_t) large_given_total;
	_Atomic(uint64_t) large_bytes; /* out */

	struct defer_drop_pool pools[CLASSES];
};

/* ---- Making and freeing ---------------------------------------------------------------------- */

/* Returns the units of the class after the class of `units`. */
static uint32_t next_units(uint32_t units)
{
	uint32_t step = 1;

	while (units >= 8 * step)
		step *= 2;
	return units + step;
}

/* Frees the first `count` pools: all of them, or none and returns -EBUSY. */
static int end(struct defer_drop_classes *classes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t counts[DD_POOL_COUNTS];

		dd_pool_count(&classes->pools[i], counts);
		if (counts[DD_POOL_TAKEN] != counts[DD_POOL_GIVEN])
			return -EBUSY;
	}
	while (count)
		dd_pool_end(&classes->pools[--count]);
	return 0;
}

static int begin(struct defer_drop_classes *classes, const struct defer_drop_pool_config *config)
{
	struct defer_drop_pool_config each = *config;
	uint32_t units = 0;
	uint32_t mapped = 0;

	classes->config = *config;
	for (unsigned i = 0; i < CLASSES; i++) {
		int result;

		units = next_units(units);
		each.block_bytes = (size_t)units * UNIT;
		result = dd_pool_begin(&classes->pools[i], &each);
		if (result) {
			end(classes, i);
			return result;
		}
		while (mapped <= units)
			classes->class_of[mapped++] = (uint8_t)i;
	}
	return 0;
}

int defer_drop_classes_create(
	struct defer_drop_classes **classes, const struct defer_drop_pool_config *asked)
{
	struct defer_drop_pool_config config;
	struct defer_drop_classes *made;
	int result = classes ? dd_pool_config_make(asked, &config) : -EINVAL;

	if (!result && (config.block_bytes || config.alignment != UNIT))
		result = -EINVAL;
	if (result)
		return result;
	made = aligned_alloc(_Alignof(struct defer_drop_classes), sizeof *made);
	if (!made)
		return -ENOMEM;
	memset(made, 0, sizeof *made);
	result = begin(made, &config);
	if (result)
		free(made);
	else
		*classes = made;
	return result;
}

int defer_drop_classes_free(struct defer_drop_classes *classes)
{
	int result;

	if (!classes)
		return -EINVAL;
	if (dd_read(&classes->large_taken_total) != dd_read(&classes->large_given_total))
		return -EBUSY;
	result = end(classes, CLASSES);
	if (!result)
		free(classes);
	return result;
}

/* ---- Take and give --------------------------------------------------------------------------- */

static void count_large(
	struct defer_drop_classes *classes, _Atomic(uint64_t) *total, uint64_t more_bytes)
{
	dd_add_shared(total, 1);
	dd_add_shared(&classes->large_bytes, more_bytes);
}

static __attribute__((noinline)) void *take_large(struct defer_drop_classes *classes, size_t bytes)
{
	void *block = classes->config.backing_take(classes->config.context, bytes, UNIT);

	if (block)
		count_large(classes, &classes->large_taken_total, bytes);
	return block;
}

static __attribute__((noinline)) void give_large(
	struct defer_drop_classes *classes, void *block, size_t bytes)
{
	int before = errno;

	count_large(classes, &classes->large_given_total, -(uint64_t)bytes);
	classes->config.backing_give(classes->config.context, block, bytes, UNIT);
	errno = before;
}

static struct defer_drop_pool *pool_of(struct defer_drop_classes *classes, size_t bytes)
{
	return &classes->pools[classes->class_of[(bytes + UNIT - 1) / UNIT]];
}

void *defer_drop_classes_take(struct defer_drop_classes *classes, size_t bytes)
{
	if (!classes)
		return NULL;
	if (dd_unlikely(bytes > DEFER_DROP_CLASSES_MOST_BYTES))
		return take_large(classes, bytes);
	return dd_pool_take(pool_of(classes, bytes));
}

void defer_drop_classes_give(struct defer_drop_classes *classes, void *block, size_t bytes)
{
	if (!classes || !block)
		return;
	if (dd_unlikely(bytes > DEFER_DROP_CLASSES_MOST_BYTES))
		give_large(classes, block, bytes);
	else
		dd_pool_give(pool_of(classes, bytes), block);
}

/* ---- Trimming and statistics ----------------------------------------------------------------- */

int defer_drop_classes_trim(struct defer_drop_classes *classes, uint64_t keep_bytes)
{
	if (!classes)
		return -EINVAL;
	for (unsigned i = 0; i < CLASSES; i++) {
		struct defer_drop_pool *pool = &classes->pools[i];
		uint64_t kept_bytes;

		defer_drop_pool_trim(pool, keep_bytes);
		kept_bytes = dd_pool_bytes(pool, dd_depot_blocks(&pool->depot));
		keep_bytes -= kept_bytes < keep_bytes ? kept_bytes : keep_bytes;
	}
	return 0;
}

static void add_large(struct defer_drop_classes *classes, struct defer_drop_pool_counts *stats)
{
	uint64_t given = dd_read(&classes->large_given_total);
	uint64_t taken = dd_read(&classes->large_taken_total);

	stats->taken_total += taken;
	stats->given_total += given;
	stats->from_backing_total += taken;
	stats->to_backing_total += given;
	stats->out += taken > given ? taken - given : 0;
	stats->out_bytes += dd_read(&classes->large_bytes);
}

int defer_drop_classes_stats(struct defer_drop_classes *classes, struct defer_drop_pool_counts *to)
{
	struct defer_drop_pool_counts stats = {0};

	if (!classes || !to)
		return -EINVAL;
	for (unsigned i = 0; i < CLASSES; i++)
		dd_pool_add_stats(&classes->pools[i], &stats);
	add_large(classes, &stats);
	return dd_pool_give_stats(&stats, to);
}
