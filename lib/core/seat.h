/* SPDX-License-Identifier: MIT
 *
 * The consumer's seat: a lock with a deadline of CLOCK_MONOTONIC that ThreadSanitizer can follow
 * (it does not know pthread_mutex_clocklock(3)). A caller that drains a queue without a worker
 * holds it.
 *
 * seat, a futex word:
 *   0  free
 *   1  taken
 *   2  taken, and wanted: when the seat is left, a thread that waits for it is woken, and a drain
 *      that was answered -EBUSY is made up for
 *
 * Edges:
 *   SEAT    leave: seat, release -> try, take: seat, acquire
 *           carries all of the consumer's data, from one caller that drains to the next
 */
#ifndef DD_SEAT_H
#define DD_SEAT_H

#include "base/futex.h"
#include "base/tools.h"

static inline bool dd_seat_try(_Atomic(uint32_t) *seat)
{
	uint32_t is_free = 0;

	/* ->SEAT: without acquire what the last consumer did could be missed. */
	if (!atomic_compare_exchange_strong_explicit(
		    seat, &is_free, 1, memory_order_acquire, memory_order_relaxed))
		return false;
	dd_tools_acquire(seat);
	return true;
}

/* Takes the seat, waiting for it. Returns 0 or -ETIMEDOUT. */
static inline int dd_seat_take(_Atomic(uint32_t) *seat, uint64_t deadline_ns)
{
	if (dd_seat_try(seat))
		return 0;
	/* ->SEAT: without acquire what the last consumer did could be missed. */
	while (atomic_exchange_explicit(seat, 2, memory_order_acquire))
		if (dd_futex_wait(seat, 2, deadline_ns) == -ETIMEDOUT)
			return -ETIMEDOUT;
	dd_tools_acquire(seat);
	return 0;
}

/* Takes the seat if it is free; otherwise marks it as wanted, and does not wait. */
static inline bool dd_seat_ask(_Atomic(uint32_t) *seat)
{
	uint32_t taken = 1;

	/* Relaxed is enough: it carries nothing to the thread that leaves, and nothing from it. */
	while (!dd_seat_try(seat)) {
		if (atomic_compare_exchange_strong_explicit(
			    seat, &taken, 2, memory_order_relaxed, memory_order_relaxed) ||
			taken == 2)
			return false;
		taken = 1;
	}
	return true;
}

/* Leaves the seat. True if it was wanted. */
static inline bool dd_seat_leave(_Atomic(uint32_t) *seat)
{
	dd_tools_release(seat);
	/* SEAT->: without release the next consumer could run beside what this one still writes. */
	if (atomic_exchange_explicit(seat, 0, memory_order_release) != 2)
		return false;
	dd_futex_wake(seat, 1);
	return true;
}

#endif
