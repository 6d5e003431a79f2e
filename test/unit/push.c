/* SPDX-License-Identifier: MIT
 *
 * Pushes: their variants, full rings, and nested drops.
 */
#include "queues.h"

TestSuite(push, .timeout = 60);

/* ---- Push ------------------------------------------------------------------------------------ */

Test(push, destroys_each_drop_once_and_in_its_order)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[shared]);

		atomic_store(&seen_count, 0);
		for (uintptr_t i = 0; i < 3000; i += 3) {
			answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
			answers(0, defer_drop_queue_push(queue, number(i + 1), note, LONG_NS));
			answers(0, defer_drop_queue_push(queue, number(i + 2), note, FOREVER));
		}
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, 3000);
		end_queue(queue);
		assert_seen(0, 3000);
	}
}

Test(push, passes_a_null_object_on)
{
	struct defer_drop_queue *queue = make_queue(WORKER, DD_QUEUE_SIZE, LANES);

	seen[0] = queue;
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 1);
	end_queue(queue);
}

Test(push, refuses_a_null_destructor)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 8, lanes_tried[shared]);
		struct defer_drop_ticket ticket;

		/* Pushes once as a thread without a lane, once as a thread with one. */
		for (unsigned i = 0; i < 2; i++) {
			answers(-EINVAL, defer_drop_queue_push(queue, &ticket, NULL, FOREVER));
			answers(-EINVAL, defer_drop_queue_push(queue, &ticket, NULL, LONG_NS));
			answers(-EINVAL, defer_drop_queue_push(queue, &ticket, NULL, 0));
			answers(-EINVAL, push_ticket(queue, &ticket, NULL, 0, &ticket));
			answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
		}
		cr_assert_eq(stats_of(queue).pushed_total, 2);
		end_queue(queue);
	}
}

Test(push, refuses_a_null_queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_ticket ticket;

	answers(-EINVAL, defer_drop_queue_push(NULL, NULL, note, FOREVER));
	answers(-EINVAL, defer_drop_queue_push(NULL, NULL, note, LONG_NS));
	answers(-EINVAL, defer_drop_queue_push(NULL, NULL, note, 0));
	answers(-EINVAL, push_ticket(NULL, NULL, note, 0, &ticket));
	answers(-EINVAL, defer_drop_queue_flush(NULL, 0));
	answers(-EINVAL, defer_drop_queue_drain(NULL, 1, 0, NULL));
	answers(-EINVAL, defer_drop_queue_shutdown(NULL, FOREVER));
	answers(-EINVAL, defer_drop_queue_config(NULL, &config));
	answers(-EINVAL, defer_drop_queue_ticket(NULL, &ticket));
	answers(-EINVAL, defer_drop_queue_stats(NULL, &stats));
	answers(-EINVAL, defer_drop_queue_lane_stats(NULL, 0, &stats));
	answers(-EINVAL, defer_drop_queue_free(NULL));
}

Test(push, answers_eoverflow_to_times_that_are_none)
{
	const uint64_t none[] = {DEFER_DROP_TIMEOUT_MAX + 1, FOREVER - 1};
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket;

	for (unsigned i = 0; i < 2; i++) {
		answers(-EOVERFLOW, defer_drop_queue_push(queue, NULL, forbidden, none[i]));
		answers(-EOVERFLOW, push_ticket(queue, NULL, forbidden, none[i], &ticket));
		answers(-EOVERFLOW, defer_drop_queue_flush(queue, none[i]));
		answers(-EOVERFLOW, defer_drop_queue_drain(queue, 1, none[i], NULL));
		answers(-EOVERFLOW, defer_drop_queue_shutdown(queue, none[i]));
	}
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	/* Nothing has closed the queue. */
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(push, takes_the_longest_finite_timeout)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);

	answers(0, defer_drop_queue_push(queue, NULL, note, DEFER_DROP_TIMEOUT_MAX));
	answers(0, defer_drop_queue_drain(queue, 1, DEFER_DROP_TIMEOUT_MAX, NULL));
	answers(0, defer_drop_queue_push(queue, NULL, note, DEFER_DROP_TIMEOUT_MAX));
	answers(0, defer_drop_queue_flush(queue, DEFER_DROP_TIMEOUT_MAX));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_shutdown(queue, DEFER_DROP_TIMEOUT_MAX));
	cr_assert_eq(atomic_load(&seen_count), 3);
	answers(0, defer_drop_queue_free(queue));
}

