/* SPDX-License-Identifier: MIT
 *
 * Destroying drops, by the consumer.
 */
#include "core/run.h"

#include <errno.h>
#include <string.h>

#include "base/eventfd.h"
#include "base/report.h"
#include "core/group.h"

/*
 * How many slots ahead of the consumer are prefetched: six cache lines. (Saturating push of one
 * producer on another core, ns: 4.9 without; with 16 slots 4.5, 20 3.7, 24 3.5, 28 3.6, 32 5.1, 48
 * 4.6.) Prefetching begins when a turn has run PREFETCH_AFTER drops: with fewer, those lines are
 * what the producer writes next, and it would have to fetch them back.
 */
#define PREFETCH_SLOTS 24
#define PREFETCH_AFTER 64

/*
 * A turn's length: short compared to what a waiting thread notices, long compared to the step to
 * the next lane. The clock is read four times in it or, while destructors are cheap, once
 * for each MOST_STRIDE of them: one read costs as much as five empty destructors. So a turn is late
 * by one destructor, which it cannot interrupt; or once, when destructors begin to be slow, by a
 * stride. The first read comes after FIRST_STRIDE, so that a turn with fewer drops needs none. The
 * second comes after as many again, since only then their speed is known.
 */
#define TURN_NS      UINT64_C(100000)
#define LOOK_NS      (TURN_NS / 4)
#define MOST_STRIDE  256
#define FIRST_STRIDE 64

/* What a turn may do. A destructor that is called again counts again. */
struct turn {
	uint64_t left;      /* destructors that may run before the next look */
	uint64_t later;     /* and after that, before the next read of the clock */
	uint64_t granted;   /* these, and those that have run */
	uint64_t most;      /* destructors that may run altogether */
	uint64_t looked_ns; /* at the last read; 0: there was none */
	uint64_t until_ns;  /* when other lanes are to have their turn */
	uint64_t deadline_ns;
	bool has_deadline;   /* deadline_ns is not DEFER_DROP_FOREVER */
	uint32_t last_state; /* the last state of the queue in which the turn goes on */
	bool is_long;        /* it has run enough that prefetching pays */
	bool is_last;        /* of a closed queue: drops that cannot run in time are abandoned */
};

/* True if the queue is closing, and its time to start destructors is over. */
static inline bool is_over(struct defer_drop_queue *queue)
{
	return dd_unlikely(dd_queue_state(queue) != DD_OPEN) &&
	       dd_deadline_has_come(dd_read(&queue->drain_until_ns));
}

/* ---- How long a turn is ---------------------------------------------------------------------- */

/* Returns how many may run before the next one that is timed; later: how many of `count` remain. */
static inline uint64_t cut(struct defer_drop_queue *queue, uint64_t count, uint64_t *later)
{
	if (dd_unlikely(count > queue->timing.until_next))
		return dd_timing_cut_short(queue, count, later);
	queue->timing.until_next -= count;
	*later = 0;
	return count;
}

static inline void grant(struct turn *turn, struct defer_drop_queue *queue, uint64_t count)
{
	turn->is_long = turn->granted >= PREFETCH_AFTER;
	count = dd_least(count, turn->most - turn->granted);
	turn->granted += count;
	turn->left = cut(queue, count, &turn->later);
}

static inline uint64_t ran_in(const struct turn *turn)
{
	return turn->granted - turn->left - turn->later;
}

/* Runs no more than a ring's worth: a lane that producers keep full must not starve the others. */
static inline void begin_turn(
	struct turn *turn, const struct dd_lane *lane, uint64_t most, uint64_t deadline_ns)
{
	turn->most = dd_least(most, lane->ring.taken_mask + 1);
	turn->granted = turn->looked_ns = turn->until_ns = 0;
	turn->deadline_ns = deadline_ns;
	turn->has_deadline = deadline_ns != DEFER_DROP_FOREVER;
	grant(turn, lane->queue, dd_least(lane->stride, FIRST_STRIDE));
}

/* Ends a turn: what it has not run does not count on the way to the next drop that is timed. */
static inline void end_turn(struct defer_drop_queue *queue, const struct turn *turn)
{
	queue->timing.until_next += turn->left;
}

