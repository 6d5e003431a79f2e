/* SPDX-License-Identifier: MIT
 *
 * Watermarks, and waiting for the backlog to shrink.
 */
#include "queues.h"

TestSuite(watch, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

/* ---- What was told --------------------------------------------------------------------------- */

static struct defer_drop_level levels[64];
static uint64_t told_at_ns[64];
static atomic_uint level_count;

static void write_down(void *context, const struct defer_drop_level *level)
{
	unsigned at = atomic_load(&level_count);

	if (at < 64 && context == &level_count) {
		levels[at] = *level;
		told_at_ns[at] = dd_now_ns();
	}
	atomic_fetch_add(&level_count, 1);
}

/* Checks that the level was reported as high once, then as low, and so on, and ends with this. */
static void assert_alternates(bool is_high)
{
	unsigned count = atomic_load(&level_count);

	cr_assert_gt(count, 0);
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(levels[i].is_high, !(i % 2));
	cr_assert_eq(levels[count - 1].is_high, is_high);
}

static struct defer_drop_config marks(uint32_t runner, uint64_t high_drops, uint64_t high_bytes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	atomic_store(&level_count, 0);
	config.runner = runner;
	config.queue_size = 64;
	config.watermark = write_down;
	config.context = &level_count;
	config.high_drops = high_drops;
	config.high_bytes = high_bytes;
	config.watermark_interval_ns = 1000;
	config.quiet_spell_ns = MS;
	return config;
}

static int push_bytes(struct defer_drop_queue *queue, uint64_t bytes, defer_drop_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = bytes;
	return defer_drop_queue_push_with(queue, NULL, destroy, FOREVER, &options);
}

/* Longer than the time between two looks. */
static void pass_slowly(void *object)
{
	(void)object;
	usleep(100);
}

/* ---- Watermarks ------------------------------------------------------------------------------ */

Test(watch, is_told_of_high_and_of_low_once_each)
{
	struct defer_drop_config config = marks(WORKER, 10, 0);
	struct defer_drop_queue *queue;
	struct gate gate;

	config.low_drops = 3;
	queue = create_queue(&config);
	hold_up(queue, &gate);
	for (unsigned i = 0; i < 20; i++)
		answers(0, defer_drop_queue_push(queue, NULL, pass_slowly, FOREVER));
	let_go(&gate);
	await(atomic_load(&level_count) == 2);
	await(is_asleep(queue));
	cr_assert_eq(atomic_load(&level_count), 2);
	assert_alternates(false);
	cr_assert_gt(levels[0].backlog, 10);
	cr_assert_leq(levels[1].backlog, 3);
	end_queue(queue);
	cr_assert_eq(atomic_load(&level_count), 2);
}

Test(watch, is_told_of_bytes_as_of_drops)
{
	struct defer_drop_config config = marks(WORKER, 0, 1000);
	struct defer_drop_queue *queue = create_queue(&config);
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 5; i++)
		answers(0, push_bytes(queue, 300, pass_slowly));
	let_go(&gate);
	await(atomic_load(&level_count) == 2);
	assert_alternates(false);
	cr_assert_gt(levels[0].backlog_bytes, 1000);
	cr_assert_leq(levels[1].backlog_bytes, 500);
	end_queue(queue);
}

Test(watch, is_not_told_where_the_mark_is_reached_and_not_passed)
{
	struct defer_drop_config config = marks(WORKER, 10, 1000);
	struct defer_drop_queue *queue = create_queue(&config);
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 10; i++)
		answers(0, push_bytes(queue, 100, pass_slowly));
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	await(is_asleep(queue));
	cr_assert_eq(atomic_load(&level_count), 0);
	end_queue(queue);
}

