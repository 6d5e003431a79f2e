/* SPDX-License-Identifier: MIT
 *
 * What a single push costs its caller.
 *
 *     latency.c          pushes that are due at set times, against other ways
 *     latency_boxes.c    one push that hands over millions of strings
 */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdint.h>

#include "results.h"

#define MAX_ROUNDS 101

/* A worker is waited for to fall asleep no longer than that. */
#define LONGEST_QUIET_NS UINT64_C(1000000000)

struct defer_drop_stats latency_stats(void);
/* Of the default queue: without drops for so long, its worker sleeps until it is woken. */
uint64_t latency_quiet_spell_ns(void);

/* Measures a vector of so many strings, each allocated by itself, in so many rounds. */
void boxes_measure(struct results *results, uint64_t strings, unsigned rounds);

#endif
