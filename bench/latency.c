/* SPDX-License-Identifier: MIT
 *
 * Measures how late a push that was due at a set time is done, in percentiles. The loop is open: a
 * late push makes the next ones late too, and each is counted from when it was due. The same loop
 * with an empty call shows what the timer and the machine add; the part of the timer is subtracted.
 */
#include "latency.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "histogram.h"
#include "library.h"
#include "options.h"
#include "peer.h"
#include "timer.h"

#define MAX_LOADS (2 * OPTIONS_LIST_MAX)

/* From one push of a burst to the next. */
#define BURST_GAP_NS 200
/*
 * From the end of a silence to the first push. The producer sleeps through the silence and spins
 * then.
 */
#define LEAD_NS 100000
/* A round has as many bursts after a short silence as fit into this time. */
#define SILENT_NS UINT64_C(200000000)
/* From this length on, silences are measured in fewer rounds. */
#define LONG_NS UINT64_C(1000000000)

static uint64_t rounds = 11;
static uint64_t pushes = 100000;
static struct options_list gaps_ns = {{200, 1000, 10000}, 3};
static struct options_list silences_ms = {{1, 10, 1000, 10000}, 4};
static uint64_t burst = 64;
static uint64_t strings = 5000000;

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .quick = 3,
		.what = "how often each way is measured, in turn"),
	OPTIONS_LIST(
		"gaps-ns", &gaps_ns, 50, 1000000, .what = "time from one paced push to the next"),
	OPTIONS_NUMBER("pushes", &pushes, 100, 10000000, .quick = 10000,
		.what = "paced pushes of one measurement"),
	OPTIONS_LIST("silence-ms", &silences_ms, 1, 60000, .quick = 1000,
		.what = "length of the silence before a burst of pushes"),
	OPTIONS_NUMBER("burst", &burst, 1, 4096, .what = "pushes of a burst"),
	OPTIONS_NUMBER("strings", &strings, 1, 50000000, .quick = 500000,
		.what = "strings handed over with one push"),
	{.name = NULL},
};

/* ---- Ways and loads -------------------------------------------------------------------------- */

/* The first is the empty call. */
static const struct peer *const ways[] = {
	&peer_in_place,
	&peer_drop,
	&peer_mutex_list,
#ifdef HAVE_URCU
	&peer_call_rcu,
	&peer_defer_rcu,
#endif
};
#define WAYS (sizeof ways / sizeof ways[0])
#define OURS 1

/* Bursts after silences. A paced load is one burst without a silence before it. */
struct load {
	uint64_t silence_ns;
	uint64_t gap_ns;
	uint64_t pushes; /* of a burst */
	uint64_t bursts;
	unsigned rounds;
};

static struct load loads[MAX_LOADS];
static unsigned loads_count;

static void add_loads(void)
{
	for (unsigned i = 0; i < gaps_ns.count; i++)
		loads[loads_count++] = (struct load){.gap_ns = gaps_ns.values[i],
			.pushes = pushes,
			.bursts = 1,
			.rounds = (unsigned)rounds};
	for (unsigned i = 0; i < silences_ms.count; i++) {
		uint64_t silence_ns = silences_ms.values[i] * 1000000;

		loads[loads_count++] = (struct load){.silence_ns = silence_ns,
			.gap_ns = BURST_GAP_NS,
			.pushes = burst,
			.bursts = silence_ns < SILENT_NS ? SILENT_NS / silence_ns : 1,
			.rounds = (unsigned)(silence_ns < LONG_NS ? rounds : (rounds + 3) / 4)};
	}
}

/* ---- One measurement ------------------------------------------------------------------------- */

static const struct {
	const char *name;
	double percent;
} percentiles[] = {
	{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}, {"max", 100},
	{"first", 50}, /* only of the first push of each burst */
};
#define PERCENTILES (sizeof percentiles / sizeof percentiles[0])
#define FIRST       (PERCENTILES - 1)

/* The figures of a way, one for each round. */
struct figures {
	double late_ns[PERCENTILES][MAX_ROUNDS];
	double wakes[MAX_ROUNDS]; /* calls by pushes to wake our worker, for each burst */
};

static struct figures figures[MAX_LOADS][WAYS];
static double timer_ns[MAX_LOADS][MAX_ROUNDS]; /* the median empty call, which is subtracted */

static struct histogram late;  /* of all pushes of a measurement */
static struct histogram first; /* of the first of each burst */

static void push_burst(const struct peer *peer, const struct load *load)
{
	uint64_t gap = timer_from_ns(load->gap_ns);
	uint64_t due = timer_now() + timer_from_ns(LEAD_NS);

	for (uint64_t i = 0; i < load->pushes; i++) {
		uint64_t late_ns;

		while (timer_now() < due)
			;
		peer->push(1);
		late_ns = (uint64_t)timer_to_ns(timer_now() - due);
		histogram_record(&late, late_ns);
		if (!i)
			histogram_record(&first, late_ns);
		due += gap;
	}
}

static void push_bursts(const struct peer *peer, const struct load *load)
{
	memset(&late, 0, sizeof late);
	memset(&first, 0, sizeof first);
	for (uint64_t i = 0; i < load->bursts; i++) {
		bench_sleep_ns(load->silence_ns);
		push_burst(peer, load);
	}
}

/* Passed to the producer, which sets wakes. */
struct measurement {
	const struct peer *peer;
	const struct load *load;
	uint64_t wakes; /* by pushes */
};

