/* SPDX-License-Identifier: MIT
 *
 * This library, among its peers. Compiled twice: for the shared library, and with DROP_NAME for the
 * static one.
 */
#include "peer.h"

#include "library.h"

#ifndef DROP_NAME
#define DROP_NAME "defer_drop"
#endif

/* Starts the worker once for all measurements. It is pinned where its starter is. */
static void begin(void)
{
	bench_check(defer_drop_start(NULL));
}

static void push(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		bench_check(defer_drop(NULL, peer_destroy));
}

static void flush(void)
{
	bench_check(defer_drop_flush());
}

const struct peer peer_drop = {.name = DROP_NAME, .begin = begin, .push = push, .flush = flush};

static struct defer_drop_queue *queue;

static void begin_shared(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.max_lanes = 0;
	bench_check(defer_drop_queue_create(&queue, &config));
}

static void push_shared(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		bench_check(defer_drop_queue_push(queue, NULL, peer_destroy, DEFER_DROP_FOREVER));
}

static void flush_shared(void)
{
	bench_check(defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
}

static void end_shared(void)
{
	library_end(queue);
}

const struct peer peer_drop_shared = {.name = DROP_NAME " shared lane",
	.begin = begin_shared,
	.push = push_shared,
	.flush = flush_shared,
	.end = end_shared};
