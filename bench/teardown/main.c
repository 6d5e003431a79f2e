/* SPDX-License-Identifier: MIT
 *
 * Measures destroying in place against dropping, for objects from small to huge and with each
 * allocator on the machine: the caller's time, the time until the object is gone, and the size from
 * which on dropping costs the caller less.
 */
#include "teardown.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "child.h"
#include "machine.h"
#include "process.h"
#include "results.h"
#include "timer.h"

static struct teardown_settings settings = {
	.rounds = 5,
	.nodes = {{10, 100, 1000, 10000, 100000, 1000000, 10000000}, 7},
	.map_mib = {{1, 64, 1024, 4096}, 4},
	.file_mib = {{16, 256, 1024}, 3},
	.folder = "/tmp",
	.cycle_rounds = 21,
	.cycle_nodes = 4096,
	.cycle_total = 50000,
};

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &settings.rounds, 1, MAX_ROUNDS, .quick = 3,
		.what = "how often each size is measured, in turn"),
	OPTIONS_LIST("nodes", &settings.nodes, 10, 100000000, .quick = 100000,
		.what = "nodes of lists, trees and tables, or of the size of a buffer"),
	OPTIONS_LIST(
		"map-mib", &settings.map_mib, 1, 1048576, .quick = 64, .what = "sizes of mappings"),
	OPTIONS_LIST("file-mib", &settings.file_mib, 1, 1048576, .quick = 16,
		.what = "sizes of deleted files"),
	{.name = "folder", .what = "where files are made", .text = &settings.folder},
	OPTIONS_NUMBER("cycle-rounds", &settings.cycle_rounds, 1, MAX_ROUNDS, .quick = 5,
		.what = "how often each cycle is measured, in turn"),
	OPTIONS_NUMBER("cycle-nodes", &settings.cycle_nodes, 1, UINT64_C(1) << (POWERS - 1),
		.quick = 256,
		.what = "nodes of the largest cycle; the others have 1, 2, 4, ... nodes"),
	OPTIONS_NUMBER("cycle-total", &settings.cycle_total, 100, 100000000, .quick = 20000,
		.what = "nodes allocated in one measurement of cycles"),
	{.name = NULL},
};

/* ---- The child ------------------------------------------------------------------------------- */

static void measure(struct teardown_figures *figures)
{
	struct machine_facts facts;

	machine_facts(&facts);
	memcpy(figures->allocator, facts.allocator, sizeof figures->allocator);
	timer_begin();
	bench_pin_consumer();
	bench_check(defer_drop_start(NULL));
	bench_pin_producer(0);
	once_measure(figures, &settings);
	cycle_measure(figures, &settings);
}

/* ---- Results: once --------------------------------------------------------------------------- */

/* Shows the samples of a way, with their ratio to those in place. */
static void show_row(struct results *results, const char *name, const char *way,
	struct results_row row, const double *samples, const double *in_place)
{
	char text[64];

	snprintf(text, sizeof text, "%s %s", name, way);
	row.name = text;
	row.unit = "ns";
	row.samples = samples;
	row.ratio_of = samples == in_place ? NULL : samples;
	row.ratio_to = in_place;
	results_row(results, &row);
}

static void show_once_subject(
	struct results *results, const struct teardown_figures *figures, unsigned subject)
{
	const struct options_list *sizes = once_sizes(&settings, subject);
	const char *name = subjects[subject].name;

	for (unsigned i = 0; i < sizes->count; i++) {
		const struct once_figures *from = &figures->once[subject][i];
		char at[24];
		struct results_row row = {.at = at, .rounds = (unsigned)settings.rounds};

		if (!once_is_measured(&figures->limits, subject, sizes->values[i]))
			continue;
		snprintf(at, sizeof at, "%" PRIu64, sizes->values[i]);
		show_row(results, name, "in place", row, from->in_place_ns, from->in_place_ns);
		show_row(results, name, "dropped", row, from->dropped_ns, from->in_place_ns);
		show_row(results, name, "dropped, until gone", row, from->gone_ns,
			from->in_place_ns);
	}
}

