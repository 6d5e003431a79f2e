/* SPDX-License-Identifier: MIT
 *
 * A queue of defer_drop's for garbage: what the ways that use one have in common. It is one of its
 * own, so that its limits and its statistics are those of the data set alone.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <defer_drop.h>

#include "reclaim.h"

/* runner: enum defer_drop_runner. 0 or a negative errno. */
int queue_create(
	struct defer_drop_queue **queue, const struct reclaim_config *config, uint32_t runner);

/* False where there is no room, of drops or of bytes; it never waits: the loop has others to
 * serve. */
bool queue_push(struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_fn destroy);

/* Destroys after a grace period; waits for room, since it could not destroy in place any sooner. */
bool queue_push_shared(
	struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_fn destroy);

/* Destroys all that is pending, and frees the queue. */
void queue_end(struct defer_drop_queue *queue);

/* Its statistics, as lines of INFO. */
void queue_describe(struct defer_drop_queue *queue, struct buffer *out);

#endif
