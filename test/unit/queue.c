/* SPDX-License-Identifier: MIT
 *
 * Queues: push and its variants, flush, drain, shutdown, making and freeing.
 */
#include "unit.h"

#include <signal.h>

#define CALLER  DEFER_DROP_RUNNER_CALLER
#define WORKER  DEFER_DROP_RUNNER_WORKER
#define FOREVER DEFER_DROP_FOREVER
#define MS      UINT64_C(1000000)

static const uint32_t lanes_tried[] = {0, DEFER_DROP_NO_LANES};

TestSuite(queue, .timeout = 60);

/* ---- Push ------------------------------------------------------------------------------------ */

Test(queue, destroys_each_drop_once_and_in_its_order)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[shared]);

		atomic_store(&seen_count, 0);
		for (uintptr_t i = 0; i < 3000; i += 3) {
			answers(0, defer_drop_queue_push(queue, number(i), note));
			answers(0,
				defer_drop_queue_push_timed(queue, number(i + 1), note, LONG_NS));
			answers(0,
				defer_drop_queue_push_timed(queue, number(i + 2), note, FOREVER));
		}
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		assert_seen(0, 3000);
		end_queue(queue);
		assert_seen(0, 3000);
	}
}

Test(queue, passes_a_null_object_on)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 0, 0);

	seen[0] = queue;
	answers(0, defer_drop_queue_push(queue, NULL, note));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 1);
	end_queue(queue);
}

Test(queue, refuses_a_null_destructor)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 8, lanes_tried[shared]);
		struct defer_drop_ticket ticket;

		/* Once as a thread without a lane, once with one. */
		for (unsigned i = 0; i < 2; i++) {
			answers(-EINVAL, defer_drop_queue_push(queue, &ticket, NULL));
			answers(-EINVAL, defer_drop_queue_push_try(queue, &ticket, NULL));
			answers(-EINVAL, defer_drop_queue_push_timed(queue, &ticket, NULL, 0));
			answers(-EINVAL,
				defer_drop_queue_push_ticket(queue, &ticket, NULL, 0, &ticket));
			answers(0, defer_drop_queue_push(queue, number(i), note));
		}
		cr_assert_eq(stats_of(queue).pushed_total, 2);
		end_queue(queue);
	}
}

Test(queue, refuses_a_null_queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_ticket ticket;

	answers(-EINVAL, defer_drop_queue_push(NULL, NULL, note));
	answers(-EINVAL, defer_drop_queue_push_try(NULL, NULL, note));
	answers(-EINVAL, defer_drop_queue_push_timed(NULL, NULL, note, 0));
	answers(-EINVAL, defer_drop_queue_push_ticket(NULL, NULL, note, 0, &ticket));
	answers(-EINVAL, defer_drop_queue_flush(NULL, 0));
	answers(-EINVAL, defer_drop_queue_drain(NULL, 1, 0, NULL));
	answers(-EINVAL, defer_drop_queue_shutdown(NULL, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL));
	answers(-EINVAL, defer_drop_queue_config(NULL, &config));
	answers(-EINVAL, defer_drop_queue_ticket(NULL, &ticket));
	answers(-EINVAL, defer_drop_queue_stats(NULL, &stats));
	answers(-EINVAL, defer_drop_queue_lane_stats(NULL, 0, &stats));
	answers(-EINVAL, defer_drop_queue_free(NULL));
}

Test(queue, answers_eoverflow_to_times_that_are_none)
{
	const uint64_t none[] = {DEFER_DROP_TIMEOUT_MAX + 1, FOREVER - 1};
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket;

	for (unsigned i = 0; i < 2; i++) {
		answers(-EOVERFLOW, defer_drop_queue_push_timed(queue, NULL, forbidden, none[i]));
		answers(-EOVERFLOW,
			defer_drop_queue_push_ticket(queue, NULL, forbidden, none[i], &ticket));
		answers(-EOVERFLOW, defer_drop_queue_flush(queue, none[i]));
		answers(-EOVERFLOW, defer_drop_queue_drain(queue, 1, none[i], NULL));
		answers(-EOVERFLOW,
			defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_TIMED, none[i], NULL));
	}
	cr_assert_eq(stats_of(queue).pushed_total, 0);
	/* Nothing has closed the queue. */
	answers(0, defer_drop_queue_push(queue, NULL, note));
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(queue, takes_the_longest_finite_timeout)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);

	answers(0, defer_drop_queue_push_timed(queue, NULL, note, DEFER_DROP_TIMEOUT_MAX));
	answers(0, defer_drop_queue_drain(queue, 1, DEFER_DROP_TIMEOUT_MAX, NULL));
	answers(0, defer_drop_queue_push_timed(queue, NULL, note, DEFER_DROP_TIMEOUT_MAX));
	answers(0, defer_drop_queue_flush(queue, DEFER_DROP_TIMEOUT_MAX));
	answers(0, defer_drop_queue_push(queue, NULL, note));
	answers(0, defer_drop_queue_shutdown(
			   queue, DEFER_DROP_SHUTDOWN_TIMED, DEFER_DROP_TIMEOUT_MAX, NULL));
	cr_assert_eq(atomic_load(&seen_count), 3);
	answers(0, defer_drop_queue_free(queue));
}

