/* SPDX-License-Identifier: MIT
 *
 * Measures how fast drops are destroyed while no thread pushes. The worker empties rings that were
 * filled while a destructor held it up; a caller drains with a budget for each call. The
 * destructors do next to nothing, so this is the cost of the consumer itself.
 */
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "library.h"
#include "options.h"
#include "results.h"

#define MAX_ROUNDS 101
#define MAX_LANES  64

static uint64_t rounds = 11;
static struct options_list lanes = {{1, 2, 4, 16, 64}, 5};
static struct options_list batches = {{64, 1024, 4096, 65536}, 4};
static struct options_list budget_drops = {{1, 16, 256, 4096}, 4};
static struct options_list budget_ns = {{1000, 10000, 100000}, 3};
static uint64_t drops = 262144;

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .quick = 3,
		.what = "how often everything is measured, in turn"),
	OPTIONS_LIST("lanes", &lanes, 1, MAX_LANES,
		.what = "lanes that are filled before the worker begins"),
	OPTIONS_LIST("batches", &batches, 16, 1048576, .what = "drops in each lane"),
	OPTIONS_LIST("budget-drops", &budget_drops, 1, 1048576,
		.what = "most drops that a caller destroys in a call"),
	/* with much less, no call would reach its first drop */
	OPTIONS_LIST("budget-ns", &budget_ns, 1000, 1000000000,
		.what = "time after which a caller begins no further drop"),
	OPTIONS_NUMBER("drops", &drops, 16, 100000000, .quick = 32768,
		.what = "least number of drops in one measurement"),
	{.name = NULL},
};

/*
 * Returns the size of the smallest ring that holds a batch, and the drop that holds the worker up.
 */
static uint32_t ring_size(uint64_t batch)
{
	uint32_t size = 2;

	while (size <= batch)
		size *= 2;
	return size;
}

/* ---- Destructors: they only tell when the last drop is reached ------------------------------- */

static sem_t is_held; /* posted by the destructor that holds the worker up */
static sem_t may_begin;
static sem_t is_done;
static uint64_t backlog; /* written by the thread that destroys, as the next two are */
static uint64_t begin_ns;
static uint64_t end_ns;

static void destroy(void *object)
{
	(void)object;
	if (--backlog)
		return;
	end_ns = bench_now_ns();
	sem_post(&is_done);
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		;
}

/* Holds the worker up until all lanes are filled. */
static void block(void *object)
{
	(void)object;
	sem_post(&is_held);
	wait_for(&may_begin);
	begin_ns = bench_now_ns();
}

/* ---- The worker ------------------------------------------------------------------------------ */

static struct defer_drop_queue *queue;
static pthread_barrier_t barrier; /* of the producers, one of which is the main thread */
static uint64_t batch;
static uint64_t repeats;

static void fill_lane(void)
{
	for (uint64_t i = 0; i < batch; i++)
		bench_check(defer_drop_queue_push(queue, NULL, destroy, DEFER_DROP_FOREVER));
}

/* Lives as long as the measurement: a thread that ends gives its lane to others. */
static void *fill(void *argument)
{
	bench_pin_producer(0);
	for (uint64_t i = 0; i < repeats; i++) {
		pthread_barrier_wait(&barrier); /* the worker is held up */
		fill_lane();
		pthread_barrier_wait(&barrier); /* all lanes are filled */
	}
	return argument;
}

static void begin(unsigned count, uint32_t runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = ring_size(batch);
	config.max_lanes = count;
	config.runner = runner;
	config.longest_delay_ns = 1000; /* it is held up soon, and warm */
	bench_pin_consumer();
	bench_check(defer_drop_queue_create(&queue, &config));
	bench_pin_producer(0);
}

static void end(void)
{
	library_end(queue);
}

/* Fills all lanes and lets the worker empty them. Returns the time of the worker in ns. */
static uint64_t fill_and_release(unsigned count)
{
	bench_check(defer_drop_queue_push(queue, NULL, block, DEFER_DROP_FOREVER));
	wait_for(&is_held);
	backlog = batch * count;
	pthread_barrier_wait(&barrier);
	fill_lane();
	pthread_barrier_wait(&barrier);
	sem_post(&may_begin);
	wait_for(&is_done);
	return end_ns - begin_ns;
}

/* Returns drops per second. */
static double measure_worker(unsigned count, uint64_t drops_in_lane)
{
	pthread_t others[MAX_LANES];
	uint64_t sum_ns = 0;

	batch = drops_in_lane;
	repeats = drops / (batch * count) + 1;
	begin(count, DEFER_DROP_RUNNER_WORKER);
	bench_check(pthread_barrier_init(&barrier, NULL, count));
	for (unsigned i = 1; i < count; i++)
		bench_check(pthread_create(&others[i], NULL, fill, NULL));
	for (uint64_t i = 0; i < repeats; i++)
		sum_ns += fill_and_release(count);
	for (unsigned i = 1; i < count; i++)
		bench_check(pthread_join(others[i], NULL));
	bench_check(pthread_barrier_destroy(&barrier));
	end();
	return (double)(repeats * batch * count) / (double)sum_ns * 1e9;
}

