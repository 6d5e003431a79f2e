/* SPDX-License-Identifier: MIT
 *
 * The queue of the library that garbage is pushed to.
 */
#include "queue.h"

#include <inttypes.h>
#include <stdlib.h>

int queue_create(
	struct defer_drop_queue **queue, const struct reclaim_config *config, uint32_t runner)
{
	struct defer_drop_config queue_config = DEFER_DROP_CONFIG_INIT;

	queue_config.runner = runner;
	queue_config.queue_size = config->queue_size;
	queue_config.max_bytes = config->max_bytes;
	queue_config.max_lanes = 1; /* one thread pushes */
	return defer_drop_queue_create(queue, &queue_config);
}

bool queue_push(struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = garbage->tally.bytes;
	return !defer_drop_queue_push_with(queue, garbage, destroy, 0, &options);
}

bool queue_push_shared(
	struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = garbage->tally.bytes;
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	return !defer_drop_queue_push_with(queue, garbage, destroy, DEFER_DROP_FOREVER, &options);
}

bool queue_push_sliced(
	struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_status_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = garbage->tally.bytes;
	options.destroy_status = destroy;
	return !defer_drop_queue_push_with(queue, garbage, NULL, 0, &options);
}

int queue_notify(struct defer_drop_queue *queue, int eventfd)
{
	struct defer_drop_ticket ticket;
	int result = defer_drop_queue_ticket(queue, &ticket);

	return result ? result : defer_drop_ticket_notify(&ticket, eventfd);
}

void queue_end(struct defer_drop_queue *queue)
{
	if (defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER) || defer_drop_queue_free(queue))
		abort();
}

static void line(struct buffer *out, const char *name, uint64_t value)
{
	buffer_print(out, "defer_drop_%s:%" PRIu64 "\r\n", name, value);
}

void queue_describe(struct defer_drop_queue *queue, struct buffer *out)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	defer_drop_queue_stats(queue, &stats);
	line(out, "pushed_total", stats.pushed_total);
	line(out, "destroyed_total", stats.destroyed_total);
	line(out, "refused_total", stats.refused_total);
	line(out, "backlog", stats.backlog);
	line(out, "backlog_bytes", stats.backlog_bytes);
	line(out, "highest_backlog", stats.highest_backlog);
	line(out, "waits_total", stats.waits_total);
	line(out, "wait_ns_total", stats.wait_ns_total);
	line(out, "wakes_total", stats.wakes_total);
	line(out, "naps_total", stats.naps_total);
	line(out, "deep_sleeps_total", stats.deep_sleeps_total);
}
