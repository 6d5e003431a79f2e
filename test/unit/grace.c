/* SPDX-License-Identifier: MIT
 *
 * Grace periods, with a flavor whose grace periods the test ends; and a few with a real one.
 */
#include "readers.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <urcu/urcu-memb.h>

#include "defer_drop/guard.h"

TestSuite(grace, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

static void end_paced(struct defer_drop_queue *queue)
{
	let_all_pass();
	end_queue(queue);
	cr_assert_eq(atomic_load(&registered), 0);
	cr_assert_eq(atomic_load(&online), 0);
}

static void *push_after_in_thread(void *argument)
{
	return number((uintptr_t)-push_after(argument, number(100), note));
}

static void *push_in_new_lane(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, number(100), note, FOREVER));
}

/* With a worker or a caller, a lane of the thread's own or the shared one; nothing is seen yet. */
static struct defer_drop_queue *make_variant(unsigned i)
{
	struct defer_drop_config config = paced_config(runners[i % 2]);

	atomic_store(&seen_count, 0);
	config.max_lanes = lanes_tried[i / 2];
	return make_with(&config);
}

/* ---- Which grace period covers what ---------------------------------------------------------- */

Test(grace, a_drop_is_destroyed_when_its_grace_period_has_passed_and_no_sooner)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_variant(i);

		answers(0, push_after(queue, number(0), note));
		await_begun(queue, 1);
		linger(queue);
		assert_seen(0, 0);
		cr_assert_eq(stats_of(queue).backlog, 1);
		let_pass();
		await_seen(queue, 1);
		assert_seen(0, 1);
		cr_assert_eq(stats_of(queue).grace_periods_total, 1);
		end_paced(queue);
	}
}

Test(grace, one_that_began_before_the_push_does_not_cover_it)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_variant(i);

		answers(0, push_after(queue, number(0), note));
		await_begun(queue, 1);
		answers(0, push_after(queue, number(1), note));
		let_pass();
		await_begun(queue, 2);
		linger(queue);
		assert_seen(0, 1);
		let_pass();
		await_seen(queue, 2);
		assert_seen(0, 2);
		end_paced(queue);
	}
}

Test(grace, one_that_began_before_a_lane_was_made_does_not_cover_it)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_paced(runners[i]);

		atomic_store(&seen_count, 0);
		answers(0, push_after(queue, number(0), note));
		await_begun(queue, 1);
		cr_assert_null(join_thread(spawn(push_after_in_thread, queue)));
		let_pass();
		await_seen(queue, 1);
		linger(queue);
		assert_seen(0, 1);
		await_begun(queue, 2);
		let_pass();
		await_seen(queue, 2);
		cr_assert_eq(seen[1], number(100));
		end_paced(queue);
	}
}

Test(grace, one_covers_all_that_was_pushed_before_it_began)
{
	struct defer_drop_queue *queue = make_paced(WORKER);
	struct gate gate;

	hold_up(queue, &gate);
	for (uintptr_t i = 0; i < 7; i++)
		answers(0, push_after(queue, number(i), note));
	cr_assert_null(join_thread(spawn(push_after_in_thread, queue)));
	let_go(&gate);
	await_begun(queue, 1);
	let_pass();
	await_seen(queue, 8);
	cr_assert_eq(stats_of(queue).grace_periods_total, 1);
	end_paced(queue);
}

Test(grace, order_within_a_lane_holds_across_both_kinds)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_variant(i);

		for (uintptr_t at = 0; at < 10; at++)
			answers(0, at % 3 == 1 ? push_after(queue, number(at), note)
					       : defer_drop_queue_push(
							 queue, number(at), note, FOREVER));
		await_begun(queue, 1);
		linger(queue);
		assert_seen(0, 1);
		let_all_pass();
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, 10);
		end_paced(queue);
	}
}

Test(grace, a_reader_that_stays_delays_only_drops_that_wait_for_it)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_paced(runners[i]);

		atomic_store(&seen_count, 0);
		answers(0, push_after(queue, number(0), note));
		await_begun(queue, 1);
		for (unsigned j = 1; j <= 3; j++) {
			cr_assert_null(join_thread(spawn(push_in_new_lane, queue)));
			await_seen(queue, j);
			cr_assert_eq(seen[j - 1], number(100));
		}
		let_pass();
		await_seen(queue, 4);
		cr_assert_eq(seen[3], number(0));
		end_paced(queue);
	}
}

/* ---- Nested drops ---------------------------------------------------------------------------- */

static struct defer_drop_queue *nest_paced;
static atomic_int nested_results;

/* Drops 1 after a grace period, and 2 behind it. */
static void nest_both(void *object)
{
	note(object);
	atomic_fetch_add(&nested_results, push_after(nest_paced, number(1), note));
	atomic_fetch_add(
		&nested_results, defer_drop_queue_push(nest_paced, number(2), note, FOREVER));
}

Test(grace, a_nested_drop_waits_for_one_that_began_after_it)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_config config = paced_config(runners[i % 2]);
		struct defer_drop_ticket ticket;

		atomic_store(&seen_count, 0);
		config.max_lanes = lanes_tried[i / 2];
		nest_paced = make_with(&config);
		answers(0, push_ticket(nest_paced, number(0), nest_both, FOREVER, &ticket));
		answers(0, defer_drop_queue_push(nest_paced, number(3), note, FOREVER));
		await_begun(nest_paced, 1);
		linger(nest_paced);
		assert_seen(0, 1);
		answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
		answers(-ETIMEDOUT, defer_drop_queue_flush(nest_paced, MS));
		cr_assert_eq(stats_of(nest_paced).backlog, 4);
		let_pass();
		answers(0, defer_drop_queue_flush(nest_paced, FOREVER));
		assert_seen(0, 4);
		answers(0, defer_drop_ticket_wait(&ticket, 0));
		answers(0, atomic_load(&nested_results));
		cr_assert_eq(stats_of(nest_paced).backlog, 0);
		end_paced(nest_paced);
	}
}

/* Each drop waits for a grace period: one of depth n makes one of depth n - 1. */
static void descend_after(void *object)
{
	uintptr_t depth = (uintptr_t)object;

	note(object);
	if (depth)
		atomic_fetch_add(
			&nested_results, push_after(nest_paced, number(depth - 1), descend_after));
}

