/* SPDX-License-Identifier: MIT
 *
 * Waiting until drops are destroyed; and destroying them, by callers that drain.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "run.h"
#include "worker.h"

/*
 * By the thread that has the seat: destroys until the position has passed, or others are to have a
 * turn. generation: in which the position was taken. Returns -EINPROGRESS, or -ESTALE if a
 * destructor has forked and this is the child.
 */
static int drain_to(
	struct dd_lane *lane, uint64_t position, uint64_t deadline_ns, uint32_t generation)
{
	struct defer_drop_queue *queue = lane->queue;
	int result = -EINPROGRESS;
	DD_RUNNING(frame);

	dd_running_enter(&frame, queue);
	while (result == -EINPROGRESS) {
		if (queue->generation != generation)
			result = -ESTALE; /* positions of the parent mean nothing here */
		else if (dd_ring_is_past(&lane->ring, position) ||
			 dd_queue_state(queue) >= DD_CLOSING || dd_deadline_has_come(deadline_ns))
			break;
		else if (!dd_worker_turn(lane, deadline_ns)) {
			dd_worker_linger(queue, &frame, deadline_ns);
			return result;
		}
	}
	dd_consumer_leave(queue, &frame);
	return result;
}

/* Waits for other callers that drain, or drains, until the queue closes. As dd_wait. */
static int wait_or_drain(
	struct dd_lane *lane, uint64_t position, uint64_t deadline_ns, uint32_t generation)
{
	int result;

	while ((result = dd_wait_poll(lane, position)) == -EINPROGRESS) {
		if (dd_deadline_has_come(deadline_ns))
			return -ETIMEDOUT;
		if (dd_queue_state(lane->queue) >= DD_CLOSING)
			return dd_wait(lane, position, deadline_ns);
		if (!dd_wait_for_seat(lane, position, deadline_ns))
			continue;
		result = drain_to(lane, position, deadline_ns, generation);
		if (result != -EINPROGRESS)
			return result;
	}
	return result;
}

static int wait_until(
	struct dd_lane *lane, uint64_t position, uint64_t deadline_ns, uint32_t generation)
{
	struct defer_drop_queue *queue = lane->queue;
	int result = dd_wait_poll(lane, position);

	if (result != -EINPROGRESS)
		return result;
	if (dd_deadline_has_come(deadline_ns))
		return dd_deadline_error(deadline_ns);
	if (dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	if (dd_queue_waits_drain(queue))
		return wait_or_drain(lane, position, deadline_ns, generation);
	result = dd_worker_ensure(queue);
	return result ? result : dd_wait(lane, position, deadline_ns);
}

int dd_queue_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	return wait_until(lane, position, deadline_ns, lane->queue->generation);
}

/* Its frame is large: those who must not come here are told so by their own, see escape.h. */
static __attribute__((noinline)) int flush(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	uint64_t tails[1 + DD_MAX_LANES];
	uint32_t generation = queue->generation;
	uint32_t count = dd_queue_lanes(queue);
	int result = 0;

	for (uint32_t i = 0; i < count; i++)
		tails[i] = dd_ring_tail(&queue->lanes[i]->ring);
	for (uint32_t i = 0; i < count && !result; i++)
		result = wait_until(queue->lanes[i], tails[i], deadline_ns, generation);
	return result;
}

int defer_drop_queue_flush(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (result || !dd_queue_has_opened(queue))
		return result;
	if (dd_is_running(queue))
		return -EDEADLK;
	if (dd_queue_state(queue) >= DD_FINISHED)
		return -ESHUTDOWN;
	return flush(queue, dd_deadline_after(timeout_ns));
}

static int drain(
	struct defer_drop_queue *queue, uint64_t max_drops, uint64_t deadline_ns, uint64_t *ran)
{
	DD_RUNNING(frame);
	uint64_t round;

	if (!dd_seat_ask(&queue->consumer_seat))
		return -EBUSY;
	dd_running_enter(&frame, queue);
	dd_worker_look(queue);
	do {
		round = dd_worker_round(queue, max_drops - *ran, deadline_ns);
		*ran += round;
	} while (round && *ran < max_drops && !dd_deadline_has_come(deadline_ns));
	dd_consumer_leave(queue, &frame);
	return 0;
}

int defer_drop_queue_drain(
	struct defer_drop_queue *queue, uint64_t max_drops, uint64_t budget_ns, uint64_t *ran)
{
	uint64_t ignored;
	int result = dd_timeout_check(budget_ns);

	ran = ran ? ran : &ignored;
	*ran = 0;
	if (queue && !result)
		result = dd_queue_open(queue);
	if (!queue || dd_queue_has_worker(queue))
		return -EINVAL;
	if (!result && dd_is_running(queue))
		result = -EDEADLK;
	if (!result && dd_queue_state(queue) >= DD_CLOSING)
		result = -ESHUTDOWN;
	if (result)
		return result;
	return drain(queue, max_drops, dd_deadline_after(budget_ns), ran);
}
