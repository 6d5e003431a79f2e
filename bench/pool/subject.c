/* SPDX-License-Identifier: MIT
 *
 * The objects that are made and destroyed: each shape, compiled for malloc, for a pool and for size
 * classes.
 */
#include "shapes.h"

#include <stdlib.h>

#include "bench.h"

const struct pool_case cases[CASES] = {
	{"list of 16 bytes", LIST, 16, 64},
	{"list of 64 bytes", LIST, 64, 64},
	{"list of 256 bytes", LIST, 256, 64},
	{"list of 4096 bytes", LIST, 4096, 16},
	{"tree of 64 bytes", TREE, 64, 63},
	{"hash table of 64 bytes", TABLE, 64, 64},
	{"list of 16 to 512 bytes", MIXED, 158, 64},
};

const struct pool_case *subject_now;
static struct defer_drop_pool *pool;
static struct defer_drop_classes *classes;
static uint64_t taken_before; /* at the last subject_home_percent */
static uint64_t home_before;

/* ---- Ways to take and to give ---------------------------------------------------------------- */

INLINE void *take_malloc(size_t bytes)
{
	return checked(malloc(bytes));
}

INLINE void give_malloc(void *block, size_t bytes)
{
	(void)bytes;
	free(block);
}

INLINE void *take_pool(size_t bytes)
{
	(void)bytes;
	return checked(defer_drop_pool_take(pool));
}

INLINE void give_pool(void *block, size_t bytes)
{
	(void)bytes;
	defer_drop_pool_give(pool, block);
}

INLINE void *take_classes(size_t bytes)
{
	return checked(defer_drop_classes_take(classes, bytes));
}

INLINE void give_classes(void *block, size_t bytes)
{
	defer_drop_classes_give(classes, block, bytes);
}

/* Nodes that subject_build_mixed_up took before. */
static void **stash;

INLINE void *take_stashed(size_t bytes)
{
	(void)bytes;
	return *stash++;
}

/* ---- All by all ------------------------------------------------------------------------------ */

BUILDS(list_malloc, build_list(take_malloc))
BUILDS(list_pool, build_list(take_pool))
BUILDS(list_stashed, build_list(take_stashed))
BUILDS(tree_malloc, build_tree(take_malloc))
BUILDS(tree_pool, build_tree(take_pool))
BUILDS(tree_stashed, build_tree(take_stashed))
BUILDS(table_malloc, build_table(take_malloc, take_malloc))
BUILDS(table_pool, build_table(take_pool, take_classes))
BUILDS(table_stashed_malloc, build_table(take_stashed, take_malloc))
BUILDS(table_stashed_pool, build_table(take_stashed, take_classes))
BUILDS(mixed_malloc, build_mixed(take_malloc))
BUILDS(mixed_pool, build_mixed(take_classes))
DESTROYS(list_malloc, destroy_list(object, give_malloc))
DESTROYS(list_pool, destroy_list(object, give_pool))
DESTROYS(tree_malloc, destroy_tree(object, give_malloc))
DESTROYS(tree_pool, destroy_tree(object, give_pool))
DESTROYS(table_malloc, destroy_table(object, give_malloc, give_malloc))
DESTROYS(table_pool, destroy_table(object, give_pool, give_classes))
DESTROYS(mixed_malloc, destroy_mixed(object, give_malloc))
DESTROYS(mixed_pool, destroy_mixed(object, give_classes))

static void *(*const builds[][2])(void) = {
	[LIST] = {build_list_malloc, build_list_pool},
	[TREE] = {build_tree_malloc, build_tree_pool},
	[TABLE] = {build_table_malloc, build_table_pool},
	[MIXED] = {build_mixed_malloc, build_mixed_pool},
};

static void *(*const stashed_builds[][2])(void) = {
	[LIST] = {build_list_stashed, build_list_stashed},
	[TREE] = {build_tree_stashed, build_tree_stashed},
	[TABLE] = {build_table_stashed_malloc, build_table_stashed_pool},
	[MIXED] = {build_mixed_malloc, build_mixed_pool}, /* not mixed up: sizes differ */
};

static const defer_drop_fn destroys[][2] = {
	[LIST] = {destroy_list_malloc, destroy_list_pool},
	[TREE] = {destroy_tree_malloc, destroy_tree_pool},
	[TABLE] = {destroy_table_malloc, destroy_table_pool},
	[MIXED] = {destroy_mixed_malloc, destroy_mixed_pool},
};

void *(*subject_build(const struct pool_case *of, enum way way))(void)
{
	return builds[of->shape][way == HOME];
}

defer_drop_fn subject_destroy(const struct pool_case *of, enum way way)
{
	return destroys[of->shape][way == HOME];
}

void subject_dispose(const struct pool_case *of, enum way way, void *object)
{
	if (way == IN_PLACE)
		subject_destroy(of, way)(object);
	else
		bench_check(defer_drop(object, subject_destroy(of, way)));
}

void subject_begin(const struct pool_case *of)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	subject_now = of;
	taken_before = home_before = 0;
	bench_check(defer_drop_classes_create(&classes, &config));
	config.block_bytes = of->node_bytes;
	bench_check(defer_drop_pool_create(&pool, &config));
}

void subject_end(void)
{
	bench_check(defer_drop_classes_free(classes));
	bench_check(defer_drop_pool_free(pool));
}

void subject_build_mixed_up(const struct pool_case *of, enum way way, void **objects,
	uint64_t count, uint64_t mixed, void (*shuffle)(void **pointers, uint64_t count))
{
	void **nodes = malloc(mixed * of->nodes * sizeof *nodes);

	if (!nodes)
		abort();
	for (uint64_t done = 0; done < count;) {
		uint64_t some = count - done < mixed ? count - done : mixed;

		for (uint64_t i = 0; of->shape != MIXED && i < some * of->nodes; i++)
			nodes[i] = way == HOME ? take_pool(0) : take_malloc(of->node_bytes);
		if (of->shape != MIXED)
			shuffle(nodes, some * of->nodes);
		stash = nodes;
		while (some--)
			objects[done++] = stashed_builds[of->shape][way == HOME]();
	}
	free(nodes);
}

double subject_home_percent(void)
{
	struct defer_drop_pool_counts of_pool = DEFER_DROP_POOL_COUNTS_INIT;
	struct defer_drop_pool_counts of_classes = DEFER_DROP_POOL_COUNTS_INIT;
	uint64_t taken, home;

	bench_check(defer_drop_pool_stats(pool, &of_pool));
	bench_check(defer_drop_classes_stats(classes, &of_classes));
	taken = of_pool.taken_total + of_classes.taken_total - taken_before;
	home = of_pool.from_home_total + of_classes.from_home_total - home_before;
	taken_before += taken;
	home_before += home;
	return taken ? 100 * (double)home / (double)taken : 0;
}
