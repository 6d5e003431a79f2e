/* SPDX-License-Identifier: MIT
 *
 * Tickets: a lane and a position, and whether it has passed.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/eventfd.h"
#include "calls/drain.h"
#include "core/registry.h"
#include "core/worker.h"

/* The queue of a ticket; NULL if there is none, or none any more. */
static struct defer_drop_queue *queue_of(const struct defer_drop_ticket *ticket)
{
	struct defer_drop_queue *queue = dd_registry_look_up(ticket->queue_id);

	if (queue)
		return queue;
	dd_registry_lock();
	queue = dd_registry_find(ticket->queue_id);
	dd_registry_unlock();
	return queue;
}

/* Finds the lane of a ticket. Returns 0, -EINVAL or -ESTALE. */
static int lane_of(const struct defer_drop_ticket *ticket, struct dd_lane **lane)
{
	struct defer_drop_queue *queue;

	if (!ticket || !ticket->queue_id)
		return -EINVAL;
	queue = queue_of(ticket);
	if (!queue)
		return ticket->queue_id == DD_DEFAULT_ID ? -EINVAL : -ESTALE;
	if (ticket->lane >= dd_queue_lanes(queue))
		return -EINVAL;
	if (ticket->generation != queue->generation)
		return -ESTALE;
	*lane = queue->lanes[ticket->lane];
	return 0;
}

int defer_drop_ticket_wait(const struct defer_drop_ticket *ticket, uint64_t timeout_ns)
{
	struct dd_lane *lane;
	int result = lane_of(ticket, &lane);

	if (!result)
		result = dd_timeout_check(timeout_ns);
	if (!result && timeout_ns && dd_is_running(lane->queue))
		result = -EDEADLK;
	return result ? result
		      : dd_queue_wait(lane, ticket->position, dd_deadline_after(timeout_ns));
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
