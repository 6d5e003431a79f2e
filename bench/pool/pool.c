/* SPDX-License-Identifier: MIT
 *
 * Measures memory that comes home against nodes that are freed in place and nodes that the worker
 * frees, with each allocator on the machine.
 */
#include "pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "child.h"
#include "machine.h"
#include "process.h"
#include "results.h"
#include "timer.h"

static struct pool_settings settings = {
	.rounds = 7,
	.objects = 4000,
	.working_mib = 256,
	.mixed = 16,
	.pace_ns = 100,
	.cached_pace_ns = 60,
	.single_pairs = 2000000,
	.producers = {{1, 2, 4, 8, 16}, 5},
	.crowd_objects = 20000,
	.crowd_queue = 16,
	.resident_mib = 64,
	.resident_seconds = 2,
};

/* The C library's own allocator, and those that can be loaded before it. */
static const char *const allocators[] = {
	"libc", "libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"};
#define ALLOCATORS (sizeof allocators / sizeof allocators[0])

static const char *allocator_name(unsigned nth)
{
	return nth < ALLOCATORS ? allocators[nth] : NULL;
}

static const char *only; /* NULL: all of them */

/* What is measured. */
enum part { SINGLE, PACED, CACHED, TAKERS, CROWD, RESIDENT, PARTS };

static const char *const parts[PARTS] = {
	[SINGLE] = "single",
	[PACED] = "paced",
	[CACHED] = "cached",
	[TAKERS] = "takers",
	[CROWD] = "crowd",
	[RESIDENT] = "resident",
};

static const char *part_name(unsigned nth)
{
	return nth < PARTS ? parts[nth] : NULL;
}

static const char *only_part; /* NULL: all of them */

static bool is_wanted(enum part part)
{
	return !only_part || !strcmp(only_part, parts[part]);
}

static const char *only_case; /* NULL: all of them */

static bool is_wanted_case(unsigned nth)
{
	return !only_case || !strcmp(only_case, cases[nth].name);
}

static const char *case_name(unsigned nth)
{
	return nth < CASES ? cases[nth].name : NULL;
}

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &settings.rounds, 1, MAX_ROUNDS, .quick = 3,
		.what = "how often each way is measured, in turn"),
	OPTIONS_NUMBER("objects", &settings.objects, 10, 10000000, .quick = 1000,
		.what = "objects made in a round"),
	OPTIONS_NUMBER("working-mib", &settings.working_mib, 1, 65536, .quick = 64,
		.what = "the working set of a way"),
	OPTIONS_NUMBER("mixed", &settings.mixed, 1, 1000000,
		.what = "objects whose nodes lie mixed up with each other"),
	OPTIONS_NUMBER(
		"pace-ns", &settings.pace_ns, 0, 1000000, .what = "other work for each node"),
	OPTIONS_NUMBER("cached-pace-ns", &settings.cached_pace_ns, 0, 1000000,
		.what = "other work for each node, if everything is in the cache"),
	OPTIONS_NUMBER("single-pairs", &settings.single_pairs, 2000, 1000000000, .quick = 500000,
		.what = "blocks taken and given on one thread"),
	OPTIONS_LIST("producers", &settings.producers, 1, 256, .quick = 4,
		.what = "threads that share a pool: with rests, and as fast as they can"),
	OPTIONS_NUMBER("crowd-objects", &settings.crowd_objects, 100, 100000000, .quick = 5000,
		.what = "objects that threads as fast as they can make, all together"),
	OPTIONS_NUMBER("crowd-queue", &settings.crowd_queue, 2, 16777216, .is_power_of_two = true,
		.what = "objects of each of these threads that may wait"),
	OPTIONS_NUMBER("resident-mib", &settings.resident_mib, 1, 65536, .quick = 16,
		.what = "objects whose memory is measured"),
	OPTIONS_NUMBER("resident-seconds", &settings.resident_seconds, 0, 60,
		.what = "time after which memory is measured again"),
	{.name = "allocator",
		.what = "measures with this one alone: libc, libjemalloc.so.2, ...",
		.text = &only,
		.choice = allocator_name},
	{.name = "part",
		.what = "measures this alone: single, paced, cached, takers, crowd or resident",
		.text = &only_part,
		.choice = part_name},
	{.name = "case",
		.what = "what one paced thread makes, alone: \"list of 64 bytes\", ...",
		.text = &only_case,
		.choice = case_name},
	{.name = NULL},
};

/* ---- The child ------------------------------------------------------------------------------- */

/* Returns the drops that may wait: what they hold has room in a pool when it comes home. */
static uint32_t queue_size(const struct pool_case *of)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_pool_config pool = DEFER_DROP_POOL_CONFIG_INIT;

	while (config.queue_size * of->nodes * of->node_bytes > pool.max_bytes)
		config.queue_size /= 2;
	return config.queue_size;
}

static void start(struct pool_figures *figures)
{
	bool is_of_case = figures->part == PACED || figures->part == CACHED;
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct machine_facts facts;

	machine_facts(&facts);
	memcpy(figures->allocator, facts.allocator, sizeof figures->allocator);
	timer_begin();
	bench_pin_consumer();
	config.queue_size = queue_size(&cases[is_of_case ? figures->index : USUAL_CASE]);
	bench_check(defer_drop_start(&config));
	bench_pin_producer(0);
}

