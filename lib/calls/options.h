/* SPDX-License-Identifier: MIT
 *
 * Pushes to the default queue that left the fast path and have options, which were not checked.
 */
#ifndef DD_OPTIONS_H
#define DD_OPTIONS_H

#include "defer_drop.h"

/* A push after a grace period. */
int dd_queue_push_rcu(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy);

/* A push with bytes. */
int dd_queue_push_bytes(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t bytes);

#endif
