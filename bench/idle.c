/* SPDX-License-Identifier: MIT
 *
 * Measures what a process pays that does not drop: CPU time and context switches of each of its
 * threads, before the first push and after a quiet spell; what the worker spends until it falls
 * asleep; and memory by the number of lanes.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "library.h"
#include "options.h"
#include "process.h"
#include "results.h"

#define MAX_ROUNDS 31
#define MAX_LANES  64
/* The main thread and the worker. */
#define THREADS 2

static uint64_t rounds = 3;
static uint64_t seconds = 10;
static struct options_list lanes = {{0, 1, 16, 64}, 4};

static const struct options_entry table[] = {
	OPTIONS_NUMBER(
		"rounds", &rounds, 1, MAX_ROUNDS, .what = "how often everything is measured"),
	OPTIONS_NUMBER(
		"seconds", &seconds, 1, 3600, .quick = 2, .what = "length of one measurement"),
	OPTIONS_LIST("lanes", &lanes, 0, MAX_LANES,
		.what = "lanes beside the shared one, whose memory is measured"),
	{.name = NULL},
};

static void destroy(void *object)
{
	(void)object;
}

/* ---- Time ------------------------------------------------------------------------------------ */

enum state { UNUSED, FALLING_ASLEEP, ASLEEP, STATES };

static const char *const state_titles[STATES] = {
	"before the first push",
	"from the last push until the worker sleeps",
	"while the worker sleeps",
};

enum measure { CPU, SLEEPS, PREEMPTIONS, MEASURES };

static const struct {
	const char *name;
	const char *unit;
} measure_texts[MEASURES] = {{"CPU", "us"}, {"sleeps", "times"}, {"preempted", "times"}};

/* The last thread stands for the whole process. */
static double figures[STATES][THREADS + 1][MEASURES][MAX_ROUNDS];
static char names[THREADS][16];

/* All counters at one moment. */
struct look {
	unsigned threads;
	double counts[THREADS + 1][MEASURES];
};

