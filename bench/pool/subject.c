/* SPDX-License-Identifier: MIT
 *
 * The objects that are made and destroyed. Each kind is written once, and compiled for malloc, for a
 * pool and for size classes. The functions that take and give are inlined, so that they add nothing
 * to what is measured.
 */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { LIST, TREE, TABLE, MIXED };

const struct pool_case cases[CASES] = {
	{"list of 16 bytes", LIST, 16, 64},
	{"list of 64 bytes", LIST, 64, 64},
	{"list of 256 bytes", LIST, 256, 64},
	{"list of 4096 bytes", LIST, 4096, 16},
	{"tree of 64 bytes", TREE, 64, 63},
	{"hash table of 64 bytes", TABLE, 64, 64},
	{"list of 16 to 512 bytes", MIXED, 158, 64},
};

struct node {
	struct node *left; /* or next */
	uint64_t value;    /* or right, or the size */
};

#define INLINE static inline __attribute__((always_inline))

typedef void *take_fn(size_t bytes);
typedef void give_fn(void *block, size_t bytes);

static const struct pool_case *now;
static struct defer_drop_pool *pool;
static struct defer_drop_classes *classes;
static uint64_t taken_before; /* at the last subject_home_percent */
static uint64_t home_before;

/* ---- Ways to take and to give ---------------------------------------------------------------- */

INLINE void *checked(void *block)
{
	if (__builtin_expect(!block, 0))
		abort();
	return block;
}

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

/*
 * Blocks that go round: taking one is a load, giving one a store, and nobody makes sure that a
 * block is free. It is always in the same place of the same list, so that a list is whole even
 * while the caller writes it again.
 */
#define AROUND_BYTES (UINT64_C(4) << 20) /* as much as waits for the worker when it naps */
#define AHEAD        32                  /* as in lib/pool/cache.h */
static char *around_memory;
static void **around;
static uint64_t around_count; /* a power of two */
static uint64_t around_at;
static void *volatile around_given;

INLINE void *take_around(size_t bytes)
{
	(void)bytes;
	__builtin_prefetch(around[(around_at + AHEAD) & (around_count - 1)], 1);
	return around[around_at++ & (around_count - 1)];
}

INLINE void give_around(void *block, size_t bytes)
{
	(void)bytes;
	around_given = block;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

INLINE void *build_list(take_fn take)
{
	struct node *first = NULL;

	for (uint64_t i = 0; i < now->nodes; i++) {
		struct node *node = take(now->node_bytes);

		node->value = i;
		node->left = first;
		first = node;
	}
	return first;
}

INLINE void destroy_list(struct node *node, give_fn give)
{
	while (node) {
		struct node *next = node->left;

		give(node, now->node_bytes);
		node = next;
	}
}

/* ---- Trees ----------------------------------------------------------------------------------- */

/* Complete, of 63 nodes: the children of the ith are the (2i+1)th and the one after it. */
INLINE void *build_tree(take_fn take)
{
	struct node *made[63];

	for (unsigned i = 63; i-- > 0;) {
		struct node *node = take(now->node_bytes);

		node->left = i < 31 ? made[2 * i + 1] : NULL;
		node->value = i < 31 ? (uint64_t)(uintptr_t)made[2 * i + 2] : 0;
		made[i] = node;
	}
	return made[0];
}

INLINE void destroy_tree(struct node *root, give_fn give)
{
	struct node *waiting[64] = {root};
	unsigned count = 1;

	while (count) {
		struct node *node = waiting[--count];

		if (node->left) {
			waiting[count++] = (struct node *)(uintptr_t)node->value;
			waiting[count++] = node->left;
		}
		give(node, now->node_bytes);
	}
}

/* ---- Hash tables: nodes in no order, and chains of their own size ---------------------------- */

#define CHAINS      64
#define TABLE_BYTES (CHAINS * sizeof(struct node *))

INLINE void *build_table(take_fn take, take_fn take_chains)
{
	struct node **chains = take_chains(TABLE_BYTES);

	memset(chains, 0, TABLE_BYTES);
	for (uint64_t key = 0; key < now->nodes; key++) {
		/* Fibonacci hashing: the high bits of the product are the good ones. */
		uint64_t chain = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 58;
		struct node *node = take(now->node_bytes);

		node->value = key;
		node->left = chains[chain];
		chains[chain] = node;
	}
	return chains;
}

INLINE void destroy_table(struct node **chains, give_fn give, give_fn give_chains)
{
	for (unsigned i = 0; i < CHAINS; i++)
		destroy_list(chains[i], give);
	give_chains(chains, TABLE_BYTES);
}

/* ---- Nodes of mixed sizes -------------------------------------------------------------------- */

INLINE void *build_mixed(take_fn take)
{
	static const uint16_t sizes[8] = {16, 24, 40, 64, 96, 200, 312, 512};
	struct node *first = NULL;

	for (uint64_t i = 0; i < now->nodes; i++) {
		size_t bytes = sizes[(i * 5 + 3) % 8];
		struct node *node = take(bytes);

		node->value = bytes;
		node->left = first;
		first = node;
	}
	return first;
}

INLINE void destroy_mixed(struct node *node, give_fn give)
{
	while (node) {
		struct node *next = node->left;

		give(node, node->value);
		node = next;
	}
}

/* ---- All by all ------------------------------------------------------------------------------ */

#define BUILDS(name, call)              \
	static void *build_##name(void) \
	{                               \
		return call;            \
	}
#define DESTROYS(name, call)                     \
	static void destroy_##name(void *object) \
	{                                        \
		call;                            \
	}

BUILDS(list_malloc, build_list(take_malloc))
BUILDS(list_pool, build_list(take_pool))
BUILDS(list_stashed, build_list(take_stashed))
BUILDS(list_around, build_list(take_around))
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
DESTROYS(list_around, destroy_list(object, give_around))
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
	return builds[of->subject][way == HOME];
}

defer_drop_fn subject_destroy(const struct pool_case *of, enum way way)
{
	return destroys[of->subject][way == HOME];
}

void subject_dispose(const struct pool_case *of, enum way way, void *object)
{
	if (way == IN_PLACE)
		subject_destroy(of, way)(object);
	else
		bench_check(defer_drop(object, subject_destroy(of, way)));
}

bool subject_has_floor(const struct pool_case *of)
{
	return of->subject == LIST;
}

const struct subject_floor subject_floor = {build_list_around, destroy_list_around};

void subject_floor_begin(const struct pool_case *of)
{
	around_count = AROUND_BYTES / of->node_bytes;
	around_memory = checked(aligned_alloc(4096, AROUND_BYTES));
	around = checked(malloc(around_count * sizeof *around));
	memset(around_memory, 0, AROUND_BYTES);
	for (uint64_t i = 0; i < around_count; i++)
		around[i] = around_memory + i * of->node_bytes;
}

void subject_floor_mix_up(void (*shuffle)(void **pointers, uint64_t count))
{
	shuffle(around, around_count);
}

void subject_floor_end(void)
{
	free(around);
	free(around_memory);
}

void subject_begin(const struct pool_case *of)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	now = of;
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

		for (uint64_t i = 0; of->subject != MIXED && i < some * of->nodes; i++)
			nodes[i] = way == HOME ? take_pool(0) : take_malloc(of->node_bytes);
		if (of->subject != MIXED)
			shuffle(nodes, some * of->nodes);
		stash = nodes;
		while (some--)
			objects[done++] = stashed_builds[of->subject][way == HOME]();
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