static void measure(struct pool_figures *figures)
{
	unsigned index = figures->index;

	start(figures);
	switch (figures->part) {
	case SINGLE:
		single_measure(figures, &settings);
		break;
	case PACED:
		paced_measure(&figures->paced[index], &settings, &cases[index],
			settings.working_mib << 20, settings.pace_ns);
		break;
	case CACHED:
		paced_measure(&figures->cached[index], &settings, &cases[index], 0,
			settings.cached_pace_ns);
		break;
	case TAKERS:
		takers_measure(figures, &settings);
		break;
	case CROWD:
		crowd_measure(figures, &settings);
		break;
	default:
		resident_measure(figures, &settings, index % WAYS, index / WAYS);
	}
}

/* ---- Results --------------------------------------------------------------------------------- */

static const char *const way_names[WAYS] = {
	[IN_PLACE] = "in place",
	[FREED] = "dropped, freed",
	[HOME] = "dropped, home",
};

static void show_row(struct results *results, const char *name, const char *at, const char *unit,
	const double *samples, const double *ratio_to)
{
	struct results_row row = {
		.name = name,
		.at = at,
		.unit = unit,
		.samples = samples,
		.rounds = (unsigned)settings.rounds,
		.ratio_of = ratio_to ? samples : NULL,
		.ratio_to = ratio_to,
	};

	results_row(results, &row);
}

/* Shows four rows: in place; freed and home, against in place; home, against freed. */
static void show_ways(struct results *results, const char *name, const char *at, const char *unit,
	const double *in_place, const double *freed, const double *home)
{
	const double *samples[WAYS] = {in_place, freed, home};
	char text[96];

	for (unsigned way = 0; way < WAYS; way++) {
		snprintf(text, sizeof text, "%s %s", name, way_names[way]);
		show_row(results, text, at, unit, samples[way], way == IN_PLACE ? NULL : in_place);
	}
	snprintf(text, sizeof text, "%s %s (to freed)", name, way_names[HOME]);
	show_row(results, text, at, unit, home, freed);
}

static void show_single(struct results *results, const struct pool_figures *figures)
{
	char title[256];
	struct results_table shown = {title, "bytes", "to malloc"};

	snprintf(title, sizeof title, "take and give on one thread, malloc of %s",
		figures->allocator);
	results_table(results, &shown);
	for (unsigned i = 0; i < SIZES; i++) {
		const struct single_figures *from = &figures->single[i];
		char at[24];

		snprintf(at, sizeof at, "%zu", single_bytes[i]);
		show_row(results, "malloc and free", at, "ns", from->malloc_ns, NULL);
		show_row(results, "pool", at, "ns", from->pool_ns, from->malloc_ns);
		show_row(results, "classes", at, "ns", from->classes_ns, from->malloc_ns);
	}
}

static void show_floors(
	struct results *results, const char *name, const char *at, const struct paced_figures *from)
{
	static const char *const names[FLOORS] = {
		[IN_ORDER] = "floor, in order (to freed)",
		[MIXED_UP] = "floor, mixed up (to freed)",
		[WHOLE] = "floor, home in one piece",
	};
	char text[96];

	for (unsigned i = 0; i < FLOORS; i++) {
		const double *ratio_to = from->ns[i == WHOLE ? IN_PLACE : FREED];

		if (from->floor_ns[i][0] <= 0)
			continue;
		snprintf(text, sizeof text, "%s %s", name, names[i]);
		show_row(results, text, at, "ns", from->floor_ns[i], ratio_to);
	}
}

static void show_paced(struct results *results, const struct pool_figures *figures,
	const struct paced_figures *from, const char *what)
{
	char title[256];
	struct results_table shown = {title, "nodes", "to in place"};

	snprintf(title, sizeof title, "the caller's time for a node, %s, malloc of %s", what,
		figures->allocator);
	results_table(results, &shown);
	for (unsigned i = 0; i < CASES; i++) {
		char at[24];

		if (!is_wanted_case(i))
			continue;
		snprintf(at, sizeof at, "%" PRIu64, cases[i].nodes);
		show_ways(results, cases[i].name, at, "ns", from[i].ns[IN_PLACE], from[i].ns[FREED],
			from[i].ns[HOME]);
		show_floors(results, cases[i].name, at, &from[i]);
		results_note(results, "%s, %s, malloc of %s: %.1f %% of the blocks came home",
			cases[i].name, what, figures->allocator, from[i].home_percent);
	}
}

static void show_takers(struct results *results, const struct pool_figures *figures)
{
	char title[256];
	struct results_table shown = {title, "threads", "to in place"};

	snprintf(title, sizeof title,
		"CPU time for a node, of several threads that rest in between, malloc of %s",
		figures->allocator);
	results_table(results, &shown);
	for (unsigned i = 0; i < settings.producers.count; i++) {
		char at[24];

		snprintf(at, sizeof at, "%" PRIu64, settings.producers.values[i]);
		show_ways(results, cases[USUAL_CASE].name, at, "ns",
			figures->takers_ns[IN_PLACE][i], figures->takers_ns[FREED][i],
			figures->takers_ns[HOME][i]);
	}
}

