/* SPDX-License-Identifier: MIT
 *
 * What a queue measures of itself.
 */
#include "core/figures.h"

#include "core/queue.h"

/* A sample costs some 100 ns: two looks at the clock, and finding the function. So with destructors
 * that take this time or more, all of them can be timed. */
#define DD_TIMED_NS UINT64_C(20000)

/* The longest mean interval, for destructors that do next to nothing. */
#define DD_MOST_INTERVAL 1024

/* ---- Ages ------------------------------------------------------------------------------------ */

uint64_t dd_figures_look(struct defer_drop_queue *queue)
{
	uint64_t now_ns = dd_now_ns();

	return now_ns - dd_read(&queue->ages.looked_ns) >= DD_MARK_NS ? now_ns : 0;
}

void dd_figures_mark(struct dd_lane *lane, uint64_t tail, uint64_t now_ns)
{
	uint64_t after_ns = lane->age.count ? dd_read(&lane->queue->ages.looked_ns)
					    : dd_ages_since(&lane->queue->ages);

	dd_age_mark(&lane->age, dd_lane_done(lane), tail, after_ns, now_ns);
}

void dd_figures_pass(struct dd_lane *lane)
{
	struct dd_age *age = &lane->age;
	uint64_t done = dd_lane_done(lane);
	uint64_t now_ns = dd_now_ns();

	while (dd_age_is_due(age, done)) {
		const struct dd_mark *mark = &age->marks[age->first];
		uint64_t end = dd_is_before(done, mark->position) ? done : mark->position;

		dd_times_add(
			&lane->queue->figures->delays, now_ns - mark->after_ns, end - age->from);
		age->from = end;
		dd_age_pass(age);
	}
}

/* ---- Destructors ----------------------------------------------------------------------------- */

/* Draws the next interval, from 1 to twice the mean: xorshift64. */
static uint64_t draw_interval(struct dd_timing *timing)
{
	timing->seed ^= timing->seed << 13;
	timing->seed ^= timing->seed >> 7;
	timing->seed ^= timing->seed << 17;
	return 1 + timing->seed % (2 * timing->mean_interval - 1);
}

/* Has the next destructor timed. If none has run since this was called last, it stands for more. */
static void arm(struct defer_drop_queue *queue)
{
	struct dd_timing *timing = &queue->timing;

	timing->weight = timing->interval + (timing->is_armed ? timing->weight : 0);
	timing->until_next = timing->interval = draw_interval(timing);
	timing->is_armed = queue->is_next_observed = true;
}

uint64_t dd_timing_cut_short(struct defer_drop_queue *queue, uint64_t count, uint64_t *later)
{
	struct dd_timing *timing = &queue->timing;

	if (!timing->until_next)
		arm(queue);
	*later = count > timing->until_next ? count - timing->until_next : 0;
	timing->until_next -= count - *later;
	return count - *later;
}

/* Ends what arm began, unless every destructor is timed. ns: what this one took. */
static void disarm(struct defer_drop_queue *queue, uint64_t ns)
{
	struct dd_timing *timing = &queue->timing;

	if (queue->config.values.destructor_times == DEFER_DROP_TIMES_EXACT)
		return;
	timing->is_armed = false;
	queue->is_next_observed = queue->is_observed;
	timing->mean_interval = dd_least(DD_TIMED_NS / (ns + 1) + 1, DD_MOST_INTERVAL);
}

void dd_timing_note(struct defer_drop_queue *queue, defer_drop_fn destroy, uint64_t began_ns)
{
	uint64_t ns = dd_now_ns() - began_ns;

	dd_costs_add(&queue->figures->costs, destroy, ns, queue->timing.weight);
	disarm(queue, ns);
}

static void begin_timing(struct defer_drop_queue *queue)
{
	uint32_t mode = queue->config.values.destructor_times;

	queue->timing = (struct dd_timing){
		.until_next = mode == DEFER_DROP_TIMES_SAMPLED ? 0 : UINT64_MAX,
		.interval = 1,
		.weight = 1,
		.mean_interval = 1,
		.seed = dd_now_ns() | 1,
		.is_armed = mode == DEFER_DROP_TIMES_EXACT,
	};
	queue->is_next_observed = queue->is_observed || queue->timing.is_armed;
}

/* ---- Begin ----------------------------------------------------------------------------------- */

void dd_figures_begin(struct defer_drop_queue *queue, struct dd_figures *figures)
{
	queue->figures = figures;
	dd_ages_look(&queue->ages, dd_now_ns());
	begin_timing(queue);
}

/* Returns the time after which all pending drops were pushed, and removes the marks. */
static uint64_t forget_marks(struct defer_drop_queue *queue)
{
	uint64_t since_ns = dd_ages_since(&queue->ages);
	uint32_t count = dd_queue_lanes(queue);

	for (uint32_t i = 0; i < count; i++) {
		struct dd_age *age = &queue->lanes[i]->age;

		since_ns = dd_least(since_ns, dd_age_after(age, since_ns));
		age->count = 0;
		dd_age_publish(age);
	}
	return since_ns;
}

void dd_figures_survive(struct defer_drop_queue *queue, bool is_kept)
{
	struct dd_figures *figures = queue->figures;
	uint64_t since_ns = forget_marks(queue);

	atomic_store_explicit(&queue->ages.woken_ns, 0, memory_order_relaxed);
	dd_ages_look(&queue->ages, is_kept ? since_ns : dd_now_ns());
	dd_times_clear(&figures->delays);
	dd_times_clear(&figures->costs.all);
	for (uint32_t i = 0; i < DD_COSTS; i++)
		if (dd_read(&figures->costs.places[i].number))
			dd_cost_take_place(&figures->costs.places[i], NULL);
	begin_timing(queue);
}
