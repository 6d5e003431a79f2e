/* SPDX-License-Identifier: MIT
 *
 * A hash table with chains, for keys of the data set and members of sets. It grows a few buckets at
 * a time, so that growing holds nobody up.
 *
 * One thread writes. Others may look keys up meanwhile, with dictionary_find_shared.
 */
#ifndef DICTIONARY_H
#define DICTIONARY_H

#include <stdatomic.h>

#include "garbage.h"

struct value;

struct entry {
	_Atomic(struct entry *) next;
	uint64_t hash;
	_Atomic(struct value *) value; /* NULL in sets */
	size_t length;
	char key[];
};

struct table;

struct dictionary {
	_Atomic(struct table *) tables[2]; /* the second: while it grows, what is moved to */
	uint64_t count;
	uint64_t cursor;        /* buckets of the first that were moved, or destroyed */
	_Atomic uint64_t moves; /* odd while buckets are being moved */
	struct tally *holder;   /* whose nodes it creates */
};

void dictionary_init(struct dictionary *dictionary, struct tally *holder);

struct entry *dictionary_find(struct dictionary *dictionary, const char *key, size_t length);

/*
 * For threads that do not write, in a read-side critical section: what it returns stays until that
 * ends.
 */
struct entry *dictionary_find_shared(struct dictionary *dictionary, const char *key, size_t length);

/* The key must not be there. NULL where there is no memory. */
struct entry *dictionary_add(
	struct dictionary *dictionary, const char *key, size_t length, struct value *value);

/* Takes it out; it is the caller's to destroy, and counted as the holder's no more. */
struct entry *dictionary_remove(struct dictionary *dictionary, const char *key, size_t length);

size_t entry_size(const struct entry *entry);

/*
 * Destroys entries, their values, and tables, as the slice allows; true when all are gone. The
 * struct itself stays.
 */
bool dictionary_destroy(struct dictionary *dictionary, struct slice *slice);

#endif
