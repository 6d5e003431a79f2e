/* SPDX-License-Identifier: MIT
 *
 * What the benchmarks share: a clock, pinning, medians, and numbers from the command line.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

uint64_t bench_now_ns(void);

/*
 * Pinning, always to CPUs that the process was allowed when it began: the consumer to the second of
 * them; producers to the others in turn, the first one first. Where there are but two, further
 * producers take both in turn; where there is but one, all share it. A thread that is made inherits
 * the CPU of its maker (sched_setaffinity(2)): so whoever starts a consumer is pinned as one.
 */
void bench_pin_consumer(void);
void bench_pin_producer(unsigned nth);
/* From here on producers take no more than so many CPUs, at least 1. */
void bench_limit_producer_cpus(unsigned limit);
/* How many they take. */
unsigned bench_producer_cpus(void);
/* What was pinned where, in words. */
const char *bench_pinning(void);
unsigned bench_cpus(void);

/* Sorts the values, and the value below which so much of them lies: 0.5 is the median. */
void bench_sort(double *values, unsigned count);
double bench_quantile(const double *sorted, unsigned count, double share);

#endif
