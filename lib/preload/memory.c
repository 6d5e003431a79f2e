/* SPDX-License-Identifier: MIT
 *
 * Memory: munmap, and blocks of malloc that have a mapping of their own. Before a block is freed,
 * the pages inside of it are moved away; the allocator finds a mapping without pages, whatever it
 * does with that.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/next.h"
#include "preload/preload.h"

/* In the word before a block of glibc's, which holds its size: it has a mapping of its own. */
#define HAS_OWN_MAPPING 2
#define FLAGS           7

/* Before the constructor has run nothing is so large. */
static size_t least_unmapped = SIZE_MAX;
static size_t least_freed = SIZE_MAX;
static uintptr_t page_mask;
static struct defer_drop_os_options options;

enum allocator { UNKNOWN, GLIBC, OTHER };

static enum allocator allocator;

/* Allocators that give large blocks back at once, from which size: those of others are used again,
 * and their pages would have to be faulted in again. tcmalloc is such. */
static const struct {
	const char *file;
	enum allocator kind;
	size_t least;
} allocators[] = {
	{"libc.so", GLIBC, 0},
	{"libjemalloc", OTHER, (size_t)8 << 20},
	{"libmimalloc", OTHER, (size_t)32 << 20},
};

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void find_allocator(void)
{
	void *function;
	Dl_info info;

	memcpy(&function, &dd_next_all()->free, sizeof function);
	if (!dladdr(function, &info) || !info.dli_fname)
		return;
	for (unsigned i = 0; i < sizeof allocators / sizeof allocators[0]; i++)
		if (strstr(info.dli_fname, allocators[i].file)) {
			least_freed = larger(options.least_bytes, allocators[i].least);
			allocator = allocators[i].kind;
		}
}

void dd_preload_memory_start(void)
{
	options = dd_preload_files;
	options.least_bytes = dd_preload_settings.memory_bytes;
	page_mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	if (dd_preload_settings.what & DD_WHAT_MUNMAP)
		least_unmapped = options.least_bytes;
	if (dd_preload_settings.what & DD_WHAT_FREE)
		find_allocator();
}

/* ---- Mappings -------------------------------------------------------------------------------- */

DD_STANDS_BEFORE int munmap(void *address, size_t bytes)
{
	if (!dd_usual(bytes < least_unmapped) && dd_preload_defers(DD_WHAT_MUNMAP))
		defer_drop_os_discard(address, bytes, &options);
	return dd_next_all()->munmap(address, bytes);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Returns the size of a block that has a mapping of its own, or 0. */
static inline size_t bytes_of(void *block)
{
	size_t word;

	if (allocator != GLIBC)
		return allocator == OTHER ? dd_next.usable(block) : 0;
	memcpy(&word, (char *)block - sizeof word, sizeof word);
	return word & HAS_OWN_MAPPING ? (word & ~(size_t)FLAGS) - 2 * sizeof word : 0;
}

/* Moves the pages away that lie within a part of a block, from there to its end. */
static void empty(void *block, size_t from, size_t bytes)
{
	uintptr_t begin = ((uintptr_t)block + from + page_mask) & ~page_mask;
	uintptr_t end = ((uintptr_t)block + bytes) & ~page_mask;

	if (begin < end && dd_preload_defers(DD_WHAT_FREE))
		defer_drop_os_discard((void *)begin, end - begin, &options);
}

/* Until the next functions are found, a block that dlsym(3) frees stays. */
DD_STANDS_BEFORE void free(void *block)
{
	if (block) {
		size_t bytes = bytes_of(block);

		if (!dd_usual(bytes < least_freed))
			empty(block, 0, bytes);
	}
	if (dd_usual(dd_next_all()->free))
		dd_next.free(block);
}

DD_STANDS_BEFORE void *realloc(void *block, size_t wanted)
{
	if (block) {
		size_t bytes = bytes_of(block);

		if (!dd_usual(bytes < least_freed) && wanted < bytes)
			empty(block, wanted, bytes);
	}
	if (dd_usual(dd_next_all()->realloc))
		return dd_next.realloc(block, wanted);
	errno = ENOMEM;
	return NULL;
}
