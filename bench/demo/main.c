/* SPDX-License-Identifier: MIT
 *
 * Reads the options of the demo, and runs its measurements one after the other.
 */
#include "demo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "process.h"

/* About 10 GB, more than a demo should take. */
#define MAX_NODES   100000000
#define MAX_STRINGS 100000000

/* Too large for the stack: 8 kB for each series of samples. */
static struct index_figures index_figures;
static struct strings_figures strings_figures;
static struct strategies_figures strategies_figures;

/* ---- Samples --------------------------------------------------------------------------------- */

void samples_add(struct samples *samples, uint64_t ns)
{
	/*
	 * Vectors are built more often than there are rounds. The last samples replace the first.
	 */
	samples->ns[samples->count % MAX_ROUNDS] = ns;
	samples->count++;
}

static unsigned kept(const struct samples *samples)
{
	return samples->count < MAX_ROUNDS ? samples->count : MAX_ROUNDS;
}

uint64_t samples_median(const struct samples *samples)
{
	double ns[MAX_ROUNDS];
	unsigned count = kept(samples);

	for (unsigned i = 0; i < count; i++)
		ns[i] = (double)samples->ns[i];
	return count ? (uint64_t)bench_median(ns, count) : 0;
}

uint64_t samples_least(const struct samples *samples)
{
	uint64_t least = samples->ns[0];

	for (unsigned i = 0; i < kept(samples); i++)
		least = samples->ns[i] < least ? samples->ns[i] : least;
	return least;
}

uint64_t samples_most(const struct samples *samples)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < kept(samples); i++)
		most = samples->ns[i] > most ? samples->ns[i] : most;
	return most;
}

struct stopwatch stopwatch_start(void)
{
	struct stopwatch stopwatch = {.preemptions = process_preemptions()};

	stopwatch.start_ns = bench_now_ns(); /* last, so that the system call is not timed */
	return stopwatch;
}

void stopwatch_stop(const struct stopwatch *stopwatch, struct samples *samples)
{
	samples_add(samples, bench_now_ns() - stopwatch->start_ns);
	samples->preempted += process_preemptions() != stopwatch->preemptions;
}

/* ---- Trouble and progress -------------------------------------------------------------------- */

void fail(int error, const char *format, ...)
{
	va_list arguments;

	progress_clear();
	fprintf(stderr, "demo: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fprintf(stderr, "\n");
	exit(EXIT_CANNOT_RUN);
}

void *allocate(size_t bytes)
{
	void *memory = malloc(bytes);

	if (!memory)
		fail(0, "out of memory; --nodes and --strings make the demo smaller");
	return memory;
}

struct vector *make_vector(uint64_t count)
{
	struct vector *vector = vector_make(count);

	if (!vector)
		fail(0, "out of memory; --strings makes the demo smaller");
	return vector;
}

void progress(const char *format, ...)
{
	va_list arguments;

	if (!isatty(STDERR_FILENO))
		return;
	progress_clear();
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " ...");
}

void progress_clear(void)
{
	/* Back to the start of the line, and erase it: ECMA-48. */
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

/* ---- The default queue ----------------------------------------------------------------------- */

void drop(void *object, defer_drop_fn destroy)
{
	int result = defer_drop(object, destroy);

	if (result)
		fail(-result, "defer_drop");
}

void flush(void)
{
	int result = defer_drop_flush();

	if (result)
		fail(-result, "defer_drop_flush");
}

/*
 * Starts the worker before anything is measured: free(3) takes no lock in a process that never had
 * a second thread, which would favour destroying in place.
 */
static void start(struct machine *machine)
{
	int result = defer_drop_start(NULL);

	if (result)
		fail(-result, "defer_drop_start");
	machine_look(machine);
}

/* ---- Options --------------------------------------------------------------------------------- */

static uint64_t rounds = 5;
static bool is_version_asked;
static struct settings settings = {.nodes = 2000000, .strings = 5000000};

static const struct options_entry table[] = {
	OPTIONS_NUMBER("nodes", &settings.nodes, 1, MAX_NODES,
		.what = "least number of nodes in the index"),
	OPTIONS_NUMBER(
		"strings", &settings.strings, 1, MAX_STRINGS, .what = "strings in the vector"),
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .what = "how often each is timed"),
	{.name = "json",
		.what = "one JSON object instead of text; times are nanoseconds",
		.flag = &settings.is_json},
	{.name = "version", .what = "the version of the library", .flag = &is_version_asked},
	{.name = NULL},
};

static const struct options_program program = {
	.about = "Shows what defer_drop does to the caller's time: a search index over names is\n"
		 "replaced, and a vector of strings destroyed, in place and in the background.\n"
		 "\n"
		 "PATH: a file gives its lines to the index, a folder the names of all that is in "
		 "it.\n"
		 "Without any: the package lists of the machine, or else the names below /usr.",
	.table = table,
	.operands = "[PATH]...",
	.notes = "DEFER_DROP_OPTIONS in the environment configures the queue (see defer_drop.h).\n"
		 "Exit status: 0; 1 if not everything was destroyed; 2 if the demo could not run.",
};

static void print_version(void)
{
	uint32_t version = defer_drop_version();

	printf("demo: defer_drop %" PRIu32 ".%" PRIu32 ".%" PRIu32 "\n", version / 10000,
		version / 100 % 100, version % 100);
}

/* ---- main ------------------------------------------------------------------------------------ */

static int measure(void)
{
	struct machine machine;
	struct input input;
	bool is_all;

	input_read(&input, settings.paths);
	start(&machine);
	if (!settings.is_json)
		print_machine(&machine, &settings);
	index_measure(&index_figures, &input, &settings);
	if (!settings.is_json)
		print_index(&index_figures, &input);
	strings_measure(&strings_figures, &settings);
	if (!settings.is_json)
		print_strings(&strings_figures, &settings);
	strategies_measure(&strategies_figures, &settings);
	if (settings.is_json)
		print_json(&machine, &settings, &input, &index_figures, &strings_figures,
			&strategies_figures);
	else
		print_strategies(&strategies_figures);
	input_free(&input);
	is_all = is_all_destroyed(
			 index_figures.created, index_figures.destroyed, &index_figures.stats) &&
		 is_all_destroyed(strings_figures.created, strings_figures.destroyed,
			 &strings_figures.stats);
	return is_all ? EXIT_SUCCESS : EXIT_NOT_DESTROYED;
}

int main(int count, char **arguments)
{
	int status = EXIT_SUCCESS;

	settings.paths = arguments + options_parse(&program, count, arguments);
	settings.rounds = (unsigned)rounds;
	if (is_version_asked)
		print_version();
	else
		status = measure();
	if (fflush(stdout) || ferror(stdout))
		fail(errno, "standard output");
	return status;
}