Test(grace, a_flush_covers_a_chain_of_nested_drops)
{
	for (unsigned i = 0; i < 2; i++) {
		nest_paced = make_paced(runners[i]);
		atomic_store(&seen_count, 0);
		let_all_pass();
		answers(0, push_after(nest_paced, number(5), descend_after));
		answers(0, defer_drop_queue_flush(nest_paced, FOREVER));
		answers(0, atomic_load(&nested_results));
		cr_assert_eq(atomic_load(&seen_count), 6);
		for (unsigned at = 0; at < 6; at++)
			cr_assert_eq(seen[at], number(5 - at));
		cr_assert_eq(stats_of(nest_paced).grace_periods_total, 6);
		end_paced(nest_paced);
	}
}

Test(grace, a_lane_among_nested_drops_lets_the_others_nest_meanwhile)
{
	for (unsigned i = 0; i < 2; i++) {
		nest_paced = make_paced(runners[i]);
		atomic_store(&seen_count, 0);
		nest = nest_paced;
		answers(0, defer_drop_queue_push(nest_paced, number(0), nest_both, FOREVER));
		await_begun(nest_paced, 1);
		cr_assert_null(join_thread(spawn(push_in_new_lane, nest_paced)));
		await_seen(nest_paced, 2);
		let_pass();
		answers(0, defer_drop_queue_flush(nest_paced, FOREVER));
		cr_assert_eq(atomic_load(&seen_count), 4);
		cr_assert_eq(seen[1], number(100));
		cr_assert_eq(seen[2], number(1));
		cr_assert_eq(seen[3], number(2));
		end_paced(nest_paced);
	}
}

/* ---- Inside a read-side critical section ----------------------------------------------------- */

Test(grace, what_would_wait_inside_a_section_answers_edeadlk)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_config config = paced_config(runners[i % 2]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct defer_drop_queue *queue;
		struct defer_drop_ticket ticket;

		config.max_lanes = lanes_tried[i / 2];
		queue = make_with(&config);
		options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
		options.completion = &completion;
		options.ticket = &ticket;
		answers(0, defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options));
		for (unsigned j = 1; j < 15; j++)
			answers(0, push_after(queue, NULL, note));
		reading = 1;
		answers(-EDEADLK, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
		answers(-EDEADLK, defer_drop_queue_push(queue, NULL, forbidden, LONG_NS));
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		answers(-EDEADLK, push_after(queue, NULL, forbidden));
		answers(-EDEADLK, defer_drop_queue_flush(queue, FOREVER));
		answers(-EDEADLK, defer_drop_queue_flush(queue, LONG_NS));
		answers(-EAGAIN, defer_drop_queue_flush(queue, 0));
		answers(-EDEADLK, defer_drop_ticket_wait(&ticket, FOREVER));
		answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
		answers(-EDEADLK, defer_drop_completion_wait(&completion, FOREVER, NULL));
		answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
		answers(-EDEADLK, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
		answers(0, defer_drop_queue_wait_backlog(queue, 15, 0, FOREVER));
		answers(-EDEADLK, defer_drop_queue_shutdown(queue, FOREVER));
		answers(-EDEADLK, defer_drop_queue_shutdown(queue, LONG_NS));
		reading = 0;
		let_all_pass();
		answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
		end_paced(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(grace, what_need_not_wait_is_not_refused_inside_a_section)
{
	struct defer_drop_queue *queue = make_paced(CALLER);

	reading = 1;
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	/* No drop has asked for a grace period yet. */
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(0, push_after(queue, number(1), note));
	answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
	drain(queue, UINT64_MAX);
	assert_seen(0, 1);
	reading = 0;
	let_all_pass();
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	reading = 1;
	answers(0, defer_drop_queue_flush(queue, FOREVER)); /* there is nothing to wait for */
	reading = 0;
	assert_seen(0, 3);
	end_paced(queue);
}

enum { RIVALS = 4 };

/* Pushes take the room that a reader waits for, with drops that wait for that reader. */
static void *push_after_a_reader(void *queue)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	defer_drop_queue_push_with(queue, NULL, note, LONG_NS, &options);
	return NULL;
}

static void *push_as_reader(void *argument)
{
	struct push *push = argument;

	reading = 1;
	push_in_thread(push);
	reading = 0;
	let_all_pass();
	return NULL;
}

/* A reader may wait as long as no drop has asked for a grace period. */
Test(grace, a_reader_that_waits_for_room_is_asked_again_when_others_were_faster)
{
	for (unsigned i = 0; i < 16; i++) {
		struct defer_drop_config config = paced_config(WORKER);
		struct push push = {.timeout_ns = FOREVER};
		pthread_t threads[RIVALS];
		struct gate gate;
		pthread_t reader;

		config.queue_size = 2;
		config.max_lanes = 0;
		push.queue = make_with(&config);
		hold_up(push.queue, &gate);
		answers(0, defer_drop_queue_push(push.queue, NULL, note, FOREVER));
		reader = spawn(push_as_reader, &push);
		await(has_waiter(push.queue));
		for (unsigned j = 0; j < RIVALS; j++)
			threads[j] = spawn(push_after_a_reader, push.queue);
		let_go(&gate);
		join_thread(reader);
		cr_assert(!push.result || push.result == -EDEADLK);
		for (unsigned j = 0; j < RIVALS; j++)
			join_thread(threads[j]);
		end_paced(push.queue);
	}
}

/* The room that a reader is about to claim, in a shared lane of two places. */
static struct defer_drop_queue *contested;

static void fill_up(void)
{
	for (unsigned i = 0; i < 2; i++)
		cr_assert_null(join_thread(spawn(push_after_in_thread, contested)));
}

Test(grace, a_reader_claims_no_room_that_others_fill_just_before)
{
	struct defer_drop_config config = paced_config(WORKER);
	struct gate gate;

	config.queue_size = 4;
	config.max_lanes = 0;
	contested = make_with(&config);
	hold_up(contested, &gate);
	answers(0, defer_drop_queue_push(contested, NULL, note, FOREVER));
	reading = 1;
	when_asked = fill_up;
	answers(-EDEADLK, defer_drop_queue_push(contested, NULL, forbidden, FOREVER));
	cr_assert_null(when_asked);
	reading = 0;
	let_go(&gate);
	end_paced(contested);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* A call that a reader makes while no drop has asked for a grace period yet: it may wait. */
struct reader_call {
	struct defer_drop_queue *queue;
	int (*call)(struct defer_drop_queue *queue);
	atomic_int result;
};

static void *call_as_reader(void *argument)
{
	struct reader_call *made = argument;

	reading = 1;
	atomic_store(&made->result, made->call(made->queue));
	reading = 0;
	return NULL;
}

static int push_50_bytes(struct defer_drop_queue *queue)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 50;
	return defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options);
}

static int wait_until_empty(struct defer_drop_queue *queue)
{
	return defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, FOREVER);
}

static int flush_forever(struct defer_drop_queue *queue)
{
	return defer_drop_queue_flush(queue, FOREVER);
}

