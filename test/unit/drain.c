/* SPDX-License-Identifier: MIT
 *
 * Flush and drain.
 */
#include "queues.h"

TestSuite(drain, .timeout = 60);

/* ---- Flush ----------------------------------------------------------------------------------- */

Test(drain, later_pushes_do_not_prolong_a_flush)
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
		answers(0, defer_drop_queue_push(queue, &after, pass_gate, FOREVER));
		let_go(&before);
		/* The worker stands in the later gate while the flush returns. */
		cr_assert_null(join_thread(thread));
		let_go(&after);
		end_queue(queue);
	}
}

static void *push_one(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, number(7), note, FOREVER));
}

/* Makes another thread push while a flush by the caller runs this. */
static void have_one_pushed(void *object)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, push_one, object) || pthread_join(thread, NULL))
		atomic_fetch_add(&nest_errors, 1);
	note(number(6));
}

Test(drain, later_pushes_do_not_prolong_a_flush_that_drains)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	answers(0, defer_drop_queue_push(queue, queue, have_one_pushed, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	assert_seen(6, 1);
	end_queue(queue);
	assert_seen(6, 2);
}

Test(drain, a_flush_answers_etimedout_and_nothing_is_lost)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	uint64_t since_ns = dd_now_ns();
	struct gate gate;

	hold_up(queue, &gate);
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	answers(-EAGAIN, defer_drop_queue_flush(queue, 0));
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, 2 * MS));
	cr_assert_geq(dd_now_ns() - since_ns, 2 * MS);
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	assert_seen(0, 1);
	answers(0, defer_drop_queue_flush(queue, 0));
	end_queue(queue);
}

Test(drain, a_flush_that_only_looks_runs_nothing)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	answers(0, defer_drop_queue_flush(queue, 0));
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	answers(-EAGAIN, defer_drop_queue_flush(queue, 0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	end_queue(queue);
}

static void *push_some(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 50; i++)
		wrong += defer_drop_queue_push(argument, NULL, note, FOREVER) != 0;
	return number(wrong);
}

Test(drain, a_flush_covers_threads_that_were_joined)
{
	const uint32_t lanes[] = {LANES, 1, 0};

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

Test(drain, a_flush_after_shutdown_answers_eshutdown)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 8, LANES);

		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		answers(-ESHUTDOWN, defer_drop_queue_flush(queue, 0));
		answers(-ESHUTDOWN, defer_drop_queue_flush(queue, FOREVER));
		answers(0, defer_drop_queue_free(queue));
	}
}

/* Calls that a destructor may not make on its own queue. */
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
	asked->shutdown = defer_drop_queue_shutdown(asked->queue, 0);
	asked->flush_other = defer_drop_queue_push(asked->other, number(0), note, FOREVER);
	if (!asked->flush_other)
		asked->flush_other = defer_drop_queue_flush(asked->other, FOREVER);
}

Test(drain, a_destructor_that_waits_for_its_own_queue_gets_edeadlk)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct questions asked = {.shutdown = 1};

		asked.queue = make_queue(runners[i], 8, LANES);
		asked.other = make_queue(WORKER, 8, LANES);
		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(asked.queue, &asked, ask, FOREVER));
		answers(0, defer_drop_queue_flush(asked.queue, FOREVER));
		answers(-EDEADLK, asked.flush);
		answers(-EDEADLK, asked.flush_timed);
		answers(runners[i] == CALLER ? -EDEADLK : -EINVAL, asked.drain);
		answers(-EDEADLK, asked.shutdown);
		answers(0, asked.flush_other);
		assert_seen(0, 1);
		/* The shutdown that was refused has closed nothing. */
		answers(0, defer_drop_queue_push(asked.queue, NULL, note, FOREVER));
		end_queue(asked.queue);
		end_queue(asked.other);
	}
}

/* ---- Drain ----------------------------------------------------------------------------------- */

static void assert_backlog(struct defer_drop_queue *queue, uint64_t want)
{
	uint64_t backlog = defer_drop_queue_backlog(queue);

	cr_assert_eq(backlog, want, "%llu are pending", (unsigned long long)backlog);
}

static void assert_drains(
	struct defer_drop_queue *queue, uint64_t max_drops, uint64_t want, uint64_t backlog)
{
	uint64_t destroyed = 99;

	answers(0, defer_drop_queue_drain(queue, max_drops, FOREVER, &destroyed));
	cr_assert_eq(destroyed, want, "destroyed %llu", (unsigned long long)destroyed);
	assert_backlog(queue, backlog);
}

Test(drain, a_drain_keeps_to_its_number_of_drops)
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
		drain(queue, 1);
		cr_assert_eq(atomic_load(&seen_count), 11);
		end_queue(queue);
	}
}

Test(drain, a_drain_of_more_than_a_turn_takes_it_all)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8192, LANES);

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