/* Fills a ring that nobody drains; it takes exactly its size. */
static void fill(struct defer_drop_queue *queue, uint32_t queue_size)
{
	for (uint32_t i = 0; i < queue_size; i++)
		answers(0, defer_drop_queue_push_try(queue, number(i), note));
}

Test(queue, try_answers_eagain_when_full)
{
	const uint32_t sizes[] = {2, 4, 8, 64, 1024};

	for (unsigned i = 0; i < 10; i++) {
		struct defer_drop_queue *queue =
			make_queue(CALLER, sizes[i / 2], lanes_tried[i % 2]);

		for (unsigned lap = 0; lap < 3; lap++) {
			atomic_store(&seen_count, 0);
			fill(queue, sizes[i / 2]);
			answers(-EAGAIN, defer_drop_queue_push_try(queue, NULL, forbidden));
			answers(-EAGAIN, defer_drop_queue_push_try(queue, NULL, forbidden));
			answers(0, defer_drop_queue_flush(queue, FOREVER));
			assert_seen(0, sizes[i / 2]);
		}
		cr_assert_eq(stats_of(queue).refused_total, 6);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(queue, timed_answers_etimedout_when_full_and_no_sooner)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 4, lanes_tried[shared]);
		struct defer_drop_ticket ticket;
		uint64_t since_ns;

		fill(queue, 4);
		answers(-ETIMEDOUT, defer_drop_queue_push_timed(queue, NULL, forbidden, 0));
		since_ns = dd_now_ns();
		answers(-ETIMEDOUT, defer_drop_queue_push_timed(queue, NULL, forbidden, 3 * MS));
		cr_assert_geq(dd_now_ns() - since_ns, 3 * MS);
		answers(-ETIMEDOUT,
			defer_drop_queue_push_ticket(queue, NULL, forbidden, 0, &ticket));
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&seen_count), 8);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

struct push {
	struct defer_drop_queue *queue;
	void *object;
	uint64_t timeout_ns;
	int result;
};

static void *push_in_thread(void *argument)
{
	struct push *push = argument;

	push->result = push->timeout_ns == FOREVER
			       ? defer_drop_queue_push(push->queue, push->object, note)
			       : defer_drop_queue_push_timed(
					 push->queue, push->object, note, push->timeout_ns);
	return NULL;
}

/* Fills the calling thread's lane, then waits for room. */
static void *fill_and_push(void *argument)
{
	struct push *push = argument;

	for (uintptr_t i = 0; i < 4; i++)
		push->result |= defer_drop_queue_push_try(push->queue, number(i), note);
	return push->result ? NULL : push_in_thread(push);
}

Test(queue, a_full_push_waits_until_there_is_room)
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
		answers(0, defer_drop_queue_drain(push.queue, 1, FOREVER, NULL));
		join_thread(thread);
		answers(0, push.result);
		answers(0, defer_drop_queue_flush(push.queue, FOREVER));
		assert_seen(0, 5);
		cr_assert_eq(stats_of(push.queue).waits_total, 1);
		end_queue(push.queue);
	}
}

Test(queue, many_pushes_wait_for_one_shared_lane_and_all_get_in)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, DEFER_DROP_NO_LANES);
	struct push pushes[8];
	pthread_t threads[8];

	fill(queue, 2);
	for (unsigned i = 0; i < 8; i++) {
		pushes[i] = (struct push){queue, NULL, i % 2 ? FOREVER : LONG_NS, 1};
		threads[i] = spawn(push_in_thread, &pushes[i]);
	}
	while (atomic_load(&seen_count) < 10)
		answers(0, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
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

	wrong += defer_drop_queue_push(queue, NULL, forbidden) != -ESHUTDOWN;
	wrong += defer_drop_queue_push_try(queue, NULL, forbidden) != -ESHUTDOWN;
	wrong += defer_drop_queue_push_timed(queue, NULL, forbidden, 0) != -ESHUTDOWN;
	wrong += defer_drop_queue_push_timed(queue, NULL, forbidden, FOREVER) != -ESHUTDOWN;
	wrong += defer_drop_queue_push_ticket(queue, NULL, forbidden, 0, &ticket) != -ESHUTDOWN;
	return number((uintptr_t)wrong);
}

Test(queue, a_push_after_shutdown_answers_eshutdown_and_touches_nothing)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i / 2], 4, lanes_tried[i % 2]);
		struct defer_drop_stats stats;

		/* The thread of the test has a lane, the others have none. */
		answers(0, defer_drop_queue_push(queue, NULL, note));
		answers(0, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL));
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

static struct defer_drop_queue *nest;
static atomic_int nest_errors;

/* A drop of depth n makes one of depth n - 1. */
static void descend(void *object)
{
	uintptr_t depth = (uintptr_t)object;

	note(object);
	if (depth && defer_drop_queue_push(nest, number(depth - 1), descend))
		atomic_fetch_add(&nest_errors, 1);
}

