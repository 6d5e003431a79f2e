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
#include <x86intrin.h>
#endif

#include "bench.h"

/* Set by timer_begin. */
extern bool timer_is_counter;

/* Before the first look at the timer. Takes some 50 ms. */
void timer_begin(void);
/* In words. */
const char *timer_name(void);

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
/*
 * What one of so many times took that took so many ticks together, each between two looks: in ns,
 * less what two looks lie apart by themselves.
 */
double timer_mean_ns(uint64_t ticks, uint64_t times);
uint64_t timer_from_ns(uint64_t ns);

#endif
