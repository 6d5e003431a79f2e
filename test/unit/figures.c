/* SPDX-License-Identifier: MIT
 *
 * What a queue measures: histograms, the ages and delays of drops, the times of destructors.
 */
#include "unit.h"

#include "core/figures.h"

TestSuite(figures, .timeout = 60);

/* ---- Histograms ------------------------------------------------------------------------------ */

Test(figures, a_bucket_is_wrong_by_a_sixteenth_at_most)
{
	uint32_t last = 0;

	for (uint64_t ns = 0; ns < UINT64_C(1) << DD_TIMES_POWERS; ns += 1 + ns / 100) {
		uint32_t bucket = dd_times_bucket(ns);
		uint64_t middle = dd_times_middle(bucket);
		uint64_t error = middle > ns ? middle - ns : ns - middle;

		cr_assert(bucket == last || bucket == last + 1, "%llu", (unsigned long long)ns);
		cr_assert_leq(error, ns / 16, "%llu is taken for %llu", (unsigned long long)ns,
			(unsigned long long)middle);
		last = bucket;
	}
	cr_assert_eq(last, DD_TIMES_BUCKETS - 1);
	cr_assert_eq(dd_times_bucket(UINT64_MAX), DD_TIMES_BUCKETS - 1);
}

Test(figures, percentiles_are_those_of_what_was_added)
{
	static struct dd_times times;
	struct dd_reading read;

	dd_times_read(&times, &read);
	cr_assert_eq(read.p50_ns, 0);
	cr_assert_eq(read.p999_ns, 0);
	dd_times_add(&times, 5, 899);
	dd_times_add(&times, 1000, 90);
	dd_times_add(&times, 70000, 10);
	dd_times_add(&times, 1000000, 1);
	dd_times_read(&times, &read);
	cr_assert_eq(read.counted_total, 1000);
	cr_assert_eq(read.ns_total, 899 * 5 + 90000 + 700000 + 1000000);
	cr_assert_eq(read.most_ns, 1000000);
	cr_assert_eq(read.p50_ns, 5);
	cr_assert_eq(read.p90_ns, dd_times_middle(dd_times_bucket(1000)));
	cr_assert_eq(read.p99_ns, dd_times_middle(dd_times_bucket(70000)));
	cr_assert_eq(read.p999_ns, dd_times_middle(dd_times_bucket(70000)));
	dd_times_clear(&times);
	dd_times_read(&times, &read);
	cr_assert_eq(read.counted_total + read.most_ns + read.p999_ns, 0);
}

Test(figures, a_percentile_is_no_longer_than_the_longest)
{
	static struct dd_times times;
	struct dd_reading read;

	dd_times_add(&times, 1024, 1);
	dd_times_read(&times, &read);
	cr_assert_eq(read.p999_ns, 1024);
}

/* ---- The table of functions ------------------------------------------------------------------ */

/* No function lies there, and none is called. */
static defer_drop_fn function(uintptr_t number)
{
	return (defer_drop_fn)(number * 64);
}

static struct dd_costs costs;

static uint64_t cost_of(defer_drop_fn destroy)
{
	struct dd_reading read;

	for (unsigned i = 0; i < DD_COSTS; i++)
		if (dd_cost_read(&costs.places[i], &read) == destroy)
			return read.ns_total;
	return 0;
}

Test(figures, what_is_expensive_has_a_place_however_many_functions_there_are)
{
	for (unsigned i = 1; i <= 1000; i++)
		dd_costs_add(&costs, function(i), 100, 1);
	for (unsigned i = 0; i < 100; i++) {
		dd_costs_add(&costs, function(2000), 1000, 2);
		dd_costs_add(&costs, function(3000 + i), 10, 1);
	}
	cr_assert_geq(cost_of(function(2000)), 190000);
	cr_assert_eq(dd_read(&costs.all.ns_total), 1000 * 100 + 100 * 2000 + 100 * 10);
	cr_assert_eq(dd_read(&costs.all.counted_total), 1000 + 200 + 100);
}

Test(figures, a_place_that_changes_hands_has_the_new_ones_times_alone)
{
	for (unsigned i = 1; i <= DD_COSTS; i++)
		dd_costs_add(&costs, function(i), 100, 1);
	dd_costs_add(&costs, function(100), 99, 1);
	cr_assert_eq(cost_of(function(100)), 0, "it is cheaper than all that have a place");
	dd_costs_add(&costs, function(100), 7, 1);
	cr_assert_eq(cost_of(function(100)), 7);
	cr_assert_eq(cost_of(function(1)), 0);
	cr_assert_eq(cost_of(function(2)), 100);
}