static void assert_flush_covers_nested(uint32_t runner)
{
	nest = make_queue(runner, 8, 0);
	atomic_store(&seen_count, 0);
	answers(0, defer_drop_queue_push(nest, number(3), descend));
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(
		atomic_load(&seen_count), 4, "%u of 4 were destroyed", atomic_load(&seen_count));
	cr_assert_eq(stats_of(nest).nested_total, 3);
	end_queue(nest);
	cr_assert_eq(atomic_load(&nest_errors), 0);
}

Test(queue, a_flush_covers_nested_drops_of_the_worker)
{
	assert_flush_covers_nested(WORKER);
}

Test(queue, a_flush_covers_nested_drops_of_a_caller_who_pushed_them_himself)
{
	assert_flush_covers_nested(CALLER);
}

static atomic_int nested_result;

static void push_nested(void *object)
{
	atomic_store(&nested_result, defer_drop_queue_push(nest, object, note));
}

static void assert_nested_drop_of_a_shutdown_is_destroyed(uint32_t runner)
{
	struct defer_drop_report report;

	nest = make_queue(runner, 8, 0);
	atomic_store(&nested_result, 1);
	answers(0, defer_drop_queue_push(nest, NULL, push_nested));
	answers(0, defer_drop_queue_shutdown(nest, DEFER_DROP_SHUTDOWN_DRAIN, 0, &report));
	cr_assert_eq(atomic_load(&nested_result), 0, "the nested drop was refused: %d",
		atomic_load(&nested_result));
	cr_assert_eq(atomic_load(&seen_count), 1);
	cr_assert_eq(report.destroyed_total, 2);
	cr_assert_eq(report.left_total, 0);
	answers(0, defer_drop_queue_free(nest));
}

Test(queue, a_draining_shutdown_destroys_nested_drops_of_the_worker)
{
	assert_nested_drop_of_a_shutdown_is_destroyed(WORKER);
}

Test(queue, a_draining_shutdown_destroys_nested_drops_of_a_caller)
{
	assert_nested_drop_of_a_shutdown_is_destroyed(CALLER);
}

/* Makes 100 nested drops, in a ring of 2. */
static void burst(void *object)
{
	(void)object;
	for (uintptr_t i = 0; i < 100; i++)
		if (i % 2 ? defer_drop_queue_push(nest, number(i), note)
			  : defer_drop_queue_push_try(nest, number(i), note))
			atomic_fetch_add(&nest_errors, 1);
}

static void assert_nested_drops_never_wait(uint32_t runner)
{
	nest = make_queue(runner, 2, 0);
	answers(0, defer_drop_queue_push(nest, NULL, burst));
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	assert_seen(0, 100);
	end_queue(nest);
}

Test(queue, nested_drops_never_wait_for_room_on_the_worker)
{
	assert_nested_drops_never_wait(WORKER);
}

Test(queue, nested_drops_never_wait_for_room_on_a_caller)
{
	assert_nested_drops_never_wait(CALLER);
}

/* ---- Flush ----------------------------------------------------------------------------------- */

static void *flush_in_thread(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_flush(argument, FOREVER));
}

Test(queue, later_pushes_do_not_prolong_a_flush)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[shared]);
		struct gate before;
		struct gate after;
		pthread_t thread;

		hold_up(queue, &before);
		thread = spawn(flush_in_thread, queue);
		await(has_waiter(queue));
		gate_init(&after);
		answers(0, defer_drop_queue_push(queue, &after, pass_gate));
		let_go(&before);
		/* The worker stands in the later gate while the flush returns. */
		cr_assert_null(join_thread(thread));
		let_go(&after);
		end_queue(queue);
	}
}

static void *push_one(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, number(7), note));
}

/* Has another thread push while a flush by the caller runs this. */
static void have_one_pushed(void *object)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, push_one, object) || pthread_join(thread, NULL))
		atomic_fetch_add(&nest_errors, 1);
	note(number(6));
}

Test(queue, later_pushes_do_not_prolong_a_flush_that_drains)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 0);

	answers(0, defer_drop_queue_push(queue, queue, have_one_pushed));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	assert_seen(6, 1);
	end_queue(queue);
	assert_seen(6, 2);
}

Test(queue, a_flush_answers_etimedout_and_nothing_is_lost)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 0);
	uint64_t since_ns = dd_now_ns();
	struct gate gate;

	hold_up(queue, &gate);
	answers(0, defer_drop_queue_push(queue, number(0), note));
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, 0));
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, 2 * MS));
	cr_assert_geq(dd_now_ns() - since_ns, 2 * MS);
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	assert_seen(0, 1);
	answers(0, defer_drop_queue_flush(queue, 0));
	end_queue(queue);
}

Test(queue, a_flush_that_only_looks_runs_nothing)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 0);

	answers(0, defer_drop_queue_flush(queue, 0));
	answers(0, defer_drop_queue_push(queue, number(0), note));
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, 0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	end_queue(queue);
}

static void *push_some(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 50; i++)
		wrong += defer_drop_queue_push(argument, NULL, note) != 0;
	return number(wrong);
}

