/* SPDX-License-Identifier: MIT */
#include "queue_info.h"

#include <inttypes.h>

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
	line(out, "highest_backlog", stats.highest_backlog);
	line(out, "waits_total", stats.waits_total);
	line(out, "wait_ns_total", stats.wait_ns_total);
	line(out, "wakes_total", stats.wakes_total);
	line(out, "naps_total", stats.naps_total);
	line(out, "deep_sleeps_total", stats.deep_sleeps_total);
}
