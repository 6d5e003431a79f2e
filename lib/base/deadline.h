/* SPDX-License-Identifier: MIT
 *
 * Deadlines: absolute nanoseconds of CLOCK_MONOTONIC. Two are special: DEFER_DROP_FOREVER never
 * comes, and 0 has always come: a call with it looks once and does not wait.
 */
#ifndef DD_DEADLINE_H
#define DD_DEADLINE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "defer_drop.h"

#define DD_MS UINT64_C(1000000)
#define DD_S  UINT64_C(1000000000)

static inline uint64_t dd_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * DD_S + (uint64_t)now.tv_nsec;
}

static inline int dd_timeout_check(uint64_t timeout_ns)
{
	return timeout_ns > DEFER_DROP_TIMEOUT_MAX && timeout_ns != DEFER_DROP_FOREVER ? -EOVERFLOW
										       : 0;
}

/* Returns the deadline of a checked timeout. The clock is below 2^62 ns for 146 years of uptime. */
static inline uint64_t dd_deadline_after(uint64_t timeout_ns)
{
	if (!timeout_ns || timeout_ns == DEFER_DROP_FOREVER)
		return timeout_ns;
	return dd_now_ns() + timeout_ns;
}

/* Returns the error of a call whose deadline has come. */
static inline int dd_deadline_error(uint64_t deadline_ns)
{
	return deadline_ns ? -ETIMEDOUT : -EAGAIN;
}

static inline bool dd_deadline_has_come(uint64_t deadline_ns)
{
	return !deadline_ns || (deadline_ns != DEFER_DROP_FOREVER && dd_now_ns() >= deadline_ns);
}

/* Returns the earlier of two times, or the smaller of two numbers. */
static inline uint64_t dd_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline struct timespec dd_deadline_timespec(uint64_t deadline_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(deadline_ns / DD_S),
		.tv_nsec = (long)(deadline_ns % DD_S),
	};

	return at;
}

#endif