Test(watch, low_means_below_both_low_marks)
{
	struct defer_drop_config config = marks(CALLER, 20, 1000);
	struct defer_drop_queue *queue;

	config.low_drops = 1;
	config.low_bytes = 500;
	queue = create_queue(&config);
	answers(0, push_bytes(queue, 1500, pass_slowly));
	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, NULL, pass_slowly, FOREVER));
	answers(0, push_bytes(queue, 1001, pass_slowly));
	answers(0, defer_drop_queue_push(queue, NULL, pass_slowly, FOREVER));
	drain(queue, 2);
	cr_assert_eq(atomic_load(&level_count), 1);
	usleep(100);
	drain(queue, 4);
	cr_assert_eq(atomic_load(&level_count), 1, "bytes are still high");
	usleep(100);
	drain(queue, UINT64_MAX);
	cr_assert_eq(atomic_load(&level_count), 2);
	assert_alternates(false);
	end_queue(queue);
}

Test(watch, is_told_no_more_often_than_the_interval_says)
{
	struct defer_drop_config config = marks(WORKER, 2, 0);
	struct defer_drop_queue *queue;
	uint64_t begun_ns = dd_now_ns();

	config.watermark_interval_ns = 20 * MS;
	config.quiet_spell_ns = DEFER_DROP_NEVER;
	queue = create_queue(&config);
	while (atomic_load(&level_count) < 6) {
		for (unsigned i = 0; i < 8; i++)
			answers(0, defer_drop_queue_push(queue, NULL, pass_slowly, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
	}
	/* A crossing may be reported late, but not early. */
	for (unsigned i = 1; i < 6; i++)
		cr_assert_geq(told_at_ns[i] - begun_ns, i * 20 * MS);
	end_queue(queue);
}

Test(watch, is_told_of_low_before_the_worker_sleeps_whatever_the_interval_says)
{
	struct defer_drop_config config = marks(WORKER, 2, 0);
	struct defer_drop_queue *queue;
	struct gate gate;

	config.watermark_interval_ns = LONG_NS;
	queue = create_queue(&config);
	hold_up(queue, &gate);
	for (unsigned i = 0; i < 8; i++)
		answers(0, defer_drop_queue_push(queue, NULL, pass_slowly, FOREVER));
	let_go(&gate);
	await(is_asleep(queue));
	assert_alternates(false);
	cr_assert_eq(atomic_load(&level_count), 2);
	end_queue(queue);
}

Test(watch, low_is_reported_to_a_caller_that_drains_all)
{
	const uint64_t intervals_ns[] = {1000, LONG_NS};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_config config = marks(CALLER, 4, 0);
		struct defer_drop_queue *queue;

		config.watermark_interval_ns = intervals_ns[i];
		queue = create_queue(&config);
		for (unsigned j = 0; j < 10; j++)
			answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		drain(queue, UINT64_MAX);
		cr_assert_eq(
			atomic_load(&level_count), 2, "told %u times", atomic_load(&level_count));
		assert_alternates(false);
		end_queue(queue);
	}
}

/* ---- What it may do -------------------------------------------------------------------------- */

static struct defer_drop_queue *watched;
static struct defer_drop_queue *other;
static struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
static int results[8];

static void push_from_watermark(void *context, const struct defer_drop_level *level)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.completion = &completion;
	options.bytes = 1 << 20;
	write_down(context, level);
	results[0] = defer_drop_queue_push(watched, NULL, forbidden, FOREVER);
	results[1] = defer_drop_queue_push(watched, NULL, forbidden, 0);
	results[2] = defer_drop_queue_push_with(watched, NULL, forbidden, FOREVER, &options);
	results[3] = defer_drop_queue_flush(watched, FOREVER);
	results[4] = defer_drop_queue_wait_backlog(watched, 0, 0, FOREVER);
	results[5] = defer_drop_queue_shutdown(watched, 0);
	results[6] = defer_drop_queue_push(other, NULL, note, FOREVER);
}

static void nest_one(void *object)
{
	results[7] = defer_drop_queue_push(watched, object, note, FOREVER);
	usleep(100);
}

