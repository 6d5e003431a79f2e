/* SPDX-License-Identifier: MIT
 *
 * The byte budget.
 */
#include "queues.h"

TestSuite(budget, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

static struct defer_drop_queue *make(uint32_t runner, uint64_t max_bytes, uint32_t lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.queue_size = 64;
	config.max_bytes = max_bytes;
	config.max_lanes = lanes;
	return create_queue(&config);
}

static int push_bytes(struct defer_drop_queue *queue, uint64_t bytes, uint64_t timeout_ns)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = bytes;
	return defer_drop_queue_push_with(queue, number(bytes), note, timeout_ns, &options);
}

static uint64_t pending(struct defer_drop_queue *queue)
{
	return stats_of(queue).backlog_bytes;
}

/* Returns how many threads stand in line for bytes. */
static unsigned waiters(struct defer_drop_queue *queue)
{
	unsigned count = 0;

	dd_mutex_lock(&queue->waiters_lock);
	for (struct dd_waiter *at = queue->budget.line.first; at; at = at->next)
		count++;
	dd_mutex_unlock(&queue->waiters_lock);
	return count;
}

/* ---- What is admitted ------------------------------------------------------------------------ */

Test(budget, admits_up_to_its_bound_and_no_more)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make(CALLER, 100, lanes_tried[shared]);

		answers(0, push_bytes(queue, 60, 0));
		answers(0, push_bytes(queue, 40, 0));
		cr_assert_eq(pending(queue), 100);
		answers(-EAGAIN, push_bytes(queue, 1, 0));
		answers(-ETIMEDOUT, push_bytes(queue, 1, MS));
		/* A drop that holds no bytes needs no budget. */
		answers(0, push_bytes(queue, 0, 0));
		answers(0, defer_drop_queue_push(queue, NULL, note, 0));
		cr_assert_eq(stats_of(queue).refused_total, 2);
		drain(queue, 1);
		cr_assert_eq(pending(queue), 40);
		answers(-EAGAIN, push_bytes(queue, 61, 0));
		answers(0, push_bytes(queue, 60, 0));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(pending(queue), 0);
		end_queue(queue);
	}
}

Test(budget, admits_one_that_is_larger_than_all_of_it_when_nothing_else_is_pending)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);

	answers(0, push_bytes(queue, 1, 0));
	answers(-EAGAIN, push_bytes(queue, 1000, 0));
	drain(queue, 1);
	answers(0, push_bytes(queue, DEFER_DROP_BYTES_END - 1, 0));
	cr_assert_eq(pending(queue), DEFER_DROP_BYTES_END - 1);
	answers(-EAGAIN, push_bytes(queue, 1, 0));
	drain(queue, 1);
	cr_assert_eq(pending(queue), 0);
	answers(0, push_bytes(queue, 1, 0));
	end_queue(queue);
}

Test(budget, has_no_bound_that_anyone_meets_unless_it_is_configured)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 64, LANES);

	for (unsigned i = 0; i < 32; i++)
		answers(0, push_bytes(queue, DEFER_DROP_BYTES_END - 1, 0));
	cr_assert_eq(pending(queue), 32 * (DEFER_DROP_BYTES_END - 1));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(pending(queue), 0);
	end_queue(queue);
}

