/* SPDX-License-Identifier: MIT
 *
 * The calls that read and change the configuration of a queue.
 */
#include <errno.h>

#include "life/default.h"

int defer_drop_queue_config(struct defer_drop_queue *queue, struct defer_drop_config *config)
{
	int result;

	if (!queue || !config)
		return -EINVAL;
	result = dd_queue_open(queue);
	if (!result)
		result = dd_config_show(&queue->config, config);
	if (!result) /* max_bytes can change while the queue is open */
		config->max_bytes = dd_budget_limit(&queue->budget);
	return result;
}

int defer_drop_queue_set_max_bytes(struct defer_drop_queue *queue, uint64_t max_bytes)
{
	int result = queue && max_bytes && max_bytes <= DD_BUDGET_MOST ? 0 : -EINVAL;

	if (!result)
		result = dd_queue_open(queue);
	if (result)
		return result;
	atomic_store_explicit(&queue->budget.max_bytes, max_bytes, memory_order_relaxed);
	dd_budget_serve(queue);
	return 0;
}
