/* SPDX-License-Identifier: MIT
 *
 * Groups: what is flushed, counted, abandoned and ended together.
 */
#include "queues.h"

#include "core/group.h"
#include "life/default.h"

TestSuite(group, .timeout = 60);

static struct defer_drop_group *make_group(struct defer_drop_queue *queue)
{
	struct defer_drop_group *group = NULL;

	answers(0, defer_drop_group_create(&group, queue));
	return group;
}

static void end_group(struct defer_drop_group *group)
{
	answers(0, defer_drop_group_end(group, FOREVER));
	answers(0, defer_drop_group_free(group));
}

static void push(struct defer_drop_group *group, void *object, defer_drop_fn destroy)
{
	answers(0, defer_drop_group_push(group, object, destroy, FOREVER));
}

/* Has the worker stand in a gate that is a drop of this group. */
static void hold_up_in(struct defer_drop_group *group, struct gate *gate)
{
	gate_init(gate);
	push(group, gate, pass_gate);
	await_held(gate);
}

static struct defer_drop_stats group_stats(struct defer_drop_group *group)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	answers(0, defer_drop_group_stats(group, &stats));
	return stats;
}

static void assert_stats(struct defer_drop_group *group, uint64_t destroyed, uint64_t abandoned)
{
	struct defer_drop_stats stats = group_stats(group);

	cr_assert_eq(stats.destroyed_total, destroyed);
	cr_assert_eq(stats.abandoned_total, abandoned);
	cr_assert_eq(stats.backlog, 0);
	cr_assert(is_balanced(&stats));
}

static unsigned waiters_of(struct defer_drop_group *group)
{
	unsigned count = 0;

	dd_mutex_lock(&group->queue->waiters_lock);
	for (struct dd_waiter *at = group->queue->group_waiters.first; at; at = at->next)
		count += ((struct dd_group_waiter *)at)->group == group;
	dd_mutex_unlock(&group->queue->waiters_lock);
	return count;
}

static void *flush_group(void *group)
{
	return number((uintptr_t)-defer_drop_group_flush(group, FOREVER));
}

static void *end_in_thread(void *group)
{
	return number((uintptr_t)-defer_drop_group_end(group, FOREVER));
}

static void *abandon_in_thread(void *group)
{
	return number((uintptr_t)-defer_drop_group_abandon(group, NULL, NULL, FOREVER));
}

/* Begins a call in another thread, and awaits that it waits beside `before` others. */
static pthread_t begin(struct defer_drop_group *group, void *(*call)(void *), unsigned before)
{
	pthread_t thread = spawn(call, group);

	await(waiters_of(group) == before + 1);
	return thread;
}

/* Notes what it was told; its context must be the counter of notes. */
static void told(void *context, void *object)
{
	cr_assert_eq(context, (void *)&seen_count);
	note(object);
}

/* ---- Flush ----------------------------------------------------------------------------------- */

Test(group, is_flushed_in_every_kind_of_queue)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue =
			make_queue(i & 1 ? CALLER : WORKER, 16, lanes_tried[i / 2]);
		struct defer_drop_group *group = make_group(queue);

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_group_flush(group, FOREVER));
		for (uintptr_t j = 0; j < 5; j++)
			push(group, number(j), note);
		answers(0, defer_drop_group_flush(group, FOREVER));
		assert_seen(0, 5);
		answers(0, defer_drop_group_flush(group, 0));
		assert_stats(group, 5, 0);
		end_group(group);
		end_queue(queue);
	}
}

Test(group, of_the_default_queue_needs_no_queue)
{
	struct defer_drop_group *group = make_group(NULL);

	/* Before the queue is set up. */
	answers(0, defer_drop_group_flush(group, FOREVER));
	cr_assert_eq(defer_drop_group_backlog(group), 0);
	cr_assert_not(dd_queue_has_opened(defer_drop_queue_default()));
	push(group, number(0), note);
	answers(0, defer_drop_group_flush(group, FOREVER));
	assert_seen(0, 1);
	end_group(group);
}

Test(group, of_a_queue_that_was_never_used_ends)
{
	struct defer_drop_group *group = make_group(NULL);

	answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	answers(0, defer_drop_group_end(group, FOREVER));
	answers(0, defer_drop_group_free(group));
	cr_assert_not(dd_queue_has_opened(defer_drop_queue_default()));
}

