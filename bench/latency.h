/* SPDX-License-Identifier: MIT
 *
 * Measures what a single push costs its caller.
 *
 *     latency.c          pushes that are due at set times, against other ways
 *     latency_vector.c   one push that hands over millions of strings
 */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdint.h>

#include "results.h"

#define MAX_ROUNDS 101

/* The longest quiet spell for which the benchmark waits until the worker falls asleep. */
#define LONGEST_QUIET_NS UINT64_C(1000000000)

struct defer_drop_stats latency_stats(void);
/*
 * Returns the quiet spell of the default queue: without drops for that time, its worker sleeps
 * until it is woken.
 */
uint64_t latency_quiet_spell_ns(void);

/* Measures the drop of a vector of strings, each allocated by itself. */
void latency_measure_vector(struct results *results, uint64_t strings, unsigned rounds);

#endif