Test(figures, a_place_is_not_read_while_it_changes_hands)
{
	struct dd_reading read;

	dd_costs_add(&costs, function(1), 100, 1);
	atomic_store(&costs.places[0].number, 3);
	cr_assert_null(dd_cost_read(&costs.places[0], &read));
	dd_cost_take_place(&costs.places[0], function(2)); /* in a child */
	cr_assert_eq(dd_cost_read(&costs.places[0], &read), function(2));
	cr_assert_eq(read.counted_total, 0);
}

/* ---- Ages ------------------------------------------------------------------------------------ */

/* When the oldest pending drop was pushed: after the first of these, and before the second. */
static uint64_t pushed_after_ns;
static uint64_t pushed_before_ns;

static void push_one(struct defer_drop_queue *queue)
{
	pushed_after_ns = dd_now_ns();
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	pushed_before_ns = dd_now_ns();
}

/* The two bounds hold, of the queue and of its lanes. */
static void assert_age(struct defer_drop_queue *queue)
{
	uint64_t before_ns = dd_now_ns();
	struct defer_drop_stats stats = stats_of(queue);
	uint64_t after_ns = dd_now_ns();
	uint64_t oldest_ns = 0;

	cr_assert_geq(stats.oldest_ns, before_ns - pushed_before_ns);
	cr_assert_leq(stats.oldest_least_ns, after_ns - pushed_after_ns);
	for (uint32_t i = 0; i < stats.lanes; i++) {
		struct defer_drop_stats lane = DEFER_DROP_STATS_INIT;

		answers(0, defer_drop_queue_lane_stats(queue, i, &lane));
		cr_assert(lane.backlog || !lane.oldest_ns);
		oldest_ns = lane.oldest_ns > oldest_ns ? lane.oldest_ns : oldest_ns;
	}
	cr_assert_geq(oldest_ns, before_ns - pushed_before_ns);
}

static void assert_no_age(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = stats_of(queue);

	cr_assert_eq(stats.oldest_ns, 0);
	cr_assert_eq(stats.oldest_least_ns, 0);
}

Test(figures, the_age_lies_between_its_bounds_at_every_number_of_drops)
{
	for (uint32_t shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 256, lanes_tried[shared]);
		uint64_t after_ns[256];
		uint64_t before_ns[256];

		assert_no_age(queue);
		for (unsigned i = 0; i < 200; i++) {
			push_one(queue);
			after_ns[i] = pushed_after_ns;
			before_ns[i] = pushed_before_ns;
			usleep(i % 40 ? 20 : 1000);
			if (i % 7 == 0) /* a look, at which nothing is destroyed */
				answers(0, defer_drop_queue_drain(queue, 0, FOREVER, NULL));
			pushed_after_ns = after_ns[0];
			pushed_before_ns = before_ns[0];
			assert_age(queue);
		}
		for (unsigned i = 0; i < 200; i++) {
			pushed_after_ns = after_ns[i];
			pushed_before_ns = before_ns[i];
			assert_age(queue);
			answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		}
		assert_no_age(queue);
		end_queue(queue);
	}
}

Test(figures, the_age_of_what_waits_behind_a_slow_destructor_grows)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, LANES);
	struct gate gate;
	uint64_t oldest_ns;

	pushed_after_ns = dd_now_ns();
	hold_up(queue, &gate);
	pushed_before_ns = dd_now_ns();
	assert_age(queue);
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	oldest_ns = stats_of(queue).oldest_ns;
	usleep(3000);
	cr_assert_geq(stats_of(queue).oldest_ns, oldest_ns + 3000000);
	assert_age(queue);
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_no_age(queue);
	end_queue(queue);
}

Test(figures, the_age_goes_on_while_the_queue_is_stopped)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, LANES);

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	push_one(queue);
	usleep(2000);
	assert_age(queue);
	cr_assert_geq(stats_of(queue).oldest_ns, 2000000);
	answers(0, defer_drop_queue_start(queue));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_no_age(queue);
	end_queue(queue);
}

Test(figures, a_push_that_wakes_the_worker_is_no_older_than_that)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	struct gate gate;
	uint64_t begun_ns;

	config.quiet_spell_ns = MS;
	queue = create_queue(&config);
	await(is_asleep(queue));
	usleep(20000);
	begun_ns = dd_now_ns();
	hold_up(queue, &gate);
	cr_assert_leq(stats_of(queue).oldest_ns, dd_now_ns() - begun_ns);
	let_go(&gate);
	end_queue(queue);
}