/* Returns how many destructors would take a quarter of a turn, as far as the last ones tell. */
static uint32_t next_stride(uint32_t stride, uint64_t took_ns)
{
	if (took_ns > LOOK_NS)
		stride = (uint32_t)(stride * LOOK_NS / took_ns);
	else if (took_ns < LOOK_NS / 2 && stride < MOST_STRIDE)
		stride *= 2;
	return stride ? stride : 1;
}

/* Reads the clock, unless the next drop is timed. False if the turn is over. */
static bool look(struct dd_lane *lane, struct turn *turn)
{
	uint64_t most = MOST_STRIDE;
	uint64_t now_ns;

	if (turn->later) {
		turn->left = cut(lane->queue, turn->later, &turn->later);
		return true;
	}
	if (turn->granted == turn->most)
		return false;
	now_ns = dd_now_ns();
	if (turn->looked_ns) {
		lane->stride = next_stride(lane->stride, now_ns - turn->looked_ns);
	} else {
		turn->until_ns = now_ns + TURN_NS;
		most = FIRST_STRIDE;
	}
	turn->looked_ns = now_ns;
	if (now_ns >= turn->until_ns)
		return false;
	grant(turn, lane->queue, dd_least(lane->stride, most));
	return true;
}

/* True if another destructor may run in this turn. */
static inline bool may_go_on(
	struct dd_lane *lane, struct defer_drop_queue *queue, struct turn *turn)
{
	return (dd_likely(turn->left) || look(lane, turn)) &&
	       dd_queue_state(queue) <= turn->last_state &&
	       (dd_likely(!turn->has_deadline) || !dd_deadline_has_come(turn->deadline_ns));
}

