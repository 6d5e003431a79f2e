/* SPDX-License-Identifier: MIT
 *
 * Floors: what remains of the caller's time if memory comes home and costs nothing. A pool cannot
 * cost less than that, however it is made.
 *
 *   around   Blocks that go round in an array, for lists that are destroyed at once. Only what any
 *            way to bring them home has to do is left: the caller writes to lines that the worker
 *            has read. In the order of their addresses, or mixed up.
 *   whole    Objects that come home in one piece, for every shape, with a table or without: the
 *            caller builds the same object in the same blocks again, whose addresses lie beside each
 *            other. One pointer comes home for all of its nodes.
 */
#include <stdatomic.h>

#include "bench.h"
#include "shapes.h"

#define AHEAD 32 /* as in lib/pool/cache.h */

/* ---- Blocks that go round -------------------------------------------------------------------- */

/*
 * Blocks that go round: taking one is a load, giving one a store, and nobody makes sure that a
 * block is free. It is always in the same place of the same list, so that a list is whole even
 * while the caller writes it again.
 */
#define AROUND_BYTES (UINT64_C(4) << 20) /* as much as waits for the worker when it naps */
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

BUILDS(list_around, build_list(take_around))
DESTROYS(list_around, destroy_list(object, give_around))

bool floor_has_around(const struct pool_case *of)
{
	return of->shape == LIST;
}

const struct floor_functions floor_around = {build_list_around, destroy_list_around};

void floor_around_begin(const struct pool_case *of)
{
	around_count = AROUND_BYTES / of->node_bytes;
	around_memory = checked(aligned_alloc(4096, AROUND_BYTES));
	around = checked(malloc(around_count * sizeof *around));
	memset(around_memory, 0, AROUND_BYTES);
	for (uint64_t i = 0; i < around_count; i++)
		around[i] = around_memory + i * of->node_bytes;
}

void floor_around_mix_up(void (*shuffle)(void **pointers, uint64_t count))
{
	shuffle(around, around_count);
}

void floor_around_end(void)
{
	free(around);
	free(around_memory);
}

/* ---- Objects that come home in one piece ----------------------------------------------------- */

#define SPARE     2048 /* on their way at most: twice what waits for a worker that naps */
#define MOST      72   /* blocks of one object */
#define ALIGNMENT 16

struct whole {
	void *root;
	void **blocks; /* in the order in which they are taken */
};

static struct whole *wholes;
static void **block_pointers;
static char *block_memory;

/* A ring: the worker puts, the caller takes. */
static struct whole *home[SPARE];
static atomic_uint_fast64_t home_put;
static uint64_t home_taken;

/* The blocks that the caller takes next, and prefetches next. */
static void **next_block;
static void **ahead_block;
static void **ahead_end; /* there it goes on with ahead_after */
static void **ahead_after;

INLINE void *take_whole(size_t bytes)
{
	(void)bytes;
	if (ahead_block == ahead_end)
		ahead_block = ahead_after;
	__builtin_prefetch(ahead_block + AHEAD);
	__builtin_prefetch(*ahead_block++, 1);
	return *next_block++;
}

/* The sizes of an object's blocks, in the order in which they are taken. */
static size_t sizes[MOST];
static uint64_t block_count;

INLINE void *take_noted(size_t bytes)
{
	char *block = block_memory;

	for (uint64_t i = 0; i < block_count; i++)
		block += sizes[i];
	sizes[block_count++] = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return block;
}

BUILDS(list_noted, build_list(take_noted))
BUILDS(tree_noted, build_tree(take_noted))
BUILDS(table_noted, build_table(take_noted, take_noted))
BUILDS(mixed_noted, build_mixed(take_noted))
BUILDS(list_whole, build_list(take_whole))
BUILDS(tree_whole, build_tree(take_whole))
BUILDS(table_whole, build_table(take_whole, take_whole))
BUILDS(mixed_whole, build_mixed(take_whole))
DESTROYS(list_whole, destroy_list(object, give_around))
DESTROYS(tree_whole, destroy_tree(object, give_around))
DESTROYS(table_whole, destroy_table(object, give_around, give_around))
DESTROYS(mixed_whole, destroy_mixed(object, give_around))