static struct defer_drop_completion awaited = DEFER_DROP_COMPLETION_INIT;

static int wait_for_completion(struct defer_drop_queue *queue)
{
	(void)queue;
	return defer_drop_completion_wait(&awaited, FOREVER, NULL);
}

static bool is_in_line(struct defer_drop_queue *queue)
{
	bool is;

	dd_mutex_lock(&queue->waiters_lock);
	is = queue->budget.line.first;
	dd_mutex_unlock(&queue->waiters_lock);
	return is;
}

/* Its bytes are taken before a reader stands in line, and it comes behind what waits for readers. */
static void *push_last_bytes(void *queue)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 60;
	options.flags = DEFER_DROP_EXCEED_BUDGET;
	return number((uintptr_t)-defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options));
}

Test(grace, a_reader_in_line_for_bytes_is_asked_again_when_drops_begin_to_wait_for_readers)
{
	struct defer_drop_config config = paced_config(WORKER);
	struct reader_call push = {.call = push_50_bytes};
	struct gate gate;
	pthread_t reader;

	config.max_bytes = 100;
	config.max_lanes = 0;
	push.queue = make_with(&config);
	hold_up(push.queue, &gate);
	cr_assert_null(push_last_bytes(push.queue));
	reader = spawn(call_as_reader, &push);
	await(is_in_line(push.queue));
	answers(0, push_after(push.queue, NULL, note));
	cr_assert_null(push_last_bytes(push.queue));
	join_thread(reader);
	answers(-EDEADLK, atomic_load(&push.result));
	cr_assert(!is_in_line(push.queue));
	let_go(&gate);
	end_paced(push.queue);
}

Test(grace, a_reader_that_waits_for_the_backlog_is_asked_again_when_drops_begin_to_wait_for_readers)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_config config = paced_config(runners[i]);
		struct reader_call wait = {.call = wait_until_empty};
		pthread_t reader;
		struct gate gate;

		wait.queue = make_with(&config);
		gate_init(&gate);
		answers(0, defer_drop_queue_push(wait.queue, &gate, pass_gate, FOREVER));
		reader = spawn(call_as_reader, &wait);
		await_held(&gate);
		answers(0, push_after(wait.queue, NULL, note));
		let_go(&gate);
		join_thread(reader);
		answers(-EDEADLK, atomic_load(&wait.result));
		end_paced(wait.queue);
	}
}

/* The first drop after a grace period is one that a destructor makes. */
static struct gate nesting_gate;

static void pass_gate_and_nest(void *queue)
{
	pass_gate(&nesting_gate);
	if (push_after(queue, NULL, note))
		atomic_fetch_add(&nest_errors, 1);
}

Test(grace, a_reader_that_waits_is_asked_again_when_a_destructor_drops_for_readers)
{
	static int (*const calls[])(struct defer_drop_queue *) = {
		flush_forever, wait_for_completion, wait_until_empty};

	for (unsigned i = 0; i < 6; i++) {
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct reader_call wait = {.call = calls[i / 2]};
		pthread_t reader;

		wait.queue = make_paced(runners[i % 2]);
		gate_init(&nesting_gate);
		options.completion = &awaited;
		answers(0, defer_drop_queue_push_with(
				   wait.queue, wait.queue, pass_gate_and_nest, FOREVER, &options));
		reader = spawn(call_as_reader, &wait);
		await_held(&nesting_gate);
		let_go(&nesting_gate);
		join_thread(reader);
		answers(-EDEADLK, atomic_load(&wait.result));
		let_all_pass();
		answers(0, defer_drop_completion_wait(&awaited, FOREVER, NULL));
		end_paced(wait.queue);
	}
	cr_assert_eq(atomic_load(&nest_errors), 0);
}

Test(grace, a_reader_that_waits_is_not_refused_while_no_drop_waits_for_readers)
{
	for (unsigned i = 0; i < 2; i++) {
		struct reader_call wait = {.call = flush_forever};
		pthread_t reader;
		struct gate gate;

		wait.queue = make_paced(runners[i]);
		gate_init(&gate);
		answers(0, defer_drop_queue_push(wait.queue, &gate, pass_gate, FOREVER));
		reader = spawn(call_as_reader, &wait);
		await_held(&gate);
		usleep(30000); /* several times as long as between two looks */
		let_go(&gate);
		join_thread(reader);
		answers(0, atomic_load(&wait.result));
		end_paced(wait.queue);
	}
}

Test(grace, a_push_for_bytes_inside_a_section_answers_edeadlk_and_takes_none)
{
	struct defer_drop_config config = paced_config(CALLER);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue;

	config.max_bytes = 100;
	queue = make_with(&config);
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	options.bytes = 60;
	answers(0, defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options));
	reading = 1;
	answers(-EDEADLK, defer_drop_queue_push_with(queue, NULL, forbidden, FOREVER, &options));
	answers(-EAGAIN, defer_drop_queue_push_with(queue, NULL, forbidden, 0, &options));
	reading = 0;
	cr_assert_eq(stats_of(queue).backlog_bytes, 60);
	let_all_pass();
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	end_paced(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(grace, what_only_looks_inside_a_section_is_not_refused)
{
	struct defer_drop_queue *queue = make_paced(WORKER);
	struct defer_drop_ticket ticket;

	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_queue_ticket(queue, &ticket));
	reading = 1;
	answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
	answers(-EAGAIN, defer_drop_queue_flush(queue, 0));
	answers(-EAGAIN, defer_drop_queue_wait_backlog(queue, 0, 0, 0));
	answers(-EDEADLK, defer_drop_ticket_wait(&ticket, LONG_NS));
	answers(-EDEADLK, defer_drop_queue_wait_backlog(queue, 0, 0, LONG_NS));
	reading = 0;
	let_all_pass();
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	reading = 1;
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	reading = 0;
	end_paced(queue);
}

static int return_0(void *object)
{
	(void)object;
	return 0;
}

static void leave_scope_in_section(void)
{
	struct defer_drop_strategy_queue by;

	if (defer_drop_strategy_queue_init(&by, make_paced(WORKER), FOREVER) ||
		push_after(by.queue, NULL, note))
		_exit(1);
	{
		DEFER_DROP_SCOPED_STATUS(guard, number(5), return_0, &by.strategy);

		reading = 1;
	}
	_exit(2);
}

Test(grace, a_scope_that_is_left_inside_a_section_that_its_guard_waits_for_ends_the_process)
{
	answers(1000 + SIGABRT, run_child(leave_scope_in_section));
	cr_assert_eq(times_said("inside a read-side critical section"), 1, "%s", said);
	cr_assert_eq(times_said("grace.c:"), 1, "%s", said);
}

