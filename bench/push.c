/* SPDX-License-Identifier: MIT
 *
 * Measures what a push costs its caller, against other ways to hand destruction over. All ways are
 * measured in one run, in turn, with an empty destructor: by one producer and by many, as fast as
 * they can, and paced so that no push waits for room.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "histogram.h"
#include "library.h"
#include "options.h"
#include "peer.h"
#include "results.h"

#define MAX_ROUNDS 101
/* Paced pushes come in bursts of this many, so that reading the clock costs little beside them. */
#define BURST 16

static uint64_t rounds = 11;
static uint64_t drops = 1000000;
static struct options_list producers = {{1, 2, 4, 16}, 4};
static uint64_t pace_ns = 1000;
static uint64_t paced_ms = 20;
static uint64_t producer_cpus = 1024;
static const char *only;

static const char *peer_name(unsigned nth)
{
	return peers[nth] ? peers[nth]->name : NULL;
}

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .quick = 3,
		.what = "how often each way is measured, in turn"),
	OPTIONS_NUMBER("drops", &drops, 1000, 10000000, .quick = 100000,
		.what = "saturating pushes of one measurement, by all producers"),
	OPTIONS_LIST("producers", &producers, 1, PEER_PRODUCERS, .what = "number of producers"),
	OPTIONS_NUMBER("pace-ns", &pace_ns, 100, 1000000,
		.what = "time from one paced push of a producer to its next"),
	OPTIONS_NUMBER("paced-ms", &paced_ms, 1, 100, .quick = 2,
		.what = "length of one paced measurement"),
	OPTIONS_NUMBER("producer-cpus", &producer_cpus, 1, 1024,
		.what = "most CPUs that producers share; with two CPUs, 1 leaves one to the "
			"worker"),
	{.name = "only",
		.what = "measure this way alone, not all",
		.text = &only,
		.choice = peer_name},
	{.name = NULL},
};

/* ---- One measurement ------------------------------------------------------------------------- */

struct producer {
	struct measurement *measurement;
	unsigned nth;
	pthread_t thread;
	uint64_t begin_ns, end_ns; /* saturating */
	struct histogram bursts;   /* paced */
};

struct measurement {
	const struct peer *peer;
	unsigned producers;
	uint64_t pushes; /* of each producer */
	bool is_paced;
	pthread_barrier_t barrier;
	uint64_t flushed_ns; /* last */
	struct producer each[PEER_PRODUCERS];
};

/* The figures of a way, one for each round. */
struct figures {
	double push_ns[MAX_ROUNDS];  /* CPU time per push, until the last push returned */
	double total_ns[MAX_ROUNDS]; /* per drop, until all were destroyed */
	double paced_ns[MAX_ROUNDS]; /* per push, of the median burst */
};

static struct measurement measurement;
static struct figures figures[OPTIONS_LIST_MAX][PEERS_MOST];

/* External, so that it keeps its name and its body: bench/instructions counts inside it. */
void push_saturating(struct producer *producer);

__attribute__((noinline)) void push_saturating(struct producer *producer)
{
	producer->begin_ns = bench_now_ns();
	producer->measurement->peer->push(producer->measurement->pushes);
	producer->end_ns = bench_now_ns();
}

static void push_paced(struct producer *producer)
{
	uint64_t begin_ns;
	uint64_t due_ns = 0;

	memset(&producer->bursts, 0, sizeof producer->bursts);
	for (uint64_t i = 0; i < producer->measurement->pushes; i += BURST) {
		do
			begin_ns = bench_now_ns();
		while (begin_ns < due_ns);
		producer->measurement->peer->push(BURST);
		histogram_record(&producer->bursts, bench_now_ns() - begin_ns);
		/* A producer that was held up does not catch up, which would break the pace. */
		due_ns = begin_ns + BURST * pace_ns;
	}
}

/* Waits for all producers. The first one flushes; then all go on. */
static void meet_and_flush(const struct producer *producer)
{
	struct measurement *m = producer->measurement;

	pthread_barrier_wait(&m->barrier);
	if (!producer->nth) {
		peer_flush(m->peer);
		m->flushed_ns = bench_now_ns();
	}
	pthread_barrier_wait(&m->barrier);
}

