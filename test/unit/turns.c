/* SPDX-License-Identifier: MIT
 *
 * Turns: what holds between any two destructors, nested or not; and drops that are destroyed in
 * slices.
 */
#include "queues.h"

#include "defer_drop/guard.h"

TestSuite(turns, .timeout = 120);

static const uint32_t runners[] = {WORKER, CALLER};

static struct defer_drop_queue *make(uint32_t runner)
{
	return make_queue(runner, 16, LANES);
}

static uint64_t drain_some(struct defer_drop_queue *queue, uint64_t max_drops)
{
	uint64_t ran;

	answers(0, defer_drop_queue_drain(queue, max_drops, FOREVER, &ran));
	return ran;
}

/* Its drop is destroyed by another thread's lane. */
static void push_from_thread(struct defer_drop_queue *queue, void *object)
{
	struct push push = {.queue = queue, .object = object};

	join_thread(spawn(push_in_thread, &push));
	answers(0, push.result);
}

/* ---- Without end ----------------------------------------------------------------------------- */

/* A destructor that drops its object again until it may stop. */
static atomic_bool may_stop;
static atomic_uint again_count;

static void drop_again(void *object)
{
	atomic_fetch_add(&again_count, 1);
	if (!atomic_load(&may_stop) && defer_drop_queue_push(nest, object, drop_again, FOREVER))
		atomic_fetch_add(&nest_errors, 1);
}

static void begin_chain(struct defer_drop_queue *queue)
{
	nest = queue;
	answers(0, defer_drop_queue_push(queue, NULL, drop_again, FOREVER));
	await(queue->config.values.runner != WORKER || atomic_load(&again_count));
}

static void end_chain(void)
{
	atomic_store(&may_stop, true);
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(defer_drop_queue_backlog(nest), 0);
	cr_assert_eq(atomic_load(&nest_errors), 0);
	end_queue(nest);
}

Test(turns, a_chain_without_end_does_not_hold_up_other_lanes)
{
	begin_chain(make(WORKER));
	push_from_thread(nest, number(7));
	await(atomic_load(&seen_count) == 1);
	end_chain();
}

Test(turns, a_drain_of_a_chain_without_end_keeps_to_its_number_and_goes_on_there)
{
	begin_chain(make(CALLER));
	for (unsigned i = 1; i <= 5; i++) {
		cr_assert_eq(drain_some(nest, 10), 10);
		cr_assert_eq(atomic_load(&again_count), 10 * i);
		/* The drop is pending, and so are the drops that it made. */
		cr_assert_eq(defer_drop_queue_backlog(nest), 2);
	}
	end_chain();
}

Test(turns, a_drain_of_a_chain_without_end_keeps_to_its_time)
{
	begin_chain(make(CALLER));
	answers(0, defer_drop_queue_drain(nest, UINT64_MAX, MS, NULL));
	cr_assert_eq(defer_drop_queue_backlog(nest), 2);
	end_chain();
}

Test(turns, a_drain_of_a_chain_without_end_destroys_what_is_in_other_lanes)
{
	begin_chain(make(CALLER));
	push_from_thread(nest, number(7));
	while (!atomic_load(&seen_count))
		drain(nest, 10000);
	end_chain();
}

Test(turns, waits_for_a_chain_without_end_are_over_in_time)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct defer_drop_ticket ticket;

		atomic_store(&may_stop, false);
		options.completion = &completion;
		options.ticket = &ticket;
		nest = make(runners[i]);
		answers(0, defer_drop_queue_push_with(nest, NULL, drop_again, FOREVER, &options));
		answers(-ETIMEDOUT, defer_drop_queue_flush(nest, MS));
		answers(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, MS));
		answers(-ETIMEDOUT, defer_drop_completion_wait(&completion, MS, NULL));
		answers(-ETIMEDOUT, defer_drop_queue_wait_backlog(nest, 0, 0, MS));
		atomic_store(&may_stop, true);
		answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
		answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
		end_chain();
	}
}

