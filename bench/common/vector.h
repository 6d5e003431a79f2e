/* SPDX-License-Identifier: MIT
 *
 * A vector of strings, each allocated by itself: the workload with which Rust's crates for deferred
 * drops introduce themselves.
 */
#ifndef VECTOR_H
#define VECTOR_H

#include <stdint.h>

struct vector;

/* Of the numbers below count. NULL where there is no memory. */
struct vector *vector_make(uint64_t count);

/* Its destructor. */
void vector_free(void *vector);

/* Strings destroyed so far, by whichever thread. */
uint64_t vector_destroyed_total(void);

#endif
