/* SPDX-License-Identifier: MIT
 *
 * defer_drop without a worker: the loop drains, within a time budget per turn. A drop that takes
 * longer than that is destroyed in slices; what is left of it comes before the next one.
 */
#include <defer_drop.h>
#include <errno.h>
#include <stdlib.h>

#include "bench.h"
#include "queue_info.h"
#include "reclaim.h"

/* Nodes between two looks at the clock: so few that a slice is short beside any useful budget. */
#define SLICE_NODES 64

static struct defer_drop_queue *queue;
static uint64_t budget_ns;

/* Its drop was taken from the queue; some of it is left. */
static struct garbage *unfinished;

static int start(const struct reclaim_config *config)
{
	struct defer_drop_config queue_config = DEFER_DROP_CONFIG_INIT;

	budget_ns = config->budget_ns;
	queue_config.queue_size = config->queue_size;
	queue_config.max_lanes = 1; /* one thread pushes */
	queue_config.runner = DEFER_DROP_RUNNER_CALLER;
	return defer_drop_queue_create(&queue, &queue_config);
}

static void begin(void *garbage)
{
	unfinished = garbage;
}

static bool push(struct garbage *garbage)
{
	return !defer_drop_queue_push_try(queue, garbage, begin);
}

/* A ticket would tell too early, of the drop that was taken. */
static int notify(int eventfd)
{
	struct garbage *marker = garbage_create_marker(eventfd);

	if (!marker)
		return -errno;
	if (push(marker))
		return 0;
	garbage_cancel_marker(marker);
	return -EAGAIN;
}

/* False where there is nothing to destroy. */
static bool destroy_slice(void)
{
	if (!unfinished)
		defer_drop_queue_drain(queue, 1, DEFER_DROP_FOREVER, NULL);
	if (!unfinished)
		return false;
	if (garbage_destroy_some(unfinished, SLICE_NODES))
		unfinished = NULL;
	return true;
}

static bool turn(void)
{
	uint64_t until_ns = bench_now_ns() + budget_ns;

	while (destroy_slice())
		if (bench_now_ns() >= until_ns)
			return true;
	return false;
}

static void describe(struct buffer *out)
{
	queue_describe(queue, out);
}

static void stop(void)
{
	while (destroy_slice())
		continue;
	if (defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL) ||
		defer_drop_queue_free(queue))
		abort();
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
