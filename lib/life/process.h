/* SPDX-License-Identifier: MIT
 *
 * The handlers for fork and exit of the process.
 */
#ifndef DD_PROCESS_H
#define DD_PROCESS_H

#include "core/queue.h"

/* Adds a queue to the registry, under its lock; the first one sets the handlers. */
void dd_process_add(struct defer_drop_queue *queue);

/* True if exit has dealt with all queues, so that none may begin. Under the registry's lock. */
bool dd_process_is_over(void);

#endif