static void *produce(void *argument)
{
	struct measurement *measurement = argument;
	const struct peer *peer = measurement->peer;
	const struct load *load = measurement->load;
	uint64_t warm_up = load->pushes / 10 + 1; /* lanes are found, pages mapped, workers awake */
	uint64_t wakes_before;

	bench_pin_producer(0);
	if (peer->join)
		peer->join(0, warm_up + load->bursts * load->pushes);
	peer->push(warm_up);
	peer_flush(peer);
	wakes_before = latency_stats().wakes_total;
	push_bursts(peer, load);
	measurement->wakes = latency_stats().wakes_total - wakes_before;
	peer_flush(peer);
	if (peer->leave)
		peer->leave();
	return NULL;
}

/* Pushes from a new thread: liburcu's defer_rcu cannot register a thread a second time. */
static uint64_t run(const struct peer *peer, const struct load *load)
{
	struct measurement measurement = {.peer = peer, .load = load};
	pthread_t producer;

	if (peer->begin)
		peer->begin();
	if (pthread_create(&producer, NULL, produce, &measurement))
		abort();
	pthread_join(producer, NULL);
	if (peer->end)
		peer->end();
	return measurement.wakes;
}

static double less(uint64_t ns, double overhead_ns)
{
	return (double)ns < overhead_ns ? 0 : (double)ns - overhead_ns;
}

static void measure(unsigned nth, unsigned way, unsigned round)
{
	const struct load *load = &loads[nth];
	struct figures *to = &figures[nth][way];

	to->wakes[round] = (double)run(ways[way], load) / (double)load->bursts;
	if (!way)
		timer_ns[nth][round] = (double)histogram_percentile(&late, 50);
	for (unsigned i = 0; i < PERCENTILES; i++) {
		const struct histogram *from = i == FIRST ? &first : &late;
		uint64_t ns = histogram_percentile(from, percentiles[i].percent);

		to->late_ns[i][round] = less(ns, timer_ns[nth][round]);
	}
}

static void measure_all(void)
{
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < loads_count; i++)
			for (unsigned way = 0; way < WAYS && round < loads[i].rounds; way++)
				measure(i, way, round);
}

/* ---- The worker ------------------------------------------------------------------------------ */

struct defer_drop_stats latency_stats(void)
{
	return library_stats(defer_drop_queue_default());
}

uint64_t latency_quiet_spell_ns(void)
{
	return library_config(defer_drop_queue_default()).quiet_spell_ns;
}

/* ---- Results --------------------------------------------------------------------------------- */

static void write_title(char *title, size_t room, const struct load *load)
{
	if (!load->silence_ns)
		snprintf(title, room, "one push every %g us", (double)load->gap_ns / 1000);
	else
		snprintf(title, room,
			"%" PRIu64
			" pushes, one every %g us, after %g ms of silence (our worker %s)",
			load->pushes, (double)load->gap_ns / 1000, (double)load->silence_ns / 1e6,
			load->silence_ns < latency_quiet_spell_ns() ? "naps" : "sleeps");
}

/* Shows a percentile of each way, with the ratio of ours to it. */
static void show_percentile(struct results *results, unsigned nth, unsigned percentile)
{
	const double *ours = figures[nth][OURS].late_ns[percentile];

	for (unsigned way = 0; way < WAYS; way++) {
		const double *theirs = figures[nth][way].late_ns[percentile];

		results_row(
			results, &(struct results_row){.name = way ? ways[way]->name : "empty call",
					 .at = percentiles[percentile].name,
					 .unit = "ns",
					 .samples = theirs,
					 .rounds = loads[nth].rounds,
					 .ratio_of = way ? ours : NULL,
					 .ratio_to = theirs});
	}
}

static void show(struct results *results, unsigned nth)
{
	char title[128];
	struct results_table shown = {title, "percentile", "ours/theirs"};
	bool is_silent = loads[nth].silence_ns;

	write_title(title, sizeof title, &loads[nth]);
	results_table(results, &shown);
	results_row(results, &(struct results_row){.name = "timer (subtracted)",
				     .at = "p50",
				     .unit = "ns",
				     .samples = timer_ns[nth],
				     .rounds = loads[nth].rounds});
	for (unsigned i = 0; i < PERCENTILES - !is_silent; i++)
		show_percentile(results, nth, i);
	if (is_silent)
		results_row(results, &(struct results_row){.name = ways[OURS]->name,
					     .at = "wakes",
					     .unit = "calls",
					     .samples = figures[nth][OURS].wakes,
					     .rounds = loads[nth].rounds});
}

static void describe(struct results *results)
{
#ifdef HAVE_URCU
	results_version(results, "liburcu", HAVE_URCU);
#else
	results_skip(results, "liburcu defer_rcu and call_rcu",
		"liburcu-dev was missing when this was built");
#endif
	if (latency_quiet_spell_ns() > LONGEST_QUIET_NS)
		results_skip(results, "strings dropped while the worker sleeps",
			"quiet_spell_ns is above 1000000000");
	results_note(results, "%s", bench_pinning());
	results_note(results,
		"timer: %s; each push is counted from when it was due, late or not; the median "
		"empty "
		"call of the same round is subtracted",
		timer_name());
	results_note(results,
		"first: the first push of each burst, its median; wakes: calls by pushes to wake "
		"our worker, for each burst; the worker sleeps after %" PRIu64
		" ms without drops, and naps before",
		latency_quiet_spell_ns() / 1000000);
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures how late a push that was due at a set time is done, against other ways\n"
		"to hand destruction over.",
		count, arguments);
	struct results results;

	add_loads();
	bench_pin_consumer(); /* for all consumers that are started from here */
	results_begin(&results, &options);
	timer_begin();
	describe(&results);
	measure_all();
	for (unsigned i = 0; i < loads_count; i++)
		show(&results, i);
	bench_pin_producer(0);
	latency_measure_vector(&results, strings, (unsigned)rounds);
	return results_end(&results);
}
