/* SPDX-License-Identifier: MIT
 *
 * Statistics, from positions and counters that other threads write. Destroyed drops are counted
 * before pushed ones, so that the difference cannot be negative.
 */
#include "core/stats.h"

static uint64_t difference(uint64_t more, uint64_t less)
{
	return dd_is_before(more, less) ? 0 : more - less;
}

/* Returns the position before which all is destroyed: head, or up to a batch more. */
static uint64_t done_position(struct dd_lane *lane)
{
	uint64_t tail = dd_ring_tail(&lane->ring);
	uint64_t at = dd_read(&lane->ring.head);

	while (dd_is_before(at, tail) && dd_ring_is_past(&lane->ring, at + 1))
		at++;
	dd_tools_acquire(&lane->ring.head);
	return at;
}

/* Notes since when a drop waits, which is pending at this position, if that is the oldest. */
static void add_age(struct dd_lane *lane, struct defer_drop_stats *stats, uint64_t after_ns,
	uint64_t done, uint64_t now_ns)
{
	uint64_t before_ns = dd_age_before(&lane->age, done);

	/* A mark may have been made since the clock was read. */
	if (difference(now_ns, after_ns) > stats->oldest_ns)
		stats->oldest_ns = now_ns - after_ns;
	if (before_ns && difference(now_ns, before_ns) > stats->oldest_least_ns)
		stats->oldest_least_ns = now_ns - before_ns;
}

static void add_lane(struct dd_lane *lane, struct defer_drop_stats *stats, uint64_t now_ns)
{
	uint64_t after_ns = dd_age_after(&lane->age, dd_ages_since(&lane->queue->ages));
	uint64_t at = done_position(lane);
	uint64_t done = at - lane->first;
	/* A drop with options that is done while we look may be missed, never counted twice. */
	uint64_t passed_over = dd_read(&lane->passed_over_total);
	uint64_t destroyed = difference(done,
		dd_read(&lane->skipped_total) + dd_read(&lane->pairs_done_total) + passed_over);
	uint64_t pushed;

	stats->abandoned_total += dd_read(&lane->abandoned_total) + passed_over;
	pushed = dd_ring_tail(&lane->ring) - lane->first - dd_read(&lane->retracted_total) -
		 dd_read(&lane->ring.pairs_total);
	/* An owner publishes before it moves the tail. */
	stats->pushed_total += pushed < destroyed ? destroyed : pushed;
	stats->destroyed_total += destroyed;
	stats->refused_total += dd_read(&lane->refused_total);
	stats->waits_total += dd_read(&lane->waits_total);
	stats->wait_ns_total += dd_read(&lane->wait_ns_total);
	stats->mapped_bytes += lane->mapped_bytes;
	if (pushed > destroyed + dd_read(&lane->abandoned_total))
		add_age(lane, stats, after_ns, at, now_ns);
}

static void add_nested(struct defer_drop_queue *queue, struct defer_drop_stats *stats)
{
	stats->destroyed_total += dd_read(&queue->nested_destroyed_total);
	stats->abandoned_total += dd_read(&queue->nested_abandoned_total);
	stats->nested_total = dd_read(&queue->nested_total);
	stats->pushed_total += stats->nested_total;
}

static void set_backlog(struct defer_drop_stats *stats)
{
	stats->backlog =
		difference(stats->pushed_total, stats->destroyed_total + stats->abandoned_total);
	if (stats->highest_backlog < stats->backlog)
		stats->highest_backlog = stats->backlog;
}

void dd_stats_get(struct defer_drop_queue *queue, struct defer_drop_stats *stats)
{
	uint64_t now_ns = dd_now_ns();

	*stats = (struct defer_drop_stats){.size = sizeof *stats, .lanes = dd_queue_lanes(queue)};
	for (uint32_t i = 0; i < stats->lanes; i++)
		add_lane(queue->lanes[i], stats, now_ns);
	add_nested(queue, stats);
	stats->wakes_total = dd_read(&queue->wakes_total);
	stats->naps_total = dd_read(&queue->naps_total);
	stats->deep_sleeps_total = dd_read(&queue->deep_sleeps_total);
	stats->highest_backlog = dd_read(&queue->highest_backlog);
	stats->mapped_bytes += sizeof *queue + sizeof *queue->figures +
			       queue->config.values.queue_size * sizeof(struct dd_slot);
	stats->backlog_bytes = dd_budget_pending(&queue->budget);
	stats->failed_total = dd_read(&queue->failed_total);
	stats->grace_periods_total = dd_read(&queue->grace.begun_total);
	stats->slow_total = dd_read(&queue->watchdog.slow_total);
	set_backlog(stats);
}

void dd_stats_get_lane(struct dd_lane *lane, struct defer_drop_stats *stats)
{
	*stats = (struct defer_drop_stats){.size = sizeof *stats};
	add_lane(lane, stats, dd_now_ns());
	stats->highest_backlog = dd_read(&lane->highest_backlog);
	set_backlog(stats);
}

/* Returns the backlog of a lane of an open queue, which has no gaps and no abandoned drops. */
static uint64_t lane_backlog(struct dd_lane *lane)
{
	uint64_t done = done_position(lane);
	uint64_t pairs_done = dd_read(&lane->pairs_done_total);
	uint64_t slots = difference(dd_ring_tail(&lane->ring), done);

	return difference(slots, dd_read(&lane->ring.pairs_total) - pairs_done);
}

uint64_t dd_stats_backlog(struct defer_drop_queue *queue, bool is_consumer)
{
	struct defer_drop_stats stats = {.size = sizeof stats};
	uint32_t count = dd_queue_lanes(queue);
	uint64_t backlog = 0;

	if (dd_queue_state(queue) >= DD_CLOSING) {
		dd_stats_get(queue, &stats);
		return stats.backlog;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!is_consumer || dd_queue_may_have_backlog(queue, i))
			backlog += lane_backlog(queue->lanes[i]);
	add_nested(queue, &stats);
	return backlog +
	       difference(stats.pushed_total, stats.destroyed_total + stats.abandoned_total);
}
