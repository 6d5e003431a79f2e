/* SPDX-License-Identifier: MIT
 *
 * Measures several threads that make objects and have them destroyed, with rests in between: the
 * CPU time that each spends, for a node. All take from one pool.
 *
 * A thread makes a batch of objects and sleeps; all together make as much as one paced thread. CPU
 * time is measured, so that it does not matter that threads share CPUs.
 */
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

#define MAX_TAKERS 256
#define BATCH      64 /* objects */

struct taker {
	pthread_t thread;
	pthread_barrier_t *begin;
	unsigned number;
	enum way way;
	uint64_t batches;
	struct timespec rest;
	uint64_t busy_ns; /* while it made objects and disposed of them */
};

static uint64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

static void *take(void *argument)
{
	struct taker *self = argument;
	const struct pool_case *of = &cases[USUAL_CASE];
	void *(*build)(void) = subject_build(of, self->way);

	bench_pin_producer(self->number);
	pthread_barrier_wait(self->begin);
	for (uint64_t i = 0; i < self->batches + self->batches / 4 + 1; i++) {
		uint64_t begin_ns = cpu_ns();

		for (unsigned j = 0; j < BATCH; j++)
			subject_dispose(of, self->way, build());
		if (i > self->batches / 4) /* warm by then */
			self->busy_ns += cpu_ns() - begin_ns;
		nanosleep(&self->rest, NULL);
	}
	return NULL;
}

/* Returns ns for a node. */
static double measure(const struct pool_settings *settings, enum way way, unsigned count)
{
	const uint64_t nodes = BATCH * cases[USUAL_CASE].nodes;
	uint64_t rest_ns = settings->cached_pace_ns * nodes * count;
	uint64_t batches = settings->objects / BATCH / count + 1;
	struct taker takers[MAX_TAKERS];
	pthread_barrier_t begin;
	double sum_ns = 0;

	pthread_barrier_init(&begin, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		takers[i] = (struct taker){.begin = &begin,
			.number = i,
			.way = way,
			.batches = batches,
			.rest = {(time_t)(rest_ns / 1000000000), (long)(rest_ns % 1000000000)}};
		bench_check(pthread_create(&takers[i].thread, NULL, take, &takers[i]));
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(takers[i].thread, NULL);
		sum_ns += (double)takers[i].busy_ns;
	}
	bench_check(defer_drop_flush());
	pthread_barrier_destroy(&begin);
	return sum_ns / (double)(batches * count * nodes);
}

void takers_measure(struct pool_figures *figures, const struct pool_settings *settings)
{
	subject_begin(&cases[USUAL_CASE]);
	for (unsigned round = 0; round < settings->rounds; round++)
		for (unsigned i = 0; i < settings->producers.count; i++)
			for (unsigned way = 0; way < WAYS; way++)
				figures->takers_ns[way][i][round] = measure(
					settings, way, (unsigned)settings->producers.values[i]);
	subject_end();
}