static inline void glance(struct defer_drop_queue *queue)
{
	if (dd_unlikely(dd_read_32(&queue->watchers)))
		dd_watch_glance(queue);
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

/* Calls the destructor. Returns its status, or 0 if it has none. */
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

/* Calls the destructor, recorded for the watchdog if there is one. Returns its status. */
static int destroy_recorded(struct defer_drop_queue *queue, const struct dd_options *options,
	const struct dd_drop *drop)
{
	int status;

	if (!queue->has_watchdog)
		return destroy(options, drop);
	dd_record_begin(&queue->watchdog.record, drop, options->word);
	status = destroy(options, drop);
	dd_record_end(&queue->watchdog.record);
	return status;
}

/* Calls the destructor, and times it if it is the next one that is timed. Returns its status. */
static int destroy_observed(struct defer_drop_queue *queue, const struct dd_options *options,
	const struct dd_drop *drop)
{
	uint64_t began_ns;
	int status;

	if (!queue->timing.is_armed)
		return destroy_recorded(queue, options, drop);
	began_ns = dd_now_ns();
	status = destroy_recorded(queue, options, drop);
	dd_timing_note(queue, drop->destroy, began_ns);
	return status;
}

/* Ends a drop with options: gives its bytes back, and reports to its completion. */
static void settle(struct defer_drop_queue *queue, struct dd_current *current, int outcome)
{
	const struct dd_current settled = *current;
	struct dd_completion *completion = dd_options_completion(&settled.options);
	/* The completion is the caller's afterwards. */
	struct dd_member *member =
		settled.options.word & DD_HAS_GROUP ? dd_options_member(&settled.options) : NULL;
	int result = 0;

	if (settled.is_passed_over)
		outcome = -ESHUTDOWN;
	current->options.word = 0; /* settled, even if a function called below ends the process */
	dd_budget_give_back(queue, settled.options.word & DD_BYTES);
	if (completion) {
		dd_completion_note(completion, settled.status, outcome);
		result = dd_completion_finish(completion, 1);
	}
	if (result)
		tell_failure(queue, &settled, result);
	if (member)
		dd_group_end(queue, member, settled.options.word, !outcome);
}

/* Passes over a drop whose group was abandoned. */
static void pass_over(struct defer_drop_queue *queue, struct dd_current *current)
{
	struct defer_drop_group *group = dd_options_group(&current->options);
	defer_drop_abandoned_fn told = dd_plain_load(&group->told);

	current->is_passed_over = true;
	dd_count(&queue->passed_over_total);
	if (told)
		told(dd_plain_load(&group->told_context), current->drop.object);
}

/* True if the destructor of a drop with options may run. */
static bool may_destroy(struct defer_drop_queue *queue, struct dd_current *current)
{
	if (!(current->options.word & DD_HAS_GROUP) ||
		dd_group_begin(dd_options_group(&current->options)))
		return true;
	pass_over(queue, current);
	return false;
}

/* Lets threads know that a destructor has returned, if that is not known at once by settle. */
static void pause_group(struct defer_drop_queue *queue, const struct dd_current *current)
{
	struct defer_drop_group *group = dd_options_group(&current->options);

	if (group && (current->is_again || !dd_nested_is_empty(&queue->running_lane->nested)) &&
		dd_group_pause(group))
		dd_group_wake(queue, group);
}

/*
 * Calls the destructor of a drop, and reports a failure. False if the drop is not finished: the
 * destructor is to be called again in the lane's next turn.
 */
static bool destroy_current(struct defer_drop_queue *queue, struct dd_current *current)
{
	current->is_again = false;
	if (!may_destroy(queue, current))
		return true;
	current->status = destroy_observed(queue, &current->options, &current->drop);
	if (current->status == DEFER_DROP_AGAIN) {
		current->is_again = true;
		current->status = 0;
	} else if (current->status) {
		tell_failure(queue, current, current->status);
	}
	pause_group(queue, current);
	return !current->is_again;
}

/* ---- Nested drops ---------------------------------------------------------------------------- */

static void abandon_nested(struct dd_lane *lane, struct dd_current *nested)
{
	nested->is_again = false;
	if (nested->options.word)
		settle(lane->queue, nested, -ESHUTDOWN);
	dd_count(&lane->queue->nested_abandoned_total);
}

/* Counts a nested drop that has ended. */
static void count_nested(struct defer_drop_queue *queue, const struct dd_current *nested)
{
	dd_count(nested->is_passed_over ? &queue->nested_abandoned_total
					: &queue->nested_destroyed_total);
}

/* Runs the destructor of a nested drop. False if the drop is not finished. */
static bool destroy_nested(struct dd_lane *lane, struct dd_current *nested)
{
	struct defer_drop_queue *queue = lane->queue;
	bool is_finished;

	queue->nested_running = nested;
	is_finished = destroy_current(queue, nested);
	if (is_finished && nested->options.word)
		settle(queue, nested, 0);
	queue->nested_running = NULL;
	if (is_finished)
		count_nested(queue, nested);
	return is_finished;
}

/* True if readers allow the next nested drop to be destroyed. In the last turn, waits for them. */
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

/* True if a nested drop can be destroyed. Sets the lane aside if the next one waits for readers. */
static bool has_nested(struct dd_lane *lane)
{
	if (lane->nested_current.is_again)
		return true;
	if (dd_nested_is_empty(&lane->nested))
		return false;
	lane->is_set_aside = !is_next_covered(lane);
	return !lane->is_set_aside;
}

static void take_nested(struct dd_lane *lane)
{
	struct dd_current *nested = &lane->nested_current;

	if (nested->is_again)
		return;
	dd_nested_take(&lane->nested, &nested->options, &nested->drop);
	nested->status = 0;
	nested->is_passed_over = false;
}

/*
 * Runs the nested drops, and those that they make, first-in first-out. One that is not finished is
 * called again before the next. False if it has to stop.
 */
static bool run_nested(struct dd_lane *lane, struct turn *turn)
{
	struct defer_drop_queue *queue = lane->queue;

	while (has_nested(lane)) {
		if (turn->is_last && is_over(queue)) {
			take_nested(lane);
			abandon_nested(lane, &lane->nested_current);
			continue;
		}
		if (!may_go_on(lane, queue, turn))
			return false;
		take_nested(lane);
		turn->left--;
		if (!destroy_nested(lane, &lane->nested_current))
			return false;
		if (!turn->is_last) /* the program closes the queue, and may be in exit */
			glance(queue);
	}
	return !lane->is_set_aside;
}

/* ---- One drop -------------------------------------------------------------------------------- */

/* Returns what a lane left in the middle goes on with. word: receives the options of that drop. */
static struct dd_drop next_of(const struct dd_lane *lane, uint64_t *word)
{
	const struct dd_drop *place;
	struct dd_drop next;

	*word = lane->current.options.word;
	if (!lane->nested_current.is_again && dd_nested_is_empty(&lane->nested))
		return lane->current.drop;
	*word = lane->nested_current.options.word;
	if (lane->nested_current.is_again)
		return lane->nested_current.drop;
	place = dd_nested_peek(&lane->nested);
	*word = dd_is_options(place->destroy) ? (uint64_t)(uintptr_t)place->destroy : 0;
	/* A drop lies in one chunk with its options, see make_room. */
	next = *word ? place[1] : *place;
	return (struct dd_drop){next.object, dd_untagged(next.destroy)};
}

/* Records a drop left in the middle for the watchdog, once; not if the drop waits for readers. */
static void record_left(struct dd_lane *lane)
{
	uint64_t number = dd_read(&lane->left.number);
	struct dd_drop next;
	uint64_t word;

	if (lane->is_set_aside || !lane->is_unfinished) {
		dd_record_end(&lane->left);
	} else if (!(number & DD_RECORD_RUNS)) {
		next = next_of(lane, &word);
		dd_record_begin(&lane->left, &next, word);
	}
}

/* Wakes waiters, after the position has moved on. */
static inline void wake_waiters(struct dd_lane *lane)
{
	if (dd_likely(!dd_alarm_is_due(lane)))
		return;
	dd_ring_recycle(&lane->ring); /* a push that waited gets all the room there is */
	dd_wait_wake(lane);
}

/* Ends the lane's drop, which has been destroyed. */
static void finish(struct dd_lane *lane)
{
	lane->is_unfinished = false;
	dd_tools_release(&lane->ring.head);
	if (lane->current.width == 1) {
		dd_ring_done(&lane->ring);
	} else {
		lane->current.width = 1;
		dd_count(&lane->pairs_done_total);
		if (lane->current.is_passed_over)
			dd_count(&lane->passed_over_total);
		dd_ring_done_both(&lane->ring);
	}
	wake_waiters(lane);
}

/* Abandons the drop left in the middle. Head does not pass it: it is never done. */
static void abandon_current(struct dd_lane *lane)
{
	lane->is_unfinished = lane->current.is_again = false;
	lane->is_cut_short = true;
	lane->current.width = 1;
	if (lane->current.options.word)
		settle(lane->queue, &lane->current, -ESHUTDOWN);
	dd_count(&lane->abandoned_total);
}

/* Calls the destructor of the lane's drop again. False if the drop is still not finished. */
static bool run_slice(struct dd_lane *lane, struct turn *turn)
{
	if (!may_go_on(lane, lane->queue, turn))
		return false;
	turn->left--;
	return destroy_current(lane->queue, &lane->current);
}

/*
 * Goes on with the drop before the cursor, whose destructor was called: runs the drops that it
 * made, calls it again if it is not finished, and reports to its completion, before the position
 * moves on. False if the drop is left in the middle: it is the turn of others, or the lane is set
 * aside because a nested drop waits for a grace period.
 */
static bool run_on(struct dd_lane *lane, struct turn *turn)
{
	struct dd_current *current = &lane->current;

	lane->is_unfinished = true;
	do {
		if (!run_nested(lane, turn))
			return false;
		if (current->is_again && turn->is_last && is_over(lane->queue)) {
			abandon_current(lane);
			return true;
		}
		if (current->is_again && !run_slice(lane, turn))
			return false;
		if (current->options.word && dd_nested_is_empty(&lane->nested))
			settle(lane->queue, current, 0);
		/* The error function may push. */
	} while (!dd_nested_is_empty(&lane->nested));
	finish(lane);
	return true;
}

/* Takes the drop whose options were taken, as the one that the lane destroys now. */
static void take_current(struct dd_lane *lane, const struct dd_drop *taken)
{
	lane->current.options.word = (uint64_t)(uintptr_t)taken->destroy;
	lane->current.options.pointer = taken->object;
	lane->current.status = 0;
	lane->current.is_passed_over = false;
	lane->current.width = 2;
	dd_ring_take_second(&lane->ring, &lane->current.drop);
}

/* Returns the slot before the cursor. */
static struct dd_slot *taken_slot(struct dd_lane *lane)
{
	uint64_t at = dd_plain_load(&lane->ring.cursor) - 1;

	return &lane->ring.slots[at & lane->ring.mask];
}

/* True if the drop at the cursor waits for a grace period that has not passed. */
static bool is_held_up(struct dd_lane *lane, const struct dd_drop *taken)
{
	return dd_is_after_grace(taken->destroy) &&
	       !dd_grace_covers(lane, dd_plain_load(&lane->ring.cursor));
}

/* Runs a plain drop that is timed, or that the watchdog or a tool that looks for races must see. */
static void run_plain_observed(struct dd_lane *lane, const struct dd_drop *taken)
{
	const struct dd_options none = {0};
	const struct dd_drop drop = {taken->object, dd_untagged(taken->destroy)};

	dd_tools_acquire(taken_slot(lane));
	destroy_observed(lane->queue, &none, &drop);
	dd_tools_release(&lane->ring.head);
}

static bool run_with_options(struct dd_lane *lane, const struct dd_drop *taken, struct turn *turn)
{
	dd_tools_acquire(taken_slot(lane));
	take_current(lane, taken);
	lane->is_unfinished = true;
	return destroy_current(lane->queue, &lane->current) && run_on(lane, turn);
}

/*
 * Runs a drop that was taken, or whose options were. False if it was left in the middle. For a
 * plain drop it writes nothing of lane->current.
 */
static inline bool run(struct dd_lane *lane, struct defer_drop_queue *queue,
	const struct dd_drop *taken, struct turn *turn)
{
	turn->left--;
	if (dd_unlikely(dd_is_options(taken->destroy)))
		return run_with_options(lane, taken, turn);
	if (dd_unlikely(queue->is_next_observed))
		run_plain_observed(lane, taken);
	else
		dd_untagged(taken->destroy)(taken->object);
	if (dd_unlikely(!dd_nested_is_empty(&lane->nested)))
		return run_on(lane, turn);
	dd_ring_done(&lane->ring);
	wake_waiters(lane);
	return true;
}

/* ---- A turn ---------------------------------------------------------------------------------- */

/*
 * Takes the next drop, or its options, unless the lane has to be set aside first: such a drop stays
 * pending, also for a process that forks meanwhile.
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

/* Goes on with the drop left in the middle, then takes one drop after the other. */
static void run_all(struct dd_lane *lane, struct defer_drop_queue *queue, struct turn *turn)
{
	struct dd_drop taken;
	bool is_finished;

	if (dd_unlikely(lane->is_unfinished)) {
		is_finished = run_on(lane, turn);
		if (queue->has_watchdog && is_finished)
			record_left(lane);
		glance(queue);
		if (!is_finished)
			return;
	}
	while (may_go_on(lane, queue, turn) && take(lane, &taken)) {
		if (turn->is_long)
			prefetch(lane);
		is_finished = run(lane, queue, &taken, turn);
		glance(queue);
		if (dd_unlikely(!is_finished))
			return;
	}
}

/* Notes the delays of what was destroyed. What waits or goes on beyond this turn is marked now: the
 * next look may take it for empty. */
static inline void note_age(struct dd_lane *lane)
{
	if (dd_unlikely(dd_age_is_due(&lane->age, dd_lane_done(lane))))
		dd_figures_pass(lane);
	if (dd_unlikely(lane->is_set_aside || lane->is_unfinished) && !lane->age.count)
		dd_figures_mark(lane, dd_ring_tail(&lane->ring), dd_now_ns());
}

uint64_t dd_run_turn(struct dd_lane *lane, uint64_t most, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = lane->queue;
	bool was_unfinished = lane->is_unfinished;
	struct turn turn;

	if (dd_unlikely(lane->is_set_aside))
		return 0;
	begin_turn(&turn, lane, most, deadline_ns);
	/* A queue that callers drain can be drained while it is stopped. */
	turn.last_state = dd_queue_has_worker(queue) ? DD_OPEN : DD_STOPPED;
	turn.is_last = false;
	queue->running_lane = lane;
	queue->next_words[lane->index] = NULL;
	run_all(lane, queue, &turn);
	end_turn(queue, &turn);
	if (!lane->is_unfinished)
		queue->next_words[lane->index] = dd_ring_next_word(&lane->ring);
	/* Otherwise the lane is empty, or has to be set aside. */
	if (lane->is_unfinished ? !lane->is_set_aside : !turn.left && !turn.later)
		queue->has_more = true;
	if (dd_unlikely(lane->is_unfinished) && queue->has_watchdog)
		record_left(lane);
	if (ran_in(&turn) && !lane->is_unfinished) /* head must not pass a drop that is not done */
		dd_ring_recycle(&lane->ring);
	if ((ran_in(&turn) || was_unfinished) && dd_unlikely(dd_alarm_is_due_at_last(lane)))
		dd_wait_wake(lane);
	note_age(lane);
	return ran_in(&turn);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* True if readers allow the next drop to be taken. In the last turn, waits for them. */
static bool may_take_last(struct dd_lane *lane)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_drop next;

	while (dd_ring_peek(&lane->ring, &next) && is_held_up(lane, &next) && !is_over(queue)) {
		lane->is_set_aside = !queue->is_waiting_out;
		if (lane->is_set_aside)
			return false;
		dd_grace_rest(queue, dd_read(&queue->drain_until_ns));
	}
	return true;
}

/* Abandons a drop. Head does not pass it: it is never done. */
static void abandon(struct dd_lane *lane, const struct dd_drop *taken)
{
	if (dd_is_options(taken->destroy)) {
		take_current(lane, taken);
		lane->current.width = 1;
		settle(lane->queue, &lane->current, -ESHUTDOWN);
	}
	dd_count(&lane->abandoned_total);
}

/* Takes the contested drop at the cursor and runs it. False if it is left in the middle. */
static bool run_last(struct dd_lane *lane, struct turn *turn)
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
	/* Its slot is DD_TAKEN, and no longer holds the destructor. */
	lane->current.drop = (struct dd_drop){taken.object, dd_untagged(taken.destroy)};
	if (!run(lane, queue, &taken, turn))
		return false;
	/* The report counts up to the tail or to head. A producer that is slow, or stopped, may not
	 * have moved the tail past this drop. */
	dd_ring_recycle(&lane->ring);
	return true;
}

