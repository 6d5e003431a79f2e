/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <string.h>

#include "completion.h"
#include "eventfd.h"
#include "report.h"

/*
 * So many slots ahead of the consumer are fetched: six lines. (Saturating push of one producer on
 * another core, ns: 4.9 without; with 16 slots 4.5, 20 3.7, 24 3.5, 28 3.6, 32 5.1, 48 4.6.) But
 * not before so many drops were found in a turn: with fewer, those lines are what the producer will
 * write to next, and it would have to fetch them back.
 */
#define PREFETCH_SLOTS 24
#define PREFETCH_AFTER 64

/* Is the queue closing, and the time over in which it may still start destructors? */
static inline bool is_over(struct defer_drop_queue *queue)
{
	return dd_unlikely(dd_queue_state(queue) != DD_OPEN) &&
	       dd_deadline_has_come(dd_read(&queue->drain_until_ns));
}

/* ---- Destroying an object -------------------------------------------------------------------- */

static void tell_failure(
	struct defer_drop_queue *queue, const struct dd_current *current, int status)
{
	struct defer_drop_failure failure = {
		.size = sizeof failure,
		.object = current->drop.object,
		.status = status,
	};

	dd_sort_destructor(current->options.word, current->drop.destroy, &failure.destroy,
		&failure.destroy_status, &failure.destroy_context);
	dd_add_shared(&queue->failed_total, 1);
	if (queue->config.values.error) {
		queue->config.values.error(queue->config.values.context, &failure);
	} else if (!queue->has_reported_failure && !dd_options_completion(&current->options)) {
		queue->has_reported_failure = true;
		dd_report(queue->config.values.name,
			"a destructor failed with %d (%s); see defer_drop_error_fn", status,
			status < 0 && status > -4096 ? strerror(-status) : "no errno");
	}
}

/* Returns the status, 0 for destructors without one. */
static int destroy(const struct dd_options *options, const struct dd_drop *drop)
{
	if (options->word & DD_HAS_STATUS)
		return ((defer_drop_status_fn)(uintptr_t)drop->destroy)(drop->object);
	if (options->word & DD_HAS_CONTEXT)
		return ((defer_drop_context_fn)(uintptr_t)drop->destroy)(
			drop->object, dd_options_context(options));
	drop->destroy(drop->object);
	return 0;
}

/* The same, for the watchdog to see. */
static int destroy_watched(struct defer_drop_queue *queue, const struct dd_options *options,
	const struct dd_drop *drop)
{
	int status;

	dd_record_begin(&queue->watchdog.record, drop, options->word);
	status = destroy(options, drop);
	dd_record_end(&queue->watchdog.record);
	return status;
}

/* Nothing is to be destroyed any more: gives back what the options took, and tells. */
static void settle(struct defer_drop_queue *queue, struct dd_current *current, int outcome)
{
	const struct dd_current settled = *current;
	struct dd_completion *completion = dd_options_completion(&settled.options);
	int result = 0;

	current->options.word =
		0; /* dealt with, even if a function called below ends the process */
	dd_queue_give_bytes(queue, settled.options.word & DD_BYTES);
	if (completion) {
		dd_completion_note(completion, settled.status, outcome);
		result = dd_completion_finish(completion, 1);
	}
	if (result)
		tell_failure(queue, &settled, result);
}

/* Destroys an object, and tells of a failure. */
static void destroy_current(struct defer_drop_queue *queue, struct dd_current *current)
{
	current->status = queue->is_watched
				  ? destroy_watched(queue, &current->options, &current->drop)
				  : destroy(&current->options, &current->drop);
	if (current->status)
		tell_failure(queue, current, current->status);
}

/* ---- Nested drops ---------------------------------------------------------------------------- */

static void abandon_nested(struct defer_drop_queue *queue, struct dd_current *nested)
{
	if (nested->options.word)
		settle(queue, nested, -ESHUTDOWN);
	dd_count(&queue->nested_abandoned_total);
}

static void destroy_nested(struct dd_lane *lane, struct dd_current *nested)
{
	struct defer_drop_queue *queue = lane->queue;

	queue->nested_running = nested;
	destroy_current(queue, nested);
	if (nested->options.word)
		settle(queue, nested, 0);
	queue->nested_running = NULL;
	dd_count(&queue->nested_destroyed_total);
}

/* May the next one be destroyed, as far as readers are concerned? At last, waits for them. */
static bool is_next_covered(struct dd_lane *lane)
{
	struct defer_drop_queue *queue = lane->queue;

	if (!dd_is_after_grace(dd_nested_next(&lane->nested)))
		return true;
	while (!dd_grace_covers_nested(lane) && !is_over(queue)) {
		if (!queue->is_waiting_out)
			return false;
		dd_grace_rest(queue, dd_read(&queue->drain_until_ns));
	}
	return true;
}

