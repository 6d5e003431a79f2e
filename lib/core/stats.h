/* SPDX-License-Identifier: MIT
 *
 * Statistics of a queue that is open.
 */
#ifndef DD_STATS_H
#define DD_STATS_H

#include "core/queue.h"

void dd_stats_get(struct defer_drop_queue *queue, struct defer_drop_stats *stats);
void dd_stats_get_lane(struct dd_lane *lane, struct defer_drop_stats *stats);

/* Returns how many drops are pending: member backlog alone, at less cost. The consumer passes over
 * lanes that are empty. */
uint64_t dd_stats_backlog(struct defer_drop_queue *queue, bool is_consumer);

#endif
