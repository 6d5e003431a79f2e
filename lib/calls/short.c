/* SPDX-License-Identifier: MIT
 *
 * The short calls, of the default queue.
 */
#include "calls/options.h"
#include "calls/push.h"
#include "life/default.h"

int defer_drop(void *object, defer_drop_fn destroy)
{
	return dd_push(dd_self.lane, &dd_default_queue, object, destroy, DEFER_DROP_FOREVER);
}

int defer_drop_try(void *object, defer_drop_fn destroy)
{
	return dd_push(dd_self.lane, &dd_default_queue, object, destroy, 0);
}

int defer_drop_timed(void *object, defer_drop_fn destroy, uint64_t timeout_ns)
{
	int result = dd_timeout_check(timeout_ns);

	return result ? result
		      : dd_push(dd_self.lane, &dd_default_queue, object, destroy, timeout_ns);
}

int defer_drop_rcu(void *object, defer_drop_fn destroy)
{
	if (dd_unlikely(!dd_is_destructor(destroy) || !dd_grace_is_ready(&dd_default_queue.grace)))
		return dd_queue_push_rcu(&dd_default_queue, object, destroy);
	return dd_push(dd_self.lane, &dd_default_queue, object, dd_tagged(destroy, DD_GRACE),
		DEFER_DROP_FOREVER);
}

/*
 * Pushes a drop that counts bytes to the default queue if the lane is the thread's own; otherwise
 * leaves it to the slow path. bytes: not 0.
 */
static inline int push_bytes(struct dd_lane *lane, struct defer_drop_queue *queue, void *object,
	defer_drop_fn destroy, uint64_t bytes)
{
	const struct dd_options options = {DD_OPTIONS | bytes, NULL};
	const struct dd_drop drop = {object, destroy};
	struct dd_ring *ring = &lane->ring;
	uint64_t at = dd_ring_own_tail(ring);
	int result;

	if (dd_unlikely(dd_ring_is_beyond_limit(ring, at + 1) || !dd_is_destructor(destroy) ||
			bytes > DD_BYTES || !dd_budget_take(&queue->budget, bytes)))
		return dd_queue_push_bytes(queue, object, destroy, bytes);
	result = dd_push_both_at(lane, queue, at, &options, &drop);
	if (dd_unlikely(result))
		dd_budget_give_back(queue, bytes);
	return result;
}

int defer_drop_bytes(void *object, defer_drop_fn destroy, uint64_t bytes)
{
	if (!bytes)
		return defer_drop(object, destroy);
	return push_bytes(dd_self.lane, &dd_default_queue, object, destroy, bytes);
}

int defer_drop_with(void *object, defer_drop_fn destroy, uint64_t timeout_ns,
	const struct defer_drop_options *options)
{
	return defer_drop_queue_push_with(&dd_default_queue, object, destroy, timeout_ns, options);
}

int defer_drop_flush(void)
{
	return defer_drop_queue_flush(&dd_default_queue, DEFER_DROP_FOREVER);
}

int defer_drop_flush_timed(uint64_t timeout_ns)
{
	return defer_drop_queue_flush(&dd_default_queue, timeout_ns);
}

int defer_drop_shutdown(void)
{
	return defer_drop_queue_shutdown(&dd_default_queue, DEFER_DROP_FOREVER);
}

uint32_t defer_drop_version(void)
{
	return DEFER_DROP_VERSION;
}
