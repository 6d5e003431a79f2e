/* SPDX-License-Identifier: MIT
 *
 * Times a vector of strings, each allocated by itself, that is destroyed in place or handed over
 * with one push: while the worker is awake, while it naps, and while it sleeps until it is woken.
 */
#include "latency.h"

#include <defer_drop.h>
#include <inttypes.h>
#include <unistd.h>

#include "peer.h"
#include "timer.h"
#include "vector.h"

enum way { IN_PLACE, AWAKE, NAPPING, ASLEEP, WAYS };

static const char *const states[WAYS] = {"-", "awake", "napping", "asleep"};

static double caller_ns[WAYS][MAX_ROUNDS];
static double wakes[WAYS][MAX_ROUNDS];

/* ---- The worker ------------------------------------------------------------------------------ */

static void wake_worker(void)
{
	bench_check(defer_drop(NULL, peer_destroy));
	bench_check(defer_drop_flush());
}

/* Waits until the worker naps or sleeps. It has just been awake. */
static void bring_worker_to(enum way way)
{
	uint64_t slept_before = latency_stats().deep_sleeps_total;
	uint64_t quiet_ns = latency_quiet_spell_ns();

	if (way == NAPPING)
		usleep((unsigned)((quiet_ns < LONGEST_QUIET_NS ? quiet_ns : LONGEST_QUIET_NS) /
				  4000));
	while (way == ASLEEP && latency_stats().deep_sleeps_total == slept_before)
		usleep(10000);
}

/* ---- One measurement ------------------------------------------------------------------------- */

static void measure(enum way way, unsigned round, uint64_t strings)
{
	struct vector *vector = vector_make(strings);
	uint64_t wakes_before;
	uint64_t begin;
	uint64_t end;

	bench_check(!vector);
	wake_worker();
	bring_worker_to(way);
	wakes_before = latency_stats().wakes_total;
	begin = timer_now();
	if (way == IN_PLACE)
		vector_free(vector);
	else
		bench_check(defer_drop(vector, vector_free));
	end = timer_now();
	wakes[way][round] = (double)(latency_stats().wakes_total - wakes_before);
	caller_ns[way][round] = timer_mean_ns(end - begin, 1);
	bench_check(defer_drop_flush());
}

static bool is_measured(enum way way)
{
	return way != ASLEEP || latency_quiet_spell_ns() <= LONGEST_QUIET_NS;
}

static void show(struct results *results, uint64_t strings, unsigned rounds)
{
	char title[128];
	struct results_table table = {title, "worker", "ours/in place"};

	snprintf(
		title, sizeof title, "a vector of %" PRIu64 " strings, the caller's time", strings);
	results_table(results, &table);
	for (enum way way = 0; way < WAYS; way++) {
		struct results_row row = {.name = way ? "defer_drop" : "in place",
			.at = states[way],
			.unit = "ns",
			.samples = caller_ns[way],
			.rounds = rounds};

		if (!is_measured(way))
			continue;
		if (way)
			row.ratio_of = caller_ns[way], row.ratio_to = caller_ns[IN_PLACE];
		results_row(results, &row);
	}
	for (enum way way = AWAKE; way < WAYS; way++)
		if (is_measured(way))
			results_row(results, &(struct results_row){.name = "calls to wake it",
						     .at = states[way],
						     .unit = "calls",
						     .samples = wakes[way],
						     .rounds = rounds});
}

void latency_measure_vector(struct results *results, uint64_t strings, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++)
		for (enum way way = 0; way < WAYS; way++)
			if (is_measured(way))
				measure(way, round, strings);
	show(results, strings, rounds);
}
