/* SPDX-License-Identifier: MIT
 *
 * The queue of pushes that wait for bytes of the budget.
 */
#include "core/budget.h"

#include <errno.h>

#include "base/latch.h"
#include "core/queue.h"

struct dd_budget_waiter {
	struct dd_budget_waiter *next;
	uint64_t bytes;
	bool has_been_sent_away; /* without its bytes; under the lock, until it is woken */
	struct dd_latch is_woken;
};

/* ---- The line, under the lock ---------------------------------------------------------------- */

static void dismiss_first(struct dd_budget *budget, bool is_served)
{
	struct dd_budget_waiter *first = budget->first;

	budget->first = first->next;
	first->has_been_sent_away = !is_served;
	dd_latch_open(&first->is_woken);
}

static void serve(struct dd_budget *budget)
{
	while (budget->first &&
		dd_budget_admits(budget, dd_budget_pending(budget), budget->first->bytes)) {
		dd_budget_add(budget, budget->first->bytes);
		dismiss_first(budget, true);
	}
	if (!budget->first)
		atomic_fetch_and_explicit(
			&budget->pending_bytes, ~DD_BUDGET_WAITED, memory_order_relaxed);
}

/*
 * Goes to the end of the line. False, and does nothing, if the consumer has finished or was given
 * up.
 */
static bool stand_in_line(struct defer_drop_queue *queue, struct dd_budget_waiter *waiter)
{
	struct dd_budget_waiter **end = &queue->budget.first;
	bool is_open;

	dd_mutex_lock(&queue->waiters_lock);
	is_open = dd_queue_state(queue) < DD_GIVEN_UP;
	if (is_open) {
		while (*end)
			end = &(*end)->next;
		*end = waiter;
		atomic_fetch_or_explicit(
			&queue->budget.pending_bytes, DD_BUDGET_WAITED, memory_order_relaxed);
		serve(&queue->budget); /* bytes given back before WAITED was set */
	}
	dd_mutex_unlock(&queue->waiters_lock);
	return is_open;
}

/* Leaves the line. False if it was dismissed meanwhile: then it is woken, or about to be. */
static bool has_left(struct defer_drop_queue *queue, struct dd_budget_waiter *waiter)
{
	struct dd_budget_waiter **at = &queue->budget.first;
	bool has_left;

	dd_mutex_lock(&queue->waiters_lock);
	while (*at && *at != waiter)
		at = &(*at)->next;
	has_left = *at;
	if (has_left) {
		*at = waiter->next;
		serve(&queue->budget); /* those behind it may ask for less */
	}
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
	while (!dd_latch_is_open(&self.is_woken))
		if (dd_latch_wait(&self.is_woken, deadline_ns) == -ETIMEDOUT &&
			has_left(queue, &self))
			return -ETIMEDOUT;
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
	while (budget->first)
		dismiss_first(budget, false);
}

void dd_budget_forget(struct dd_budget *budget, uint64_t pending_bytes)
{
	budget->first = NULL;
	atomic_store_explicit(&budget->pending_bytes, pending_bytes, memory_order_relaxed);
}
