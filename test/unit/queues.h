/* SPDX-License-Identifier: MIT
 *
 * What the tests of queues share: rings that are full, pushes that wait, other threads that drain
 * or shut down, drops that nest.
 */
#ifndef QUEUES_H
#define QUEUES_H

#include "unit.h"

/* Fills a ring that nobody drains; it takes exactly its size. */
static inline void fill(struct defer_drop_queue *queue, uint32_t queue_size)
{
	for (uint32_t i = 0; i < queue_size; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, 0));
}

/* Makes a queue whose failures are not reported; no drop has been noted yet. */
static inline struct defer_drop_queue *make_quiet(
	uint32_t runner, uint32_t queue_size, uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	atomic_store(&seen_count, 0);
	config.runner = runner;
	config.queue_size = queue_size;
	config.max_lanes = max_lanes;
	config.error = ignore_failure;
	return create_queue(&config);
}

static inline void drain(struct defer_drop_queue *queue, uint64_t max_drops)
{
	answers(0, defer_drop_queue_drain(queue, max_drops, FOREVER, NULL));
}

/* Reads an eventfd that was signalled. */
static inline uint64_t read_from(int signalled)
{
	uint64_t count = 0;

	cr_assert_eq(read(signalled, &count, sizeof count), sizeof count);
	return count;
}

/* ---- Threads that make one call: they return its answer, negated ----------------------------- */

static inline void *drain_in_thread(void *queue)
{
	return number((uintptr_t)-defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
}

static inline void *drain_one_in_thread(void *queue)
{
	return number((uintptr_t)-defer_drop_queue_drain(queue, 1, FOREVER, NULL));
}

static inline void *flush_in_thread(void *queue)
{
	return number((uintptr_t)-defer_drop_queue_flush(queue, FOREVER));
}

static inline void *shut_down_in_thread(void *queue)
{
	return number((uintptr_t)-defer_drop_queue_shutdown(queue, FOREVER));
}

static inline void *stop_in_thread(void *queue)
{
	return number((uintptr_t)-defer_drop_queue_stop(queue, LONG_NS));
}

struct push {
	struct defer_drop_queue *queue;
	void *object;
	uint64_t timeout_ns;
	int result;
};

static inline void *push_in_thread(void *argument)
{
	struct push *push = argument;

	push->result = defer_drop_queue_push(push->queue, push->object, note, push->timeout_ns);
	return NULL;
}

/* Fills the calling thread's lane, then waits for room. */
static inline void *fill_and_push(void *argument)
{
	struct push *push = argument;

	for (uintptr_t i = 0; i < 4; i++)
		push->result |= defer_drop_queue_push(push->queue, number(i), note, 0);
	return push->result ? NULL : push_in_thread(push);
}

/* ---- Beside a thread that waits and drains --------------------------------------------------- */

/*
 * A thread that takes the seat of another one, which waits for a queue and drains it, while that
 * one sleeps; it stands in a gate then. The other waits for a drop that it cannot destroy: in the
 * shared lane, a push was stopped in its middle.
 */
struct intruder {
	struct defer_drop_queue *queue;
	struct gate gate;
	sem_t may_come;
	atomic_bool has_stood;
	uint64_t stopped_at;
	pthread_t thread;
};

static inline void let_come(void *object)
{
	struct intruder *intruder = object;

	sem_post(&intruder->may_come);
}

/* Does nothing in any other thread. */
static inline void stand_if_intruder(void *object)
{
	struct intruder *intruder = object;

	if (pthread_equal(pthread_self(), intruder->thread) &&
		!atomic_exchange(&intruder->has_stood, true))
		pass_gate(&intruder->gate);
}

static inline void *intrude(void *argument)
{
	struct intruder *intruder = argument;

	/* It takes the only lane. */
	defer_drop_queue_push(intruder->queue, intruder, stand_if_intruder, FOREVER);
	await_semaphore(&intruder->may_come);
	while (!atomic_load(&intruder->has_stood)) {
		usleep(100);
		defer_drop_queue_push(intruder->queue, intruder, stand_if_intruder, 0);
		defer_drop_queue_drain(intruder->queue, UINT64_MAX, FOREVER, NULL);
	}
	return NULL;
}

/* Begins an intrusion: the intruder comes when the calling thread drains. */
static inline void begin_intrusion(struct intruder *intruder)
{
	*intruder = (struct intruder){.queue = make_queue(CALLER, 16, 1)};
	gate_init(&intruder->gate);
	sem_init(&intruder->may_come, 0, 0);
	intruder->thread = spawn(intrude, intruder);
	await(stats_of(intruder->queue).pushed_total == 1);
	answers(0, defer_drop_queue_push(intruder->queue, intruder, let_come, FOREVER));
	intruder->stopped_at = dd_ring_claim(&intruder->queue->shared.ring, 1);
}

/* Waits until the intruder stands in its gate. */
static inline void await_intruder(struct intruder *intruder)
{
	let_come(intruder);
	await_held(&intruder->gate);
}

/* Lets the intruder go; the push that was stopped goes on. */
static inline void end_intrusion(struct intruder *intruder)
{
	let_go(&intruder->gate);
	join_thread(intruder->thread);
	dd_ring_publish(&intruder->queue->shared.ring, intruder->stopped_at, number(0), note);
}

/* A destructor that makes another thread begin to shut its queue down, which waits for its
 * return. */
struct closer {
	struct defer_drop_queue *queue;
	uint64_t timeout_ns;
	pthread_t thread;
};

static inline void *close_in_thread(void *argument)
{
	const struct closer *closer = argument;

	return number((uintptr_t)-shut_down_at_last(closer->queue, closer->timeout_ns));
}

static inline void begin_closing(void *object)
{
	struct closer *closer = object;

	if (pthread_create(&closer->thread, NULL, close_in_thread, closer))
		abort();
	await(dd_queue_state(closer->queue) >= DD_CLOSING);
}

static inline void end_closed(struct closer *closer)
{
	cr_assert_null(join_thread(closer->thread));
	answers(0, defer_drop_queue_free(closer->queue));
}

/* ---- Nested drops ---------------------------------------------------------------------------- */

__attribute__((unused)) static struct defer_drop_queue *nest;
__attribute__((unused)) static atomic_int nest_errors;

/* A drop of depth n makes one of depth n - 1. */
static inline void descend(void *object)
{
	uintptr_t depth = (uintptr_t)object;

	note(object);
	if (depth && defer_drop_queue_push(nest, number(depth - 1), descend, FOREVER))
		atomic_fetch_add(&nest_errors, 1);
}

#endif
