/* SPDX-License-Identifier: MIT
 *
 * Finishing, polling and waiting for a completion.
 */
#define _GNU_SOURCE
#include "completion.h"

#include <errno.h>

#include "eventfd.h"
#include "run.h"
#include "worker.h"

int dd_completion_finish(struct dd_completion *completion, uint32_t drops)
{
	int eventfd = completion->eventfd;
	int result = 0;

	if (!dd_completion_count(completion, drops))
		return 0;
	if (eventfd >= 0) {
		dd_completion_tell(completion);
		result = dd_eventfd_signal(eventfd);
	}
	/* Its last access: the wake goes by the address. */
	if (dd_completion_end(completion))
		dd_futex_wake(&completion->state, INT_MAX);
	return result;
}

static struct dd_completion *view(struct defer_drop_completion *completion)
{
	return (struct dd_completion *)completion;
}

/* A fork came between. */
static bool is_stale(const struct dd_completion *completion)
{
	return completion->generation != completion->queue->generation;
}

/* It is over: gives the status. */
static int give(struct dd_completion *completion, int *status)
{
	if (status)
		*status = dd_plain_load(&completion->status);
	return dd_plain_load(&completion->outcome);
}

static void sleep_until_over(struct dd_completion *completion, uint64_t deadline_ns)
{
	uint32_t word;

	while ((word = dd_completion_ask(completion)))
		if (dd_futex_wait(&completion->state, word, deadline_ns) == -ETIMEDOUT)
			return;
}

int defer_drop_completion_poll(struct defer_drop_completion *asked, int *status)
{
	struct dd_completion *completion = view(asked);
	uint32_t state = completion ? dd_completion_look(completion) : DD_COMPLETION_UNUSED;

	if (state == DD_COMPLETION_UNUSED)
		return -EINVAL;
	if (state != DD_COMPLETION_OVER && is_stale(completion)) {
		dd_plain_store(&completion->outcome, -ESTALE);
		dd_completion_end(completion);
	} else if (state == DD_COMPLETION_PENDING) {
		return -EINPROGRESS;
	} else {
		sleep_until_over(completion, DEFER_DROP_FOREVER);
	}
	dd_completion_look(completion);
	return give(completion, status);
}

/* Destroys on this thread until it is over, or another thread closes. Returns 0 or -ETIMEDOUT. */
static int drain_until_over(struct dd_completion *completion, uint64_t deadline_ns)
{
	struct dd_lane *lane = completion->lane;
	struct defer_drop_queue *queue = lane->queue;
	DD_RUNNING(frame);
	int result = dd_consumer_enter(queue, &frame, deadline_ns);

	if (result)
		return result;
	while (!result && dd_completion_look(completion) == DD_COMPLETION_PENDING &&
		!is_stale(completion)) {
		if (dd_queue_state(queue) != DD_OPEN)
			break; /* another thread closes it, and ends the completion */
		if (dd_deadline_has_come(deadline_ns))
			result = -ETIMEDOUT;
		else if (!dd_run_turn(lane, 1, deadline_ns) &&
			 dd_worker_linger(queue, &frame, deadline_ns))
			return -ETIMEDOUT;
	}
	dd_consumer_leave(queue, &frame);
	return result;
}

int defer_drop_completion_wait(
	struct defer_drop_completion *asked, uint64_t timeout_ns, int *status)
{
	struct dd_completion *completion = view(asked);
	uint64_t deadline_ns;
	int result = defer_drop_completion_poll(asked, status);

	if (result != -EINPROGRESS)
		return result;
	result = dd_timeout_check(timeout_ns);
	if (!result && dd_is_running(completion->queue))
		result = -EDEADLK;
	if (!result && timeout_ns && dd_grace_is_reading(&completion->queue->grace))
		result = -EDEADLK;
	if (!result)
		result = dd_worker_ensure(completion->queue);
	if (result)
		return result;
	deadline_ns = dd_deadline_after(timeout_ns);
	if (completion->queue->config.runner == DEFER_DROP_RUNNER_CALLER)
		result = drain_until_over(completion, deadline_ns);
	if (!result && dd_bell_ring(&completion->queue->park.bell)) /* cuts a nap short */
		dd_add_shared(&completion->queue->wakes_total, 1);
	if (!result && !is_stale(completion)) /* a destructor may have forked */
		sleep_until_over(completion, deadline_ns);
	result = defer_drop_completion_poll(asked, status);
	return result == -EINPROGRESS ? -ETIMEDOUT : result;
}