/* A push that finds its ring full gives back what it took from the budget. */
Test(budget, keeps_nothing_of_a_push_that_failed)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 4, lanes_tried[shared]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		answers(0, push_bytes(queue, 10, 0));
		answers(0, push_bytes(queue, 10, 0));
		answers(-EAGAIN, push_bytes(queue, 10, 0));
		answers(-ETIMEDOUT, push_bytes(queue, 10, MS));
		options.bytes = DEFER_DROP_BYTES_END;
		answers(-EOVERFLOW,
			defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options));
		options.bytes = 10;
		options.completion = &completion;
		completion.state = 1; /* in use */
		answers(-EBUSY, defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options));
		cr_assert_eq(pending(queue), 20);
		answers(0, defer_drop_queue_shutdown(queue, 0));
		cr_assert_eq(pending(queue), 0);
		answers(-ESHUTDOWN, push_bytes(queue, 10, FOREVER));
		cr_assert_eq(pending(queue), 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

/* ---- Waiting --------------------------------------------------------------------------------- */

struct pushing {
	struct defer_drop_queue *queue;
	uint64_t bytes;
	uint64_t timeout_ns;
	int result;
};

static void *push_in_thread_bytes(void *argument)
{
	struct pushing *pushing = argument;

	pushing->result = push_bytes(pushing->queue, pushing->bytes, pushing->timeout_ns);
	return NULL;
}

Test(budget, serves_waiters_in_the_order_of_coming)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);
	/* The big one comes first: the small ones, for which there is room, wait behind it. */
	struct pushing pushings[] = {{queue, 90, FOREVER, 1}, {queue, 5, FOREVER, 1},
		{queue, 4, FOREVER, 1}, {queue, 50, FOREVER, 1}};
	pthread_t threads[4];

	answers(0, push_bytes(queue, 40, 0));
	answers(0, push_bytes(queue, 41, 0));
	for (unsigned i = 0; i < 4; i++) {
		threads[i] = spawn(push_in_thread_bytes, &pushings[i]);
		await(waiters(queue) == i + 1);
		cr_assert_eq(pending(queue), 81);
	}
	answers(-EAGAIN, push_bytes(queue, 1, 0));
	answers(-ETIMEDOUT, push_bytes(queue, 1, MS));
	drain(queue, 1);
	cr_assert_eq(waiters(queue), 4);
	drain(queue, 1);
	cr_assert_eq(waiters(queue), 1);
	for (unsigned i = 0; i < 3; i++) {
		join_thread(threads[i]);
		answers(0, pushings[i].result);
	}
	cr_assert_eq(pending(queue), 99);
	answers(-EAGAIN, push_bytes(queue, 1, 0));
	drain(queue, 3);
	join_thread(threads[3]);
	answers(0, pushings[3].result);
	cr_assert_eq(stats_of(queue).waits_total, 5);
	end_queue(queue);
}

Test(budget, goes_on_when_a_waiter_gives_up)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);
	struct pushing big = {queue, 90, 50 * MS, 1};
	struct pushing small = {queue, 10, FOREVER, 1};
	pthread_t threads[2];

	answers(0, push_bytes(queue, 80, 0));
	threads[0] = spawn(push_in_thread_bytes, &big);
	await(waiters(queue) == 1);
	threads[1] = spawn(push_in_thread_bytes, &small);
	join_thread(threads[0]);
	answers(-ETIMEDOUT, big.result);
	join_thread(threads[1]); /* though nothing was drained */
	answers(0, small.result);
	cr_assert_eq(pending(queue), 90);
	answers(0, push_bytes(queue, 10, 0));
	end_queue(queue);
}

Test(budget, a_push_that_waits_for_bytes_wakes_the_worker)
{
	struct defer_drop_queue *queue = make(WORKER, 10, LANES);

	for (unsigned i = 0; i < 500; i++)
		answers(0, push_bytes(queue, 10, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&seen_count), 500);
	cr_assert_eq(pending(queue), 0);
	end_queue(queue);
}

/* After an error the object is the caller's; after 0 it is destroyed. */
static void *push_until_shutdown(void *argument)
{
	uintptr_t accepted = 0;
	int result;

	while (!(result = push_bytes(argument, 7, FOREVER)))
		accepted++;
	return result == -ESHUTDOWN ? number(accepted) : number(UINTPTR_MAX);
}

