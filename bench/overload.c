/* SPDX-License-Identifier: MIT
 *
 * Measures producers that are faster than the destructors: the throughput, the share of each
 * producer, the time spent waiting, how many pushes are refused, and the growth of memory. A
 * producer that is refused destroys in place.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "library.h"
#include "options.h"
#include "process.h"
#include "results.h"

#define MAX_ROUNDS    101
#define MAX_PRODUCERS 64
#define OBJECT_BYTES  64
/* The number of looks at memory in a period. The first quarter of the period fills the rings. */
#define LOOKS 20

static uint64_t rounds = 5;
static uint64_t period_ms = 200;
static struct options_list producers = {{2, 4, 16}, 3};
static uint64_t destroy_ns = 1000;
static uint64_t timeout_ns = 100000;

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .quick = 2,
		.what = "how often everything is measured, in turn"),
	OPTIONS_NUMBER("period-ms", &period_ms, 20, 60000, .quick = 100,
		.what = "length of one measurement"),
	OPTIONS_LIST("producers", &producers, 2, MAX_PRODUCERS, .what = "number of producers"),
	OPTIONS_NUMBER(
		"destroy-ns", &destroy_ns, 100, 1000000, .what = "time that a destructor takes"),
	OPTIONS_NUMBER("timeout-ns", &timeout_ns, 0, 1000000000,
		.what = "time that the timed pushes wait for room"),
	{.name = NULL},
};

enum way { FOREVER, TRY, TIMED, WAYS };
enum lanes { OWNED, ONE_SHARES, SHARED, LANES };

static const char *const way_names[WAYS] = {"push", "try", "timed"};
static const char *const lanes_names[LANES] = {"lanes owned", "one shares", "all share"};

/* ---- Figures --------------------------------------------------------------------------------- */

enum figure { THROUGHPUT, FAIRNESS, WAITED, REFUSED, GROWTH, FIGURES };

static const struct {
	const char *title;
	const char *unit;
} figure_texts[FIGURES] = {
	[THROUGHPUT] = {"destroyed in a second, by the worker and by producers that were refused",
		"drops"},
	[FAIRNESS] = {"pushed by the producer that pushed least, to the one that pushed most", "%"},
	[WAITED] = {"of the producers' time, spent waiting for room", "%"},
	[REFUSED] = {"of all pushes, refused", "%"},
	[GROWTH] = {"growth of resident memory once rings are full", "KiB"},
};

static double figures[FIGURES][OPTIONS_LIST_MAX][WAYS][LANES][MAX_ROUNDS];

/* ---- Producers ------------------------------------------------------------------------------- */

struct producer {
	unsigned nth;
	pthread_t thread;
	uint64_t pushed;
	uint64_t refused;
};

static struct {
	enum way way;
	unsigned producers;
	struct defer_drop_queue *queue;
	pthread_barrier_t barrier; /* of all producers and the main thread */
	_Atomic(bool) is_over;
	struct producer each[MAX_PRODUCERS];
} measurement;

static void destroy(void *object)
{
	uint64_t begin_ns = bench_now_ns();

	while (bench_now_ns() - begin_ns < destroy_ns)
		;
	free(object);
}

static int push(void *object)
{
	switch (measurement.way) {
	case TRY:
		return defer_drop_queue_push(measurement.queue, object, destroy, 0);
	case TIMED:
		return defer_drop_queue_push(measurement.queue, object, destroy, timeout_ns);
	default:
		return defer_drop_queue_push(
			measurement.queue, object, destroy, DEFER_DROP_FOREVER);
	}
}

static void push_until_over(struct producer *producer)
{
	uint64_t pushed = 0;
	uint64_t refused = 0;

	while (!atomic_load_explicit(&measurement.is_over, memory_order_relaxed)) {
		void *object = malloc(OBJECT_BYTES);
		int result = push(object);

		if (!result) {
			pushed++;
		} else if (result == -EAGAIN || result == -ETIMEDOUT) {
			refused++;
			destroy(object);
		} else {
			abort();
		}
	}
	producer->pushed = pushed;
	producer->refused = refused;
}

/* The first producer asks for a lane last, so it is the one that shares if one has to. */
static void *produce(void *argument)
{
	struct producer *producer = argument;

	bench_pin_producer(producer->nth);
	if (producer->nth)
		bench_check(defer_drop_queue_push(
			measurement.queue, NULL, destroy, DEFER_DROP_FOREVER));
	pthread_barrier_wait(&measurement.barrier);
	if (!producer->nth)
		bench_check(defer_drop_queue_push(
			measurement.queue, NULL, destroy, DEFER_DROP_FOREVER));
	pthread_barrier_wait(&measurement.barrier);
	push_until_over(producer);
	return NULL;
}

/* ---- One measurement ------------------------------------------------------------------------- */

static uint32_t max_lanes(enum lanes lanes)
{
	switch (lanes) {
	case OWNED:
		return measurement.producers;
	case ONE_SHARES:
		return measurement.producers - 1;
	default:
		return 0;
	}
}

