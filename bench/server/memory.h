/* SPDX-License-Identifier: MIT
 *
 * Counts the memory of the server. A node is anything allocated by itself for the data: a key, a
 * string, a node of a list, a member of a set, a table. Only the loop creates nodes; any thread may
 * destroy them. At the end both counts must agree. Buffers are counted by their bytes.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tally {
	uint64_t nodes;
	uint64_t bytes;
};

/* The amount that may be destroyed now, and the amount that was. */
struct slice {
	uint64_t left; /* nodes, and buckets that are looked at */
	struct tally done;
};

/* Returns the size of an allocation as glibc rounds it. */
static inline uint64_t node_bytes(size_t bytes)
{
	return (bytes + sizeof(size_t) + 15) & ~(size_t)15;
}

/* Nodes come from pools, before the first is created; when all are destroyed, the pools are freed.
 * 0 or a negative errno. */
int memory_use_pools(void);
int memory_end_pools(void);

/*
 * Called by the thread of the loop. NULL if there is no memory. holder: counts the node as its own.
 */
void *node_create(size_t bytes, struct tally *holder);
/* As node_create, filled with zeros. */
void *node_create_zeroed(size_t bytes, struct tally *holder);

/* bytes: as passed to node_create. */
void node_destroy(void *node, size_t bytes, struct slice *slice);

/* Adds what a slice destroyed to the total. Any thread. */
void memory_count_destroyed(const struct tally *done);

/* Called by the thread of the loop. */
struct tally memory_created(void);
/* Any thread. */
struct tally memory_destroyed(void);

/* Adds to the memory of buffers, or subtracts if negative. Any thread. */
void memory_count_buffers(int64_t bytes);

/* Returns the memory of nodes that are not destroyed yet, and of buffers. Any thread. */
uint64_t memory_used_bytes(void);

/* Called before all others. 0: no limit. */
void memory_set_limit(uint64_t bytes);
uint64_t memory_limit_bytes(void);
bool memory_is_over_limit(uint64_t more_bytes);

#endif