Test(budget, a_shutdown_refuses_pushes_that_wait_for_bytes)
{
	for (unsigned i = 0; i < 8; i++) {
		struct defer_drop_queue *queue = make(WORKER, 20, lanes_tried[i / 2 % 2]);
		struct defer_drop_stats stats;
		uintptr_t accepted = 0;
		pthread_t threads[4];

		for (unsigned j = 0; j < 4; j++)
			threads[j] = spawn(push_until_shutdown, queue);
		usleep(2000);
		answers(0, shut_down_at_last(queue, i % 2 ? FOREVER : 0));
		for (unsigned j = 0; j < 4; j++)
			accepted += (uintptr_t)join_thread(threads[j]);
		stats = stats_of(queue);
		cr_assert_eq(accepted, stats.destroyed_total + stats.abandoned_total);
		cr_assert_eq(pending(queue), 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

/* The worker has closed the queue, and destroys what is left. */
Test(budget, a_push_beyond_it_to_a_closed_queue_does_not_wait)
{
	struct defer_drop_queue *queue = make(WORKER, 10, LANES);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct gate gates[2];
	pthread_t thread;

	hold_up(queue, &gates[0]);
	gate_init(&gates[1]);
	options.bytes = 10;
	answers(0, defer_drop_queue_push_with(queue, &gates[1], pass_gate, FOREVER, &options));
	thread = spawn(shut_down_in_thread, queue);
	await(dd_queue_state(queue) == DD_CLOSING);
	let_go(&gates[0]);
	await_held(&gates[1]);
	answers(-ESHUTDOWN, push_bytes(queue, 5, FOREVER));
	answers(-ESHUTDOWN, push_bytes(queue, 5, 0));
	cr_assert_eq(pending(queue), 10);
	cr_assert_eq(stats_of(queue).refused_total, 2);
	let_go(&gates[1]);
	cr_assert_null(join_thread(thread));
	cr_assert_eq(atomic_load(&seen_count), 0);
	cr_assert_eq(pending(queue), 0);
	answers(0, defer_drop_queue_free(queue));
}

static void push_without_worker(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();

	setenv("DEFER_DROP_OPTIONS", "max_bytes=10,stack_size_bytes=4G", 1);
	limit_memory(UINT64_C(1) << 30);
	if (push_bytes(queue, 10, FOREVER))
		_exit(1);
	if (push_bytes(queue, 5, FOREVER) != -ESRCH || push_bytes(queue, 5, LONG_NS) != -ESRCH)
		_exit(2);
	if (pending(queue) != 10 || stats_of(queue).refused_total != 2)
		_exit(3);
	unlimit_memory();
	if (push_bytes(queue, 5, FOREVER) || defer_drop_flush())
		_exit(4);
	_exit(seen_count != 2 || seen[0] != number(10) || seen[1] != number(5));
}

Test(budget, a_push_beyond_it_does_not_wait_for_a_worker_that_cannot_be_started,
	.disabled = HAS_SANITIZER)
{
	answers(0, run_child(push_without_worker));
}

/* ---- The bound beside many threads that push ------------------------------------------------- */

#define BOUND 1000

static atomic_ulong held;
static atomic_ulong most_held;

/* The backlog holds at least what was pushed and is not yet destroyed. */
static void release(void *object)
{
	atomic_fetch_sub(&held, (uintptr_t)object);
}

static void *push_and_hold(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 1000; i++) {
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		unsigned long now;

		options.bytes = 1 + i * 37 % 400;
		if (defer_drop_queue_push_with(argument, number(options.bytes), release,
			    i % 3 ? FOREVER : 0, &options))
			wrong += i % 3 != 0;
		else
			atomic_fetch_add(&held, options.bytes);
		now = atomic_load(&((struct defer_drop_queue *)argument)->budget.pending_bytes) &
		      ~DD_BUDGET_WAITED;
		if (now > atomic_load(&most_held))
			atomic_store(&most_held, now);
	}
	return number(wrong);
}

Test(budget, is_never_exceeded)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(WORKER, BOUND, lanes_tried[i]);
		pthread_t threads[4];

		for (unsigned j = 0; j < 4; j++)
			threads[j] = spawn(push_and_hold, queue);
		for (unsigned j = 0; j < 4; j++)
			cr_assert_null(join_thread(threads[j]));
		cr_assert_leq(atomic_load(&most_held), BOUND);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(atomic_load(&held), 0);
		cr_assert_eq(pending(queue), 0);
		cr_assert_eq(waiters(queue), 0);
		end_queue(queue);
	}
}