Test(watch, what_would_push_to_the_queue_answers_edeadlk)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_config config = marks(runners[i], 4, 0);
		struct gate gate;

		atomic_store(&seen_count, 0);
		config.watermark = push_from_watermark;
		watched = create_queue(&config);
		other = make_queue(WORKER, 16, LANES);
		if (runners[i] == WORKER)
			hold_up(watched, &gate);
		for (unsigned j = 0; j < 10; j++)
			answers(0, defer_drop_queue_push(watched, NULL, nest_one, FOREVER));
		if (runners[i] == WORKER)
			let_go(&gate);
		answers(0, defer_drop_queue_flush(watched, FOREVER));
		await(atomic_load(&level_count));
		for (unsigned j = 0; j < 6; j++)
			answers(-EDEADLK, results[j]);
		answers(0, results[6]);
		answers(0, results[7]);
		answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
		cr_assert_eq(stats_of(watched).backlog_bytes, 0);
		cr_assert_eq(stats_of(watched).nested_total, 10);
		end_queue(watched);
		end_queue(other);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static atomic_uint *destroyed;

static void exit_from_watermark(void *context, const struct defer_drop_level *level)
{
	(void)context;
	(void)level;
	exit(0);
}

static void nest_counted(void *object)
{
	usleep(100);
	if (defer_drop_queue_push(watched, object, count_up, FOREVER))
		_exit(3);
}

static void end_by_watermark(uint32_t runner)
{
	struct defer_drop_config config = marks(runner, 4, 0);
	struct gate gate;

	config.watermark = exit_from_watermark;
	watched = create_queue(&config);
	if (runner == WORKER)
		hold_up(watched, &gate);
	for (unsigned i = 0; i < 10; i++)
		answers(0, defer_drop_queue_push(watched, destroyed, nest_counted, FOREVER));
	if (runner == WORKER) {
		let_go(&gate);
		pause();
	}
	drain(watched, UINT64_MAX);
	_exit(1);
}

static void end_by_watermark_on_worker(void)
{
	end_by_watermark(WORKER);
}

static void end_by_watermark_on_caller(void)
{
	end_by_watermark(CALLER);
}

Test(watch, may_end_the_process_and_the_rest_is_drained)
{
	destroyed = share(4096);
	answers(0, run_child(end_by_watermark_on_worker));
	cr_assert_eq(atomic_load(destroyed), 10);
	answers(0, run_child(end_by_watermark_on_caller));
	cr_assert_eq(atomic_load(destroyed), 20);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

Test(watch, a_wait_for_what_is_so_returns_at_once)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 16, LANES);

		answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, 0));
		answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
		end_queue(queue);
	}
	answers(0, defer_drop_queue_wait_backlog(defer_drop_queue_default(), 0, 0, 0));
}

Test(watch, a_caller_that_waits_drains_as_far_as_needed)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 32, LANES);

	for (uintptr_t i = 0; i < 10; i++)
		answers(0, push_bytes(queue, 100, note));
	answers(-EAGAIN, defer_drop_queue_wait_backlog(queue, 9, UINT64_MAX, 0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_queue_wait_backlog(queue, 7, UINT64_MAX, FOREVER));
	cr_assert_eq(atomic_load(&seen_count), 3);
	answers(0, defer_drop_queue_wait_backlog(queue, UINT64_MAX, 250, LONG_NS));
	cr_assert_eq(atomic_load(&seen_count), 8);
	answers(0, defer_drop_queue_wait_backlog(queue, 2, 200, FOREVER));
	cr_assert_eq(atomic_load(&seen_count), 8);
	answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	cr_assert_eq(atomic_load(&seen_count), 10);
	end_queue(queue);
}

struct wait {
	struct defer_drop_queue *queue;
	uint64_t max_drops;
	uint64_t max_bytes;
	atomic_int result;
};

static void *wait_in_thread(void *argument)
{
	struct wait *wait = argument;

	atomic_store(&wait->result, defer_drop_queue_wait_backlog(wait->queue, wait->max_drops,
					    wait->max_bytes, FOREVER));
	return NULL;
}

static bool has_watcher(struct defer_drop_queue *queue, unsigned count)
{
	return atomic_load(&queue->watchers) == count;
}

