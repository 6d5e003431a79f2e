/* SPDX-License-Identifier: MIT
 *
 * Destroying drops, by the consumer: plain, with options, and the nested drops that they make.
 */
#ifndef DD_RUN_H
#define DD_RUN_H

#include "core/queue.h"

/*
 * Gives a lane one turn: runs at most `most` destructors, those of nested drops included, and none
 * after the deadline. Returns how many ran. A drop that is not finished when the turn is over is
 * left in the middle: its position does not move, and the next turn goes on with it. A lane whose
 * next drop waits for a grace period is set aside.
 */
uint64_t dd_run_turn(struct dd_lane *lane, uint64_t most, uint64_t deadline_ns);

/*
 * On a closed queue: runs or abandons the drops left in a lane, contested by producers that saw
 * CLOSED. These are a ring's worth at most, since producers that did not see it had room. A
 * position that was claimed but not published is passed over: its producer will see CLOSED and take
 * the drop back. Takes one turn. False if something is left: drops that wait for a grace period if
 * the lane is set aside, otherwise more to run. With is_waiting_out, waits for grace periods
 * itself.
 */
bool dd_run_last(struct dd_lane *lane);

/* Counts the drop being destroyed as destroyed, after its destructor has ended the process. */
void dd_run_end(struct defer_drop_queue *queue);

#endif