Test(group, flush_waits_for_its_own_drops_and_not_for_later_ones_of_others)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct gate mine;
	struct gate other;

	hold_up_in(group, &mine);
	gate_init(&other);
	answers(0, defer_drop_queue_push(queue, &other, pass_gate, FOREVER));
	answers(-EAGAIN, defer_drop_group_flush(group, 0));
	answers(-ETIMEDOUT, defer_drop_group_flush(group, MS));
	cr_assert_eq(defer_drop_group_backlog(group), 1);
	let_go(&mine);
	await_held(&other);
	answers(0, defer_drop_group_flush(group, FOREVER));
	answers(-EAGAIN, defer_drop_queue_flush(queue, 0));
	end_group(group);
	let_go(&other);
	end_queue(queue);
}

Test(group, flush_is_not_prolonged_by_later_drops_of_its_own)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct gate gates[4];
	pthread_t first;
	pthread_t second;

	hold_up_in(group, &gates[0]);
	first = begin(group, flush_group, 0);
	gate_init(&gates[1]);
	push(group, &gates[1], pass_gate);
	/* It waits for what the first one waits for, and then for what has come by then. */
	second = begin(group, flush_group, 1);
	gate_init(&gates[2]);
	push(group, &gates[2], pass_gate);
	let_go(&gates[0]);
	cr_assert_null(join_thread(first));
	await_held(&gates[1]);
	await(group->epoch == 2);
	gate_init(&gates[3]);
	push(group, &gates[3], pass_gate);
	let_go(&gates[1]);
	await_held(&gates[2]);
	let_go(&gates[2]);
	await_held(&gates[3]);
	cr_assert_null(join_thread(second));
	answers(-EAGAIN, defer_drop_group_flush(group, 0));
	let_go(&gates[3]);
	answers(0, defer_drop_group_flush(group, FOREVER));
	end_group(group);
	end_queue(queue);
}

Test(group, several_threads_flush_and_end_it_at_once)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	pthread_t threads[6];
	struct gate gate;

	hold_up_in(group, &gate);
	for (unsigned i = 0; i < 6; i++)
		threads[i] = begin(group, i % 3 ? flush_group : end_in_thread, i);
	let_go(&gate);
	for (unsigned i = 0; i < 6; i++)
		cr_assert_null(join_thread(threads[i]));
	cr_assert_eq(waiters_of(group), 0);
	cr_assert_not(atomic_load(&group->word) & DD_GROUP_AWAITED);
	end_group(group);
	end_queue(queue);
}

Test(group, flush_on_a_stopped_queue_waits_until_it_is_started)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	pthread_t flusher;

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	push(group, number(0), note);
	answers(-ETIMEDOUT, defer_drop_group_flush(group, MS));
	flusher = begin(group, flush_group, 0);
	answers(0, defer_drop_queue_start(queue));
	cr_assert_null(join_thread(flusher));
	assert_seen(0, 1);
	end_group(group);
	end_queue(queue);
}

Test(group, flush_waits_for_a_thread_that_drains)
{
	struct defer_drop_queue *queue = make_queue(DRAINER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	pthread_t flusher;

	push(group, number(0), note);
	answers(-EAGAIN, defer_drop_group_flush(group, 0));
	flusher = begin(group, flush_group, 0);
	drain(queue, UINT64_MAX);
	cr_assert_null(join_thread(flusher));
	end_group(group);
	end_queue(queue);
}

/* ---- Drops with options, and nested ones ----------------------------------------------------- */

static int note_with_context(void *object, void *context)
{
	note((char *)object + (uintptr_t)context);
	return 0;
}

Test(group, takes_drops_with_all_options)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[i]);
		struct defer_drop_group *group = make_group(queue);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct defer_drop_ticket ticket;
		void *objects[5];
		int status;

		atomic_store(&seen_count, 0);
		for (uintptr_t j = 0; j < 5; j++)
			objects[j] = number(j);
		options.group = group;
		options.destroy_context = note_with_context;
		options.context = number(100);
		options.bytes = 1000;
		options.ticket = &ticket;
		for (unsigned with = 0; with < 2; with++) {
			options.completion = with ? &completion : NULL;
			answers(0, defer_drop_queue_push_with(
					   queue, number(0), NULL, FOREVER, &options));
			answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
			answers(0, defer_drop_queue_push_many(
					   queue, objects + 1, 4, NULL, FOREVER, &options, NULL));
			if (with)
				answers(0,
					defer_drop_completion_wait(&completion, FOREVER, &status));
			answers(0, defer_drop_group_flush(group, FOREVER));
			assert_seen(100, 5);
			atomic_store(&seen_count, 0);
		}
		assert_stats(group, 10, 0);
		end_group(group);
		end_queue(queue);
	}
}