Test(queue, a_flush_covers_threads_that_were_joined)
{
	const uint32_t lanes[] = {0, 1, DEFER_DROP_NO_LANES};

	for (unsigned i = 0; i < 3; i++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 8, lanes[i]);
		pthread_t threads[4];

		atomic_store(&seen_count, 0);
		for (unsigned j = 0; j < 4; j++)
			threads[j] = spawn(push_some, queue);
		for (unsigned j = 0; j < 4; j++)
			cr_assert_null(join_thread(threads[j]));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(atomic_load(&seen_count), 200);
		end_queue(queue);
	}
}

Test(queue, a_flush_after_shutdown_answers_eshutdown)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 8, 0);

		answers(0, defer_drop_queue_push(queue, NULL, note));
		answers(0, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL));
		answers(-ESHUTDOWN, defer_drop_queue_flush(queue, 0));
		answers(-ESHUTDOWN, defer_drop_queue_flush(queue, FOREVER));
		answers(0, defer_drop_queue_free(queue));
	}
}

/* What a destructor may not ask of its own queue. */
struct questions {
	struct defer_drop_queue *queue;
	struct defer_drop_queue *other;
	int flush;
	int flush_timed;
	int drain;
	int shutdown;
	int flush_other;
};

static void ask(void *object)
{
	struct questions *asked = object;

	asked->flush = defer_drop_queue_flush(asked->queue, FOREVER);
	asked->flush_timed = defer_drop_queue_flush(asked->queue, 0);
	asked->drain = defer_drop_queue_drain(asked->queue, 1, FOREVER, NULL);
	asked->shutdown =
		defer_drop_queue_shutdown(asked->queue, DEFER_DROP_SHUTDOWN_ABANDON, 0, NULL);
	asked->flush_other = defer_drop_queue_push(asked->other, number(0), note);
	if (!asked->flush_other)
		asked->flush_other = defer_drop_queue_flush(asked->other, FOREVER);
}

Test(queue, a_destructor_that_waits_for_its_own_queue_gets_edeadlk)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct questions asked = {.shutdown = 1};

		asked.queue = make_queue(runners[i], 8, 0);
		asked.other = make_queue(WORKER, 8, 0);
		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(asked.queue, &asked, ask));
		answers(0, defer_drop_queue_flush(asked.queue, FOREVER));
		answers(-EDEADLK, asked.flush);
		answers(-EDEADLK, asked.flush_timed);
		answers(runners[i] == CALLER ? -EDEADLK : -EINVAL, asked.drain);
		answers(-EDEADLK, asked.shutdown);
		answers(0, asked.flush_other);
		assert_seen(0, 1);
		/* The refused shutdown has closed nothing. */
		answers(0, defer_drop_queue_push(asked.queue, NULL, note));
		end_queue(asked.queue);
		end_queue(asked.other);
	}
}

/* ---- Drain ----------------------------------------------------------------------------------- */

static void assert_drains(
	struct defer_drop_queue *queue, uint64_t max_drops, uint64_t ran, uint64_t remaining)
{
	struct defer_drop_drained drained = {99, 99};

	answers(0, defer_drop_queue_drain(queue, max_drops, FOREVER, &drained));
	cr_assert_eq(drained.ran_total, ran, "ran %llu", (unsigned long long)drained.ran_total);
	cr_assert_eq(
		drained.remaining, remaining, "%llu remain", (unsigned long long)drained.remaining);
}

Test(queue, a_drain_keeps_to_its_number_of_drops)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[shared]);

		atomic_store(&seen_count, 0);
		fill(queue, 10);
		assert_drains(queue, 0, 0, 10);
		assert_drains(queue, 3, 3, 7);
		assert_seen(0, 3);
		assert_drains(queue, UINT64_MAX, 7, 0);
		assert_drains(queue, 1, 0, 0);
		assert_seen(0, 10);
		fill(queue, 1);
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		cr_assert_eq(atomic_load(&seen_count), 11);
		end_queue(queue);
	}
}

Test(queue, a_drain_of_more_than_a_turn_takes_it_all)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8192, 0);

	fill(queue, 5000);
	assert_drains(queue, 4999, 4999, 1);
	assert_drains(queue, 4999, 1, 0);
	end_queue(queue);
}

static void take_its_time(void *object)
{
	note(object);
	usleep(3000);
}

Test(queue, a_drain_keeps_to_its_time)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 0);
	struct defer_drop_drained drained = {99, 99};

	for (uintptr_t i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, number(i), take_its_time));
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, 0, &drained));
	cr_assert_eq(drained.ran_total, 0);
	cr_assert_eq(drained.remaining, 5);
	/* One destructor takes longer than the budget: no second one may start. */
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, 2 * MS, &drained));
	cr_assert_leq(drained.ran_total, 1);
	cr_assert_eq(drained.remaining, 5 - drained.ran_total);
	end_queue(queue);
	assert_seen(0, 5);
}

Test(queue, a_drain_does_not_count_nested_drops)
{
	nest = make_queue(CALLER, 16, 0);
	answers(0, defer_drop_queue_push(nest, number(3), descend));
	assert_drains(nest, 1, 1, 0);
	cr_assert_eq(atomic_load(&seen_count), 4);
	end_queue(nest);
}

