/* SPDX-License-Identifier: MIT
 *
 * Waiting until drops are destroyed; and callers that drain, which destroy them.
 */
#ifndef DD_DRAIN_H
#define DD_DRAIN_H

#include "core/queue.h"

struct dd_completion;

/* True if a caller that drains has what it wants. */
typedef bool (*dd_drain_is_over)(struct defer_drop_queue *queue, const void *context);

/*
 * Destroys drops of this lane, or of all lanes if it is NULL, by the thread that has the consumer's
 * seat, which it leaves. Goes on until the caller has what it wants, the queue closes, the deadline
 * comes, or there is nothing to destroy at the moment.
 */
void dd_drain_until(struct defer_drop_queue *queue, struct dd_lane *lane, dd_drain_is_over is_over,
	const void *context, uint64_t deadline_ns);

/* Waits until the drops before a position are destroyed, as flush and tickets do. */
int dd_queue_wait(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns);

/* Waits for a completion, as defer_drop_completion_wait does. */
int dd_queue_await(struct dd_completion *completion, uint64_t deadline_ns, int *status);

#endif
