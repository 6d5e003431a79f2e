/* SPDX-License-Identifier: MIT
 *
 * How a new worker came up, told to the thread that starts it.
 *
 * Edges:
 *   BOOT    report: state, release -> await: state, acquire
 *           carries the result
 */
#ifndef DD_BOOT_H
#define DD_BOOT_H

#include "futex.h"

enum dd_boot_state {
	DD_BOOT_PENDING,
	DD_BOOT_DONE,
};

struct dd_boot {
	_Atomic(uint32_t) state; /* a futex word */
	DD_PLAIN(int) result;    /* 0 or a negative errno */
};

/* Before the thread begins. */
static inline void dd_boot_begin(struct dd_boot *boot)
{
	atomic_store_explicit(&boot->state, DD_BOOT_PENDING, memory_order_relaxed);
}

static inline void dd_boot_report(struct dd_boot *boot, int result)
{
	dd_plain_store(&boot->result, result);
	/* BOOT->: without release the starter could miss the result. */
	atomic_store_explicit(&boot->state, DD_BOOT_DONE, memory_order_release);
	dd_futex_wake(&boot->state, 1);
}

static inline int dd_boot_await(struct dd_boot *boot)
{
	/* ->BOOT: without acquire the result could be that of another start. */
	while (atomic_load_explicit(&boot->state, memory_order_acquire) == DD_BOOT_PENDING)
		dd_futex_wait(&boot->state, DD_BOOT_PENDING, DEFER_DROP_FOREVER);
	return dd_plain_load(&boot->result);
}

#endif
