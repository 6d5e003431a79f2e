/* SPDX-License-Identifier: MIT
 *
 * Waiting until drops are destroyed: by a flush, or by destroying them, where the caller drains.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "run.h"
#include "worker.h"

/*
 * Runs destructors on this thread until the position has passed. generation: in which the position
 * was taken. Returns 0, -ETIMEDOUT, -ESTALE where one of them has forked and this is the child, or
 * -EINPROGRESS where another thread closes the queue.
 */
static int drain_to(
	struct dd_lane *lane, uint64_t position, uint64_t deadline_ns, uint32_t generation)
{
	struct defer_drop_queue *queue = lane->queue;
	DD_RUNNING(frame);
	int result = dd_consumer_enter(queue, &frame, deadline_ns);

	if (result)
		return result;
	while (!result) {
		if (queue->generation != generation)
			result = -ESTALE; /* positions of the parent mean nothing here */
		else if (dd_ring_is_past(&lane->ring, position))
			break;
		else if (dd_queue_state(queue) != DD_OPEN)
			result = -EINPROGRESS;
		else if (dd_deadline_has_come(deadline_ns))
			result = -ETIMEDOUT;
		else if (!dd_run_turn(lane, 1, deadline_ns) &&
			 dd_worker_linger(queue, &frame, deadline_ns))
			return -ETIMEDOUT;
	}
	dd_consumer_leave(queue, &frame);
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
		return -ETIMEDOUT;
	if (dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	if (queue->config.runner == DEFER_DROP_RUNNER_CALLER) {
		result = drain_to(lane, position, deadline_ns, generation);
		if (result != -EINPROGRESS)
			return result;
	}
	result = dd_worker_ensure(queue);
	return result ? result : dd_wait(lane, position, deadline_ns);
}

int dd_queue_wait(struct dd_lane *lane, uint64_t position, uint64_t timeout_ns)
{
	return wait_until(lane, position, dd_deadline_after(timeout_ns), lane->queue->generation);
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

static void count_remaining(struct defer_drop_queue *queue, struct defer_drop_drained *drained)
{
	struct defer_drop_stats stats = {.size = sizeof stats};

	defer_drop_queue_stats(queue, &stats);
	drained->remaining = stats.backlog;
}

static int drain(struct defer_drop_queue *queue, uint64_t max_drops, uint64_t deadline_ns,
	uint64_t *ran_total)
{
	DD_RUNNING(frame);
	uint64_t ran;

	if (!dd_seat_try(&queue->consumer_seat))
		return -EBUSY;
	dd_running_enter(&frame, queue);
	dd_worker_look(queue);
	do {
		ran = dd_worker_round(queue, max_drops - *ran_total, deadline_ns);
		*ran_total += ran;
	} while (ran && *ran_total < max_drops && !dd_deadline_has_come(deadline_ns));
	dd_consumer_leave(queue, &frame);
	return 0;
}

int defer_drop_queue_drain(struct defer_drop_queue *queue, uint64_t max_drops, uint64_t budget_ns,
	struct defer_drop_drained *drained)
{
	struct defer_drop_drained ignored;
	int result = dd_timeout_check(budget_ns);

	if (queue && !result)
		result = dd_queue_open(queue);
	if (!queue || queue->config.runner != DEFER_DROP_RUNNER_CALLER)
		return -EINVAL;
	if (!result && dd_is_running(queue))
		result = -EDEADLK;
	if (!result && dd_queue_state(queue) != DD_OPEN)
		result = -ESHUTDOWN;
	if (result)
		return result;
	drained = drained ? drained : &ignored;
	drained->ran_total = 0;
	result = drain(queue, max_drops, dd_deadline_after(budget_ns), &drained->ran_total);
	count_remaining(queue, drained);
	return result;
}
