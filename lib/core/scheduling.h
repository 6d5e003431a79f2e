/* SPDX-License-Identifier: MIT
 *
 * Starting the threads of a queue, and how the system schedules them: as configured, and otherwise
 * as the process, whatever thread happens to start them.
 */
#ifndef DD_SCHEDULING_H
#define DD_SCHEDULING_H

#include <stdbool.h>

#include "core/queue.h"

/* Starts the worker. Returns 0 or, as a negative errno, the error of pthread_create(3). */
int dd_scheduling_start_worker(
	struct defer_drop_queue *queue, bool is_as_configured, void *(*run)(void *queue));

/* Starts another thread of the queue, with the scheduling of the process. Returns 0 or -EAGAIN. */
int dd_scheduling_start_helper(const struct defer_drop_config *config, pthread_t *thread,
	void *(*run)(void *argument), void *argument);

/*
 * By the worker itself: sets what could not be set from outside. Returns 0, or the error of what
 * the configuration asks for.
 */
int dd_scheduling_settle(const struct defer_drop_config *config);

#endif
