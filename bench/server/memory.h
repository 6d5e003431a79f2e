/* SPDX-License-Identifier: MIT
 *
 * What the server holds, counted. A node is whatever is allocated by itself for the data: a key, a
 * string, a node of a list, a member of a set, a table. Nodes are created by the loop alone and
 * destroyed by anyone; at the end both counts must agree. Buffers are counted by their bytes.
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

/* How much may be destroyed now, and how much was. */
struct slice {
	uint64_t left; /* nodes, and buckets that were looked at */
	struct tally done;
};

/* What an allocation takes, as glibc rounds. */
static inline uint64_t node_bytes(size_t bytes)
{
	return (bytes + sizeof(size_t) + 15) & ~(size_t)15;
}

/* Nodes come from pools, before the first is created; when all are destroyed, the pools are freed.
 * 0 or a negative errno. */
int memory_use_pools(void);
int memory_end_pools(void);

/* Of the loop's thread. NULL where there is no memory. holder: whose node it will be. */
void *node_create(size_t bytes, struct tally *holder);
/* As node_create, with zeros. */
void *node_create_zeroed(size_t bytes, struct tally *holder);

/* bytes: as it was created. */
void node_destroy(void *node, size_t bytes, struct slice *slice);

/* Adds what a slice destroyed to the sum; any thread. */
void memory_count_destroyed(const struct tally *done);

/* Of the loop's thread. */
struct tally memory_created(void);
/* Any thread. */
struct tally memory_destroyed(void);

/* Any thread: what buffers take has grown (or, negative, shrunk). */
void memory_count_buffers(int64_t bytes);

/* Nodes that are not destroyed yet, and buffers. Any thread. */
uint64_t memory_used_bytes(void);

/* 0: no limit. Before the first of the others is called. */
void memory_set_limit(uint64_t bytes);
uint64_t memory_limit_bytes(void);
bool memory_is_over_limit(uint64_t more_bytes);

#endif
