/* SPDX-License-Identifier: MIT
 *
 * Measures one thread that makes objects and has them destroyed, with other work in between. A table
 * of objects is the program's working set: each new object takes the place of another one, which is
 * destroyed. Without a table each object is destroyed at once, and everything is in the cache.
 *
 * The ways take turns within each round. Each has a table of its own, because blocks of a pool and
 * of malloc cannot be mixed.
 *
 * The nodes of each few objects of a table lie in no order, as in a program that has been running
 * for a while. Otherwise the caches guess which node comes next, and the thread that destroys waits
 * for none.
 *
 * The dearest fiftieth of the objects is left out: on a machine that other programs use, the thread
 * lost its CPU during these.
 */
#include "pool.h"

#include <stdlib.h>

#include "bench.h"
#include "timer.h"

#define LEFT_OUT 50 /* one object of this many */

struct table {
	uint64_t count; /* 0: there is none */
	void **objects;
};

struct run {
	const struct pool_case *of;
	void *(*build)(void);
	defer_drop_fn destroy;
	bool is_dropped; /* or destroyed in place */
	struct table *table;
	uint64_t pause; /* ticks */
	uint64_t count; /* objects */
	double *ticks;  /* of each */
};

static uint64_t random_state = UINT64_C(88172645463325252);

/* Marsaglia's xorshift64. */
static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

static void *put_into_table(struct table *table, void *object)
{
	void **place;
	void *before;

	if (!table || !table->count)
		return object;
	place = &table->objects[next_random() % table->count];
	before = *place;
	*place = object;
	return before;
}

static void cycle(const struct run *run, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t begin = timer_now();
		void *before = put_into_table(run->table, run->build());
		uint64_t end;

		if (run->is_dropped)
			bench_check(defer_drop(before, run->destroy));
		else
			run->destroy(before);
		end = timer_now();
		run->ticks[i] = (double)(end - begin);
		while (timer_now() - end < run->pause)
			;
	}
}

static double mean_ticks(double *ticks, uint64_t count)
{
	uint64_t counted = count - count / LEFT_OUT;
	double sum = 0;

	bench_sort(ticks, (unsigned)count);
	for (uint64_t i = 0; i < counted; i++)
		sum += ticks[i];
	return sum / (double)counted;
}

static double measure(const struct run *run)
{
	cycle(run, run->count);
	cycle(run, run->count);
	bench_check(defer_drop_flush());
	return timer_mean_ns((uint64_t)mean_ticks(run->ticks, run->count), 1) /
	       (double)run->of->nodes;
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static void shuffle(void **pointers, uint64_t count)
{
	for (uint64_t i = count; i > 1; i--) {
		uint64_t other = next_random() % i;
		void *pointer = pointers[i - 1];

		pointers[i - 1] = pointers[other];
		pointers[other] = pointer;
	}
}

static void make(struct table *table, const struct pool_case *of, uint64_t bytes)
{
	table->count = bytes / (of->node_bytes * of->nodes);
	table->objects = malloc(table->count * sizeof *table->objects + 1);
	if (!table->objects)
		abort();
}

static void fill(struct table *table, const struct pool_case *of, enum way way, uint64_t bytes,
	uint64_t mixed)
{
	make(table, of, bytes);
	subject_build_mixed_up(of, way, table->objects, table->count, mixed, shuffle);
	shuffle(table->objects, table->count);
}

static void empty(struct table *table, const struct pool_case *of, enum way way)
{
	for (uint64_t i = 0; i < table->count; i++)
		subject_destroy(of, way)(table->objects[i]);
	free(table->objects);
}

static void measure_ways(
	struct paced_figures *to, unsigned round, struct run run, struct table tables[WAYS])
{
	for (unsigned way = 0; way < WAYS; way++) {
		run.build = subject_build(run.of, way);
		run.destroy = subject_destroy(run.of, way);
		run.is_dropped = way != IN_PLACE;
		run.table = &tables[way];
		to->ns[way][round] = measure(&run);
	}
}

/* The floor of what is destroyed at once: there is no table. */
static void measure_around(struct paced_figures *to, unsigned round, struct run run)
{
	run.build = floor_around.build;
	run.destroy = floor_around.destroy;
	run.is_dropped = true;
	floor_around_begin(run.of);
	to->floor_ns[IN_ORDER][round] = measure(&run);
	floor_around_mix_up(shuffle);
	to->floor_ns[MIXED_UP][round] = measure(&run);
	floor_around_end();
}

static double measure_whole(struct run run, struct table *table)
{
	run.build = floor_whole.build;
	run.destroy = floor_whole.destroy;
	run.is_dropped = true;
	run.table = table;
	return measure(&run);
}

void paced_measure(struct paced_figures *to, const struct pool_settings *settings,
	const struct pool_case *of, uint64_t bytes, uint64_t pace_ns)
{
	struct table tables[WAYS];
	struct table whole;
	const struct run run = {
		.of = of,
		.pause = timer_from_ns(pace_ns * of->nodes),
		.count = settings->objects,
		.ticks = malloc(settings->objects * sizeof(double)),
	};

	if (!run.ticks)
		abort();
	subject_begin(of);
	for (unsigned way = 0; way < WAYS; way++)
		fill(&tables[way], of, way, bytes, settings->mixed);
	make(&whole, of, bytes);
	floor_whole_begin(whole.objects, whole.count, settings->mixed, shuffle);
	shuffle(whole.objects, whole.count);
	subject_home_percent(); /* not of the tables */
	for (unsigned round = 0; round < settings->rounds; round++) {
		measure_ways(to, round, run, tables);
		to->floor_ns[WHOLE][round] = measure_whole(run, &whole);
		if (!bytes && floor_has_around(of))
			measure_around(to, round, run);
	}
	to->home_percent = subject_home_percent();
	for (unsigned way = 0; way < WAYS; way++)
		empty(&tables[way], of, way);
	floor_whole_end();
	free(whole.objects);
	subject_end();
	free(run.ticks);
}