static void show_once(struct results *results, const struct teardown_figures *figures)
{
	char title[256];
	struct results_table shown = {title, "nodes", "to in place"};

	snprintf(title, sizeof title, "destroyed once, malloc of %s", figures->allocator);
	results_table(results, &shown);
	for (unsigned subject = 0; subject < NODE_SUBJECTS; subject++)
		show_once_subject(results, figures, subject);
	if (!figures->limits.has_kernel)
		return;
	shown = (struct results_table){
		"munmap of touched pages, close of a deleted file", "MiB", "to in place"};
	results_table(results, &shown);
	for (unsigned subject = NODE_SUBJECTS; subject < SUBJECTS; subject++)
		show_once_subject(results, figures, subject);
}

/* ---- Results: cycles ------------------------------------------------------------------------- */

static double median(const double *samples)
{
	return bench_median(samples, (unsigned)settings.cycle_rounds);
}

static bool is_cheaper_dropped(const struct cycle_figures *figures, bool is_with_malloc)
{
	if (is_with_malloc)
		return median(figures->dropped.all_ns) <= median(figures->in_place.all_ns);
	return median(figures->dropped.destroy_ns) <= median(figures->in_place.destroy_ns);
}

/*
 * Returns the least number of nodes from which on dropping never costs the caller more, or
 * infinity.
 */
static double break_even_nodes(const struct cycle_figures *figures, bool is_with_malloc)
{
	unsigned powers = cycle_powers(&settings);
	unsigned power = powers;

	while (power && is_cheaper_dropped(&figures[power - 1], is_with_malloc))
		power--;
	return power < powers ? (double)(1u << power) : INFINITY;
}

static void show_cycles(struct results *results, const struct teardown_figures *figures)
{
	char title[256];
	struct results_table shown = {title, "nodes", "to in place"};

	snprintf(title, sizeof title,
		"allocated and destroyed or dropped again and again, malloc of %s",
		figures->allocator);
	results_table(results, &shown);
	for (unsigned subject = 0; subject < NODE_SUBJECTS; subject++)
		for (unsigned power = 0; power < cycle_powers(&settings); power++) {
			const struct cycle_figures *from = &figures->cycle[subject][power];
			const char *name = subjects[subject].name;
			char at[24];
			struct results_row row = {
				.at = at, .rounds = (unsigned)settings.cycle_rounds};

			snprintf(at, sizeof at, "%u", 1u << power);
			show_row(results, name, "in place", row, from->in_place.all_ns,
				from->in_place.all_ns);
			show_row(results, name, "dropped", row, from->dropped.all_ns,
				from->in_place.all_ns);
		}
}

static void divide(double *quotients, const double *samples, double divisor)
{
	for (unsigned round = 0; round < settings.cycle_rounds; round++)
		quotients[round] = samples[round] / divisor;
}

/* Shows a malloc by itself: of a node of the longest list. */
static void show_malloc(struct results *results, const struct teardown_figures *figures)
{
	unsigned power = cycle_powers(&settings) - 1;
	const struct cycle_figures *list = &figures->cycle[LIST][power];
	struct results_row row = {.at = "-", .rounds = (unsigned)settings.cycle_rounds};
	double in_place[MAX_ROUNDS];
	double dropped[MAX_ROUNDS];
	char title[256];
	struct results_table shown = {title, "", "to in place"};

	divide(in_place, list->in_place.allocate_ns, 1u << power);
	divide(dropped, list->dropped.allocate_ns, 1u << power);
	snprintf(title, sizeof title, "malloc(%d), %u at a time, malloc of %s", NODE_BYTES,
		1u << power, figures->allocator);
	results_table(results, &shown);
	show_row(results, "freed", "in place", row, in_place, in_place);
	show_row(results, "freed", "by the worker", row, dropped, in_place);
}

