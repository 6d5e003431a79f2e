/* SPDX-License-Identifier: MIT
 *
 * Pushes with options: what they refuse, which thread has the object then, and which promises of
 * the short calls they keep.
 */
#include "queues.h"

TestSuite(options, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

static int fail_to_note(void *object)
{
	note(object);
	return -EIO;
}

static int note_well(void *object)
{
	note(object);
	return 0;
}

static struct defer_drop_queue *make(unsigned i)
{
	return make_queue(runners[i % 2], 16, lanes_tried[i / 2 % 2]);
}

/* ---- What is refused ------------------------------------------------------------------------- */

/* Checks that both calls return this, and take neither the object nor the completion. */
static void assert_refused(struct defer_drop_queue *queue, int want, defer_drop_fn destroy,
	uint64_t timeout_ns, struct defer_drop_options *options)
{
	void *objects[2] = {NULL, NULL};
	size_t pushed = 99;

	answers(want, defer_drop_queue_push_with(queue, NULL, destroy, timeout_ns, options));
	answers(want, defer_drop_queue_push_many(
			      queue, objects, 2, destroy, timeout_ns, options, &pushed));
	cr_assert_eq(pushed, 0);
	answers(want,
		defer_drop_queue_push_many(queue, objects, 2, destroy, timeout_ns, options, NULL));
}

Test(options, wrong_arguments_are_refused)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *object = NULL;

	assert_refused(NULL, -EINVAL, forbidden, FOREVER, NULL);
	assert_refused(NULL, -EINVAL, forbidden, FOREVER, &options);
	assert_refused(queue, -EINVAL, NULL, FOREVER, NULL);
	assert_refused(queue, -EINVAL, NULL, FOREVER, &options);
	assert_refused(queue, -EOVERFLOW, forbidden, DEFER_DROP_TIMEOUT_MAX + 1, &options);
	assert_refused(queue, -EOVERFLOW, forbidden, FOREVER - 1, &options);
	options.destroy_status = forbidden_status;
	assert_refused(queue, -EINVAL, forbidden, FOREVER, &options);
	answers(-EINVAL, defer_drop_with(NULL, NULL, FOREVER, NULL));
	answers(-EINVAL,
		defer_drop_queue_push_many(queue, NULL, 1, forbidden, FOREVER, NULL, NULL));
	answers(-EOVERFLOW, defer_drop_queue_push_many(queue, &object, (size_t)INT32_MAX + 1,
				    forbidden, FOREVER, NULL, NULL));
	answers(-EOVERFLOW, defer_drop_queue_push_many(
				    queue, &object, SIZE_MAX, forbidden, FOREVER, NULL, NULL));
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(options, wrong_options_are_refused_and_the_completion_stays_unused)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options right = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_options options;

	right.completion = &completion;
	for (unsigned bit = 2; bit < 32; bit++) {
		options = right;
		options.flags = 1u << bit;
		assert_refused(queue, -EINVAL, forbidden, FOREVER, &options);
	}
	options = right;
	options.bytes = DEFER_DROP_BYTES_END;
	assert_refused(queue, -EOVERFLOW, forbidden, FOREVER, &options);
	options.bytes = UINT64_MAX;
	assert_refused(queue, -EOVERFLOW, forbidden, FOREVER, &options);
	options = right;
	completion.eventfd = -2;
	assert_refused(queue, -EINVAL, forbidden, FOREVER, &options);
	completion.eventfd = INT32_MIN;
	assert_refused(queue, -EINVAL, forbidden, FOREVER, &options);
	completion.eventfd = -1;
	answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(options, of_another_version_are_taken_where_they_ask_for_nothing_new)
{
	struct {
		struct defer_drop_options options;
		uint64_t later[2];
	} longer = {.options = DEFER_DROP_OPTIONS_INIT};
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	longer.options.size = sizeof longer;
	answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &longer.options));
	longer.later[1] = 1;
	assert_refused(queue, -E2BIG, forbidden, 0, &longer.options);
	/* The first version, which has no group. */
	longer.options.size = offsetof(struct defer_drop_options, group);
	longer.options.group = (struct defer_drop_group *)&longer;
	answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &longer.options));
	longer.options.size--;
	assert_refused(queue, -EINVAL, forbidden, 0, &longer.options);
	longer.options.size = 0;
	assert_refused(queue, -EINVAL, forbidden, 0, &longer.options);
	end_queue(queue);
	cr_assert_eq(atomic_load(&seen_count), 2);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(options, a_queue_that_was_shut_down_refuses_all)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		options.completion = &completion;
		options.bytes = 100;
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		assert_refused(queue, -ESHUTDOWN, forbidden, FOREVER, NULL);
		assert_refused(queue, -ESHUTDOWN, forbidden, FOREVER, &options);
		assert_refused(queue, -ESHUTDOWN, forbidden, 0, &options);
		answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		answers(0, defer_drop_queue_free(queue));
	}
	answers(0, defer_drop_shutdown());
	answers(-ESHUTDOWN, defer_drop_with(NULL, forbidden, FOREVER, NULL));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- What is promised ------------------------------------------------------------------------ */

