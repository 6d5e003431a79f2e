/* SPDX-License-Identifier: MIT
 *
 * Shutdown, and how all other calls end meanwhile.
 */
#include "queues.h"

#include <signal.h>

TestSuite(shutdown, .timeout = 60);

/* ---- Shutdown -------------------------------------------------------------------------------- */

static void assert_shutdown(struct defer_drop_queue *queue, int result, uint64_t timeout_ns,
	uint64_t destroyed, uint64_t abandoned)
{
	struct defer_drop_stats stats;

	answers(result, defer_drop_queue_shutdown(queue, timeout_ns));
	stats = stats_of(queue);
	cr_assert_eq(stats.destroyed_total, destroyed, "%llu destroyed",
		(unsigned long long)stats.destroyed_total);
	cr_assert_eq(stats.abandoned_total, abandoned, "%llu abandoned",
		(unsigned long long)stats.abandoned_total);
	cr_assert_eq(stats.pushed_total, destroyed + abandoned);
	cr_assert_eq(stats.backlog, 0);
}

Test(shutdown, a_shutdown_answers_the_same_however_often_it_is_called)
{
	const uint32_t runners[] = {WORKER, CALLER, DRAINER};

	for (unsigned i = 0; i < 6; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i / 2], 16, lanes_tried[i % 2]);

		fill(queue, 10);
		assert_shutdown(queue, 0, FOREVER, 10, 0);
		assert_shutdown(queue, 0, FOREVER, 10, 0);
		assert_shutdown(queue, 0, 0, 10, 0);
		assert_shutdown(queue, 0, 1, 10, 0);
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&seen_count), 60);
}

Test(shutdown, an_abandoning_shutdown_runs_nothing_and_counts_all)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[shared]);

		for (unsigned i = 0; i < 10; i++)
			answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
		assert_shutdown(queue, 0, 0, 0, 10);
		/* A later caller that gave time learns that it was not enough. */
		assert_shutdown(queue, -ETIMEDOUT, LONG_NS, 0, 10);
		assert_shutdown(queue, 0, FOREVER, 0, 10);
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static struct defer_drop_queue *closing;

/* Returns when the deadline of a shutdown with 1 ms has come. */
static void outlast_a_shutdown(void *object)
{
	await(dd_queue_state(closing) >= DD_CLOSING);
	usleep(2000);
	note(object);
}

Test(shutdown, a_timed_shutdown_answers_etimedout_if_drops_are_abandoned)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 4; i++) {
		unsigned destroyed;

		closing = make_queue(runners[i / 2], 16, LANES);
		atomic_store(&seen_count, 0);
		for (uintptr_t j = 0; j < 10; j++)
			answers(0, defer_drop_queue_push(
					   closing, number(j), outlast_a_shutdown, FOREVER));
		answers(-ETIMEDOUT, shut_down_at_last(closing, i % 2 ? 1 : MS));
		destroyed = atomic_load(&seen_count);
		cr_assert_leq(destroyed, 1);
		assert_shutdown(closing, -ETIMEDOUT, 1, destroyed, 10 - destroyed);
		answers(-ESHUTDOWN, defer_drop_queue_push(closing, NULL, forbidden, FOREVER));
		answers(0, defer_drop_queue_free(closing));
		assert_seen(0, destroyed);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(shutdown, a_timed_shutdown_with_time_enough_destroys_all)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i / 2], 16, lanes_tried[i % 2]);

		fill(queue, 10);
		assert_shutdown(queue, 0, LONG_NS, 10, 0);
		answers(0, defer_drop_queue_free(queue));
	}
}

struct shutdown {
	struct defer_drop_queue *queue;
	uint64_t timeout_ns;
	int result;
};

static void *shut_down(void *argument)
{
	struct shutdown *shutdown = argument;

	shutdown->result = shut_down_at_last(shutdown->queue, shutdown->timeout_ns);
	return NULL;
}

Test(shutdown, concurrent_shutdowns_agree_and_the_strictest_wins)
{
	const uint64_t timeouts_ns[] = {FOREVER, LONG_NS, 0};
	struct shutdown shutdowns[6];
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t threads[6];
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
	for (unsigned i = 0; i < 6; i++) {
		shutdowns[i] = (struct shutdown){queue, timeouts_ns[i % 3], 1};
		threads[i] = spawn(shut_down, &shutdowns[i]);
	}
	/* Until one that abandons has spoken. */
	await(dd_queue_state(queue) >= DD_CLOSING && !atomic_load(&queue->drain_until_ns));
	let_go(&gate);
	for (unsigned i = 0; i < 6; i++) {
		join_thread(threads[i]);
		answers(timeouts_ns[i % 3] == LONG_NS ? -ETIMEDOUT : 0, shutdowns[i].result);
	}
	cr_assert_eq(stats_of(queue).destroyed_total, 1);
	cr_assert_eq(stats_of(queue).abandoned_total, 5);
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
	nester->result = defer_drop_queue_push(nester->queue, NULL, forbidden, FOREVER);
}

