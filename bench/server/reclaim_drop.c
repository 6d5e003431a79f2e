/* SPDX-License-Identifier: MIT
 *
 * The way with defer_drop's worker, for servers to copy.
 */
#include "queue.h"

static struct defer_drop_queue *queue;
static bool is_shared;

static int start(const struct reclaim_config *config)
{
	is_shared = config->is_shared;
	return queue_create(&queue, config, DEFER_DROP_RUNNER_WORKER);
}

static bool push(struct garbage *garbage)
{
	if (is_shared)
		return queue_push_shared(queue, garbage, garbage_destroy);
	return queue_push(queue, garbage, garbage_destroy);
}

static int notify(int eventfd)
{
	return queue_notify(queue, eventfd);
}

static void describe(struct buffer *out)
{
	queue_describe(queue, out);
}

static void stop(void)
{
	queue_end(queue);
}

const struct reclaim_way reclaim_drop = {
	.name = "drop",
	.has_grace_periods = true,
	.start = start,
	.push = push,
	.notify = notify,
	.describe = describe,
	.stop = stop,
};
