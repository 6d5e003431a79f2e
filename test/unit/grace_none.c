/* SPDX-License-Identifier: MIT
 *
 * A build without liburcu.
 */
#include "queues.h"

TestSuite(grace_none, .timeout = 60);

static int push_after(struct defer_drop_queue *queue, defer_drop_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	return defer_drop_queue_push_with(queue, NULL, destroy, FOREVER, &options);
}

Test(grace_none, grace_periods_are_refused_and_the_object_stays_the_callers)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	answers(-ENOTSUP, defer_drop_rcu(NULL, forbidden));
	answers(-EINVAL, defer_drop_rcu(NULL, NULL));
	answers(-ENOTSUP, push_after(queue, forbidden));
	answers(-ENOTSUP, push_after(defer_drop_queue_default(), forbidden));
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	end_queue(queue);
	answers(0, defer_drop_flush());
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(grace_none, many_are_refused_and_their_completion_is_unused)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *objects[3] = {0};
	size_t pushed = 9;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	options.completion = &completion;
	options.bytes = 100;
	answers(-ENOTSUP, defer_drop_queue_push_many(
				  queue, objects, 3, forbidden, FOREVER, &options, &pushed));
	cr_assert_eq(pushed, 0);
	answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	end_queue(queue);
}

Test(grace_none, a_flavor_is_refused)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue = NULL;

	config.rcu_flavor = (const struct rcu_flavor_struct *)&config;
	answers(-ENOTSUP, defer_drop_queue_create(&queue, &config));
	cr_assert_null(queue);
	answers(-ENOTSUP, defer_drop_start(&config));
	answers(0, defer_drop_start(NULL));
}

static int push_nested_after_result;

static void push_nested_after(void *object)
{
	push_nested_after_result = push_after(object, forbidden);
}

Test(grace_none, a_nested_drop_is_refused_too)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	answers(0, defer_drop_queue_push(queue, queue, push_nested_after, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(-ENOTSUP, push_nested_after_result);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}
