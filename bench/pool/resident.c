/* SPDX-License-Identifier: MIT
 *
 * Measures memory: what the process has at its peak, while objects take the place of others, and
 * what is left a while after all are destroyed.
 */
#include "pool.h"

#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "process.h"
#include "timer.h"

static void note_peak(double *peak_bytes)
{
	double bytes = (double)process_resident_bytes();

	*peak_bytes = bytes > *peak_bytes ? bytes : *peak_bytes;
}

void resident_measure(struct pool_figures *figures, const struct pool_settings *settings,
	enum way way, unsigned round)
{
	const struct pool_case *of = &cases[USUAL_CASE];
	uint64_t count = (settings->resident_mib << 20) / (of->nodes * of->node_bytes);
	uint64_t pause = timer_from_ns(settings->pace_ns * of->nodes);
	struct timespec rest = {.tv_sec = (time_t)settings->resident_seconds};
	void **objects = calloc(count, sizeof *objects);
	double peak_bytes = 0;

	if (!objects)
		abort();
	subject_begin(of);
	for (uint64_t i = 0; i < 4 * count; i++) {
		uint64_t begin = timer_now();
		void **place = &objects[i * 7919 % count];
		void *before = *place;

		*place = subject_build(of, way)();
		if (before)
			subject_dispose(of, way, before);
		if (i % 256 == 0)
			note_peak(&peak_bytes);
		while (timer_now() - begin < pause)
			;
	}
	for (uint64_t i = 0; i < count; i++)
		if (objects[i])
			subject_dispose(of, way, objects[i]);
	note_peak(&peak_bytes);
	bench_check(defer_drop_flush());
	free(objects);
	nanosleep(&rest, NULL);
	figures->resident[way].peak_bytes[round] = peak_bytes;
	figures->resident[way].after_bytes[round] = (double)process_resident_bytes();
}
