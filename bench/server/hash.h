/* SPDX-License-Identifier: MIT
 *
 * Hashes keys so that clients cannot foresee their place in a table: SipHash-1-3 with a random seed
 * (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012; one round for a word and three at
 * the end).
 */
#ifndef HASH_H
#define HASH_H

#include <stddef.h>
#include <stdint.h>

/* 0 or a negative errno. */
int hash_seed(void);
uint64_t hash(const void *bytes, size_t count);

#endif
