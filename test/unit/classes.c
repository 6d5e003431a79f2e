/* SPDX-License-Identifier: MIT
 *
 * Size classes: blocks of all sizes, small and large.
 */
#include "unit.h"

#include <defer_drop/pool.h>

#include "pool/pools.h"

static struct defer_drop_classes *make_classes(void)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
	struct defer_drop_classes *classes = NULL;

	answers(0, defer_drop_classes_create(&classes, &config));
	cr_assert_not_null(classes);
	return classes;
}

static struct defer_drop_pool_counts stats_of_classes(struct defer_drop_classes *classes)
{
	struct defer_drop_pool_counts stats = DEFER_DROP_POOL_COUNTS_INIT;

	answers(0, defer_drop_classes_stats(classes, &stats));
	return stats;
}

#define MOST 10000

Test(classes, have_blocks_of_every_size)
{
	struct defer_drop_classes *classes = make_classes();
	static unsigned char *blocks[MOST];

	for (unsigned again = 0; again < 2; again++) {
		for (size_t bytes = 0; bytes < MOST; bytes++) {
			blocks[bytes] = defer_drop_classes_take(classes, bytes);
			cr_assert_not_null(blocks[bytes]);
			cr_assert_eq((uintptr_t)blocks[bytes] % 16, 0);
			memset(blocks[bytes], (int)bytes, bytes);
		}
		for (size_t bytes = 1; bytes < MOST; bytes++) {
			cr_assert_eq(blocks[bytes][0], (unsigned char)bytes);
			cr_assert_eq(blocks[bytes][bytes - 1], (unsigned char)bytes);
		}
		answers(-EBUSY, defer_drop_classes_free(classes));
		for (size_t bytes = 0; bytes < MOST; bytes++)
			defer_drop_classes_give(classes, blocks[bytes], bytes);
	}
	cr_assert_eq(stats_of_classes(classes).taken_total, 2 * MOST);
	cr_assert_eq(stats_of_classes(classes).from_backing_total,
		MOST + (MOST - 1 - DEFER_DROP_CLASSES_MOST_BYTES));
	cr_assert_eq(stats_of_classes(classes).out_bytes, 0);
	answers(0, defer_drop_classes_free(classes));
}

Test(classes, waste_no_more_than_they_say)
{
	struct defer_drop_classes *classes = make_classes();

	for (size_t bytes = 1; bytes <= DEFER_DROP_CLASSES_MOST_BYTES; bytes++) {
		void *block = defer_drop_classes_take(classes, bytes);
		uint64_t taken = stats_of_classes(classes).out_bytes;

		cr_assert_geq(taken, bytes);
		cr_assert(taken - bytes < 16 || (taken - bytes) * 5 <= taken, "%zu takes %llu",
			bytes, (unsigned long long)taken);
		defer_drop_classes_give(classes, block, bytes);
	}
	answers(0, defer_drop_classes_free(classes));
}

Test(classes, large_blocks_are_the_backings)
{
	struct defer_drop_classes *classes = make_classes();
	void *block = defer_drop_classes_take(classes, DEFER_DROP_CLASSES_MOST_BYTES + 1);

	cr_assert_eq(stats_of_classes(classes).out, 1);
	cr_assert_eq(stats_of_classes(classes).out_bytes, DEFER_DROP_CLASSES_MOST_BYTES + 1);
	answers(-EBUSY, defer_drop_classes_free(classes));
	defer_drop_classes_give(classes, block, DEFER_DROP_CLASSES_MOST_BYTES + 1);
	cr_assert_eq(stats_of_classes(classes).at_rest, 0);
	cr_assert_eq(stats_of_classes(classes).to_backing_total, 1);
	answers(0, defer_drop_classes_free(classes));
}

Test(classes, trim_to_what_is_kept)
{
	struct defer_drop_classes *classes = make_classes();
	void *blocks[1000];

	for (unsigned i = 0; i < 1000; i++)
		blocks[i] = defer_drop_classes_take(classes, 16 + 8 * (i % 500));
	for (unsigned i = 0; i < 1000; i++)
		defer_drop_classes_give(classes, blocks[i], 16 + 8 * (i % 500));
	answers(0, defer_drop_classes_trim(classes, 100000));
	cr_assert_leq(stats_of_classes(classes).at_rest_bytes, 100000);
	cr_assert_gt(stats_of_classes(classes).at_rest_bytes, 0);
	answers(0, defer_drop_classes_trim(classes, 0));
	cr_assert_eq(stats_of_classes(classes).at_rest_bytes, 0);
	answers(0, defer_drop_classes_free(classes));
}

Test(classes, refuse_what_is_out_of_range)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
	struct defer_drop_pool_counts stats = DEFER_DROP_POOL_COUNTS_INIT;
	struct defer_drop_classes *classes = NULL;

	answers(-EINVAL, defer_drop_classes_create(NULL, &config));
	answers(-EINVAL, defer_drop_classes_create(&classes, NULL));
	config.block_bytes = 64;
	answers(-EINVAL, defer_drop_classes_create(&classes, &config));
	config.block_bytes = 0;
	config.alignment = 64;
	answers(-EINVAL, defer_drop_classes_create(&classes, &config));
	config.alignment = 16;
	config.flags = 1u << 31;
	answers(-EINVAL, defer_drop_classes_create(&classes, &config));
	cr_assert_null(classes);
	cr_assert_null(defer_drop_classes_take(NULL, 1));
	defer_drop_classes_give(NULL, &config, 1);
	answers(-EINVAL, defer_drop_classes_trim(NULL, 0));
	answers(-EINVAL, defer_drop_classes_free(NULL));
	answers(-EINVAL, defer_drop_classes_stats(NULL, &stats));
}

static void use_checked(void)
{
	struct defer_drop_classes *classes;
	void *block;

	setenv("DEFER_DROP_POOL_CHECK", "1", 1);
	classes = make_classes();
	block = defer_drop_classes_take(classes, 100);
	defer_drop_classes_give(classes, block, 1000);
}

Test(classes, checked_find_a_wrong_size)
{
	answers(1000 + SIGABRT, run_child(use_checked));
	cr_assert_eq(times_said("belongs to another pool"), 1, "%s", said);
}
