/* SPDX-License-Identifier: MIT
 *
 * Destroying drops with options: failures, and which functions are called for them.
 */
#include "queues.h"

#include <sys/eventfd.h>

TestSuite(run, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

static int return_object(void *object)
{
	return (int)(intptr_t)object;
}

static int push_status(struct defer_drop_queue *queue, int status)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.destroy_status = return_object;
	return defer_drop_queue_push_with(queue, (void *)(intptr_t)status, NULL, FOREVER, &options);
}

/* ---- The error function ---------------------------------------------------------------------- */

static struct defer_drop_failure failures[16];
static atomic_uint failure_count;
static void *failure_context;

static void write_down(void *context, const struct defer_drop_failure *failure)
{
	failures[atomic_load(&failure_count)] = *failure;
	failure_context = context;
	atomic_fetch_add(&failure_count, 1);
}

static struct defer_drop_queue *make_telling(
	uint32_t runner, uint32_t lanes, defer_drop_error_fn error)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	atomic_store(&failure_count, 0);
	config.runner = runner;
	config.queue_size = 16;
	config.max_lanes = lanes;
	config.error = error;
	config.context = &failure_context;
	return create_queue(&config);
}

static void assert_failure(unsigned at, void *object, defer_drop_fn destroy,
	defer_drop_status_fn destroy_status, int status)
{
	cr_assert_eq(failures[at].object, object);
	cr_assert_eq(failures[at].destroy, destroy);
	cr_assert_eq(failures[at].destroy_status, destroy_status);
	answers(status, failures[at].status);
	cr_assert_eq(failure_context, &failure_context);
}

Test(run, each_failure_is_told_with_its_drop)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue =
			make_telling(runners[i % 2], lanes_tried[i / 2], write_down);

		answers(0, push_status(queue, -EIO));
		answers(0, push_status(queue, 0));
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(0, push_status(queue, -ENOSPC));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(atomic_load(&failure_count), 2);
		assert_failure(0, (void *)(intptr_t)-EIO, NULL, return_object, -EIO);
		assert_failure(1, (void *)(intptr_t)-ENOSPC, NULL, return_object, -ENOSPC);
		cr_assert_eq(stats_of(queue).failed_total, 2);
		cr_assert_eq(stats_of(queue).destroyed_total, 4);
		end_queue(queue);
	}
}

static struct defer_drop_completion closed;

/* With a completion whose eventfd is closed. */
static int push_deaf(struct defer_drop_queue *queue, void *object)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	closed = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	closed.eventfd = eventfd(0, 0);
	close(closed.eventfd);
	options.completion = &closed;
	return defer_drop_queue_push_with(queue, object, note, FOREVER, &options);
}

Test(run, an_eventfd_that_is_closed_is_a_failure_and_the_completion_is_over_all_the_same)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_telling(runners[i], LANES, write_down);
		int status = 99;

		answers(0, push_deaf(queue, number(5)));
		answers(0, defer_drop_completion_wait(&closed, FOREVER, &status));
		answers(0, status);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(atomic_load(&failure_count), 1);
		assert_failure(0, number(5), note, NULL, -EBADF);
		cr_assert_eq(stats_of(queue).failed_total, 1);
		end_queue(queue);
	}
}

static struct defer_drop_queue *telling;
static atomic_int told_results[4];

/* Makes each call that a destructor may make. */
static void push_when_told(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	(void)failure;
	atomic_fetch_add(&failure_count, 1);
	atomic_store(&told_results[0], defer_drop_queue_push(telling, number(100), note, FOREVER));
	atomic_store(&told_results[1], defer_drop_queue_flush(telling, FOREVER));
	atomic_store(&told_results[2], defer_drop_queue_shutdown(telling, FOREVER));
}

static void assert_told(unsigned destroyed, unsigned nested)
{
	struct defer_drop_stats stats = stats_of(telling);

	answers(0, atomic_load(&told_results[0]));
	answers(-EDEADLK, atomic_load(&told_results[1]));
	answers(-EDEADLK, atomic_load(&told_results[2]));
	cr_assert_eq(stats.destroyed_total, destroyed);
	cr_assert_eq(stats.nested_total, nested);
	cr_assert_eq(stats.backlog, 0);
}

Test(run, the_error_function_may_push_and_its_drops_are_nested)
{
	for (unsigned i = 0; i < 4; i++) {
		telling = make_telling(runners[i % 2], lanes_tried[i / 2], push_when_told);
		atomic_store(&seen_count, 0);
		answers(0, push_status(telling, -EIO));
		answers(0, defer_drop_queue_flush(telling, FOREVER));
		cr_assert_eq(atomic_load(&seen_count), 1, "a flush covers it");
		answers(0, push_deaf(telling, NULL));
		answers(0, defer_drop_queue_flush(telling, FOREVER));
		cr_assert_eq(atomic_load(&seen_count), 3);
		assert_told(4, 2);
		end_queue(telling);
	}
}

static void nest_failures(void *object)
{
	told_results[3] = push_status(object, -EIO) | push_deaf(object, NULL);
}

Test(run, a_nested_drop_fails_like_any_other)
{
	for (unsigned i = 0; i < 4; i++) {
		telling = make_telling(runners[i % 2], lanes_tried[i / 2], push_when_told);
		answers(0, defer_drop_queue_push(telling, telling, nest_failures, FOREVER));
		answers(0, defer_drop_queue_flush(telling, FOREVER));
		answers(0, told_results[3]);
		cr_assert_eq(atomic_load(&failure_count), 2);
		assert_told(5, 4);
		end_queue(telling);
	}
}

