/* SPDX-License-Identifier: MIT
 *
 * NULL in place of an argument that a call needs: each public call returns -EINVAL if it returns a
 * status, else NULL, 0 or nothing.
 */
#include "queues.h"

#include <sys/eventfd.h>

#include "defer_drop/group.h"
#include "defer_drop/guard.h"
#include "defer_drop/os.h"
#include "defer_drop/ref.h"
#include "defer_drop/strategy.h"

TestSuite(misuse, .timeout = 60);

/* ---- defer_drop.h ---------------------------------------------------------------------------- */

Test(misuse, the_short_calls_need_a_destructor)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	answers(-EINVAL, defer_drop(&options, NULL));
	answers(-EINVAL, defer_drop_try(&options, NULL));
	answers(-EINVAL, defer_drop_timed(&options, NULL, 0));
	answers(-EINVAL, defer_drop_timed(&options, NULL, FOREVER));
	answers(-EINVAL, defer_drop_rcu(&options, NULL));
	answers(-EINVAL, defer_drop_bytes(&options, NULL, 0));
	answers(-EINVAL, defer_drop_bytes(&options, NULL, 10));
	answers(-EINVAL, defer_drop_with(&options, NULL, 0, NULL));
	answers(-EINVAL, defer_drop_with(&options, NULL, 0, &options));
	/* An object may be NULL everywhere. */
	answers(0, defer_drop_bytes(NULL, note, 10));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

Test(misuse, a_configuration_may_be_null_where_it_means_the_built_in_values)
{
	struct defer_drop_queue *queue = NULL;
	char why[64] = "untouched";

	answers(0, defer_drop_config_check(NULL, NULL, 0));
	answers(0, defer_drop_config_check(NULL, why, sizeof why));
	cr_assert_str_eq(why, "untouched");
	answers(-EINVAL, defer_drop_config_built_in(NULL));
	answers(-EINVAL, defer_drop_queue_create(NULL, NULL));
	answers(0, defer_drop_queue_create(&queue, NULL));
	end_queue(queue);
	answers(0, defer_drop_start(NULL));
	defer_drop_report_handle(NULL, NULL);
	defer_drop_report_handle(NULL, &queue);
}

