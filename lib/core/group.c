/* SPDX-License-Identifier: MIT
 *
 * Groups: their memory, their members, and the threads that wait for them.
 */
#include "core/group.h"

#include <stdlib.h>

#include "core/queue.h"
#include "core/registry.h"

/* Under the registry's lock. */
static struct defer_drop_group *groups; /* all that were ever made */
/* In the order in which they were freed, so that a late call finds a freed one for long. */
static struct defer_drop_group *free_first;
static struct defer_drop_group **free_end = &free_first;

/* ---- Drops ----------------------------------------------------------------------------------- */

const struct dd_options *dd_group_running(const struct defer_drop_queue *queue)
{
	const struct dd_current *current = queue->nested_running;

	if (!current && queue->running_lane)
		current = &queue->running_lane->current;
	if (!current || !(current->options.word & DD_HAS_GROUP) || current->is_passed_over)
		return NULL;
	return &current->options;
}

int dd_group_enter(struct defer_drop_group *group, uint64_t *word)
{
	const struct dd_options *maker =
		dd_is_running(group->queue) ? dd_group_running(group->queue) : NULL;
	bool is_inside = maker && dd_options_group(maker) == group;

	return dd_group_join(group, is_inside ? maker->word : 0, word);
}

void dd_group_withdraw(struct defer_drop_group *group, uint64_t word)
{
	/* Afterwards the group may be freed. */
	struct defer_drop_queue *queue = group->queue;

	if (dd_group_leave(group, word, 0))
		dd_group_wake(queue, group);
}

void dd_group_end(
	struct defer_drop_queue *queue, struct dd_member *member, uint64_t word, bool is_destroyed)
{
	struct defer_drop_group *group = member->group;

	dd_count(is_destroyed ? &group->destroyed_total : &group->abandoned_total);
	dd_member_release(member, 1);
	if (dd_group_leave(group, word, dd_group_runs(group)))
		dd_group_wake(queue, group);
}

struct dd_member *dd_member_make(struct defer_drop_group *group, void *context, uint32_t uses)
{
	struct dd_member *member;

	if (!context)
		return &group->own;
	member = malloc(sizeof *member);
	if (!member)
		return NULL;
	member->group = group;
	dd_plain_store(&member->context, context);
	atomic_store_explicit(&member->uses, uses, memory_order_relaxed);
	return member;
}

void dd_member_release(struct dd_member *member, uint32_t uses)
{
	if (member == &member->group->own)
		return;
	/* SPENT->: without release another thread could free what is still read; ->SPENT: without
	 * acquire this one could. */
	if (atomic_fetch_sub_explicit(&member->uses, uses, memory_order_acq_rel) == uses)
		free(member);
}

/* ---- Waiting, under the lock ----------------------------------------------------------------- */

/* Wakes the threads that need not wait any more. */
static void wake_due(struct defer_drop_queue *queue, const struct defer_drop_group *group)
{
	struct dd_waiter *next;

	for (struct dd_waiter *at = queue->group_waiters.first; at; at = next) {
		struct dd_group_waiter *waiter = (struct dd_group_waiter *)at;

		next = at->next;
		if (waiter->group != group || (dd_group_look(waiter->group) & waiter->bits))
			continue;
		dd_waiters_remove(&queue->group_waiters, at);
		dd_completion_finish(&waiter->completion, 1);
	}
}

void dd_group_wake(struct defer_drop_queue *queue, const struct defer_drop_group *group)
{
	dd_mutex_lock(&queue->waiters_lock);
	wake_due(queue, group);
	dd_mutex_unlock(&queue->waiters_lock);
}

/* Begins the other phase, of which no drop is pending. */
static void begin_phase(struct defer_drop_group *group)
{
	/* First those that wait for that phase: it will not be over for long. */
	wake_due(group->queue, group);
	/* Relaxed is enough: it carries nothing. */
	if (group->epoch++ & 1)
		atomic_fetch_and_explicit(&group->word, ~DD_GROUP_PHASE, memory_order_relaxed);
	else
		atomic_fetch_or_explicit(&group->word, DD_GROUP_PHASE, memory_order_relaxed);
}

uint64_t dd_group_flushed(struct defer_drop_group *group, uint64_t epoch)
{
	uint64_t mine = dd_group_count(epoch & 1);
	uint64_t other = dd_group_count(~epoch & 1);

	if (group->epoch == epoch) {
		/* What was pushed before the last flush is older still. */
		if (dd_group_look(group) & other)
			return other;
		begin_phase(group);
	}
	/* A phase that has begun twice since was over in between. */
	return group->epoch == epoch + 1 ? dd_group_look(group) & mine : 0;
}

