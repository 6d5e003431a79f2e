/* SPDX-License-Identifier: MIT
 *
 * The system calls beneath sleeping and waking: futex(2) and membarrier(2).
 */
#ifndef DD_FUTEX_H
#define DD_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/deadline.h"

/* The kernel's, as in <linux/futex.h> and <linux/membarrier.h>, which musl does not bring along. */
enum {
	DD_FUTEX_WAKE_PRIVATE = 1 | 128,
	DD_FUTEX_WAIT_BITSET_PRIVATE = 9 | 128,
	DD_MEMBARRIER_QUERY = 0,
	DD_MEMBARRIER_EXPEDITED = 1 << 3,
	DD_MEMBARRIER_REGISTER = 1 << 4,
};
#define DD_FUTEX_ANY 0xffffffff

/*
 * Sleeps while *word is expected, until woken or the deadline comes. May return early for no
 * reason, so the caller checks again. Returns 0 or -ETIMEDOUT.
 */
static inline int dd_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, uint64_t deadline_ns)
{
	struct timespec at = dd_deadline_timespec(deadline_ns);
	int before = errno;
	/* FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC, FUTEX_WAIT a relative time. */
	long result = syscall(SYS_futex, word, DD_FUTEX_WAIT_BITSET_PRIVATE, expected,
		deadline_ns == DEFER_DROP_FOREVER ? NULL : &at, NULL, DD_FUTEX_ANY);
	bool is_late = result < 0 && errno == ETIMEDOUT;

	errno = before;
	return is_late ? -ETIMEDOUT : 0;
}

static inline void dd_futex_wake(_Atomic(uint32_t) *word, int sleepers)
{
	int before = errno;

	/* Fails only if the sleeper has gone, with its memory. */
	syscall(SYS_futex, word, DD_FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
	errno = before;
}

/* Registers for dd_membarrier. True if this process may use it from now on. */
static inline bool dd_membarrier_register(void)
{
	int before = errno;
	long commands = syscall(SYS_membarrier, DD_MEMBARRIER_QUERY, 0, 0);
	bool may = commands > 0 && (commands & DD_MEMBARRIER_EXPEDITED) &&
		   !syscall(SYS_membarrier, DD_MEMBARRIER_REGISTER, 0, 0);

	errno = before;
	return may;
}

/*
 * Far longer than a store takes to become visible: in its core it waits for the few dozen stores
 * before it, and nothing keeps them there. (Morrison and Afek, "Temporally Bounding TSO for
 * Fence-Free Asymmetric Synchronization", ASPLOS 2015.)
 */
#define DD_STORES_SETTLE_NS DD_MS

/* Marks, for the models, that a thread has slept this long and so sees earlier stores of others. */
static inline void dd_stores_settled(void)
{
}

static inline void dd_let_stores_settle(void)
{
	uint64_t until_ns = dd_now_ns() + DD_STORES_SETTLE_NS;
	_Atomic(uint32_t) nobody = 0;

	while (dd_futex_wait(&nobody, 0, until_ns) != -ETIMEDOUT)
		;
	dd_stores_settled();
}

/*
 * A full fence on every running thread of this process. Once registered, it can fail for a moment,
 * for lack of a few bytes in the kernel; or permanently, if the process forbids itself system calls
 * that it could make before (seccomp(2)). Then waiting replaces the fence.
 */
static inline void dd_membarrier(void)
{
	int before = errno;
	long result;

	while ((result = syscall(SYS_membarrier, DD_MEMBARRIER_EXPEDITED, 0, 0)) && errno == ENOMEM)
		sched_yield();
	if (result)
		dd_let_stores_settle();
	errno = before;
}

#endif