/* A flush drains a lane that has no end; it serves the other lanes too. */
Test(turns, a_flush_of_a_chain_without_end_destroys_what_is_in_other_lanes)
{
	pthread_t thread;

	begin_chain(make(CALLER));
	thread = spawn(flush_in_thread, nest);
	await(atomic_load(&again_count));
	push_from_thread(nest, number(7));
	await(atomic_load(&seen_count) == 1);
	atomic_store(&may_stop, true);
	cr_assert_null(join_thread(thread));
	end_chain();
}

Test(turns, a_shutdown_in_time_abandons_what_a_chain_without_end_has_made)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_stats stats;

		begin_chain(make(runners[i]));
		answers(-ETIMEDOUT, defer_drop_queue_shutdown(nest, MS));
		stats = stats_of(nest);
		cr_assert_eq(stats.abandoned_total, 1);
		cr_assert(is_balanced(&stats));
		cr_assert_eq(stats.backlog, 0);
		answers(0, defer_drop_queue_free(nest));
	}
}

/* The thread that closes the queue gives other lanes their turns beside the chain. */
Test(turns, a_shutdown_destroys_other_lanes_beside_a_chain_without_end)
{
	for (unsigned i = 0; i < 2; i++) {
		pthread_t thread;

		atomic_store(&may_stop, false);
		atomic_store(&seen_count, 0);
		begin_chain(make(runners[i]));
		push_from_thread(nest, number(7));
		thread = spawn(shut_down_in_thread, nest);
		await(atomic_load(&seen_count) == 1);
		atomic_store(&may_stop, true);
		cr_assert_null(join_thread(thread));
		cr_assert_eq(stats_of(nest).abandoned_total, 0);
		answers(0, defer_drop_queue_free(nest));
	}
}

Test(turns, a_queue_with_a_chain_without_end_is_stopped_and_goes_on_when_it_is_started)
{
	unsigned before;

	begin_chain(make(WORKER));
	answers(0, defer_drop_queue_stop(nest, FOREVER));
	before = atomic_load(&again_count);
	cr_assert_eq(defer_drop_queue_backlog(nest), 2);
	answers(0, defer_drop_queue_start(nest));
	await(atomic_load(&again_count) > before);
	end_chain();
}

static void exit_beside_a_chain(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.exit_timeout_ns = MS;
	nest = create_queue(&config);
	answers(0, defer_drop_queue_push(nest, NULL, drop_again, FOREVER));
}

Test(turns, a_timed_exit_beside_a_chain_without_end_ends)
{
	cr_assert_eq(run_child(exit_beside_a_chain), 0);
	cr_assert_eq(times_said("abandons"), 1);
}

/* ---- The watchdog ---------------------------------------------------------------------------- */

static atomic_uint slow_count;
static struct defer_drop_slow slow_told;

static void write_slow(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	if (!atomic_load(&slow_count))
		slow_told = *slow;
	atomic_fetch_add(&slow_count, 1);
}

static struct defer_drop_queue *make_watched(uint32_t runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	atomic_store(&slow_count, 0);
	config.runner = runner;
	config.watchdog_ns = MS;
	config.watchdog = write_slow;
	return create_queue(&config);
}

Test(turns, the_watchdog_names_a_chain_without_end)
{
	nest = make_watched(WORKER);
	answers(0, defer_drop_queue_push(nest, number(5), drop_again, FOREVER));
	await(atomic_load(&slow_count) >= 2);
	cr_assert_eq(slow_told.destroy, drop_again);
	cr_assert_eq(slow_told.object, number(5));
	cr_assert_geq(slow_told.running_ns, MS);
	cr_assert_geq(stats_of(nest).slow_total, 1);
	end_chain();
}

/* ---- The level ------------------------------------------------------------------------------- */

enum { FAN = 1000 };

static atomic_uint told_high;

static void count_high(void *context, const struct defer_drop_level *level)
{
	(void)context;
	if (level->is_high)
		atomic_fetch_add(&told_high, 1);
}

