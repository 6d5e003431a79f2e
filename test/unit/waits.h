/* SPDX-License-Identifier: MIT
 *
 * Each way to wait for the end of one drop, for a thread to begin with.
 */
#ifndef WAITS_H
#define WAITS_H

#include "queues.h"

#include "core/completion.h"

/* A drop that threads wait for, and for how long: 0 does not wait. */
struct awaited {
	struct defer_drop_queue *queue;
	struct defer_drop_ticket ticket;
	struct defer_drop_completion completion;
	uint64_t timeout_ns;
};

static inline void push_awaited(struct awaited *awaited, void *object, defer_drop_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	awaited->completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	options.ticket = &awaited->ticket;
	options.completion = &awaited->completion;
	options.bytes = 100;
	answers(0, defer_drop_queue_push_with(awaited->queue, object, destroy, FOREVER, &options));
}

/* These return the result, negated. */

static inline void *wait_for_flush(void *argument)
{
	struct awaited *awaited = argument;

	return number((uintptr_t)-defer_drop_queue_flush(awaited->queue, awaited->timeout_ns));
}

static inline void *wait_for_ticket(void *argument)
{
	struct awaited *awaited = argument;

	return number((uintptr_t)-defer_drop_ticket_wait(&awaited->ticket, awaited->timeout_ns));
}

static inline void *wait_for_completion(void *argument)
{
	struct awaited *awaited = argument;

	return number((uintptr_t)-defer_drop_completion_wait(
		&awaited->completion, awaited->timeout_ns, NULL));
}

static inline void *wait_for_backlog(void *argument)
{
	struct awaited *awaited = argument;

	return number((uintptr_t)-defer_drop_queue_wait_backlog(
		awaited->queue, 0, 0, awaited->timeout_ns));
}

#define WAYS 4

__attribute__((unused)) static void *(*const ways[WAYS])(void *) = {
	wait_for_flush, wait_for_ticket, wait_for_completion, wait_for_backlog};

/* True if a thread waits in each of these ways. */
static inline bool all_wait(struct awaited *awaited)
{
	uint32_t state = atomic_load((_Atomic(uint32_t) *)&awaited->completion.state);

	return has_waiter(awaited->queue) && (state & DD_COMPLETION_WAITED) &&
	       atomic_load(&awaited->queue->watchers);
}

#endif