/* Runs the nested drops, and those they make, first-in first-out. False where it has to stop. */
static bool run_nested(struct dd_lane *lane)
{
	while (!dd_nested_is_empty(&lane->nested)) {
		struct dd_current *nested = &lane->queue->nested;

		if (!is_next_covered(lane))
			return false;
		nested->status = 0;
		dd_nested_take(&lane->nested, &nested->options, &nested->drop);
		if (is_over(lane->queue))
			abandon_nested(lane->queue, nested);
		else
			destroy_nested(lane, nested);
	}
	return true;
}

/* ---- One drop -------------------------------------------------------------------------------- */

/* The position has moved on. */
static inline void wake_waiters(struct dd_lane *lane)
{
	if (dd_likely(!dd_alarm_is_due(lane)))
		return;
	dd_ring_recycle(&lane->ring); /* a push that waited gets all the room there is */
	dd_wait_wake(lane);
}

/* The drop that the lane is destroying has been destroyed. */
static void finish(struct dd_lane *lane)
{
	if (lane->current.width == 1) {
		dd_ring_done(&lane->ring);
	} else {
		lane->current.width = 1;
		dd_count(&lane->pairs_done_total);
		dd_ring_done_both(&lane->ring);
	}
	wake_waiters(lane);
}

/*
 * Its destructor has returned: runs the drops which that one made, and tells who wants to know,
 * before the position moves on. False where a nested drop waits for a grace period: the lane is set
 * aside.
 */
static bool run_on(struct dd_lane *lane)
{
	lane->is_among_nested = false;
	do {
		if (!run_nested(lane)) {
			lane->is_among_nested = lane->is_set_aside = true;
			return false;
		}
		if (lane->current.options.word)
			settle(lane->queue, &lane->current, 0);
		/* Who is told of a failure may push. */
	} while (!dd_nested_is_empty(&lane->nested));
	finish(lane);
	return true;
}

/* Options were taken: their drop is what the lane destroys now. */
static void take_current(struct dd_lane *lane, const struct dd_drop *taken)
{
	lane->current.options.word = (uint64_t)(uintptr_t)taken->destroy;
	lane->current.options.pointer = taken->object;
	lane->current.status = 0;
	lane->current.width = 2;
	dd_ring_take_second(&lane->ring, &lane->current.drop);
}

/* Does the drop at the cursor wait for a grace period that has not passed? */
static bool is_held_up(struct dd_lane *lane, const struct dd_drop *taken)
{
	return dd_is_after_grace(taken->destroy) &&
	       !dd_grace_covers(lane, dd_plain_load(&lane->ring.cursor));
}

static void run_plain_watched(struct defer_drop_queue *queue, const struct dd_drop *taken)
{
	const struct dd_options none = {0};
	const struct dd_drop drop = {taken->object, dd_untagged(taken->destroy)};

	destroy_watched(queue, &none, &drop);
}

static bool run_with_options(struct dd_lane *lane, const struct dd_drop *taken)
{
	take_current(lane, taken);
	destroy_current(lane->queue, &lane->current);
	return run_on(lane);
}

/*
 * Runs a drop that was taken, or whose options were. False where the lane was set aside. A plain
 * drop has no business with what the lane knows of the one that it is destroying.
 */
static inline bool run(
	struct dd_lane *lane, struct defer_drop_queue *queue, const struct dd_drop *taken)
{
	if (dd_unlikely(dd_is_options(taken->destroy)))
		return run_with_options(lane, taken);
	if (dd_unlikely(queue->is_watched))
		run_plain_watched(queue, taken);
	else
		dd_untagged(taken->destroy)(taken->object);
	if (dd_unlikely(!dd_nested_is_empty(&lane->nested)))
		return run_on(lane);
	dd_ring_done(&lane->ring);
	wake_waiters(lane);
	return true;
}

/* ---- A turn ---------------------------------------------------------------------------------- */

/*
 * Takes the next drop, or its options, unless the lane has to be set aside before it: then the drop
 * is pending all the while, also for a process that is forked meanwhile.
 */
static inline bool take(struct dd_lane *lane, struct dd_drop *taken)
{
	struct dd_ring *ring = &lane->ring;

	if (!dd_ring_peek(ring, taken))
		return false;
	if (dd_unlikely(dd_tag(taken->destroy)) && is_held_up(lane, taken)) {
		lane->is_set_aside = true;
		return false;
	}
	dd_ring_move_on(ring);
	return true;
}

static inline void prefetch(struct dd_lane *lane)
{
	uint64_t ahead = dd_plain_load(&lane->ring.cursor) + PREFETCH_SLOTS;

	dd_prefetch(&lane->ring.taken_from[ahead & lane->ring.taken_mask]);
}