/* One of each kind, in turn. */
static int push_kind(struct defer_drop_queue *queue, uintptr_t i, uint64_t timeout_ns)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	switch (i % 4) {
	case 0:
		return defer_drop_queue_push(queue, number(i), note, timeout_ns);
	case 1:
		options.bytes = i;
		break;
	case 2:
		options.destroy_status = i % 8 == 2 ? note_well : fail_to_note;
		break;
	default:
		return defer_drop_queue_push_with(queue, number(i), note, timeout_ns, NULL);
	}
	return defer_drop_queue_push_with(
		queue, number(i), i % 4 == 2 ? NULL : note, timeout_ns, &options);
}

Test(options, drops_of_all_kinds_keep_their_order_in_rings_of_all_sizes)
{
	for (uint32_t queue_size = 2; queue_size <= 64; queue_size *= 2) {
		for (unsigned shared = 0; shared < 2; shared++) {
			struct defer_drop_queue *queue =
				make_quiet(WORKER, queue_size, lanes_tried[shared]);
			struct defer_drop_stats stats;

			atomic_store(&seen_count, 0);
			for (uintptr_t i = 0; i < 1000; i++)
				answers(0, push_kind(queue, i, FOREVER));
			answers(0, defer_drop_queue_flush(queue, FOREVER));
			assert_seen(0, 1000);
			stats = stats_of(queue);
			cr_assert_eq(stats.pushed_total, 1000);
			cr_assert_eq(stats.destroyed_total, 1000);
			cr_assert_eq(stats.failed_total, 125);
			cr_assert_eq(stats.backlog_bytes, 0);
			end_queue(queue);
		}
	}
}

Test(options, statistics_agree_at_every_number_of_drops)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_quiet(CALLER, 64, lanes_tried[shared]);
		uint64_t destroyed = 0;

		for (uint64_t pushed = 1; pushed < 300; pushed++) {
			struct defer_drop_stats stats;

			answers(0, push_kind(queue, pushed, 0));
			if (pushed - destroyed > 20 + pushed % 7) {
				drain(queue, 5);
				destroyed += 5;
			}
			stats = stats_of(queue);
			cr_assert_eq(stats.pushed_total, pushed);
			cr_assert_eq(stats.destroyed_total, destroyed);
			cr_assert_eq(stats.backlog, pushed - destroyed);
		}
		answers(0, defer_drop_queue_shutdown(queue, 0));
		cr_assert_eq(stats_of(queue).abandoned_total, 299 - destroyed);
		cr_assert_eq(stats_of(queue).destroyed_total, destroyed);
		cr_assert_eq(stats_of(queue).backlog, 0);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(options, one_that_asks_for_something_takes_two_places)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 4, lanes_tried[shared]);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		options.bytes = 1;
		answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		answers(-EAGAIN, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		answers(0, defer_drop_queue_push(queue, NULL, note, 0));
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, note, 0));
		/* Two single slots, not side by side: the second is cleared when its turn comes. */
		drain(queue, 1);
		answers(-EAGAIN, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		drain(queue, 1);
		answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		end_queue(queue);
	}
}

Test(options, a_ticket_is_that_of_the_drop)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[i % 2]);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct defer_drop_ticket tickets[3];
		void *objects[2] = {NULL};

		options.bytes = i / 2; /* one place, or two */
		options.ticket = &tickets[0];
		answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		options.ticket = &tickets[1];
		answers(0, defer_drop_queue_push_many(queue, objects, 2, note, 0, &options, NULL));
		answers(0, defer_drop_queue_ticket(queue, &tickets[2]));
		cr_assert_eq(tickets[2].position, tickets[1].position);
		answers(-EAGAIN, defer_drop_ticket_wait(&tickets[0], 0));
		drain(queue, 1);
		answers(0, defer_drop_ticket_wait(&tickets[0], 0));
		drain(queue, 1);
		answers(-EAGAIN, defer_drop_ticket_wait(&tickets[1], 0));
		answers(0, defer_drop_ticket_wait(&tickets[1], FOREVER));
		/* Filled in on success only. */
		memset(&tickets[2], 0x5a, sizeof tickets[2]);
		tickets[1] = tickets[2];
		options.ticket = &tickets[1];
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		answers(-ESHUTDOWN, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		cr_assert_eq(memcmp(&tickets[1], &tickets[2], sizeof tickets[1]), 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(options, calls_that_answer_0_leave_errno_alone)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		void *objects[4] = {NULL};

		options.bytes = 5;
		errno = 77;
		answers(0, defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options));
		answers(0, defer_drop_queue_push_many(
				   queue, objects, 4, note, FOREVER, &options, NULL));
		answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
		cr_assert_eq(errno, 77);
		end_queue(queue);
	}
	answers(0, defer_drop_with(NULL, note, FOREVER, NULL));
	cr_assert_eq(errno, 77);
}