Test(watch, each_waiter_is_woken_when_little_enough_is_pending)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 32, LANES);
	struct wait waits[] = {
		{queue, 2, UINT64_MAX, 1}, {queue, 0, UINT64_MAX, 1}, {queue, UINT64_MAX, 100, 1}};
	pthread_t threads[3];
	struct gate gates[2];

	hold_up(queue, &gates[0]);
	for (unsigned i = 0; i < 5; i++)
		answers(0, push_bytes(queue, 100, note));
	gate_init(&gates[1]);
	answers(0, defer_drop_queue_push(queue, &gates[1], pass_gate, FOREVER));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(wait_in_thread, &waits[i]);
	await(has_watcher(queue, 3));
	answers(-ETIMEDOUT, defer_drop_queue_wait_backlog(queue, 6, UINT64_MAX, MS));
	cr_assert(has_watcher(queue, 3));
	let_go(&gates[0]);
	await_held(&gates[1]);
	/* Two are pending, with no bytes. The worker may have looked before the last of the five. */
	cr_assert_eq(atomic_load(&waits[1].result), 1);
	let_go(&gates[1]);
	for (unsigned i = 0; i < 3; i++) {
		join_thread(threads[i]);
		answers(0, atomic_load(&waits[i].result));
	}
	cr_assert(has_watcher(queue, 0));
	end_queue(queue);
}

/* The lane had a turn before, which left it empty. */
Test(watch, a_look_counts_the_lane_that_has_its_turn)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 32, LANES);
	struct wait wait = {queue, 0, UINT64_MAX, 1};
	struct gate gates[2];
	pthread_t thread;

	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	hold_up(queue, &gates[0]);
	gate_init(&gates[1]);
	answers(0, defer_drop_queue_push(queue, &gates[1], pass_gate, FOREVER));
	thread = spawn(wait_in_thread, &wait);
	await(has_watcher(queue, 1));
	let_go(&gates[0]);
	await_held(&gates[1]); /* the worker has looked after the first */
	cr_assert(has_watcher(queue, 1));
	let_go(&gates[1]);
	join_thread(thread);
	answers(0, atomic_load(&wait.result));
	end_queue(queue);
}

Test(watch, who_waits_is_woken_by_a_worker_that_sleeps)
{
	struct defer_drop_config config = marks(WORKER, 0, 0);
	struct defer_drop_queue *queue;

	config.watermark = NULL;
	queue = create_queue(&config);
	for (unsigned i = 0; i < 50; i++) {
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
		if (i % 10 == 0)
			await(is_asleep(queue));
	}
	end_queue(queue);
}

Test(watch, a_shutdown_ends_all_waits)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct wait wait = {queue, 0, 0, 1};
	pthread_t thread;
	struct gate gate;

	hold_up(queue, &gate);
	answers(0, push_bytes(queue, 10, note));
	thread = spawn(wait_in_thread, &wait);
	await(has_watcher(queue, 1));
	let_go(&gate);
	answers(0, shut_down_at_last(queue, 0));
	join_thread(thread);
	cr_assert(atomic_load(&wait.result) == 0 || is_abandoned(atomic_load(&wait.result)));
	answers(-ESHUTDOWN, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	answers(-ESHUTDOWN, defer_drop_queue_wait_backlog(queue, UINT64_MAX, UINT64_MAX, 0));
	answers(0, defer_drop_queue_free(queue));
}

static void wait_in_destructor(void *object)
{
	results[0] = defer_drop_queue_wait_backlog(object, 100, UINT64_MAX, 0);
	results[1] = defer_drop_queue_wait_backlog(object, 0, 0, FOREVER);
}

Test(watch, a_wait_refuses_what_it_cannot_do)
{
	answers(-EINVAL, defer_drop_queue_wait_backlog(NULL, 0, 0, FOREVER));
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 16, LANES);

		answers(-EOVERFLOW,
			defer_drop_queue_wait_backlog(queue, 0, 0, DEFER_DROP_TIMEOUT_MAX + 1));
		answers(0, defer_drop_queue_push(queue, queue, wait_in_destructor, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(-EDEADLK, results[0]);
		answers(-EDEADLK, results[1]);
		end_queue(queue);
	}
}

