/* SPDX-License-Identifier: MIT
 *
 * The shapes of the objects that are made and destroyed, written once for all ways to take and to
 * give a node. These functions are inlined, as are the ways, so that they add nothing to what is
 * measured.
 */
#ifndef BENCH_POOL_SHAPES_H
#define BENCH_POOL_SHAPES_H

#include <stdlib.h>
#include <string.h>

#include "pool.h"

enum shape { LIST, TREE, TABLE, MIXED, SHAPES };

/* What is being measured; set by subject_begin. */
extern const struct pool_case *subject_now;

struct node {
	struct node *left; /* or next */
	uint64_t value;    /* or right, or the size */
};

#define INLINE static inline __attribute__((always_inline))

typedef void *take_fn(size_t bytes);
typedef void give_fn(void *block, size_t bytes);

INLINE void *checked(void *block)
{
	if (__builtin_expect(!block, 0))
		abort();
	return block;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

INLINE void *build_list(take_fn take)
{
	struct node *first = NULL;

	for (uint64_t i = 0; i < subject_now->nodes; i++) {
		struct node *node = take(subject_now->node_bytes);

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

		give(node, subject_now->node_bytes);
		node = next;
	}
}

/* ---- Trees ----------------------------------------------------------------------------------- */

/* Complete, of 63 nodes: the children of the ith are the (2i+1)th and the one after it. */
INLINE void *build_tree(take_fn take)
{
	struct node *made[63];

	for (unsigned i = 63; i-- > 0;) {
		struct node *node = take(subject_now->node_bytes);

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
		give(node, subject_now->node_bytes);
	}
}

/* ---- Hash tables: nodes in no order, and chains of their own size ---------------------------- */

#define CHAINS      64
#define TABLE_BYTES (CHAINS * sizeof(struct node *))

INLINE void *build_table(take_fn take, take_fn take_chains)
{
	struct node **chains = take_chains(TABLE_BYTES);

	memset(chains, 0, TABLE_BYTES);
	for (uint64_t key = 0; key < subject_now->nodes; key++) {
		/* Fibonacci hashing: the high bits of the product are the good ones. */
		uint64_t chain = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 58;
		struct node *node = take(subject_now->node_bytes);

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

	for (uint64_t i = 0; i < subject_now->nodes; i++) {
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

/* ---- Functions of each ----------------------------------------------------------------------- */

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

#endif
