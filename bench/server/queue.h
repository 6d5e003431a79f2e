/* SPDX-License-Identifier: MIT
 *
 * The queue of defer_drop for garbage, shared by the two ways that use one. It is not the default
 * queue, so that its limits and its statistics are those of the data set alone.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <defer_drop.h>

#include "reclaim.h"

/* runner: enum defer_drop_runner. 0 or a negative errno. */
int queue_create(
	struct defer_drop_queue **queue, const struct reclaim_config *config, uint32_t runner);

/*
 * False if there is no room for another drop or for its bytes. Never waits, since the loop has
 * others to serve.
 */
bool queue_push(struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_fn destroy);

/*
 * Has garbage destroyed after a grace period. Waits for room: destroying in place would have to
 * wait for readers too.
 */
bool queue_push_shared(
	struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_fn destroy);

/* As queue_push, with a destructor that returns DEFER_DROP_AGAIN until all is destroyed. */
bool queue_push_sliced(
	struct defer_drop_queue *queue, struct garbage *garbage, defer_drop_status_fn destroy);

/* Adds 1 to an eventfd when all that this thread pushed is destroyed. 0 or a negative errno. */
int queue_notify(struct defer_drop_queue *queue, int eventfd);

/* Destroys everything that is pending, and frees the queue. */
void queue_end(struct defer_drop_queue *queue);

/* Adds the statistics of the queue as lines of INFO. */
void queue_describe(struct defer_drop_queue *queue, struct buffer *out);

#endif
