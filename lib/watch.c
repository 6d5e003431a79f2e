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
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	defer_drop_queue_stats(queue, &stats);
	return (struct defer_drop_level){
		.size = sizeof(struct defer_drop_level),
		.backlog = stats.backlog,
		.backlog_bytes = stats.backlog_bytes,
	};
}

/* ---- Watermarks ------------------------------------------------------------------------------ */

bool dd_watch_has_marks(const struct defer_drop_queue *queue)
{
	return queue->config.values.watermark;
}

/* Above a high mark; or, once that was told, not yet down to the low ones. */
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
	/* No drop is being destroyed that a push could be nested in. */
	queue->running_lane = NULL;
	watch->is_telling = true;
	queue->config.values.watermark(queue->config.values.context, level);
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

/* Looks under the lock: what a watcher pushed before it came is counted then. */
static struct defer_drop_level wake_watchers(struct defer_drop_queue *queue)
{
	struct dd_watcher **at = &queue->watch.first;
	struct defer_drop_level level;

	pthread_mutex_lock(&queue->waiters_lock);
	level = level_of(queue);
	while (*at) {
		(*at)->has_been_enough = is_enough(*at, &level);
		if ((*at)->has_been_enough)
			dismiss(queue, at);
		else
			at = &(*at)->next;
	}
	pthread_mutex_unlock(&queue->waiters_lock);
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

/* ---- Waiting --------------------------------------------------------------------------------- */

/* False, and nothing done, where the consumer has finished. */
static bool enlist(struct defer_drop_queue *queue, struct dd_watcher *watcher)
{
	bool is_open;

	pthread_mutex_lock(&queue->waiters_lock);
	is_open = dd_queue_state(queue) < DD_GIVEN_UP;
	if (is_open) {
		watcher->has_been_enough = false;
		dd_sleeper_begin(&watcher->sleeper);
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

/*
 * Waits for the consumer's look, or a call. True if the thread has the consumer's seat instead,
 * which it may take if may_drain.
 */
static bool wait_for_look(struct defer_drop_queue *queue, struct dd_watcher *self, bool may_drain,
	uint64_t deadline_ns)
{
	if (!enlist(queue, self))
		return false;
	/* In the list first, as in dd_wait_for_seat. */
	if (may_drain && dd_seat_ask(&queue->consumer_seat)) {
		leave(queue, self);
		return true;
	}
	/* The bell carries the watcher: the consumer looks before it sleeps again. */
	if (dd_bell_ring(&queue->park.bell))
		dd_add_shared(&queue->wakes_total, 1);
	while (!dd_sleeper_is_woken(&self->sleeper))
		if (dd_sleeper_wait(&self->sleeper, deadline_ns) == -ETIMEDOUT)
			leave(queue, self);
	return false;
}

/* By the thread that has the seat: destroys until it is enough, or others are to have a turn. */
static void drain_until_enough(
	struct defer_drop_queue *queue, const struct dd_watcher *wanted, uint64_t deadline_ns)
{
	struct defer_drop_level level = level_of(queue);
	DD_RUNNING(frame);

	dd_running_enter(&frame, queue);
	while (!is_enough(wanted, &level) && dd_queue_state(queue) < DD_CLOSING &&
		!dd_deadline_has_come(deadline_ns)) {
		if (!dd_worker_round(queue, 1, deadline_ns)) {
			dd_worker_linger(queue, &frame, deadline_ns);
			return;
		}
		level = level_of(queue);
	}
	dd_consumer_leave(queue, &frame);
}

/* The answer of a wait that is not to wait any longer, or -EINPROGRESS. */
static int look(
	struct defer_drop_queue *queue, const struct dd_watcher *wanted, uint64_t deadline_ns)
{
	uint32_t state = dd_queue_state(queue);
	struct defer_drop_level level = level_of(queue);

	if (wanted->has_been_enough || is_enough(wanted, &level))
		return 0;
	if (state == DD_GIVEN_UP)
		return -ECANCELED;
	if (state >= DD_FINISHED)
		return -ESHUTDOWN;
	return dd_deadline_has_come(deadline_ns) ? dd_deadline_error(deadline_ns) : -EINPROGRESS;
}

static int wait_for_backlog(
	struct defer_drop_queue *queue, struct dd_watcher *wanted, uint64_t deadline_ns)
{
	int result = look(queue, wanted, deadline_ns);

	if (result != -EINPROGRESS)
		return result;
	if (dd_grace_is_reading(&queue->grace))
		return -EDEADLK;
	result = dd_worker_ensure(queue);
	while (!result && (result = look(queue, wanted, deadline_ns)) == -EINPROGRESS) {
		bool may_drain = dd_queue_waits_drain(queue) && dd_queue_state(queue) < DD_CLOSING;

		if (wait_for_look(queue, wanted, may_drain, deadline_ns))
			drain_until_enough(queue, wanted, deadline_ns);
		result = 0;
	}
	return result;
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
