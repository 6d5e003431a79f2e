/* SPDX-License-Identifier: MIT
 *
 * A vector of strings, each allocated by itself, destroyed in place and handed over with one push:
 * while the worker is awake, while it naps, and while it sleeps until it is woken.
 */
#define _GNU_SOURCE
#include "latency.h"

#include <defer_drop.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "timer.h"

/* Of one string. */
#define STRING_BYTES 24

enum way { IN_PLACE, AWAKE, NAPPING, ASLEEP, WAYS };

static const char *const states[WAYS] = {"-", "awake", "napping", "asleep"};

struct vector {
	uint64_t count;
	char *strings[];
};

static double caller_ns[WAYS][MAX_ROUNDS];
static double wakes[WAYS][MAX_ROUNDS];

/* ---- The vector ------------------------------------------------------------------------------ */

static struct vector *build(uint64_t count)
{
	struct vector *vector = malloc(sizeof *vector + count * sizeof vector->strings[0]);

	if (!vector)
		abort();
	vector->count = count;
	for (uint64_t i = 0; i < count; i++) {
		vector->strings[i] = malloc(STRING_BYTES);
		if (!vector->strings[i])
			abort();
		memset(vector->strings[i], 'x', STRING_BYTES);
	}
	return vector;
}

static void free_vector(void *object)
{
	struct vector *vector = object;

	for (uint64_t i = 0; i < vector->count; i++)
		free(vector->strings[i]);
	free(vector);
}

/* ---- The worker ------------------------------------------------------------------------------ */

static void wake_worker(void)
{
	latency_check(defer_drop(NULL, peer_destroy));
	latency_check(defer_drop_flush());
}

/* The worker has just been awake. */
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
	struct vector *vector = build(strings);
	uint64_t wakes_before;
	uint64_t begin;
	uint64_t end;

	wake_worker();
	bring_worker_to(way);
	wakes_before = latency_stats().wakes_total;
	begin = timer_now();
	if (way == IN_PLACE)
		free_vector(vector);
	else
		latency_check(defer_drop(vector, free_vector));
	end = timer_now();
	wakes[way][round] = (double)(latency_stats().wakes_total - wakes_before);
	caller_ns[way][round] = timer_mean_ns(end - begin, 1);
	latency_check(defer_drop_flush());
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

void boxes_measure(struct results *results, uint64_t strings, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++)
		for (enum way way = 0; way < WAYS; way++)
			if (is_measured(way))
				measure(way, round, strings);
	show(results, strings, rounds);
}