Test(push, answers_eagain_when_full_and_it_may_not_wait)
{
	const uint32_t sizes[] = {2, 4, 8, 64, 1024};

	for (unsigned i = 0; i < 10; i++) {
		struct defer_drop_queue *queue =
			make_queue(CALLER, sizes[i / 2], lanes_tried[i % 2]);

		for (unsigned lap = 0; lap < 3; lap++) {
			atomic_store(&seen_count, 0);
			fill(queue, sizes[i / 2]);
			answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
			answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
			answers(0, defer_drop_queue_flush(queue, FOREVER));
			assert_seen(0, sizes[i / 2]);
		}
		cr_assert_eq(stats_of(queue).refused_total, 6);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(push, answers_etimedout_when_full_and_no_sooner)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 4, lanes_tried[shared]);
		struct defer_drop_ticket ticket;
		uint64_t since_ns;

		fill(queue, 4);
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		since_ns = dd_now_ns();
		answers(-ETIMEDOUT, defer_drop_queue_push(queue, NULL, forbidden, 3 * MS));
		cr_assert_geq(dd_now_ns() - since_ns, 3 * MS);
		answers(-EAGAIN, push_ticket(queue, NULL, forbidden, 0, &ticket));
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&seen_count), 8);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(push, a_full_push_waits_until_there_is_room)
{
	for (unsigned i = 0; i < 4; i++) {
		struct push push = {.object = number(4)};
		pthread_t thread;

		push.queue = make_queue(CALLER, 4, lanes_tried[i % 2]);
		push.timeout_ns = i < 2 ? FOREVER : LONG_NS;
		push.result = 0;
		atomic_store(&seen_count, 0);
		thread = spawn(fill_and_push, &push);
		await(has_waiter(push.queue));
		drain(push.queue, 1);
		join_thread(thread);
		answers(0, push.result);
		answers(0, defer_drop_queue_flush(push.queue, FOREVER));
		assert_seen(0, 5);
		cr_assert_eq(stats_of(push.queue).waits_total, 1);
		end_queue(push.queue);
	}
}

Test(push, many_pushes_wait_for_one_shared_lane_and_all_get_in)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, 0);
	struct push pushes[8];
	pthread_t threads[8];

	fill(queue, 2);
	for (unsigned i = 0; i < 8; i++) {
		pushes[i] = (struct push){queue, NULL, i % 2 ? FOREVER : LONG_NS, 1};
		threads[i] = spawn(push_in_thread, &pushes[i]);
	}
	while (atomic_load(&seen_count) < 10)
		drain(queue, UINT64_MAX);
	for (unsigned i = 0; i < 8; i++) {
		join_thread(threads[i]);
		answers(0, pushes[i].result);
	}
	end_queue(queue);
	cr_assert_eq(atomic_load(&seen_count), 10);
}

static void *push_all_ways(void *argument)
{
	struct defer_drop_queue *queue = argument;
	struct defer_drop_ticket ticket;
	int wrong = 0;

	wrong += defer_drop_queue_push(queue, NULL, forbidden, FOREVER) != -ESHUTDOWN;
	wrong += defer_drop_queue_push(queue, NULL, forbidden, 0) != -ESHUTDOWN;
	wrong += defer_drop_queue_push(queue, NULL, forbidden, 1) != -ESHUTDOWN;
	wrong += defer_drop_queue_push(queue, NULL, forbidden, LONG_NS) != -ESHUTDOWN;
	wrong += push_ticket(queue, NULL, forbidden, 0, &ticket) != -ESHUTDOWN;
	return number((uintptr_t)wrong);
}

