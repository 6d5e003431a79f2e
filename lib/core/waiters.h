/* SPDX-License-Identifier: MIT
 *
 * Lists of threads that wait for what the consumer does: each lane has one for its positions
 * (wait.h), and each queue one for bytes of its budget (budget.h), one for its backlog (watch.h),
 * one for completions, and one for its groups (group.h). All lists of a queue are under its lock of waiters. A waiter lies on the
 * stack of its thread. The thread that wakes it takes it out of its list first, under the lock: so
 * under the lock a waiter is in its list as long as its latch is closed.
 */
#ifndef DD_WAITERS_H
#define DD_WAITERS_H

#include <stddef.h>

#include "base/latch.h"

/* The first member of what is in a list. */
struct dd_waiter {
	struct dd_waiter *next;
	struct dd_waiter *previous;
	struct dd_latch is_woken;
};

struct dd_waiters {
	struct dd_waiter *first;
	struct dd_waiter *last;
};

/* Puts a waiter into a list, before next; at the end if next is NULL. */
static inline void dd_waiters_insert(
	struct dd_waiters *list, struct dd_waiter *waiter, struct dd_waiter *next)
{
	struct dd_waiter *previous = next ? next->previous : list->last;

	dd_latch_close(&waiter->is_woken);
	waiter->next = next;
	waiter->previous = previous;
	*(previous ? &previous->next : &list->first) = waiter;
	*(next ? &next->previous : &list->last) = waiter;
}

static inline void dd_waiters_remove(struct dd_waiters *list, struct dd_waiter *waiter)
{
	*(waiter->previous ? &waiter->previous->next : &list->first) = waiter->next;
	*(waiter->next ? &waiter->next->previous : &list->last) = waiter->previous;
}

static inline void dd_waiters_wake(struct dd_waiters *list, struct dd_waiter *waiter)
{
	dd_waiters_remove(list, waiter);
	dd_latch_open(&waiter->is_woken);
}

/* Takes a waiter out, by its thread. False if it was woken meanwhile, or is about to be. */
static inline bool dd_waiters_leave(struct dd_waiters *list, struct dd_waiter *waiter)
{
	if (dd_latch_is_open(&waiter->is_woken))
		return false;
	dd_waiters_remove(list, waiter);
	return true;
}

#endif
