/* SPDX-License-Identifier: MIT
 *
 * Statistics.
 */
#include "unit.h"

TestSuite(stats, .timeout = 60);

static void assert_agree(
	struct defer_drop_queue *queue, uint64_t pushed, uint64_t destroyed, uint64_t abandoned)
{
	struct defer_drop_stats stats = stats_of(queue);

	cr_assert_eq(
		stats.pushed_total, pushed, "%llu pushed", (unsigned long long)stats.pushed_total);
	cr_assert_eq(stats.destroyed_total, destroyed, "%llu destroyed",
		(unsigned long long)stats.destroyed_total);
	cr_assert_eq(stats.abandoned_total, abandoned, "%llu abandoned",
		(unsigned long long)stats.abandoned_total);
	cr_assert_eq(stats.backlog, pushed - destroyed - abandoned, "%llu pending",
		(unsigned long long)stats.backlog);
	cr_assert(is_balanced(&stats));
}

Test(stats, agree_at_every_number_of_drops)
{
	for (uint32_t shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 64, lanes_tried[shared]);
		uint64_t pushed = 0;
		uint64_t destroyed = 0;

		for (unsigned i = 0; i < 200; i++) {
			for (unsigned j = 0; j < 3 && pushed - destroyed < 64; j++, pushed++)
				answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
			assert_agree(queue, pushed, destroyed, 0);
			answers(0, defer_drop_queue_drain(queue, 2, FOREVER, NULL));
			destroyed += 2;
			assert_agree(queue, pushed, destroyed, 0);
		}
		answers(0, defer_drop_queue_shutdown(queue, 0));
		assert_agree(queue, pushed, destroyed, pushed - destroyed);
		answers(0, defer_drop_queue_free(queue));
	}
}

static struct defer_drop_queue *nest;

static void nest_two(void *object)
{
	for (unsigned i = 0; i < 2; i++)
		if (defer_drop_queue_push(nest, object, note, FOREVER))
			abort();
}

Test(stats, count_nested_drops_as_pushed_and_destroyed)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

		nest = make_queue(runners[i], 64, LANES);
		for (unsigned j = 0; j < 10; j++)
			answers(0, defer_drop_queue_push(nest, NULL, nest_two, FOREVER));
		answers(0, defer_drop_queue_flush(nest, FOREVER));
		assert_agree(nest, 30, 30, 0);
		cr_assert_eq(stats_of(nest).nested_total, 20);
		answers(0, defer_drop_queue_lane_stats(nest, 1, &stats));
		cr_assert_eq(stats.pushed_total, 10);
		cr_assert_eq(stats.nested_total, 0);
		end_queue(nest);
	}
}

static void *push_numbers(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 5000; i++)
		wrong += defer_drop_queue_push(argument, NULL, note, FOREVER) != 0;
	return number(wrong);
}

/* Taken beside threads that push, they are never absurd; afterwards they agree. */
Test(stats, are_sane_while_the_queue_runs_and_agree_after_a_flush)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 8, i);
		uint64_t destroyed = 0;
		pthread_t threads[3];

		for (unsigned j = 0; j < 3; j++)
			threads[j] = spawn(push_numbers, queue);
		while (destroyed < 10000) {
			struct defer_drop_stats stats = stats_of(queue);

			cr_assert_leq(stats.destroyed_total, stats.pushed_total);
			cr_assert_leq(stats.pushed_total, 15000 + 3);
			cr_assert_geq(stats.destroyed_total, destroyed);
			destroyed = stats.destroyed_total;
			usleep(100);
		}
		for (unsigned j = 0; j < 3; j++)
			cr_assert_null(join_thread(threads[j]));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_agree(queue, 15000, 15000, 0);
		end_queue(queue);
	}
}

