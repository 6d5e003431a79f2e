/* SPDX-License-Identifier: MIT
 *
 * The byte budget: one word that counts the bytes of pending drops, and has a bit for whether
 * pushes wait for bytes. Pushes that wait stand in line, under the queue's lock of waiters, and get
 * their bytes in the order in which they came. WAITED sends later pushes to the end of the line;
 * otherwise a push that asks for many bytes would starve behind those that ask for few. All
 * accesses that change the word are read-modify-writes, one after the other: a thread that gives
 * bytes back either sees WAITED, or was seen by the thread that set it. The count carries nothing
 * else, so all accesses are relaxed.
 */
#ifndef DD_BUDGET_H
#define DD_BUDGET_H

#include "core/ring.h"
#include "core/waiters.h"

#define DD_BUDGET_WAITED (UINT64_C(1) << 63)
#define DD_BUDGET_MOST   (UINT64_C(1) << 62) /* as max_bytes of the configuration */

struct defer_drop_queue;

struct dd_budget {
	alignas(DD_LINE) _Atomic(uint64_t) pending_bytes; /* and WAITED */
	_Atomic(uint64_t) max_bytes;                      /* any caller; producers read */
	struct dd_waiters line; /* in the order in which they came; under the lock of waiters */
};

/*
 * Waits until that many bytes can be taken, and takes them. Returns 0, -ETIMEDOUT, -ESHUTDOWN if
 * the consumer has finished, or -EDEADLK if a grace period would wait for the calling thread by
 * now.
 */
int dd_budget_wait(struct defer_drop_queue *queue, uint64_t bytes, uint64_t deadline_ns);

/* Serves waiting pushes as far as bytes go. For a thread that gave bytes back and saw WAITED. */
void dd_budget_serve(struct defer_drop_queue *queue);

/* Gives bytes back that a push took, and serves the pushes that wait for them. */
void dd_budget_give_back(struct defer_drop_queue *queue, uint64_t bytes);

/* Sends all waiting pushes away; forgets them, in a forked child. Under the lock of waiters. */
void dd_budget_release(struct dd_budget *budget);
void dd_budget_forget(struct dd_budget *budget, uint64_t pending_bytes);

static inline uint64_t dd_budget_pending(struct dd_budget *budget)
{
	return atomic_load_explicit(&budget->pending_bytes, memory_order_relaxed) &
	       ~DD_BUDGET_WAITED;
}

static inline uint64_t dd_budget_limit(struct dd_budget *budget)
{
	/* Relaxed is enough: the thread that raises it serves waiting pushes afterwards, under the
	 * lock. */
	return atomic_load_explicit(&budget->max_bytes, memory_order_relaxed);
}

/* True if there is room. An empty queue admits any size, so that no push waits for ever. */
static inline bool dd_budget_admits(struct dd_budget *budget, uint64_t pending, uint64_t bytes)
{
	return !pending || pending + bytes <= dd_budget_limit(budget);
}

/* Takes bytes, unless there is no room or other pushes wait. */
static inline bool dd_budget_take(struct dd_budget *budget, uint64_t bytes)
{
	uint64_t pending = atomic_load_explicit(&budget->pending_bytes, memory_order_relaxed);

	do {
		if ((pending & DD_BUDGET_WAITED) || !dd_budget_admits(budget, pending, bytes))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&budget->pending_bytes, &pending,
		pending + bytes, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* Takes bytes, whether there is room or not. */
static inline void dd_budget_add(struct dd_budget *budget, uint64_t bytes)
{
	atomic_fetch_add_explicit(&budget->pending_bytes, bytes, memory_order_relaxed);
}

/* Takes bytes, whether there is room or not, unless that is more than can be counted. */
static inline bool dd_budget_exceed(struct dd_budget *budget, uint64_t bytes)
{
	dd_budget_add(budget, bytes);
	if (dd_budget_pending(budget) <= DD_BUDGET_MOST)
		return true;
	atomic_fetch_sub_explicit(&budget->pending_bytes, bytes, memory_order_relaxed);
	return false;
}

/* Gives bytes back. True if pushes wait for them. */
static inline bool dd_budget_give(struct dd_budget *budget, uint64_t bytes)
{
	return atomic_fetch_sub_explicit(&budget->pending_bytes, bytes, memory_order_relaxed) &
	       DD_BUDGET_WAITED;
}

#endif