/* ---- Shutdown and exit ----------------------------------------------------------------------- */

/* Drops of both kinds behind a reader that stays. */
static struct defer_drop_queue *make_stuck(uint32_t runner)
{
	struct defer_drop_queue *queue = make_paced(runner);

	for (unsigned i = 0; i < 3; i++) {
		answers(0, push_after(queue, NULL, forbidden));
		answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
	}
	await_begun(queue, 1);
	return queue;
}

static void assert_abandons(
	struct defer_drop_queue *queue, int want, uint64_t timeout_ns, uint64_t abandoned)
{
	answers(want, defer_drop_queue_shutdown(queue, timeout_ns));
	cr_assert_eq(stats_of(queue).abandoned_total, abandoned);
	cr_assert_eq(stats_of(queue).backlog, 0);
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
}

/* The thread that waits for the reader outlives the queue. */
static void free_stuck(struct defer_drop_queue *queue)
{
	answers(0, defer_drop_queue_free(queue));
	let_all_pass();
	usleep(5000);
}

Test(grace, a_shutdown_need_not_wait_for_a_reader_that_stays)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_stuck(runners[i]);

		assert_abandons(queue, 0, 0, 6);
		free_stuck(queue);
		queue = make_stuck(runners[i]);
		assert_abandons(queue, -ETIMEDOUT, 10 * MS, 6);
		free_stuck(queue);
		queue = make_stuck(runners[i]);
		reading = 1;
		assert_abandons(queue, 0, 0, 6);
		reading = 0;
		free_stuck(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	cr_assert_eq(atomic_load(&registered), 0);
}

Test(grace, a_shutdown_that_leaves_nested_drops_behind_counts_them)
{
	for (unsigned i = 0; i < 2; i++) {
		nest_paced = make_paced(runners[i]);
		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(nest_paced, number(0), nest_both, FOREVER));
		answers(0, defer_drop_queue_push(nest_paced, number(3), note, FOREVER));
		await_begun(nest_paced, 1);
		linger(nest_paced);
		assert_abandons(nest_paced, 0, 0, 3);
		assert_seen(0, 1);
		cr_assert_eq(stats_of(nest_paced).destroyed_total, 1);
		answers(0, defer_drop_queue_free(nest_paced));
		let_all_pass();
	}
}

static struct defer_drop_completion nested_completion;

/* Makes a drop that waits for a grace period, holds bytes and has a completion. */
static void nest_with_options(void *object)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	note(object);
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	options.bytes = 100;
	options.completion = &nested_completion;
	atomic_fetch_add(&nested_results,
		defer_drop_queue_push_with(nest_paced, NULL, forbidden, FOREVER, &options));
}

Test(grace, a_shutdown_that_leaves_a_nested_drop_behind_ends_its_completion)
{
	for (unsigned i = 0; i < 2; i++) {
		nest_paced = make_paced(runners[i]);
		nested_completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		atomic_store(&seen_count, 0);
		answers(0,
			defer_drop_queue_push(nest_paced, number(0), nest_with_options, FOREVER));
		await_begun(nest_paced, 1);
		linger(nest_paced);
		assert_seen(0, 1);
		answers(0, atomic_load(&nested_results));
		answers(-EAGAIN, defer_drop_completion_wait(&nested_completion, 0, NULL));
		cr_assert_eq(stats_of(nest_paced).backlog_bytes, 100);
		assert_abandons(nest_paced, 0, 0, 1);
		answers(-ESHUTDOWN, defer_drop_completion_wait(&nested_completion, 0, NULL));
		free_stuck(nest_paced);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(grace, a_draining_shutdown_waits_and_an_abandoning_one_ends_that)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_stuck(runners[i % 2]);
		pthread_t thread = spawn(shut_down_in_thread, queue);

		await(dd_queue_state(queue) == DD_CLOSING);
		usleep(5000);
		cr_assert_eq(dd_queue_state(queue), DD_CLOSING);
		assert_abandons(queue, 0, 0, 6);
		cr_assert_null(join_thread(thread));
		answers(0, defer_drop_queue_free(queue));
		let_all_pass();
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(grace, a_draining_shutdown_destroys_when_the_grace_period_has_passed)
{
	for (unsigned i = 0; i < 2; i++) {
		pthread_t thread;

		nest_paced = make_paced(runners[i]);
		atomic_store(&seen_count, 0);
		answers(0, push_after(nest_paced, number(5), descend_after));
		thread = spawn(shut_down_in_thread, nest_paced);
		await(atomic_load(&begun));
		usleep(5000);
		assert_seen(0, 0);
		let_all_pass();
		cr_assert_null(join_thread(thread));
		cr_assert_eq(atomic_load(&seen_count), 6);
		answers(0, defer_drop_queue_free(nest_paced));
	}
}

/* Whether it was destroyed before the shutdown began, or by it. */
static void nest_across_shutdown(uint32_t runner, bool is_before)
{
	pthread_t thread;
	struct gate gate;

	nest_paced = make_paced(runner);
	atomic_store(&seen_count, 0);
	if (runner == WORKER && !is_before)
		hold_up(nest_paced, &gate);
	answers(0, defer_drop_queue_push(nest_paced, number(0), nest_both, FOREVER));
	answers(0, defer_drop_queue_push(nest_paced, number(3), note, FOREVER));
	if (is_before)
		await_begun(nest_paced, 1);
	cr_assert_null(join_thread(spawn(push_in_new_lane, nest_paced)));
	thread = spawn(shut_down_in_thread, nest_paced);
	await(dd_queue_state(nest_paced) == DD_CLOSING);
	if (runner == WORKER && !is_before)
		let_go(&gate);
	await(atomic_load(&seen_count) == 2);
	usleep(5000);
	cr_assert_eq(dd_queue_state(nest_paced), DD_CLOSING);
	cr_assert_eq(atomic_load(&seen_count), 2, "its grace period has not passed");
	let_all_pass();
	cr_assert_null(join_thread(thread));
	cr_assert_eq(atomic_load(&seen_count), 5);
	cr_assert_eq(seen[0], number(0));
	cr_assert_eq(seen[1], number(100), "the other lane does not wait");
	for (unsigned i = 1; i < 4; i++)
		cr_assert_eq(seen[1 + i], number(i));
	answers(0, defer_drop_queue_free(nest_paced));
}

Test(grace, a_draining_shutdown_waits_for_nested_drops_and_holds_up_no_other_lane)
{
	for (unsigned i = 0; i < 4; i++)
		nest_across_shutdown(runners[i % 2], i / 2);
	answers(0, atomic_load(&nested_results));
}

/* Without a deadline the call would wait for the grace period itself. */
static void *shut_down_by_a_deadline(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_shutdown(argument, LONG_NS));
}

static void shut_down_without_threads(void)
{
	struct defer_drop_queue *queue = make_paced(CALLER);
	pthread_t thread;
	struct gate gate;

	gate_init(&gate);
	answers(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
	answers(0, push_after(queue, number(0), note));
	thread = spawn(shut_down_by_a_deadline, queue);
	await_semaphore(&gate.entered);
	forbid_threads();
	sem_post(&gate.open);
	await(stats_of(queue).grace_periods_total > 3);
	if (atomic_load(&begun) || atomic_load(&seen_count))
		_exit(2);
	allow_threads();
	let_all_pass();
	if (join_thread(thread))
		_exit(3);
	if (atomic_load(&begun) != 1 || atomic_load(&seen_count) != 1)
		_exit(4);
	_exit(0);
}

Test(grace, a_shutdown_that_has_no_thread_for_grace_periods_asks_for_one_again,
	.disabled = HAS_SANITIZER)
{
	answers(0, run_child(shut_down_without_threads));
}

/* A flavor that is asked whether the caller reads, and meanwhile shuts the queue down. */
static struct defer_drop_queue *closed_meanwhile;
static struct gate closing_gate;

static int shut_down_when_asked(void)
{
	struct defer_drop_queue *queue = closed_meanwhile;

	closed_meanwhile = NULL;
	if (queue) {
		let_go(&closing_gate);
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	}
	return is_reading();
}

Test(grace, a_wait_for_the_backlog_that_a_shutdown_overtakes_returns)
{
	struct defer_drop_config config = paced_config(WORKER);
	struct rcu_flavor_struct closing = paced;
	struct defer_drop_queue *queue;

	closing.read_ongoing = shut_down_when_asked;
	config.rcu_flavor = &closing;
	queue = make_with(&config);
	let_all_pass();
	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	hold_up(queue, &closing_gate);
	closed_meanwhile = queue;
	answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	cr_assert_null(closed_meanwhile);
	answers(-ESHUTDOWN, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	assert_seen(0, 1);
	answers(0, defer_drop_queue_free(queue));
}

static void exit_in_section(void)
{
	urcu_memb_register_thread();
	answers(0, defer_drop_rcu(NULL, forbidden));
	urcu_memb_read_lock();
}

static void exit_with_drops(void)
{
	for (unsigned i = 0; i < 100; i++)
		answers(0, defer_drop_rcu(NULL, note));
	atexit(leave_if_held_up);
}

Test(grace, exit_inside_a_section_leaves_what_it_cannot_destroy_and_says_so)
{
	cr_assert_eq(run_child(exit_in_section), 0);
	cr_assert_eq(times_said("inside a read-side critical section"), 1, "\"%s\"", said);
}

Test(grace, exit_drains_what_waits_for_a_grace_period)
{
	cr_assert_eq(run_child(exit_with_drops), 0);
	cr_assert_str_empty(said);
}

/* ---- The worker as a reader ------------------------------------------------------------------ */

Test(grace, a_worker_is_a_reader_from_the_start_where_a_flavor_is_given)
{
	struct defer_drop_queue *queue = make_paced(WORKER);

	await(atomic_load(&registered) == 1);
	answers(0, push_after(queue, NULL, note));
	let_all_pass();
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&registered), 1);
	end_paced(queue);
	queue = make_paced(CALLER);
	answers(0, push_after(queue, NULL, note));
	let_all_pass();
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&registered), 0, "who drains answers for itself");
	end_paced(queue);
}