Test(group, counts_nothing_for_pushes_that_fail)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 4, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *objects[3] = {NULL, NULL, NULL};
	size_t pushed = 9;

	options.group = group;
	options.destroy_context = note_with_context;
	options.context = number(1);
	answers(0, defer_drop_queue_push_many(queue, objects, 0, NULL, 0, &options, &pushed));
	cr_assert_eq(pushed, 0);
	answers(-EAGAIN, defer_drop_queue_push_many(queue, objects, 3, NULL, 0, &options, &pushed));
	cr_assert_eq(pushed, 2);
	answers(-EAGAIN, defer_drop_group_push(group, NULL, forbidden, 0));
	answers(-ETIMEDOUT, defer_drop_group_push(group, NULL, forbidden, MS));
	answers(-EINVAL, defer_drop_group_push(group, NULL, NULL, 0));
	cr_assert_eq(defer_drop_group_backlog(group), 2);
	answers(0, defer_drop_group_flush(group, FOREVER));
	assert_stats(group, 2, 0);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	end_group(group);
	end_queue(queue);
}

Test(group, refuses_another_queue)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 4, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.group = group;
	answers(-EINVAL, defer_drop_with(NULL, forbidden, 0, &options));
	answers(0, defer_drop_queue_push_with(queue, number(0), note, 0, &options));
	end_group(group);
	assert_seen(0, 1);
	end_queue(queue);
}

Test(group, takes_no_more_than_it_can_count)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 4, LANES);
	struct defer_drop_group *group = make_group(queue);

	atomic_store(&group->word, dd_group_count(0) - 1);
	answers(0, defer_drop_group_push(group, NULL, note, 0));
	answers(-EOVERFLOW, defer_drop_group_push(group, NULL, forbidden, 0));
	cr_assert_eq(defer_drop_group_backlog(group), 268435455);
	atomic_store(&group->word, 1);
	end_group(group);
	end_queue(queue);
}

/* What a destructor makes, in which group. */
struct nesting {
	struct defer_drop_queue *queue;
	struct defer_drop_group *group; /* of the drop that is made, or NULL */
	void *object;
	defer_drop_fn destroy;
	bool has_context;
};

static int pass_gate_with_context(void *object, void *context)
{
	pass_gate(object);
	return context != number(7);
}

static void make_nested(void *object)
{
	struct nesting *nesting = object;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int result;

	options.group = nesting->group;
	if (nesting->has_context) {
		options.destroy_context = pass_gate_with_context;
		options.context = number(7);
	}
	if (nesting->group || nesting->has_context)
		result = defer_drop_queue_push_with(nesting->queue, nesting->object,
			nesting->has_context ? NULL : nesting->destroy, FOREVER, &options);
	else
		result = defer_drop_queue_push(
			nesting->queue, nesting->object, nesting->destroy, FOREVER);
	if (result)
		abort();
}

Test(group, has_what_its_destructors_make)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
		struct defer_drop_group *group = make_group(queue);
		struct gate gate;
		struct nesting made = {queue, NULL, &gate, pass_gate, i};

		gate_init(&gate);
		push(group, &made, make_nested);
		await_held(&gate);
		answers(-EAGAIN, defer_drop_group_flush(group, 0));
		cr_assert_eq(defer_drop_group_backlog(group), 2);
		let_go(&gate);
		answers(0, defer_drop_group_flush(group, FOREVER));
		cr_assert_eq(stats_of(queue).failed_total, 0);
		assert_stats(group, 2, 0);
		end_group(group);
		end_queue(queue);
	}
}

Test(group, has_what_a_nested_drop_of_its_own_makes)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct gate gate;
	struct nesting last = {queue, NULL, &gate, pass_gate, false};
	struct nesting first = {queue, group, &last, make_nested, false};
	pthread_t ender;

	gate_init(&gate);
	/* The drop in the ring is in no group. */
	answers(0, defer_drop_queue_push(queue, &first, make_nested, FOREVER));
	await_held(&gate);
	cr_assert_eq(defer_drop_group_backlog(group), 1);
	ender = begin(group, end_in_thread, 0);
	let_go(&gate);
	cr_assert_null(join_thread(ender));
	assert_stats(group, 2, 0);
	answers(0, defer_drop_group_free(group));
	end_queue(queue);
}

