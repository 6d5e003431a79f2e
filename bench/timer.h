/* SPDX-License-Identifier: MIT
 *
 * A timer for what takes nanoseconds: the CPU's time stamp counter where it runs at one rate, which
 * is measured against the clock; else the clock itself.
 */
#ifndef TIMER_H
#define TIMER_H

#include <stdbool.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "bench.h"

/* Set by timer_begin. */
extern bool timer_is_counter;

/* Before the first look at the timer. Takes some 50 ms. */
void timer_begin(void);
/* In words. */
const char *timer_name(void);
/* What two looks at it, one right after the other, lie apart: their median, in ns. */
double timer_overhead_ns(void);

/* Ticks: what is done between two looks is done by the second, and not begun before the first. */
static inline uint64_t timer_now(void)
{
#if defined(__x86_64__)
	if (timer_is_counter) {
		unsigned cpu;
		uint64_t ticks = __rdtscp(&cpu);

		_mm_lfence();
		return ticks;
	}
#endif
	return bench_now_ns();
}

double timer_to_ns(uint64_t ticks);
uint64_t timer_from_ns(uint64_t ns);

#endif