Test(grace, a_worker_that_sleeps_is_offline)
{
	struct defer_drop_config config = paced_config(WORKER);
	struct defer_drop_queue *queue;

	config.quiet_spell_ns = MS;
	queue = make_with(&config);
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	await(is_asleep(queue));
	cr_assert_eq((int)atomic_load(&online), -1);
	answers(0, push_after(queue, NULL, note));
	await_begun(queue, 1);
	/* The call would wait for a grace period, which would wait for the caller. */
	await(is_asleep(queue));
	cr_assert_eq((int)atomic_load(&online), -1);
	let_pass();
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	end_paced(queue);
}

static atomic_bool has_read;

static void read_here(void *object)
{
	(void)object;
	urcu_memb_read_lock();
	atomic_store(&has_read, urcu_memb_read_ongoing());
	urcu_memb_read_unlock();
}

Test(grace, destructors_may_read)
{
	answers(0, defer_drop_rcu(NULL, read_here));
	answers(0, defer_drop_flush());
	cr_assert(atomic_load(&has_read));
	urcu_memb_synchronize_rcu(); /* does not wait for a worker that sleeps */
}

static sem_t reader_may_leave;
static sem_t reader_is_inside;

static void *read_until_told(void *argument)
{
	(void)argument;
	urcu_memb_register_thread();
	urcu_memb_read_lock();
	sem_post(&reader_is_inside);
	await_semaphore(&reader_may_leave);
	urcu_memb_read_unlock();
	urcu_memb_unregister_thread();
	return NULL;
}

Test(grace, a_real_reader_holds_a_drop_back)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t reader;

	sem_init(&reader_may_leave, 0, 0);
	sem_init(&reader_is_inside, 0, 0);
	reader = spawn(read_until_told, NULL);
	await_semaphore(&reader_is_inside);
	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_rcu(number(0), note));
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, 20 * MS));
	answers(-ETIMEDOUT, defer_drop_flush_timed(MS));
	assert_seen(0, 0);
	sem_post(&reader_may_leave);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(0, defer_drop_flush());
	cr_assert_eq(atomic_load(&seen_count), 2);
	join_thread(reader);
	end_queue(queue);
}

#define SECTIONS 10000

/* Pushes to the shared lane inside read-side sections. Returns how many pushes failed. */
static void *push_inside_sections(void *argument)
{
	uintptr_t wrong = 0;

	urcu_memb_register_thread();
	for (unsigned i = 0; i < SECTIONS; i++) {
		int result;

		urcu_memb_read_lock();
		result = push_after(argument, NULL, note);
		urcu_memb_read_unlock();
		wrong += result && result != -EDEADLK;
		if (result)
			sched_yield();
	}
	urcu_memb_unregister_thread();
	return number(wrong);
}

Test(grace, pushes_from_sections_to_the_shared_lane_never_wait)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 2, 0);
	pthread_t threads[8];

	for (unsigned i = 0; i < 8; i++)
		threads[i] = spawn(push_inside_sections, queue);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_null(join_thread(threads[i]));
	end_queue(queue);
}

