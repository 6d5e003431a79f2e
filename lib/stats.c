/* SPDX-License-Identifier: MIT
 *
 * Statistics, from positions and counters that others write. What is destroyed is read before what
 * is pushed, so that the difference is never negative for being read late.
 */
#include <errno.h>
#include <string.h>

#include "queue.h"

/* Of the first version of the struct, to which later ones add. */
#define DD_STATS_SIZE_0 144

_Static_assert(sizeof(struct defer_drop_stats) == DD_STATS_SIZE_0, "defer_drop_stats");

static uint64_t difference(uint64_t more, uint64_t less)
{
	return dd_is_before(more, less) ? 0 : more - less;
}

/* The position before which all is destroyed: head, and up to a batch more. */
static uint64_t done_position(struct dd_lane *lane)
{
	uint64_t tail = dd_ring_tail(&lane->ring);
	uint64_t at = dd_read(&lane->ring.head);

	while (dd_is_before(at, tail) && dd_ring_is_past(&lane->ring, at + 1))
		at++;
	return at;
}

static void add_lane(struct dd_lane *lane, struct defer_drop_stats *stats)
{
	uint64_t done = done_position(lane) - lane->first;
	/* A drop with options that is done while we look may be missed, never counted twice. */
	uint64_t destroyed =
		difference(done, dd_read(&lane->skipped_total) + dd_read(&lane->pairs_done_total));
	uint64_t pushed;

	stats->abandoned_total += dd_read(&lane->abandoned_total);
	pushed = dd_ring_tail(&lane->ring) - lane->first - dd_read(&lane->retracted_total) -
		 dd_read(&lane->ring.pairs_total);
	/* An owner publishes before it moves the tail. */
	stats->pushed_total += pushed < destroyed ? destroyed : pushed;
	stats->destroyed_total += destroyed;
	stats->refused_total += dd_read(&lane->refused_total);
	stats->waits_total += dd_read(&lane->waits_total);
	stats->wait_ns_total += dd_read(&lane->wait_ns_total);
}

static void add_nested(struct defer_drop_queue *queue, struct defer_drop_stats *stats)
{
	stats->destroyed_total += dd_read(&queue->nested_destroyed_total);
	stats->abandoned_total += dd_read(&queue->nested_abandoned_total);
	stats->nested_total = dd_read(&queue->nested_total);
	stats->pushed_total += stats->nested_total;
}

static int give(struct defer_drop_stats *stats, struct defer_drop_stats *to)
{
	if (to->size < DD_STATS_SIZE_0)
		return -EINVAL;
	stats->backlog =
		difference(stats->pushed_total, stats->destroyed_total + stats->abandoned_total);
	if (stats->highest_backlog < stats->backlog)
		stats->highest_backlog = stats->backlog;
	stats->size = to->size < sizeof *stats ? to->size : sizeof *stats;
	memcpy(to, stats, stats->size);
	return 0;
}

/* Of an open queue, whose lanes have no gaps and nothing abandoned. */
static uint64_t lane_backlog(struct dd_lane *lane)
{
	uint64_t done = done_position(lane);
	uint64_t pairs_done = dd_read(&lane->pairs_done_total);
	uint64_t places = difference(dd_ring_tail(&lane->ring), done);

	return difference(places, dd_read(&lane->ring.pairs_total) - pairs_done);
}

uint64_t defer_drop_queue_backlog(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	uint32_t count;

	if (!queue || !dd_queue_has_opened(queue))
		return 0;
	if (dd_queue_state(queue) >= DD_CLOSING) {
		defer_drop_queue_stats(queue, &stats);
		return stats.backlog;
	}
	count = dd_queue_lanes(queue);
	for (uint32_t i = 0; i < count; i++)
		stats.backlog += lane_backlog(queue->lanes[i]);
	add_nested(queue, &stats);
	return stats.backlog +
	       difference(stats.pushed_total, stats.destroyed_total + stats.abandoned_total);
}

int defer_drop_queue_stats(struct defer_drop_queue *queue, struct defer_drop_stats *to)
{
	struct defer_drop_stats stats = {0};

	if (!queue || !to)
		return -EINVAL;
	if (!dd_queue_has_opened(queue))
		return give(&stats, to);
	stats.lanes = dd_queue_lanes(queue);
	for (uint32_t i = 0; i < stats.lanes; i++)
		add_lane(queue->lanes[i], &stats);
	add_nested(queue, &stats);
	stats.wakes_total = dd_read(&queue->wakes_total);
	stats.naps_total = dd_read(&queue->naps_total);
	stats.deep_sleeps_total = dd_read(&queue->deep_sleeps_total);
	stats.highest_backlog = dd_read(&queue->highest_backlog);
	stats.backlog_bytes = dd_budget_pending(&queue->budget);
	stats.failed_total = dd_read(&queue->failed_total);
	stats.grace_periods_total = dd_read(&queue->grace.begun_total);
	stats.slow_total = dd_read(&queue->watchdog.slow_total);
	return give(&stats, to);
}

int defer_drop_queue_lane_stats(
	struct defer_drop_queue *queue, uint32_t lane, struct defer_drop_stats *to)
{
	struct defer_drop_stats stats = {0};

	if (!queue || !to)
		return -EINVAL;
	if (!dd_queue_has_opened(queue) || lane >= dd_queue_lanes(queue))
		return -ENOENT;
	add_lane(queue->lanes[lane], &stats);
	stats.highest_backlog = dd_read(&queue->lanes[lane]->highest_backlog);
	return give(&stats, to);
}
