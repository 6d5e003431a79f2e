/* SPDX-License-Identifier: MIT */
#include <defer_drop.h>
#include <stdlib.h>

#include "peer.h"

static void check(int result)
{
	if (result)
		abort();
}

static void push(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		check(defer_drop(NULL, peer_destroy));
}

static void flush(void)
{
	check(defer_drop_flush());
}

const struct peer peer_drop = {"defer_drop", NULL, push, flush, NULL};

static struct defer_drop_queue *queue;

static void begin_shared(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.max_lanes = DEFER_DROP_NO_LANES;
	config.cpus = "1";
	if (defer_drop_queue_create(&queue, &config))
		config.cpus = NULL, check(defer_drop_queue_create(&queue, &config));
}

static void push_shared(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		check(defer_drop_queue_push(queue, NULL, peer_destroy));
}

static void flush_shared(void)
{
	check(defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
}

static void end_shared(void)
{
	check(defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL));
	check(defer_drop_queue_free(queue));
}

const struct peer peer_drop_shared = {
	"defer_drop, shared lane", begin_shared, push_shared, flush_shared, end_shared};