static void *produce(void *argument)
{
	struct producer *producer = argument;
	struct measurement *m = producer->measurement;
	uint64_t warm_up = m->pushes / 10 + 1; /* lanes are found, pages mapped, workers awake */

	bench_pin_producer(producer->nth);
	if (m->peer->join)
		m->peer->join(producer->nth, m->pushes + BURST + warm_up);
	m->peer->push(warm_up);
	meet_and_flush(producer);
	if (m->is_paced)
		push_paced(producer);
	else
		push_saturating(producer);
	meet_and_flush(producer);
	if (m->peer->leave)
		m->peer->leave();
	return NULL;
}

static void run(const struct peer *peer, unsigned count, uint64_t pushes, bool is_paced)
{
	measurement.peer = peer;
	measurement.producers = count;
	measurement.pushes = pushes;
	measurement.is_paced = is_paced;
	pthread_barrier_init(&measurement.barrier, NULL, count);
	if (peer->begin)
		peer->begin();
	for (unsigned i = 0; i < count; i++) {
		struct producer *producer = &measurement.each[i];

		producer->measurement = &measurement;
		producer->nth = i;
		if (pthread_create(&producer->thread, NULL, produce, producer))
			abort();
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(measurement.each[i].thread, NULL);
	if (peer->end)
		peer->end();
	pthread_barrier_destroy(&measurement.barrier);
}

/* ---- Figures --------------------------------------------------------------------------------- */

/* Returns the number of CPUs on which producers work at the same time. */
static unsigned busy_cpus(unsigned count)
{
	return count < bench_producer_cpus() ? count : bench_producer_cpus();
}

static void measure_saturating(
	const struct peer *peer, unsigned count, struct figures *to, unsigned round)
{
	uint64_t begin_ns = UINT64_MAX;
	uint64_t end_ns = 0;
	uint64_t each = drops / count;
	double pushes = (double)(each * count);

	run(peer, count, each, false);
	for (unsigned i = 0; i < count; i++) {
		const struct producer *producer = &measurement.each[i];

		begin_ns = producer->begin_ns < begin_ns ? producer->begin_ns : begin_ns;
		end_ns = producer->end_ns > end_ns ? producer->end_ns : end_ns;
	}
	to->push_ns[round] = (double)(end_ns - begin_ns) * busy_cpus(count) / pushes;
	to->total_ns[round] = (double)(measurement.flushed_ns - begin_ns) / pushes;
}

static void measure_paced(
	const struct peer *peer, unsigned count, struct figures *to, unsigned round)
{
	struct histogram *all = &measurement.each[0].bursts;

	run(peer, count, paced_ms * 1000000 / pace_ns, true);
	for (unsigned i = 1; i < count; i++)
		histogram_merge(all, &measurement.each[i].bursts);
	to->paced_ns[round] = (double)histogram_percentile(all, 50) / BURST;
}

static bool is_measured(const struct peer *peer, unsigned count)
{
	if (only && strcmp(only, peer->name))
		return false;
	if (peer->most_producers && count > peer->most_producers)
		return false;
	return !peer->is_spinning || count <= bench_cpus();
}

static void measure_all(unsigned round)
{
	for (unsigned n = 0; n < producers.count; n++)
		for (unsigned i = 0; peers[i]; i++) {
			unsigned count = (unsigned)producers.values[n];

			if (!is_measured(peers[i], count))
				continue;
			measure_saturating(peers[i], count, &figures[n][i], round);
			measure_paced(peers[i], count, &figures[n][i], round);
		}
}

/* ---- Results --------------------------------------------------------------------------------- */

enum measure { PUSH, TOTAL, PACED };

static const double *series(unsigned n, unsigned peer, enum measure measure)
{
	const struct figures *from = &figures[n][peer];

	switch (measure) {
	case PUSH:
		return from->push_ns;
	case TOTAL:
		return from->total_ns;
	default:
		return from->paced_ns;
	}
}

static struct results_row begin_row(char at[static 4], unsigned n, const char *name)
{
	snprintf(at, 4, "%u", (unsigned)producers.values[n] % 1000);
	return (struct results_row){
		.name = name, .at = at, .unit = "ns", .rounds = (unsigned)rounds};
}

/* Shows every way, with the ratio of ours to it. Ours comes first. */
static void show(struct results *results, enum measure measure, const char *title)
{
	const struct results_table shown = {title, "producers", "ours/theirs"};
	char at[4];

	results_table(results, &shown);
	for (unsigned n = 0; n < producers.count; n++)
		for (unsigned i = 0; peers[i]; i++) {
			struct results_row row = begin_row(at, n, peers[i]->name);

			if (!is_measured(peers[i], (unsigned)producers.values[n]))
				continue;
			row.samples = row.ratio_to = series(n, i, measure);
			if (!only)
				row.ratio_of = series(n, 0, measure);
			results_row(results, &row);
		}
}

static unsigned index_of(const struct peer *peer)
{
	unsigned i = 0;

	while (peers[i] != peer)
		i++;
	return i;
}

/* Shows what more producers with lanes of their own cost each other. */
static void show_growth(struct results *results)
{
	const struct results_table shown = {
		"owned lanes, against the first number of producers", "producers", "many/first"};
	char at[4];

	results_table(results, &shown);
	for (unsigned n = 0; n < producers.count; n++) {
		struct results_row row = begin_row(at, n, peers[0]->name);

		row.samples = row.ratio_of = series(n, 0, TOTAL);
		row.ratio_to = series(0, 0, TOTAL);
		results_row(results, &row);
	}
}

static void show_contention(struct results *results)
{
	const struct results_table shown = {
		"shared lane, against locked adds by as many", "producers", "lane/add"};
	unsigned shared = index_of(&peer_drop_shared);
	unsigned add = index_of(&peer_locked_add);
	char at[4];

	results_table(results, &shown);
	for (unsigned n = 0; n < producers.count; n++) {
		struct results_row row = begin_row(at, n, peers[shared]->name);

		row.samples = row.ratio_of = series(n, shared, PUSH);
		row.ratio_to = series(n, add, PUSH);
		results_row(results, &row);
	}
}

static void describe(struct results *results)
{
	struct defer_drop_config config = library_config(defer_drop_queue_default());

	peers_describe(results);
	results_note(results, "%s", bench_pinning());
	for (unsigned i = 0; peers[i]; i++)
		if (peers[i]->is_spinning)
			results_note(results,
				"%s: only up to as many producers as CPUs, since they spin for "
				"each other",
				peers[i]->name);
	results_note(results,
		"queue_size %" PRIu32 ", max_lanes %" PRIu32 "; saturating: %" PRIu64
		" drops; paced: %" PRIu64 " ms of %d pushes every %" PRIu64 " ns by each producer",
		config.queue_size, config.max_lanes, drops, paced_ms, BURST, BURST * pace_ns);
	results_note(results,
		"saturating push: the time until the last one returned, times the CPUs that "
		"producers were at work on, by pushes; saturating total: the time until all were "
		"destroyed, by drops; paced push: the median burst");
	results_note(results,
		"owned lanes: the total, per drop; shared lane: the saturating push; ratios are "
		"taken of each round");
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures what a push costs its caller, against other ways to hand destruction "
		"over.",
		count, arguments);
	struct results results;

	bench_limit_producer_cpus((unsigned)producer_cpus);
	bench_pin_consumer(); /* for all consumers that are started from here */
	results_begin(&results, &options);
	describe(&results);
	for (unsigned round = 0; round < rounds; round++)
		measure_all(round);
	show(&results, PUSH, "saturating push");
	show(&results, TOTAL, "saturating total");
	show(&results, PACED, "paced push");
	if (!only) {
		show_growth(&results);
		show_contention(&results);
	}
	return results_end(&results);
}