/* ---- The caller drains ----------------------------------------------------------------------- */

Test(grace, a_drain_never_waits_for_readers_and_a_flush_does)
{
	struct defer_drop_queue *queue = make_paced(CALLER);
	uint64_t destroyed = 99;

	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	answers(0, push_after(queue, number(1), note));
	answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, &destroyed));
	cr_assert_eq(destroyed, 1);
	cr_assert_eq(defer_drop_queue_backlog(queue), 2);
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, MS));
	answers(-ETIMEDOUT, defer_drop_queue_wait_backlog(queue, 1, 0, MS));
	let_pass();
	answers(0, defer_drop_queue_wait_backlog(queue, 1, 0, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 3);
	end_paced(queue);
}

Test(grace, a_completion_is_over_after_the_grace_period)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_paced(runners[i]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
		options.completion = &completion;
		answers(0, defer_drop_queue_push_with(queue, NULL, note, FOREVER, &options));
		answers(-ETIMEDOUT, defer_drop_completion_wait(&completion, 5 * MS, NULL));
		answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
		let_pass();
		answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
		end_paced(queue);
	}
}

/* ---- A drainer, and the eventfd of those that drain ------------------------------------------ */

Test(grace, a_flush_of_a_drainer_waits_for_one_that_drains_after_the_grace_period)
{
	struct defer_drop_queue *queue = make_paced(DRAINER);
	pthread_t thread;

	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
	thread = spawn(flush_in_thread, queue);
	await(has_waiter(queue));
	while (!atomic_load(&begun))
		drain(queue, UINT64_MAX);
	let_all_pass();
	usleep(20000);
	assert_seen(0, 0);
	while (atomic_load(&seen_count) < 2)
		drain(queue, UINT64_MAX);
	cr_assert_null(join_thread(thread));
	assert_seen(0, 2);
	end_paced(queue);
}

/* Waits for a signal without a deadline, and takes it. */
static void await_signal(int signalled)
{
	struct pollfd readable = {.fd = signalled, .events = POLLIN};

	cr_assert_eq(poll(&readable, 1, -1), 1);
	read_from(signalled);
}

static bool is_signalled(int signalled)
{
	uint64_t count = 0;

	return read(signalled, &count, sizeof count) == sizeof count;
}

static const uint32_t drained[] = {CALLER, DRAINER};

/* A queue that signals the eventfd; nothing is seen yet. */
static struct defer_drop_queue *make_signalling(uint32_t runner, uint32_t max_lanes, int signalled)
{
	struct defer_drop_config config = paced_config(runner);

	atomic_store(&seen_count, 0);
	config.max_lanes = max_lanes;
	config.pending_eventfd = signalled;
	return make_with(&config);
}

Test(grace, the_eventfd_of_those_that_drain_is_signalled_when_a_grace_period_has_passed)
{
	for (unsigned i = 0; i < 4; i++) {
		int signalled = eventfd(0, EFD_NONBLOCK);
		struct defer_drop_queue *queue =
			make_signalling(drained[i % 2], lanes_tried[i / 2], signalled);

		for (unsigned round = 1; round < 4; round++) {
			answers(0, push_after(queue, number(round - 1), note));
			await_signal(signalled);
			drain(queue, UINT64_MAX);
			await(atomic_load(&begun) == round);
			usleep(5000);
			/* A drain would destroy nothing yet. */
			cr_assert_not(is_signalled(signalled));
			assert_seen(0, round - 1);
			let_pass();
			await_signal(signalled);
			drain(queue, UINT64_MAX);
			assert_seen(0, round);
			cr_assert_not(is_signalled(signalled));
		}
		end_paced(queue);
		close(signalled);
	}
}

/* The thread whose drain is refused has taken the signal. */
Test(grace, the_eventfd_is_signalled_again_for_a_grace_period_that_passed_beside_a_refused_drain)
{
	for (unsigned i = 0; i < 2; i++) {
		int signalled = eventfd(0, EFD_NONBLOCK);
		struct defer_drop_queue *queue = make_signalling(drained[i], LANES, signalled);
		struct gate gate;
		pthread_t thread;

		gate_init(&gate);
		answers(0, defer_drop_queue_attach(queue));
		cr_assert_null(join_thread(spawn(push_after_in_thread, queue)));
		await_signal(signalled);
		drain(queue, UINT64_MAX);
		await(atomic_load(&begun) == 1);
		answers(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
		await_signal(signalled);
		thread = spawn(drain_one_in_thread, queue);
		await_held(&gate);
		let_pass();
		await_signal(signalled);
		answers(-EBUSY, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
		let_go(&gate);
		await_signal(signalled);
		cr_assert_null(join_thread(thread));
		drain(queue, UINT64_MAX);
		assert_seen(100, 1);
		end_paced(queue);
		close(signalled);
	}
}

/* Drops of both kinds; the loop knows nothing but the eventfd. */
Test(grace, an_event_loop_misses_no_drop_after_a_grace_period)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		int signalled = eventfd(0, EFD_NONBLOCK);
		struct defer_drop_queue *queue =
			make_signalling(CALLER, lanes_tried[shared], signalled);
		unsigned pushed = 0;

		let_all_pass();
		while (atomic_load(&seen_count) < 200) {
			while (pushed < 200 && defer_drop_queue_backlog(queue) < 8) {
				void *object = number(pushed++);

				answers(0, pushed % 3
						   ? push_after(queue, object, note)
						   : defer_drop_queue_push(queue, object, note, 0));
			}
			if (defer_drop_queue_backlog(queue))
				await_signal(signalled);
			drain(queue, UINT64_MAX);
		}
		assert_seen(0, 200);
		end_paced(queue);
		close(signalled);
	}
}

/* ---- Stop ------------------------------------------------------------------------------------ */

Test(grace, a_stop_whose_time_is_over_before_the_grace_period_changes_nothing)
{
	const uint32_t all[] = {WORKER, CALLER, DRAINER};

	for (unsigned i = 0; i < 3; i++) {
		struct defer_drop_queue *queue = make_paced(all[i]);

		atomic_store(&seen_count, 0);
		answers(0, push_after(queue, number(0), note));
		answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
		if (all[i] == WORKER)
			await(atomic_load(&begun) == 1);
		else
			while (atomic_load(&begun) < 1)
				drain(queue, UINT64_MAX);
		answers(-EAGAIN, defer_drop_queue_stop(queue, 0));
		answers(-ETIMEDOUT, defer_drop_queue_stop(queue, MS));
		assert_seen(0, 0);
		let_all_pass();
		/* The queue goes on without a call of start. */
		while (all[i] != WORKER && atomic_load(&seen_count) < 2)
			drain(queue, UINT64_MAX);
		answers(0, defer_drop_queue_flush(queue, LONG_NS));
		assert_seen(0, 2);
		end_paced(queue);
	}
}

