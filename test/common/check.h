/* SPDX-License-Identifier: MIT
 *
 * Claims of programs with a plain main, which run under every checker: a claim that does not hold
 * ends the program, and says where. Units have Criterion's instead (unit/unit.h).
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each kind of program has its own. That of common/fail.c aborts. */
__attribute__((noreturn)) void fail(const char *file, int line, const char *claim);

#ifdef __cplusplus
}
#endif

#define CHECK(claim)                                      \
	do {                                              \
		if (!(claim))                             \
			fail(__FILE__, __LINE__, #claim); \
	} while (0)

/* Checks that the call returns exactly this. */
#define ANSWERS(want, call)                                          \
	do {                                                         \
		int got = (call);                                    \
                                                                     \
		if (got != (want))                                   \
			fail_answer(__FILE__, __LINE__, #call, got); \
	} while (0)

/* Waits for something that must happen; the test's own limit is the deadline. */
#define AWAIT(claim)                  \
	do {                          \
		while (!(claim))      \
			rest_a_bit(); \
	} while (0)

__attribute__((noreturn)) static inline void fail_answer(
	const char *file, int line, const char *call, int got)
{
	char claim[512];

	snprintf(claim, sizeof claim, "%s answers %d (%s)", call, got, strerror(-got));
	fail(file, line, claim);
}

static inline void rest_a_bit(void)
{
	usleep(500);
}

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif
