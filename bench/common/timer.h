/* SPDX-License-Identifier: MIT
 *
 * A timer for nanoseconds: the time stamp counter of the CPU if it runs at one rate, which is
 * measured against the clock; otherwise the clock itself.
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

/* Prepares the timer. To be called before the first look at it. Takes about 50 ms. */
void timer_begin(void);
/* Names the timer in use. */
const char *timer_name(void);

/*
 * Returns ticks. What stands between two looks has ended by the second one, and has not begun
 * before the first.
 */
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
 * Returns the mean time of one of several actions in ns, without the time that two looks take by
 * themselves. ticks: the sum over all actions, each timed by two looks.
 */
double timer_mean_ns(uint64_t ticks, uint64_t times);
uint64_t timer_from_ns(uint64_t ns);

#endif
