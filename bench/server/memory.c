/* SPDX-License-Identifier: MIT
 *
 * Counts nodes and bytes as they are created and destroyed.
 */
#include "memory.h"

#include <defer_drop/pool.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Written by the thread of the loop alone, read by all. */
static _Atomic uint64_t created_nodes;
static _Atomic uint64_t created_bytes;

static _Atomic uint64_t destroyed_nodes;
static _Atomic uint64_t destroyed_bytes;
static _Atomic int64_t buffer_bytes;
static uint64_t limit_bytes;

static struct defer_drop_classes *pools; /* NULL: nodes come from malloc(3) */

/* There is one writer, so no locked instruction is needed. */
static void add(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
		memory_order_relaxed);
}

static void *count_created(void *node, size_t bytes, struct tally *holder)
{
	if (!node)
		return NULL;
	add(&created_nodes, 1);
	add(&created_bytes, node_bytes(bytes));
	holder->nodes++;
	holder->bytes += node_bytes(bytes);
	return node;
}

int memory_use_pools(void)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	return defer_drop_classes_create(&pools, &config);
}

int memory_end_pools(void)
{
	return pools ? defer_drop_classes_free(pools) : 0;
}

void *node_create(size_t bytes, struct tally *holder)
{
	void *node = pools ? defer_drop_classes_take(pools, bytes) : malloc(bytes);

	return count_created(node, bytes, holder);
}

void *node_create_zeroed(size_t bytes, struct tally *holder)
{
	void *node;

	if (!pools)
		return count_created(calloc(1, bytes), bytes, holder);
	node = node_create(bytes, holder);
	return node ? memset(node, 0, bytes) : NULL;
}

void node_destroy(void *node, size_t bytes, struct slice *slice)
{
	if (pools)
		defer_drop_classes_give(pools, node, bytes);
	else
		free(node);
	slice->left -= slice->left ? 1 : 0;
	slice->done.nodes++;
	slice->done.bytes += node_bytes(bytes);
}

void memory_count_destroyed(const struct tally *done)
{
	atomic_fetch_add_explicit(&destroyed_nodes, done->nodes, memory_order_relaxed);
	atomic_fetch_add_explicit(&destroyed_bytes, done->bytes, memory_order_relaxed);
}

struct tally memory_created(void)
{
	return (struct tally){atomic_load_explicit(&created_nodes, memory_order_relaxed),
		atomic_load_explicit(&created_bytes, memory_order_relaxed)};
}

struct tally memory_destroyed(void)
{
	return (struct tally){atomic_load_explicit(&destroyed_nodes, memory_order_relaxed),
		atomic_load_explicit(&destroyed_bytes, memory_order_relaxed)};
}

void memory_count_buffers(int64_t bytes)
{
	atomic_fetch_add_explicit(&buffer_bytes, bytes, memory_order_relaxed);
}

uint64_t memory_used_bytes(void)
{
	/* Read in this order, so that every node counted as destroyed is counted as created. */
	uint64_t destroyed = memory_destroyed().bytes;

	return memory_created().bytes - destroyed +
	       (uint64_t)atomic_load_explicit(&buffer_bytes, memory_order_relaxed);
}

void memory_set_limit(uint64_t bytes)
{
	limit_bytes = bytes;
}

uint64_t memory_limit_bytes(void)
{
	return limit_bytes;
}

bool memory_is_over_limit(uint64_t more_bytes)
{
	return limit_bytes && memory_used_bytes() + more_bytes > limit_bytes;
}
