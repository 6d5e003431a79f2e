/* SPDX-License-Identifier: MIT
 *
 * Giving a queue up: a shutdown, or exit, whose time is over while a destructor does not return.
 */
#include "ending.h"
#include "waits.h"

#include <sys/eventfd.h>

#include "core/completion.h"
#include "defer_drop/guard.h"

TestSuite(give_up, .timeout = 60);

static const uint64_t timeouts_ns[] = {0, 2 * MS};

static struct gate gate;

/* Gives up a queue whose worker stands in the gate. */
static void give_up(struct defer_drop_queue *queue)
{
	answers(-ECANCELED, defer_drop_queue_shutdown(queue, MS));
}

/* Lets the destructor return, and frees the queue. */
static void end_given_up(struct defer_drop_queue *queue, uint64_t destroyed, uint64_t abandoned)
{
	let_go(&gate);
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(abandoned ? -ETIMEDOUT : 0, defer_drop_queue_shutdown(queue, LONG_NS));
	cr_assert_eq(stats_of(queue).destroyed_total, destroyed);
	cr_assert_eq(stats_of(queue).abandoned_total, abandoned);
	cr_assert_eq(stats_of(queue).backlog, 0);
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

/* ---- A shutdown ------------------------------------------------------------------------------ */

Test(give_up, a_shutdown_whose_time_is_over_answers_ecanceled_and_the_queue_cannot_be_freed)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[i / 2]);
		uint64_t timeout_ns = timeouts_ns[i % 2];
		uint64_t since_ns;

		hold_up(queue, &gate);
		for (unsigned j = 0; j < 3; j++)
			answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
		since_ns = dd_now_ns();
		answers(-ECANCELED, defer_drop_queue_shutdown(queue, timeout_ns));
		/* The destructor gets a tenth of a second more. */
		cr_assert_geq(dd_now_ns() - since_ns, timeout_ns + 100 * MS);
		answers(-EBUSY, defer_drop_queue_free(queue));
		answers(-ECANCELED, defer_drop_queue_shutdown(queue, 0));
		answers(-ECANCELED, defer_drop_queue_shutdown(queue, MS));
		answers(-EBUSY, defer_drop_queue_free(queue));
		end_given_up(queue, 1, 3);
	}
}