static unsigned slices;

static int in_slices(void *object)
{
	(void)object;
	return --slices ? DEFER_DROP_AGAIN : 0;
}

Test(figures, a_drop_that_is_left_in_the_middle_keeps_its_age)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 64, LANES);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	slices = 20;
	options.destroy_status = in_slices;
	pushed_after_ns = dd_now_ns();
	answers(0, defer_drop_queue_push_with(queue, NULL, NULL, 0, &options));
	pushed_before_ns = dd_now_ns();
	while (slices > 1) {
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		usleep(300); /* so that each drain looks */
		assert_age(queue);
	}
	end_queue(queue);
}

static struct dd_reading delays_of(struct defer_drop_queue *queue)
{
	struct dd_reading read;

	dd_times_read(&queue->figures->delays, &read);
	return read;
}

Test(figures, each_drop_that_a_drain_finds_has_a_delay_that_is_not_too_short)
{
	for (uint32_t shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 64, lanes_tried[shared]);

		for (unsigned i = 1; i <= 10; i++) {
			for (unsigned j = 0; j < 10; j++)
				push_one(queue);
			usleep(2000);
			answers(0, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
			cr_assert_eq(delays_of(queue).counted_total, 10 * i);
		}
		cr_assert_geq(delays_of(queue).p50_ns, 2000000 - 2000000 / 16);
		cr_assert_geq(delays_of(queue).ns_total, 100 * UINT64_C(2000000));
		end_queue(queue);
	}
}

Test(figures, the_worker_notes_delays)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, LANES);

	while (delays_of(queue).counted_total < 20) {
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		usleep(1000);
	}
	cr_assert_leq(delays_of(queue).counted_total, atomic_load(&seen_count));
	end_queue(queue);
}

/* ---- Destructors ----------------------------------------------------------------------------- */

static struct defer_drop_queue *make_timed(uint32_t runner, uint32_t destructor_times)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.destructor_times = destructor_times;
	config.at_fork = DEFER_DROP_AT_FORK_KEEP;
	return create_queue(&config);
}

static struct dd_reading times_of(struct defer_drop_queue *queue, defer_drop_fn destroy)
{
	struct dd_reading read = {0};
	struct dd_reading found = {0};

	for (unsigned i = 0; i < DD_COSTS; i++)
		if (dd_cost_read(&queue->figures->costs.places[i], &read) == destroy)
			found = read;
	return found;
}

static uint64_t timed(struct defer_drop_queue *queue)
{
	return dd_read(&queue->figures->costs.all.counted_total);
}

static void take_a_while(void *object)
{
	usleep(1000);
	note(object);
}

static struct defer_drop_queue *nest;

static void nest_two(void *object)
{
	for (unsigned i = 0; i < 2; i++)
		if (defer_drop_queue_push(nest, object, take_a_while, FOREVER))
			abort();
}

Test(figures, exact_times_count_every_call)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = nest =
			make_timed(runners[i], DEFER_DROP_TIMES_EXACT);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		slices = 5;
		options.destroy_status = in_slices;
		for (unsigned j = 0; j < 1000; j++)
			answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		for (unsigned j = 0; j < 10; j++)
			answers(0, defer_drop_queue_push(queue, NULL, nest_two, FOREVER));
		answers(0, defer_drop_queue_push_with(queue, NULL, NULL, FOREVER, &options));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(timed(queue), 1000 + 10 + 20 + 5);
		cr_assert_eq(times_of(queue, note).counted_total, 1000);
		cr_assert_eq(times_of(queue, nest_two).counted_total, 10);
		cr_assert_eq(times_of(queue, take_a_while).counted_total, 20);
		cr_assert_geq(times_of(queue, take_a_while).ns_total, 20 * MS);
		cr_assert_geq(times_of(queue, take_a_while).most_ns, MS);
		cr_assert_eq(times_of(queue, (defer_drop_fn)(uintptr_t)in_slices).counted_total, 5);
		end_queue(queue);
	}
}

