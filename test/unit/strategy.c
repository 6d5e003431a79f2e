/* SPDX-License-Identifier: MIT
 *
 * Strategies.
 */
#include "queues.h"

#include <signal.h>

#include "defer_drop/strategy.h"

TestSuite(strategy, .timeout = 60);

static const struct defer_drop_strategy *const that_know_nothing[] = {
	&defer_drop_strategy_in_place,
	&defer_drop_strategy_leak,
	&defer_drop_strategy_worker,
	&defer_drop_strategy_thread,
};

/* Notes which thread destroys. */
static pthread_t destroyer;
static atomic_bool has_destroyed;

static void note_thread(void *object)
{
	(void)object;
	destroyer = pthread_self();
	atomic_store(&has_destroyed, true);
}

static bool is_me(pthread_t thread)
{
	return pthread_equal(thread, pthread_self());
}

/* ---- Strategies that know nothing ------------------------------------------------------------ */

Test(strategy, in_place_destroys_before_it_returns)
{
	for (uintptr_t i = 0; i < 3; i++) {
		answers(0, defer_drop_by(&defer_drop_strategy_in_place, number(i), note));
		assert_seen(0, (unsigned)i + 1);
	}
	answers(0, defer_drop_by(&defer_drop_strategy_in_place, NULL, note_thread));
	cr_assert(is_me(destroyer));
}

Test(strategy, leak_destroys_nothing)
{
	answers(0, defer_drop_by(&defer_drop_strategy_leak, NULL, forbidden));
	answers(0, defer_drop_shutdown());
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(strategy, worker_is_the_default_queue_and_so_is_null)
{
	answers(0, defer_drop_by(&defer_drop_strategy_worker, number(0), note));
	answers(0, defer_drop_by(NULL, number(1), note));
	answers(0, defer_drop_by(NULL, NULL, note_thread));
	answers(0, defer_drop_flush());
	assert_seen(0, 2);
	cr_assert_not(is_me(destroyer));
	cr_assert_eq(stats_of(defer_drop_queue_default()).pushed_total, 3);
}

/* The unit tests of grace.c test grace periods; this one tests that the strategy asks for them. */
Test(strategy, rcu_is_the_default_queue_after_a_grace_period)
{
	const struct defer_drop_strategy *by = &defer_drop_strategy_rcu;
	int result = defer_drop_by(by, number(0), note);

	if (result == -ENOTSUP)
		cr_skip("built without liburcu");
	answers(0, result);
	answers(0, by->wait(by, LONG_NS));
	assert_seen(0, 1);
	cr_assert_geq(stats_of(defer_drop_queue_default()).grace_periods_total, 1);
}

static sigset_t blocked;

static void note_signals(void *object)
{
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	note_thread(object);
}

Test(strategy, thread_destroys_in_a_thread_without_signals)
{
	answers(0, defer_drop_by(&defer_drop_strategy_thread, NULL, note_signals));
	await(atomic_load(&has_destroyed));
	cr_assert_not(is_me(destroyer));
	cr_assert_eq(sigismember(&blocked, SIGTERM), 1);
	cr_assert_eq(sigismember(&blocked, SIGUSR1), 1);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	cr_assert_eq(sigismember(&blocked, SIGTERM), 0);
}

Test(strategy, threads_are_not_in_each_others_way)
{
	struct gate gate;

	gate_init(&gate);
	answers(0, defer_drop_by(&defer_drop_strategy_thread, &gate, pass_gate));
	answers(0, defer_drop_by(&defer_drop_strategy_thread, NULL, note_thread));
	await(atomic_load(&has_destroyed));
	sem_post(&gate.open);
}

/* A thread's stack does not fit in what may still be mapped; the malloc'd drop does. */
Test(strategy, without_room_for_a_thread_the_object_is_still_the_callers, .disabled = HAS_SANITIZER)
{
	int result;

	free(malloc(1 << 16));
	limit_memory(1 << 16);
	result = defer_drop_by(&defer_drop_strategy_thread, NULL, forbidden);
	unlimit_memory();
	answers(-ESRCH, result);
	answers(0, defer_drop_by(&defer_drop_strategy_thread, NULL, note_thread));
	await(atomic_load(&has_destroyed));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(strategy, a_destructor_is_needed)
{
	for (unsigned i = 0; i < 4; i++)
		answers(-EINVAL, defer_drop_by(that_know_nothing[i], NULL, NULL));
	answers(-EINVAL, defer_drop_by(NULL, NULL, NULL));
}

static void spoil_errno(void *object)
{
	(void)object;
	errno = EBADF;
}

Test(strategy, success_leaves_errno_as_it_was)
{
	for (unsigned i = 0; i < 4; i++) {
		errno = ENOENT;
		answers(0, defer_drop_by(that_know_nothing[i], NULL, spoil_errno));
		cr_assert_eq(errno, ENOENT);
	}
}

Test(strategy, after_shutdown_the_worker_leaves_the_object_to_the_caller)
{
	answers(0, defer_drop_shutdown());
	answers(-ESHUTDOWN, defer_drop_by(&defer_drop_strategy_worker, NULL, forbidden));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- A queue of one's own -------------------------------------------------------------------- */

Test(strategy, a_queue_of_ones_own_has_a_worker_of_its_own)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct defer_drop_strategy_queue by;

	answers(0, defer_drop_strategy_queue_init(&by, queue, FOREVER));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	answers(0, defer_drop_by(&by.strategy, NULL, note_thread));
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	assert_seen(0, 1);
	cr_assert_not(is_me(destroyer));
	end_queue(queue);
}

Test(strategy, a_queue_that_the_caller_drains_keeps_one_all_or_what_a_budget_leaves)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_strategy_queue by;

	answers(0, defer_drop_strategy_queue_init(&by, queue, 0));
	for (uintptr_t i = 0; i < 8; i++)
		answers(0, defer_drop_by(&by.strategy, number(i), note));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(-EAGAIN, defer_drop_by(&by.strategy, NULL, forbidden));
	drain(queue, 1);
	assert_seen(0, 1);
	cr_assert_eq(defer_drop_queue_backlog(queue), 7);
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, 0, NULL));
	cr_assert_eq(defer_drop_queue_backlog(queue), 7);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 8);
	answers(0, defer_drop_by(&by.strategy, NULL, note_thread));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert(is_me(destroyer));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	end_queue(queue);
}

