/* SPDX-License-Identifier: MIT
 *
 * defer_drop with a worker: what a server would copy. A queue of its own, so that its limits and its
 * statistics are those of the data set.
 */
#include <defer_drop.h>
#include <stdlib.h>

#include "queue_info.h"
#include "reclaim.h"

static struct defer_drop_queue *queue;

static int start(const struct reclaim_config *config)
{
	struct defer_drop_config queue_config = DEFER_DROP_CONFIG_INIT;

	queue_config.queue_size = config->queue_size;
	queue_config.max_lanes = 1; /* one thread pushes */
	return defer_drop_queue_create(&queue, &queue_config);
}

/* Never waits: the loop has others to serve. */
static bool push(struct garbage *garbage)
{
	return !defer_drop_queue_push_try(queue, garbage, garbage_destroy);
}

static int notify(int eventfd)
{
	struct defer_drop_ticket ticket;
	int result = defer_drop_queue_ticket(queue, &ticket);

	return result ? result : defer_drop_ticket_notify(&ticket, eventfd);
}

static void describe(struct buffer *out)
{
	queue_describe(queue, out);
}

static void stop(void)
{
	if (defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL) ||
		defer_drop_queue_free(queue))
		abort();
}

const struct reclaim_way reclaim_drop = {
	.name = "drop",
	.start = start,
	.push = push,
	.notify = notify,
	.describe = describe,
	.stop = stop,
};
