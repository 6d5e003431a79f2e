/* SPDX-License-Identifier: MIT
 *
 * What the tests of queues share: short names, rings that are full, pushes that wait, drops that nest.
 */
#ifndef QUEUES_H
#define QUEUES_H

#include "unit.h"

#define CALLER  DEFER_DROP_RUNNER_CALLER
#define WORKER  DEFER_DROP_RUNNER_WORKER
#define FOREVER DEFER_DROP_FOREVER
#define MS      UINT64_C(1000000)

/* max_lanes: as built in, and none, so that all push to the shared lane. */
__attribute__((unused)) static const uint32_t lanes_tried[] = {0, DEFER_DROP_NO_LANES};

/* Fills a ring that nobody drains; it takes exactly its size. */
static inline void fill(struct defer_drop_queue *queue, uint32_t queue_size)
{
	for (uint32_t i = 0; i < queue_size; i++)
		answers(0, defer_drop_queue_push_try(queue, number(i), note));
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

	push->result = push->timeout_ns == FOREVER
			       ? defer_drop_queue_push(push->queue, push->object, note)
			       : defer_drop_queue_push_timed(
					 push->queue, push->object, note, push->timeout_ns);
	return NULL;
}

/* Fills the calling thread's lane, then waits for room. */
static inline void *fill_and_push(void *argument)
{
	struct push *push = argument;

	for (uintptr_t i = 0; i < 4; i++)
		push->result |= defer_drop_queue_push_try(push->queue, number(i), note);
	return push->result ? NULL : push_in_thread(push);
}

__attribute__((unused)) static struct defer_drop_queue *nest;
__attribute__((unused)) static atomic_int nest_errors;

/* A drop of depth n makes one of depth n - 1. */
static inline void descend(void *object)
{
	uintptr_t depth = (uintptr_t)object;

	note(object);
	if (depth && defer_drop_queue_push(nest, number(depth - 1), descend))
		atomic_fetch_add(&nest_errors, 1);
}

#endif