static void *drain_in_thread(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_drain(argument, UINT64_MAX, FOREVER, NULL));
}

Test(queue, a_second_drain_answers_ebusy_and_says_what_remains)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 0);
	struct defer_drop_drained drained = {99, 99};
	struct gate gate;
	pthread_t thread;

	gate_init(&gate);
	answers(0, defer_drop_queue_push(queue, &gate, pass_gate));
	answers(0, defer_drop_queue_push(queue, NULL, note));
	thread = spawn(drain_in_thread, queue);
	await_semaphore(&gate.entered);
	answers(-EBUSY, defer_drop_queue_drain(queue, 1, FOREVER, &drained));
	cr_assert_eq(drained.ran_total, 0);
	cr_assert_eq(drained.remaining, 2);
	answers(-EBUSY, defer_drop_queue_drain(queue, 1, 0, NULL));
	/* A flush waits for the other one to leave, within its time. */
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, MS));
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	cr_assert_eq(atomic_load(&seen_count), 1);
	end_queue(queue);
}

Test(queue, only_queues_without_a_worker_are_drained)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 0);
	struct defer_drop_queue *closed = make_queue(CALLER, 16, 0);

	answers(-EINVAL, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
	end_queue(queue);
	answers(0, defer_drop_queue_shutdown(closed, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL));
	answers(-ESHUTDOWN, defer_drop_queue_drain(closed, 1, FOREVER, NULL));
	answers(0, defer_drop_queue_free(closed));
}

/* ---- Shutdown -------------------------------------------------------------------------------- */

static void assert_shutdown(struct defer_drop_queue *queue, int result, uint32_t mode,
	uint64_t timeout_ns, uint64_t destroyed, uint64_t left)
{
	struct defer_drop_report report = {99, 99};
	struct defer_drop_stats stats;

	answers(result, defer_drop_queue_shutdown(queue, mode, timeout_ns, &report));
	cr_assert_eq(report.destroyed_total, destroyed, "%llu destroyed",
		(unsigned long long)report.destroyed_total);
	cr_assert_eq(report.left_total, left, "%llu left", (unsigned long long)report.left_total);
	stats = stats_of(queue);
	cr_assert_eq(stats.pushed_total, destroyed + left);
	cr_assert_eq(stats.backlog, 0);
}

Test(queue, a_shutdown_reports_the_same_however_often_it_is_called)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i / 2], 16, lanes_tried[i % 2]);

		fill(queue, 10);
		assert_shutdown(queue, 0, DEFER_DROP_SHUTDOWN_DRAIN, 0, 10, 0);
		assert_shutdown(queue, 0, DEFER_DROP_SHUTDOWN_DRAIN, 0, 10, 0);
		assert_shutdown(queue, 0, DEFER_DROP_SHUTDOWN_ABANDON, 0, 10, 0);
		assert_shutdown(queue, 0, DEFER_DROP_SHUTDOWN_TIMED, 0, 10, 0);
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&seen_count), 40);
}

