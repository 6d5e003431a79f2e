/* SPDX-License-Identifier: MIT
 *
 * Measures what a worker costs by the rate of pushes, against a thread that sleeps on a condition
 * variable: how often it wakes up, its CPU time, the time from a push to its destructor, and the
 * time of a push.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench.h"
#include "histogram.h"
#include "library.h"
#include "options.h"
#include "process.h"
#include "results.h"

#define MAX_ROUNDS 31
#define SLOTS      65536 /* of the peer's list: more than it ever holds */
/* The main thread, the worker and the peer. */
#define THREADS 3
/* The main thread spins until a push is due sooner than that, since a sleep takes longer. */
#define SPIN_NS UINT64_C(200000)

static uint64_t rounds = 3;
static uint64_t seconds = 5;
static struct options_list rates = {{10, 50, 100, 1000, 10000, 20000}, 6};

static const struct options_entry table[] = {
	OPTIONS_NUMBER(
		"rounds", &rounds, 1, MAX_ROUNDS, .what = "how often everything is measured"),
	OPTIONS_NUMBER(
		"seconds", &seconds, 1, 3600, .quick = 2, .what = "length of one measurement"),
	OPTIONS_LIST("rates", &rates, 1, 100000, .what = "pushes per second"),
	{.name = NULL},
};

enum way { OURS, CONDITION, WAYS };

/* The names of the threads, too. */
static const char *const names[WAYS] = {"defer_drop", "condition"};

/* Written by the consumer that is measured, read when it has destroyed everything. */
static struct histogram delays;
static atomic_uint_fast64_t destroyed;

/* The object is the time of its push. */
static void destroy(void *object)
{
	histogram_record(&delays, bench_now_ns() - (uint64_t)(uintptr_t)object);
	atomic_fetch_add(&destroyed, 1);
}

/* ---- The peer -------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_come = PTHREAD_COND_INITIALIZER;
static void *objects[SLOTS];
static uint64_t pushed, taken;
static bool is_over;

static void *consume(void *unused)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		void *object;

		while (taken == pushed && !is_over)
			pthread_cond_wait(&has_come, &lock);
		if (taken == pushed)
			break;
		object = objects[taken++ % SLOTS];
		pthread_mutex_unlock(&lock);
		destroy(object);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return unused;
}

static void push_to_peer(void *object)
{
	pthread_mutex_lock(&lock);
	objects[pushed++ % SLOTS] = object;
	pthread_cond_signal(&has_come);
	pthread_mutex_unlock(&lock);
}

static void end_peer(pthread_t thread)
{
	pthread_mutex_lock(&lock);
	is_over = true;
	pthread_cond_signal(&has_come);
	pthread_mutex_unlock(&lock);
	bench_check(pthread_join(thread, NULL));
}

/* ---- Measuring ------------------------------------------------------------------------------- */

enum measure { WAKES, CPU, DELAY_HALF, DELAY_MOST, PUSH_HALF, PUSH_TAIL, MEASURES };

static const struct {
	const char *title;
	const char *unit;
} measures[MEASURES] = {
	[WAKES] = {"wake-ups of the consumer", "/s"},
	[CPU] = {"CPU time of the consumer", "us/s"},
	[DELAY_HALF] = {"from push to destructor, p50", "us"},
	[DELAY_MOST] = {"from push to destructor, p99.9", "us"},
	[PUSH_HALF] = {"a push, p50", "ns"},
	[PUSH_TAIL] = {"a push, p99", "ns"},
};

static double figures[MEASURES][OPTIONS_LIST_MAX][WAYS][MAX_ROUNDS];
static struct histogram pushes;

static struct process_thread consumer(enum way way)
{
	struct process_thread threads[THREADS];
	unsigned count = process_threads(threads, THREADS);

	for (unsigned i = 0; i < count && i < THREADS; i++)
		if (i && !strcmp(threads[i].name, names[way]))
			return threads[i];
	options_refuse("rate: there is no thread %s", names[way]);
}

