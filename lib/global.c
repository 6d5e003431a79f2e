/* SPDX-License-Identifier: MIT
 *
 * The default queue: it exists without being made, sets itself up at its first use, and is never
 * freed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "environment.h"
#include "once.h"
#include "push.h"
#include "registry.h"
#include "report.h"
#include "worker.h"

/*
 * The default queue and the ring of its shared lane take no memory until they are used, and none
 * has to be found then: a push never fails for want of it.
 */
static struct defer_drop_queue the_queue;
static struct dd_slot the_slots[DD_QUEUE_SIZE];

static _Atomic(bool) is_open;

/* ---- Opening --------------------------------------------------------------------------------- */

/* What the environment says wrongly is reported once, however often the queue fails to open. */
static bool has_told; /* under the registry's lock */

static void make_config(
	const struct defer_drop_config *asked, struct dd_config *config, bool is_told)
{
	dd_environment_apply(
		config, asked, config->values.name, true, is_told ? dd_queue_tell : NULL);
}

/* The slots that are always there serve every ring that they are large enough for. */
static int init(const struct dd_config *config)
{
	the_queue.id = DD_DEFAULT_ID;
	return dd_queue_init(
		&the_queue, config, config->values.queue_size <= DD_QUEUE_SIZE ? the_slots : NULL);
}

/* Under the registry's lock: what was asked for, tuned by the environment. */
static int make_first_config(const struct defer_drop_config *asked, struct dd_config *config)
{
	int result = dd_registry_is_over() ? -ESHUTDOWN : dd_config_make(asked, config);

	if (result)
		return result;
	make_config(asked, config, !has_told);
	has_told = true;
	return 0;
}

/* Under the registry's lock. A first push, which nobody asked about sizes, makes do with less. */
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

/* Under the registry's lock. Changes nothing on error. */
static int open_strictly(const struct defer_drop_config *asked)
{
	struct dd_config config;
	int result = make_first_config(asked, &config);

	if (!result)
		result = init(&config);
	if (!result)
		result = dd_worker_start(&the_queue, true);
	if (result)
		dd_watchdog_end(&the_queue);
	if (result && the_queue.shared_slots)
		dd_slots_unmap(the_queue.shared_slots, the_queue.config.values.queue_size);
	if (result)
		memset(&the_queue, 0, sizeof the_queue);
	return result;
}

static void set_open(void)
{
	dd_registry_add(&the_queue);
	dd_once_done(&is_open);
}

static bool has_opened(void)
{
	return dd_once_is_done(&is_open);
}

bool dd_queue_has_opened(const struct defer_drop_queue *queue)
{
	return queue != &the_queue || has_opened();
}

int dd_queue_open(struct defer_drop_queue *queue)
{
	int result = 0;

	if (queue != &the_queue || has_opened())
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
	if (dd_queue_state(&the_queue) >= DD_CLOSING)
		return -ESHUTDOWN;
	/* The one value that can be changed is in force either way. */
	if (config.values.max_bytes == dd_budget_limit(&the_queue.budget))
		config.values.max_bytes = the_queue.config.values.max_bytes;
	if (!dd_config_is_equal(&config, &the_queue.config))
		return -EALREADY;
	return dd_queue_state(&the_queue) == DD_STOPPED ? defer_drop_queue_start(&the_queue)
							: dd_worker_start(&the_queue, true);
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
	return &the_queue;
}

/* ---- The short calls ------------------------------------------------------------------------- */

int defer_drop(void *object, defer_drop_fn destroy)
{
	return dd_push(dd_self.lane, &the_queue, object, destroy, DEFER_DROP_FOREVER);
}

int defer_drop_try(void *object, defer_drop_fn destroy)
{
	return dd_push(dd_self.lane, &the_queue, object, destroy, 0);
}

int defer_drop_timed(void *object, defer_drop_fn destroy, uint64_t timeout_ns)
{
	int result = dd_timeout_check(timeout_ns);

	return result ? result : dd_push(dd_self.lane, &the_queue, object, destroy, timeout_ns);
}

int defer_drop_rcu(void *object, defer_drop_fn destroy)
{
	if (dd_unlikely(!dd_is_destructor(destroy) || !dd_grace_is_ready(&the_queue.grace)))
		return dd_queue_push_rcu(&the_queue, object, destroy);
	return dd_push(
		dd_self.lane, &the_queue, object, dd_tagged(destroy, DD_GRACE), DEFER_DROP_FOREVER);
}

int defer_drop_bytes(void *object, defer_drop_fn destroy, uint64_t bytes)
{
	if (!bytes)
		return defer_drop(object, destroy);
	return dd_push_bytes(dd_self.lane, &the_queue, object, destroy, bytes);
}

int defer_drop_flush(void)
{
	return defer_drop_queue_flush(&the_queue, DEFER_DROP_FOREVER);
}

int defer_drop_flush_timed(uint64_t timeout_ns)
{
	return defer_drop_queue_flush(&the_queue, timeout_ns);
}

int defer_drop_shutdown(void)
{
	return defer_drop_queue_shutdown(&the_queue, DEFER_DROP_FOREVER);
}

uint32_t defer_drop_version(void)
{
	return DEFER_DROP_VERSION;
}