Test(figures, sampled_times_stand_for_all_calls)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_timed(runners[i], DEFER_DROP_TIMES_SAMPLED);
		uint64_t calls = 0;

		for (; calls < 100000; calls++) {
			answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
			if (calls % 3000 == 2999)
				answers(0, defer_drop_queue_flush(queue, FOREVER));
			if (calls % 12345 == 0)
				answers(0, defer_drop_queue_drain(queue, 77, FOREVER, NULL) &&
						   runners[i] == CALLER);
		}
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_leq(timed(queue), calls);
		/* The mean interval is 1,024 at most. */
		cr_assert_geq(timed(queue), calls - 2048);
		for (unsigned j = 0; j < 2100; j++)
			answers(0, defer_drop_queue_push(queue, NULL, take_a_while, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_geq(times_of(queue, take_a_while).counted_total, 2100 - 2048);
		end_queue(queue);
	}
}

/* A destructor every second time: a sample that kept step would see one of the two alone. */
Test(figures, samples_keep_no_step_with_the_program)
{
	struct defer_drop_queue *queue = make_timed(CALLER, DEFER_DROP_TIMES_SAMPLED);

	for (unsigned i = 0; i < 200; i++) {
		for (unsigned j = 0; j < 2048; j++)
			answers(0, defer_drop_queue_push(queue, NULL, j % 2 ? ignore : note, 0));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
	}
	cr_assert_geq(times_of(queue, note).counted_total, 200 * 1024 / 2);
	cr_assert_geq(times_of(queue, ignore).counted_total, 200 * 1024 / 2);
	end_queue(queue);
}

Test(figures, slow_destructors_are_all_timed_when_they_are_sampled)
{
	struct defer_drop_queue *queue = make_timed(WORKER, DEFER_DROP_TIMES_SAMPLED);

	for (unsigned i = 0; i < 50; i++)
		answers(0, defer_drop_queue_push(queue, NULL, take_a_while, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(times_of(queue, take_a_while).counted_total, 50);
	cr_assert_geq(times_of(queue, take_a_while).p50_ns, MS - MS / 16);
	end_queue(queue);
}

Test(figures, nothing_is_timed_unless_that_is_switched_on)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, LANES);

	for (unsigned i = 0; i < 1000; i++)
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(timed(queue), 0);
	end_queue(queue);
}

Test(figures, times_go_on_after_a_stop)
{
	struct defer_drop_queue *queue = make_timed(WORKER, DEFER_DROP_TIMES_EXACT);

	for (unsigned i = 0; i < 3; i++) {
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, defer_drop_queue_stop(queue, FOREVER));
		answers(0, defer_drop_queue_start(queue));
	}
	cr_assert_eq(timed(queue), 3);
	end_queue(queue);
}

/* ---- Readers beside the consumer, and children ----------------------------------------------- */

static atomic_bool is_over;

static void *read_all(void *argument)
{
	struct defer_drop_queue *queue = argument;
	struct dd_reading read;
	uintptr_t wrong = 0;

	while (!atomic_load(&is_over)) {
		struct defer_drop_stats stats = stats_of(queue);

		wrong += stats.oldest_least_ns > stats.oldest_ns;
		for (unsigned i = 0; i < DD_COSTS; i++)
			dd_cost_read(&queue->figures->costs.places[i], &read);
		delays_of(queue);
	}
	return number(wrong);
}

Test(figures, are_read_beside_the_consumer)
{
	struct defer_drop_queue *queue = make_timed(WORKER, DEFER_DROP_TIMES_EXACT);
	pthread_t reader = spawn(read_all, queue);

	for (unsigned i = 0; i < 50000; i++) {
		answers(0, defer_drop_queue_push(queue, NULL, i % 2 ? note : ignore, FOREVER));
		if (i % 1000 == 0)
			usleep(100);
	}
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	atomic_store(&is_over, true);
	cr_assert_null(join_thread(reader));
	cr_assert_eq(timed(queue), 50000);
	end_queue(queue);
}

Test(figures, a_child_begins_anew_and_its_drops_keep_their_age)
{
	struct defer_drop_queue *queue = make_timed(CALLER, DEFER_DROP_TIMES_EXACT);
	pid_t child;

	for (unsigned i = 0; i < 20; i++)
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_drain(queue, 10, FOREVER, NULL));
	usleep(2000);
	child = fork();
	if (!child) {
		claim_or_exit(1, !timed(queue) && !delays_of(queue).counted_total);
		claim_or_exit(2, stats_of(queue).oldest_ns >= 2 * MS);
		claim_or_exit(3, !defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
		claim_or_exit(4, timed(queue) == 10 && times_of(queue, note).counted_total == 10);
		claim_or_exit(5, delays_of(queue).counted_total == 10);
		claim_or_exit(6, !stats_of(queue).oldest_ns);
		_exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	cr_assert_eq(timed(queue), 10);
	end_queue(queue);
}