static void show_break_even(
	struct results *results, const struct teardown_figures *figures, bool is_with_malloc)
{
	char title[256];
	struct results_table shown = {title, "", NULL};

	snprintf(title, sizeof title, "break-even of dropping for the caller, %s, malloc of %s",
		is_with_malloc ? "allocating included" : "allocating left out", figures->allocator);
	results_table(results, &shown);
	for (unsigned subject = 0; subject < NODE_SUBJECTS; subject++) {
		double nodes = break_even_nodes(figures->cycle[subject], is_with_malloc);
		double bytes = nodes * NODE_BYTES;
		struct results_row row = {.name = subjects[subject].name, .at = "-", .rounds = 1};

		row.unit = "nodes";
		row.samples = &nodes;
		results_row(results, &row);
		row.unit = "bytes";
		row.samples = &bytes;
		results_row(results, &row);
	}
}

/* ---- Allocators ------------------------------------------------------------------------------ */

static const char *const allocators[] = {"libjemalloc.so.2", "libmimalloc.so.2"};
#define ALLOCATORS (sizeof allocators / sizeof allocators[0])

static void run_with(struct results *results, struct teardown_figures *figures,
	struct teardown_limits limits, const char *preload)
{
	memset(figures, 0, sizeof *figures);
	figures->limits = limits;
	child_run(results->options->arguments, preload);
	show_once(results, figures);
	show_cycles(results, figures);
	show_malloc(results, figures);
	show_break_even(results, figures, true);
	show_break_even(results, figures, false);
	results_note(results, "of the cycles, %" PRIu64 " drops had to wait for room",
		figures->cycle_waits_total);
}

static void run_with_all(struct results *results, struct teardown_limits limits)
{
	struct teardown_figures *figures = child_prepare(sizeof *figures);
	char path[4096];

	run_with(results, figures, limits, NULL);
	limits.has_kernel = false; /* these do not depend on the allocator */
	for (unsigned i = 0; i < ALLOCATORS; i++)
		if (child_find_allocator(allocators[i], path, sizeof path))
			run_with(results, figures, limits, path);
		else
			results_skip(results, allocators[i], "not where the C library is");
}

/* ---- Main ------------------------------------------------------------------------------------ */

static void describe(struct results *results, const struct teardown_limits *limits)
{
	for (unsigned subject = 0; subject < SUBJECTS; subject++) {
		const struct options_list *sizes = once_sizes(&settings, subject);

		for (unsigned i = 0; i < sizes->count; i++) {
			char name[64];

			if (once_is_measured(limits, subject, sizes->values[i]))
				continue;
			snprintf(name, sizeof name, "%s of %" PRIu64, subjects[subject].name,
				sizes->values[i]);
			results_skip(results, name, "it takes more than half of the free memory");
		}
	}
	results_note(results, "%s", bench_pinning());
	results_note(results,
		"a node is %d bytes; a buffer of n nodes is one allocation of the bytes of n "
		"nodes; "
		"small objects are measured many times in a round, and the mean is shown",
		NODE_BYTES);
	results_note(results,
		"cycles: the caller's time for allocating, and for destroying or dropping; after "
		"each there is an uncounted pause of twice what a cycle in place takes");
	results_note(results,
		"break-even: the least size from which on the median of dropping is never above "
		"that in place; - if there is none");
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures destroying in place against dropping, with each allocator on the "
		"machine.",
		count, arguments);
	struct teardown_figures *figures = child_figures(sizeof *figures);
	struct teardown_limits limits = {process_available_bytes() / 2, true};
	struct results results;

	subject_use_folder(settings.folder);
	if (figures) {
		measure(figures);
		return 0;
	}
	results_begin(&results, &options);
	describe(&results, &limits);
	run_with_all(&results, limits);
	return results_end(&results);
}
