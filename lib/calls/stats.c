/* SPDX-License-Identifier: MIT
 *
 * The calls that read statistics, and print them.
 */
#include <errno.h>

#include "config/versioned.h"
#include "core/group.h"
#include "core/print.h"
#include "core/stats.h"
#include "life/default.h"

/* Size of the first version of the struct; later versions add to it. */
#define DD_STATS_SIZE_0 144

DD_FIRST_VERSION(struct defer_drop_stats, slow_total, DD_STATS_SIZE_0);

static int give(const struct defer_drop_stats *stats, struct defer_drop_stats *to)
{
	return dd_versioned_fill(to, DD_STATS_SIZE_0, stats, sizeof *stats);
}

uint64_t defer_drop_queue_backlog(struct defer_drop_queue *queue)
{
	return queue && dd_queue_has_opened(queue) ? dd_stats_backlog(queue, false) : 0;
}

int defer_drop_queue_stats(struct defer_drop_queue *queue, struct defer_drop_stats *to)
{
	struct defer_drop_stats stats = {0};

	if (!queue || !to)
		return -EINVAL;
	if (dd_queue_has_opened(queue))
		dd_stats_get(queue, &stats);
	return give(&stats, to);
}

int defer_drop_queue_lane_stats(
	struct defer_drop_queue *queue, uint32_t lane, struct defer_drop_stats *to)
{
	struct defer_drop_stats stats;

	if (!queue || !to)
		return -EINVAL;
	if (!dd_queue_has_opened(queue) || lane >= dd_queue_lanes(queue))
		return -ENOENT;
	dd_stats_get_lane(queue->lanes[lane], &stats);
	return give(&stats, to);
}

int defer_drop_group_stats(struct defer_drop_group *group, struct defer_drop_stats *to)
{
	struct defer_drop_stats stats = {0};

	if (!group || !to || (dd_group_look(group) & DD_GROUP_FREED))
		return -EINVAL;
	stats.destroyed_total = dd_read(&group->destroyed_total);
	stats.abandoned_total = dd_read(&group->abandoned_total);
	stats.backlog = dd_group_backlog(group);
	stats.pushed_total = stats.destroyed_total + stats.abandoned_total + stats.backlog;
	return give(&stats, to);
}

static bool is_format(uint32_t format)
{
	return format == DEFER_DROP_FORMAT_TEXT || format == DEFER_DROP_FORMAT_JSON;
}

int defer_drop_stats_print(defer_drop_write_fn write, void *context, uint32_t format)
{
	return is_format(format) ? dd_print(write, context, format) : -EINVAL;
}

int defer_drop_stats_ask(struct defer_drop_queue *queue, uint32_t format)
{
	int errno_before = errno;

	if (!queue || !is_format(format))
		return -EINVAL;
	if (dd_queue_state(queue) >= DD_CLOSING)
		return -ESHUTDOWN;
	/* Relaxed is enough: WAKE carries it. */
	atomic_store_explicit(&queue->print_asked, format, memory_order_relaxed);
	dd_bell_ring(&queue->park.bell);
	errno = errno_before;
	return 0;
}