/* ---- By destructors -------------------------------------------------------------------------- */

static int nested_results[2];

static void nest_more_than_all(void *object)
{
	nested_results[0] = push_bytes(object, 1000, FOREVER);
	nested_results[1] = push_bytes(object, 1000, 0);
}

Test(budget, a_nested_drop_may_exceed_it)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(runners[i % 2], 100, lanes_tried[i / 2]);
		struct gate gate;

		/* No nested drop is pending before both are pushed. */
		if (runners[i % 2] == WORKER)
			hold_up(queue, &gate);
		answers(0, defer_drop_queue_push(queue, queue, nest_more_than_all, FOREVER));
		answers(0, push_bytes(queue, 90, 0));
		if (runners[i % 2] == WORKER)
			let_go(&gate);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, nested_results[0]);
		answers(0, nested_results[1]);
		cr_assert_eq(pending(queue), 0);
		end_queue(queue);
	}
}

/* ---- The ring behind it ---------------------------------------------------------------------- */

Test(budget, a_deadline_counts_for_bytes_and_room_together)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, LANES);
	uint64_t since_ns = dd_now_ns();

	answers(0, push_bytes(queue, 10, 0));
	answers(-ETIMEDOUT, push_bytes(queue, 10, 5 * MS));
	cr_assert_geq(dd_now_ns() - since_ns, 5 * MS);
	cr_assert_eq(pending(queue), 10);
	end_queue(queue);
}

/* ---- The short call -------------------------------------------------------------------------- */

static struct defer_drop_queue *start_bounded(uint64_t max_bytes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = CALLER;
	config.queue_size = 8;
	config.max_bytes = max_bytes;
	answers(0, defer_drop_start(&config));
	return defer_drop_queue_default();
}