/* ---- A caller that drains -------------------------------------------------------------------- */

#define CALLER_BATCH 65536

struct calls {
	uint64_t sum_ns;
	uint64_t count;
};

static void drain_lane(uint64_t most_drops, uint64_t most_ns, struct calls *calls)
{
	backlog = batch;
	do {
		uint64_t call_ns = bench_now_ns();

		bench_check(defer_drop_queue_drain(queue, most_drops, most_ns, NULL));
		calls->sum_ns += bench_now_ns() - call_ns;
		calls->count++;
	} while (backlog);
	wait_for(&is_done);
}

static struct calls measure_caller(uint64_t most_drops, uint64_t most_ns)
{
	struct calls calls = {0};

	batch = CALLER_BATCH;
	repeats = drops / batch + 1;
	begin(1, DEFER_DROP_RUNNER_CALLER);
	for (uint64_t i = 0; i < repeats; i++) {
		fill_lane();
		drain_lane(most_drops, most_ns, &calls);
	}
	end();
	return calls;
}

/* ---- Figures --------------------------------------------------------------------------------- */

static double worker[OPTIONS_LIST_MAX][OPTIONS_LIST_MAX][MAX_ROUNDS]; /* batches, lanes */
static double by_drops[OPTIONS_LIST_MAX][MAX_ROUNDS];
static double by_time[OPTIONS_LIST_MAX][MAX_ROUNDS];
static double call_ns[OPTIONS_LIST_MAX][MAX_ROUNDS]; /* with a budget of time */

static double per_second(const struct calls *calls)
{
	return (double)(repeats * batch) / (double)calls->sum_ns * 1e9;
}

static void measure_all(unsigned round)
{
	struct calls calls;

	for (unsigned i = 0; i < batches.count; i++)
		for (unsigned j = 0; j < lanes.count; j++)
			worker[i][j][round] =
				measure_worker((unsigned)lanes.values[j], batches.values[i]);
	for (unsigned i = 0; i < budget_drops.count; i++) {
		calls = measure_caller(budget_drops.values[i], DEFER_DROP_FOREVER);
		by_drops[i][round] = per_second(&calls);
	}
	for (unsigned i = 0; i < budget_ns.count; i++) {
		calls = measure_caller(UINT64_MAX, budget_ns.values[i]);
		by_time[i][round] = per_second(&calls);
		call_ns[i][round] = (double)calls.sum_ns / (double)calls.count;
	}
}

/* ---- Results --------------------------------------------------------------------------------- */

static void show_row(struct results *results, const char *name, const char *at, const char *unit,
	const double *samples)
{
	results_row(results, &(struct results_row){.name = name,
				     .at = at,
				     .unit = unit,
				     .samples = samples,
				     .rounds = (unsigned)rounds});
}

static void show_worker(struct results *results)
{
	static const struct results_table shown = {
		"by the worker, from filled lanes", "lanes", NULL};

	results_table(results, &shown);
	for (unsigned i = 0; i < batches.count; i++)
		for (unsigned j = 0; j < lanes.count; j++) {
			char name[48];
			char at[24];

			snprintf(name, sizeof name, "%" PRIu64 " in each lane", batches.values[i]);
			snprintf(at, sizeof at, "%" PRIu64, lanes.values[j]);
			show_row(results, name, at, "drops/s", worker[i][j]);
		}
}

static void show_caller(struct results *results)
{
	static const struct results_table shown = {"by a caller, from one lane", "budget", NULL};
	char at[32];

	results_table(results, &shown);
	for (unsigned i = 0; i < budget_drops.count; i++) {
		snprintf(at, sizeof at, "%" PRIu64 " drops", budget_drops.values[i]);
		show_row(results, "caller", at, "drops/s", by_drops[i]);
	}
	for (unsigned i = 0; i < budget_ns.count; i++) {
		snprintf(at, sizeof at, "%" PRIu64 " ns", budget_ns.values[i]);
		show_row(results, "caller", at, "drops/s", by_time[i]);
		show_row(results, "caller, one call", at, "ns", call_ns[i]);
	}
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures how fast drops are destroyed while no thread pushes.", count, arguments);
	struct results results;

	bench_check(sem_init(&is_held, 0, 0));
	bench_check(sem_init(&may_begin, 0, 0));
	bench_check(sem_init(&is_done, 0, 0));
	results_begin(&results, &options);
	results_note(&results, "pinned: the worker to the second CPU, all others to the first");
	results_note(&results,
		"the worker's own time, from the end of a destructor that held it up to the last "
		"drop; the size of a ring is the next power of two above its drops");
	for (unsigned round = 0; round < rounds; round++)
		measure_all(round);
	show_worker(&results);
	show_caller(&results);
	return results_end(&results);
}
