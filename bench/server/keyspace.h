/* SPDX-License-Identifier: MIT
 *
 * The data set: keys and their values. Whatever falls out of it is reclaimed.
 */
#ifndef KEYSPACE_H
#define KEYSPACE_H

#include "value.h"

/* 0 or a negative errno. */
int keyspace_create(void);

uint64_t keyspace_count(void);

/* NULL where there is no such key. */
struct value *keyspace_get(const char *key, size_t length);

/* For threads that only read, in a read-side critical section: the value stays until that ends. */
struct value *keyspace_get_shared(const char *key, size_t length);

/* The value of a key that may exist: the old one is reclaimed. On false, for want of memory,
 * value is the caller's still. */
bool keyspace_set(const char *key, size_t length, struct value *value);

/* False where there was no such key. */
bool keyspace_delete(const char *key, size_t length);

/* Replaces the whole by an empty one. False where there is no memory for that. */
bool keyspace_flush(void);

/* Has all of it reclaimed, for good. */
void keyspace_destroy(void);

#endif