Test(drain, a_drain_keeps_to_its_time)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	uint64_t destroyed = 99;

	for (uintptr_t i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, number(i), take_its_time, FOREVER));
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, 0, &destroyed));
	cr_assert_eq(destroyed, 0);
	assert_backlog(queue, 5);
	/* One destructor takes longer than the budget: no second one may start. */
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, 2 * MS, &destroyed));
	cr_assert_leq(destroyed, 1);
	assert_backlog(queue, 5 - destroyed);
	end_queue(queue);
	assert_seen(0, 5);
}

Test(drain, a_drain_counts_nested_drops)
{
	nest = make_queue(CALLER, 16, LANES);
	answers(0, defer_drop_queue_push(nest, number(3), descend, FOREVER));
	assert_drains(nest, 1, 1, 2);
	assert_drains(nest, 2, 2, 2);
	assert_drains(nest, 2, 1, 0);
	cr_assert_eq(atomic_load(&seen_count), 4);
	end_queue(nest);
}

Test(drain, a_second_drain_answers_ebusy_and_has_destroyed_nothing)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	uint64_t destroyed = 99;
	struct gate gate;
	pthread_t thread;

	gate_init(&gate);
	answers(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	thread = spawn(drain_in_thread, queue);
	await_semaphore(&gate.entered);
	answers(-EBUSY, defer_drop_queue_drain(queue, 1, FOREVER, &destroyed));
	cr_assert_eq(destroyed, 0);
	assert_backlog(queue, 2);
	answers(-EBUSY, defer_drop_queue_drain(queue, 1, 0, NULL));
	/* A flush waits, within its time, until the other caller has left the seat. */
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, MS));
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	cr_assert_eq(atomic_load(&seen_count), 1);
	end_queue(queue);
}

Test(drain, only_queues_without_a_worker_are_drained)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_queue *closed = make_queue(CALLER, 16, LANES);

	answers(-EINVAL, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
	end_queue(queue);
	answers(0, defer_drop_queue_shutdown(closed, FOREVER));
	answers(-ESHUTDOWN, defer_drop_queue_drain(closed, 1, FOREVER, NULL));
	answers(0, defer_drop_queue_free(closed));
}

/* ---- A destructor that forks while its caller drains ----------------------------------------- */

static pid_t forked;

static void fork_here(void *object)
{
	(void)object;
	forked = fork();
	if (!forked)
		alarm(60); /* a child that hangs must not outlive the test */
}

static void *push_in_own_lane(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, NULL, note, FOREVER));
}

/* Two lanes have drops; the last one noted in the first lane forks. */
static void assert_stale_after_fork(uint32_t queue_size)
{
	struct defer_drop_queue *queue = make_queue(CALLER, queue_size, LANES);
	int status = 0;
	int result;

	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_push(queue, NULL, fork_here, FOREVER));
	cr_assert_null(join_thread(spawn(push_in_own_lane, queue)));
	result = defer_drop_queue_flush(queue, FOREVER);
	if (!forked)
		_exit(result == -ESTALE ? 10 : 11);
	answers(0, result);
	cr_assert_eq(waitpid(forked, &status, 0), forked);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 10, "the child's flush is not stale");
	end_queue(queue);
}

Test(drain, a_flush_answers_estale_in_a_child_that_its_destructor_forked)
{
	assert_stale_after_fork(8);
	assert_stale_after_fork(16);
	assert_stale_after_fork(64);
}

/* ---- A flush that drains, beside others ------------------------------------------------------ */

static const uint64_t timeouts_ns[] = {FOREVER, 0};

Test(drain, a_flush_that_drains_keeps_to_its_time_while_another_thread_drains)
{
	struct intruder intruder;

	begin_intrusion(&intruder);
	answers(-ETIMEDOUT, defer_drop_queue_flush(intruder.queue, 500 * MS));
	await_intruder(&intruder);
	answers(-ETIMEDOUT, defer_drop_queue_flush(intruder.queue, MS));
	cr_assert_eq(atomic_load(&seen_count), 0);
	end_intrusion(&intruder);
	answers(0, defer_drop_queue_flush(intruder.queue, FOREVER));
	assert_seen(0, 1);
	end_queue(intruder.queue);
}

Test(drain, a_flush_that_drains_waits_for_a_shutdown_beside_it)
{
	for (unsigned i = 0; i < 2; i++) {
		struct closer closer = {make_queue(CALLER, 16, LANES), timeouts_ns[i], 0};

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(closer.queue, &closer, begin_closing, FOREVER));
		answers(0, defer_drop_queue_push(closer.queue, number(0), note, FOREVER));
		answers(i ? -ESHUTDOWN : 0, defer_drop_queue_flush(closer.queue, FOREVER));
		assert_seen(0, !i);
		end_closed(&closer);
	}
}
