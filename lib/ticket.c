/* SPDX-License-Identifier: MIT
 *
 * Tickets: a lane and a position, and whether it has passed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "eventfd.h"
#include "worker.h"

/* Finds the lane of a ticket. Returns 0, -EINVAL or -ESTALE. */
static int lane_of(const struct defer_drop_ticket *ticket, struct dd_lane **lane)
{
	if (!ticket || !ticket->queue || !dd_queue_has_opened(ticket->queue) ||
		ticket->lane >= dd_queue_lanes(ticket->queue))
		return -EINVAL;
	if (ticket->generation != ticket->queue->generation)
		return -ESTALE;
	*lane = ticket->queue->lanes[ticket->lane];
	return 0;
}

int defer_drop_ticket_poll(const struct defer_drop_ticket *ticket)
{
	struct dd_lane *lane;
	int result = lane_of(ticket, &lane);

	return result ? result : dd_wait_poll(lane, ticket->position);
}

int defer_drop_ticket_wait(const struct defer_drop_ticket *ticket, uint64_t timeout_ns)
{
	struct dd_lane *lane;
	int result = lane_of(ticket, &lane);

	if (!result)
		result = dd_timeout_check(timeout_ns);
	if (!result && dd_is_running(lane->queue))
		result = -EDEADLK;
	return result ? result : dd_queue_wait(lane, ticket->position, timeout_ns);
}

int defer_drop_ticket_notify(const struct defer_drop_ticket *ticket, int eventfd)
{
	struct dd_lane *lane;
	int result = lane_of(ticket, &lane);
	int own;

	if (!result)
		result = dd_worker_ensure(lane->queue);
	if (result)
		return result;
	own = fcntl(eventfd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return errno == EINVAL ? -EMFILE : -errno; /* EINVAL: RLIMIT_NOFILE is 0 */
	result = dd_wait_notify(lane, ticket->position, own);
	if (result)
		dd_eventfd_close(own);
	return result;
}
