/* SPDX-License-Identifier: MIT
 *
 * Making and freeing queues.
 */
#include "life/make.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/report.h"
#include "config/environment.h"
#include "core/registry.h"
#include "core/worker.h"
#include "life/process.h"

void dd_queue_tell(const char *line)
{
	dd_report(NULL, "%s", line);
}

/* A queue that was made, in one mapping. */
struct made {
	struct defer_drop_queue queue;
	struct dd_figures figures;
};

int dd_queue_init(struct defer_drop_queue *queue, const struct dd_config *config,
	struct dd_figures *figures, struct dd_slot *slots)
{
	uint32_t attention = 0;
	const struct defer_drop_config *values = &config->values;
	int result = dd_grace_init(&queue->grace, values->rcu_flavor);

	if (result)
		return result;
	if (!slots) {
		slots = queue->shared_slots =
			dd_slots_map(values->queue_size, values->populate_lanes);
		if (!slots)
			return -ENOMEM;
	}
	dd_config_copy(&queue->config, config);
	queue->has_watchdog = values->watchdog_ns;
	queue->is_observed = queue->has_watchdog || dd_tools_look_for_races();
	if (!dd_membarrier_register())
		attention |= DD_FENCED;
	if (dd_queue_has_worker(queue) || values->pending_eventfd >= 0)
		attention |= DD_ASLEEP; /* until the first push starts the worker or signals */
	atomic_store_explicit(&queue->park.attention, attention, memory_order_relaxed);
	atomic_store_explicit(&queue->drain_until_ns, DEFER_DROP_FOREVER, memory_order_relaxed);
	atomic_store_explicit(&queue->budget.max_bytes, values->max_bytes, memory_order_relaxed);
	atomic_store_explicit(&queue->watchers, dd_watch_has_marks(queue), memory_order_relaxed);
	dd_mutex_init(&queue->waiters_lock);
	dd_mutex_init(&queue->control);
	dd_lane_init(&queue->shared, queue, slots, true);
	queue->lanes[0] = &queue->shared;
	atomic_store_explicit(&queue->lane_count, 1, memory_order_relaxed);
	dd_figures_begin(queue, figures);
	return 0;
}

static void unmap(struct defer_drop_queue *queue)
{
	if (queue->shared_slots)
		dd_slots_unmap(queue->shared_slots, queue->config.values.queue_size);
	dd_tools_unmapped(queue, sizeof(struct made));
	munmap(queue, sizeof(struct made));
}

/* Starts the worker, and makes the queue known to fork and exit. */
static int begin_queue(struct defer_drop_queue *queue)
{
	int result;

	dd_registry_lock();
	result = dd_process_is_over() ? -ESHUTDOWN : dd_worker_start(queue, true);
	if (!result)
		dd_process_add(queue);
	dd_registry_unlock();
	return result;
}

int defer_drop_queue_create(struct defer_drop_queue **queue, const struct defer_drop_config *asked)
{
	struct made *made;
	struct dd_config config;
	int result = queue ? dd_config_make(asked, &config) : -EINVAL;

	if (result)
		return result;
	dd_environment_apply(&config, asked, config.values.name, false, dd_queue_tell);
	/* Mapped, not allocated: lanes that are never made, and figures, cost no memory. */
	made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return -ENOMEM;
	dd_tools_mapped(made, sizeof *made);
	atomic_store_explicit(&made->queue.id, dd_registry_new_id(), memory_order_relaxed);
	result = dd_queue_init(&made->queue, &config, &made->figures, NULL);
	if (!result)
		result = begin_queue(&made->queue);
	if (result) {
		dd_watchdog_end(&made->queue);
		unmap(&made->queue);
	} else {
		*queue = &made->queue;
	}
	return result;
}

static bool has_groups(struct defer_drop_queue *queue)
{
	bool has;

	dd_registry_lock();
	has = queue->group_count;
	dd_registry_unlock();
	return has;
}

int defer_drop_queue_free(struct defer_drop_queue *queue)
{
	if (!queue || dd_queue_is_default(queue))
		return -EINVAL;
	if (dd_queue_state(queue) != DD_JOINED || has_groups(queue))
		return -EBUSY;
	if (dd_registry_remove(queue)) {
		dd_lanes_unmap(queue);
		unmap(queue);
	}
	return 0;
}
