/* SPDX-License-Identifier: MIT
 *
 * Stopping a queue, so that its threads end and nothing is lost or closed; and starting it again.
 *
 * The worker sees the state, as it sees that of a shutdown, and leaves (worker.c). What is written
 * under control decides which of three comes first: the worker that leaves, the caller whose time
 * is over, or a shutdown. Afterwards the caller replaces the consumer: it holds the seat.
 */
#include "life/stop.h"

#include <errno.h>

#include "core/worker.h"

/* ---- Stopping -------------------------------------------------------------------------------- */

/* Checks that this thread may wait for the threads of the queue: 0 or -EDEADLK. */
static int check_caller(struct defer_drop_queue *queue)
{
	if (dd_is_running(queue) || dd_watchdog_is_self(queue) ||
		dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	return 0;
}

/* Makes the caller the one that stops or starts the queue. 0, -EBUSY or -ESHUTDOWN. */
static int begin_turn(struct defer_drop_queue *queue)
{
	int result = 0;

	dd_mutex_lock(&queue->control);
	if (dd_queue_state(queue) >= DD_CLOSING)
		result = -ESHUTDOWN;
	else if (queue->has_stopper)
		result = -EBUSY;
	else
		queue->has_stopper = true;
	dd_mutex_unlock(&queue->control);
	return result;
}

static void end_turn(struct defer_drop_queue *queue)
{
	dd_mutex_lock(&queue->control);
	queue->has_stopper = false;
	dd_mutex_unlock(&queue->control);
}

/* Moves from OPEN to STOPPED. 0 or -ESHUTDOWN. */
static int announce(struct defer_drop_queue *queue)
{
	bool is_stopped;

	dd_mutex_lock(&queue->control);
	is_stopped = dd_queue_move_state(queue, DD_OPEN, DD_STOPPED);
	if (is_stopped)
		dd_set_stop(queue, DD_STOP_WANTED);
	dd_mutex_unlock(&queue->control);
	if (is_stopped)
		dd_bell_ring(&queue->park.bell);
	return is_stopped ? 0 : -ESHUTDOWN;
}

/* Takes the stop back, unless a shutdown has come meanwhile. Under control. */
static void take_back(struct defer_drop_queue *queue)
{
	dd_queue_move_state(queue, DD_STOPPED, DD_OPEN);
}

/*
 * Waits until the worker has left, and takes it over to be joined. Returns 0, -ETIMEDOUT or
 * -ESHUTDOWN.
 */
static int take_worker(struct defer_drop_queue *queue, uint64_t deadline_ns, bool *is_taken)
{
	int result = 0;
	uint32_t stop;

	while ((stop = dd_read_32(&queue->stop)) == DD_STOP_WANTED &&
		dd_futex_wait(&queue->stop, stop, deadline_ns) != -ETIMEDOUT)
		;
	dd_mutex_lock(&queue->control);
	stop = dd_read_32(&queue->stop);
	*is_taken = stop == DD_STOP_LEFT;
	if (*is_taken)
		atomic_store_explicit(&queue->has_thread, false, memory_order_relaxed);
	else if (stop == DD_STOP_OVERTAKEN)
		result = -ESHUTDOWN;
	else
		result = -ETIMEDOUT;
	if (result)
		take_back(queue);
	dd_mutex_unlock(&queue->control);
	return result;
}

static int end_worker(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	bool is_taken = false;
	int result = 0;

	if (atomic_load_explicit(&queue->has_thread, memory_order_relaxed))
		result = take_worker(queue, deadline_ns, &is_taken);
	if (is_taken)
		dd_thread_join(queue->thread, &queue->thread_id);
	return result;
}

/* Ends the other threads. There is no worker, and the caller holds the seat. */
static int end_others(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	int result = dd_grace_stop(queue, deadline_ns);

	return result ? result : dd_watchdog_stop(queue, deadline_ns);
}

/* Restarts what was ended, since not all threads could be. */
static void go_on(struct defer_drop_queue *queue)
{
	dd_mutex_lock(&queue->control);
	take_back(queue);
	dd_mutex_unlock(&queue->control);
	dd_worker_ensure(queue);
}

/* Takes the seat, which a caller that drains may hold for long. Checks the state for a shutdown. */
static int take_seat(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	while (dd_queue_state(queue) == DD_STOPPED) {
		uint64_t until_ns = dd_now_ns() + DD_LOOK_NS;

		if (!dd_seat_take(&queue->consumer_seat, dd_least(until_ns, deadline_ns)))
			return 0;
		if (dd_deadline_has_come(deadline_ns))
			return -ETIMEDOUT;
	}
	return -ESHUTDOWN;
}

static int end_threads(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	int result = end_worker(queue, deadline_ns);

	if (result)
		return result;
	result = take_seat(queue, deadline_ns);
	if (!result) {
		result = end_others(queue, deadline_ns);
		dd_consumer_release(queue);
	}
	if (result)
		go_on(queue);
	return result;
}

int dd_queue_stop(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	int result = check_caller(queue);

	if (!result)
		result = begin_turn(queue);
	if (result)
		return result;
	if (dd_queue_state(queue) != DD_STOPPED) {
		uint64_t deadline_ns = dd_patient_deadline(timeout_ns);

		result = announce(queue);
		if (!result)
			result = end_threads(queue, deadline_ns);
	}
	end_turn(queue);
	return result == -ETIMEDOUT && !timeout_ns ? -EAGAIN : result;
}

/* ---- Starting -------------------------------------------------------------------------------- */

static int start_again(struct defer_drop_queue *queue)
{
	bool was_stopped;
	int result;

	dd_mutex_lock(&queue->control);
	was_stopped = dd_queue_move_state(queue, DD_STOPPED, DD_OPEN);
	dd_mutex_unlock(&queue->control);
	result = dd_worker_start(queue, true);
	if (!result && was_stopped)
		dd_worker_tell_pending(queue); /* no drop was signalled while it was stopped */
	if (!result || !was_stopped)
		return result;
	dd_mutex_lock(&queue->control);
	/* A push may have started the worker meanwhile. */
	if (atomic_load_explicit(&queue->has_thread, memory_order_relaxed))
		result = 0;
	else
		dd_queue_move_state(queue, DD_OPEN, DD_STOPPED);
	dd_mutex_unlock(&queue->control);
	if (result)
		dd_watchdog_stop(queue, DEFER_DROP_FOREVER);
	return result;
}

int dd_queue_start(struct defer_drop_queue *queue)
{
	int result = check_caller(queue);

	if (!result)
		result = begin_turn(queue);
	if (result)
		return result;
	result = start_again(queue);
	end_turn(queue);
	return result;
}