static void begin(enum way way, enum lanes lanes, unsigned count)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	measurement.way = way;
	measurement.producers = count;
	atomic_store(&measurement.is_over, false);
	config.max_lanes = max_lanes(lanes);
	bench_check(defer_drop_queue_create(&measurement.queue, &config));
	bench_check(pthread_barrier_init(&measurement.barrier, NULL, count + 1));
	for (unsigned i = 0; i < count; i++) {
		struct producer *producer = &measurement.each[i];

		producer->nth = i;
		bench_check(pthread_create(&producer->thread, NULL, produce, producer));
	}
	pthread_barrier_wait(&measurement.barrier);
	pthread_barrier_wait(&measurement.barrier);
}

/* Lets the period pass. Returns the growth of memory. */
static uint64_t watch_memory(void)
{
	uint64_t look_ns = period_ms * 1000000 / LOOKS;
	uint64_t least = 0;
	uint64_t most = 0;

	for (unsigned i = 1; i <= LOOKS; i++) {
		uint64_t bytes;

		bench_sleep_ns(look_ns);
		bytes = process_resident_bytes();
		if (i == LOOKS / 4)
			least = bytes;
		if (bytes > most)
			most = bytes;
	}
	return most - least;
}

static void end(void)
{
	atomic_store(&measurement.is_over, true);
	for (unsigned i = 0; i < measurement.producers; i++)
		bench_check(pthread_join(measurement.each[i].thread, NULL));
	pthread_barrier_destroy(&measurement.barrier);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole * 100 : 0;
}

/* Sums over all producers. */
struct sums {
	uint64_t pushed, least_pushed, most_pushed;
	uint64_t refused;
};

static struct sums sum_up(void)
{
	struct sums sums = {.least_pushed = UINT64_MAX};

	for (unsigned i = 0; i < measurement.producers; i++) {
		const struct producer *producer = &measurement.each[i];

		sums.pushed += producer->pushed;
		sums.refused += producer->refused;
		if (producer->pushed < sums.least_pushed)
			sums.least_pushed = producer->pushed;
		if (producer->pushed > sums.most_pushed)
			sums.most_pushed = producer->pushed;
	}
	return sums;
}

static void measure(double found[FIGURES], enum way way, enum lanes lanes, unsigned count)
{
	uint64_t begin_ns, destroyed, period_ns, producing_ns;
	struct sums sums;

	begin(way, lanes, count);
	begin_ns = bench_now_ns();
	destroyed = library_stats(measurement.queue).destroyed_total;
	found[GROWTH] = (double)watch_memory() / 1024;
	destroyed = library_stats(measurement.queue).destroyed_total - destroyed;
	period_ns = bench_now_ns() - begin_ns;
	end();
	producing_ns = bench_now_ns() - begin_ns; /* the last waits have ended */
	sums = sum_up();
	found[THROUGHPUT] = (double)(destroyed + sums.refused) * 1e9 / (double)period_ns;
	found[FAIRNESS] = percent(sums.least_pushed, sums.most_pushed);
	found[WAITED] =
		percent(library_stats(measurement.queue).wait_ns_total, producing_ns * count);
	found[REFUSED] = percent(sums.refused, sums.pushed + sums.refused);
	library_end(measurement.queue);
}

static void measure_all(unsigned nth, unsigned round)
{
	double found[FIGURES];

	for (enum way way = 0; way < WAYS; way++)
		for (enum lanes lanes = 0; lanes < LANES; lanes++) {
			measure(found, way, lanes, (unsigned)producers.values[nth]);
			for (enum figure figure = 0; figure < FIGURES; figure++)
				figures[figure][nth][way][lanes][round] = found[figure];
		}
}

/* ---- Results --------------------------------------------------------------------------------- */

static void show_row(
	struct results *results, enum figure figure, unsigned nth, enum way way, enum lanes lanes)
{
	char name[32];
	char at[24];

	snprintf(name, sizeof name, "%s, %s", way_names[way], lanes_names[lanes]);
	snprintf(at, sizeof at, "%" PRIu64, producers.values[nth]);
	results_row(results, &(struct results_row){.name = name,
				     .at = at,
				     .unit = figure_texts[figure].unit,
				     .samples = figures[figure][nth][way][lanes],
				     .rounds = (unsigned)rounds});
}

static void show(struct results *results, enum figure figure)
{
	struct results_table shown = {figure_texts[figure].title, "producers", NULL};

	results_table(results, &shown);
	for (unsigned i = 0; i < producers.count; i++)
		for (enum way way = 0; way < WAYS; way++)
			for (enum lanes lanes = 0; lanes < LANES; lanes++)
				show_row(results, figure, i, way, lanes);
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures producers that are faster than the destructors.", count, arguments);
	struct results results;

	bench_pin_consumer(); /* for all workers, which are started from here */
	results_begin(&results, &options);
	results_note(&results, "%s", bench_pinning());
	results_note(&results,
		"each destructor takes %" PRIu64 " ns; timed pushes wait for at most %" PRIu64
		" ns; a producer that is refused destroys in place",
		destroy_ns, timeout_ns);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < producers.count; i++)
			measure_all(i, round);
	for (enum figure figure = 0; figure < FIGURES; figure++)
		show(&results, figure);
	return results_end(&results);
}
