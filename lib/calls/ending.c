/* SPDX-License-Identifier: MIT
 *
 * The calls that end a queue, or stop and start it.
 */
#include <errno.h>

#include "core/stats.h"
#include "life/closing.h"
#include "life/default.h"
#include "life/stop.h"

/* True if some drops will never be destroyed, except those of groups that were abandoned. */
static bool has_abandoned(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats;

	dd_stats_get(queue, &stats);
	return stats.abandoned_total > dd_read(&queue->passed_over_total);
}

int defer_drop_queue_shutdown(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (!result && (dd_is_running(queue) || dd_watchdog_is_self(queue)))
		result = -EDEADLK;
	if (!result && timeout_ns && dd_grace_is_reading(&queue->grace))
		result = -EDEADLK;
	if (!result)
		result = dd_queue_open(queue);
	if (result && result != -ESHUTDOWN)
		return result;
	result = dd_queue_close(queue, timeout_ns);
	if (result || !timeout_ns || timeout_ns == DEFER_DROP_FOREVER)
		return result;
	return has_abandoned(queue) ? -ETIMEDOUT : 0;
}

int defer_drop_queue_stop(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (!result)
		result = dd_queue_open(queue);
	return result ? result : dd_queue_stop(queue, timeout_ns);
}

int defer_drop_queue_start(struct defer_drop_queue *queue)
{
	int result = queue ? dd_queue_open(queue) : -EINVAL;

	return result ? result : dd_queue_start(queue);
}