static uint64_t time_us(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* The main thread comes first: it has the lowest number. */
static struct look look(void)
{
	struct process_thread threads[THREADS];
	struct look look = {.threads = process_threads(threads, THREADS)};
	struct rusage usage;

	if (look.threads > THREADS)
		options_refuse("idle: %u threads: want none but the main thread and the worker",
			look.threads);
	for (unsigned i = 0; i < look.threads; i++) {
		memcpy(names[i], threads[i].name, sizeof names[i]);
		look.counts[i][CPU] = (double)threads[i].cpu_ns / 1000;
		look.counts[i][SLEEPS] = (double)threads[i].sleeps;
		look.counts[i][PREEMPTIONS] = (double)threads[i].preemptions;
	}
	bench_check(getrusage(RUSAGE_SELF, &usage));
	look.counts[THREADS][CPU] = (double)(time_us(&usage.ru_utime) + time_us(&usage.ru_stime));
	look.counts[THREADS][SLEEPS] = (double)usage.ru_nvcsw;
	look.counts[THREADS][PREEMPTIONS] = (double)usage.ru_nivcsw;
	return look;
}

static void keep(enum state state, unsigned round, const struct look *from)
{
	struct look to = look();

	for (unsigned thread = 0; thread <= THREADS; thread++)
		for (unsigned i = 0; i < MEASURES; i++)
			figures[state][thread][i][round] =
				to.counts[thread][i] - from->counts[thread][i];
}

static void measure_silence(enum state state, unsigned round)
{
	struct look from = look();

	sleep((unsigned)seconds);
	keep(state, round, &from);
}

/* True if the worker falls asleep. Otherwise it naps for ever. */
static bool does_sleep(void)
{
	return library_config(defer_drop_queue_default()).quiet_spell_ns != DEFER_DROP_NEVER;
}

static uint64_t deep_sleeps(void)
{
	return library_stats(defer_drop_queue_default()).deep_sleeps_total;
}

static void measure_use(unsigned round)
{
	uint64_t before = deep_sleeps();
	struct look from;

	bench_check(defer_drop(NULL, destroy));
	bench_check(defer_drop_flush());
	from = look();
	while (deep_sleeps() == before)
		usleep(10000);
	keep(FALLING_ASLEEP, round, &from);
	measure_silence(ASLEEP, round);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static double resident_bytes[OPTIONS_LIST_MAX][MAX_ROUNDS];
static double mapped_bytes[OPTIONS_LIST_MAX][MAX_ROUNDS];

static struct defer_drop_queue *queue;
static pthread_barrier_t barrier; /* of the producers and the main thread */

/* A lane is made with the first push of a thread, and is given back with its end. */
static void *produce(void *argument)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	bench_check(defer_drop_queue_push(queue, NULL, destroy, DEFER_DROP_FOREVER));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return argument;
}

/*
 * Measures a queue without a worker, since the stack of a worker may be new or reused. The
 * producers exist before the first look.
 */
static void measure_memory(unsigned nth, unsigned round)
{
	unsigned count = (unsigned)lanes.values[nth];
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	pthread_t producers[MAX_LANES];
	uint64_t resident, mapped;

	config.max_lanes = count;
	config.runner = DEFER_DROP_RUNNER_CALLER;
	bench_check(pthread_barrier_init(&barrier, NULL, count + 1));
	for (unsigned i = 0; i < count; i++)
		bench_check(pthread_create(&producers[i], NULL, produce, NULL));
	pthread_barrier_wait(&barrier);
	resident = process_resident_bytes();
	mapped = process_mapped_bytes();
	bench_check(defer_drop_queue_create(&queue, &config));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	bench_check(defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	resident_bytes[nth][round] = (double)process_resident_bytes() - (double)resident;
	mapped_bytes[nth][round] = (double)process_mapped_bytes() - (double)mapped;
	pthread_barrier_wait(&barrier);
	for (unsigned i = 0; i < count; i++)
		bench_check(pthread_join(producers[i], NULL));
	bench_check(pthread_barrier_destroy(&barrier));
	library_end(queue);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void show_state(struct results *results, enum state state)
{
	struct results_table shown = {state_titles[state], "", NULL};

	results_table(results, &shown);
	for (unsigned thread = 0; thread <= THREADS; thread++)
		for (unsigned i = 0; i < MEASURES; i++) {
			const char *name = thread == THREADS ? "the process"
					   : thread          ? names[thread]
							     : "main thread";

			if (state == UNUSED && thread && thread < THREADS)
				continue; /* there is no worker yet */
			results_row(results, &(struct results_row){.name = name,
						     .at = measure_texts[i].name,
						     .unit = measure_texts[i].unit,
						     .samples = figures[state][thread][i],
						     .rounds = (unsigned)rounds});
		}
}

static void show_memory(struct results *results)
{
	static const struct results_table shown = {
		"a queue and its lanes, which have all been pushed to", "lanes", NULL};

	results_table(results, &shown);
	for (unsigned i = 0; i < lanes.count; i++) {
		char at[24];
		struct results_row row = {.at = at, .unit = "bytes", .rounds = (unsigned)rounds};

		snprintf(at, sizeof at, "%" PRIu64, lanes.values[i]);
		row.name = "resident";
		row.samples = resident_bytes[i];
		results_row(results, &row);
		row.name = "mapped";
		row.samples = mapped_bytes[i];
		results_row(results, &row);
	}
}

static void describe(struct results *results)
{
	struct defer_drop_config config = library_config(defer_drop_queue_default());

	results_note(results,
		"nothing is pinned; idle for %" PRIu64 " s; one sleep of the main thread, and its "
		"CPU time, are the measurement itself",
		seconds);
	results_note(results,
		"memory: what a queue adds, without a worker; lanes hold %" PRIu32
		" drops; the shared lane is there too and is not counted",
		config.queue_size);
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures what a process pays that does not drop, and the memory of lanes.", count,
		arguments);
	struct results results;
	unsigned states = STATES;

	results_begin(&results, &options);
	for (unsigned round = 0; round < rounds; round++)
		measure_silence(UNUSED, round);
	if (!does_sleep()) {
		results_skip(&results, "the worker's sleep", "quiet_spell_ns is never");
		states = UNUSED + 1;
	}
	for (unsigned round = 0; round < rounds && states == STATES; round++)
		measure_use(round);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < lanes.count; i++)
			measure_memory(i, round);
	describe(&results);
	for (enum state state = 0; state < states; state++)
		show_state(&results, state);
	show_memory(&results);
	return results_end(&results);
}
