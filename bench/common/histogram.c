/* SPDX-License-Identifier: MIT
 *
 * Merges histograms and reads percentiles out of them.
 */
#include "histogram.h"

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_PARTS; i++)
		into->counts[i] += from->counts[i];
	into->count_total += from->count_total;
	if (from->most_ns > into->most_ns)
		into->most_ns = from->most_ns;
}

/* Returns the longest time that is recorded in a part. */
static uint64_t part_end_ns(unsigned part)
{
	unsigned lost = part < 128 ? 0 : part / 64 - 1;

	return ((uint64_t)(part - lost * 64) << lost) + ((UINT64_C(1) << lost) - 1);
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	double wanted = (double)histogram->count_total * percent / 100;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_PARTS; i++) {
		seen += histogram->counts[i];
		if (histogram->counts[i] && (double)seen >= wanted)
			return part_end_ns(i) < histogram->most_ns ? part_end_ns(i)
								   : histogram->most_ns;
	}
	return histogram->most_ns;
}
