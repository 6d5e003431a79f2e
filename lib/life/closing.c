/* SPDX-License-Identifier: MIT
 *
 * The end of a queue, by a call or by exit.
 */
#include "life/closing.h"

#include <errno.h>

#include "base/report.h"
#include "core/completion.h"
#include "core/run.h"
#include "core/stats.h"
#include "core/worker.h"

static void make_earlier(_Atomic(uint64_t) *deadline_ns, uint64_t wanted_ns)
{
	uint64_t before = dd_read(deadline_ns);

	while (wanted_ns < before && !atomic_compare_exchange_weak_explicit(deadline_ns, &before,
					     wanted_ns, memory_order_relaxed, memory_order_relaxed))
		;
}

/* True if there is a worker that will see the queue close. Under control. */
static bool has_worker(struct defer_drop_queue *queue)
{
	bool has_left =
		dd_queue_state(queue) == DD_STOPPED && dd_read_32(&queue->stop) == DD_STOP_LEFT;

	return atomic_load_explicit(&queue->has_thread, memory_order_relaxed) && !has_left;
}

/* Asks the consumer to close the queue. True if there is none, and callers take its place. */
static bool begin_closing(struct defer_drop_queue *queue, uint64_t drain_until_ns)
{
	bool is_consumer;

	make_earlier(&queue->drain_until_ns, drain_until_ns);
	dd_mutex_lock(&queue->control);
	if (dd_queue_state(queue) < DD_CLOSING) {
		queue->is_closed_by_callers = !has_worker(queue);
		dd_set_stop(queue, DD_STOP_OVERTAKEN);
		dd_queue_set_state(queue, DD_CLOSING);
	}
	is_consumer = queue->is_closed_by_callers;
	dd_mutex_unlock(&queue->control);
	dd_bell_ring(&queue->park.bell);
	return is_consumer;
}

/*
 * Finishes the queue as its consumer. Waits for other callers that drain, but not beyond the
 * deadline. is_suspended: dd_grace_suspend took this thread offline; destructors may read, so it
 * comes back online.
 */
static void finish_here(struct defer_drop_queue *queue, uint64_t deadline_ns, bool is_suspended)
{
	DD_RUNNING(frame);

	if (dd_consumer_enter(queue, &frame, deadline_ns))
		return;
	if (is_suspended)
		dd_grace_resume(&queue->grace);
	dd_worker_finish(queue);
	dd_consumer_leave(queue, &frame);
}

/* Waits until the state is reached. 0 or -ETIMEDOUT. */
static int wait_for_state(
	struct defer_drop_queue *queue, enum dd_state wanted, uint64_t deadline_ns)
{
	uint32_t state;

	while ((state = dd_queue_state(queue)) < wanted)
		if (dd_futex_wait(&queue->state, state, deadline_ns) == -ETIMEDOUT)
			return -ETIMEDOUT;
	return 0;
}

/* Gives the queue up: a destructor that does not return must not delay threads that wait. */
static void give_up(struct defer_drop_queue *queue)
{
	if (!dd_queue_move_state(queue, DD_CLOSING, DD_GIVEN_UP))
		return;
	dd_mutex_lock(&queue->waiters_lock);
	dd_completion_call(&queue->completion_waiters);
	dd_mutex_unlock(&queue->waiters_lock);
	dd_wait_release(queue);
}

/*
 * Closes the queue: destroys until the first deadline, and gives up at the second. Returns 0 when
 * its consumer has finished, or -ECANCELED.
 */
static int close_queue(struct defer_drop_queue *queue, uint64_t drain_until_ns, uint64_t give_up_ns,
	bool is_suspended)
{
	if (begin_closing(queue, drain_until_ns))
		finish_here(queue, give_up_ns, is_suspended);
	if (!wait_for_state(queue, DD_FINISHED, give_up_ns))
		return 0;
	give_up(queue);
	return -ECANCELED;
}

/* Waits a moment for a caller of stop, which may have taken the worker over to join it. */
static void await_stopper(struct defer_drop_queue *queue)
{
	uint64_t until_ns = dd_now_ns() + DD_PATIENCE_NS;
	bool has_stopper = true;

	while (has_stopper && !dd_deadline_has_come(until_ns)) {
		dd_mutex_lock(&queue->control);
		has_stopper = queue->has_stopper;
		dd_mutex_unlock(&queue->control);
		if (has_stopper)
			dd_futex_wait(&queue->state, DD_FINISHED, dd_now_ns() + DD_MS);
	}
}

/* Joins the worker, by one caller; all wait until that is done. */
static void join(struct defer_drop_queue *queue)
{
	bool is_joiner;

	dd_mutex_lock(&queue->control);
	is_joiner = !queue->has_joiner;
	queue->has_joiner = true;
	dd_mutex_unlock(&queue->control);
	if (is_joiner) {
		await_stopper(queue);
		if (atomic_load_explicit(&queue->has_thread, memory_order_relaxed))
			dd_thread_join(queue->thread, &queue->thread_id);
		dd_watchdog_end(queue);
		dd_grace_end(&queue->grace);
		dd_queue_set_state(queue, DD_JOINED);
	}
	wait_for_state(queue, DD_JOINED, DEFER_DROP_FOREVER);
}

int dd_queue_close(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	int result = close_queue(
		queue, dd_deadline_after(timeout_ns), dd_patient_deadline(timeout_ns), false);

	if (!result)
		join(queue);
	return result;
}

/* Finishes the queue from a destructor that called exit, which counts as destroyed. */
static void exit_inside(struct defer_drop_queue *queue, uint64_t until_ns)
{
	begin_closing(queue, until_ns);
	dd_run_end(queue);
	dd_worker_finish(queue);
	queue->running_lane = NULL; /* no consumer is left for nested drops */
}

uint64_t dd_queue_exit(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats;
	uint64_t until_ns = dd_deadline_after(queue->config.values.exit_timeout_ns);
	bool is_suspended = dd_grace_suspend(&queue->grace);

	if (dd_queue_state(queue) == DD_GIVEN_UP || queue->is_out_of_time)
		until_ns = 0; /* the program has stopped waiting for it */
	if (until_ns && dd_grace_is_reading(&queue->grace)) {
		dd_report(queue->config.values.name,
			"exit inside a read-side critical section: nothing can be destroyed");
		until_ns = 0;
	}
	if (dd_is_running(queue)) {
		if (is_suspended)
			dd_grace_resume(&queue->grace);
		exit_inside(queue, until_ns);
	} else if (!close_queue(queue, until_ns, until_ns, is_suspended) &&
		   until_ns == DEFER_DROP_FOREVER) {
		join(queue); /* which may have to wait for a watchdog function */
	}
	if (is_suspended)
		dd_grace_resume(&queue->grace);
	dd_stats_get(queue, &stats);
	return stats.pushed_total - stats.destroyed_total - dd_read(&queue->passed_over_total);
}