static void await(uint64_t due_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(due_ns / 1000000000),
		.tv_nsec = (long)(due_ns % 1000000000),
	};

	if (due_ns > bench_now_ns() + SPIN_NS)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	while (bench_now_ns() < due_ns)
		;
}

static void push_one(enum way way)
{
	uint64_t begin_ns = bench_now_ns();
	void *object = (void *)(uintptr_t)begin_ns;

	if (way == OURS)
		bench_check(defer_drop(object, destroy));
	else
		push_to_peer(object);
	histogram_record(&pushes, bench_now_ns() - begin_ns);
}

/* Returns how long it took. */
static double push_at(enum way way, uint64_t rate)
{
	uint64_t begin_ns = bench_now_ns();
	uint64_t count = rate * seconds;

	atomic_store(&destroyed, 0);
	memset(&delays, 0, sizeof delays);
	memset(&pushes, 0, sizeof pushes);
	for (uint64_t i = 0; i < count; i++) {
		await(begin_ns + i * 1000000000 / rate);
		push_one(way);
	}
	await(begin_ns + seconds * 1000000000);
	return (double)(bench_now_ns() - begin_ns) / 1e9;
}

static void measure(enum way way, unsigned nth, unsigned round)
{
	struct process_thread before = consumer(way);
	double took = push_at(way, rates.values[nth]);
	struct process_thread after = consumer(way);
	uint64_t wakes = after.sleeps + after.preemptions - before.sleeps - before.preemptions;

	/* Not by a flush: it would end a nap. */
	while (atomic_load(&destroyed) < rates.values[nth] * seconds)
		bench_sleep_ns(1000000);
	figures[WAKES][nth][way][round] = (double)wakes / took;
	figures[CPU][nth][way][round] = (double)(after.cpu_ns - before.cpu_ns) / 1e3 / took;
	figures[DELAY_HALF][nth][way][round] = (double)histogram_percentile(&delays, 50) / 1e3;
	figures[DELAY_MOST][nth][way][round] = (double)histogram_percentile(&delays, 99.9) / 1e3;
	figures[PUSH_HALF][nth][way][round] = (double)histogram_percentile(&pushes, 50);
	figures[PUSH_TAIL][nth][way][round] = (double)histogram_percentile(&pushes, 99);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void show(struct results *results, enum measure kind)
{
	struct results_table shown = {measures[kind].title, "pushes per second", "ours/theirs"};

	results_table(results, &shown);
	for (unsigned i = 0; i < rates.count; i++)
		for (enum way way = 0; way < WAYS; way++) {
			char at[24];
			struct results_row row = {
				.name = names[way],
				.at = at,
				.unit = measures[kind].unit,
				.samples = figures[kind][i][way],
				.rounds = (unsigned)rounds,
			};

			snprintf(at, sizeof at, "%" PRIu64, rates.values[i]);
			row.ratio_of = way == OURS ? NULL : figures[kind][i][OURS];
			row.ratio_to = way == OURS ? NULL : figures[kind][i][way];
			results_row(results, &row);
		}
}

static void describe(struct results *results)
{
	struct defer_drop_config config = library_config(defer_drop_queue_default());

	results_note(results,
		"nothing is pinned; the worker has the default configuration: "
		"longest_delay_ns=%" PRIu64 ", quiet_spell_ns=%" PRIu64,
		config.longest_delay_ns, config.quiet_spell_ns);
	results_note(results, "10,000 us/s are 1 %% of a CPU");
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures what a worker costs by the rate of pushes, against a thread that sleeps "
		"on a "
		"condition variable.",
		count, arguments);
	struct results results;
	pthread_t peer;

	results_begin(&results, &options);
	bench_check(defer_drop_start(NULL));
	bench_check(pthread_create(&peer, NULL, consume, NULL));
	bench_check(pthread_setname_np(peer, names[CONDITION]));
	/* The consumers keep the slack that programs have. */
	bench_check(prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul));
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < rates.count; i++)
			for (enum way way = 0; way < WAYS; way++)
				measure(way, i, round);
	end_peer(peer);
	describe(&results);
	for (enum measure kind = 0; kind < MEASURES; kind++)
		show(&results, kind);
	return results_end(&results);
}
