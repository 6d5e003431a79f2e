/* SPDX-License-Identifier: MIT
 *
 * Destructors with a context: they get it beside their object, whichever way the drop was pushed.
 */
#include "queues.h"

TestSuite(context, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

/* What destructors got, in order. */
static void *contexts[MAX_SEEN];

/* The status is the negated number of the context. */
static int note_both(void *object, void *context)
{
	contexts[atomic_load(&seen_count)] = context;
	note(object);
	return -(int)(uintptr_t)context;
}

static struct defer_drop_queue *make(unsigned i)
{
	return make_quiet(runners[i % 2], 16, lanes_tried[i / 2 % 2]);
}

/* Pushes with the given options and this context. */
static int push_both(struct defer_drop_queue *queue, uintptr_t object, uintptr_t context,
	struct defer_drop_options options)
{
	options.destroy_context = note_both;
	options.context = number(context);
	return defer_drop_queue_push_with(queue, number(object), NULL, FOREVER, &options);
}

static void assert_contexts(unsigned at, unsigned count, uintptr_t context)
{
	for (unsigned i = at; i < at + count; i++)
		cr_assert_eq(contexts[i], number(context), "place %u has %p", i, contexts[i]);
}

/* ---- One drop -------------------------------------------------------------------------------- */

/* Pushes one of five kinds, in turn: alone, with bytes, with a completion, with both; and a plain
 * one. */
static int push_kind(struct defer_drop_queue *queue, uintptr_t i,
	struct defer_drop_completion *completion, uint64_t timeout_ns)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	if (i % 5 == 4)
		return defer_drop_queue_push(queue, number(i), note, timeout_ns);
	options.bytes = i % 5 & 1 ? 10 : 0;
	options.completion = i % 5 & 2 ? completion : NULL;
	options.destroy_context = note_both;
	options.context = number(100 + i);
	return defer_drop_queue_push_with(queue, number(i), NULL, timeout_ns, &options);
}

Test(context, is_passed_on_beside_the_object_whatever_else_the_drop_has)
{
	for (unsigned i = 0; i < 8; i++) {
		struct defer_drop_queue *queue =
			make_quiet(runners[i & 1], 2u << (i & 4), lanes_tried[i >> 1 & 1]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;

		for (uintptr_t at = 0; at < 50; at++) {
			int status = 99;

			answers(0, push_kind(queue, at, &completion, FOREVER));
			if (at % 5 == 2 || at % 5 == 3) {
				answers(0,
					defer_drop_completion_wait(&completion, FOREVER, &status));
				answers(-(int)(100 + at), status);
			} else {
				answers(0, defer_drop_queue_flush(queue, FOREVER));
			}
			if (at % 5 != 4)
				assert_contexts((unsigned)at, 1, 100 + at);
		}
		assert_seen(0, 50);
		cr_assert_eq(stats_of(queue).failed_total, 40);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		end_queue(queue);
	}
}

Test(context, is_passed_on_to_each_of_many_that_queue_up)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_quiet(runners[i % 2], 64, lanes_tried[i / 2]);
		struct gate gate;

		if (runners[i % 2] == WORKER)
			hold_up(queue, &gate);
		for (uintptr_t at = 0; at < 25; at++)
			answers(0, push_both(queue, at, 1000 + at,
					   (struct defer_drop_options)DEFER_DROP_OPTIONS_INIT));
		if (runners[i % 2] == WORKER)
			let_go(&gate);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, 25);
		for (unsigned at = 0; at < 25; at++)
			assert_contexts(at, 1, 1000 + at);
		end_queue(queue);
	}
}

Test(context, may_be_null)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		int status = 99;

		contexts[0] = contexts[1] = &contexts;
		answers(0, push_both(queue, 0, 0, options));
		options.completion = &completion;
		answers(0, push_both(queue, 1, 0, options));
		answers(0, defer_drop_completion_wait(&completion, FOREVER, &status));
		answers(0, status);
		assert_seen(0, 2);
		assert_contexts(0, 2, 0);
		cr_assert_eq(stats_of(queue).failed_total, 0);
		end_queue(queue);
	}
}