Test(group, a_drop_made_by_a_destructor_may_be_in_another_one)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_group *other = make_group(queue);
	struct nesting made = {queue, other, NULL, note, false};

	push(group, &made, make_nested);
	answers(0, defer_drop_group_flush(group, FOREVER));
	assert_stats(group, 1, 0);
	assert_stats(other, 1, 0);
	end_group(group);
	end_group(other);
	end_queue(queue);
}

static struct defer_drop_group *the_group;

/* Makes another drop of its group, in its name, when the group has been closed. */
static void make_when_closed(void *object)
{
	await(atomic_load(&the_group->word) & DD_GROUP_CLOSED);
	if (defer_drop_group_push(the_group, object, note, FOREVER) ||
		defer_drop_queue_push(the_group->queue, (char *)object + 1, note, FOREVER))
		abort();
}

Test(group, that_ends_takes_what_its_destructors_make)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	the_group = make_group(queue);
	push(the_group, number(0), make_when_closed);
	answers(0, defer_drop_group_end(the_group, FOREVER));
	assert_seen(0, 2);
	assert_stats(the_group, 3, 0);
	answers(-ESHUTDOWN, defer_drop_group_push(the_group, NULL, forbidden, FOREVER));
	answers(0, defer_drop_group_free(the_group));
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static atomic_uint slices;

static int cut_thrice(void *object)
{
	(void)object;
	return atomic_fetch_add(&slices, 1) < 2 ? DEFER_DROP_AGAIN : 0;
}

static int cut_for_ever(void *object)
{
	(void)object;
	atomic_fetch_add(&slices, 1);
	return DEFER_DROP_AGAIN;
}

static void push_slices(struct defer_drop_group *group, defer_drop_status_fn cut)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.group = group;
	options.destroy_status = cut;
	answers(0, defer_drop_queue_push_with(group->queue, number(0), NULL, FOREVER, &options));
}

Test(group, flush_waits_for_the_last_slice)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);

	push_slices(group, cut_thrice);
	answers(0, defer_drop_group_flush(group, FOREVER));
	cr_assert_eq(atomic_load(&slices), 3);
	end_group(group);
	end_queue(queue);
}

/* ---- Abandon --------------------------------------------------------------------------------- */

Test(group, that_is_abandoned_is_not_destroyed_and_tells_its_objects)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[i % 2]);
		struct defer_drop_group *group = make_group(queue);
		bool is_told = i / 2;
		struct defer_drop_stats stats;
		pthread_t abandoner = 0;
		struct gate gate;

		atomic_store(&seen_count, 0);
		hold_up(queue, &gate);
		for (uintptr_t j = 0; j < 3; j++)
			push(group, number(j), forbidden);
		if (is_told) {
			answers(-ETIMEDOUT,
				defer_drop_group_abandon(group, told, (void *)&seen_count, MS));
			/* The first call's function is in force. */
			abandoner = begin(group, abandon_in_thread, 0);
		} else {
			/* It waits for nobody else. */
			answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
		}
		answers(-ESHUTDOWN, defer_drop_group_push(group, NULL, forbidden, FOREVER));
		cr_assert_eq(defer_drop_group_backlog(group), 3);
		let_go(&gate);
		if (is_told)
			cr_assert_null(join_thread(abandoner));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, is_told ? 3 : 0);
		assert_stats(group, 0, 3);
		answers(-ESHUTDOWN, defer_drop_group_flush(group, FOREVER));
		stats = stats_of(queue);
		cr_assert_eq(stats.abandoned_total, 3);
		cr_assert_eq(stats.destroyed_total, 1);
		cr_assert(is_balanced(&stats));
		end_group(group);
		/* No drop was abandoned by the shutdown. */
		answers(0, defer_drop_queue_shutdown(queue, LONG_NS));
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(group, abandon_waits_for_the_destructor_that_runs)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	pthread_t abandoner;
	struct gate gate;

	hold_up_in(group, &gate);
	push(group, NULL, forbidden);
	answers(-EAGAIN, defer_drop_group_abandon(group, NULL, NULL, 0));
	answers(-ETIMEDOUT, defer_drop_group_abandon(group, NULL, NULL, MS));
	answers(-EBUSY, defer_drop_group_free(group));
	abandoner = begin(group, abandon_in_thread, 0);
	let_go(&gate);
	cr_assert_null(join_thread(abandoner));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_stats(group, 1, 1);
	answers(0, defer_drop_group_free(group));
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(group, abandon_does_not_wait_for_a_drop_that_is_left_in_the_middle)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);

	push_slices(group, cut_for_ever);
	drain(queue, 1);
	answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	cr_assert_eq(defer_drop_group_backlog(group), 1);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&slices), 1);
	assert_stats(group, 0, 1);
	end_group(group);
	end_queue(queue);
}