Test(queue, an_abandoning_shutdown_runs_nothing_and_counts_all)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[shared]);

		for (unsigned i = 0; i < 10; i++)
			answers(0, defer_drop_queue_push(queue, NULL, forbidden));
		assert_shutdown(queue, 0, DEFER_DROP_SHUTDOWN_ABANDON, 0, 0, 10);
		/* A later caller who gave time learns that it was not enough. */
		assert_shutdown(queue, -ETIMEDOUT, DEFER_DROP_SHUTDOWN_TIMED, LONG_NS, 0, 10);
		assert_shutdown(queue, 0, DEFER_DROP_SHUTDOWN_DRAIN, 0, 0, 10);
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(queue, a_timed_shutdown_answers_etimedout_where_drops_are_left)
{
	const uint32_t runners[] = {WORKER, CALLER};
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 0);

	for (unsigned i = 0; i < 10; i++)
		answers(0, defer_drop_queue_push(queue, NULL, forbidden));
	assert_shutdown(queue, -ETIMEDOUT, DEFER_DROP_SHUTDOWN_TIMED, 0, 0, 10);
	answers(-ESHUTDOWN, defer_drop_queue_push(queue, NULL, forbidden));
	answers(0, defer_drop_queue_free(queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	for (unsigned i = 0; i < 4; i++) {
		queue = make_queue(runners[i / 2], 16, 0);
		fill(queue, 10);
		assert_shutdown(
			queue, 0, DEFER_DROP_SHUTDOWN_TIMED, i % 2 ? FOREVER : LONG_NS, 10, 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

struct shutdown {
	struct defer_drop_queue *queue;
	uint32_t mode;
	uint64_t timeout_ns;
	int result;
	struct defer_drop_report report;
};

static void *shut_down(void *argument)
{
	struct shutdown *shutdown = argument;

	shutdown->result = defer_drop_queue_shutdown(
		shutdown->queue, shutdown->mode, shutdown->timeout_ns, &shutdown->report);
	return NULL;
}

Test(queue, concurrent_shutdowns_agree_and_the_strictest_wins)
{
	struct shutdown shutdowns[6] = {{.mode = DEFER_DROP_SHUTDOWN_DRAIN}};
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 0);
	pthread_t threads[6];
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, NULL, forbidden));
	for (unsigned i = 0; i < 6; i++) {
		shutdowns[i].queue = queue;
		shutdowns[i].mode = i % 3;
		shutdowns[i].timeout_ns = i % 3 == DEFER_DROP_SHUTDOWN_TIMED ? LONG_NS : 0;
		threads[i] = spawn(shut_down, &shutdowns[i]);
	}
	/* Until the one that abandons has spoken. */
	await(dd_queue_state(queue) == DD_CLOSING && !atomic_load(&queue->drain_until_ns));
	let_go(&gate);
	for (unsigned i = 0; i < 6; i++) {
		join_thread(threads[i]);
		answers(shutdowns[i].timeout_ns ? -ETIMEDOUT : 0, shutdowns[i].result);
		cr_assert_eq(shutdowns[i].report.destroyed_total, 1);
		cr_assert_eq(shutdowns[i].report.left_total, 5);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

struct nester {
	struct defer_drop_queue *queue;
	struct gate gate;
	int result;
};

static void pass_and_push(void *object)
{
	struct nester *nester = object;

	pass_gate(&nester->gate);
	nester->result = defer_drop_queue_push(nester->queue, NULL, forbidden);
}

Test(queue, a_nested_drop_of_an_abandoned_queue_is_counted_as_left)
{
	struct shutdown shutdown = {.mode = DEFER_DROP_SHUTDOWN_ABANDON};
	struct nester nester = {.result = 1};
	pthread_t thread;
	bool is_taken;

	shutdown.queue = nester.queue = make_queue(WORKER, 16, 0);
	gate_init(&nester.gate);
	answers(0, defer_drop_queue_push(nester.queue, &nester, pass_and_push));
	await_semaphore(&nester.gate.entered);
	thread = spawn(shut_down, &shutdown);
	await(dd_queue_state(nester.queue) == DD_CLOSING);
	let_go(&nester.gate);
	join_thread(thread);
	answers(0, shutdown.result);
	is_taken = !nester.result;
	cr_assert(is_taken || nester.result == -ESHUTDOWN);
	cr_assert_eq(shutdown.report.destroyed_total, 1);
	cr_assert_eq(shutdown.report.left_total, is_taken);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(nester.queue));
}

Test(queue, a_shutdown_refuses_what_it_does_not_know)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 0);

	answers(-EINVAL, defer_drop_queue_shutdown(queue, 3, 0, NULL));
	answers(-EINVAL, defer_drop_queue_shutdown(queue, UINT32_MAX, 0, NULL));
	answers(-EINVAL, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 1, NULL));
	answers(-EINVAL, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_ABANDON, 1, NULL));
	answers(0, defer_drop_queue_push(queue, NULL, note));
	end_queue(queue);
	cr_assert_eq(atomic_load(&seen_count), 1);
}

/* A push that waits for room when the queue closes is either taken and destroyed, or refused. */
static void assert_waiting_push_is_settled(uint32_t runner, uint32_t lanes, uint32_t mode)
{
	struct defer_drop_report report;
	struct push push = {.object = number(4), .timeout_ns = FOREVER};
	pthread_t thread;
	struct gate gate;
	uint64_t total;
	bool is_full;

	push.queue = make_queue(runner, 4, lanes);
	atomic_store(&seen_count, 0);
	if (runner == WORKER)
		hold_up(push.queue, &gate);
	/* Where the lane is shared, the gate takes one of its four places. */
	is_full = runner == WORKER && lanes;
	for (uintptr_t i = 0; is_full && i < 3; i++)
		answers(0, defer_drop_queue_push(push.queue, number(i), note));
	thread = spawn(is_full ? push_in_thread : fill_and_push, &push);
	await(has_waiter(push.queue));
	if (runner == WORKER)
		let_go(&gate);
	defer_drop_queue_shutdown(push.queue, mode, 0, &report);
	join_thread(thread);
	cr_assert(push.result == 0 || push.result == -ESHUTDOWN);
	total = atomic_load(&seen_count) + (runner == WORKER);
	cr_assert_eq(report.destroyed_total, total);
	cr_assert_eq(report.destroyed_total + report.left_total, stats_of(push.queue).pushed_total);
	cr_assert_eq(report.destroyed_total + report.left_total,
		4u + (push.result == 0) + (runner == WORKER && !lanes));
	answers(0, defer_drop_queue_free(push.queue));
}

Test(queue, a_push_that_waits_while_the_queue_closes_is_taken_or_refused)
{
	for (unsigned i = 0; i < 40; i++) {
		uint32_t mode = i % 2 ? DEFER_DROP_SHUTDOWN_DRAIN : DEFER_DROP_SHUTDOWN_ABANDON;

		assert_waiting_push_is_settled(CALLER, 0, mode);
		assert_waiting_push_is_settled(CALLER, DEFER_DROP_NO_LANES, mode);
		assert_waiting_push_is_settled(WORKER, 0, mode);
		assert_waiting_push_is_settled(WORKER, DEFER_DROP_NO_LANES, mode);
	}
}

