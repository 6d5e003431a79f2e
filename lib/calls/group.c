/* SPDX-License-Identifier: MIT
 *
 * Groups: pushing in the name of one, and waiting for what is its own.
 */
#include "core/group.h"

#include <errno.h>

#include "calls/drain.h"
#include "core/registry.h"
#include "life/default.h"

/* ---- Making, freeing, pushing ---------------------------------------------------------------- */

/* True if this is a group that was not freed. */
static bool is_there(struct defer_drop_group *group)
{
	return group && !(dd_group_look(group) & DD_GROUP_FREED);
}

int defer_drop_group_create(struct defer_drop_group **group, struct defer_drop_queue *queue)
{
	return group ? dd_group_make(group, queue ? queue : defer_drop_queue_default()) : -EINVAL;
}

int defer_drop_group_free(struct defer_drop_group *group)
{
	return group ? dd_group_free(group) : -EINVAL;
}

int defer_drop_group_push(
	struct defer_drop_group *group, void *object, defer_drop_fn destroy, uint64_t timeout_ns)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	if (!is_there(group))
		return -EINVAL;
	options.group = group;
	return defer_drop_queue_push_with(group->queue, object, destroy, timeout_ns, &options);
}

uint64_t defer_drop_group_backlog(struct defer_drop_group *group)
{
	return group ? dd_group_backlog(group) : 0;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Returns the bits of the word for which a call waits; see dd_group_flushed. */
typedef uint64_t (*wanted_fn)(struct defer_drop_group *group, uint64_t epoch);

/* Puts the calling thread into the list, if it has to wait. Under the lock. */
static bool begin_waiting(struct dd_group_waiter *self, wanted_fn wanted, uint64_t epoch)
{
	/* What was wanted may be over before the list says that a thread waits. */
	do {
		self->bits = wanted(self->group, epoch);
	} while (self->bits && !dd_group_enlist(self));
	return self->bits;
}

static int wait_for(struct defer_drop_group *group, wanted_fn wanted, uint64_t deadline_ns)
{
	struct dd_mutex *lock = &group->queue->waiters_lock;
	struct dd_group_waiter self = {.group = group};
	uint64_t epoch;
	int result = 0;

	if (!dd_queue_has_opened(group->queue))
		return 0; /* nothing was pushed */
	dd_mutex_lock(lock);
	epoch = group->epoch;
	while (!result && begin_waiting(&self, wanted, epoch)) {
		dd_mutex_unlock(lock);
		result = dd_queue_await(&self.completion, deadline_ns, NULL);
		dd_mutex_lock(lock);
		dd_group_unlist(&self);
	}
	dd_mutex_unlock(lock);
	return result;
}

/* Checks the arguments of a call that waits. */
static int check(struct defer_drop_group *group, uint64_t timeout_ns)
{
	return is_there(group) ? dd_timeout_check(timeout_ns) : -EINVAL;
}

int defer_drop_group_flush(struct defer_drop_group *group, uint64_t timeout_ns)
{
	uint64_t deadline_ns = dd_deadline_after(timeout_ns);
	int result = check(group, timeout_ns);

	if (!result)
		result = wait_for(group, dd_group_flushed, deadline_ns);
	return !result && dd_read(&group->abandoned_total) ? -ESHUTDOWN : result;
}

int defer_drop_group_end(struct defer_drop_group *group, uint64_t timeout_ns)
{
	uint64_t deadline_ns = dd_deadline_after(timeout_ns);
	int result = check(group, timeout_ns);

	if (result)
		return result;
	dd_group_set(group, DD_GROUP_CLOSED);
	return wait_for(group, dd_group_ended, deadline_ns);
}

/* Sets the function that is told of objects; that of the first call counts. */
static void abandon(struct defer_drop_group *group, defer_drop_abandoned_fn told, void *context)
{
	dd_registry_lock();
	if (!(dd_group_look(group) & DD_GROUP_ABANDONED)) {
		dd_plain_store(&group->told, told);
		dd_plain_store(&group->told_context, context);
		dd_group_set(group, DD_GROUP_ABANDONED);
	}
	dd_registry_unlock();
}

int defer_drop_group_abandon(struct defer_drop_group *group, defer_drop_abandoned_fn told,
	void *context, uint64_t timeout_ns)
{
	uint64_t deadline_ns = dd_deadline_after(timeout_ns);
	int result = check(group, timeout_ns);

	if (result)
		return result;
	abandon(group, told, context);
	return wait_for(group, dd_group_ended, deadline_ns);
}