Test(group, abandon_ends_slices_without_end)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);

	push_slices(group, cut_for_ever);
	await(atomic_load(&slices) > 10);
	answers(0, defer_drop_group_abandon(group, told, (void *)&seen_count, FOREVER));
	assert_seen(0, 1);
	end_group(group);
	end_queue(queue);
}

Test(group, abandon_passes_over_nested_drops)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
		struct defer_drop_group *group = make_group(queue);
		struct nesting made = {queue, i ? group : NULL, NULL, forbidden, false};
		struct defer_drop_stats stats;

		if (i)
			answers(0, defer_drop_queue_push(queue, &made, make_nested, FOREVER));
		else
			push(group, &made, make_nested);
		drain(queue, 1);
		cr_assert_eq(defer_drop_group_backlog(group), i ? 1 : 2);
		answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_stats(group, i ? 0 : 1, 1);
		stats = stats_of(queue);
		cr_assert_eq(stats.abandoned_total, 1);
		cr_assert(is_balanced(&stats));
		end_group(group);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(group, completions_of_abandoned_drops_are_over)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int status = 99;

	options.group = group;
	options.completion = &completion;
	options.destroy_context = forbidden_context;
	options.context = number(3);
	options.bytes = 10;
	answers(0, defer_drop_queue_push_with(queue, number(5), NULL, FOREVER, &options));
	answers(-EAGAIN, defer_drop_group_abandon(group, told, (void *)&seen_count, 0));
	answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, FOREVER, &status));
	answers(0, status);
	assert_seen(5, 1);
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	end_group(group);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* The object becomes one of a plain drop, made when the group tells of it. */
static void drop_plainly(void *queue, void *object)
{
	if (defer_drop_queue_push(queue, object, note, FOREVER))
		abort();
}

Test(group, what_is_dropped_by_the_function_that_is_told_is_in_no_group)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
		struct defer_drop_group *group = make_group(queue);
		struct nesting made = {queue, group, number(0), forbidden, false};

		atomic_store(&seen_count, 0);
		if (i) {
			answers(0, defer_drop_queue_push(queue, &made, make_nested, FOREVER));
			drain(queue, 1);
		} else {
			push(group, number(0), forbidden);
		}
		answers(0, defer_drop_group_abandon(group, drop_plainly, queue, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, 1);
		assert_stats(group, 0, 1);
		end_group(group);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(group, abandon_needs_no_consumer)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	push(group, NULL, forbidden);
	answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	end_group(group);
	answers(0, defer_drop_queue_start(queue));
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- The end --------------------------------------------------------------------------------- */

Test(group, can_be_freed_only_when_it_has_ended)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct gate gate;

	answers(-EBUSY, defer_drop_group_free(group));
	hold_up_in(group, &gate);
	answers(-EAGAIN, defer_drop_group_end(group, 0));
	answers(-ETIMEDOUT, defer_drop_group_end(group, MS));
	answers(-EBUSY, defer_drop_group_free(group));
	/* It takes no more, though it has not ended. */
	answers(-ESHUTDOWN, defer_drop_group_push(group, NULL, forbidden, FOREVER));
	let_go(&gate);
	answers(0, defer_drop_group_end(group, FOREVER));
	answers(0, defer_drop_group_end(group, 0));
	answers(-ESHUTDOWN, defer_drop_group_push(group, NULL, forbidden, FOREVER));
	answers(0, defer_drop_group_flush(group, FOREVER));
	answers(0, defer_drop_group_free(group));
	end_queue(queue);
}

Test(group, that_was_freed_refuses_every_call)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	options.group = group;
	end_group(group);
	answers(-EINVAL, defer_drop_group_free(group));
	answers(-EINVAL, defer_drop_group_end(group, FOREVER));
	answers(-EINVAL, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	answers(-EINVAL, defer_drop_group_flush(group, FOREVER));
	answers(-EINVAL, defer_drop_group_push(group, NULL, forbidden, FOREVER));
	answers(-EINVAL, defer_drop_queue_push_with(queue, NULL, forbidden, FOREVER, &options));
	answers(-EINVAL, defer_drop_group_stats(group, &stats));
	cr_assert_eq(defer_drop_group_backlog(group), 0);
	end_queue(queue);
}

