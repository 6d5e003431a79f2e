/* SPDX-License-Identifier: MIT
 *
 * A hash table with chains, for keys of the data set and members of sets. It grows a few buckets at
 * a time, so that growing holds nobody up. One thread writes. Other threads may look keys up
 * meanwhile, with dictionary_find_shared.
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
	_Atomic(struct table *) tables[2]; /* entries are moved to the second while it grows */
	uint64_t count;
	uint64_t cursor;        /* buckets of the first that have been moved or destroyed */
	_Atomic uint64_t moves; /* odd while buckets are being moved */
	struct tally *holder;   /* whose nodes it creates */
};

void dictionary_init(struct dictionary *dictionary, struct tally *holder);

struct entry *dictionary_find(struct dictionary *dictionary, const char *key, size_t length);

/*
 * For threads that do not write, in a read-side critical section. The entry stays until the section
 * ends.
 */
struct entry *dictionary_find_shared(struct dictionary *dictionary, const char *key, size_t length);

/* Adds a key that is not there yet. NULL if there is no memory. */
struct entry *dictionary_add(
	struct dictionary *dictionary, const char *key, size_t length, struct value *value);

/* Removes an entry. The caller destroys it, and the holder no longer counts it. */
struct entry *dictionary_remove(struct dictionary *dictionary, const char *key, size_t length);

size_t entry_size(const struct entry *entry);

/*
 * Destroys entries, their values and tables, as many as the slice allows. True if all are gone. The
 * struct itself stays.
 */
bool dictionary_destroy(struct dictionary *dictionary, struct slice *slice);

#endif