/* ---- What no call does ----------------------------------------------------------------------- */

/* What a thread returns that a pending cancellation has not ended. */
#define SURVIVED number(1)

static void *shut_down_cancelled(void *argument)
{
	pthread_cancel(pthread_self());
	defer_drop_queue_push(argument, NULL, note);
	defer_drop_queue_flush(argument, FOREVER);
	defer_drop_queue_shutdown(argument, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return SURVIVED;
}

/* In a child, and past the exit handlers: a shutdown that was cancelled could hold them up. */
static void exit_with_survival(void)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 0);

	_exit(join_thread(spawn(shut_down_cancelled, queue)) != SURVIVED);
}

Test(queue, a_shutdown_is_no_cancellation_point)
{
	cr_assert_eq(run_child(exit_with_survival), 0, "the thread ended inside the shutdown");
}

static void *push_and_flush_cancelled(void *argument)
{
	pthread_cancel(pthread_self());
	for (unsigned i = 0; i < 100; i++)
		defer_drop_queue_push(argument, NULL, note);
	defer_drop_queue_push_timed(argument, NULL, note, FOREVER);
	defer_drop_queue_flush(argument, FOREVER);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return SURVIVED;
}

Test(queue, push_and_flush_are_no_cancellation_points)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 2, 0);

	cr_assert_eq(join_thread(spawn(push_and_flush_cancelled, queue)), SURVIVED);
	cr_assert_eq(atomic_load(&seen_count), 101);
	end_queue(queue);
}

static atomic_uint signals_total;

static void count_signal(int signal)
{
	(void)signal;
	atomic_fetch_add(&signals_total, 1);
}

static void *flush_with_errno(void *argument)
{
	int result;

	errno = 4711;
	result = defer_drop_queue_flush(argument, FOREVER);
	return number(result ? 1 : (uintptr_t)errno);
}

Test(queue, a_flush_that_signals_interrupt_leaves_errno_alone)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 0);
	struct sigaction action = {.sa_handler = count_signal};
	struct gate gate;
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL); /* without SA_RESTART */
	hold_up(queue, &gate);
	thread = spawn(flush_with_errno, queue);
	await(has_waiter(queue));
	for (unsigned i = 0; i < 50; i++) {
		unsigned before = atomic_load(&signals_total);

		pthread_kill(thread, SIGUSR1);
		await(atomic_load(&signals_total) > before);
	}
	let_go(&gate);
	cr_assert_eq((uintptr_t)join_thread(thread), 4711, "errno became something else");
	end_queue(queue);
}

/* ---- Making, freeing, configuration ---------------------------------------------------------- */

static void assert_not_made(int result, const struct defer_drop_config *config)
{
	struct defer_drop_queue *queue = (void *)&seen;

	answers(result, defer_drop_queue_create(&queue, config));
	cr_assert_eq((void *)queue, (void *)&seen, "the result was touched");
}

Test(queue, create_refuses_what_is_wrong_and_leaves_the_result_alone)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct {
		struct defer_drop_config known;
		uint64_t unknown;
	} later = {DEFER_DROP_CONFIG_INIT, 1};

	answers(-EINVAL, defer_drop_queue_create(NULL, NULL));
	config.queue_size = 3;
	assert_not_made(-EINVAL, &config);
	config.queue_size = 0;
	config.size = 0;
	assert_not_made(-EINVAL, &config);
	later.known.size = sizeof later;
	assert_not_made(-E2BIG, &later.known);
}

Test(queue, create_answers_enomem_where_there_is_no_memory, .disabled = HAS_SANITIZER)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 1u << 24; /* 256 MiB */
	limit_memory(100u << 20);
	assert_not_made(-ENOMEM, &config);
}

Test(queue, create_answers_eagain_where_no_thread_can_be_made, .disabled = HAS_SANITIZER)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.stack_size_bytes = UINT64_C(1) << 32;
	limit_memory(UINT64_C(1) << 30);
	assert_not_made(-EAGAIN, &config);
}

/* Exits with 0 where neither a real-time worker nor one with priority may be made: -EPERM. */
static void be_nobody(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct rlimit none = {0, 0};
	struct defer_drop_queue *queue;

	setrlimit(RLIMIT_RTPRIO, &none);
	setrlimit(RLIMIT_NICE, &none);
	if (!getuid() && setuid(65534))
		_exit(2);
	config.scheduling = DEFER_DROP_SCHEDULING_FIFO;
	config.scheduling_priority = 1;
	fprintf(stderr, "FIFO answers %d\n", defer_drop_queue_create(&queue, &config));
	config.scheduling = 0;
	config.scheduling_priority = 0;
	config.niceness = -5;
	fprintf(stderr, "niceness answers %d\n", defer_drop_queue_create(&queue, &config));
}

Test(queue, create_answers_eperm_where_priority_is_not_allowed)
{
	char want[64];

	cr_assert_eq(run_child(be_nobody), 0);
	snprintf(want, sizeof want, "FIFO answers %d\n", -EPERM);
	cr_assert_eq(times_said(want), 1, "%s", said);
	snprintf(want, sizeof want, "niceness answers %d\n", -EPERM);
	cr_assert_eq(times_said(want), 1, "%s", said);
}