Test(group, whose_drops_are_still_in_the_rings_can_be_freed_after_it_was_abandoned)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_group *others[2];
	struct gate gate;

	hold_up(queue, &gate);
	push(group, NULL, forbidden);
	answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	answers(0, defer_drop_group_free(group));
	/* Its memory is not used for others before its drops have passed. */
	others[0] = make_group(queue);
	cr_assert_neq(others[0], group);
	push(others[0], number(0), note);
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 1);
	others[1] = make_group(queue);
	cr_assert_eq(others[1], group);
	assert_stats(others[1], 0, 0);
	push(others[1], number(1), note);
	answers(0, defer_drop_group_flush(others[1], FOREVER));
	assert_seen(0, 2);
	end_group(others[0]);
	end_group(others[1]);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(group, memory_is_used_again_in_order)
{
	struct defer_drop_group *made[4];

	for (unsigned i = 0; i < 3; i++)
		made[i] = make_group(NULL);
	for (unsigned i = 0; i < 3; i++)
		end_group(made[i]);
	for (unsigned round = 0; round < 7; round++) {
		struct defer_drop_group *group = make_group(NULL);

		cr_assert_eq(group, made[round % 3]);
		end_group(group);
	}
}

Test(group, keeps_its_queue)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);

	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(-EBUSY, defer_drop_queue_free(queue));
	answers(-ESHUTDOWN, defer_drop_group_push(group, NULL, forbidden, FOREVER));
	answers(0, defer_drop_group_flush(group, FOREVER));
	end_group(group);
	answers(0, defer_drop_queue_free(queue));
}

Test(group, knows_what_a_shutdown_abandons)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(i ? CALLER : WORKER, 16, LANES);
		struct defer_drop_group *group = make_group(queue);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		if (!i)
			answers(0, defer_drop_queue_stop(queue, FOREVER));
		options.group = group;
		options.destroy_context = forbidden_context;
		options.context = number(3);
		push(group, NULL, forbidden);
		answers(0, defer_drop_queue_push_with(queue, NULL, NULL, FOREVER, &options));
		answers(0, defer_drop_queue_shutdown(queue, 0));
		answers(-ESHUTDOWN, defer_drop_group_flush(group, FOREVER));
		assert_stats(group, 0, 2);
		cr_assert_eq(stats_of(queue).abandoned_total, 2);
		end_group(group);
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(group, of_a_queue_that_is_given_up_does_not_end)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	pthread_t flusher;
	struct gate gate;

	hold_up_in(group, &gate);
	flusher = begin(group, flush_group, 0);
	answers(-ECANCELED, defer_drop_queue_shutdown(queue, 0));
	cr_assert_eq(join_thread(flusher), number(ECANCELED));
	answers(-ECANCELED, defer_drop_group_flush(group, FOREVER));
	answers(-ECANCELED, defer_drop_group_end(group, 0));
	answers(-EBUSY, defer_drop_group_free(group));
	let_go(&gate);
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	end_group(group);
	answers(0, defer_drop_queue_free(queue));
}

/* ---- From a destructor ----------------------------------------------------------------------- */

static atomic_int wrong_answers;

#define expect(want, call)                                   \
	do {                                                 \
		if ((call) != (want))                        \
			atomic_fetch_add(&wrong_answers, 1); \
	} while (0)

static void wait_inside(void *group)
{
	expect(-EDEADLK, defer_drop_group_flush(group, FOREVER));
	expect(-EAGAIN, defer_drop_group_flush(group, 0));
	expect(-EDEADLK, defer_drop_group_end(group, FOREVER));
	expect(-EAGAIN, defer_drop_group_end(group, 0));
	expect(-EDEADLK, defer_drop_group_abandon(group, NULL, NULL, MS));
	expect(-EBUSY, defer_drop_group_free(group));
}

/* Of another group, or none. */
static void abandon_inside(void *group)
{
	expect(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	expect(0, defer_drop_group_free(group));
}

Test(group, destructors_of_it_cannot_wait_for_it)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(i ? CALLER : WORKER, 16, LANES);
		struct defer_drop_group *group = make_group(queue);

		push(group, group, wait_inside);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, atomic_load(&wrong_answers));
		end_group(group);
		end_queue(queue);
	}
}

Test(group, destructors_of_others_can_abandon_it)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct gate gate;

	hold_up(queue, &gate);
	answers(0, defer_drop_queue_push(queue, group, abandon_inside, FOREVER));
	push(group, NULL, forbidden);
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(0, atomic_load(&wrong_answers));
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- Grace periods --------------------------------------------------------------------------- */