uint64_t dd_group_ended(struct defer_drop_group *group, uint64_t epoch)
{
	uint64_t word = dd_group_look(group);
	bool waits_for_all = !(word & DD_GROUP_ABANDONED) || dd_plain_load(&group->told);

	(void)epoch;
	return word & (waits_for_all ? DD_GROUP_PENDING | DD_GROUP_RUNS : DD_GROUP_RUNS);
}

/* Spares the consumer the lock, if no thread waits. */
static void spare(struct defer_drop_group *group)
{
	for (const struct dd_waiter *at = group->queue->group_waiters.first; at; at = at->next)
		if (((const struct dd_group_waiter *)at)->group == group)
			return;
	atomic_fetch_and_explicit(&group->word, ~DD_GROUP_AWAITED, memory_order_relaxed);
}

bool dd_group_enlist(struct dd_group_waiter *self)
{
	struct defer_drop_queue *queue = self->group->queue;
	/* Relaxed is enough: a thread that need not wait looks again. */
	uint64_t word = atomic_fetch_or_explicit(
		&self->group->word, DD_GROUP_AWAITED, memory_order_relaxed);

	if (!(word & self->bits)) {
		spare(self->group);
		return false;
	}
	self->completion.eventfd = -1;
	self->completion.queue = queue;
	self->completion.generation = queue->generation;
	dd_completion_begin(&self->completion, 1);
	dd_waiters_insert(&queue->group_waiters, &self->waiter, NULL);
	return true;
}

void dd_group_unlist(struct dd_group_waiter *self)
{
	struct defer_drop_group *group = self->group;

	if (dd_completion_look(&self->completion) != DD_COMPLETION_OVER)
		dd_waiters_remove(&group->queue->group_waiters, &self->waiter);
	spare(group);
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

static void zero_totals(struct defer_drop_group *group)
{
	atomic_store_explicit(&group->destroyed_total, 0, memory_order_relaxed);
	atomic_store_explicit(&group->abandoned_total, 0, memory_order_relaxed);
}

/* Takes a freed group, the first with which the consumer has done. NULL if there is none. */
static struct defer_drop_group *take_free(void)
{
	for (struct defer_drop_group **at = &free_first; *at; at = &(*at)->next_free) {
		struct defer_drop_group *group = *at;

		if (dd_group_look(group) & DD_GROUP_PENDING)
			continue;
		*at = group->next_free;
		if (free_end == &group->next_free)
			free_end = at;
		return group;
	}
	return NULL;
}

static struct defer_drop_group *make(void)
{
	struct defer_drop_group *group =
		aligned_alloc(alignof(struct defer_drop_group), sizeof *group);

	if (!group)
		return NULL;
	group->epoch = 0;
	group->own.group = group;
	dd_plain_store(&group->own.context, NULL);
	group->next = groups;
	groups = group;
	return group;
}

int dd_group_make(struct defer_drop_group **made, struct defer_drop_queue *queue)
{
	struct defer_drop_group *group;

	dd_registry_lock();
	group = take_free();
	if (!group)
		group = make();
	if (group) {
		group->queue = queue;
		group->next_free = NULL;
		zero_totals(group);
		dd_plain_store(&group->told, NULL);
		/* Relaxed is enough: other threads learn of it from the caller. */
		atomic_store_explicit(
			&group->word, group->epoch & 1 ? DD_GROUP_PHASE : 0, memory_order_relaxed);
		queue->group_count++;
		*made = group;
	}
	dd_registry_unlock();
	return group ? 0 : -ENOMEM;
}

int dd_group_free(struct defer_drop_group *group)
{
	uint64_t word;
	int result = 0;

	dd_registry_lock();
	word = dd_group_look(group);
	if (word & DD_GROUP_FREED)
		result = -EINVAL;
	else if (!(word & (DD_GROUP_CLOSED | DD_GROUP_ABANDONED)) || dd_group_ended(group, 0))
		result = -EBUSY;
	if (!result) {
		dd_group_set(group, DD_GROUP_FREED);
		group->queue->group_count--;
		*free_end = group;
		free_end = &group->next_free;
	}
	dd_registry_unlock();
	return result;
}

/* ---- Forked children ------------------------------------------------------------------------- */

void dd_groups_survive(void)
{
	const uint64_t of_drops = DD_GROUP_PENDING | DD_GROUP_RUNS | DD_GROUP_AWAITED;

	for (struct defer_drop_group *at = groups; at; at = at->next) {
		uint64_t word = atomic_load_explicit(&at->word, memory_order_relaxed);
		/* The thread that forked may be inside a destructor of the group. */
		uint64_t runs = dd_is_running(at->queue) ? word & DD_GROUP_RUNS : 0;

		atomic_store_explicit(&at->word, (word & ~of_drops) | runs, memory_order_relaxed);
		zero_totals(at);
	}
}

void dd_group_keep(const struct dd_options *options)
{
	atomic_fetch_add_explicit(&dd_options_group(options)->word,
		dd_group_one(dd_options_phase(options->word)), memory_order_relaxed);
}