static void fan_out(void *object)
{
	for (uintptr_t i = 0; i < FAN; i++)
		if (defer_drop_queue_push(nest, object, note, FOREVER))
			atomic_fetch_add(&nest_errors, 1);
}

Test(turns, watermarks_tell_of_nested_drops)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

		atomic_store(&told_high, 0);
		config.runner = runners[i];
		config.high_drops = FAN / 2;
		config.watermark_interval_ns = 0;
		config.watermark = count_high;
		nest = create_queue(&config);
		answers(0, defer_drop_queue_push(nest, NULL, fan_out, FOREVER));
		answers(0, defer_drop_queue_flush(nest, FOREVER));
		cr_assert_eq(atomic_load(&told_high), 1);
		end_queue(nest);
	}
}

Test(turns, a_wait_for_the_backlog_ends_between_nested_drops)
{
	nest = make(CALLER);
	answers(0, defer_drop_queue_push(nest, NULL, fan_out, FOREVER));
	cr_assert_eq(drain_some(nest, 1), 1);
	answers(0, defer_drop_queue_wait_backlog(nest, FAN / 2, UINT64_MAX, FOREVER));
	cr_assert_eq(defer_drop_queue_backlog(nest), FAN / 2);
	end_queue(nest);
	cr_assert_eq(atomic_load(&seen_count), FAN);
}

/* ---- Turns ----------------------------------------------------------------------------------- */

/* Each takes longer than a turn, so each of two lanes has a turn for each of its drops. */
static void take_its_time(void *object)
{
	note(object);
	usleep(1000);
}

Test(turns, lanes_with_slow_destructors_take_turns)
{
	enum { EACH = 8 };
	struct defer_drop_queue *queue = make(WORKER);
	struct tenant tenant = {.queue = queue, .object = number(99), .destroy = note};
	struct gate gate;
	unsigned last = 0;

	hold_up(queue, &gate);
	for (uintptr_t i = 0; i < EACH; i++)
		answers(0, defer_drop_queue_push(queue, number(i), take_its_time, FOREVER));
	tenant_begin(&tenant);
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	while (seen[last] != number(99))
		last++;
	cr_assert_lt(last, EACH, "it came after all of the other lane's");
	tenant_end(&tenant);
	end_queue(queue);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

/* An object that is destroyed in slices: it notes its number in each. */
struct cake {
	uintptr_t number;
	unsigned slices;
	int status;
	bool makes_drops; /* each slice drops a number, 100 above its own */
	struct defer_drop_queue *queue;
};

static int cut(void *object)
{
	struct cake *cake = object;

	note(number(cake->number));
	if (cake->makes_drops &&
		defer_drop_queue_push(cake->queue, number(cake->number + 100), note, FOREVER))
		atomic_fetch_add(&nest_errors, 1);
	return --cake->slices ? DEFER_DROP_AGAIN : cake->status;
}

static int cut_with_context(void *object, void *context)
{
	return context == object ? cut(object) : -EINVAL;
}

static struct defer_drop_options options_of(struct cake *cake, unsigned with_context)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	if (with_context) {
		options.destroy_context = cut_with_context;
		options.context = cake;
	} else {
		options.destroy_status = cut;
	}
	return options;
}

static void push_cake(struct defer_drop_queue *queue, struct cake *cake)
{
	struct defer_drop_options options = options_of(cake, cake->number % 2);

	cake->queue = queue;
	answers(0, defer_drop_queue_push_with(queue, cake, NULL, FOREVER, &options));
}

static void assert_order(const uintptr_t *wanted, unsigned count)
{
	cr_assert_eq(atomic_load(&seen_count), count, "%u", atomic_load(&seen_count));
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq((uintptr_t)seen[i], wanted[i], "place %u has %p", i, seen[i]);
}

