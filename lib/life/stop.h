/* SPDX-License-Identifier: MIT
 *
 * Stopping the threads of a queue that is open, and starting them again: see defer_drop_queue_stop
 * and defer_drop_queue_start for what they return.
 */
#ifndef DD_STOP_H
#define DD_STOP_H

#include "core/queue.h"

int dd_queue_stop(struct defer_drop_queue *queue, uint64_t timeout_ns);
int dd_queue_start(struct defer_drop_queue *queue);

#endif
