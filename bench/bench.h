/* SPDX-License-Identifier: MIT
 *
 * What the benchmarks share: a clock, pinning, medians, and the line that says where they ran.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>

uint64_t bench_now_ns(void);

/* Pins the calling thread to the nth CPU that the process may use; further ones share the last. */
void bench_pin(unsigned nth);
unsigned bench_cpus(void);

/* Sorts the values and returns their median. */
double bench_median(double *values, unsigned count);

/* Machine, kernel, compiler, C library. */
void bench_print_machine(FILE *file);

/* A number from the command line, or a message and exit status 2. */
uint64_t bench_number(const char *option, const char *text, uint64_t least, uint64_t most);

#endif