Test(turns, a_drop_in_slices_is_finished_before_what_its_thread_dropped_later)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i % 2], 16, lanes_tried[i / 2]);
		struct cake first = {.number = 1, .slices = 3};
		struct cake second = {.number = 2, .slices = 2};

		atomic_store(&seen_count, 0);
		push_cake(queue, &first);
		push_cake(queue, &second);
		answers(0, defer_drop_queue_push(queue, number(3), note, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_order((const uintptr_t[]){1, 1, 1, 2, 2, 3}, 6);
		cr_assert_eq(stats_of(queue).destroyed_total, 3);
		cr_assert_eq(stats_of(queue).failed_total, 0);
		end_queue(queue);
	}
}

Test(turns, other_lanes_have_their_turn_between_two_slices)
{
	struct defer_drop_queue *queue = make(CALLER);
	struct cake cake = {.number = 1, .slices = 3};
	struct tenant tenant = {.queue = queue, .object = number(9), .destroy = note};

	push_cake(queue, &cake);
	tenant_begin(&tenant);
	drain(queue, UINT64_MAX);
	assert_order((const uintptr_t[]){1, 9, 1, 1}, 4);
	tenant_end(&tenant);
	end_queue(queue);
}

Test(turns, a_drain_counts_slices)
{
	struct defer_drop_queue *queue = make(CALLER);
	struct cake cake = {.number = 1, .slices = 5};

	push_cake(queue, &cake);
	answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
	cr_assert_eq(drain_some(queue, 2), 2);
	cr_assert_eq(cake.slices, 3);
	cr_assert_eq(defer_drop_queue_backlog(queue), 2);
	cr_assert_eq(drain_some(queue, 3), 3);
	cr_assert_eq(defer_drop_queue_backlog(queue), 1);
	cr_assert_eq(drain_some(queue, UINT64_MAX), 1);
	end_queue(queue);
}

Test(turns, drops_that_a_slice_makes_come_before_the_next_slice)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(runners[i]);
		struct cake cake = {.number = 1, .slices = 3, .makes_drops = true};

		atomic_store(&seen_count, 0);
		push_cake(queue, &cake);
		answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_order((const uintptr_t[]){1, 101, 1, 101, 1, 101, 2}, 7);
		end_queue(queue);
	}
}

static struct cake nested_cakes[2];

static void drop_cakes(void *object)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.destroy_status = cut;
	for (unsigned i = 0; i < 2; i++) {
		nested_cakes[i] = (struct cake){.number = i + 1, .slices = 2 + i};
		if (defer_drop_queue_push_with(object, &nested_cakes[i], NULL, FOREVER, &options))
			atomic_fetch_add(&nest_errors, 1);
	}
}

Test(turns, nested_drops_are_destroyed_in_slices_too)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(runners[i]);

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(queue, queue, drop_cakes, FOREVER));
		answers(0, defer_drop_queue_push(queue, number(3), note, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_order((const uintptr_t[]){1, 1, 2, 2, 2, 3}, 6);
		cr_assert_eq(stats_of(queue).destroyed_total, 4);
		cr_assert_eq(stats_of(queue).nested_total, 2);
		end_queue(queue);
	}
}

Test(turns, ticket_and_completion_end_with_the_last_slice_and_its_status)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(CALLER);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct cake cake = {.number = 1, .slices = 3, .status = -EIO};
		struct defer_drop_options options = options_of(&cake, i);
		struct defer_drop_ticket ticket;
		int status = 0;

		options.completion = &completion;
		options.ticket = &ticket;
		options.bytes = 100;
		answers(0, defer_drop_queue_push_with(queue, &cake, NULL, FOREVER, &options));
		for (unsigned slice = 0; slice < 2; slice++) {
			cr_assert_eq(drain_some(queue, 1), 1);
			answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
			answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
			cr_assert_eq(stats_of(queue).backlog_bytes, 100);
		}
		cr_assert_eq(drain_some(queue, 1), 1);
		answers(0, defer_drop_ticket_wait(&ticket, 0));
		answers(0, defer_drop_completion_wait(&completion, 0, &status));
		answers(-EIO, status);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		cr_assert_eq(stats_of(queue).failed_total, 1);
		end_queue(queue);
	}
}

