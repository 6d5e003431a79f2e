/* SPDX-License-Identifier: MIT
 *
 * Times of one kind: how many, their sum, the longest, and a log-linear histogram, as HDR
 * histograms are: 8 buckets for each power of two, so that a percentile is wrong by a sixteenth at
 * most. The consumer adds, any thread reads; what it reads is some time's worth out of step.
 *
 * Edges:
 *   REUSED  put: any word, release -> get: the same word, acquire
 *           carries the number which says that these are another destructor's times: see costs.h
 */
#ifndef DD_TIMES_H
#define DD_TIMES_H

#include <stdint.h>

#include "base/atomic.h"
#include "base/deadline.h"

/* Models have fewer buckets: each costs them time. */
#ifndef DD_TIMES_POWERS
#define DD_TIMES_POWERS 44 /* 2^44 ns are nearly five hours */
#define DD_TIMES_BITS   3  /* of a time, below its first, that tell its bucket */
#endif

#define DD_TIMES_PARTS   (1 << DD_TIMES_BITS) /* buckets of a power of two */
#define DD_TIMES_BUCKETS ((DD_TIMES_POWERS - DD_TIMES_BITS + 1) * DD_TIMES_PARTS)

struct dd_times {
	_Atomic(uint64_t) counted_total;
	_Atomic(uint64_t) ns_total;
	_Atomic(uint64_t) most_ns;
	_Atomic(uint64_t) counts[DD_TIMES_BUCKETS];
};

/* What a reader makes of them. */
struct dd_reading {
	uint64_t counted_total;
	uint64_t ns_total;
	uint64_t most_ns;
	uint64_t p50_ns;
	uint64_t p90_ns;
	uint64_t p99_ns;
	uint64_t p999_ns;
};

static inline void dd_times_put(_Atomic(uint64_t) *word, uint64_t value)
{
	/* REUSED->: without release a reader could take this for a time of the destructor before. */
	atomic_store_explicit(word, value, memory_order_release);
}

static inline uint64_t dd_times_get(_Atomic(uint64_t) *word)
{
	/* ->REUSED: without acquire the reader's second look at the number could be too old. */
	return atomic_load_explicit(word, memory_order_acquire);
}

/* Returns the bucket of a time. Below 8 ns each has its own; beyond the last, it has the last. */
static inline uint32_t dd_times_bucket(uint64_t ns)
{
	uint32_t power = 63 - (uint32_t)__builtin_clzll(ns | 1);

	if (ns < DD_TIMES_PARTS)
		return (uint32_t)ns;
	if (power >= DD_TIMES_POWERS)
		return DD_TIMES_BUCKETS - 1;
	return (power - DD_TIMES_BITS + 1) * DD_TIMES_PARTS +
	       (uint32_t)(ns >> (power - DD_TIMES_BITS)) % DD_TIMES_PARTS;
}

/* Returns the middle of a bucket. */
static inline uint64_t dd_times_middle(uint32_t bucket)
{
	uint32_t shift = bucket / DD_TIMES_PARTS - 1;

	if (bucket < 2 * DD_TIMES_PARTS)
		return bucket;
	return ((uint64_t)(DD_TIMES_PARTS + bucket % DD_TIMES_PARTS) << shift) +
	       (UINT64_C(1) << shift) / 2;
}

/* Adds a time that stands for `weight` times. */
static inline void dd_times_add(struct dd_times *times, uint64_t ns, uint64_t weight)
{
	_Atomic(uint64_t) *count = &times->counts[dd_times_bucket(ns)];

	dd_times_put(&times->counted_total, dd_times_get(&times->counted_total) + weight);
	dd_times_put(count, dd_times_get(count) + weight);
	dd_times_put(&times->ns_total, dd_times_get(&times->ns_total) + ns * weight);
	if (ns > dd_times_get(&times->most_ns))
		dd_times_put(&times->most_ns, ns);
}

static inline void dd_times_clear(struct dd_times *times)
{
	if (!dd_times_get(&times->counted_total))
		return; /* its pages may take no memory yet */
	dd_times_put(&times->counted_total, 0);
	dd_times_put(&times->ns_total, 0);
	dd_times_put(&times->most_ns, 0);
	for (uint32_t i = 0; i < DD_TIMES_BUCKETS; i++)
		dd_times_put(&times->counts[i], 0);
}

/* Returns the time that `thousandth` thousandths of all do not exceed. */
static inline uint64_t dd_times_percentile(
	const uint64_t counts[DD_TIMES_BUCKETS], uint64_t sum, uint32_t thousandth)
{
	uint64_t wanted = sum / 1000 * thousandth + (sum % 1000 * thousandth + 999) / 1000;
	uint64_t below = 0;
	uint32_t i = 0;

	while (i < DD_TIMES_BUCKETS - 1 && (below += counts[i]) < wanted)
		i++;
	return dd_times_middle(i);
}

static inline void dd_times_read(struct dd_times *times, struct dd_reading *to)
{
	uint64_t counts[DD_TIMES_BUCKETS];
	uint64_t sum = 0;

	for (uint32_t i = 0; i < DD_TIMES_BUCKETS; i++)
		sum += counts[i] = dd_times_get(&times->counts[i]);
	to->counted_total = dd_times_get(&times->counted_total);
	to->ns_total = dd_times_get(&times->ns_total);
	to->most_ns = dd_times_get(&times->most_ns);
	to->p50_ns = dd_least(to->most_ns, dd_times_percentile(counts, sum, 500));
	to->p90_ns = dd_least(to->most_ns, dd_times_percentile(counts, sum, 900));
	to->p99_ns = dd_least(to->most_ns, dd_times_percentile(counts, sum, 990));
	to->p999_ns = dd_least(to->most_ns, dd_times_percentile(counts, sum, 999));
}

#endif
