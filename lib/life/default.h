/* SPDX-License-Identifier: MIT
 *
 * The default queue, which sets itself up at its first use.
 */
#ifndef DD_DEFAULT_H
#define DD_DEFAULT_H

#include "core/queue.h"

/* Hidden also where it is used, so that a push needs no load to find it. */
extern struct defer_drop_queue dd_default_queue __attribute__((visibility("hidden")));

/* Sets the default queue up, if it is this one and not set up yet. */
int dd_queue_open(struct defer_drop_queue *queue);

/* False for a default queue that has not been used yet: it holds nothing. */
bool dd_queue_has_opened(const struct defer_drop_queue *queue);

#endif