Test(misuse, every_call_on_a_group_needs_one)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct defer_drop_group *group = NULL;

	answers(-EINVAL, defer_drop_group_create(NULL, NULL));
	answers(-EINVAL, defer_drop_group_create(NULL, defer_drop_queue_default()));
	answers(-EINVAL, defer_drop_group_push(NULL, NULL, note, FOREVER));
	answers(-EINVAL, defer_drop_group_flush(NULL, FOREVER));
	answers(-EINVAL, defer_drop_group_end(NULL, FOREVER));
	answers(-EINVAL, defer_drop_group_abandon(NULL, NULL, NULL, FOREVER));
	answers(-EINVAL, defer_drop_group_free(NULL));
	answers(-EINVAL, defer_drop_group_stats(NULL, &stats));
	cr_assert_eq(defer_drop_group_backlog(NULL), 0);
	answers(0, defer_drop_group_create(&group, NULL));
	answers(-EINVAL, defer_drop_group_push(group, NULL, NULL, FOREVER));
	answers(-EOVERFLOW, defer_drop_group_push(group, NULL, note, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EOVERFLOW, defer_drop_group_flush(group, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EOVERFLOW, defer_drop_group_end(group, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EOVERFLOW,
		defer_drop_group_abandon(group, NULL, NULL, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EINVAL, defer_drop_group_stats(group, NULL));
	stats.size = 1;
	answers(-EINVAL, defer_drop_group_stats(group, &stats));
	/* None of these has closed it. */
	answers(0, defer_drop_group_push(group, number(0), note, FOREVER));
	answers(0, defer_drop_group_end(group, FOREVER));
	assert_seen(0, 1);
	answers(0, defer_drop_group_free(group));
}

Test(misuse, every_call_on_a_queue_needs_one)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct defer_drop_ticket ticket;
	void *objects[1] = {NULL};
	uint64_t destroyed = 99;
	size_t pushed = 99;

	answers(-EINVAL, defer_drop_queue_push(NULL, NULL, forbidden, 0));
	answers(-EINVAL, defer_drop_queue_push(NULL, NULL, forbidden, FOREVER));
	answers(-EINVAL, defer_drop_queue_push_with(NULL, NULL, forbidden, FOREVER, &options));
	answers(-EINVAL, defer_drop_queue_push_with(NULL, NULL, forbidden, FOREVER, NULL));
	answers(-EINVAL, defer_drop_queue_push_many(
				 NULL, objects, 1, forbidden, FOREVER, &options, &pushed));
	answers(-EINVAL,
		defer_drop_queue_push_many(NULL, objects, 0, forbidden, FOREVER, NULL, NULL));
	answers(-EINVAL, defer_drop_queue_flush(NULL, 0));
	answers(-EINVAL, defer_drop_queue_flush(NULL, FOREVER));
	answers(-EINVAL, defer_drop_queue_wait_backlog(NULL, 0, 0, FOREVER));
	answers(-EINVAL, defer_drop_queue_drain(NULL, 1, FOREVER, &destroyed));
	answers(-EINVAL, defer_drop_queue_drain(NULL, 1, FOREVER, NULL));
	answers(-EINVAL, defer_drop_queue_stop(NULL, FOREVER));
	answers(-EINVAL, defer_drop_queue_stop(NULL, 0));
	answers(-EINVAL, defer_drop_queue_start(NULL));
	answers(-EINVAL, defer_drop_queue_shutdown(NULL, FOREVER));
	answers(-EINVAL, defer_drop_queue_shutdown(NULL, 0));
	answers(-EINVAL, defer_drop_queue_free(NULL));
	answers(-EINVAL, defer_drop_queue_attach(NULL));
	answers(-EINVAL, defer_drop_queue_config(NULL, &config));
	answers(-EINVAL, defer_drop_queue_set_max_bytes(NULL, 1));
	answers(-EINVAL, defer_drop_queue_ticket(NULL, &ticket));
	answers(-EINVAL, defer_drop_queue_stats(NULL, &stats));
	answers(-EINVAL, defer_drop_queue_lane_stats(NULL, 0, &stats));
	answers(-EINVAL, defer_drop_stats_ask(NULL, DEFER_DROP_FORMAT_TEXT));
	cr_assert_eq(defer_drop_queue_backlog(NULL), 0);
	defer_drop_queue_end(NULL);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(misuse, calls_on_a_queue_need_the_rest_too)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	size_t pushed = 99;

	answers(-EINVAL, defer_drop_queue_push(queue, queue, NULL, FOREVER));
	answers(-EINVAL, defer_drop_queue_push_with(queue, queue, NULL, FOREVER, NULL));
	answers(-EINVAL, defer_drop_queue_push_with(queue, queue, NULL, FOREVER, &options));
	answers(-EINVAL,
		defer_drop_queue_push_many(queue, NULL, 1, forbidden, FOREVER, &options, &pushed));
	cr_assert_eq(pushed, 0);
	answers(0, defer_drop_queue_push_many(queue, NULL, 0, forbidden, FOREVER, &options, NULL));
	answers(-EINVAL, defer_drop_queue_config(queue, NULL));
	answers(-EINVAL, defer_drop_queue_ticket(queue, NULL));
	answers(-EINVAL, defer_drop_queue_stats(queue, NULL));
	answers(-EINVAL, defer_drop_queue_lane_stats(queue, 0, NULL));
	answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(misuse, just_one_destructor_is_needed)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	for (unsigned given = 0; given < 8; given++) {
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		defer_drop_fn destroy = given & 1 ? forbidden : NULL;
		void *object = NULL;

		options.destroy_status = given & 2 ? forbidden_status : NULL;
		options.destroy_context = given & 4 ? forbidden_context : NULL;
		if (given == 1 || given == 2 || given == 4)
			continue;
		answers(-EINVAL, defer_drop_queue_push_with(queue, NULL, destroy, 0, &options));
		answers(-EINVAL,
			defer_drop_queue_push_many(queue, &object, 1, destroy, 0, &options, NULL));
	}
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(misuse, a_context_needs_a_destructor_that_takes_it)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.context = queue;
	answers(-EINVAL, defer_drop_queue_push_with(queue, NULL, forbidden, 0, &options));
	options.destroy_status = forbidden_status;
	answers(-EINVAL, defer_drop_queue_push_with(queue, NULL, NULL, 0, &options));
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(misuse, tickets_and_completions_are_needed)
{
	struct defer_drop_ticket none = {0};
	int made = eventfd(0, EFD_NONBLOCK);
	int status = 99;

	answers(-EINVAL, defer_drop_ticket_wait(NULL, 0));
	answers(-EINVAL, defer_drop_ticket_wait(NULL, FOREVER));
	answers(-EINVAL, defer_drop_ticket_notify(NULL, made));
	answers(-EINVAL, defer_drop_ticket_wait(&none, 0));
	answers(-EINVAL, defer_drop_ticket_wait(&none, FOREVER));
	answers(-EINVAL, defer_drop_ticket_notify(&none, made));
	answers(-EINVAL, defer_drop_completion_wait(NULL, 0, &status));
	answers(-EINVAL, defer_drop_completion_wait(NULL, FOREVER, NULL));
	answers(99, status);
	close(made);
}

/* ---- strategy.h ------------------------------------------------------------------------------ */

Test(misuse, a_strategy_needs_a_version_and_a_drop_function)
{
	const struct defer_drop_strategy in_place = defer_drop_strategy_in_place;
	struct defer_drop_strategy by = in_place;

	answers(-EINVAL, defer_drop_by(NULL, &by, NULL));
	answers(-EINVAL, defer_drop_by(&in_place, &by, NULL));
	by.version = 0;
	answers(-EINVAL, defer_drop_by(&by, NULL, forbidden));
	by.version = DEFER_DROP_STRATEGY_VERSION + 1;
	answers(-E2BIG, defer_drop_by(&by, NULL, forbidden));
	by.version = UINT32_MAX;
	answers(-E2BIG, defer_drop_by(&by, NULL, forbidden));
	by = (struct defer_drop_strategy){DEFER_DROP_STRATEGY_VERSION, NULL, NULL};
	answers(-EINVAL, defer_drop_by(&by, NULL, forbidden));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static int submit_nothing(void *executor, void *object, defer_drop_fn destroy)
{
	(void)executor;
	(void)object;
	(void)destroy;
	return -EPERM;
}

static void trace_nothing(void *context, void *object, defer_drop_fn destroy)
{
	(void)context;
	(void)object;
	(void)destroy;
}

Test(misuse, setting_up_a_strategy_needs_all_its_parts)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	const struct defer_drop_strategy none = {0, NULL, NULL};
	struct defer_drop_strategy_queue by_queue;
	struct defer_drop_strategy_executor by_executor;
	struct defer_drop_strategy_trace by_trace;

	answers(-EINVAL, defer_drop_strategy_queue_init(NULL, queue, 0));
	answers(-EINVAL, defer_drop_strategy_queue_init(&by_queue, NULL, 0));
	answers(-EOVERFLOW, defer_drop_strategy_queue_init(&by_queue, queue, FOREVER - 1));
	answers(-EINVAL, defer_drop_strategy_executor_init(NULL, submit_nothing, NULL));
	answers(-EINVAL, defer_drop_strategy_executor_init(&by_executor, NULL, NULL));
	answers(-EINVAL, defer_drop_strategy_trace_init(NULL, NULL, trace_nothing, NULL));
	answers(-EINVAL, defer_drop_strategy_trace_init(&by_trace, NULL, NULL, NULL));
	answers(-EINVAL, defer_drop_strategy_trace_init(&by_trace, &none, trace_nothing, NULL));
	answers(0, defer_drop_strategy_trace_init(&by_trace, NULL, trace_nothing, NULL));
}

Test(misuse, a_trace_without_a_stream_prints_nothing)
{
	struct defer_drop_strategy_trace by;

	defer_drop_trace_print(NULL, NULL, forbidden);
	answers(0, defer_drop_strategy_trace_init(
			   &by, &defer_drop_strategy_in_place, defer_drop_trace_print, NULL));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	assert_seen(0, 1);
}

/* ---- guard.h --------------------------------------------------------------------------------- */

Test(misuse, every_call_on_a_guard_needs_one)
{
	cr_assert_eq(defer_drop_guard_state(NULL), DEFER_DROP_GUARD_EMPTY);
	cr_assert_not(defer_drop_guard_is_armed(NULL));
	cr_assert_not(defer_drop_guard_is_pending(NULL));
	cr_assert_null(defer_drop_guard_object(NULL));
	cr_assert_null(defer_drop_guard_disarm(NULL));
	defer_drop_guard_retarget(NULL, NULL);
	answers(-EINVAL, defer_drop_guard_drop(NULL));
	answers(-EINVAL, defer_drop_guard_drop_on_error(NULL, 0));
	answers(-EINVAL, defer_drop_guard_drop_on_error(NULL, -EIO));
	defer_drop_guard_leave(NULL);
	answers(-EINVAL, defer_drop_guard_status(NULL));
	answers(-EINVAL, defer_drop_guard_must_close(NULL));
}

Test(misuse, an_await_needs_all_its_guards_and_changes_none_otherwise)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_INIT(number(0), note, &defer_drop_strategy_in_place);
	struct defer_drop_guard *guards[] = {&guard, NULL};

	answers(0, defer_drop_guard_await(NULL, 0, 0));
	answers(0, defer_drop_guard_await(NULL, 0, FOREVER));
	answers(-EINVAL, defer_drop_guard_await(NULL, 1, FOREVER));
	answers(-EINVAL, defer_drop_guard_await(guards, 2, FOREVER));
	answers(-EINVAL, defer_drop_guard_await(guards + 1, 1, 0));
	cr_assert(defer_drop_guard_is_armed(&guard));
	assert_seen(0, 0);
	answers(0, defer_drop_guard_await(guards, 1, FOREVER));
	assert_seen(0, 1);
}

Test(misuse, a_trouble_is_needed)
{
	defer_drop_trouble_abort(NULL, NULL);
	defer_drop_trouble_handle(NULL, NULL);
}

/* ---- os.h ------------------------------------------------------------------------------------ */

Test(misuse, calls_on_what_the_kernel_destroys_need_it)
{
	answers(-EINVAL, defer_drop_os_fclose(NULL, NULL));
	answers(-EINVAL, defer_drop_os_hold(NULL, 0, NULL));
	answers(-EINVAL, defer_drop_os_hold_at(NULL, 0, "", NULL));
	answers(-EINVAL, defer_drop_os_stats(NULL));
	answers(-EFAULT, defer_drop_os_unlink(NULL, NULL));
	answers(-EINVAL, defer_drop_os_munmap(NULL, 0, NULL));
	answers(-EAGAIN, defer_drop_os_discard(NULL, 0, NULL));
	defer_drop_os_let_go(NULL);
}

/* ---- ref.h ----------------------------------------------------------------------------------- */

Test(misuse, every_call_on_a_reference_needs_one)
{
	struct defer_drop_ref ref;

	answers(-EINVAL, defer_drop_ref_init(NULL, &ref, forbidden, NULL));
	answers(-EINVAL, defer_drop_ref_init(&ref, &ref, NULL, NULL));
	defer_drop_ref_get(NULL);
	defer_drop_ref_get_many(NULL, 5);
	answers(-EINVAL, defer_drop_ref_put(NULL));
	answers(-EINVAL, defer_drop_ref_put_many(NULL, 5));
	cr_assert_null(defer_drop_ref_take(NULL));
	cr_assert_not(defer_drop_ref_is_unique(NULL));
	cr_assert_eq(defer_drop_ref_count(NULL), 0);
	defer_drop_ref_retarget(NULL, NULL);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(misuse, a_reference_to_null_is_one)
{
	struct defer_drop_ref ref;

	answers(0, defer_drop_ref_init(&ref, NULL, note, &defer_drop_strategy_in_place));
	answers(0, defer_drop_ref_put(&ref));
	assert_seen(0, 1);
}
