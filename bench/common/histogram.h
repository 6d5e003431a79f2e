/* SPDX-License-Identifier: MIT
 *
 * A log-linear histogram of times, from nanoseconds to centuries. Each power of two is cut into 64
 * equal parts, so a time that is read exceeds the recorded one by less than a 64th.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

/* Each value up to 127 has a part of its own. 57 more powers of two follow. */
#define HISTOGRAM_PARTS (57 * 64 + 128)

/* Empty if all is 0. Too large for a stack: 30 kB. */
struct histogram {
	uint64_t counts[HISTOGRAM_PARTS];
	uint64_t count_total;
	uint64_t most_ns; /* exact */
};

static inline unsigned histogram_part(uint64_t ns)
{
	/* The number of low bits that are lost: all below the seven highest. */
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
 * Returns the time within which that percentage of the recorded times lie, 0 < percent <= 100. It
 * is never less than the true one. 0 if nothing was recorded.
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

#endif
