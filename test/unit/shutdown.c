/* SPDX-License-Identifier: MIT
 *
 * Shutdown, and what no call does meanwhile.
 */
#include "queues.h"

#include <signal.h>

TestSuite(shutdown, .timeout = 60);

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

Test(shutdown, a_shutdown_reports_the_same_however_often_it_is_called)
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

Test(shutdown, an_abandoning_shutdown_runs_nothing_and_counts_all)
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

Test(shutdown, a_timed_shutdown_answers_etimedout_where_drops_are_left)
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

Test(shutdown, concurrent_shutdowns_agree_and_the_strictest_wins)
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

Test(shutdown, a_nested_drop_of_an_abandoned_queue_is_counted_as_left)
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

Test(shutdown, a_shutdown_refuses_what_it_does_not_know)
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

Test(shutdown, a_push_that_waits_while_the_queue_closes_is_taken_or_refused)
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

Test(shutdown, a_shutdown_is_no_cancellation_point)
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

Test(shutdown, push_and_flush_are_no_cancellation_points)
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

Test(shutdown, a_flush_that_signals_interrupt_leaves_errno_alone)
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
