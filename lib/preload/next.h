/* SPDX-License-Identifier: MIT
 *
 * The functions that stand behind those of the preload library: of another library that was
 * preloaded, of the allocator, of the C library.
 */
#ifndef DD_NEXT_H
#define DD_NEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define dd_usual(claim) __builtin_expect(!!(claim), 1)

/* Of a function of the preload library that programs call instead of the next one. */
#define DD_STANDS_BEFORE __attribute__((visibility("default")))

struct dd_next {
	int (*close)(int);
	int (*fclose)(FILE *);
	int (*unlink)(const char *);
	int (*unlinkat)(int, const char *, int);
	int (*remove)(const char *);
	int (*rename)(const char *, const char *);
	int (*renameat)(int, const char *, int, const char *);
	int (*renameat2)(int, const char *, int, const char *, unsigned);
	int (*shm_unlink)(const char *);
	int (*memfd_create)(const char *, unsigned);
	FILE *(*tmpfile)(void);
	FILE *(*tmpfile64)(void);
	int (*open)(const char *, int, ...);
	int (*open64)(const char *, int, ...);
	int (*openat)(int, const char *, int, ...);
	int (*openat64)(int, const char *, int, ...);
	int (*munmap)(void *, size_t);
	void *(*realloc)(void *, size_t);
	size_t (*usable)(void *); /* malloc_usable_size(3) */
	int (*unshare)(int);
	int (*setns)(int, int);
	int (*prctl)(int, ...);
	long (*syscall)(long, ...);
	void (*free)(void *);
};

/* Written by dd_next_find; the same again if several threads do so. */
extern struct dd_next dd_next;

/* Finds all. The last one is free. */
void dd_next_find(void);

/* Returns the functions. The constructors of other libraries may come here before ours has run. */
static inline const struct dd_next *dd_next_all(void)
{
	if (!dd_usual(dd_next.free))
		dd_next_find();
	return &dd_next;
}

#endif