Test(give_up, a_queue_in_which_no_destructor_runs_is_not_given_up)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
	answers(-ETIMEDOUT, defer_drop_queue_shutdown(queue, 1));
	answers(0, defer_drop_queue_free(queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* A push may be accepted as long as the destructor runs; it is abandoned then. */
Test(give_up, a_queue_that_was_given_up_refuses_everything_but_may_accept_a_push)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	uint64_t accepted;
	int result;

	options.completion = &completion;
	options.bytes = 10;
	hold_up(queue, &gate);
	give_up(queue);
	result = defer_drop_queue_push_with(queue, NULL, forbidden, FOREVER, &options);
	cr_assert(!result || result == -ESHUTDOWN, "%d", result);
	answers(result ? -EINVAL : -ECANCELED,
		defer_drop_completion_wait(&completion, FOREVER, NULL));
	accepted = !result;
	result = defer_drop_queue_push(queue, NULL, forbidden, 0);
	cr_assert(!result || result == -ESHUTDOWN, "%d", result);
	accepted += !result;
	answers(-ESHUTDOWN, defer_drop_queue_stop(queue, FOREVER));
	answers(-ESHUTDOWN, defer_drop_queue_start(queue));
	answers(-ESHUTDOWN, defer_drop_queue_attach(queue));
	answers(-ECANCELED, defer_drop_queue_flush(queue, 0));
	answers(-ECANCELED, defer_drop_queue_flush(queue, FOREVER));
	answers(-ECANCELED, defer_drop_queue_wait_backlog(queue, 0, 0, 0));
	answers(-ECANCELED, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	end_given_up(queue, 1, accepted);
}

static int nested_result;

static void pass_and_nest(void *object)
{
	pass_gate(&gate);
	nested_result = defer_drop_queue_push(object, NULL, forbidden, FOREVER);
}

Test(give_up, the_destructor_runs_on_and_nothing_after_it)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	gate_init(&gate);
	nested_result = 1;
	answers(0, defer_drop_queue_push(queue, queue, pass_and_nest, FOREVER));
	await_held(&gate);
	answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
	give_up(queue);
	let_go(&gate);
	/* The worker has ended when this returns; what the destructor dropped was not destroyed. */
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	cr_assert(!nested_result || nested_result == -ESHUTDOWN, "%d", nested_result);
	cr_assert_eq(stats_of(queue).destroyed_total, 1);
	cr_assert_eq(stats_of(queue).abandoned_total, 1 + !nested_result);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

Test(give_up, all_threads_are_gone_at_last)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	unsigned before = count_threads();
	struct defer_drop_queue *queue;

	config.watchdog_ns = 3600 * 1000 * MS;
	queue = create_queue(&config);
	hold_up(queue, &gate);
	give_up(queue);
	end_given_up(queue, 1, 0);
	await(count_threads() == before);
}

struct closing {
	struct defer_drop_queue *queue;
	uint64_t timeout_ns;
	int result;
};

static void *close_it(void *argument)
{
	struct closing *closing = argument;

	closing->result = defer_drop_queue_shutdown(closing->queue, closing->timeout_ns);
	return NULL;
}

Test(give_up, other_callers_of_shutdown_wait_on_each_for_its_own_time)
{
	struct closing closings[4];
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t threads[4];

	hold_up(queue, &gate);
	answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
	for (unsigned i = 0; i < 4; i++) {
		closings[i] = (struct closing){queue, i % 2 ? LONG_NS : FOREVER, 1};
		threads[i] = spawn(close_it, &closings[i]);
	}
	await(dd_queue_state(queue) >= DD_CLOSING);
	give_up(queue);
	cr_assert_eq(dd_queue_state(queue), DD_GIVEN_UP);
	let_go(&gate);
	for (unsigned i = 0; i < 4; i++) {
		join_thread(threads[i]);
		answers(i % 2 ? -ETIMEDOUT : 0, closings[i].result);
	}
	cr_assert_eq(stats_of(queue).abandoned_total, 1);
	answers(0, defer_drop_queue_free(queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* The destructor returns at about the time at which the queue is given up, or a little before. */
static void take_about_as_long(void *object)
{
	usleep((useconds_t)(uintptr_t)object);
	note(object);
}

Test(give_up, a_destructor_may_return_as_it_happens)
{
	for (unsigned i = 0; i < 40; i++) { /* a tenth of a second each */
		struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		int result;

		options.completion = &completion;
		answers(0, defer_drop_queue_push_with(queue, number(98000 + 100 * i),
				   take_about_as_long, FOREVER, &options));
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		result = defer_drop_queue_shutdown(queue, 0);
		cr_assert(!result || result == -ECANCELED, "%d", result);
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		result = defer_drop_completion_wait(&completion, FOREVER, NULL);
		cr_assert(!result || result == -ESHUTDOWN, "%d", result);
		cr_assert_eq(stats_of(queue).destroyed_total + stats_of(queue).abandoned_total, 2);
		answers(0, defer_drop_queue_free(queue));
	}
}

/* ---- Where callers drain --------------------------------------------------------------------- */

Test(give_up, a_caller_that_drains_is_given_up_like_a_worker)
{
	const uint32_t runners[] = {CALLER, DRAINER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 16, LANES);
		pthread_t thread;

		gate_init(&gate);
		answers(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
		answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
		thread = spawn(drain_in_thread, queue);
		await_held(&gate);
		give_up(queue);
		answers(-EBUSY, defer_drop_queue_free(queue));
		answers(-ESHUTDOWN, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(-ECANCELED, defer_drop_queue_flush(queue, MS));
		let_go(&gate);
		join_thread(thread);
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		cr_assert_eq(stats_of(queue).destroyed_total, 1);
		cr_assert_eq(stats_of(queue).abandoned_total, 1);
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- Threads that wait ----------------------------------------------------------------------- */

static void *wait_for_room(void *argument)
{
	struct awaited *awaited = argument;
	int result;

	while (!(result = defer_drop_queue_push(awaited->queue, NULL, forbidden, FOREVER)))
		;
	return number((uintptr_t)-result);
}

static void *wait_for_bytes(void *argument)
{
	struct awaited *awaited = argument;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 1000;
	return number((uintptr_t)-defer_drop_queue_push_with(
		awaited->queue, NULL, forbidden, FOREVER, &options));
}

/* A thread that waits for the drop itself, and the result when the queue is given up. */
static const struct {
	void *(*wait)(void *argument);
	int want;
} waiters[] = {
	{wait_for_flush, -ECANCELED},
	{wait_for_ticket, -ECANCELED},
	{wait_for_completion, -ECANCELED},
	{wait_for_backlog, -ECANCELED},
	{wait_for_room, -ESHUTDOWN},
	{wait_for_bytes, -ESHUTDOWN},
};

#define WAITERS (sizeof waiters / sizeof waiters[0])

/* True if all of these threads wait. */
static bool all_waiters_wait(struct awaited *awaited)
{
	struct defer_drop_queue *queue = awaited->queue;
	bool has_bytes_waiter;

	dd_mutex_lock(&queue->waiters_lock);
	has_bytes_waiter = queue->budget.line.first != NULL;
	dd_mutex_unlock(&queue->waiters_lock);
	return has_bytes_waiter && all_wait(awaited);
}

static struct defer_drop_queue *make_for_waits(uint32_t lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 8;
	config.max_lanes = lanes;
	config.max_bytes = 1000;
	return create_queue(&config);
}

static void answers_way(unsigned way, int got)
{
	cr_assert_eq(got, waiters[way].want, "way %u answers %d instead of %d", way, got,
		waiters[way].want);
}

/* Lets the destructor return, and checks that each waiter knows what became of the drop. */
static void assert_known_in_the_end(struct awaited *awaited, int want)
{
	struct defer_drop_queue *queue = awaited->queue;
	uint64_t pushed = stats_of(queue).pushed_total;
	int status = 99;

	let_go(&gate);
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	cr_assert_eq(stats_of(queue).destroyed_total, 1);
	cr_assert_eq(stats_of(queue).abandoned_total, pushed - 1);
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	answers(want, defer_drop_ticket_wait(&awaited->ticket, FOREVER));
	answers(want, defer_drop_completion_wait(&awaited->completion, FOREVER, &status));
	answers(0, status);
	answers(-ESHUTDOWN, defer_drop_queue_flush(queue, FOREVER));
	answers(-ESHUTDOWN, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	answers(0, defer_drop_queue_free(queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* Checks that each thread that waits for a drop gets its result. is_running: the drop is the one
 * whose destructor does not return. */
static void assert_all_are_told(uint32_t lanes, bool is_running)
{
	struct awaited awaited = {.queue = make_for_waits(lanes), .timeout_ns = FOREVER};
	struct defer_drop_queue *queue = awaited.queue;
	pthread_t threads[WAITERS];
	int status = 99;

	gate_init(&gate);
	if (is_running) {
		push_awaited(&awaited, &gate, pass_gate);
	} else {
		answers(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
		push_awaited(&awaited, NULL, forbidden);
	}
	await_held(&gate);
	for (unsigned i = 0; i < WAITERS; i++)
		threads[i] = spawn(waiters[i].wait, &awaited);
	await(all_waiters_wait(&awaited));
	give_up(queue);
	for (unsigned i = 0; i < WAITERS; i++)
		answers_way(i, -(int)(uintptr_t)join_thread(threads[i]));
	answers(-ECANCELED, defer_drop_ticket_wait(&awaited.ticket, 0));
	answers(-ECANCELED, defer_drop_ticket_wait(&awaited.ticket, MS));
	answers(-ECANCELED, defer_drop_completion_wait(&awaited.completion, 0, &status));
	answers(-ECANCELED, defer_drop_completion_wait(&awaited.completion, MS, &status));
	answers(99, status);
	assert_known_in_the_end(&awaited, is_running ? 0 : -ESHUTDOWN);
}

Test(give_up, all_that_wait_for_the_drop_that_runs_are_told)
{
	assert_all_are_told(LANES, true);
	assert_all_are_told(0, true);
}

Test(give_up, all_that_wait_for_a_drop_behind_it_are_told)
{
	assert_all_are_told(LANES, false);
	assert_all_are_told(0, false);
}

/* ---- Completions ----------------------------------------------------------------------------- */

static int pass_and_fail(void *object)
{
	pass_gate(object);
	return -EIO;
}

Test(give_up, a_completion_is_over_in_the_end_with_the_status_of_the_destructor)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	uint64_t count = 0;
	int status = 99;

	gate_init(&gate);
	completion.eventfd = eventfd(0, EFD_NONBLOCK);
	options.completion = &completion;
	options.destroy_status = pass_and_fail;
	answers(0, defer_drop_queue_push_with(queue, &gate, NULL, FOREVER, &options));
	await_held(&gate);
	give_up(queue);
	answers(-ECANCELED, defer_drop_completion_wait(&completion, FOREVER, &status));
	answers(99, status);
	/* The completion is in use until the destructor returns. */
	options.destroy_status = forbidden_status;
	answers(-EBUSY, defer_drop_queue_push_with(
				defer_drop_queue_default(), NULL, NULL, FOREVER, &options));
	let_go(&gate);
	await(defer_drop_completion_wait(&completion, 0, &status) != -ECANCELED);
	answers(-EIO, status);
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	cr_assert_eq(read(completion.eventfd, &count, sizeof count), sizeof count);
	cr_assert_eq(count, 1);
	end_queue(queue);
	close(completion.eventfd);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(give_up, a_completion_of_many_counts_what_was_destroyed_and_what_was_abandoned)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *objects[3] = {&gate, NULL, NULL};
	int status = 99;

	gate_init(&gate);
	options.completion = &completion;
	options.destroy_status = pass_and_fail;
	answers(0, defer_drop_queue_push_many(queue, objects, 3, NULL, FOREVER, &options, NULL));
	await_held(&gate);
	give_up(queue);
	answers(-ECANCELED, defer_drop_completion_wait(&completion, FOREVER, NULL));
	end_given_up(queue, 1, 2);
	answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, FOREVER, &status));
	answers(-EIO, status);
}

Test(give_up, an_eventfd_of_a_ticket_is_signalled_once_in_the_end)
{
	for (unsigned is_running = 0; is_running < 2; is_running++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
		int signalled = eventfd(0, EFD_NONBLOCK);
		struct defer_drop_ticket ticket;
		uint64_t count = 0;

		gate_init(&gate);
		answers(0, push_ticket(queue, &gate, pass_gate, FOREVER, &ticket));
		if (!is_running)
			answers(0, push_ticket(queue, NULL, forbidden, FOREVER, &ticket));
		await_held(&gate);
		answers(0, defer_drop_ticket_notify(&ticket, signalled));
		give_up(queue);
		end_given_up(queue, 1, !is_running);
		cr_assert_eq(read(signalled, &count, sizeof count), sizeof count);
		cr_assert_eq(count, 1);
		close(signalled);
	}
}

/* ---- Guards ---------------------------------------------------------------------------------- */

static int await_one(struct defer_drop_guard *guard, uint64_t timeout_ns)
{
	return defer_drop_guard_await(&guard, 1, timeout_ns);
}

Test(give_up, a_guard_is_pending_until_its_destructor_has_returned)
{
	struct defer_drop_strategy_queue by;
	struct defer_drop_guard running =
		DEFER_DROP_GUARD_STATUS_INIT(&gate, pass_and_fail, &by.strategy);
	struct defer_drop_guard behind = DEFER_DROP_GUARD_INIT(NULL, forbidden, &by.strategy);

	gate_init(&gate);
	answers(0, defer_drop_strategy_queue_init(&by, make_queue(WORKER, 8, LANES), FOREVER));
	answers(-EAGAIN, await_one(&running, 0));
	await_held(&gate);
	answers(-EAGAIN, await_one(&behind, 0));
	give_up(by.queue);
	answers(-ECANCELED, await_one(&running, FOREVER));
	answers(-ECANCELED, await_one(&running, MS));
	answers(-ECANCELED, await_one(&behind, FOREVER));
	cr_assert(defer_drop_guard_is_pending(&running));
	cr_assert(defer_drop_guard_is_pending(&behind));
	let_go(&gate);
	answers(0, defer_drop_queue_shutdown(by.queue, FOREVER));
	answers(-EIO, await_one(&running, FOREVER));
	answers(-ESHUTDOWN, await_one(&behind, FOREVER));
	cr_assert_eq(defer_drop_guard_state(&running), DEFER_DROP_GUARD_EMPTY);
	cr_assert_eq(defer_drop_guard_state(&behind), DEFER_DROP_GUARD_EMPTY);
	answers(0, defer_drop_queue_free(by.queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void *let_go_later(void *argument)
{
	usleep(50000);
	sem_post(&((struct gate *)argument)->open);
	return NULL;
}

static void ignore_trouble(void *context, const struct defer_drop_trouble *trouble)
{
	(void)context;
	(void)trouble;
}

Test(give_up, a_scope_waits_for_its_guard_though_the_queue_was_given_up)
{
	struct defer_drop_strategy_queue by;
	pthread_t thread;

	defer_drop_trouble_handle(ignore_trouble, NULL);
	gate_init(&gate);
	answers(0, defer_drop_strategy_queue_init(&by, make_queue(WORKER, 8, LANES), FOREVER));
	{
		DEFER_DROP_SCOPED(guard, &gate, pass_gate, &by.strategy);

		answers(-EAGAIN, await_one(&guard, 0));
		await_semaphore(&gate.entered);
		give_up(by.queue);
		thread = spawn(let_go_later, &gate);
	}
	/* The destructor has taken the post that let it go. */
	answers(-1, sem_trywait(&gate.open));
	join_thread(thread);
	end_queue(by.queue);
}

/* ---- Fork ------------------------------------------------------------------------------------ */

Test(give_up, a_child_has_nothing_to_wait_for)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pid_t child;

	hold_up(queue, &gate);
	answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
	give_up(queue);
	child = fork();
	if (!child) {
		alarm(50);
		if (defer_drop_queue_push(queue, NULL, forbidden, FOREVER) != -ESHUTDOWN)
			_exit(1);
		if (defer_drop_queue_flush(queue, FOREVER) != -ESHUTDOWN)
			_exit(2);
		if (defer_drop_queue_shutdown(queue, FOREVER) || defer_drop_queue_free(queue))
			_exit(3);
		_exit(0);
	}
	answers(0, status_of(child));
	end_given_up(queue, 1, 1);
}

/* ---- Exit ------------------------------------------------------------------------------------ */

static struct defer_drop_completion pending = DEFER_DROP_COMPLETION_INIT;

static void *wait_for_life(void *argument)
{
	(void)argument;
	atomic_store(&life->result, defer_drop_completion_wait(&pending, FOREVER, NULL));
	return NULL;
}

/* Set before the library's own handler, and so called after it. */
static void await_told(void)
{
	alarm(50);
	await(atomic_load(&life->result) != 1);
	_exit(7);
}

/* Ends the process beside a destructor that does not return and a thread that waits for a drop
 * behind it. */
static void stand_and_wait(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	gate_init(&gate);
	options.completion = &pending;
	if (defer_drop(&gate, pass_gate) || defer_drop_with(NULL, count_life, FOREVER, &options) ||
		defer_drop(NULL, count_life))
		_exit(1);
	await_semaphore(&gate.entered);
	spawn(wait_for_life, NULL);
	await(atomic_load((_Atomic(uint32_t) *)&pending.state) & DD_COMPLETION_WAITED);
}

static void give_up_at_exit(void)
{
	atexit(await_told);
	stand_and_wait();
}

Test(give_up, an_exit_whose_time_is_over_ends_all_waits)
{
	setenv("DEFER_DROP_OPTIONS", "exit_timeout_ns=5ms", 1);
	cr_assert_eq(live(give_up_at_exit, 7), 0);
	answers(-ECANCELED, atomic_load(&life->result));
	cr_assert_eq(atomic_load(&life->destroyed), 0);
	cr_assert_eq(times_said("\n"), 1, "%s", said);
	cr_assert_eq(times_said(" 3 "), 1, "the one that runs and two more: %s", said);
}

Test(give_up, an_exit_whose_time_is_over_does_not_wait_for_the_destructor)
{
	setenv("DEFER_DROP_OPTIONS", "exit_timeout_ns=5ms", 1);
	cr_assert_eq(live(stand_and_wait, 0), 0);
}

Test(give_up, an_exit_without_time_leaves_at_once_and_silently_beside_a_destructor)
{
	setenv("DEFER_DROP_OPTIONS", "exit_timeout_ns=0", 1);
	cr_assert_eq(live(stand_and_wait, 0), 0);
	cr_assert_str_empty(said);
}

Test(give_up, an_exit_without_time_leaves_at_once_and_silently_from_a_destructor)
{
	setenv("DEFER_DROP_OPTIONS", "exit_timeout_ns=0", 1);
	cr_assert_eq(live(exit_by_worker, 5), 0);
	cr_assert_str_empty(said);
}

/* A caller drains on another thread, and its destructor does not return. */
static void exit_beside_a_drain(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = CALLER;
	config.exit_timeout_ns = 0;
	gate_init(&gate);
	if (defer_drop_queue_create(&queue, &config) ||
		defer_drop_queue_push(queue, &gate, pass_gate, FOREVER) ||
		defer_drop_queue_push(queue, NULL, count_life, FOREVER))
		_exit(1);
	spawn(drain_in_thread, queue);
	await_semaphore(&gate.entered);
}

Test(give_up, an_exit_without_time_leaves_at_once_beside_a_caller_that_drains)
{
	cr_assert_eq(live(exit_beside_a_drain, 0), 0);
	cr_assert_str_empty(said);
}

/* A program that has given a queue up ends. */
static void give_up_and_exit(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	alarm(20);
	gate_init(&gate);
	if (defer_drop_queue_create(&queue, &config) ||
		defer_drop_queue_push(queue, &gate, pass_gate, FOREVER))
		_exit(1);
	await_semaphore(&gate.entered);
	if (defer_drop_queue_shutdown(queue, 0) != -ECANCELED)
		_exit(2);
}

Test(give_up, an_exit_does_not_wait_for_a_queue_that_was_given_up_before)
{
	cr_assert_eq(live(give_up_and_exit, 0), 0);
}