Test(grace, a_stop_waits_for_a_grace_period_that_is_under_way_and_loses_nothing)
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned before = count_threads();
		struct defer_drop_queue *queue = make_paced(runners[i]);
		pthread_t thread;

		atomic_store(&seen_count, 0);
		answers(0, push_after(queue, number(0), note));
		answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
		await_begun(queue, 1);
		thread = spawn(stop_in_thread, queue);
		await(dd_queue_state(queue) == DD_STOPPED);
		let_all_pass();
		cr_assert_null(join_thread(thread));
		await(count_threads() <= before + 1); /* a joined thread leaves a little later */
		cr_assert_eq(count_threads(), before);
		/* More of both kinds, meanwhile. */
		answers(0, push_after(queue, number(2), note));
		answers(0, defer_drop_queue_push(queue, number(3), note, FOREVER));
		cr_assert_eq(count_threads(), before);
		answers(0, defer_drop_queue_start(queue));
		answers(0, defer_drop_queue_flush(queue, LONG_NS));
		assert_seen(0, 4);
		end_paced(queue);
	}
}

Test(grace, a_queue_that_waited_for_grace_periods_is_stopped_and_started_often)
{
	unsigned before = count_threads();
	struct defer_drop_queue *queue = make_paced(WORKER);

	let_all_pass();
	for (uintptr_t i = 0; i < 100; i++) {
		answers(0, push_after(queue, number(i), note));
		answers(0, defer_drop_queue_stop(queue, LONG_NS));
		cr_assert_eq(count_threads(), before);
		answers(0, defer_drop_queue_start(queue));
	}
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	assert_seen(0, 100);
	end_paced(queue);
}

Test(grace, a_stop_inside_a_section_answers_edeadlk)
{
	struct defer_drop_queue *queue = make_paced(WORKER);

	answers(0, push_after(queue, number(0), note));
	reading = 1;
	answers(-EDEADLK, defer_drop_queue_stop(queue, FOREVER));
	answers(-EDEADLK, defer_drop_queue_stop(queue, 0));
	reading = 0;
	let_all_pass();
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	end_paced(queue);
}

Test(grace, a_stopped_queue_is_shut_down_by_a_caller_that_waits_for_the_grace_period)
{
	struct defer_drop_queue *queue = make_paced(WORKER);
	pthread_t thread;

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
	thread = spawn(shut_down_in_thread, queue);
	await(atomic_load(&begun) == 1);
	usleep(5000);
	assert_seen(0, 0);
	let_all_pass();
	cr_assert_null(join_thread(thread));
	assert_seen(0, 2);
	answers(0, defer_drop_queue_free(queue));
}

Test(grace, a_stopped_queue_may_abandon_drops_that_wait_for_a_reader_that_stays)
{
	struct defer_drop_queue *queue = make_paced(WORKER);

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	answers(0, push_after(queue, NULL, forbidden));
	assert_abandons(queue, -ETIMEDOUT, MS, 1);
	free_stuck(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* A loop that drains whenever it is signalled would never rest. */
Test(grace, the_eventfd_of_a_stopped_queue_is_silent_about_grace_periods_until_the_start)
{
	for (unsigned i = 0; i < 2; i++) {
		int signalled = eventfd(0, EFD_NONBLOCK);
		struct defer_drop_queue *queue = make_signalling(drained[i], LANES, signalled);

		answers(0, defer_drop_queue_stop(queue, FOREVER));
		answers(0, push_after(queue, number(0), note));
		await_signal(signalled);
		for (unsigned j = 0; j < 20; j++) {
			drain(queue, UINT64_MAX);
			cr_assert_not(is_signalled(signalled), "after drain %u", j);
		}
		cr_assert_eq(defer_drop_queue_backlog(queue), 1);
		answers(0, defer_drop_queue_start(queue));
		await_signal(signalled);
		drain(queue, UINT64_MAX);
		await(atomic_load(&begun) == 1);
		let_pass();
		await_signal(signalled);
		drain(queue, UINT64_MAX);
		assert_seen(0, 1);
		end_paced(queue);
		close(signalled);
	}
}

/* ---- fork ------------------------------------------------------------------------------------ */

#define claim_or_exit(status, claim)   \
	do {                           \
		if (!(claim))          \
			_exit(status); \
	} while (0)

/* With drops of both kinds that wait for a reader that stays. */
static struct defer_drop_queue *make_to_fork(uint32_t runner, uint32_t at_fork)
{
	struct defer_drop_config config = paced_config(runner);
	struct defer_drop_queue *queue;

	atomic_store(&seen_count, 0);
	config.at_fork = at_fork;
	queue = make_with(&config);
	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
	answers(0, push_after(queue, number(2), note));
	await_begun(queue, 1);
	return queue;
}

static void leave_child(struct defer_drop_queue *queue, unsigned kept)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	claim_or_exit(1, push_after(queue, NULL, forbidden) == -ENOTSUP);
	claim_or_exit(2, !defer_drop_queue_push(queue, number(kept), note, FOREVER));
	claim_or_exit(3, !defer_drop_queue_flush(queue, LONG_NS));
	claim_or_exit(4, atomic_load(&seen_count) == kept + 1);
	for (unsigned i = 0; i <= kept; i++)
		claim_or_exit(5, seen[i] == number(i));
	claim_or_exit(6, !defer_drop_queue_stats(queue, &stats));
	claim_or_exit(7, !stats.grace_periods_total && !stats.backlog);
	claim_or_exit(8, stats.pushed_total == kept + 1 && is_balanced(&stats));
	claim_or_exit(9, !atomic_load(&forbidden_count));
	_exit(0);
}

Test(grace, in_a_child_grace_periods_are_no_more_and_kept_drops_need_none)
{
	for (unsigned i = 0; i < 4; i++) {
		bool is_kept = i / 2;
		struct defer_drop_queue *queue = make_to_fork(runners[i % 2],
			is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY);
		pid_t child = fork();

		if (!child)
			leave_child(queue, is_kept ? 3 : 0);
		answers(0, status_of(child));
		end_paced(queue);
		assert_seen(0, 3);
	}
}

Test(grace, a_child_that_forked_inside_a_section_keeps_nothing)
{
	struct defer_drop_queue *queue = make_to_fork(WORKER, DEFER_DROP_AT_FORK_KEEP);
	pid_t child;

	reading = 1;
	child = fork();
	reading = 0;
	if (!child)
		leave_child(queue, 0);
	cr_assert_eq(status_of(child), 0);
	end_paced(queue);
	assert_seen(0, 3);
}

/* liburcu's locks may be held by a thread that the child does not have, and its list of readers is
 * the parent's: a thread that registers there may wait for ever. */
Test(grace, a_queue_made_in_a_child_of_a_parent_that_waited_has_none_either)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue;
	pid_t child;

	answers(0, defer_drop_rcu(NULL, note));
	answers(0, defer_drop_flush());
	child = fork();
	if (!child) {
		options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
		if (defer_drop_queue_create(&queue, &config))
			_exit(1);
		_exit(defer_drop_queue_push_with(queue, NULL, note, 0, &options) != -ENOTSUP);
	}
	answers(0, status_of(child));
}