#if DD_HAS_RCU

#include <urcu/urcu-memb.h>

Test(group, has_drops_after_grace_periods)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	urcu_memb_register_thread();
	urcu_memb_read_lock();
	options.group = group;
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	answers(0, defer_drop_queue_push_with(queue, number(0), note, FOREVER, &options));
	answers(-EAGAIN, defer_drop_group_flush(group, 0));
	answers(-EDEADLK, defer_drop_group_flush(group, FOREVER));
	answers(-EDEADLK, defer_drop_group_end(group, FOREVER));
	urcu_memb_read_unlock();
	answers(0, defer_drop_group_end(group, FOREVER));
	assert_seen(0, 1);
	urcu_memb_unregister_thread();
	end_group(group);
	end_queue(queue);
}

Test(group, abandon_does_not_wait_for_readers)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	urcu_memb_register_thread();
	urcu_memb_read_lock();
	options.group = group;
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	answers(0, defer_drop_queue_push_with(queue, NULL, forbidden, FOREVER, &options));
	answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	answers(0, defer_drop_group_free(group));
	urcu_memb_read_unlock();
	urcu_memb_unregister_thread();
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

#endif

/* ---- fork and exit --------------------------------------------------------------------------- */

static struct defer_drop_queue *make_forking(uint32_t runner, bool is_kept)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.at_fork = is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;
	return create_queue(&config);
}

/* In the child of a parent in which two drops were pending. */
static void go_on_in_child(struct defer_drop_group *group, bool is_kept, atomic_uint *count)
{
	atomic_store(count, 0);
	claim_or_exit(1, defer_drop_group_backlog(group) == (is_kept ? 3 : 0));
	claim_or_exit(2, !defer_drop_group_push(group, count, count_up, FOREVER));
	claim_or_exit(3, !defer_drop_group_flush(group, FOREVER));
	claim_or_exit(4, atomic_load(count) == (is_kept ? 4 : 1));
	claim_or_exit(5, group_stats(group).destroyed_total == (is_kept ? 4 : 1));
	claim_or_exit(6, !defer_drop_group_end(group, FOREVER));
	claim_or_exit(7, !defer_drop_group_free(group));
	_exit(0);
}

static int count_up_with_context(void *object, void *context)
{
	count_up(object);
	return context != number(9);
}

Test(group, in_a_forked_child_has_what_the_child_keeps)
{
	for (unsigned i = 0; i < 4; i++) {
		bool is_kept = i & 1;
		struct defer_drop_queue *queue = make_forking(i & 2 ? CALLER : WORKER, is_kept);
		struct defer_drop_group *group = make_group(queue);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		atomic_uint count = 0;
		struct gate gate;
		pid_t child;

		/* What is being destroyed is the parent's, and so are threads that wait. */
		if (!(i & 2))
			hold_up_in(group, &gate);
		push(group, &count, count_up);
		options.group = group;
		options.destroy_context = count_up_with_context;
		options.context = number(9);
		answers(0, defer_drop_queue_push_with(queue, &count, NULL, FOREVER, &options));
		options.completion = &completion;
		answers(0, defer_drop_queue_push_with(queue, &count, NULL, FOREVER, &options));
		child = fork();
		if (!child)
			go_on_in_child(group, is_kept, &count);
		cr_assert_eq(status_of(child), 0);
		if (!(i & 2))
			let_go(&gate);
		answers(0, defer_drop_group_flush(group, FOREVER));
		cr_assert_eq(atomic_load(&count), 3);
		end_group(group);
		end_queue(queue);
	}
}

static atomic_uint *children_right;

/* Forks; in the child the destructor of the group is running, and nothing else is pending. */
static void fork_inside(void *group)
{
	pid_t child = fork();

	if (child) {
		atomic_fetch_add(children_right, !status_of(child));
		return;
	}
	claim_or_exit(1, defer_drop_group_backlog(group) == 1);
	claim_or_exit(2, defer_drop_group_flush(group, 0) == -EAGAIN);
	claim_or_exit(3, defer_drop_group_end(group, MS) == -EDEADLK);
	_exit(0);
}

Test(group, has_the_running_drop_in_a_child_that_its_destructor_forks)
{
	struct defer_drop_queue *queue = make_forking(CALLER, false);
	struct defer_drop_group *group = make_group(queue);

	children_right = share(sizeof *children_right);
	push(group, group, fork_inside);
	push(group, number(0), note);
	answers(0, defer_drop_group_flush(group, FOREVER));
	cr_assert_eq(atomic_load(children_right), 1);
	assert_seen(0, 1);
	end_group(group);
	end_queue(queue);
}

