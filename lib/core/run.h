/* SPDX-License-Identifier: MIT
 *
 * Destroying drops, by the consumer: plain, with options, and the nested drops that they make.
 */
#ifndef DD_RUN_H
#define DD_RUN_H

#include "core/queue.h"

/*
 * One turn at a lane: runs at most so many destructors, those of nested drops included, and none
 * after the deadline. Returns how many. A drop that is not finished when the turn is over is left in
 * the middle: its position does not move, and the next turn goes on with it. A lane whose next drop
 * waits for a grace period is set aside.
 */
uint64_t dd_run_turn(struct dd_lane *lane, uint64_t most, uint64_t deadline_ns);

/*
 * On a closed queue: runs or abandons what is left in a lane, contested by producers that saw
 * CLOSED: at most a ring's worth, since whoever did not see it had room. A position claimed but not
 * published is passed over: its producer will see CLOSED and take the drop back. One turn; false if
 * something is left: in a lane that is set aside what waits for a grace period, else more to run.
 * With is_waiting_out it waits for grace periods itself.
 */
bool dd_run_last(struct dd_lane *lane);

/* A destructor has ended the process: what is being destroyed counts as destroyed. */
void dd_run_end(struct defer_drop_queue *queue);

#endif