Test(queue, free_answers_ebusy_before_a_shutdown_and_changes_nothing)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 16, 0);

		answers(0, defer_drop_queue_push(queue, NULL, note));
		answers(-EBUSY, defer_drop_queue_free(queue));
		answers(0, defer_drop_queue_push(queue, NULL, note));
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&seen_count), 4);
}

Test(queue, free_refuses_the_default_queue)
{
	answers(-EINVAL, defer_drop_queue_free(defer_drop_queue_default()));
	answers(0, defer_drop_shutdown());
	answers(-EINVAL, defer_drop_queue_free(defer_drop_queue_default()));
}

Test(queue, config_tells_the_built_in_values)
{
	struct defer_drop_queue *queue = make_queue(0, 0, 0);
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	answers(0, defer_drop_queue_config(queue, &config));
	cr_assert_eq(config.size, sizeof config);
	cr_assert_eq(config.queue_size, DD_QUEUE_SIZE);
	cr_assert_eq(config.max_lanes, DD_MAX_LANES_BUILT_IN);
	cr_assert_str_eq(config.worker_name, "defer_drop");
	cr_assert_eq(config.runner, DEFER_DROP_RUNNER_WORKER);
	cr_assert_eq(config.at_exit, DEFER_DROP_AT_EXIT_DRAIN);
	cr_assert_eq(config.at_fork, DEFER_DROP_AT_FORK_EMPTY);
	cr_assert_eq(config.quiet_spell_ns, 100 * MS);
	cr_assert_eq(config.longest_nap_ns, MS);
	end_queue(queue);
}

Test(queue, config_tells_what_was_asked_for)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_config told = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	char name[] = "reaper";

	asked.queue_size = 2;
	asked.max_lanes = DEFER_DROP_NO_LANES;
	asked.worker_name = name;
	asked.cpus = "0-1023";
	asked.scheduling = DEFER_DROP_SCHEDULING_BATCH;
	asked.niceness = 3;
	asked.at_exit = DEFER_DROP_AT_EXIT_TIMED;
	asked.exit_timeout_ns = 5;
	asked.at_fork = DEFER_DROP_AT_FORK_KEEP;
	asked.stack_size_bytes = 1 << 20;
	asked.quiet_spell_ns = DEFER_DROP_NEVER;
	asked.longest_nap_ns = 1000;
	answers(0, defer_drop_queue_create(&queue, &asked));
	name[0] = 'X'; /* the library has its own copy */
	answers(0, defer_drop_queue_config(queue, &told));
	cr_assert_str_eq(told.worker_name, "reaper");
	cr_assert_str_eq(told.cpus, "0-1023");
	told.worker_name = asked.worker_name;
	told.cpus = asked.cpus;
	told.runner = 0;
	cr_assert_arr_eq(&told, &asked, sizeof told);
	end_queue(queue);
}

Test(queue, config_fills_in_no_more_than_the_caller_knows)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, 0);
	struct {
		struct defer_drop_config known;
		unsigned char unknown[8];
	} later = {.known = DEFER_DROP_CONFIG_INIT, .unknown = "unknown"};

	later.known.size = sizeof later;
	answers(0, defer_drop_queue_config(queue, &later.known));
	cr_assert_eq(later.known.queue_size, 8);
	cr_assert_arr_eq(later.unknown, "unknown", 8);
	end_queue(queue);
}

Test(queue, config_answers_einval_to_less_than_the_first_version)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, 0);
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	/* The first version ended with this field. */
	size_t first = offsetof(struct defer_drop_config, longest_nap_ns) + sizeof(uint64_t);

	answers(-EINVAL, defer_drop_queue_config(queue, NULL));
	config.size = 0;
	answers(-EINVAL, defer_drop_queue_config(queue, &config));
	config.size = first - 1;
	answers(-EINVAL, defer_drop_queue_config(queue, &config));
	config.size = first;
	answers(0, defer_drop_queue_config(queue, &config));
	end_queue(queue);
}

Test(queue, a_thousand_queues_come_and_go)
{
	for (unsigned i = 0; i < 1000; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 4, 0);

		answers(0, defer_drop_queue_push(queue, NULL, note));
		/* Each of them has had a lane to spare for this thread. */
		cr_assert_eq(stats_of(queue).lanes, 2);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&seen_count), 1000);
}

static void *create_and_end(void *argument)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	uintptr_t wrong = 0;

	(void)argument;
	for (unsigned i = 0; i < 50; i++) {
		struct defer_drop_queue *queue;

		wrong += defer_drop_queue_create(&queue, &config) != 0;
		wrong += defer_drop_queue_push(queue, NULL, note) != 0;
		wrong += defer_drop_queue_shutdown(queue, 0, 0, NULL) != 0;
		wrong += defer_drop_queue_free(queue) != 0;
	}
	return number(wrong);
}

Test(queue, threads_make_and_free_queues_side_by_side)
{
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		threads[i] = spawn(create_and_end, NULL);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_null(join_thread(threads[i]));
	cr_assert_eq(atomic_load(&seen_count), 200);
}