Test(stats, count_each_refusal_and_nothing_else_as_refused)
{
	for (uint32_t shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 2, lanes_tried[shared]);

		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		cr_assert_eq(stats_of(queue).refused_total, 0);
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		cr_assert_eq(stats_of(queue).refused_total, 1);
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		cr_assert_eq(stats_of(queue).refused_total, 2);
		answers(-EINVAL, defer_drop_queue_push(queue, NULL, NULL, 0));
		answers(-EOVERFLOW, defer_drop_queue_push(queue, NULL, note, FOREVER - 1));
		cr_assert_eq(stats_of(queue).refused_total, 2);
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		answers(-ESHUTDOWN, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
		cr_assert_eq(stats_of(queue).refused_total, 3);
		assert_agree(queue, 2, 2, 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(stats, count_waits_and_their_time)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, LANES);

	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
	cr_assert_eq(stats_of(queue).waits_total, 0);
	cr_assert_eq(stats_of(queue).wait_ns_total, 0);
	answers(-ETIMEDOUT, defer_drop_queue_push(queue, NULL, forbidden, 2000000));
	cr_assert_eq(stats_of(queue).waits_total, 1);
	cr_assert_geq(stats_of(queue).wait_ns_total, 2000000);
	end_queue(queue);
}

Test(stats, of_lanes_add_up_to_those_of_the_queue)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8192, 2);
	struct defer_drop_stats sum = {0};
	struct defer_drop_stats all;

	cr_assert_null(push_numbers(queue));
	cr_assert_null(join_thread(spawn(push_numbers, queue)));
	all = stats_of(queue);
	for (uint32_t i = 0; i < all.lanes; i++) {
		struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

		answers(0, defer_drop_queue_lane_stats(queue, i, &stats));
		cr_assert(is_balanced(&stats));
		sum.pushed_total += stats.pushed_total;
		sum.backlog += stats.backlog;
	}
	cr_assert_eq(sum.pushed_total, all.pushed_total);
	cr_assert_eq(sum.backlog, all.backlog);
	end_queue(queue);
}

Test(stats, answer_enoent_where_there_is_no_such_lane)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	answers(0, defer_drop_queue_lane_stats(queue, 0, &stats));
	answers(-ENOENT, defer_drop_queue_lane_stats(queue, 1, &stats));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_lane_stats(queue, 1, &stats));
	cr_assert_eq(stats.pushed_total, 1);
	answers(-ENOENT, defer_drop_queue_lane_stats(queue, 2, &stats));
	answers(-ENOENT, defer_drop_queue_lane_stats(queue, UINT32_MAX, &stats));
	end_queue(queue);
}

Test(stats, answer_einval_to_null_and_to_less_than_the_first_version)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	/* The first version ended with this field. */
	const size_t first = offsetof(struct defer_drop_stats, slow_total) + sizeof(uint64_t);
	const size_t wrong[] = {0, 8, first - 1};

	answers(-EINVAL, defer_drop_queue_stats(NULL, &stats));
	answers(-EINVAL, defer_drop_queue_stats(queue, NULL));
	answers(-EINVAL, defer_drop_queue_lane_stats(NULL, 0, &stats));
	answers(-EINVAL, defer_drop_queue_lane_stats(queue, 0, NULL));
	for (unsigned i = 0; i < 3; i++) {
		stats.size = wrong[i];
		answers(-EINVAL, defer_drop_queue_stats(queue, &stats));
		answers(-EINVAL, defer_drop_queue_lane_stats(queue, 0, &stats));
	}
	end_queue(queue);
}

Test(stats, fill_in_no_more_than_the_caller_knows)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct {
		struct defer_drop_stats known;
		unsigned char unknown[8];
	} later = {.known = DEFER_DROP_STATS_INIT, .unknown = "unknown"};

	later.known.size = sizeof later;
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_stats(queue, &later.known));
	cr_assert_eq(later.known.size, sizeof later.known, "so much was filled in");
	cr_assert_eq(later.known.pushed_total, 1);
	cr_assert_eq(later.known.lanes, 2);
	cr_assert_arr_eq(later.unknown, "unknown", 8);
	end_queue(queue);
}

