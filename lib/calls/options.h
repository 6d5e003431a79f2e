/* SPDX-License-Identifier: MIT
 *
 * Pushes with options to the default queue, off the fast path; their arguments were not checked.
 */
#ifndef DD_OPTIONS_H
#define DD_OPTIONS_H

#include "defer_drop.h"

/* Pushes a drop after a grace period. */
int dd_queue_push_rcu(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy);

/* Pushes a drop with bytes. */
int dd_queue_push_bytes(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t bytes);

#endif
