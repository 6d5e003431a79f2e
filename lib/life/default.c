/* SPDX-License-Identifier: MIT
 *
 * The default queue: it exists without being made, sets itself up at its first use, and is never
 * freed.
 */
#include "life/default.h"

#include <errno.h>
#include <string.h>

#include "base/latch.h"
#include "base/report.h"
#include "config/built_in.h"
#include "config/environment.h"
#include "core/registry.h"
#include "core/worker.h"
#include "life/make.h"
#include "life/process.h"
#include "life/stop.h"

/*
 * The default queue and the ring of its shared lane take no physical memory until they are used,
 * and need no allocation then: a push never fails for lack of memory.
 */
struct defer_drop_queue dd_default_queue;
static struct dd_slot the_slots[DD_QUEUE_SIZE];
static struct dd_figures the_figures;

static struct dd_latch is_open;

/* ---- Opening --------------------------------------------------------------------------------- */

/* Errors in the environment are reported once, however often the queue fails to open. */
static bool has_told; /* under the registry's lock */

static void make_config(
	const struct defer_drop_config *asked, struct dd_config *config, bool is_told)
{
	dd_environment_apply(
		config, asked, config->values.name, true, is_told ? dd_queue_tell : NULL);
}

/* Sets the queue up. Its static slots serve every ring that fits into them. */
static int init(const struct dd_config *config)
{
	atomic_store_explicit(&dd_default_queue.id, DD_DEFAULT_ID, memory_order_relaxed);
	return dd_queue_init(&dd_default_queue, config, &the_figures,
		config->values.queue_size <= DD_QUEUE_SIZE ? the_slots : NULL);
}

/* Makes the configuration asked for, changed by the environment. Under the registry's lock. */
static int make_first_config(const struct defer_drop_config *asked, struct dd_config *config)
{
	int result = dd_process_is_over() ? -ESHUTDOWN : dd_config_make(asked, config);

	if (result)
		return result;
	make_config(asked, config, !has_told);
	has_told = true;
	return 0;
}

/* Opens for a first push, which asked for no sizes: accepts less. Under the registry's lock. */
static int open_lazily(void)
{
	struct dd_config config;
	int result = make_first_config(NULL, &config);

	if (!result)
		result = init(&config);
	if (result == -ENOMEM) {
		dd_report(NULL, "no memory for queue_size=%u, it is %u", config.values.queue_size,
			DD_QUEUE_SIZE);
		config.values.queue_size = DD_QUEUE_SIZE;
		result = init(&config);
	}
	return result;
}

/* Opens as asked. Changes nothing on error. Under the registry's lock. */
static int open_strictly(const struct defer_drop_config *asked)
{
	struct dd_config config;
	int result = make_first_config(asked, &config);

	if (!result)
		result = init(&config);
	if (!result)
		result = dd_worker_start(&dd_default_queue, true);
	if (result)
		dd_watchdog_end(&dd_default_queue);
	if (result && dd_default_queue.shared_slots)
		dd_slots_unmap(
			dd_default_queue.shared_slots, dd_default_queue.config.values.queue_size);
	if (result)
		memset(&dd_default_queue, 0, sizeof dd_default_queue);
	return result;
}

static void set_open(void)
{
	dd_process_add(&dd_default_queue);
	dd_latch_set(&is_open);
}

static bool has_opened(void)
{
	return dd_latch_is_open(&is_open);
}

bool dd_queue_has_opened(const struct defer_drop_queue *queue)
{
	return queue != &dd_default_queue || has_opened();
}

int dd_queue_open(struct defer_drop_queue *queue)
{
	int result = 0;

	if (queue != &dd_default_queue || has_opened())
		return 0;
	dd_registry_lock();
	if (!has_opened()) {
		result = open_lazily();
		if (!result)
			set_open();
	}
	dd_registry_unlock();
	return result;
}

static int start_opened(const struct defer_drop_config *asked)
{
	struct dd_config config;
	int result = dd_config_make(asked, &config);

	if (result)
		return result;
	make_config(asked, &config, false);
	if (dd_queue_state(&dd_default_queue) >= DD_CLOSING)
		return -ESHUTDOWN;
	/* max_bytes can change while the queue is open: it is in force either way. */
	if (config.values.max_bytes == dd_budget_limit(&dd_default_queue.budget))
		config.values.max_bytes = dd_default_queue.config.values.max_bytes;
	if (!dd_config_is_equal(&config, &dd_default_queue.config))
		return -EALREADY;
	return dd_queue_state(&dd_default_queue) == DD_STOPPED
		       ? dd_queue_start(&dd_default_queue)
		       : dd_worker_start(&dd_default_queue, true);
}

int defer_drop_start(const struct defer_drop_config *asked)
{
	bool was_open;
	int result = 0;

	dd_registry_lock();
	was_open = has_opened();
	if (!was_open) {
		result = open_strictly(asked);
		if (!result)
			set_open();
	}
	dd_registry_unlock();
	return was_open ? start_opened(asked) : result;
}

struct defer_drop_queue *defer_drop_queue_default(void)
{
	return &dd_default_queue;
}