static pid_t in_child;

static void fork_and_return(void *object)
{
	(void)object;
	in_child = fork();
}

Test(group, flush_that_drains_is_stale_in_a_child_that_a_destructor_forks)
{
	struct defer_drop_queue *queue = make_forking(CALLER, false);
	struct defer_drop_group *group = make_group(queue);
	int result;

	push(group, NULL, fork_and_return);
	push(group, number(0), note);
	result = defer_drop_group_flush(group, FOREVER);
	if (!in_child) {
		claim_or_exit(1, result == -ESTALE);
		claim_or_exit(2, !defer_drop_group_end(group, FOREVER));
		claim_or_exit(3, !defer_drop_group_free(group));
		_exit(0);
	}
	cr_assert_eq(status_of(in_child), 0);
	answers(0, result);
	end_group(group);
	end_queue(queue);
}

static atomic_uint *at_exit_count;

static void push_and_exit(void)
{
	struct defer_drop_group *group = make_group(NULL);

	for (unsigned i = 0; i < 100; i++)
		push(group, at_exit_count, count_up);
}

static void abandon_and_exit(void)
{
	struct defer_drop_group *group = make_group(NULL);
	struct gate gate;

	hold_up(defer_drop_queue_default(), &gate);
	for (unsigned i = 0; i < 100; i++)
		push(group, at_exit_count, count_up);
	answers(0, defer_drop_group_abandon(group, NULL, NULL, FOREVER));
	let_go(&gate);
}

static void exit_in_destructor(void)
{
	struct defer_drop_group *group = make_group(NULL);

	push(group, NULL, leave_by_exit);
	push(group, at_exit_count, count_up);
	defer_drop_group_end(group, FOREVER);
	while (true)
		pause();
}

Test(group, is_destroyed_at_exit)
{
	at_exit_count = share(sizeof *at_exit_count);
	cr_assert_eq(run_child(push_and_exit), 0);
	cr_assert_eq(atomic_load(at_exit_count), 100);
	/* What was abandoned with its group is not reported as abandoned by exit. */
	cr_assert_eq(run_child(abandon_and_exit), 0);
	cr_assert_eq(times_said("abandons"), 0);
	cr_assert_eq(atomic_load(at_exit_count), 100);
	cr_assert_eq(run_child(exit_in_destructor), 0);
	cr_assert_eq(atomic_load(at_exit_count), 101);
}

/* ---- No memory ------------------------------------------------------------------------------- */

#if !HAS_SANITIZER

Test(group, without_memory_is_not_made)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_group *other = NULL;
	struct block *memory;
	int results[3];

	options.group = group;
	options.destroy_context = forbidden_context;
	options.context = number(1);
	answers(0, defer_drop_queue_attach(queue));
	memory = take_memory();
	results[0] = defer_drop_group_create(&other, queue);
	results[1] = defer_drop_queue_push_with(queue, NULL, NULL, 0, &options);
	results[2] = defer_drop_group_push(group, number(0), note, 0);
	give_memory(memory);
	answers(-ENOMEM, results[0]);
	answers(-ENOMEM, results[1]);
	answers(0, results[2]);
	cr_assert_null(other);
	end_group(group);
	assert_seen(0, 1);
	end_queue(queue);
}

#endif

/* ---- Strategies ------------------------------------------------------------------------------ */

#include "defer_drop/strategy.h"

Test(group, has_a_strategy)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, LANES);
	struct defer_drop_group *group = make_group(queue);
	struct defer_drop_strategy_group strategy;

	answers(-EINVAL, defer_drop_strategy_group_init(NULL, group, 0));
	answers(-EINVAL, defer_drop_strategy_group_init(&strategy, NULL, 0));
	answers(-EOVERFLOW,
		defer_drop_strategy_group_init(&strategy, group, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(0, defer_drop_strategy_group_init(&strategy, group, 0));
	answers(0, defer_drop_by(&strategy.strategy, number(0), note));
	answers(-EAGAIN, defer_drop_by(&strategy.strategy, NULL, forbidden));
	cr_assert_eq(defer_drop_group_backlog(group), 1);
	answers(-EAGAIN, strategy.strategy.wait(&strategy.strategy, 0));
	answers(0, strategy.strategy.wait(&strategy.strategy, FOREVER));
	assert_seen(0, 1);
	end_group(group);
	end_queue(queue);
}
