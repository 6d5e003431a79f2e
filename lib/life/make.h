/* SPDX-License-Identifier: MIT
 *
 * Setting queues up.
 */
#ifndef DD_MAKE_H
#define DD_MAKE_H

#include "core/queue.h"

/*
 * Sets a zeroed queue up. figures: zeroed too. slots: for the shared lane, or NULL to map them.
 * Returns 0 or -ENOMEM.
 */
int dd_queue_init(struct defer_drop_queue *queue, const struct dd_config *config,
	struct dd_figures *figures, struct dd_slot *slots);

/* Reports what is wrong in the environment. */
void dd_queue_tell(const char *line);

#endif
