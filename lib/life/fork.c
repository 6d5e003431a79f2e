/* SPDX-License-Identifier: MIT
 *
 * Queues in a forked child.
 */
#include "life/fork.h"

#include "core/queue.h"

void dd_queue_lock_all(struct defer_drop_queue *queue)
{
	dd_mutex_lock(&queue->control);
	dd_mutex_lock(&queue->waiters_lock);
}

void dd_queue_unlock_all(struct defer_drop_queue *queue)
{
	dd_mutex_unlock(&queue->waiters_lock);
	dd_mutex_unlock(&queue->control);
}

/* True if the thread that forked is this queue's worker, inside a destructor: it remains so. */
static bool is_own_worker(struct defer_drop_queue *queue)
{
	return atomic_load_explicit(&queue->has_thread, memory_order_relaxed) &&
	       pthread_equal(queue->thread, pthread_self());
}

static void survive_nested_counts(struct defer_drop_queue *queue, bool is_kept)
{
	/* Drops in the lists, and one more if a nested drop is being destroyed. */
	uint64_t pending = dd_read(&queue->nested_total) - dd_read(&queue->nested_destroyed_total) -
			   dd_read(&queue->nested_abandoned_total);

	if (!dd_is_running(queue)) {
		pending = 0;
		queue->nested_running = NULL; /* on the stack of a thread that has ended */
	} else if (!is_kept) {
		pending = queue->nested_running != NULL;
	}
	atomic_store_explicit(&queue->nested_total, pending, memory_order_relaxed);
	atomic_store_explicit(&queue->nested_destroyed_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->nested_abandoned_total, 0, memory_order_relaxed);
}

/*
 * A queue that the parent had begun to shut down is shut down in the child. One that it had stopped
 * is stopped, unless the worker that was to leave is the thread that forked: here no caller of stop
 * waits for it to leave.
 */
static void survive_state(struct defer_drop_queue *queue, bool is_exiting)
{
	uint32_t attention = 0;

	if (is_exiting || dd_queue_state(queue) >= DD_CLOSING) {
		atomic_store_explicit(&queue->state, DD_JOINED, memory_order_relaxed);
		attention |= DD_CLOSED;
	} else if (is_own_worker(queue)) {
		atomic_store_explicit(&queue->state, DD_OPEN, memory_order_relaxed);
	}
	queue->has_stopper = false;
	/* It belongs to the parent: its count would reach readers there. */
	queue->config.values.pending_eventfd = -1;
	if (!dd_membarrier_register())
		attention |= DD_FENCED;
	if (dd_queue_has_worker(queue) && !is_own_worker(queue)) {
		atomic_store_explicit(&queue->has_thread, false, memory_order_relaxed);
		attention |= DD_ASLEEP;
	}
	atomic_store_explicit(&queue->park.attention, attention, memory_order_relaxed);
	/* The consumer may be about to sleep, if it forked: it must look at the state again. */
	atomic_store_explicit(&queue->park.bell, DD_BELL_RUNG, memory_order_relaxed);
}

void dd_queue_survive(struct defer_drop_queue *queue, bool is_exiting)
{
	bool is_kept = queue->config.values.at_fork == DEFER_DROP_AT_FORK_KEEP;

	/* This thread holds them, and no thread of the child waits for them. */
	dd_mutex_init(&queue->control);
	dd_mutex_init(&queue->waiters_lock);
	if (!dd_is_running(queue))
		atomic_store_explicit(&queue->consumer_seat, 0, memory_order_relaxed);
	queue->generation++;
	is_kept = dd_grace_survive(&queue->grace, is_own_worker(queue)) && is_kept;
	survive_state(queue, is_exiting);
	is_kept = is_kept && dd_queue_state(queue) <= DD_STOPPED;
	survive_nested_counts(queue, is_kept);
	dd_lanes_survive(queue, is_kept);
	dd_figures_survive(queue, is_kept);
	atomic_store_explicit(&queue->print_asked, 0, memory_order_relaxed);
	queue->completion_waiters = queue->group_waiters = (struct dd_waiters){0};
	dd_watch_forget(queue);
	dd_watchdog_survive(queue);
	atomic_store_explicit(&queue->wakes_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->naps_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->deep_sleeps_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->highest_backlog, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->failed_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->passed_over_total, 0, memory_order_relaxed);
}
