/* SPDX-License-Identifier: MIT
 *
 * The strategies that need nothing but the public calls.
 */
#include "defer_drop/strategy.h"

#include <errno.h>

#include "base/deadline.h"
#include "defer_drop/group.h"
#include "face/strategy.h"

int dd_strategy_check(const struct defer_drop_strategy *strategy)
{
	if (!strategy->version || !strategy->drop)
		return -EINVAL;
	return strategy->version > DEFER_DROP_STRATEGY_VERSION ? -E2BIG : 0;
}

int defer_drop_by(const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	int before = errno;
	int result;

	if (!destroy)
		return -EINVAL;
	strategy = strategy ? strategy : &defer_drop_strategy_worker;
	result = dd_strategy_check(strategy);
	if (result)
		return result;
	result = strategy->drop(strategy, object, destroy);
	if (!result)
		errno = before; /* a destructor run in place may have changed it */
	return result;
}

/* ---- In place, leak -------------------------------------------------------------------------- */

static int destroy_now(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	destroy(object);
	return 0;
}

static int forget(const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	(void)object;
	(void)destroy;
	return 0;
}

static int wait_in_vain(const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	(void)strategy;
	(void)timeout_ns;
	return -ESHUTDOWN;
}

const struct defer_drop_strategy defer_drop_strategy_in_place = {
	DEFER_DROP_STRATEGY_VERSION, destroy_now, NULL};
const struct defer_drop_strategy defer_drop_strategy_leak = {
	DEFER_DROP_STRATEGY_VERSION, forget, wait_in_vain};

/* ---- Queues ---------------------------------------------------------------------------------- */

static int wait_for_own(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	struct defer_drop_ticket ticket;
	int result = defer_drop_queue_ticket(queue, &ticket);

	return result ? result : defer_drop_ticket_wait(&ticket, timeout_ns);
}

static int push_to_worker(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	return defer_drop(object, destroy);
}

static int push_after_grace_period(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	return defer_drop_rcu(object, destroy);
}

static int wait_for_worker(const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	(void)strategy;
	return wait_for_own(defer_drop_queue_default(), timeout_ns);
}

const struct defer_drop_strategy defer_drop_strategy_worker = {
	DEFER_DROP_STRATEGY_VERSION, push_to_worker, wait_for_worker};
const struct defer_drop_strategy defer_drop_strategy_rcu = {
	DEFER_DROP_STRATEGY_VERSION, push_after_grace_period, wait_for_worker};

static int push_to_queue(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_queue *self =
		(const struct defer_drop_strategy_queue *)strategy;

	return defer_drop_queue_push(self->queue, object, destroy, self->timeout_ns);
}

static int wait_for_queue(const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	return wait_for_own(
		((const struct defer_drop_strategy_queue *)strategy)->queue, timeout_ns);
}

int defer_drop_strategy_queue_init(struct defer_drop_strategy_queue *strategy,
	struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	int result = strategy && queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (result)
		return result;
	*strategy = (struct defer_drop_strategy_queue){
		.strategy = {DEFER_DROP_STRATEGY_VERSION, push_to_queue, wait_for_queue},
		.queue = queue,
		.timeout_ns = timeout_ns,
	};
	return 0;
}

static int push_to_group(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_group *self =
		(const struct defer_drop_strategy_group *)strategy;

	return defer_drop_group_push(self->group, object, destroy, self->timeout_ns);
}

static int wait_for_group(const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	return defer_drop_group_flush(
		((const struct defer_drop_strategy_group *)strategy)->group, timeout_ns);
}

int defer_drop_strategy_group_init(struct defer_drop_strategy_group *strategy,
	struct defer_drop_group *group, uint64_t timeout_ns)
{
	int result = strategy && group ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (result)
		return result;
	*strategy = (struct defer_drop_strategy_group){
		.strategy = {DEFER_DROP_STRATEGY_VERSION, push_to_group, wait_for_group},
		.group = group,
		.timeout_ns = timeout_ns,
	};
	return 0;
}

void defer_drop_queue_end(void *queue)
{
	if (!queue || queue == defer_drop_queue_default())
		return;
	defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER);
	defer_drop_queue_free(queue);
}

/* ---- Executor -------------------------------------------------------------------------------- */

static int submit(const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_executor *self =
		(const struct defer_drop_strategy_executor *)strategy;

	return self->submit(self->executor, object, destroy);
}

int defer_drop_strategy_executor_init(struct defer_drop_strategy_executor *strategy,
	defer_drop_submit_fn function, void *executor)
{
	if (!strategy || !function)
		return -EINVAL;
	*strategy = (struct defer_drop_strategy_executor){
		.strategy = {DEFER_DROP_STRATEGY_VERSION, submit, NULL},
		.submit = function,
		.executor = executor,
	};
	return 0;
}
