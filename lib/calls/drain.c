/* SPDX-License-Identifier: MIT
 *
 * Waiting until drops are destroyed; and callers that drain, which destroy them.
 */
#include "calls/drain.h"

#include <errno.h>

#include "core/run.h"
#include "core/worker.h"
#include "life/default.h"

void dd_drain_until(struct defer_drop_queue *queue, struct dd_lane *lane, dd_drain_is_over is_over,
	const void *context, uint64_t deadline_ns)
{
	DD_RUNNING(frame);
	uint64_t ran = 1;

	dd_running_enter(&frame, queue);
	while (!is_over(queue, context) && dd_queue_state(queue) < DD_CLOSING &&
		!dd_deadline_has_come(deadline_ns)) {
		ran = lane ? dd_worker_turn(lane, deadline_ns)
			   : dd_worker_round(queue, 1, deadline_ns);
		if (!ran) {
			dd_worker_linger(queue, &frame, deadline_ns);
			return;
		}
	}
	dd_consumer_leave(queue, &frame);
}

/* What a caller waits for. */
struct wanted {
	struct dd_lane *lane;
	uint64_t position;
	uint32_t generation; /* the generation in which the position was taken */
};

/* True in a child that a destructor forked, where positions of the parent mean nothing. */
static bool is_stale(const struct wanted *wanted)
{
	return wanted->lane->queue->generation != wanted->generation;
}

static bool is_past(struct defer_drop_queue *queue, const void *context)
{
	const struct wanted *wanted = context;

	(void)queue;
	return is_stale(wanted) || dd_ring_is_past(&wanted->lane->ring, wanted->position);
}

/* Waits for other callers that drain, or drains, until the queue closes. Results as of dd_wait. */
static int wait_or_drain(const struct wanted *wanted, uint64_t deadline_ns)
{
	struct dd_lane *lane = wanted->lane;
	struct dd_grace *grace = &lane->queue->grace;
	uint64_t position = wanted->position;
	uint64_t until_ns;
	int result;

	while ((result = dd_wait_poll(lane, position)) == -EINPROGRESS) {
		if (dd_deadline_has_come(deadline_ns))
			return -ETIMEDOUT;
		if (dd_grace_is_reading(grace))
			return -EDEADLK;
		if (dd_queue_state(lane->queue) >= DD_CLOSING)
			return dd_wait(lane, position, deadline_ns);
		until_ns = dd_grace_ask_again_ns(grace, deadline_ns);
		if (!dd_wait_for_seat(lane, position, until_ns))
			continue;
		dd_drain_until(lane->queue, lane, is_past, wanted, until_ns);
		if (is_stale(wanted))
			return -ESTALE;
	}
	return result;
}

static int wait_until(const struct wanted *wanted, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = wanted->lane->queue;
	int result = dd_wait_poll(wanted->lane, wanted->position);

	if (result != -EINPROGRESS)
		return result;
	if (dd_deadline_has_come(deadline_ns))
		return dd_deadline_error(deadline_ns);
	if (dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	if (dd_queue_waits_drain(queue))
		return wait_or_drain(wanted, deadline_ns);
	result = dd_worker_ensure(queue);
	return result ? result : dd_wait(wanted->lane, wanted->position, deadline_ns);
}

int dd_queue_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	const struct wanted wanted = {lane, position, lane->queue->generation};

	return wait_until(&wanted, deadline_ns);
}

/* Not inlined: its frame is large, and callers that must not wait are refused before (escape.h). */
static __attribute__((noinline)) int flush(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	uint64_t tails[1 + DD_MAX_LANES];
	uint32_t generation = queue->generation;
	uint32_t count = dd_queue_lanes(queue);
	int result = 0;

	for (uint32_t i = 0; i < count; i++)
		tails[i] = dd_ring_tail(&queue->lanes[i]->ring);
	for (uint32_t i = 0; i < count && !result; i++) {
		const struct wanted wanted = {queue->lanes[i], tails[i], generation};

		result = wait_until(&wanted, deadline_ns);
	}
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
	/* It was closed meanwhile: to begin a grace period now would leave a thread behind. */
	if (dd_queue_state(queue) >= DD_CLOSING) {
		dd_consumer_release(queue);
		return -ESHUTDOWN;
	}
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
