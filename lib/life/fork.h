/* SPDX-License-Identifier: MIT
 *
 * Queues in a forked child.
 */
#ifndef DD_FORK_H
#define DD_FORK_H

#include <stdbool.h>

#include "defer_drop.h"

struct dd_options;

/* Locks before a fork; unlocks after it in the parent. */
void dd_queue_lock_all(struct defer_drop_queue *queue);
void dd_queue_unlock_all(struct defer_drop_queue *queue);

/* Sets a queue up in the child. is_exiting: the parent was in exit. */
void dd_queue_survive(struct defer_drop_queue *queue, bool is_exiting);

/* Frees lanes in the child whose owners it does not have. Under the registry's lock. */
void dd_lanes_survive(struct defer_drop_queue *queue, bool is_kept);

/*
 * Names the destructor of drops that no child runs, not even one that keeps pending drops: their
 * objects may lie on the stack of a thread that it does not have. There is one such destructor.
 */
void dd_fork_pass_over(defer_drop_fn destroy);

/*
 * Removes the completion from the options of a drop that the child keeps, which reports to no one;
 * and counts the drop in its group. Returns the bytes that the object holds.
 */
uint64_t dd_fork_strip(struct dd_options *options);

#endif
