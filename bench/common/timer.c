/* SPDX-License-Identifier: MIT
 *
 * Finds out whether the time stamp counter can serve as a clock, and at what rate it runs.
 */
#include "timer.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CALIBRATION_NS UINT64_C(50000000)
#define LOOKS          1001

bool timer_is_counter;
static double ns_per_tick = 1;

/* True if the counter exists and runs at one rate in all states of the CPU. */
static bool has_steady_counter(void)
{
#if defined(__x86_64__)
	unsigned eax, ebx, ecx, edx;

	/* Advanced power management: bit 8 of edx; extended features: bit 27 of edx is rdtscp. */
	if (!__get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) || !(edx & 1u << 8))
		return false;
	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && edx & 1u << 27;
#else
	return false;
#endif
}

void timer_begin(void)
{
	uint64_t begin_ns, end_ns, begin;

	timer_is_counter = has_steady_counter();
	if (!timer_is_counter)
		return;
	begin_ns = bench_now_ns();
	begin = timer_now();
	do
		end_ns = bench_now_ns();
	while (end_ns - begin_ns < CALIBRATION_NS);
	ns_per_tick = (double)(end_ns - begin_ns) / (double)(timer_now() - begin);
}

const char *timer_name(void)
{
	return timer_is_counter ? "rdtscp" : "clock_gettime";
}

double timer_to_ns(uint64_t ticks)
{
	return (double)ticks * ns_per_tick;
}

uint64_t timer_from_ns(uint64_t ns)
{
	return (uint64_t)((double)ns / ns_per_tick);
}

/* Returns the median time between two looks, one right after the other. */
static double overhead_ns(void)
{
	double looks[LOOKS];

	for (unsigned i = 0; i < LOOKS; i++) {
		uint64_t begin = timer_now();

		looks[i] = timer_to_ns(timer_now() - begin);
	}
	return bench_median(looks, LOOKS);
}

double timer_mean_ns(uint64_t ticks, uint64_t times)
{
	double ns = timer_to_ns(ticks) / (double)times - overhead_ns();

	return ns > 0 ? ns : 0;
}