uint64_t dd_run_turn(struct dd_lane *lane, uint64_t most, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = lane->queue;
	/* A queue that callers drain can be drained while it is stopped. */
	uint32_t last_state = dd_queue_has_worker(queue) ? DD_OPEN : DD_STOPPED;
	bool was_among_nested = lane->is_among_nested;
	struct dd_drop taken;
	uint64_t ran = 0;

	if (dd_unlikely(lane->is_set_aside))
		return 0;
	queue->running_lane = lane;
	if (dd_unlikely(was_among_nested) && !run_on(lane))
		return 0;
	while (ran < most && dd_queue_state(queue) <= last_state &&
		!dd_deadline_has_come(deadline_ns) && take(lane, &taken)) {
		if (ran >= PREFETCH_AFTER)
			prefetch(lane);
		ran++;
		if (!run(lane, queue, &taken))
			break;
		if (dd_unlikely(dd_read_32(&queue->watchers)))
			dd_watch_glance(queue);
	}
	if (ran && !lane->is_among_nested) /* head stays behind what is not done */
		dd_ring_recycle(&lane->ring);
	if ((ran || was_among_nested) && dd_unlikely(dd_alarm_is_due_at_last(lane)))
		dd_wait_wake(lane);
	return ran;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* May the next drop be taken, as far as readers are concerned? As is_next_covered. */
static bool may_take_last(struct dd_lane *lane)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_drop next;

	while (dd_ring_peek(&lane->ring, &next) && is_held_up(lane, &next) && !is_over(queue)) {
		if (!queue->is_waiting_out)
			return false;
		dd_grace_rest(queue, dd_read(&queue->drain_until_ns));
	}
	return true;
}

/* Head stays: it is never done. */
static void abandon(struct dd_lane *lane, const struct dd_drop *taken)
{
	if (dd_is_options(taken->destroy)) {
		take_current(lane, taken);
		lane->current.width = 1;
		settle(lane->queue, &lane->current, -ESHUTDOWN);
	}
	dd_count(&lane->abandoned_total);
}

/* Takes the drop at the cursor, contested by its producer, and runs it. False: set aside. */
static bool run_last(struct dd_lane *lane)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_drop taken;

	if (!dd_ring_take_contested(&lane->ring, &taken)) {
		lane->gap++;
		return true;
	}
	if (is_over(queue)) {
		abandon(lane, &taken);
		return true;
	}
	dd_add(&lane->skipped_total, lane->gap);
	lane->gap = 0;
	/* Its slot does not tell any more. */
	lane->current.drop = (struct dd_drop){taken.object, dd_untagged(taken.destroy)};
	if (!run(lane, queue, &taken))
		return false;
	/* The report counts up to the tail or to head; and a producer that is slow, or stopped, may
	 * not have moved the tail past this drop. */
	dd_ring_recycle(&lane->ring);
	return true;
}

bool dd_run_last(struct dd_lane *lane)
{
	struct dd_ring *ring = &lane->ring;
	uint64_t end = dd_plain_load(&ring->contested_from) + dd_ring_capacity(ring);

	lane->queue->running_lane = lane;
	if (lane->is_among_nested && !run_on(lane))
		return false;
	run_nested(lane); /* of a drop whose destructor ended the process */
	while (dd_is_before(dd_plain_load(&ring->cursor), end)) {
		if (!lane->is_shared && !dd_ring_is_published(ring))
			break; /* an owned ring has no gaps */
		if (!may_take_last(lane) || !run_last(lane))
			return false;
	}
	run_nested(lane); /* pushed by who was told of a failure */
	return true;
}

struct dd_drop dd_run_current(const struct defer_drop_queue *queue)
{
	const struct dd_lane *lane = queue->running_lane;
	struct dd_drop last;

	if (queue->nested_running)
		return queue->nested_running->drop;
	if (!lane)
		return (struct dd_drop){NULL, NULL}; /* told of a watermark */
	last = dd_ring_last_taken(&lane->ring);
	return lane->current.width == 2 || last.destroy == DD_TAKEN ? lane->current.drop : last;
}

void dd_run_end(struct defer_drop_queue *queue)
{
	struct dd_lane *lane = queue->running_lane;
	struct dd_current *nested = queue->nested_running;

	queue->watch.is_telling = false;
	dd_record_end(&queue->watchdog.record);
	if (nested) {
		if (nested->options.word)
			settle(queue, nested, 0);
		dd_count(&queue->nested_destroyed_total);
		queue->nested_running = NULL;
	}
	if (!lane)
		return;
	if (lane->current.options.word)
		settle(queue, &lane->current, 0);
	finish(lane);
	dd_ring_recycle(&lane->ring);
}
