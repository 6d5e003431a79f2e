/* SPDX-License-Identifier: MIT
 *
 * The way with a queue of defer_drop that has no worker: the loop drains it, within a time budget
 * per turn. A drop that takes longer than that is destroyed in slices; its rest comes before the
 * next drop.
 */
#include "bench.h"
#include "queue.h"

/* Nodes between two looks at the clock: few, so that a slice is short beside any useful budget. */
#define SLICE_NODES 64

static struct defer_drop_queue *queue;
static uint64_t budget_ns;

/* Garbage that was taken from the queue and is partly destroyed, or NULL. */
static struct garbage *unfinished;

static int start(const struct reclaim_config *config)
{
	budget_ns = config->budget_ns;
	return queue_create(&queue, config, DEFER_DROP_RUNNER_CALLER);
}

static void begin(void *garbage)
{
	unfinished = garbage;
}

static bool push(struct garbage *garbage)
{
	return queue_push(queue, garbage, begin);
}

/* A ticket would be done too early, as soon as the drop is taken from the queue. */
static int notify(int eventfd)
{
	return garbage_push_marker(push, eventfd);
}

/* False if there is nothing to destroy. */
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
