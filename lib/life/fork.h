/* SPDX-License-Identifier: MIT
 *
 * What becomes of a queue in a forked child.
 */
#ifndef DD_FORK_H
#define DD_FORK_H

#include <stdbool.h>

#include "defer_drop.h"

struct dd_options;

/* Before a fork, and after it in the parent. */
void dd_queue_lock_all(struct defer_drop_queue *queue);
void dd_queue_unlock_all(struct defer_drop_queue *queue);

/* In the child. is_exiting: the parent was. */
void dd_queue_survive(struct defer_drop_queue *queue, bool is_exiting);

/* In the child: lanes whose owners it does not have become free. Under the registry's lock. */
void dd_lanes_survive(struct defer_drop_queue *queue, bool is_kept);

/*
 * Names the destructor of drops that no child runs, not even one that keeps what is pending: their
 * objects may lie on the stack of a thread that it does not have. There is one such destructor.
 */
void dd_fork_pass_over(defer_drop_fn destroy);

/*
 * A drop that the child keeps tells nobody: takes the completion out of its options. Returns the
 * bytes that the object holds.
 */
uint64_t dd_fork_strip(struct dd_options *options);

#endif
