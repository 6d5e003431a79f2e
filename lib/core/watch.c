/* SPDX-License-Identifier: MIT
 *
 * Watermarks, and the looks that wake threads which wait for the backlog.
 */
#include "core/watch.h"

#include <errno.h>

#include "core/queue.h"
#include "core/stats.h"

/* Between two looks of a busy consumer: short compared to the time that a thread takes to wake. */
#define LOOK_NS UINT64_C(20000)

struct defer_drop_level dd_watch_level(struct defer_drop_queue *queue, bool is_consumer)
{
	return (struct defer_drop_level){
		.size = sizeof(struct defer_drop_level),
		.backlog = dd_stats_backlog(queue, is_consumer),
		.backlog_bytes = dd_budget_pending(&queue->budget),
	};
}

/* ---- Watermarks ------------------------------------------------------------------------------ */

bool dd_watch_has_marks(const struct defer_drop_queue *queue)
{
	return queue->config.values.watermark;
}

/* True above a high mark and, once that was told, until the backlog is down to the low marks. */
static bool is_high(const struct defer_drop_queue *queue, const struct defer_drop_level *level)
{
	const struct defer_drop_config *config = &queue->config.values;

	if (queue->watch.is_high)
		return (config->high_drops && level->backlog > config->low_drops) ||
		       (config->high_bytes && level->backlog_bytes > config->low_bytes);
	return (config->high_drops && level->backlog > config->high_drops) ||
	       (config->high_bytes && level->backlog_bytes > config->high_bytes);
}

static void tell(struct defer_drop_queue *queue, struct defer_drop_level *level, bool is_last)
{
	struct dd_watch *watch = &queue->watch;
	struct dd_lane *running_lane = queue->running_lane;
	uint64_t now_ns = dd_now_ns();

	level->is_high = is_high(queue, level);
	if (level->is_high == watch->is_high)
		return;
	if (!is_last && watch->told_ns &&
		now_ns - watch->told_ns < queue->config.values.watermark_interval_ns)
		return;
	watch->told_ns = now_ns;
	watch->is_high = level->is_high;
	/* The program's function is not a destructor: a push from it is not nested. */
	queue->running_lane = NULL;
	watch->is_telling = true;
	queue->config.values.watermark(queue->config.values.context, level);
	watch->is_telling = false;
	queue->running_lane = running_lane;
}

/* ---- Looking --------------------------------------------------------------------------------- */

bool dd_watch_is_enough(const struct dd_watcher *watcher, const struct defer_drop_level *level)
{
	return level->backlog <= watcher->max_drops && level->backlog_bytes <= watcher->max_bytes;
}

bool dd_watch_is_awaited(struct defer_drop_queue *queue)
{
	return dd_read_32(&queue->watchers) > dd_watch_has_marks(queue);
}

/* Takes a watcher out of the list and wakes it. Under the lock. */
static void dismiss(struct defer_drop_queue *queue, struct dd_waiter *waiter)
{
	atomic_fetch_sub_explicit(&queue->watchers, 1, memory_order_relaxed);
	dd_waiters_wake(&queue->watch.list, waiter);
}

/* Looks under the lock, so that everything a watcher pushed before it came is counted. */
static struct defer_drop_level wake_watchers(struct defer_drop_queue *queue)
{
	struct defer_drop_level level;
	struct dd_waiter *next;

	dd_mutex_lock(&queue->waiters_lock);
	level = dd_watch_level(queue, true);
	for (struct dd_waiter *at = queue->watch.list.first; at; at = next) {
		struct dd_watcher *watcher = (struct dd_watcher *)at;

		next = at->next;
		watcher->has_been_enough = dd_watch_is_enough(watcher, &level);
		if (watcher->has_been_enough)
			dismiss(queue, at);
	}
	dd_mutex_unlock(&queue->waiters_lock);
	return level;
}

void dd_watch_look(struct defer_drop_queue *queue, bool is_last)
{
	struct defer_drop_level level = wake_watchers(queue);

	if (dd_watch_has_marks(queue))
		tell(queue, &level, is_last);
}

void dd_watch_glance(struct defer_drop_queue *queue)
{
	uint64_t now_ns = dd_now_ns();

	if (now_ns < queue->watch.next_look_ns)
		return;
	queue->watch.next_look_ns = now_ns + LOOK_NS;
	dd_watch_look(queue, false);
}

void dd_watch_leave(struct defer_drop_queue *queue)
{
	struct defer_drop_level level;

	if (!dd_read_32(&queue->watchers) || dd_queue_state(queue) >= DD_CLOSING)
		return;
	level = wake_watchers(queue);
	if (dd_watch_has_marks(queue))
		tell(queue, &level, !level.backlog);
}

/* ---- The list ------------------------------------------------------------------------------- */

bool dd_watch_enlist(struct defer_drop_queue *queue, struct dd_watcher *watcher)
{
	if (!dd_queue_lock_waiters(queue))
		return false;
	watcher->has_been_enough = false;
	dd_waiters_insert(&queue->watch.list, &watcher->waiter, NULL);
	atomic_fetch_add_explicit(&queue->watchers, 1, memory_order_relaxed);
	dd_mutex_unlock(&queue->waiters_lock);
	return true;
}

bool dd_watch_unlist(struct defer_drop_queue *queue, struct dd_watcher *watcher)
{
	bool has_left;

	dd_mutex_lock(&queue->waiters_lock);
	has_left = dd_waiters_leave(&queue->watch.list, &watcher->waiter);
	if (has_left)
		atomic_fetch_sub_explicit(&queue->watchers, 1, memory_order_relaxed);
	dd_mutex_unlock(&queue->waiters_lock);
	return has_left;
}

/* ---- The end --------------------------------------------------------------------------------- */

void dd_watch_release(struct defer_drop_queue *queue)
{
	while (queue->watch.list.first)
		dismiss(queue, queue->watch.list.first);
}

void dd_watch_forget(struct defer_drop_queue *queue)
{
	queue->watch.list = (struct dd_waiters){0};
	if (!dd_is_running(queue))
		queue->watch.is_telling = false;
	atomic_store_explicit(&queue->watchers, dd_watch_has_marks(queue), memory_order_relaxed);
}
