/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "watch.h"

#include <errno.h>

#include "sleeper.h"
#include "worker.h"

/* Between two looks of a busy consumer: short beside the time that a thread takes to wake up. */
#define LOOK_NS UINT64_C(20000)

struct dd_watcher {
	struct dd_watcher *next;
	uint64_t max_drops;
	uint64_t max_bytes;
	bool has_been_enough; /* under the lock, until it is woken */
	struct dd_sleeper sleeper;
};

static struct defer_drop_level level_of(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = {.size = sizeof stats};

	defer_drop_queue_stats(queue, &stats);
	return (struct defer_drop_level){
		.backlog = stats.backlog,
		.backlog_bytes = stats.backlog_bytes,
	};
}

/* ---- Watermarks ------------------------------------------------------------------------------ */

bool dd_watch_has_marks(const struct defer_drop_queue *queue)
{
	return queue->config.watermark;
}

/* Above a high mark; or, once that was told, not yet down to the low ones. */
static bool is_high(const struct defer_drop_queue *queue, const struct defer_drop_level *level)
{
	const struct dd_config *config = &queue->config;

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
		now_ns - watch->told_ns < queue->config.watermark_interval_ns)
		return;
	watch->told_ns = now_ns;
	watch->is_high = level->is_high;
	/* No drop is being destroyed that a push could be nested in. */
	queue->running_lane = NULL;
	watch->is_telling = true;
	queue->config.watermark(queue->config.context, level);
	watch->is_telling = false;
	queue->running_lane = running_lane;
}

/* ---- Looking --------------------------------------------------------------------------------- */

static bool is_enough(const struct dd_watcher *watcher, const struct defer_drop_level *level)
{
	return level->backlog <= watcher->max_drops && level->backlog_bytes <= watcher->max_bytes;
}

bool dd_watch_is_awaited(struct defer_drop_queue *queue)
{
	return dd_read_32(&queue->watchers) > dd_watch_has_marks(queue);
}

/* Under the lock. */
static void dismiss(struct defer_drop_queue *queue, struct dd_watcher **at)
{
	struct dd_watcher *watcher = *at;

	*at = watcher->next;
	atomic_fetch_sub_explicit(&queue->watchers, 1, memory_order_relaxed);
	dd_sleeper_wake(&watcher->sleeper);
}

static void wake_watchers(struct defer_drop_queue *queue, const struct defer_drop_level *level)
{
	struct dd_watcher **at = &queue->watch.first;

	pthread_mutex_lock(&queue->waiters_lock);
	while (*at) {
		(*at)->has_been_enough = is_enough(*at, level);
		if ((*at)->has_been_enough)
			dismiss(queue, at);
		else
			at = &(*at)->next;
	}
	pthread_mutex_unlock(&queue->waiters_lock);
}

void dd_watch_look(struct defer_drop_queue *queue, bool is_last)
{
	struct defer_drop_level level = level_of(queue);

	wake_watchers(queue, &level);
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

	if (!dd_watch_has_marks(queue) || dd_queue_state(queue) != DD_OPEN)
		return;
	level = level_of(queue);
	tell(queue, &level, !level.backlog);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* False, and nothing done, where the consumer has finished. */
static bool enlist(struct defer_drop_queue *queue, struct dd_watcher *watcher)
{
	bool is_open;

	pthread_mutex_lock(&queue->waiters_lock);
	is_open = dd_queue_state(queue) < DD_FINISHED;
	if (is_open) {
		watcher->next = queue->watch.first;
		queue->watch.first = watcher;
		atomic_fetch_add_explicit(&queue->watchers, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&queue->waiters_lock);
	return is_open;
}

static void leave(struct defer_drop_queue *queue, struct dd_watcher *watcher)
{
	struct dd_watcher **at = &queue->watch.first;

	pthread_mutex_lock(&queue->waiters_lock);
	while (*at && *at != watcher)
		at = &(*at)->next;
	if (*at)
		dismiss(queue, at);
	pthread_mutex_unlock(&queue->waiters_lock);
}

/* Waits for the consumer's look. */
static void wait_for_look(
	struct defer_drop_queue *queue, struct dd_watcher *self, uint64_t deadline_ns)
{
	if (!enlist(queue, self))
		return;
	/* The bell carries the watcher: the consumer looks before it sleeps again. */
	if (dd_bell_ring(&queue->park.bell))
		dd_add_shared(&queue->wakes_total, 1);
	while (!dd_sleeper_is_woken(&self->sleeper))
		if (dd_sleeper_wait(&self->sleeper, deadline_ns) == -ETIMEDOUT)
			leave(queue, self);
}

/* Destroys on this thread until it is enough. Returns 0, -ETIMEDOUT, or -ESHUTDOWN. */
static int drain_until_enough(
	struct defer_drop_queue *queue, const struct dd_watcher *wanted, uint64_t deadline_ns)
{
	struct defer_drop_level level = level_of(queue);
	DD_RUNNING(frame);
	int result = dd_consumer_enter(queue, &frame, deadline_ns);

	if (result)
		return result;
	while (!result && !is_enough(wanted, &level)) {
		if (dd_queue_state(queue) != DD_OPEN)
			result = -ESHUTDOWN;
		else if (dd_deadline_has_come(deadline_ns))
			result = -ETIMEDOUT;
		else if (!dd_worker_round(queue, 1, deadline_ns) &&
			 dd_worker_linger(queue, &frame, deadline_ns))
			return -ETIMEDOUT;
		level = level_of(queue);
	}
	dd_consumer_leave(queue, &frame);
	return result;
}

static int wait_for_backlog(
	struct defer_drop_queue *queue, struct dd_watcher *wanted, uint64_t deadline_ns)
{
	struct defer_drop_level level = level_of(queue);
	int result;

	if (is_enough(wanted, &level))
		return 0;
	if (dd_deadline_has_come(deadline_ns))
		return -ETIMEDOUT;
	if (dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	if (queue->config.runner == DEFER_DROP_RUNNER_CALLER)
		return drain_until_enough(queue, wanted, deadline_ns);
	result = dd_worker_ensure(queue);
	if (result)
		return result;
	wait_for_look(queue, wanted, deadline_ns);
	level = level_of(queue);
	if (wanted->has_been_enough || is_enough(wanted, &level))
		return 0;
	return dd_queue_state(queue) >= DD_FINISHED ? -ESHUTDOWN : -ETIMEDOUT;
}

int defer_drop_queue_wait_backlog(
	struct defer_drop_queue *queue, uint64_t max_drops, uint64_t max_bytes, uint64_t timeout_ns)
{
	struct dd_watcher wanted = {.max_drops = max_drops, .max_bytes = max_bytes};
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (result || !dd_queue_has_opened(queue))
		return result;
	if (dd_is_running(queue))
		return -EDEADLK;
	if (dd_queue_state(queue) >= DD_FINISHED)
		return -ESHUTDOWN;
	return wait_for_backlog(queue, &wanted, dd_deadline_after(timeout_ns));
}

/* ---- The end --------------------------------------------------------------------------------- */

void dd_watch_release(struct defer_drop_queue *queue)
{
	while (queue->watch.first)
		dismiss(queue, &queue->watch.first);
}

void dd_watch_forget(struct defer_drop_queue *queue)
{
	queue->watch.first = NULL;
	if (!dd_is_running(queue))
		queue->watch.is_telling = false;
	atomic_store_explicit(&queue->watchers, dd_watch_has_marks(queue), memory_order_relaxed);
}
