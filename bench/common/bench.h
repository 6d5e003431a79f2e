/* SPDX-License-Identifier: MIT
 *
 * What the benchmarks share: a clock, pinning and medians.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdlib.h>

/* Ends the program if a call failed that a benchmark cannot go on without. */
static inline void bench_check(int result)
{
	if (result)
		abort();
}

uint64_t bench_now_ns(void);
void bench_sleep_ns(uint64_t ns);

/*
 * Pinning, always to CPUs that the process was allowed when it began: the consumer to the second of
 * them; producers to the others in turn, the first one first. With two CPUs, further producers take
 * both in turn; with one, all threads share it. A new thread inherits the CPU of its maker
 * (sched_setaffinity(2)), so the thread that starts a consumer is pinned as a consumer.
 */
void bench_pin_consumer(void);
void bench_pin_producer(unsigned nth);
/* Limits the number of CPUs that producers take, from here on. At least 1. */
void bench_limit_producer_cpus(unsigned limit);
/* Returns the number of CPUs that producers take. */
unsigned bench_producer_cpus(void);
/* Says in words what was pinned where. */
const char *bench_pinning(void);
unsigned bench_cpus(void);

void bench_sort(double *values, unsigned count);
/* Returns the value below which that share of the values lies. */
double bench_quantile(const double *sorted, unsigned count, double share);
double bench_median(const double *samples, unsigned count);

#endif