static void show_crowd(struct results *results, const struct pool_figures *figures)
{
	char title[256];
	struct results_table shown = {title, "producers", "to in place"};

	snprintf(title, sizeof title,
		"producers as fast as they can, until all is destroyed, malloc of %s",
		figures->allocator);
	results_table(results, &shown);
	for (unsigned i = 0; i < settings.producers.count; i++) {
		char at[24];

		snprintf(at, sizeof at, "%" PRIu64, settings.producers.values[i]);
		show_ways(results, cases[USUAL_CASE].name, at, "ns", figures->crowd_ns[IN_PLACE][i],
			figures->crowd_ns[FREED][i], figures->crowd_ns[HOME][i]);
		show_row(results, "freed, or in place if there is no room", at, "ns",
			figures->crowd_ns[CROWD_FREED_OR_IN_PLACE][i],
			figures->crowd_ns[IN_PLACE][i]);
		show_row(results, "home, or in place if there is no room", at, "ns",
			figures->crowd_ns[CROWD_HOME_OR_IN_PLACE][i],
			figures->crowd_ns[IN_PLACE][i]);
	}
}

static void show_resident(struct results *results, const struct pool_figures *figures)
{
	const struct resident_figures *of = figures->resident;
	char title[256];
	char after[64];
	struct results_table shown = {title, "when", "to in place"};

	snprintf(title, sizeof title, "memory of the process, malloc of %s", figures->allocator);
	snprintf(after, sizeof after, "%" PRIu64 " s after", settings.resident_seconds);
	results_table(results, &shown);
	show_ways(results, cases[USUAL_CASE].name, "peak", "bytes", of[IN_PLACE].peak_bytes,
		of[FREED].peak_bytes, of[HOME].peak_bytes);
	show_ways(results, cases[USUAL_CASE].name, after, "bytes", of[IN_PLACE].after_bytes,
		of[FREED].after_bytes, of[HOME].after_bytes);
}

/* ---- Allocators ------------------------------------------------------------------------------ */

/* Has children measure a part. */
static void run_part(const struct results *results, struct pool_figures *figures, enum part part,
	const char *preload)
{
	unsigned count = 1;

	if (part == PACED || part == CACHED)
		count = CASES;
	else if (part == RESIDENT)
		count = WAYS * (unsigned)settings.rounds;
	figures->part = part;
	for (figures->index = 0; figures->index < count; figures->index++)
		if (part == RESIDENT || count == 1 || is_wanted_case(figures->index))
			child_run(results->options->arguments, preload);
}

static void show(struct results *results, const struct pool_figures *figures, enum part part)
{
	char what[64];

	snprintf(what, sizeof what, "%" PRIu64 " MiB in use", settings.working_mib);
	switch (part) {
	case SINGLE:
		show_single(results, figures);
		break;
	case PACED:
		show_paced(results, figures, figures->paced, what);
		break;
	case CACHED:
		show_paced(results, figures, figures->cached, "all in the cache");
		break;
	case TAKERS:
		show_takers(results, figures);
		break;
	case CROWD:
		show_crowd(results, figures);
		break;
	default:
		show_resident(results, figures);
	}
}

static void run_with(struct results *results, struct pool_figures *figures, const char *preload)
{
	memset(figures, 0, sizeof *figures);
	for (enum part part = 0; part < PARTS; part++) {
		if (!is_wanted(part))
			continue;
		run_part(results, figures, part, preload);
		show(results, figures, part);
	}
}

static void run_with_all(struct results *results, struct pool_figures *figures)
{
	char path[4096];

	for (unsigned i = 0; i < ALLOCATORS; i++) {
		if (only && strcmp(only, allocators[i]))
			continue;
		if (!i)
			run_with(results, figures, NULL);
		else if (child_find_allocator(allocators[i], path, sizeof path))
			run_with(results, figures, path);
		else
			results_skip(results, allocators[i], "not where the C library is");
	}
}

/* ---- Main ------------------------------------------------------------------------------------ */

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures what a thread pays that makes objects and has them destroyed: in place, "
		"by the worker, or by the worker with pools, with each allocator on the machine.",
		count, arguments);
	struct pool_figures *figures = child_figures(sizeof *figures);
	struct results results;

	if (figures) {
		measure(figures);
		return 0;
	}
	results_begin(&results, &options);
	results_note(&results, "%s", bench_pinning());
	results_note(&results, "the nodes of each %" PRIu64 " objects in use lie mixed up",
		settings.mixed);
	results_note(&results,
		"in use: %" PRIu64 " MiB of objects for each way; paced: %" PRIu64
		" ns of other work for each node, %" PRIu64 " if everything is in the cache",
		settings.working_mib, settings.pace_ns, settings.cached_pace_ns);
	run_with_all(&results, child_prepare(sizeof *figures));
	return results_end(&results);
}
