/* SPDX-License-Identifier: MIT
 *
 * A clock, pinning to CPUs, and medians.
 */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_sleep_ns(uint64_t ns)
{
	struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* ---- Pinning --------------------------------------------------------------------------------- */

static cpu_set_t all;

/* Runs before main: a later look would find the CPU that the thread is pinned to by then. */
__attribute__((constructor)) static void look_at_cpus(void)
{
	sched_getaffinity(0, sizeof all, &all);
}

unsigned bench_cpus(void)
{
	return (unsigned)CPU_COUNT(&all);
}

/* Pins the calling thread to the nth CPU of the process, or to its last one if it has fewer. */
static void pin(unsigned nth)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!nth--)
			break;
	}
	sched_setaffinity(0, sizeof one, &one);
}

void bench_pin_consumer(void)
{
	pin(1);
}

static unsigned producer_cpus_limit = UINT_MAX;

void bench_limit_producer_cpus(unsigned limit)
{
	producer_cpus_limit = limit;
}

unsigned bench_producer_cpus(void)
{
	unsigned cpus = bench_cpus() > 2 ? bench_cpus() - 1 : bench_cpus();

	return cpus < producer_cpus_limit ? cpus : producer_cpus_limit;
}

void bench_pin_producer(unsigned nth)
{
	nth %= bench_producer_cpus();
	pin(nth && bench_cpus() > 2 ? nth + 1 : nth);
}

const char *bench_pinning(void)
{
	if (bench_producer_cpus() == 1 && bench_cpus() > 1)
		return "pinned: the consumer to the second CPU, all producers to the first";
	switch (bench_cpus()) {
	case 1:
		return "all threads on one CPU";
	case 2:
		return "pinned: the consumer to the second CPU, producers to the first and second "
		       "in turn";
	default:
		return "pinned: the consumer to the second CPU, producers to the others in turn";
	}
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;

	return (left > right) - (left < right);
}

void bench_sort(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, compare);
}

double bench_quantile(const double *sorted, unsigned count, double share)
{
	double place = share * (count - 1);
	unsigned below = (unsigned)place;

	if (below + 1 >= count)
		return sorted[count - 1];
	return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

double bench_median(const double *samples, unsigned count)
{
	double *sorted = malloc(count * sizeof *sorted);
	double median;

	if (!sorted)
		abort();
	memcpy(sorted, samples, count * sizeof *sorted);
	bench_sort(sorted, count);
	median = bench_quantile(sorted, count, 0.5);
	free(sorted);
	return median;
}
