/* SPDX-License-Identifier: MIT
 *
 * The queue of pushes that wait for bytes of the budget.
 */
#include "core/budget.h"

#include <errno.h>

#include "core/queue.h"

struct dd_budget_waiter {
	struct dd_waiter waiter;
	uint64_t bytes;
	bool has_been_sent_away; /* without its bytes; under the lock, until it is woken */
};

/* ---- The line, under the lock ---------------------------------------------------------------- */

static struct dd_budget_waiter *first_of(const struct dd_budget *budget)
{
	return (struct dd_budget_waiter *)budget->line.first;
}

static void dismiss_first(struct dd_budget *budget, bool is_served)
{
	first_of(budget)->has_been_sent_away = !is_served;
	dd_waiters_wake(&budget->line, budget->line.first);
}

static void serve(struct dd_budget *budget)
{
	while (first_of(budget) &&
		dd_budget_admits(budget, dd_budget_pending(budget), first_of(budget)->bytes)) {
		dd_budget_add(budget, first_of(budget)->bytes);
		dismiss_first(budget, true);
	}
	if (!first_of(budget))
		atomic_fetch_and_explicit(
			&budget->pending_bytes, ~DD_BUDGET_WAITED, memory_order_relaxed);
}

/*
 * Goes to the end of the line. False, and does nothing, if the consumer has finished or was given
 * up.
 */
static bool stand_in_line(struct defer_drop_queue *queue, struct dd_budget_waiter *waiter)
{
	if (!dd_queue_lock_waiters(queue))
		return false;
	dd_waiters_insert(&queue->budget.line, &waiter->waiter, NULL);
	atomic_fetch_or_explicit(
		&queue->budget.pending_bytes, DD_BUDGET_WAITED, memory_order_relaxed);
	serve(&queue->budget); /* bytes given back before WAITED was set */
	dd_mutex_unlock(&queue->waiters_lock);
	return true;
}

/* Leaves the line. False if it was dismissed meanwhile: then it is woken, or about to be. */
static bool has_left(struct defer_drop_queue *queue, struct dd_budget_waiter *waiter)
{
	bool has_left;

	dd_mutex_lock(&queue->waiters_lock);
	has_left = dd_waiters_leave(&queue->budget.line, &waiter->waiter);
	if (has_left)
		serve(&queue->budget); /* those behind it may ask for less */
	dd_mutex_unlock(&queue->waiters_lock);
	return has_left;
}

int dd_budget_wait(struct defer_drop_queue *queue, uint64_t bytes, uint64_t deadline_ns)
{
	struct dd_budget_waiter self = {.bytes = bytes};

	if (!stand_in_line(queue, &self))
		return -ESHUTDOWN;
	/* A napping consumer gives no bytes back. */
	dd_queue_ring(queue);
	while (!dd_latch_is_open(&self.waiter.is_woken)) {
		uint64_t until_ns = dd_grace_ask_again_ns(&queue->grace, deadline_ns);
		int result = dd_latch_wait(&self.waiter.is_woken, until_ns);

		if (dd_grace_is_reading(&queue->grace))
			result = -EDEADLK;
		else if (until_ns != deadline_ns)
			result = 0; /* it stays in line */
		if (result && has_left(queue, &self))
			return result;
	}
	return self.has_been_sent_away ? -ESHUTDOWN : 0;
}

void dd_budget_serve(struct defer_drop_queue *queue)
{
	dd_mutex_lock(&queue->waiters_lock);
	serve(&queue->budget);
	dd_mutex_unlock(&queue->waiters_lock);
}

void dd_budget_give_back(struct defer_drop_queue *queue, uint64_t bytes)
{
	if (bytes && dd_budget_give(&queue->budget, bytes))
		dd_budget_serve(queue);
}

void dd_budget_release(struct dd_budget *budget)
{
	while (first_of(budget))
		dismiss_first(budget, false);
}

void dd_budget_forget(struct dd_budget *budget, uint64_t pending_bytes)
{
	budget->line = (struct dd_waiters){0};
	atomic_store_explicit(&budget->pending_bytes, pending_bytes, memory_order_relaxed);
}
