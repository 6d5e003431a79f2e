/* SPDX-License-Identifier: MIT
 *
 * Measures threads that make objects and have them destroyed as fast as they can, until all is
 * destroyed. The time includes the worker's, on all CPUs of the machine. One worker cannot destroy
 * what many threads make: they wait for room, or destroy in place the objects that the queue
 * refuses.
 */
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "library.h"
#include "timer.h"

#define MAX_PRODUCERS 256

/* Objects that a producer has at a time, so that it builds one while another is destroyed. */
#define HELD 16

struct producer {
	pthread_t thread;
	pthread_barrier_t *begin;
	struct defer_drop_queue *queue;
	unsigned number;
	unsigned way;
	uint64_t objects;
	uint64_t since; /* ticks */
};

static bool is_home(unsigned way)
{
	return way == HOME || way == CROWD_HOME_OR_IN_PLACE;
}

static void destroy(const struct producer *self, void *object, defer_drop_fn destructor)
{
	uint64_t timeout_ns = self->way < WAYS ? DEFER_DROP_FOREVER : 0;

	if (self->way == IN_PLACE ||
		defer_drop_queue_push(self->queue, object, destructor, timeout_ns))
		destructor(object);
}

static void *produce(void *argument)
{
	struct producer *self = argument;
	const struct pool_case *of = &cases[USUAL_CASE];
	enum way way = is_home(self->way) ? HOME : IN_PLACE;
	void *(*build)(void) = subject_build(of, way);
	defer_drop_fn destructor = subject_destroy(of, way);
	void *held[HELD] = {NULL};

	bench_pin_producer(self->number);
	pthread_barrier_wait(self->begin);
	self->since = timer_now();
	for (uint64_t i = 0; i < self->objects + HELD; i++) {
		void *before = held[i % HELD];

		held[i % HELD] = i < self->objects ? build() : NULL;
		if (before)
			destroy(self, before, destructor);
	}
	return NULL;
}

/* Returns ns for a node. */
static double measure(
	struct defer_drop_queue *queue, unsigned way, unsigned count, uint64_t objects)
{
	struct producer producers[MAX_PRODUCERS];
	pthread_barrier_t begin;
	uint64_t since = UINT64_MAX;
	uint64_t end;

	pthread_barrier_init(&begin, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		producers[i] = (struct producer){.begin = &begin,
			.queue = queue,
			.number = i,
			.way = way,
			.objects = (objects + count - 1) / count};
		bench_check(pthread_create(&producers[i].thread, NULL, produce, &producers[i]));
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(producers[i].thread, NULL);
		since = producers[i].since < since ? producers[i].since : since;
	}
	bench_check(defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	end = timer_now();
	pthread_barrier_destroy(&begin);
	return timer_mean_ns(end - since, 1) /
	       (double)(producers[0].objects * count * cases[USUAL_CASE].nodes);
}

void crowd_measure(struct pool_figures *figures, const struct pool_settings *settings)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.queue_size = (uint32_t)settings->crowd_queue;
	bench_pin_consumer();
	bench_check(defer_drop_queue_create(&queue, &config));
	bench_pin_producer(0);
	subject_begin(&cases[USUAL_CASE]);
	for (unsigned round = 0; round < settings->rounds; round++)
		for (unsigned i = 0; i < settings->producers.count; i++)
			for (unsigned way = 0; way < CROWD_WAYS; way++)
				figures->crowd_ns[way][i][round] =
					measure(queue, way, (unsigned)settings->producers.values[i],
						settings->crowd_objects);
	library_end(queue);
	subject_end();
}
