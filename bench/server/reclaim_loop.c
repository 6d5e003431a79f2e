/* SPDX-License-Identifier: MIT
 *
 * The way with a queue of defer_drop that has no worker: the loop drains it, within a time budget
 * per turn. Big garbage is destroyed in slices, so that the budget holds inside it too.
 */
#include "queue.h"

/* Nodes of a slice: few, so that a slice is short beside any useful budget. */
#define SLICE_NODES 64

static struct defer_drop_queue *queue;
static uint64_t budget_ns;

static int start(const struct reclaim_config *config)
{
	budget_ns = config->budget_ns;
	return queue_create(&queue, config, DEFER_DROP_RUNNER_CALLER);
}

static int destroy_slice(void *garbage)
{
	return garbage_destroy_some(garbage, SLICE_NODES) ? 0 : DEFER_DROP_AGAIN;
}

static bool push(struct garbage *garbage)
{
	return queue_push_sliced(queue, garbage, destroy_slice);
}

static int notify(int eventfd)
{
	return queue_notify(queue, eventfd);
}

static bool turn(void)
{
	defer_drop_queue_drain(queue, UINT64_MAX, budget_ns, NULL);
	return defer_drop_queue_backlog(queue);
}

static void describe(struct buffer *out)
{
	queue_describe(queue, out);
}

static void stop(void)
{
	queue_end(queue);
}

const struct reclaim_way reclaim_loop = {
	.name = "loop",
	.start = start,
	.push = push,
	.notify = notify,
	.turn = turn,
	.describe = describe,
	.stop = stop,
};