Test(turns, waits_destroy_the_slices_that_they_wait_for)
{
	struct defer_drop_queue *queue = make(CALLER);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct cake cake = {.number = 2, .slices = 3};
	struct defer_drop_options options = options_of(&cake, 0);

	options.completion = &completion;
	answers(0, defer_drop_queue_push_with(queue, &cake, NULL, FOREVER, &options));
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	cake.slices = 3;
	push_cake(queue, &cake);
	answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	cr_assert_eq(cake.slices, 0);
	end_queue(queue);
}

/* ---- Again, without a status ------------------------------------------------------------------ */

static atomic_int again_result;

static void cut_again(void *object)
{
	struct cake *cake = object;

	note(number(cake->number));
	while (--cake->slices) {
		int result = defer_drop_again(cake, cut_again);

		atomic_store(&again_result, result);
		if (!result)
			return;
		note(number(cake->number));
	}
}

Test(turns, a_destructor_without_a_status_goes_on_later)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i % 2], 16, lanes_tried[i / 2]);
		struct cake cake = {.number = 1, .slices = 3};

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(queue, &cake, cut_again, FOREVER));
		answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, atomic_load(&again_result));
		assert_order((const uintptr_t[]){1, 1, 1, 2}, 4);
		cr_assert_eq(stats_of(queue).nested_total, 2);
		end_queue(queue);
	}
}

static struct cake other_cake;

/* In place: the object that the queue destroys is another one. */
static void cut_other(void *object)
{
	(void)object;
	cut_again(&other_cake);
}

Test(turns, a_destructor_that_no_queue_called_goes_on_by_itself)
{
	struct defer_drop_queue *queue = make(CALLER);
	struct cake cake = {.number = 1, .slices = 3};

	answers(-EINVAL, defer_drop_again(&cake, NULL));
	cut_again(&cake);
	answers(-ENOENT, atomic_load(&again_result));
	other_cake = (struct cake){.number = 1, .slices = 3};
	answers(0, defer_drop_queue_push(queue, NULL, cut_other, FOREVER));
	cr_assert_eq(drain_some(queue, UINT64_MAX), 1);
	answers(-ENOENT, atomic_load(&again_result));
	assert_order((const uintptr_t[]){1, 1, 1, 1, 1, 1}, 6);
	end_queue(queue);
}

static void await_guard(const struct defer_drop_strategy *strategy)
{
	struct cake cake = {.number = 1, .slices = 3, .status = -EIO};
	struct defer_drop_guard guard = DEFER_DROP_GUARD_STATUS_INIT(&cake, cut, strategy);

	atomic_store(&seen_count, 0);
	answers(-EIO, defer_drop_guard_drop(&guard));
	cr_assert_eq(cake.slices, 0);
	assert_order((const uintptr_t[]){1, 1, 1}, 3);
}

Test(turns, a_guard_is_waited_for_until_its_object_is_finished)
{
	struct defer_drop_queue *queue = make(CALLER);
	struct defer_drop_strategy_queue drained;

	await_guard(&defer_drop_strategy_worker);
	await_guard(&defer_drop_strategy_in_place);
	await_guard(&defer_drop_strategy_thread);
	answers(0, defer_drop_strategy_queue_init(&drained, queue, FOREVER));
	await_guard(&drained.strategy);
	cr_assert_eq(stats_of(queue).nested_total, 2);
	end_queue(queue);
}

static void guard_in_place(void *object)
{
	(void)object;
	await_guard(&defer_drop_strategy_in_place);
}

Test(turns, a_guard_in_place_is_finished_in_place_inside_a_destructor_too)
{
	struct defer_drop_queue *queue = make(CALLER);

	answers(0, defer_drop_queue_push(queue, NULL, guard_in_place, FOREVER));
	cr_assert_eq(drain_some(queue, UINT64_MAX), 1);
	end_queue(queue);
}

/* ---- The end of a drop that is not finished -------------------------------------------------- */