Test(shutdown, a_nested_drop_of_an_abandoned_queue_is_counted_as_abandoned)
{
	struct shutdown shutdown = {.result = 1};
	struct nester nester = {.result = 1};
	pthread_t thread;
	bool is_taken;

	shutdown.queue = nester.queue = make_queue(WORKER, 16, LANES);
	gate_init(&nester.gate);
	answers(0, defer_drop_queue_push(nester.queue, &nester, pass_and_push, FOREVER));
	await_semaphore(&nester.gate.entered);
	thread = spawn(shut_down, &shutdown);
	await(dd_queue_state(nester.queue) >= DD_CLOSING);
	let_go(&nester.gate);
	join_thread(thread);
	answers(0, shutdown.result);
	is_taken = !nester.result;
	cr_assert(is_taken || nester.result == -ESHUTDOWN);
	cr_assert_eq(stats_of(nester.queue).destroyed_total, 1);
	cr_assert_eq(stats_of(nester.queue).abandoned_total, is_taken);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(nester.queue));
}

Test(shutdown, a_shutdown_refuses_times_that_are_none)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	answers(-EOVERFLOW, defer_drop_queue_shutdown(queue, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EOVERFLOW, defer_drop_queue_shutdown(queue, FOREVER - 1));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	end_queue(queue);
	cr_assert_eq(atomic_load(&seen_count), 1);
}

/* A push that waits for room when the queue closes is either taken and destroyed, or refused. */
static void assert_waiting_push_is_settled(uint32_t runner, uint32_t lanes, uint64_t timeout_ns)
{
	struct push push = {.object = number(4), .timeout_ns = FOREVER};
	struct defer_drop_stats stats;
	pthread_t thread;
	struct gate gate;
	bool is_full;

	push.queue = make_queue(runner, 4, lanes);
	atomic_store(&seen_count, 0);
	if (runner == WORKER)
		hold_up(push.queue, &gate);
	/* In the shared lane, the gate takes one of its four slots. */
	is_full = runner == WORKER && !lanes;
	for (uintptr_t i = 0; is_full && i < 3; i++)
		answers(0, defer_drop_queue_push(push.queue, number(i), note, FOREVER));
	thread = spawn(is_full ? push_in_thread : fill_and_push, &push);
	await(has_waiter(push.queue));
	if (runner == WORKER)
		let_go(&gate);
	answers(0, shut_down_at_last(push.queue, timeout_ns));
	join_thread(thread);
	cr_assert(push.result == 0 || push.result == -ESHUTDOWN);
	stats = stats_of(push.queue);
	cr_assert_eq(stats.destroyed_total, atomic_load(&seen_count) + (runner == WORKER));
	cr_assert_eq(stats.destroyed_total + stats.abandoned_total, stats.pushed_total);
	cr_assert_eq(
		stats.pushed_total, 4u + (push.result == 0) + (runner == WORKER && lanes != 0));
	answers(0, defer_drop_queue_free(push.queue));
}

Test(shutdown, a_push_that_waits_while_the_queue_closes_is_taken_or_refused)
{
	for (unsigned i = 0; i < 40; i++) {
		uint64_t timeout_ns = i % 2 ? FOREVER : 0;

		assert_waiting_push_is_settled(CALLER, LANES, timeout_ns);
		assert_waiting_push_is_settled(CALLER, 0, timeout_ns);
		assert_waiting_push_is_settled(WORKER, LANES, timeout_ns);
		assert_waiting_push_is_settled(WORKER, 0, timeout_ns);
	}
}

/* ---- What no call does ----------------------------------------------------------------------- */

/* The result of a thread that a pending cancellation has not ended. */
#define SURVIVED number(1)

static void *shut_down_cancelled(void *argument)
{
	pthread_cancel(pthread_self());
	defer_drop_queue_push(argument, NULL, note, FOREVER);
	defer_drop_queue_flush(argument, FOREVER);
	defer_drop_queue_shutdown(argument, FOREVER);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return SURVIVED;
}

/* In a child, and past the exit handlers: a shutdown that was cancelled could hold them up. */
static void exit_with_survival(void)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

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
		defer_drop_queue_push(argument, NULL, note, FOREVER);
	defer_drop_queue_push(argument, NULL, note, FOREVER);
	defer_drop_queue_flush(argument, FOREVER);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return SURVIVED;
}

Test(shutdown, push_and_flush_are_no_cancellation_points)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 2, LANES);

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
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
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