Test(budget, the_short_call_says_how_much_the_object_holds_and_takes_two_places)
{
	struct defer_drop_queue *queue = start_bounded(1000);

	errno = 77;
	for (uintptr_t i = 0; i < 4; i++)
		answers(0, defer_drop_bytes(number(i), note, 10 + i));
	cr_assert_eq(errno, 77);
	cr_assert_eq(pending(queue), 46);
	answers(-EAGAIN, defer_drop_try(NULL, forbidden));
	answers(0, defer_drop_flush());
	assert_seen(0, 4);
	cr_assert_eq(pending(queue), 0);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(budget, the_short_call_with_no_bytes_takes_one_place)
{
	struct defer_drop_queue *queue = start_bounded(1000);

	for (uintptr_t i = 0; i < 8; i++)
		answers(0, defer_drop_bytes(number(i), note, 0));
	answers(-EAGAIN, defer_drop_try(NULL, forbidden));
	cr_assert_eq(pending(queue), 0);
	answers(0, defer_drop_flush());
	assert_seen(0, 8);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(budget, the_short_call_refuses_what_is_too_large)
{
	struct defer_drop_queue *queue = start_bounded(1000);

	answers(-EOVERFLOW, defer_drop_bytes(NULL, forbidden, DEFER_DROP_BYTES_END));
	answers(-EOVERFLOW, defer_drop_bytes(NULL, forbidden, UINT64_MAX));
	answers(-EINVAL, defer_drop_bytes(NULL, NULL, 1));
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	cr_assert_eq(stats_of(queue).refused_total, 0);
	answers(0, defer_drop_bytes(NULL, note, DEFER_DROP_BYTES_END - 1));
	cr_assert_eq(pending(queue), DEFER_DROP_BYTES_END - 1);
	answers(0, defer_drop_flush());
	answers(0, defer_drop_shutdown());
	answers(-ESHUTDOWN, defer_drop_bytes(NULL, forbidden, 1));
	cr_assert_eq(pending(queue), 0);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void *drop_bytes_in_thread(void *argument)
{
	return number((uintptr_t)-defer_drop_bytes(argument, note, 60));
}

Test(budget, the_short_call_waits_for_bytes)
{
	struct defer_drop_queue *queue = start_bounded(100);
	pthread_t thread;

	answers(0, defer_drop_bytes(number(0), note, 60));
	thread = spawn(drop_bytes_in_thread, number(1));
	await(waiters(queue) == 1);
	cr_assert_eq(pending(queue), 60);
	drain(queue, 1);
	cr_assert_null(join_thread(thread));
	cr_assert_eq(pending(queue), 60);
	answers(0, defer_drop_flush());
	assert_seen(0, 2);
}

/* ---- Beyond it ------------------------------------------------------------------------------- */

static int push_beyond(struct defer_drop_queue *queue, uint64_t bytes, uint64_t timeout_ns)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = bytes;
	options.flags = DEFER_DROP_EXCEED_BUDGET;
	return defer_drop_queue_push_with(queue, number(bytes), note, timeout_ns, &options);
}

Test(budget, a_push_that_exceeds_it_does_not_wait_and_counts_for_others)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(CALLER, 100, lanes_tried[i]);

		answers(0, push_bytes(queue, 90, 0));
		answers(-EAGAIN, push_bytes(queue, 20, 0));
		answers(0, push_beyond(queue, 20, 0));
		answers(0, push_beyond(queue, 1000, FOREVER));
		cr_assert_eq(pending(queue), 1110);
		answers(-EAGAIN, push_bytes(queue, 1, 0));
		drain(queue, 1);
		cr_assert_eq(pending(queue), 1020);
		answers(-EAGAIN, push_bytes(queue, 1, 0));
		drain(queue, 1);
		drain(queue, 1);
		cr_assert_eq(pending(queue), 0);
		answers(0, push_bytes(queue, 100, 0));
		end_queue(queue);
	}
}

Test(budget, a_push_that_exceeds_it_does_not_stand_in_line)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);
	struct pushing pushing = {queue, 50, FOREVER, 1};
	pthread_t thread;

	answers(0, push_bytes(queue, 80, 0));
	thread = spawn(push_in_thread_bytes, &pushing);
	await(waiters(queue) == 1);
	answers(0, push_beyond(queue, 30, FOREVER));
	cr_assert_eq(pending(queue), 110);
	cr_assert_eq(waiters(queue), 1);
	drain(queue, 1);
	join_thread(thread);
	answers(0, pushing.result);
	cr_assert_eq(pending(queue), 80);
	end_queue(queue);
}

Test(budget, a_push_that_exceeds_it_still_needs_room_in_the_ring)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, LANES);

	answers(0, push_beyond(queue, 10, 0));
	answers(-EAGAIN, push_beyond(queue, 10, 0));
	answers(-ETIMEDOUT, push_beyond(queue, 10, MS));
	cr_assert_eq(pending(queue), 10);
	cr_assert_eq(stats_of(queue).refused_total, 2);
	end_queue(queue);
}

Test(budget, may_be_exceeded_by_many_at_once)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *objects[5] = {NULL};
	size_t pushed = 99;

	options.bytes = 60;
	answers(-EAGAIN, defer_drop_queue_push_many(queue, objects, 5, note, 0, &options, &pushed));
	cr_assert_eq(pushed, 1);
	options.flags = DEFER_DROP_EXCEED_BUDGET;
	answers(0, defer_drop_queue_push_many(queue, objects, 5, note, 0, &options, &pushed));
	cr_assert_eq(pushed, 5);
	cr_assert_eq(pending(queue), 360);
	end_queue(queue);
}