static void *wait_for_a_while(void *argument)
{
	struct wait *wait = argument;

	atomic_store(&wait->result, defer_drop_queue_wait_backlog(wait->queue, wait->max_drops,
					    wait->max_bytes, 500 * MS));
	return NULL;
}

Test(watch, a_waiter_that_gives_up_leaves_later_ones_waiting)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct wait waits[] = {{queue, 0, 0, 1}, {queue, 0, 0, 1}, {queue, 0, 0, 1}};
	pthread_t threads[3];
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 3; i++) {
		threads[i] = spawn(i == 1 ? wait_for_a_while : wait_in_thread, &waits[i]);
		await(has_watcher(queue, i + 1));
	}
	join_thread(threads[1]);
	answers(-ETIMEDOUT, atomic_load(&waits[1].result));
	cr_assert(has_watcher(queue, 2));
	let_go(&gate);
	join_thread(threads[0]);
	join_thread(threads[2]);
	answers(0, atomic_load(&waits[0].result));
	answers(0, atomic_load(&waits[2].result));
	end_queue(queue);
}

Test(watch, a_worker_that_is_waited_for_naps_beyond_the_quiet_spell)
{
	struct defer_drop_config config = marks(WORKER, 0, 0);
	struct defer_drop_queue *queue;
	struct defer_drop_stats stats;
	struct wait wait = {.result = 1};
	pthread_t thread;
	uint64_t at;

	config.watermark = NULL;
	queue = wait.queue = create_queue(&config);
	at = dd_ring_claim(&queue->shared.ring, 1); /* a push that was stopped in its middle */
	thread = spawn(wait_in_thread, &wait);
	await(has_watcher(queue, 1));
	stats = stats_of(queue);
	await(stats_of(queue).naps_total > stats.naps_total + 8);
	stats = stats_of(queue);
	await(stats_of(queue).naps_total > stats.naps_total + 8);
	cr_assert_eq(stats_of(queue).deep_sleeps_total, stats.deep_sleeps_total);
	cr_assert_eq(atomic_load(&wait.result), 1);
	/* No thread rings the bell. */
	dd_ring_publish(&queue->shared.ring, at, number(0), note);
	join_thread(thread);
	answers(0, atomic_load(&wait.result));
	assert_seen(0, 1);
	end_queue(queue);
}

Test(watch, a_wait_that_drains_keeps_to_its_time_while_another_thread_drains)
{
	struct intruder intruder;

	begin_intrusion(&intruder);
	answers(-ETIMEDOUT, defer_drop_queue_wait_backlog(intruder.queue, 0, 0, 500 * MS));
	await_intruder(&intruder);
	answers(-ETIMEDOUT, defer_drop_queue_wait_backlog(intruder.queue, 0, 0, MS));
	cr_assert_eq(atomic_load(&seen_count), 0);
	end_intrusion(&intruder);
	answers(0, defer_drop_queue_wait_backlog(intruder.queue, 0, 0, FOREVER));
	assert_seen(0, 1);
	end_queue(intruder.queue);
}

Test(watch, a_wait_that_drains_ends_where_another_thread_shuts_down)
{
	const uint64_t timeouts_ns[] = {FOREVER, 0};

	for (unsigned i = 0; i < 2; i++) {
		struct closer closer = {make_queue(CALLER, 16, LANES), timeouts_ns[i], 0};

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(closer.queue, &closer, begin_closing, FOREVER));
		answers(0, defer_drop_queue_push(closer.queue, number(0), note, FOREVER));
		/* Whether destroyed or abandoned by the shutdown, nothing is pending then. */
		answers(0, defer_drop_queue_wait_backlog(closer.queue, 0, UINT64_MAX, FOREVER));
		end_closed(&closer);
		assert_seen(0, !i);
	}
}