Test(turns, a_shutdown_finishes_a_drop_in_slices)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(runners[i]);
		struct cake cake = {.number = 1, .slices = 5};

		push_cake(queue, &cake);
		if (runners[i] == CALLER)
			drain(queue, 2);
		end_queue(queue);
		cr_assert_eq(cake.slices, 0);
	}
}

/* Its slots are not taken for another drop's, in a ring that is full either. */
Test(turns, a_shutdown_that_has_no_time_abandons_a_drop_in_slices)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[i % 2]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct cake cake = {.number = 2, .slices = 5, .makes_drops = i / 2};
		struct defer_drop_options options = options_of(&cake, 0);
		struct defer_drop_ticket ticket;
		struct defer_drop_stats stats;

		options.completion = &completion;
		options.ticket = &ticket;
		options.bytes = 100;
		cake.queue = queue;
		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
		answers(0, defer_drop_queue_push_with(queue, &cake, NULL, FOREVER, &options));
		drain(queue, 2);
		for (uintptr_t more = 3; more < (i / 2 ? 4 : 17); more++)
			answers(0, defer_drop_queue_push(queue, number(more), note, 0));
		answers(0, defer_drop_queue_shutdown(queue, 0));
		assert_order((const uintptr_t[]){1, 2}, 2);
		answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, FOREVER, NULL));
		answers(-ESHUTDOWN, defer_drop_ticket_wait(&ticket, 0));
		stats = stats_of(queue);
		cr_assert_eq(stats.destroyed_total, 1);
		cr_assert_eq(stats.abandoned_total, i / 2 ? 3 : 15);
		cr_assert_eq(stats.backlog, 0);
		cr_assert_eq(stats.backlog_bytes, 0);
		cr_assert(is_balanced(&stats));
		answers(0, defer_drop_queue_free(queue));
	}
}

static atomic_bool is_cut;

/* A destructor that never finishes. */
static int cut_for_ever(void *object)
{
	(void)object;
	atomic_store(&is_cut, true);
	return DEFER_DROP_AGAIN;
}

static void push_endless(struct defer_drop_queue *queue)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	atomic_store(&is_cut, false);
	options.destroy_status = cut_for_ever;
	answers(0, defer_drop_queue_push_with(queue, NULL, NULL, FOREVER, &options));
}

Test(turns, a_drop_that_is_never_finished_holds_up_neither_other_lanes_nor_a_timed_shutdown)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(runners[i]);

		atomic_store(&seen_count, 0);
		push_endless(queue);
		push_from_thread(queue, number(7));
		answers(-ETIMEDOUT, defer_drop_queue_flush(queue, MS));
		await(atomic_load(&seen_count) || defer_drop_queue_flush(queue, MS) != -ETIMEDOUT);
		answers(-ETIMEDOUT, defer_drop_queue_shutdown(queue, MS));
		cr_assert_eq(stats_of(queue).abandoned_total, 1);
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(turns, the_watchdog_names_a_drop_that_is_never_finished)
{
	struct defer_drop_queue *queue = make_watched(WORKER);

	push_endless(queue);
	await(atomic_load(&slow_count) >= 2);
	cr_assert_eq(slow_told.destroy_status, cut_for_ever);
	answers(-ETIMEDOUT, defer_drop_queue_shutdown(queue, MS));
	answers(0, defer_drop_queue_free(queue));
}

Test(turns, a_worker_that_stops_leaves_a_drop_in_slices_to_the_next_one)
{
	struct defer_drop_queue *queue = make(WORKER);

	push_endless(queue);
	await(atomic_load(&is_cut));
	answers(0, defer_drop_queue_stop(queue, FOREVER));
	atomic_store(&is_cut, false);
	cr_assert_eq(defer_drop_queue_backlog(queue), 1);
	answers(0, defer_drop_queue_start(queue));
	await(atomic_load(&is_cut));
	answers(-ETIMEDOUT, defer_drop_queue_shutdown(queue, MS));
	answers(0, defer_drop_queue_free(queue));
}

static struct gate held;

static int cut_in_gate(void *object)
{
	(void)object;
	pass_gate(&held);
	return DEFER_DROP_AGAIN;
}

