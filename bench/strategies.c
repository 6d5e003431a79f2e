/* SPDX-License-Identifier: MIT
 *
 * Measures a vector of strings dropped by every strategy: the caller's time, and the time until all
 * strings are destroyed. It is the comparison with which Rust's crate backdrop introduces itself.
 */
#include <defer_drop.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "contender.h"
#include "options.h"
#include "results.h"

#define MAX_ROUNDS 101

static uint64_t rounds = 11;
static struct options_list strings = {{5000, 500000}, 2};

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .quick = 3,
		.what = "how often each strategy is measured, in turn"),
	OPTIONS_LIST(
		"strings", &strings, 1, 100000000, .quick = 5000, .what = "strings in the vector"),
	{.name = NULL},
};

/* The kinds of figures, in nanoseconds. */
enum kind { CALLER, GONE, KINDS };

static const struct contender *present[CONTENDERS_MOST];
static unsigned present_count;
static double figures[KINDS][OPTIONS_LIST_MAX][CONTENDERS_MOST][MAX_ROUNDS];

static void begin_all(struct results *results)
{
	for (unsigned i = 0; i < contenders_count; i++) {
		int result = contender_begin(contenders[i]);

		if (result)
			results_skip(results, contenders[i]->name, strerror(-result));
		else
			present[present_count++] = contenders[i];
	}
}

static void end_all(void)
{
	for (unsigned i = 0; i < present_count; i++)
		contender_end(present[i]);
}

/* Measures the nth contender, with the vector of the at-th size. */
static void measure(unsigned at, unsigned nth, unsigned round)
{
	struct contender_times times;

	bench_check(contender_time(present[nth], strings.values[at], &times));
	figures[CALLER][at][nth][round] = (double)(times.returned_ns - times.begin_ns);
	figures[GONE][at][nth][round] = (double)(times.gone_ns - times.begin_ns);
}

static void measure_all(void)
{
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < strings.count; i++)
			for (unsigned j = 0; j < present_count; j++)
				measure(i, j, round);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void print_row(struct results *results, enum kind kind, unsigned at, unsigned nth)
{
	char text[24];

	/* The benchmark destroys leaked vectors itself. */
	if (kind == GONE && contender_leaks(present[nth]))
		return;
	snprintf(text, sizeof text, "%" PRIu64, strings.values[at]);
	results_row(results, &(struct results_row){
				     .name = present[nth]->name,
				     .at = text,
				     .unit = "ns",
				     .samples = figures[kind][at][nth],
				     .rounds = (unsigned)rounds,
				     .ratio_of = figures[kind][at][nth],
				     .ratio_to = figures[kind][at][0],
			     });
}

static void print(struct results *results, enum kind kind)
{
	static const struct results_table tables[KINDS] = {
		[CALLER] = {"a vector dropped: the caller's time", "strings", "to in place"},
		[GONE] = {"the same, until all strings are destroyed", "strings", "to in place"},
	};

	results_table(results, &tables[kind]);
	for (unsigned i = 0; i < strings.count; i++)
		for (unsigned j = 0; j < present_count; j++)
			print_row(results, kind, i, j);
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures what it costs the caller to drop a vector of strings, by every strategy.",
		count, arguments);
	struct results results;

	results_begin(&results, &options);
	results_note(&results, "no thread is pinned; the worker and the pools are awake");
#ifdef HAVE_UV
	results_version(&results, "libuv", HAVE_UV);
#else
	results_skip(&results, "libuv", "libuv1-dev was missing when this was built");
#endif
#ifdef HAVE_GLIB
	results_version(&results, "GLib", HAVE_GLIB);
#else
	results_skip(&results, "GLib", "libglib2.0-dev was missing when this was built");
#endif
	begin_all(&results);
	measure_all();
	end_all();
	print(&results, CALLER);
	print(&results, GONE);
	return results_end(&results);
}