#define MOST (UINT64_C(1) << 62)

/* Pushes drops that hold 2^62 bytes together, the most that can be counted. */
static void push_most(struct defer_drop_queue *queue)
{
	while (MOST - pending(queue) >= DEFER_DROP_BYTES_END - 1)
		answers(0, push_beyond(queue, DEFER_DROP_BYTES_END - 1, 0));
	answers(-EOVERFLOW, push_beyond(queue, DEFER_DROP_BYTES_END - 1, 0));
	answers(0, push_beyond(queue, MOST - pending(queue), 0));
	cr_assert_eq(pending(queue), MOST);
}

Test(budget, a_push_that_would_exceed_what_can_be_counted_is_refused)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 1 << 16, lanes_tried[i]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		uint64_t pushed;

		push_most(queue);
		pushed = stats_of(queue).pushed_total;
		answers(-EOVERFLOW, push_beyond(queue, 1, 0));
		answers(-EOVERFLOW, push_beyond(queue, 1, FOREVER));
		options.bytes = 1;
		options.flags = DEFER_DROP_EXCEED_BUDGET;
		options.completion = &completion;
		answers(-EOVERFLOW,
			defer_drop_queue_push_with(queue, NULL, forbidden, 0, &options));
		answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
		answers(0, push_beyond(queue, 0, 0));
		cr_assert_eq(pending(queue), MOST);
		cr_assert_eq(stats_of(queue).pushed_total, pushed + 1);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(pending(queue), 0);
		answers(0, push_bytes(queue, 1, 0));
		answers(0, push_bytes(queue, 1, 0));
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void nest_one_byte(void *object)
{
	nested_results[0] = push_bytes(object, 1, 0);
	nested_results[1] = push_beyond(object, 1, 0);
}

Test(budget, a_nested_drop_that_would_exceed_what_can_be_counted_is_refused)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 1 << 16, LANES);

	answers(0, defer_drop_queue_push(queue, queue, nest_one_byte, 0));
	push_most(queue);
	drain(queue, 1);
	answers(-EOVERFLOW, nested_results[0]);
	answers(-EOVERFLOW, nested_results[1]);
	cr_assert_eq(pending(queue), MOST);
	end_queue(queue);
}

/* ---- Another bound --------------------------------------------------------------------------- */

static uint64_t bound_of(struct defer_drop_queue *queue)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	answers(0, defer_drop_queue_config(queue, &config));
	return config.max_bytes;
}

Test(budget, a_higher_bound_admits_waiters_that_fit_in_the_order_of_coming)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);
	struct pushing pushings[] = {
		{queue, 90, FOREVER, 1}, {queue, 50, FOREVER, 1}, {queue, 5, FOREVER, 1}};
	pthread_t threads[3];

	answers(0, push_bytes(queue, 80, 0));
	for (unsigned i = 0; i < 3; i++) {
		threads[i] = spawn(push_in_thread_bytes, &pushings[i]);
		await(waiters(queue) == i + 1);
	}
	answers(0, defer_drop_queue_set_max_bytes(queue, 169));
	cr_assert_eq(waiters(queue), 3);
	answers(0, defer_drop_queue_set_max_bytes(queue, 170));
	join_thread(threads[0]);
	answers(0, pushings[0].result);
	cr_assert_eq(waiters(queue), 2, "the small one waits behind the other");
	cr_assert_eq(pending(queue), 170);
	answers(0, defer_drop_queue_set_max_bytes(queue, UINT64_C(1) << 62));
	for (unsigned i = 1; i < 3; i++) {
		join_thread(threads[i]);
		answers(0, pushings[i].result);
	}
	cr_assert_eq(pending(queue), 225);
	cr_assert_eq(bound_of(queue), UINT64_C(1) << 62);
	end_queue(queue);
}