Test(push, a_push_after_shutdown_answers_eshutdown_and_touches_nothing)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i / 2], 4, lanes_tried[i % 2]);
		struct defer_drop_stats stats;

		/* The thread of the test has a lane of its own, the others have none. */
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		for (unsigned j = 0; j < 3; j++) {
			cr_assert_null(push_all_ways(queue));
			cr_assert_null(join_thread(spawn(push_all_ways, queue)));
		}
		stats = stats_of(queue);
		cr_assert_eq(stats.pushed_total, 1);
		cr_assert_eq(stats.refused_total, 30);
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&seen_count), 4);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- Nested drops ---------------------------------------------------------------------------- */

static void assert_flush_covers_nested(uint32_t runner)
{
	nest = make_queue(runner, 8, LANES);
	atomic_store(&seen_count, 0);
	answers(0, defer_drop_queue_push(nest, number(3), descend, FOREVER));
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(
		atomic_load(&seen_count), 4, "%u of 4 were destroyed", atomic_load(&seen_count));
	cr_assert_eq(stats_of(nest).nested_total, 3);
	end_queue(nest);
	cr_assert_eq(atomic_load(&nest_errors), 0);
}

Test(push, a_flush_covers_nested_drops_of_the_worker)
{
	assert_flush_covers_nested(WORKER);
}

Test(push, a_flush_covers_nested_drops_of_a_caller_that_drains)
{
	assert_flush_covers_nested(CALLER);
}

static atomic_int nested_result;

static void push_nested(void *object)
{
	atomic_store(&nested_result, defer_drop_queue_push(nest, object, note, FOREVER));
}

static void assert_nested_drop_of_a_shutdown_is_destroyed(uint32_t runner)
{
	nest = make_queue(runner, 8, LANES);
	atomic_store(&nested_result, 1);
	answers(0, defer_drop_queue_push(nest, NULL, push_nested, FOREVER));
	answers(0, defer_drop_queue_shutdown(nest, FOREVER));
	cr_assert_eq(atomic_load(&nested_result), 0, "the nested drop was refused: %d",
		atomic_load(&nested_result));
	cr_assert_eq(atomic_load(&seen_count), 1);
	cr_assert_eq(stats_of(nest).destroyed_total, 2);
	cr_assert_eq(stats_of(nest).abandoned_total, 0);
	answers(0, defer_drop_queue_free(nest));
}

Test(push, a_draining_shutdown_destroys_nested_drops_of_the_worker)
{
	assert_nested_drop_of_a_shutdown_is_destroyed(WORKER);
}

Test(push, a_draining_shutdown_destroys_nested_drops_of_a_caller)
{
	assert_nested_drop_of_a_shutdown_is_destroyed(CALLER);
}

/* Makes 100 nested drops, in a ring of 2. */
static void burst(void *object)
{
	(void)object;
	for (uintptr_t i = 0; i < 100; i++)
		if (i % 2 ? defer_drop_queue_push(nest, number(i), note, FOREVER)
			  : defer_drop_queue_push(nest, number(i), note, 0))
			atomic_fetch_add(&nest_errors, 1);
}

static void assert_nested_drops_never_wait(uint32_t runner)
{
	nest = make_queue(runner, 2, LANES);
	answers(0, defer_drop_queue_push(nest, NULL, burst, FOREVER));
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	assert_seen(0, 100);
	end_queue(nest);
}

Test(push, nested_drops_never_wait_for_room_on_the_worker)
{
	assert_nested_drops_never_wait(WORKER);
}

Test(push, nested_drops_never_wait_for_room_on_a_caller)
{
	assert_nested_drops_never_wait(CALLER);
}
