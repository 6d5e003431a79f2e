/* SPDX-License-Identifier: MIT
 *
 * The histogram of the benchmarks: what is read out is never less than what was recorded, and at
 * most a 64th more; percentiles are where they belong, also after a merge.
 */
#include "histogram.h"

#include <stdio.h>
#include <stdlib.h>

static struct histogram histogram, other;
static int failures;

static void expect(const char *what, uint64_t value, uint64_t least, uint64_t most)
{
	if (value >= least && value <= most)
		return;
	printf("%s: %llu, not in %llu..%llu\n", what, (unsigned long long)value,
		(unsigned long long)least, (unsigned long long)most);
	failures++;
}

static void empty(void)
{
	histogram = other = (struct histogram){0};
}

/* Each value alone, below a longer one that must not cut it short. */
static void check_error(uint64_t ns)
{
	empty();
	histogram_record(&histogram, ns);
	histogram_record(&histogram, UINT64_MAX);
	expect("one value", histogram_percentile(&histogram, 50), ns,
		ns > UINT64_MAX - ns / 64 ? UINT64_MAX : ns + ns / 64);
	expect("the longest", histogram_percentile(&histogram, 100), UINT64_MAX, UINT64_MAX);
}

static void check_errors(void)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t power = UINT64_C(1) << bit;

		check_error(power - 1);
		check_error(power);
		check_error(power + power / 3);
		check_error(power + (power - 1));
	}
}

/* Parts follow each other without a gap, and none lies outside. */
static void check_parts(void)
{
	uint64_t previous = 0;

	for (uint64_t ns = 0; ns < 100000; ns++) {
		expect("part", histogram_part(ns), previous, previous + 1);
		previous = histogram_part(ns);
	}
	expect("the last part", histogram_part(UINT64_MAX), HISTOGRAM_PARTS - 1,
		HISTOGRAM_PARTS - 1);
}

static void check_percentiles(void)
{
	empty();
	expect("nothing", histogram_percentile(&histogram, 99), 0, 0);
	for (uint64_t ns = 1; ns <= 100; ns++)
		histogram_record(ns % 2 ? &histogram : &other, ns);
	histogram_merge(&histogram, &other);
	expect("count", histogram.count_total, 100, 100);
	expect("p1", histogram_percentile(&histogram, 1), 1, 1);
	expect("p50", histogram_percentile(&histogram, 50), 50, 50);
	expect("p99", histogram_percentile(&histogram, 99), 99, 99);
	expect("p99.9", histogram_percentile(&histogram, 99.9), 100, 100);
	histogram_record(&histogram, 1000003);
	expect("most", histogram.most_ns, 1000003, 1000003);
	expect("p100", histogram_percentile(&histogram, 100), 1000003, 1000003);
}

int main(void)
{
	check_errors();
	check_parts();
	check_percentiles();
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
