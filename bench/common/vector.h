/* SPDX-License-Identifier: MIT
 *
 * A vector of strings, each allocated by itself: the workload with which Rust's crates for deferred
 * drops introduce themselves.
 */
#ifndef VECTOR_H
#define VECTOR_H

#include <stdint.h>

struct vector;

/* Makes a vector of the numbers below count, in decimal. NULL if there is no memory. */
struct vector *vector_make(uint64_t count);

/* The destructor of a vector. */
void vector_free(void *vector);

/* Returns the number of strings destroyed so far, by all threads. */
uint64_t vector_destroyed_total(void);

#endif