/* The queue is given up while a slice runs: there is no next slice. */
Test(turns, a_drop_in_slices_of_a_queue_that_was_given_up_is_not_called_again)
{
	struct defer_drop_queue *queue = make(WORKER);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	gate_init(&held);
	options.destroy_status = cut_in_gate;
	options.completion = &completion;
	answers(0, defer_drop_queue_push_with(queue, NULL, NULL, FOREVER, &options));
	await_held(&held);
	answers(-ECANCELED, defer_drop_queue_shutdown(queue, 0));
	answers(-ECANCELED, defer_drop_completion_wait(&completion, FOREVER, NULL));
	let_go(&held);
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, FOREVER, NULL));
	cr_assert_eq(stats_of(queue).abandoned_total, 1);
	answers(0, defer_drop_queue_free(queue));
}

/* ---- Exit and fork --------------------------------------------------------------------------- */

static unsigned *shared_slices;

static int cut_shared(void *object)
{
	(void)object;
	return --*shared_slices ? DEFER_DROP_AGAIN : 0;
}

static struct defer_drop_queue *push_shared(uint32_t at_fork, unsigned slices)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue;

	config.runner = CALLER;
	config.at_fork = at_fork;
	shared_slices = shared_slices ? shared_slices : share(sizeof *shared_slices);
	*shared_slices = slices;
	options.destroy_status = cut_shared;
	queue = create_queue(&config);
	answers(0, defer_drop_queue_push_with(queue, NULL, NULL, FOREVER, &options));
	return queue;
}

static void exit_in_the_middle(void)
{
	drain(push_shared(DEFER_DROP_AT_FORK_EMPTY, 5), 2);
}

Test(turns, exit_finishes_a_drop_in_slices)
{
	shared_slices = share(sizeof *shared_slices);
	cr_assert_eq(run_child(exit_in_the_middle), 0);
	cr_assert_eq(*shared_slices, 0);
}

static struct defer_drop_queue *forked;

static void finish_in_child(void)
{
	if (defer_drop_queue_flush(forked, FOREVER) || defer_drop_queue_backlog(forked))
		_exit(1);
}

Test(turns, a_child_does_not_go_on_with_a_drop_that_another_thread_left_in_the_middle)
{
	for (unsigned kept = 0; kept < 2; kept++) {
		forked = push_shared(kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY, 5);
		drain(forked, 2);
		cr_assert_eq(run_child(finish_in_child), 0);
		cr_assert_eq(*shared_slices, 3);
		answers(0, defer_drop_queue_flush(forked, FOREVER));
		cr_assert_eq(*shared_slices, 0);
		end_queue(forked);
	}
}

static int *child_status;
static unsigned slices_at_fork;

/* The child goes on as the thread that drains, and ends there. */
static void fork_inside(void *object)
{
	pid_t child;

	(void)object;
	slices_at_fork = *shared_slices;
	child = fork();
	if (child)
		*child_status = status_of(child);
}

/* Drains until the drop that forks was destroyed: the child drains the rest. */
static void drain_and_fork(void)
{
	pid_t parent = getpid();

	slices_at_fork = 0;
	while (!slices_at_fork)
		drain(forked, 1);
	if (getpid() == parent)
		return;
	drain(forked, UINT64_MAX);
	_exit(defer_drop_queue_backlog(forked) != 0);
}

Test(turns, a_child_that_a_destructor_forks_goes_on_with_what_it_keeps)
{
	for (unsigned kept = 0; kept < 2; kept++) {
		struct tenant tenant = {.destroy = fork_inside};

		child_status = share(sizeof *child_status);
		forked = push_shared(kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY, 9);
		drain(forked, 2);
		tenant.queue = forked;
		tenant_begin(&tenant);
		drain_and_fork();
		tenant_end(&tenant);
		cr_assert_eq(*child_status, 0);
		cr_assert_eq(*shared_slices, kept ? 0 : slices_at_fork);
		*shared_slices = 1;
		end_queue(forked);
	}
}
