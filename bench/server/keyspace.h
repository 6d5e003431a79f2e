/* SPDX-License-Identifier: MIT
 *
 * The data set: keys and their values. Everything that is removed from it is reclaimed.
 */
#ifndef KEYSPACE_H
#define KEYSPACE_H

#include "value.h"

/* 0 or a negative errno. */
int keyspace_create(void);

uint64_t keyspace_count(void);

/* Returns NULL if there is no such key. */
struct value *keyspace_get(const char *key, size_t length);

/*
 * For threads that only read, in a read-side critical section. The value stays until the section
 * ends.
 */
struct value *keyspace_get_shared(const char *key, size_t length);

/*
 * Sets the value of a key. An old value is reclaimed. False if there is no memory: the value is
 * still the caller's.
 */
bool keyspace_set(const char *key, size_t length, struct value *value);

/* False if there was no such key. */
bool keyspace_delete(const char *key, size_t length);

/*
 * Replaces the data set by an empty one, and has the old one reclaimed. False if there is no
 * memory.
 */
bool keyspace_flush(void);

/* Has the data set reclaimed, at the end. */
void keyspace_destroy(void);

#endif
