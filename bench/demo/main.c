/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_NODES   2000000
#define DEFAULT_STRINGS 5000000
#define DEFAULT_ROUNDS  5

/* Some 10 GB, more than the demo has business to take. */
#define MAX_NODES   100000000
#define MAX_STRINGS 100000000

/* Not on the stack: 8 kB for each series of samples. */
static struct index_figures index_figures;
static struct strings_figures strings_figures;
static struct strategies_figures strategies_figures;

/* ---- Samples --------------------------------------------------------------------------------- */

void samples_add(struct samples *samples, uint64_t ns)
{
	/* The building of vectors has more samples than rounds: the last ones stand for all. */
	samples->ns[samples->count % MAX_ROUNDS] = ns;
	samples->count++;
}

static unsigned kept(const struct samples *samples)
{
	return samples->count < MAX_ROUNDS ? samples->count : MAX_ROUNDS;
}

static int compare(const void *left, const void *right)
{
	uint64_t l = *(const uint64_t *)left;
	uint64_t r = *(const uint64_t *)right;

	return (l > r) - (l < r);
}

uint64_t samples_median(const struct samples *samples)
{
	struct samples sorted = *samples;
	unsigned count = kept(samples);

	if (!count)
		return 0;
	qsort(sorted.ns, count, sizeof sorted.ns[0], compare);
	if (count % 2)
		return sorted.ns[count / 2];
	return (sorted.ns[count / 2 - 1] + sorted.ns[count / 2]) / 2;
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

static uint64_t preemptions(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_nivcsw;
}

struct watch watch_start(void)
{
	struct watch watch = {.preemptions = preemptions()};

	watch.start_ns = bench_now_ns(); /* last, so that the system call is not timed */
	return watch;
}

void watch_stop(const struct watch *watch, struct samples *samples)
{
	samples_add(samples, bench_now_ns() - watch->start_ns);
	samples->preempted += preemptions() != watch->preemptions;
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

void read_stats(struct defer_drop_stats *stats)
{
	*stats = (struct defer_drop_stats)DEFER_DROP_STATS_INIT;
	defer_drop_queue_stats(defer_drop_queue_default(), stats);
}

/*
 * First of all, for fairness: free(3) takes no lock in a process that never had a second thread,
 * and no way of destroying shall have that for itself.
 */
static void start(struct machine *machine)
{
	int result = defer_drop_start(NULL);

	if (result)
		fail(-result, "defer_drop_start");
	machine_look(machine);
}

/* ---- Options --------------------------------------------------------------------------------- */

static void print_help(void)
{
	printf("usage: demo [OPTION]... [PATH]...\n"
	       "\n"
	       "Shows what defer_drop does to the caller's time: a search index over names is\n"
	       "replaced, and a vector of strings destroyed, in place and in the background.\n"
	       "\n"
	       "PATH: a file gives its lines to the index, a folder the names of all that is in "
	       "it.\n"
	       "Without any: the package lists of the machine, or else the names below /usr.\n"
	       "\n"
	       "  --nodes=N    nodes of the index, 1..%d [%d]\n"
	       "  --strings=N  strings in the vector, 1..%d [%d]\n"
	       "  --rounds=N   how often each is timed, 1..%d [%d]\n"
	       "  --json       one JSON object instead of text; times are nanoseconds\n"
	       "  --help       this text\n"
	       "  --version    the version of the library\n"
	       "\n"
	       "DEFER_DROP_OPTIONS in the environment configures the queue (see defer_drop.h).\n"
	       "Exit status: 0; 1 if not everything was destroyed; 2 if the demo could not run.\n",
		MAX_NODES, DEFAULT_NODES, MAX_STRINGS, DEFAULT_STRINGS, MAX_ROUNDS, DEFAULT_ROUNDS);
}

static void print_version(void)
{
	uint32_t version = defer_drop_version();

	printf("demo: defer_drop %" PRIu32 ".%" PRIu32 ".%" PRIu32 "\n", version / 10000,
		version / 100 % 100, version % 100);
}

static uint64_t number(const char *option, const char *text, uint64_t most)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	/* strtoull(3) takes "-1" for a large number. */
	if (errno || *end || text[0] < '0' || text[0] > '9' || value < 1 || value > most)
		fail(0, "--%s=%s: want a number in 1..%" PRIu64, option, text, most);
	return value;
}

static const struct option options[] = {
	{"nodes", required_argument, NULL, 'n'},
	{"strings", required_argument, NULL, 's'},
	{"rounds", required_argument, NULL, 'r'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

/* False where there is nothing more to do. */
static bool parse(struct settings *settings, int count, char **arguments)
{
	int chosen;

	*settings = (struct settings){DEFAULT_NODES, DEFAULT_STRINGS, DEFAULT_ROUNDS, false, NULL};
	while ((chosen = getopt_long(count, arguments, "", options, NULL)) != -1) {
		switch (chosen) {
		case 'n':
			settings->nodes = number("nodes", optarg, MAX_NODES);
			break;
		case 's':
			settings->strings = number("strings", optarg, MAX_STRINGS);
			break;
		case 'r':
			settings->rounds = (unsigned)number("rounds", optarg, MAX_ROUNDS);
			break;
		case 'j':
			settings->is_json = true;
			break;
		case 'h':
			print_help();
			return false;
		case 'v':
			print_version();
			return false;
		default:
			exit(EXIT_CANNOT_RUN); /* getopt_long(3) has said why */
		}
	}
	settings->paths = arguments + optind;
	return true;
}

/* ---- main ------------------------------------------------------------------------------------ */

static int measure(const struct settings *settings)
{
	struct machine machine;
	struct input input;
	bool is_all;

	input_read(&input, settings->paths);
	start(&machine);
	if (!settings->is_json)
		print_machine(&machine, settings);
	index_measure(&index_figures, &input, settings);
	if (!settings->is_json)
		print_index(&index_figures, &input);
	strings_measure(&strings_figures, settings);
	if (!settings->is_json)
		print_strings(&strings_figures, settings);
	strategies_measure(&strategies_figures, settings);
	if (settings->is_json)
		print_json(&machine, settings, &input, &index_figures, &strings_figures,
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
	struct settings settings;
	int status = EXIT_SUCCESS;

	if (parse(&settings, count, arguments))
		status = measure(&settings);
	if (fflush(stdout) || ferror(stdout))
		fail(errno, "standard output");
	return status;
}