Test(context, takes_two_places_in_the_ring)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_quiet(CALLER, 4, lanes_tried[shared]);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		answers(0, push_both(queue, 0, 0, options));
		answers(0, defer_drop_queue_push(queue, number(1), note, 0));
		options.destroy_context = forbidden_context;
		answers(-EAGAIN, defer_drop_queue_push_with(queue, NULL, NULL, 0, &options));
		answers(0, defer_drop_queue_push(queue, number(2), note, 0));
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		end_queue(queue);
		assert_seen(0, 3);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(context, of_a_push_that_failed_leaves_the_completion_usable)
{
	struct defer_drop_queue *queue = make_quiet(CALLER, 2, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	answers(0, defer_drop_queue_push(queue, number(0), note, 0));
	options.completion = &completion;
	options.destroy_context = note_both;
	options.context = number(7);
	answers(-EAGAIN, defer_drop_queue_push_with(queue, number(1), NULL, 0, &options));
	answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	/* The next drop of the same completion has no context. */
	options.destroy_context = NULL;
	options.context = NULL;
	answers(0, defer_drop_queue_push_with(queue, number(1), note, 0, &options));
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	options.destroy_context = note_both;
	options.context = number(8);
	answers(0, defer_drop_queue_push_with(queue, number(2), NULL, 0, &options));
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	assert_seen(0, 3);
	assert_contexts(2, 1, 8);
	end_queue(queue);
}

/* ---- Many ------------------------------------------------------------------------------------ */

Test(context, is_that_of_each_of_a_push_of_many)
{
	for (unsigned i = 0; i < 8; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		void *objects[6];
		int status = 99;

		for (uintptr_t at = 0; at < 6; at++)
			objects[at] = number(at);
		options.destroy_context = note_both;
		options.context = number(EIO);
		options.completion = i / 4 ? &completion : NULL;
		options.bytes = 5;
		answers(0, defer_drop_queue_push_many(
				   queue, objects, 6, NULL, FOREVER, &options, NULL));
		if (i / 4) {
			answers(0, defer_drop_completion_wait(&completion, FOREVER, &status));
			answers(-EIO, status);
		}
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, 6);
		assert_contexts(0, 6, EIO);
		cr_assert_eq(stats_of(queue).failed_total, 6);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		end_queue(queue);
	}
}

/* ---- By destructors -------------------------------------------------------------------------- */

static struct defer_drop_completion nested_completion;
static int nested_results[3];

static int nest_both(void *object, void *context)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	note_both(object, context);
	nested_results[0] = push_both(nest, 1, 11, options);
	options.bytes = 100;
	nested_results[1] = push_both(nest, 2, 12, options);
	options.completion = &nested_completion;
	nested_results[2] = push_both(nest, 3, 13, options);
	return 0;
}

Test(context, of_nested_drops)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		int status = 99;

		nest = make(i);
		nested_completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		options.destroy_context = nest_both;
		options.context = number(10);
		answers(0, defer_drop_queue_push_with(nest, number(0), NULL, FOREVER, &options));
		answers(0, defer_drop_queue_flush(nest, FOREVER));
		for (unsigned j = 0; j < 3; j++)
			answers(0, nested_results[j]);
		answers(0, defer_drop_completion_wait(&nested_completion, FOREVER, &status));
		answers(-13, status);
		assert_seen(0, 4);
		for (unsigned j = 0; j < 4; j++)
			assert_contexts(j, 1, 10 + j);
		cr_assert_eq(stats_of(nest).backlog_bytes, 0);
		end_queue(nest);
	}
}

/* ---- Failures -------------------------------------------------------------------------------- */

static struct defer_drop_failure failure_told;
static atomic_uint failure_count;

static void write_down(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	failure_told = *failure;
	atomic_fetch_add(&failure_count, 1);
}

static void nest_a_failure(void *object)
{
	nested_results[0] =
		push_both(object, 5, ENOSPC, (struct defer_drop_options)DEFER_DROP_OPTIONS_INIT);
}

Test(context, a_failure_names_the_destructor_that_takes_one)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
		struct defer_drop_queue *queue;

		atomic_store(&failure_count, 0);
		atomic_store(&seen_count, 0);
		config.runner = runners[i % 2];
		config.error = write_down;
		queue = create_queue(&config);
		if (i / 2)
			answers(0, defer_drop_queue_push(queue, queue, nest_a_failure, FOREVER));
		else
			answers(0, push_both(queue, 5, ENOSPC,
					   (struct defer_drop_options)DEFER_DROP_OPTIONS_INIT));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(atomic_load(&failure_count), 1);
		cr_assert_eq(failure_told.size, sizeof failure_told);
		cr_assert_eq(failure_told.object, number(5));
		cr_assert_null(failure_told.destroy);
		cr_assert_null(failure_told.destroy_status);
		cr_assert_eq(failure_told.destroy_context, note_both);
		answers(-ENOSPC, failure_told.status);
		end_queue(queue);
	}
}

static struct defer_drop_slow slow_told;
static atomic_bool has_told;

static void note_slow(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	if (!atomic_load(&has_told))
		slow_told = *slow;
	atomic_store(&has_told, true);
}

static int be_slow(void *object, void *context)
{
	await(atomic_load(&has_told));
	return note_both(object, context);
}

