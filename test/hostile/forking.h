/* SPDX-License-Identifier: MIT
 *
 * Children of forks, and the queues that parent and child both have.
 */
#ifndef FORKING_H
#define FORKING_H

#include "hostile.h"

#define FOREVER DEFER_DROP_FOREVER

/* Lanes for threads: more than any case has threads. */
#define LANES 16

#define POLICIES 2
extern const uint32_t policies[POLICIES]; /* enum defer_drop_at_fork */

/* A gate that is open. */
extern struct gate open_one;

/* Calls fork(2) from anywhere, also from a destructor; a child that hangs ends by a signal. */
pid_t fork_bounded(void);
/* Waits for a child that ends with exit status 0. */
void await_good(pid_t child);
/* Waits for a child that ends by SIGKILL, past all its exit handlers. */
void await_killed(pid_t child);

struct defer_drop_queue *make_queue(
	uint32_t runner, uint32_t at_fork, uint32_t queue_size, uint32_t max_lanes);

#endif
