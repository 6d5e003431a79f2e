/* SPDX-License-Identifier: MIT
 *
 * A smaller vector of strings, dropped by every strategy there is. The thread that destroys it was
 * at work a moment before.
 */
#include "demo.h"

/*
 * Divides the size of the vector, so that many strategies take no longer than the few ways of
 * strings.c.
 */
#define FRACTION 10

static void begin_all(struct strategies_figures *figures)
{
	for (unsigned i = 0; i < contenders_count; i++)
		if (!contender_begin(contenders[i]))
			figures->each[figures->count++].contender = contenders[i];
}

static void end_all(const struct strategies_figures *figures)
{
	for (unsigned i = 0; i < figures->count; i++)
		contender_end(figures->each[i].contender);
}

static void measure(struct contender_figures *figures, uint64_t strings)
{
	struct contender_times times;
	int result = contender_time(figures->contender, strings, &times);

	if (result)
		fail(-result, "%s", figures->contender->name);
	samples_add(&figures->caller, times.returned_ns - times.begin_ns);
	figures->caller.preempted += times.is_preempted;
	if (!contender_leaks(figures->contender))
		samples_add(&figures->gone, times.gone_ns - times.begin_ns);
}

void strategies_measure(struct strategies_figures *figures, const struct settings *settings)
{
	*figures = (struct strategies_figures){.strings = settings->strings / FRACTION};
	if (!figures->strings)
		figures->strings = 1;
	begin_all(figures);
	for (unsigned round = 1; round <= settings->rounds; round++) {
		progress("strategies: round %u of %u", round, settings->rounds);
		for (unsigned i = 0; i < figures->count; i++)
			measure(&figures->each[i], figures->strings);
	}
	progress_clear();
	end_all(figures);
}