/* Goes on with the drop left in the middle. False if it still is. */
static bool resume_last(struct dd_lane *lane, struct turn *turn)
{
	if (lane->is_unfinished) {
		if (!run_on(lane, turn))
			return false;
		if (!dd_read(&lane->abandoned_total))
			dd_ring_recycle(&lane->ring);
	}
	return run_nested(lane, turn); /* nested drops of a destructor that ended the process */
}

static bool run_all_last(struct dd_lane *lane, struct turn *turn)
{
	struct dd_ring *ring = &lane->ring;
	uint64_t end = dd_plain_load(&ring->contested_from) + dd_ring_capacity(ring);

	if (lane->is_cut_short) /* the two slots before contested_from belong to no producer */
		end -= 2;
	while (dd_is_before(dd_plain_load(&ring->cursor), end)) {
		if (!lane->is_shared && !dd_ring_is_published(ring))
			break; /* an owned ring has no gaps */
		if (!may_go_on(lane, lane->queue, turn) && !is_over(lane->queue))
			return false;
		if (!may_take_last(lane) || !run_last(lane, turn))
			return false;
	}
	return run_nested(lane, turn); /* pushed by a function that was told of a failure */
}

bool dd_run_last(struct dd_lane *lane)
{
	struct turn turn;
	bool is_done;

	begin_turn(&turn, lane, UINT64_MAX, DEFER_DROP_FOREVER);
	turn.last_state = DD_JOINED;
	turn.is_last = true;
	lane->is_set_aside = false;
	lane->queue->running_lane = lane;
	is_done = resume_last(lane, &turn) && run_all_last(lane, &turn);
	end_turn(lane->queue, &turn);
	if (lane->queue->has_watchdog)
		record_left(lane);
	return is_done;
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
		count_nested(queue, nested);
		queue->nested_running = NULL;
	}
	/* A drop that is not finished, and made a nested drop which ended the process, goes on. */
	if (!lane || lane->current.is_again)
		return;
	if (lane->current.options.word)
		settle(queue, &lane->current, 0);
	finish(lane);
	dd_ring_recycle(&lane->ring);
}
