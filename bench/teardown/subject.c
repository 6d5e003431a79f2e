/* SPDX-License-Identifier: MIT
 *
 * The objects that are destroyed: lists, trees, tables, buffers, mappings and deleted files.
 */
#include "teardown.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static void *allocate(size_t bytes)
{
	void *memory = malloc(bytes);

	if (!memory)
		abort();
	return memory;
}

/* ---- Lists and trees: nodes in the order in which they were allocated ------------------------ */

struct node {
	struct node *left; /* or next */
	struct node *right;
	char payload[NODE_BYTES - 2 * sizeof(struct node *)];
};

static struct node *make_node(void)
{
	struct node *node = allocate(sizeof *node);

	node->left = NULL;
	node->right = NULL;
	return node;
}

static void *build_list(uint64_t nodes)
{
	struct node *first = make_node();
	struct node *last = first;

	while (--nodes)
		last = last->left = make_node();
	return first;
}

static void free_list(void *object)
{
	struct node *node = object;

	while (node) {
		struct node *next = node->left;

		free(node);
		node = next;
	}
}

/* Balanced, so that recursion is not deep. */
static struct node *grow(uint64_t nodes)
{
	struct node *node;

	if (!nodes)
		return NULL;
	node = make_node();
	node->left = grow((nodes - 1) / 2);
	node->right = grow(nodes - 1 - (nodes - 1) / 2);
	return node;
}

static void *build_tree(uint64_t nodes)
{
	return grow(nodes);
}

static void free_tree(void *object)
{
	struct node *node = object;

	if (!node)
		return;
	free_tree(node->left);
	free_tree(node->right);
	free(node);
}

/* ---- Hash tables: nodes in no order ---------------------------------------------------------- */

struct table {
	uint64_t buckets; /* a power of two, at least as many as nodes */
	struct node *chains[];
};

static void *build_table(uint64_t nodes)
{
	uint64_t buckets = 1;
	struct table *table;

	while (buckets < nodes)
		buckets *= 2;
	table = allocate(sizeof *table + buckets * sizeof table->chains[0]);
	table->buckets = buckets;
	memset(table->chains, 0, buckets * sizeof table->chains[0]);
	for (uint64_t key = 0; key < nodes; key++) {
		/* Fibonacci hashing: the high bits of the product are the good ones. */
		uint64_t hash = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
		struct node **chain = &table->chains[hash & (buckets - 1)];
		struct node *node = make_node();

		node->left = *chain;
		*chain = node;
	}
	return table;
}

static void free_table(void *object)
{
	struct table *table = object;

	for (uint64_t i = 0; i < table->buckets; i++)
		free_list(table->chains[i]);
	free(table);
}

/* ---- Buffers: one allocation ----------------------------------------------------------------- */

static void *build_buffer(uint64_t nodes)
{
	return memset(allocate(nodes * NODE_BYTES), 1, nodes * NODE_BYTES);
}

/* ---- Mappings and files: the kernel destroys ------------------------------------------------- */

struct mapping {
	uint64_t bytes;
};

/* A mapping begins with its own description. Every page is touched. */
static void *build_mapping(uint64_t mib)
{
	uint64_t bytes = mib * MIB;
	struct mapping *mapping =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mapping == MAP_FAILED)
		abort();
	memset(mapping, 1, bytes);
	mapping->bytes = bytes;
	return mapping;
}

static void free_mapping(void *object)
{
	struct mapping *mapping = object;

	munmap(mapping, mapping->bytes);
}

static const char *files_folder;

_Noreturn static void fail_at_file(void)
{
	options_refuse("--folder %s: want one where files can be made and written: %s",
		files_folder, strerror(errno));
}

void subject_use_folder(const char *folder)
{
	files_folder = folder;
	if (access(folder, W_OK | X_OK))
		fail_at_file();
}

/* Makes a file that is on the disk and open, but has no name. */
static void *build_file(uint64_t mib)
{
	static char block[MIB];
	char path[4096];
	int file;

	snprintf(path, sizeof path, "%s/defer_drop.XXXXXX", files_folder);
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0 || unlink(path))
		fail_at_file();
	memset(block, 1, sizeof block);
	for (uint64_t i = 0; i < mib; i++)
		if (write(file, block, sizeof block) != (ssize_t)sizeof block)
			fail_at_file();
	if (fdatasync(file))
		fail_at_file();
	return (void *)(intptr_t)file;
}

static void close_file(void *object)
{
	close((int)(intptr_t)object);
}

const struct subject subjects[SUBJECTS] = {
	/* The sizes include what the allocator adds, and the chains of a table. */
	[LIST] = {"list", build_list, free_list, 2 * NODE_BYTES},
	[TREE] = {"tree", build_tree, free_tree, 2 * NODE_BYTES},
	[TABLE] = {"table", build_table, free_table, 2 * NODE_BYTES},
	[BUFFER] = {"buffer", build_buffer, free, NODE_BYTES},
	[MAPPING] = {"munmap", build_mapping, free_mapping, MIB},
	[DELETED_FILE] = {"close", build_file, close_file, 0},
};
