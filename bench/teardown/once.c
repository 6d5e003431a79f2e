/* SPDX-License-Identifier: MIT
 *
 * Measures one object of each size: the caller's time when it is destroyed in place and when it is
 * dropped, and the time until it is gone. Small objects are measured many times, one by one.
 */
#include "teardown.h"

#include "timer.h"

/* The least number of nodes that are destroyed in a round. */
#define ROUND_NODES 1000

const struct options_list *once_sizes(const struct teardown_settings *settings, unsigned subject)
{
	switch (subject) {
	case MAPPING:
		return &settings->map_mib;
	case DELETED_FILE:
		return &settings->file_mib;
	default:
		return &settings->nodes;
	}
}

bool once_is_measured(const struct teardown_limits *limits, unsigned subject, uint64_t size)
{
	if (subject >= NODE_SUBJECTS && !limits->has_kernel)
		return false;
	return size * subjects[subject].size_bytes <= limits->most_bytes;
}

/* ---- One measurement ------------------------------------------------------------------------- */

/* Sums, in ticks. */
struct costs {
	uint64_t caller;
	uint64_t gone;
};

static void destroy(const struct subject *subject, void *object, struct costs *costs)
{
	uint64_t begin = timer_now();

	subject->destroy(object);
	costs->caller += timer_now() - begin;
}

static void drop(const struct subject *subject, void *object, struct costs *costs)
{
	uint64_t begin = timer_now();

	bench_check(defer_drop(object, subject->destroy));
	costs->caller += timer_now() - begin;
	bench_check(defer_drop_flush());
	costs->gone += timer_now() - begin;
}

static void measure(
	unsigned nth, uint64_t size, struct once_figures *to, unsigned round, uint64_t times)
{
	const struct subject *subject = &subjects[nth];
	struct costs in_place = {0};
	struct costs dropped = {0};

	for (uint64_t i = 0; i < times; i++) {
		destroy(subject, subject->build(size), &in_place);
		drop(subject, subject->build(size), &dropped);
	}
	to->in_place_ns[round] = timer_mean_ns(in_place.caller, times);
	to->dropped_ns[round] = timer_mean_ns(dropped.caller, times);
	to->gone_ns[round] = timer_mean_ns(dropped.gone, times);
}

static void measure_subject(struct teardown_figures *figures,
	const struct teardown_settings *settings, unsigned subject, unsigned round)
{
	const struct options_list *sizes = once_sizes(settings, subject);

	for (unsigned i = 0; i < sizes->count; i++) {
		uint64_t size = sizes->values[i];
		uint64_t times = subject < NODE_SUBJECTS ? ROUND_NODES / size + 1 : 1;

		if (once_is_measured(&figures->limits, subject, size))
			measure(subject, size, &figures->once[subject][i], round, times);
	}
}

void once_measure(struct teardown_figures *figures, const struct teardown_settings *settings)
{
	for (unsigned round = 0; round < settings->rounds; round++)
		for (unsigned subject = 0; subject < SUBJECTS; subject++)
			measure_subject(figures, settings, subject, round);
}
