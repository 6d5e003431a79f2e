/* SPDX-License-Identifier: MIT
 *
 * The end of a queue: asked for, or that of the process.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "report.h"
#include "run.h"
#include "worker.h"

static void make_earlier(_Atomic(uint64_t) *deadline_ns, uint64_t wanted_ns)
{
	uint64_t before = dd_read(deadline_ns);

	while (wanted_ns < before && !atomic_compare_exchange_weak_explicit(deadline_ns, &before,
					     wanted_ns, memory_order_relaxed, memory_order_relaxed))
		;
}

/*
 * Asks the consumer to close the queue. True where there is none and the caller, the first to ask,
 * must be it.
 */
static bool begin_closing(struct defer_drop_queue *queue, uint64_t drain_until_ns)
{
	bool is_consumer = false;

	make_earlier(&queue->drain_until_ns, drain_until_ns);
	pthread_mutex_lock(&queue->control);
	if (dd_queue_state(queue) == DD_OPEN) {
		is_consumer = !atomic_load_explicit(&queue->has_thread, memory_order_relaxed);
		dd_queue_set_state(queue, DD_CLOSING);
	}
	pthread_mutex_unlock(&queue->control);
	dd_bell_ring(&queue->park.bell);
	return is_consumer;
}

/*
 * Waits for who is draining, but not beyond the deadline: then nobody finishes the queue.
 * is_suspended: by dd_grace_suspend, but its destructors may read as the thread could.
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

/* One caller joins the worker; all wait until that is done. */
static void join(struct defer_drop_queue *queue)
{
	bool is_joiner;

	pthread_mutex_lock(&queue->control);
	is_joiner = !queue->has_joiner;
	queue->has_joiner = true;
	pthread_mutex_unlock(&queue->control);
	if (is_joiner) {
		if (atomic_load_explicit(&queue->has_thread, memory_order_relaxed))
			dd_thread_join(queue->thread);
		dd_watchdog_end(queue);
		dd_grace_end(&queue->grace);
		dd_queue_set_state(queue, DD_JOINED);
	}
	wait_for_state(queue, DD_JOINED, DEFER_DROP_FOREVER);
}

static void fill_report(struct defer_drop_queue *queue, struct defer_drop_report *report)
{
	struct defer_drop_stats stats = {.size = sizeof stats};

	defer_drop_queue_stats(queue, &stats);
	report->destroyed_total = stats.destroyed_total;
	report->left_total = stats.abandoned_total;
}

static void shut_down(struct defer_drop_queue *queue, uint64_t drain_until_ns, bool is_suspended)
{
	if (begin_closing(queue, drain_until_ns))
		finish_here(queue, DEFER_DROP_FOREVER, is_suspended);
	wait_for_state(queue, DD_FINISHED, DEFER_DROP_FOREVER);
	join(queue);
}

int defer_drop_queue_shutdown(struct defer_drop_queue *queue, uint32_t mode, uint64_t timeout_ns,
	struct defer_drop_report *report)
{
	struct defer_drop_report ignored;
	uint64_t drain_until_ns = DEFER_DROP_FOREVER;
	int result = dd_timeout_check(timeout_ns);

	if (!queue || mode > DEFER_DROP_SHUTDOWN_ABANDON ||
		(timeout_ns && mode != DEFER_DROP_SHUTDOWN_TIMED))
		return -EINVAL;
	if (!result && (dd_is_running(queue) || dd_watchdog_is_self(queue)))
		result = -EDEADLK;
	if (!result && mode != DEFER_DROP_SHUTDOWN_ABANDON && dd_grace_is_reading(&queue->grace))
		result = -EDEADLK;
	if (!result)
		result = dd_queue_open(queue);
	if (result && result != -ESHUTDOWN)
		return result;
	if (mode == DEFER_DROP_SHUTDOWN_TIMED)
		drain_until_ns = dd_deadline_after(timeout_ns);
	else if (mode == DEFER_DROP_SHUTDOWN_ABANDON)
		drain_until_ns = 0;
	shut_down(queue, drain_until_ns, false);
	report = report ? report : &ignored;
	fill_report(queue, report);
	return mode == DEFER_DROP_SHUTDOWN_TIMED && report->left_total ? -ETIMEDOUT : 0;
}

/*
 * Closes the queue and waits until that is done, or the time is over: then nobody who waits, now or
 * in a later handler, shall do so any longer. Not even a destructor that does not return holds the
 * process up.
 */
static void shut_down_in_time(struct defer_drop_queue *queue, uint64_t until_ns, bool is_suspended)
{
	if (begin_closing(queue, until_ns))
		finish_here(queue, until_ns, is_suspended);
	if (wait_for_state(queue, DD_FINISHED, until_ns)) {
		dd_queue_finish(queue);
		dd_wait_release(queue);
	}
}

uint64_t dd_queue_exit(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = {.size = sizeof stats};
	uint64_t until_ns = DEFER_DROP_FOREVER;
	bool is_suspended = dd_grace_suspend(&queue->grace);

	if (queue->config.at_exit == DEFER_DROP_AT_EXIT_ABANDON)
		until_ns = 0;
	else if (queue->config.at_exit == DEFER_DROP_AT_EXIT_TIMED)
		until_ns = dd_deadline_after(queue->config.exit_timeout_ns);
	if (dd_grace_is_reading(&queue->grace)) {
		dd_report("%s: exit inside a read-side critical section: nothing can be destroyed",
			queue->config.worker_name);
		until_ns = 0;
	}
	if (dd_is_running(queue)) {
		/* A destructor called exit: this thread is the consumer, and finishes here. The
		 * drop that it was destroying counts as destroyed. */
		if (is_suspended)
			dd_grace_resume(&queue->grace);
		begin_closing(queue, until_ns);
		dd_run_end(queue);
		dd_worker_finish(queue);
		queue->running_lane = NULL; /* nested drops have nobody to run them now */
	} else if (queue->config.at_exit != DEFER_DROP_AT_EXIT_TIMED) {
		shut_down(queue, until_ns, is_suspended);
	} else {
		shut_down_in_time(queue, until_ns, is_suspended);
	}
	if (is_suspended)
		dd_grace_resume(&queue->grace);
	defer_drop_queue_stats(queue, &stats);
	return stats.pushed_total - stats.destroyed_total;
}