static void *(*const notes[SHAPES])(void) = {
	[LIST] = build_list_noted,
	[TREE] = build_tree_noted,
	[TABLE] = build_table_noted,
	[MIXED] = build_mixed_noted,
};

static void *(*const builds[SHAPES])(void) = {
	[LIST] = build_list_whole,
	[TREE] = build_tree_whole,
	[TABLE] = build_table_whole,
	[MIXED] = build_mixed_whole,
};

static const defer_drop_fn destroys[SHAPES] = {
	[LIST] = destroy_list_whole,
	[TREE] = destroy_tree_whole,
	[TABLE] = destroy_table_whole,
	[MIXED] = destroy_mixed_whole,
};

static void put_home(struct whole *whole)
{
	uint64_t put = atomic_load_explicit(&home_put, memory_order_relaxed);

	home[put % SPARE] = whole;
	atomic_store_explicit(&home_put, put + 1, memory_order_release);
}

static bool is_any_home(void)
{
	return atomic_load_explicit(&home_put, memory_order_acquire) != home_taken;
}

static void *build_whole(void)
{
	struct whole *whole;

	while (!is_any_home())
		;
	whole = home[home_taken++ % SPARE];
	next_block = whole->blocks;
	ahead_block = next_block + (block_count < AHEAD ? block_count : AHEAD);
	ahead_end = next_block + block_count;
	ahead_after = is_any_home() ? home[home_taken % SPARE]->blocks : next_block;
	whole->root = builds[subject_now->shape]();
	return whole;
}

static void destroy_whole(void *object)
{
	struct whole *whole = object;

	destroys[subject_now->shape](whole->root);
	put_home(whole);
}

const struct floor_functions floor_whole = {build_whole, destroy_whole};

/* Gives some objects their blocks, from the memory at `from`. Nodes of the same size lie mixed up. */
static void lay_out(struct whole *some, uint64_t count, char *from,
	void (*shuffle)(void **pointers, uint64_t count))
{
	const enum shape shape = subject_now->shape;
	const uint64_t first_node = shape == TABLE ? 1 : 0;
	void **nodes = checked(malloc(count * block_count * sizeof *nodes));
	uint64_t node_count = 0;

	for (uint64_t i = 0; i < count; i++)
		for (uint64_t k = 0; k < block_count; k++) {
			some[i].blocks[k] = from;
			if (k >= first_node)
				nodes[node_count++] = from;
			from += sizes[k];
		}
	if (shape != MIXED)
		shuffle(nodes, node_count);
	for (uint64_t i = count; i-- > 0;)
		for (uint64_t k = block_count; k-- > first_node;)
			some[i].blocks[k] = nodes[--node_count];
	free(nodes);
}

void floor_whole_begin(void **objects, uint64_t count, uint64_t mixed,
	void (*shuffle)(void **pointers, uint64_t count))
{
	uint64_t total = count + SPARE;
	uint64_t bytes = 0;

	block_memory = checked(malloc(MOST * subject_now->node_bytes + TABLE_BYTES));
	block_count = 0;
	notes[subject_now->shape]();
	free(block_memory);
	for (uint64_t k = 0; k < block_count; k++)
		bytes += sizes[k];
	block_memory = checked(malloc(total * bytes));
	memset(block_memory, 0, total * bytes);
	block_pointers = checked(malloc(total * block_count * sizeof *block_pointers));
	wholes = checked(malloc(total * sizeof *wholes));
	atomic_store(&home_put, 0);
	home_taken = 0;
	for (uint64_t i = 0; i < total; i++)
		wholes[i].blocks = block_pointers + i * block_count;
	for (uint64_t i = 0; i < total; i += mixed)
		lay_out(&wholes[i], total - i < mixed ? total - i : mixed, block_memory + i * bytes,
			shuffle);
	for (uint64_t i = 0; i < count; i++) {
		put_home(&wholes[i]);
		objects[i] = build_whole();
	}
	for (uint64_t i = count; i < total; i++)
		put_home(&wholes[i]);
}

void floor_whole_end(void)
{
	free(wholes);
	free(block_pointers);
	free(block_memory);
}
