/* SPDX-License-Identifier: MIT
 *
 * A histogram of times, log-linear: each power of two is cut into 64 equal parts, so that what is
 * read lies above what was recorded by less than a 64th of it, from nanoseconds to centuries.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

/* Up to 127 each value has a part of its own; then come 57 more powers of two. */
#define HISTOGRAM_PARTS (57 * 64 + 128)

/* Zeroed, it is empty. Not for the stack: 30 kB. */
struct histogram {
	uint64_t counts[HISTOGRAM_PARTS];
	uint64_t count_total;
	uint64_t most_ns; /* exact */
};

static inline unsigned histogram_part(uint64_t ns)
{
	/* So many low bits are not kept: all below the seven highest. */
	unsigned lost = ns < 128 ? 0 : 57 - (unsigned)__builtin_clzll(ns);

	return lost * 64 + (unsigned)(ns >> lost);
}

static inline void histogram_record(struct histogram *histogram, uint64_t ns)
{
	histogram->counts[histogram_part(ns)]++;
	histogram->count_total++;
	if (ns > histogram->most_ns)
		histogram->most_ns = ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * The time within which so many percent of what was recorded lie, 0 < percent <= 100: never less
 * than the true one. 0 where nothing was recorded.
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

#endif