static void assert_left_balances(bool has_run_one)
{
	struct defer_drop_stats stats;

	telling = make_telling(CALLER, LANES, push_when_told);
	if (has_run_one) {
		answers(0, defer_drop_queue_push(telling, NULL, note, FOREVER));
		answers(0, defer_drop_queue_flush(telling, FOREVER));
	}
	answers(0, push_deaf(telling, NULL));
	atomic_store(&told_results[0], 99);
	answers(0, defer_drop_queue_shutdown(telling, 0));
	answers(-ESHUTDOWN, defer_drop_completion_wait(&closed, 0, NULL));
	cr_assert_eq(atomic_load(&failure_count), 1);
	stats = stats_of(telling);
	cr_assert_eq(stats.destroyed_total, has_run_one);
	cr_assert_eq(stats.abandoned_total, 1 + !atomic_load(&told_results[0]),
		"accepted, and neither destroyed nor abandoned");
	cr_assert_eq(stats.backlog, 0);
	cr_assert(is_balanced(&stats));
	answers(0, defer_drop_queue_free(telling));
}

Test(run, what_is_pushed_when_an_abandoned_drop_fails_is_counted)
{
	assert_left_balances(false);
	assert_left_balances(true);
}

/* ---- Without one ----------------------------------------------------------------------------- */

static void fail_five_times(void)
{
	for (unsigned i = 0; i < 5; i++)
		answers(0, push_status(defer_drop_queue_default(), -ENOSPC));
}

Test(run, without_an_error_function_the_first_failure_is_said_on_stderr)
{
	cr_assert_eq(run_child(fail_five_times), 0);
	cr_assert_eq(times_said("\n"), 1, "\"%s\"", said);
	cr_assert_eq(times_said("a destructor failed"), 1, "\"%s\"", said);
	cr_assert_eq(times_said(strerror(ENOSPC)), 1, "\"%s\"", said);
}

static void fail_with_completion(void)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int status;

	options.destroy_status = return_object;
	options.completion = &completion;
	if (defer_drop_with((void *)(intptr_t)-EIO, NULL, FOREVER, &options) ||
		defer_drop_completion_wait(&completion, FOREVER, &status) || status != -EIO)
		_exit(1);
}

Test(run, a_failure_that_has_a_completion_to_go_to_is_not_said)
{
	cr_assert_eq(run_child(fail_with_completion), 0);
	cr_assert_str_empty(said);
}

Test(run, failures_are_counted_with_an_error_function_and_without)
{
	struct defer_drop_queue *queue = make_telling(CALLER, LANES, write_down);

	for (unsigned i = 0; i < 5; i++)
		answers(0, push_status(queue, -EIO));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(stats_of(queue).failed_total, 5);
	end_queue(queue);
}

/* ---- The end of the process ------------------------------------------------------------------ */

static void exit_when_told(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	(void)failure;
	exit(0);
}

static atomic_uint *shared_count;

static void push_before_exit(uint32_t runner, defer_drop_error_fn error)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct gate gate;

	telling = make_telling(runner, LANES, error);
	if (runner == WORKER)
		hold_up(telling, &gate);
	options.bytes = 10;
	answers(0, push_status(telling, -EIO));
	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_queue_push_with(
				   telling, shared_count, count_up, FOREVER, &options));
	if (runner == WORKER) {
		let_go(&gate);
		pause();
	}
	defer_drop_queue_flush(telling, FOREVER);
	for (;;)
		pause(); /* until the worker has ended the process */
}

static void exit_on_worker(void)
{
	push_before_exit(WORKER, exit_when_told);
}

static void exit_on_caller(void)
{
	push_before_exit(CALLER, exit_when_told);
}

Test(run, the_error_function_may_end_the_process_and_the_rest_is_drained)
{
	shared_count = share(4096);
	cr_assert_eq(run_child(exit_on_worker), 0);
	cr_assert_eq(atomic_load(shared_count), 3);
	cr_assert_eq(run_child(exit_on_caller), 0);
	cr_assert_eq(atomic_load(shared_count), 6);
}

static struct defer_drop_completion nested_completion;

static void nest_an_exit(void *object)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 10;
	options.completion = &nested_completion;
	if (defer_drop_queue_push_with(object, NULL, leave_by_exit, FOREVER, &options))
		_exit(9);
}

/* Set before the library's own handler, and so run after it. */
static void ask_after_exit(void)
{
	struct defer_drop_stats stats = stats_of(telling);
	int status = 99;

	if (defer_drop_completion_wait(&nested_completion, 0, &status) || status)
		_exit(8);
	if (stats.backlog || stats.backlog_bytes || stats.destroyed_total != 3)
		_exit(7);
	_exit(4);
}

static void exit_nested(uint32_t runner)
{
	nested_completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	atexit(ask_after_exit);
	telling = make_telling(runner, LANES, NULL);
	answers(0, defer_drop_queue_push(telling, telling, nest_an_exit, FOREVER));
	answers(0, defer_drop_queue_push(telling, NULL, note, FOREVER));
	defer_drop_queue_flush(telling, FOREVER);
	for (;;)
		pause(); /* until the worker has ended the process */
}

static void exit_nested_on_worker(void)
{
	exit_nested(WORKER);
}

static void exit_nested_on_caller(void)
{
	exit_nested(CALLER);
}

Test(run, a_nested_drop_that_ends_the_process_counts_as_destroyed_and_its_completion_is_over)
{
	answers(4, run_child(exit_nested_on_worker));
	answers(4, run_child(exit_nested_on_caller));
}
