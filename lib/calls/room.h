/* SPDX-License-Identifier: MIT
 *
 * A push that finds its ring full: looking for room, and waiting for it.
 */
#ifndef DD_ROOM_H
#define DD_ROOM_H

#include "core/queue.h"

/*
 * Ends the worker's nap if the backlog has grown to half of the ring. It naps for as long as a
 * quarter takes to gather. The quarter above that is for a burst, and for drops that come while it
 * wakes up.
 */
static inline void dd_nudge(struct dd_lane *lane, uint64_t backlog)
{
	struct dd_park *park = &lane->queue->park;

	if (backlog >= dd_ring_capacity(&lane->ring) / 2 && dd_bell_is_napping(&park->bell))
		dd_queue_ring(lane->queue);
}

/* Shared: ends the nap for a producer that has claimed a position, or could not. */
static inline void dd_nudge_shared(struct dd_lane *lane, uint64_t at)
{
	if (dd_bell_is_napping(&lane->queue->park.bell))
		dd_nudge(lane, at - dd_read(&lane->ring.head));
}

/* Owned: true if there is room for a drop at the tail, up to this position. */
bool dd_has_room(struct dd_lane *lane, uint64_t last);

/* Returns 0 if a push that found no room, in its ring or in the byte budget, may wait for it. */
int dd_may_wait(struct dd_lane *lane, uint64_t deadline_ns);

/*
 * Waits until there is room at this position: until the drop one lap before it has been destroyed.
 * Returns 0, -ETIMEDOUT, -ESHUTDOWN or -ECANCELED.
 */
int dd_wait_for_room(struct dd_lane *lane, uint64_t at, uint64_t deadline_ns);

#endif
