/* SPDX-License-Identifier: MIT
 *
 * The end of a queue, by a call or by exit.
 */
#ifndef DD_CLOSING_H
#define DD_CLOSING_H

#include "core/queue.h"

/*
 * Closes the queue: destroys pending drops until the time is over, then abandons the rest, and
 * joins its threads. Returns 0, or -ECANCELED if it gave up on a destructor that does not return.
 */
int dd_queue_close(struct defer_drop_queue *queue, uint64_t timeout_ns);

/* Closes the queue at exit, as configured. Returns how many drops were not destroyed. */
uint64_t dd_queue_exit(struct defer_drop_queue *queue);

#endif