Test(stats, know_what_is_mapped)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 64, 2);
	uint64_t bytes = stats_of(queue).mapped_bytes;
	struct defer_drop_stats lane = DEFER_DROP_STATS_INIT;

	cr_assert_geq(bytes, 64 * sizeof(struct dd_slot));
	answers(0, defer_drop_queue_attach(queue));
	answers(0, defer_drop_queue_lane_stats(queue, 1, &lane));
	cr_assert_geq(lane.mapped_bytes, 64 * sizeof(struct dd_slot));
	cr_assert_eq(stats_of(queue).mapped_bytes, bytes + lane.mapped_bytes);
	end_queue(queue);
}

Test(stats, know_the_highest_backlog_that_was_seen)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 64, LANES);

	for (unsigned i = 0; i < 40; i++)
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
	cr_assert_eq(stats_of(queue).backlog, 0);
	cr_assert_eq(stats_of(queue).highest_backlog, 40);
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
	cr_assert_eq(stats_of(queue).highest_backlog, 40);
	end_queue(queue);
}

Test(stats, of_the_default_queue_may_be_asked_for_first)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	answers(0, defer_drop_queue_stats(defer_drop_queue_default(), &stats));
	cr_assert_eq(stats.pushed_total, 0);
	cr_assert_eq(stats.backlog, 0);
}

/* ---- The backlog ----------------------------------------------------------------------------- */

static void *push_two(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 2; i++)
		wrong += defer_drop_queue_push(argument, NULL, note, 0) != 0;
	return number(wrong);
}

Test(stats, the_backlog_is_that_of_the_statistics)
{
	for (uint32_t shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 64, lanes_tried[shared]);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		cr_assert_eq(defer_drop_queue_backlog(queue), 0);
		options.bytes = 1; /* two slots */
		for (unsigned i = 1; i <= 20; i++) {
			answers(0, defer_drop_queue_push_with(
					   queue, NULL, note, 0, i % 3 ? NULL : &options));
			cr_assert_eq(defer_drop_queue_backlog(queue), i);
			cr_assert_eq(stats_of(queue).backlog, i);
		}
		cr_assert_null(join_thread(spawn(push_two, queue)));
		cr_assert_eq(defer_drop_queue_backlog(queue), 22);
		for (unsigned i = 22; i; i--) {
			cr_assert_eq(defer_drop_queue_backlog(queue), i);
			answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		}
		cr_assert_eq(defer_drop_queue_backlog(queue), 0);
		end_queue(queue);
	}
}

static void look_at_backlog(void *object)
{
	for (unsigned i = 0; i < 3; i++)
		if (defer_drop_queue_push(nest, object, note, FOREVER))
			abort();
	*(uint64_t *)object = defer_drop_queue_backlog(nest);
}

Test(stats, the_backlog_counts_nested_drops)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		uint64_t backlog = 0;

		nest = make_queue(runners[i], 16, LANES);
		answers(0, defer_drop_queue_push(nest, &backlog, look_at_backlog, FOREVER));
		answers(0, defer_drop_queue_flush(nest, FOREVER));
		cr_assert_eq(backlog, 4, "the running one, and three that it made: %llu",
			(unsigned long long)backlog);
		cr_assert_eq(defer_drop_queue_backlog(nest), 0);
		end_queue(nest);
	}
}

Test(stats, the_backlog_of_what_is_no_queue_or_was_not_used_is_0)
{
	cr_assert_eq(defer_drop_queue_backlog(NULL), 0);
	cr_assert_eq(defer_drop_queue_backlog(defer_drop_queue_default()), 0);
	answers(0, defer_drop(NULL, note));
	answers(0, defer_drop_flush());
	cr_assert_eq(defer_drop_queue_backlog(defer_drop_queue_default()), 0);
	answers(0, defer_drop_shutdown());
	cr_assert_eq(defer_drop_queue_backlog(defer_drop_queue_default()), 0);
}

Test(stats, the_backlog_of_an_abandoned_queue_is_0)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, NULL, forbidden, 0));
	answers(0, defer_drop_queue_shutdown(queue, 0));
	cr_assert_eq(defer_drop_queue_backlog(queue), 0);
	answers(0, defer_drop_queue_free(queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}
