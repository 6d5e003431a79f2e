/* SPDX-License-Identifier: MIT
 *
 * Measures what a caller spends that again and again allocates an object, and destroys or drops it.
 * If another thread frees, the caches of the allocator no longer serve the malloc of the caller,
 * and that belongs to the price of dropping. Between two cycles the caller does other things, for
 * the same time whether it drops or not: twice what a cycle in place takes, so that the worker can
 * keep up.
 */
#include "teardown.h"

#include "library.h"
#include "timer.h"

/* The shortest pause between two cycles. */
#define PAUSE_NS 500

struct cycles {
	const struct subject *subject;
	uint64_t nodes;
	uint64_t count;
	bool is_dropped;   /* or destroyed in place */
	uint64_t pause;    /* ticks; 0: to be found */
	uint64_t allocate; /* ticks, of all */
	uint64_t destroy;  /* or drop; ticks, of all */
};

unsigned cycle_powers(const struct teardown_settings *settings)
{
	unsigned powers = 1;

	while (UINT64_C(1) << powers <= settings->cycle_nodes)
		powers++;
	return powers;
}

/* ---- One measurement ------------------------------------------------------------------------- */

static void pass_time(uint64_t since, uint64_t ticks)
{
	while (timer_now() - since < ticks)
		;
}

static void cycle(struct cycles *cycles)
{
	for (uint64_t i = 0; i < cycles->count; i++) {
		uint64_t begin = timer_now();
		void *object = cycles->subject->build(cycles->nodes);
		uint64_t allocated = timer_now();
		uint64_t end;

		if (cycles->is_dropped)
			bench_check(defer_drop(object, cycles->subject->destroy));
		else
			cycles->subject->destroy(object);
		end = timer_now();
		cycles->allocate += allocated - begin;
		cycles->destroy += end - allocated;
		pass_time(end, cycles->pause);
	}
	bench_check(defer_drop_flush());
}

/* Runs as many cycles before, uncounted: they fill caches, and tell how long the pause is. */
static void run(struct cycles *cycles, struct cycle_costs *to, unsigned round)
{
	struct cycles warm_up = *cycles;

	cycle(&warm_up);
	if (!cycles->pause)
		cycles->pause = 2 * (warm_up.allocate + warm_up.destroy) / warm_up.count +
				timer_from_ns(PAUSE_NS);
	cycle(cycles);
	to->allocate_ns[round] = timer_mean_ns(cycles->allocate, cycles->count);
	to->destroy_ns[round] = timer_mean_ns(cycles->destroy, cycles->count);
	to->all_ns[round] = to->allocate_ns[round] + to->destroy_ns[round];
}

static void measure(const struct subject *subject, uint64_t nodes, uint64_t total,
	struct cycle_figures *to, unsigned round)
{
	struct cycles in_place = {
		.subject = subject, .nodes = nodes, .count = (total + nodes - 1) / nodes};
	struct cycles dropped = in_place;

	run(&in_place, &to->in_place, round);
	dropped.is_dropped = true;
	dropped.pause = in_place.pause;
	run(&dropped, &to->dropped, round);
}

/* ---- All ------------------------------------------------------------------------------------- */

static uint64_t waits_total(void)
{
	return library_stats(defer_drop_queue_default()).waits_total;
}

void cycle_measure(struct teardown_figures *figures, const struct teardown_settings *settings)
{
	uint64_t waits_before = waits_total();
	unsigned powers = cycle_powers(settings);

	for (unsigned round = 0; round < settings->cycle_rounds; round++)
		for (unsigned subject = 0; subject < NODE_SUBJECTS; subject++)
			for (unsigned power = 0; power < powers; power++)
				measure(&subjects[subject], UINT64_C(1) << power,
					settings->cycle_total, &figures->cycle[subject][power],
					round);
	figures->cycle_waits_total = waits_total() - waits_before;
}
