/* SPDX-License-Identifier: MIT
 *
 * The sequential model of a queue: what each call must answer, and in which order drops end.
 */
#include "model.h"

#include <errno.h>
#include <string.h>

struct model model;
pthread_mutex_t model_gate = PTHREAD_MUTEX_INITIALIZER;

static const struct list empty = {NOWHERE, NOWHERE};

void model_begin(struct defer_drop_queue *queue, const struct defer_drop_config *config)
{
	memset(&model, 0, sizeof model);
	model.queue = queue;
	model.config = *config;
	model.lane = NOWHERE;
	for (unsigned i = 0; i < MOST_LANES; i++) {
		model.lanes[i] = model.nested[i] = empty;
		model.middle[i] = NOWHERE;
	}
	for (unsigned i = 0; i < MOST_COMPLETIONS; i++)
		model.told[i].completion.eventfd = -1;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void append(struct list *list, struct drop *drop)
{
	int index = (int)(drop - model.drops);

	drop->next = NOWHERE;
	if (list->last == NOWHERE)
		list->first = index;
	else
		model.drops[list->last].next = index;
	list->last = index;
}

static void remove_first(struct list *list, const struct drop *drop)
{
	CHECK(list->first == drop - model.drops);
	list->first = drop->next;
	if (list->first == NOWHERE)
		list->last = NOWHERE;
}

/* ---- Destructors ----------------------------------------------------------------------------- */

static void nest(const struct drop *outer)
{
	static struct input nothing;
	struct drop *drop = model_make(&nothing);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	if (!drop)
		return;
	drop->is_nested = true;
	drop->lane = outer->lane;
	drop->bytes = outer->bytes;
	drop->has_status = drop->has_context = outer->bytes & 1;
	options.bytes = drop->bytes;
	options.destroy_context = model_destroy_context(drop);
	options.context = drop->has_context ? &model : NULL;
	CHECK(!defer_drop_queue_push_with(model.queue, drop, model_destroy(drop), 0, &options));
	drop->state = DROP_PENDING;
	append(&model.nested[drop->lane], drop);
	model.pending++;
	model.bytes += drop->bytes;
	model.pushed_total++;
	model.nested_total++;
}

/* Reports the end of a drop, destroyed or not. */
static void tell(const struct drop *drop, bool is_abandoned)
{
	struct told *told;

	if (drop->completion == NOWHERE)
		return;
	told = &model.told[drop->completion];
	CHECK(told->left);
	told->left--;
	told->is_abandoned |= is_abandoned;
	if (!told->status && !is_abandoned && drop->has_status)
		told->status = drop->status;
}

/* Finishes a drop, which is no longer pending. */
static void end(struct drop *drop, enum drop_state state)
{
	drop->state = state;
	model.bytes -= drop->bytes;
	model.pending--;
	if (state == DROP_DESTROYED)
		model.destroyed_total++;
	else
		model.abandoned_total++;
	tell(drop, state == DROP_ABANDONED);
}

/* Takes off a drop, the next of its lane: its next nested one, or else the next of the ring. */
static void take_off(struct drop *drop)
{
	if (drop->is_nested) {
		remove_first(&model.nested[drop->lane], drop);
		return;
	}
	CHECK(model.middle[drop->lane] == NOWHERE);
	remove_first(&model.lanes[drop->lane], drop);
}

/* Ends the lane's drop that is in the middle, if no nested drop of it is left. */
static void end_middle(int lane)
{
	struct drop *drop;

	if (model.middle[lane] == NOWHERE || model.nested[lane].first != NOWHERE)
		return;
	drop = &model.drops[model.middle[lane]];
	model.middle[lane] = NOWHERE;
	model.used[lane] -= drop->width;
	end(drop, DROP_DESTROYED);
}

/* A call of a destructor on its own queue, and its result. */
static void ask_from_inside(struct drop *drop)
{
	struct told *told = drop->completion == NOWHERE ? NULL : &model.told[drop->completion];
	struct defer_drop_queue *queue = model.queue;
	bool is_stale = model.is_forked;

	CHECK(defer_drop_queue_flush(queue, 0) == -EDEADLK);
	CHECK(defer_drop_queue_stop(queue, 0) == -EDEADLK);
	CHECK(defer_drop_queue_start(queue) == -EDEADLK);
	if (drop->ticket.queue_id) {
		CHECK(defer_drop_ticket_wait(&drop->ticket, 0) == (is_stale ? -ESTALE : -EAGAIN));
		CHECK(defer_drop_ticket_wait(&drop->ticket, DEFER_DROP_FOREVER) ==
			(is_stale ? -ESTALE : -EDEADLK));
	}
	if (told && !is_stale)
		CHECK(defer_drop_completion_wait(&told->completion, 0, NULL) == -EAGAIN);
}

static void destroy_behind_gate(struct drop *drop)
{
	CHECK(model.is_running);
	CHECK(drop->state == DROP_PENDING);
	ask_from_inside(drop);
	take_off(drop);
	model.ran++;
	model.failed_total += drop->has_status && drop->status;
	for (unsigned i = 0; i < drop->nests; i++)
		nest(drop);
	if (drop->is_nested) {
		end(drop, DROP_DESTROYED);
	} else {
		drop->state = DROP_IN_THE_MIDDLE;
		model.middle[drop->lane] = (int)(drop - model.drops);
	}
	end_middle(drop->lane);
}

static void destroy(void *object)
{
	bool is_gated = model.config.runner == DEFER_DROP_RUNNER_WORKER;

	if (is_gated)
		pthread_mutex_lock(&model_gate);
	destroy_behind_gate(object);
	if (is_gated)
		pthread_mutex_unlock(&model_gate);
}

static int destroy_with_status(void *object)
{
	const struct drop *drop = object;

	destroy(object);
	return drop->status;
}

static int destroy_with_context(void *object, void *context)
{
	const struct drop *drop = object;

	CHECK(context == &model && drop->has_context);
	return destroy_with_status(object);
}

defer_drop_fn model_destroy(const struct drop *drop)
{
	return drop->has_status ? NULL : destroy;
}

defer_drop_status_fn model_destroy_status(const struct drop *drop)
{
	return drop->has_status && !drop->has_context ? destroy_with_status : NULL;
}

defer_drop_context_fn model_destroy_context(const struct drop *drop)
{
	return drop->has_context ? destroy_with_context : NULL;
}

void model_hear_of_failure(void *context, const struct defer_drop_failure *failure)
{
	const struct drop *drop = failure->object;

	(void)context;
	CHECK((drop->state == DROP_DESTROYED || drop->state == DROP_IN_THE_MIDDLE) &&
		drop->has_status);
	CHECK(failure->status == drop->status && failure->status);
	CHECK(failure->destroy_status == model_destroy_status(drop));
	CHECK(failure->destroy_context == model_destroy_context(drop) && !failure->destroy);
	model.failures_told++;
}

/* ---- Pushes ---------------------------------------------------------------------------------- */

struct drop *model_make(struct input *input)
{
	struct drop *drop = &model.drops[model.count];
	unsigned kind = take_byte(input);

	if (model.count == MOST_DROPS)
		return NULL;
	model.count++;
	*drop = (struct drop){.lane = NOWHERE, .completion = NOWHERE, .width = 1};
	drop->nests = kind & 3;
	drop->has_status = kind & 4;
	drop->status = kind & 8 ? -(int)(1 + (kind >> 4)) : 0;
	return drop;
}

int model_expected(const struct drop *drop, int lane, int no_room)
{
	uint64_t most = model.config.max_bytes;

	if (model.is_shut)
		return -ESHUTDOWN;
	if (drop->bytes && !drop->may_exceed && model.bytes &&
		(drop->bytes > most || model.bytes > most - drop->bytes))
		return no_room;
	return model.used[lane] + drop->width > model.config.queue_size ? no_room : 0;
}

void model_pushed(struct drop *drop, int lane, int result)
{
	if (result) {
		model.refused_total++;
		return;
	}
	drop->state = DROP_PENDING;
	drop->lane = lane;
	append(&model.lanes[lane], drop);
	model.used[lane] += drop->width;
	model.pending++;
	model.bytes += drop->bytes;
	model.pushed_total++;
	if (drop->completion != NOWHERE)
		model.told[drop->completion].left++;
}

static void abandon(struct list *list)
{
	while (list->first != NOWHERE) {
		struct drop *drop = &model.drops[list->first];

		take_off(drop);
		if (!drop->is_nested)
			model.used[drop->lane] -= drop->width;
		end(drop, DROP_ABANDONED);
	}
}

void model_abandon(void)
{
	for (int lane = 0; lane < MOST_LANES; lane++) {
		abandon(&model.nested[lane]);
		end_middle(lane);
		abandon(&model.lanes[lane]);
	}
}

void model_lose_middles(void)
{
	for (int lane = 0; lane < MOST_LANES; lane++) {
		abandon(&model.nested[lane]);
		end_middle(lane);
	}
}

void model_forget(void)
{
	model.lane = NOWHERE;
	for (unsigned i = 0; i < MOST_LANES; i++) {
		model.lanes[i] = model.nested[i] = empty;
		model.middle[i] = NOWHERE;
		model.used[i] = 0;
	}
	model.pending = model.bytes = 0;
	model.pushed_total = model.destroyed_total = model.refused_total = 0;
	model.abandoned_total = model.nested_total = model.failed_total = 0;
	model.failures_told = 0;
}

/* ---- Statistics ------------------------------------------------------------------------------ */

void model_check(void)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	CHECK(!defer_drop_queue_stats(model.queue, &stats));
	CHECK(stats.pushed_total == model.pushed_total);
	CHECK(stats.destroyed_total == model.destroyed_total);
	CHECK(stats.refused_total == model.refused_total);
	CHECK(stats.abandoned_total == model.abandoned_total);
	CHECK(stats.nested_total == model.nested_total);
	CHECK(stats.failed_total == model.failed_total);
	CHECK(stats.failed_total == model.failures_told);
	CHECK(stats.backlog == model.pending);
	CHECK(defer_drop_queue_backlog(model.queue) == model.pending);
	CHECK(stats.backlog_bytes == model.bytes);
}