Test(strategy, the_end_of_a_queue_destroys_what_is_pending)
{
	for (uint32_t runner = WORKER; runner <= CALLER; runner++) {
		struct defer_drop_strategy_queue by;

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_strategy_queue_init(&by, make_queue(runner, 8, LANES), 0));
		for (uintptr_t i = 0; i < 5; i++)
			answers(0, defer_drop_by(&by.strategy, number(i), note));
		defer_drop_queue_end(by.queue);
		assert_seen(0, 5);
	}
}

/* ---- Waiting --------------------------------------------------------------------------------- */

Test(strategy, waiting_for_a_worker_is_waiting_for_what_this_thread_dropped)
{
	const struct defer_drop_strategy *by = &defer_drop_strategy_worker;
	struct gate gate;

	answers(0, by->wait(by, 0));
	hold_up(defer_drop_queue_default(), &gate);
	answers(-EAGAIN, by->wait(by, 0));
	answers(-ETIMEDOUT, by->wait(by, MS));
	answers(-EOVERFLOW, by->wait(by, FOREVER - 1));
	let_go(&gate);
	answers(0, by->wait(by, LONG_NS));
	answers(0, defer_drop_shutdown());
	answers(0, by->wait(by, 0));
}

Test(strategy, waiting_for_a_queue_that_the_caller_drains_drains_it)
{
	struct defer_drop_strategy_queue by;

	answers(0, defer_drop_strategy_queue_init(&by, make_queue(CALLER, 8, LANES), 0));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	answers(-EAGAIN, by.strategy.wait(&by.strategy, 0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, by.strategy.wait(&by.strategy, LONG_NS));
	assert_seen(0, 1);
	end_queue(by.queue);
}

static int wait_result;

static void wait_for_self(void *object)
{
	const struct defer_drop_strategy *by = object;

	wait_result = by->wait(by, 0);
}

Test(strategy, a_destructor_that_waits_for_its_own_queue_is_told)
{
	struct defer_drop_strategy_queue by;

	answers(0, defer_drop_strategy_queue_init(&by, make_queue(WORKER, 8, LANES), 0));
	answers(0, defer_drop_by(&by.strategy, &by, wait_for_self));
	answers(0, defer_drop_queue_flush(by.queue, LONG_NS));
	answers(-EDEADLK, wait_result);
	end_queue(by.queue);
}

/* ---- Executor -------------------------------------------------------------------------------- */

/* An executor with two slots, which runs on request. */
struct executor {
	void *objects[2];
	defer_drop_fn destroy[2];
	unsigned count;
};

static int submit(void *context, void *object, defer_drop_fn destroy)
{
	struct executor *executor = context;

	if (executor->count == 2)
		return -EAGAIN;
	executor->objects[executor->count] = object;
	executor->destroy[executor->count++] = destroy;
	return 0;
}

static void run(struct executor *executor)
{
	for (unsigned i = 0; i < executor->count; i++)
		executor->destroy[i](executor->objects[i]);
	executor->count = 0;
}

Test(strategy, an_executor_gets_object_and_destructor)
{
	struct executor executor = {.count = 0};
	struct defer_drop_strategy_executor by;

	answers(0, defer_drop_strategy_executor_init(&by, submit, &executor));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	answers(0, defer_drop_by(&by.strategy, number(1), note));
	cr_assert_eq(atomic_load(&seen_count), 0);
	run(&executor);
	assert_seen(0, 2);
}

Test(strategy, an_executor_that_is_full_leaves_the_object_to_the_caller)
{
	struct executor executor = {.count = 0};
	struct defer_drop_strategy_executor by;

	answers(0, defer_drop_strategy_executor_init(&by, submit, &executor));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	answers(0, defer_drop_by(&by.strategy, number(1), note));
	answers(-EAGAIN, defer_drop_by(&by.strategy, NULL, forbidden));
	run(&executor);
	answers(0, defer_drop_by(&by.strategy, number(2), note));
	run(&executor);
	assert_seen(0, 3);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- Trace ----------------------------------------------------------------------------------- */

static void *traced_object;
static defer_drop_fn traced_destroy;
static unsigned traced_count;

static void trace(void *context, void *object, defer_drop_fn destroy)
{
	cr_assert_eq(context, &traced_count);
	traced_count++;
	traced_object = object;
	traced_destroy = destroy;
}

Test(strategy, trace_reports_and_passes_on)
{
	struct defer_drop_strategy_trace by;

	answers(0, defer_drop_strategy_trace_init(
			   &by, &defer_drop_strategy_in_place, trace, &traced_count));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	assert_seen(0, 1);
	cr_assert_eq(traced_count, 1);
	cr_assert_eq(traced_object, number(0));
	cr_assert_eq(traced_destroy, note);
	answers(0, by.strategy.wait(&by.strategy, 0));

	answers(0, defer_drop_strategy_trace_init(&by, NULL, trace, &traced_count));
	answers(0, defer_drop_by(&by.strategy, number(1), note));
	answers(0, by.strategy.wait(&by.strategy, LONG_NS));
	assert_seen(0, 2);
}

Test(strategy, a_trace_answers_what_the_inner_strategy_answers)
{
	struct defer_drop_strategy_trace inner;
	struct defer_drop_strategy_trace outer;

	answers(0, defer_drop_strategy_trace_init(&inner, NULL, trace, &traced_count));
	answers(0, defer_drop_strategy_trace_init(&outer, &inner.strategy, trace, &traced_count));
	answers(0, defer_drop_shutdown());
	answers(-ESHUTDOWN, defer_drop_by(&outer.strategy, NULL, forbidden));
	cr_assert_eq(traced_count, 2);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* In the program's dynamic symbols, unlike the static ones. */
__attribute__((visibility("default"))) void fell_tree(void *object);

void fell_tree(void *object)
{
	(void)object;
}

static char *print_trace(void *object, defer_drop_fn destroy)
{
	struct defer_drop_strategy_trace by;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	cr_assert_not_null(stream);
	answers(0, defer_drop_strategy_trace_init(
			   &by, &defer_drop_strategy_leak, defer_drop_trace_print, stream));
	answers(0, defer_drop_by(&by.strategy, object, destroy));
	fclose(stream);
	return text;
}

Test(strategy, trace_prints_the_name_of_a_destructor_that_has_one)
{
	char *text = print_trace(number(0x1234), fell_tree);

	cr_assert_str_eq(text, "drop 0x1234 by fell_tree\n");
	free(text);
}

Test(strategy, trace_prints_where_a_destructor_without_a_name_is)
{
	char *text = print_trace(number(0x1234), note);

	cr_assert_eq(strncmp(text, "drop 0x1234 by ", 15), 0, "%s", text);
	cr_assert_not_null(strstr(text, "+0x"), "%s", text);
	free(text);
	text = print_trace(number(0x1234), (defer_drop_fn)(uintptr_t)16);
	cr_assert_str_eq(text, "drop 0x1234 by 0x10\n");
	free(text);
}

/* ---- One's own ------------------------------------------------------------------------------- */

struct counting {
	struct defer_drop_strategy strategy;
	unsigned *count;
};

static int count_and_destroy(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	++*((const struct counting *)strategy)->count;
	return defer_drop_by(&defer_drop_strategy_in_place, object, destroy);
}

Test(strategy, anyone_can_write_one)
{
	unsigned count = 0;
	const struct counting by = {{DEFER_DROP_STRATEGY_VERSION, count_and_destroy, NULL}, &count};

	answers(0, defer_drop_by(&by.strategy, number(0), note));
	answers(0, defer_drop_by(&by.strategy, number(1), note));
	assert_seen(0, 2);
	cr_assert_eq(count, 2);
}