Test(context, a_watchdog_names_the_destructor_that_takes_one)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue;

	config.watchdog_ns = MS;
	config.watchdog = note_slow;
	queue = create_queue(&config);
	options.destroy_context = be_slow;
	answers(0, defer_drop_queue_push_with(queue, number(5), NULL, FOREVER, &options));
	end_queue(queue);
	cr_assert_eq(slow_told.size, sizeof slow_told);
	cr_assert_eq(slow_told.object, number(5));
	cr_assert_null(slow_told.destroy);
	cr_assert_null(slow_told.destroy_status);
	cr_assert_eq(slow_told.destroy_context, be_slow);
}

/* ---- Abandoned, after a grace period, in a child --------------------------------------------- */

Test(context, of_an_abandoned_drop_is_not_used)
{
	struct defer_drop_queue *queue = make_quiet(CALLER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.destroy_context = forbidden_context;
	options.context = number(9);
	answers(0, defer_drop_queue_push_with(queue, NULL, NULL, 0, &options));
	options.completion = &completion;
	options.bytes = 10;
	answers(0, defer_drop_queue_push_with(queue, NULL, NULL, 0, &options));
	answers(0, defer_drop_queue_shutdown(queue, 0));
	answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, FOREVER, NULL));
	cr_assert_eq(stats_of(queue).abandoned_total, 2);
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	answers(0, defer_drop_queue_free(queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(context, is_passed_on_after_a_grace_period)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		int result;

		options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
		result = push_both(queue, 0, 20, options);
		if (result != -ENOTSUP) {
			answers(0, result);
			options.completion = &completion;
			answers(0, push_both(queue, 1, 21, options));
			answers(0, defer_drop_completion_wait(&completion, LONG_NS, NULL));
			assert_seen(0, 2);
			assert_contexts(0, 1, 20);
			assert_contexts(1, 1, 21);
		}
		end_queue(queue);
	}
}

static void leave_child(struct defer_drop_queue *queue)
{
	if (defer_drop_queue_flush(queue, LONG_NS))
		_exit(1);
	if (atomic_load(&seen_count) != 5)
		_exit(2);
	for (uintptr_t at = 0; at < 5; at++)
		if (seen[at] != number(at) || (at != 4 && contexts[at] != number(100 + at)))
			_exit(3);
	_exit(0);
}

Test(context, is_kept_with_its_drop_in_a_child)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
		struct defer_drop_completion completions[5];
		struct defer_drop_queue *queue;
		struct gate gate;
		pid_t child;

		atomic_store(&seen_count, 0);
		config.runner = runners[i % 2];
		config.max_lanes = lanes_tried[i / 2];
		config.at_fork = DEFER_DROP_AT_FORK_KEEP;
		config.error = ignore_failure;
		queue = create_queue(&config);
		if (runners[i % 2] == WORKER)
			hold_up(queue, &gate);
		for (uintptr_t at = 0; at < 5; at++) {
			completions[at] = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
			answers(0, push_kind(queue, at, &completions[at], FOREVER));
		}
		child = fork();
		if (!child)
			leave_child(queue);
		answers(0, status_of(child));
		if (runners[i % 2] == WORKER)
			let_go(&gate);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, 5);
		end_queue(queue);
	}
}

static pid_t forked;

/* Its nested drops are pending when it forks; the child goes on as the same thread. */
static int nest_and_fork(void *object, void *context)
{
	nest_both(object, context);
	forked = fork();
	return 0;
}

Test(context, is_kept_with_nested_drops_in_a_child)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	config.runner = CALLER;
	config.at_fork = DEFER_DROP_AT_FORK_KEEP;
	config.error = ignore_failure;
	nest = create_queue(&config);
	nested_completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	options.destroy_context = nest_and_fork;
	options.context = number(10);
	answers(0, defer_drop_queue_push_with(nest, number(0), NULL, FOREVER, &options));
	drain(nest, UINT64_MAX);
	if (!forked) {
		for (uintptr_t i = 0; i < 4; i++)
			if (seen[i] != number(i) || contexts[i] != number(10 + i))
				_exit(1);
		_exit(atomic_load(&seen_count) != 4);
	}
	answers(0, status_of(forked));
	assert_seen(0, 4);
	end_queue(nest);
}

/* ---- The default queue ----------------------------------------------------------------------- */

Test(context, of_the_short_call)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	int status = 99;

	options.destroy_context = note_both;
	options.context = number(EPIPE);
	options.completion = &completion;
	answers(0, defer_drop_with(number(0), NULL, FOREVER, &options));
	answers(0, defer_drop_completion_wait(&completion, LONG_NS, &status));
	answers(-EPIPE, status);
	assert_contexts(0, 1, EPIPE);
}