Test(grace, a_worker_of_a_child_does_not_become_a_reader)
{
	struct defer_drop_queue *queue = make_to_fork(WORKER, DEFER_DROP_AT_FORK_EMPTY);
	unsigned before = atomic_load(&registered);
	pid_t child = fork();

	if (!child) {
		claim_or_exit(1, !defer_drop_queue_push(queue, NULL, note, FOREVER));
		claim_or_exit(2, !defer_drop_queue_flush(queue, LONG_NS));
		claim_or_exit(3, atomic_load(&registered) == before);
		claim_or_exit(4, !defer_drop_queue_shutdown(queue, FOREVER));
		claim_or_exit(5, atomic_load(&registered) == before);
		_exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	end_paced(queue);
}

static void short_call_in_child(void)
{
	claim_or_exit(1, defer_drop_rcu(NULL, forbidden) == -ENOTSUP);
	claim_or_exit(2, defer_drop_rcu(NULL, NULL) == -EINVAL);
	claim_or_exit(3, !defer_drop(number(0), note));
	claim_or_exit(4, !defer_drop_flush());
}

Test(grace, the_short_call_is_refused_in_a_child)
{
	answers(-EINVAL, defer_drop_rcu(NULL, NULL));
	answers(0, defer_drop_rcu(NULL, note));
	answers(0, defer_drop_flush());
	cr_assert_eq(run_child(short_call_in_child), 0);
	answers(0, defer_drop_rcu(NULL, note));
	answers(0, defer_drop_flush());
}

/* Without memory for the thread that waits, the worker itself waits, while it looks at a drop. */
Test(grace, a_child_keeps_a_drop_that_the_worker_was_looking_at, .disabled = HAS_SANITIZER)
{
	struct defer_drop_config config = paced_config(WORKER);
	struct defer_drop_queue *queue;
	struct gate gate;
	pid_t child;

	config.at_fork = DEFER_DROP_AT_FORK_KEEP;
	queue = make_with(&config);
	hold_up(queue, &gate);
	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
	limit_memory(1 << 20);
	let_go(&gate);
	await(atomic_load(&begun));
	child = fork();
	unlimit_memory();
	if (!child)
		leave_child(queue, 2);
	cr_assert_eq(status_of(child), 0);
	end_paced(queue);
	assert_seen(0, 2);
}

static struct gate leaving_gate;
static pthread_key_t leaving_key;

/* The thread that calls it is held up when it ends. */
static void wait_and_be_marked(void)
{
	wait_for_pass();
	pthread_setspecific(leaving_key, &leaving_gate);
}

/* In a child. */
static void start_forked(struct defer_drop_queue *queue)
{
	int result;

	alarm(50);
	while ((result = defer_drop_queue_start(queue)) == -EBUSY)
		usleep(500);
	if (result || defer_drop_queue_push(queue, number(0), note, FOREVER) ||
		defer_drop_queue_flush(queue, LONG_NS))
		_exit(1);
	_exit(0);
}

Test(grace, a_thread_of_grace_periods_that_ends_is_forgotten_before_it_is_freed)
{
	static struct rcu_flavor_struct flavor;
	struct defer_drop_config config = paced_config(CALLER);
	struct defer_drop_queue *queue;
	pthread_t thread;
	pid_t child;

	flavor = paced;
	flavor.update_synchronize_rcu = wait_and_be_marked;
	config.rcu_flavor = &flavor;
	gate_init(&leaving_gate);
	cr_assert_eq(pthread_key_create(&leaving_key, pass_gate), 0);
	queue = make_with(&config);
	let_all_pass();
	answers(0, push_after(queue, number(0), note));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_not_null(queue->grace.thread);
	thread = spawn(stop_in_thread, queue);
	await_held(&leaving_gate);
	cr_assert_null(queue->grace.thread, "a child that is forked later would free it again");
	child = fork();
	if (!child)
		start_forked(queue);
	answers(0, status_of(child));
	let_go(&leaving_gate);
	cr_assert_null(join_thread(thread));
	answers(0, defer_drop_queue_start(queue));
	end_paced(queue);
}

static atomic_bool is_over;

/* Makes the queue wait for grace periods and end the thread that waits, again and again. */
static void *stop_and_start(void *argument)
{
	uintptr_t wrong = 0;

	while (!atomic_load(&is_over)) {
		wrong += push_after(argument, number(0), note) != 0;
		wrong += defer_drop_queue_flush(argument, FOREVER) != 0;
		wrong += defer_drop_queue_stop(argument, FOREVER) != 0;
		wrong += defer_drop_queue_start(argument) != 0;
	}
	return number(wrong);
}

Test(grace, a_child_that_was_forked_while_the_thread_of_grace_periods_ends_goes_on)
{
	struct defer_drop_queue *queue = make_to_fork(CALLER, DEFER_DROP_AT_FORK_EMPTY);
	pthread_t thread;

	let_all_pass();
	thread = spawn(stop_and_start, queue);
	for (unsigned i = 0; i < 100; i++) {
		pid_t child = fork();

		if (!child)
			start_forked(queue);
		answers(0, status_of(child));
	}
	atomic_store(&is_over, true);
	cr_assert_null(join_thread(thread));
	end_paced(queue);
}

/* ---- A queue that is shut down twice --------------------------------------------------------- */

/* The first drain wants a grace period, which nobody has begun when the queue is abandoned. */
Test(grace, no_thread_is_left_behind_by_a_second_shutdown)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	unsigned before = count_threads();

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	answers(0, defer_drop_queue_push_with(queue, number(0), note, FOREVER, &options));
	answers(0, defer_drop_queue_drain(queue, 1, 0, NULL));
	answers(0, defer_drop_queue_shutdown(queue, 0));
	usleep(20000);
	answers(0, defer_drop_queue_shutdown(queue, 0));
	cr_assert_eq(count_threads(), before);
	answers(0, defer_drop_queue_free(queue));
}