Test(budget, a_lower_bound_takes_nothing_back_and_later_pushes_wait)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);

	answers(0, push_bytes(queue, 50, 0));
	answers(0, push_bytes(queue, 50, 0));
	answers(0, defer_drop_queue_set_max_bytes(queue, 60));
	cr_assert_eq(bound_of(queue), 60);
	cr_assert_eq(pending(queue), 100);
	answers(-EAGAIN, push_bytes(queue, 10, 0));
	answers(-ETIMEDOUT, push_bytes(queue, 10, MS));
	drain(queue, 1);
	answers(-EAGAIN, push_bytes(queue, 11, 0));
	answers(0, push_bytes(queue, 10, 0));
	cr_assert_eq(pending(queue), 60);
	/* One drop alone may be larger. */
	answers(0, defer_drop_queue_set_max_bytes(queue, 1));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(0, push_bytes(queue, 1000, 0));
	answers(-EAGAIN, push_bytes(queue, 1, 0));
	end_queue(queue);
}

Test(budget, another_bound_is_refused_out_of_its_range)
{
	struct defer_drop_queue *queue = make(CALLER, 100, LANES);

	answers(-EINVAL, defer_drop_queue_set_max_bytes(NULL, 10));
	answers(-EINVAL, defer_drop_queue_set_max_bytes(queue, 0));
	answers(-EINVAL, defer_drop_queue_set_max_bytes(queue, (UINT64_C(1) << 62) + 1));
	answers(-EINVAL, defer_drop_queue_set_max_bytes(queue, UINT64_MAX));
	cr_assert_eq(bound_of(queue), 100);
	answers(0, defer_drop_queue_set_max_bytes(queue, 1));
	answers(0, defer_drop_queue_set_max_bytes(queue, UINT64_C(1) << 62));
	end_queue(queue);
}

Test(budget, another_bound_may_be_set_before_the_first_use_of_the_default_queue)
{
	unsigned before = count_threads();

	answers(0, defer_drop_queue_set_max_bytes(defer_drop_queue_default(), 123));
	cr_assert_eq(count_threads(), before);
	cr_assert_eq(bound_of(defer_drop_queue_default()), 123);
	answers(0, defer_drop_bytes(number(0), note, 123));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

static void *push_many_bytes(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 1000; i++)
		wrong += push_bytes(argument, 1 + i * 7 % 50, FOREVER) != 0;
	return number(wrong);
}

Test(budget, another_bound_may_be_set_beside_pushes)
{
	struct defer_drop_queue *queue = make(WORKER, 50, LANES);
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(push_many_bytes, queue);
	for (uint64_t i = 0; atomic_load(&seen_count) < 2500; i++) {
		answers(0, defer_drop_queue_set_max_bytes(queue, 1 + i % 200));
		usleep(100);
	}
	answers(0, defer_drop_queue_set_max_bytes(queue, 50));
	for (unsigned i = 0; i < 3; i++)
		cr_assert_null(join_thread(threads[i]));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&seen_count), 3000);
	cr_assert_eq(pending(queue), 0);
	cr_assert_eq(waiters(queue), 0);
	end_queue(queue);
}

/* ---- A deadline ------------------------------------------------------------------------------ */

Test(budget, a_push_whose_time_ran_out_while_it_waited_for_bytes_answers_etimedout)
{
	struct defer_drop_queue *queue = make(CALLER, 10, LANES);
	struct pushing pushing = {queue, 10, 20 * MS, 1};
	pthread_t thread;

	answers(0, push_bytes(queue, 10, 0));
	thread = spawn(push_in_thread_bytes, &pushing);
	join_thread(thread);
	answers(-ETIMEDOUT, pushing.result);
	cr_assert_eq(stats_of(queue).refused_total, 1);
	end_queue(queue);
}