/* ---- Waiting for room ------------------------------------------------------------------------ */

struct pushing {
	struct defer_drop_queue *queue;
	int result;
};

static void *push_pair_in_thread(void *argument)
{
	struct pushing *pushing = argument;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 1;
	pushing->result = 0;
	for (uintptr_t i = 0; i < 3; i++)
		pushing->result |= defer_drop_queue_push_with(
			pushing->queue, number(i), note, FOREVER, &options);
	return NULL;
}

Test(options, a_push_waits_for_both_its_places)
{
	for (uint32_t queue_size = 2; queue_size <= 4; queue_size *= 2) {
		for (unsigned shared = 0; shared < 2; shared++) {
			struct pushing pushing = {
				make_queue(CALLER, queue_size, lanes_tried[shared]), 1};
			pthread_t thread;

			atomic_store(&seen_count, 0);
			thread = spawn(push_pair_in_thread, &pushing);
			while (atomic_load(&seen_count) < 3)
				drain(pushing.queue, 1);
			join_thread(thread);
			answers(0, pushing.result);
			assert_seen(0, 3);
			end_queue(pushing.queue);
		}
	}
}

static void *push_kinds(void *argument)
{
	uintptr_t accepted = 0;

	for (uintptr_t i = 0; i < 3000; i++)
		accepted += !push_kind(argument, i, i % 3 ? FOREVER : 1000);
	return number(accepted);
}

Test(options, many_threads_push_drops_of_all_kinds)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_quiet(WORKER, 4, lanes_tried[shared]);
		pthread_t threads[4];
		uint64_t accepted = 0;

		for (unsigned i = 0; i < 4; i++)
			threads[i] = spawn(push_kinds, queue);
		for (unsigned i = 0; i < 4; i++)
			accepted += (uintptr_t)join_thread(threads[i]);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(stats_of(queue).pushed_total, accepted);
		cr_assert_eq(stats_of(queue).destroyed_total, accepted);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		end_queue(queue);
	}
}

static void *push_kinds_until_shutdown(void *argument)
{
	uintptr_t accepted = 0;
	uintptr_t i = 0;
	int result;

	while (!(result = push_kind(argument, i++, FOREVER)))
		accepted++;
	return result == -ESHUTDOWN ? number(accepted) : number(UINTPTR_MAX);
}

Test(options, every_push_beside_a_shutdown_is_taken_or_refused)
{
	for (unsigned i = 0; i < 24; i++) {
		struct defer_drop_queue *queue =
			make_quiet(WORKER, 2u << i % 3, lanes_tried[i % 2]);
		struct defer_drop_stats stats;
		uint64_t accepted = 0;
		pthread_t threads[4];

		for (unsigned j = 0; j < 4; j++)
			threads[j] = spawn(push_kinds_until_shutdown, queue);
		usleep(500 * (i % 4));
		answers(0, shut_down_at_last(queue, i % 4 < 2 ? FOREVER : 0));
		for (unsigned j = 0; j < 4; j++)
			accepted += (uintptr_t)join_thread(threads[j]);
		stats = stats_of(queue);
		cr_assert_eq(accepted, stats.destroyed_total + stats.abandoned_total);
		cr_assert_eq(stats.pushed_total, accepted);
		cr_assert_eq(stats_of(queue).backlog, 0);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

/* ---- By destructors -------------------------------------------------------------------------- */

static atomic_int nest_kinds_result;

static void nest_kinds(void *object)
{
	for (uintptr_t i = 0; i < 600; i++)
		atomic_fetch_or(&nest_kinds_result, push_kind(object, i, i % 2 ? FOREVER : 0));
}

Test(options, nested_drops_of_all_kinds_keep_their_order)
{
	for (uint32_t queue_size = 2; queue_size <= 16; queue_size *= 8) {
		for (unsigned i = 0; i < 4; i++) {
			struct defer_drop_queue *queue =
				make_quiet(runners[i % 2], queue_size, lanes_tried[i / 2]);

			atomic_store(&seen_count, 0);
			answers(0, defer_drop_queue_push(queue, queue, nest_kinds, FOREVER));
			answers(0, push_kind(queue, 600, FOREVER));
			answers(0, defer_drop_queue_flush(queue, FOREVER));
			answers(0, atomic_load(&nest_kinds_result));
			assert_seen(0, 601);
			cr_assert_eq(stats_of(queue).nested_total, 600);
			cr_assert_eq(stats_of(queue).backlog_bytes, 0);
			end_queue(queue);
		}
	}
}
