/* SPDX-License-Identifier: MIT
 *
 * Completions: when they are over, with which status, and which threads learn of it.
 */
#include "queues.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "core/completion.h"

TestSuite(completion, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

/* ---- Destructors with a status --------------------------------------------------------------- */

/* Its object is its status. */
static int return_object(void *object)
{
	note(object);
	return (int)(intptr_t)object;
}

static int push_status(
	struct defer_drop_queue *queue, int status, struct defer_drop_completion *completion)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.destroy_status = return_object;
	options.completion = completion;
	return defer_drop_queue_push_with(queue, (void *)(intptr_t)status, NULL, FOREVER, &options);
}

static int push_with(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy,
	struct defer_drop_completion *completion)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.completion = completion;
	return defer_drop_queue_push_with(queue, object, destroy, FOREVER, &options);
}

static struct defer_drop_queue *make(unsigned i)
{
	return make_queue(runners[i % 2], 16, lanes_tried[i / 2 % 2]);
}

/* ---- One drop -------------------------------------------------------------------------------- */

Test(completion, is_over_when_its_drop_is_destroyed_and_has_its_status)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		int status = 99;

		answers(0, push_status(queue, -EIO, &completion));
		answers(0, defer_drop_completion_wait(&completion, FOREVER, &status));
		answers(-EIO, status);
		answers(0, push_status(queue, 0, &completion));
		answers(0, defer_drop_completion_wait(&completion, LONG_NS, &status));
		answers(0, status);
		answers(0, push_with(queue, NULL, note, &completion));
		status = 99;
		answers(0, defer_drop_completion_wait(&completion, FOREVER, &status));
		answers(0, status);
		/* A completion that is over stays so, however often a thread looks. */
		answers(0, defer_drop_completion_wait(&completion, 0, NULL));
		answers(0, defer_drop_completion_wait(&completion, MS, NULL));
		end_queue(queue);
		answers(0, defer_drop_completion_wait(&completion, 0, NULL));
	}
}

Test(completion, is_not_over_before_its_destructor_has_returned)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[shared]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct gate gate;
		int status = 99;

		gate_init(&gate);
		answers(0, push_with(queue, &gate, pass_gate, &completion));
		await_held(&gate);
		answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, &status));
		answers(-ETIMEDOUT, defer_drop_completion_wait(&completion, MS, &status));
		answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, &status));
		answers(-EOVERFLOW, defer_drop_completion_wait(
					    &completion, DEFER_DROP_TIMEOUT_MAX + 1, &status));
		answers(99, status);
		/* One push at a time. */
		answers(-EBUSY, push_with(queue, NULL, forbidden, &completion));
		let_go(&gate);
		answers(0, defer_drop_completion_wait(&completion, FOREVER, &status));
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(completion, that_was_never_used_answers_einval)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;

	answers(-EINVAL, defer_drop_completion_wait(NULL, 0, NULL));
	answers(-EINVAL, defer_drop_completion_wait(NULL, FOREVER, NULL));
	answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
	answers(-EINVAL, defer_drop_completion_wait(&completion, FOREVER, NULL));
}

Test(completion, of_a_push_that_failed_is_unused_and_may_be_used)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.completion = &completion;
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	for (unsigned i = 0; i < 2; i++)
		answers(-EAGAIN, defer_drop_queue_push_with(queue, NULL, forbidden, 0, &options));
	answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(completion, calls_that_answer_0_leave_errno_alone)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;

		completion.eventfd = eventfd(0, 0);
		errno = 77;
		answers(0, push_with(queue, NULL, note, &completion));
		cr_assert_eq(errno, 77);
		answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
		cr_assert_eq(errno, 77);
		end_queue(queue);
	}
}

/* The completion is on the stack and gone as soon as it is over, so that checkers notice a late
 * access. */
static void *use_on_the_stack(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 2000; i++) {
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;

		wrong += push_with(argument, NULL, note, &completion) != 0;
		if (i % 3)
			wrong += defer_drop_completion_wait(&completion, FOREVER, NULL) != 0;
		else
			while (defer_drop_completion_wait(&completion, 0, NULL))
				sched_yield();
		memset(&completion, 0x5a, sizeof completion);
	}
	return number(wrong);
}

Test(completion, may_be_on_the_stack_of_the_waiter)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 4, 2);
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		threads[i] = spawn(use_on_the_stack, queue);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_null(join_thread(threads[i]));
	end_queue(queue);
}

/* ---- Several threads that wait --------------------------------------------------------------- */

static void *wait_in_thread(void *argument)
{
	int status = 99;
	int result = defer_drop_completion_wait(argument, FOREVER, &status);

	return number(result ? 1000 : (uintptr_t)-status);
}

Test(completion, several_may_wait_and_all_get_the_status)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	pthread_t threads[5];
	struct gate gate;

	hold_up(queue, &gate);
	answers(0, push_status(queue, -EPIPE, &completion));
	for (unsigned i = 0; i < 5; i++)
		threads[i] = spawn(wait_in_thread, &completion);
	await(atomic_load((_Atomic(uint32_t) *)&completion.state) & DD_COMPLETION_WAITED);
	answers(-ETIMEDOUT, defer_drop_completion_wait(&completion, MS, NULL));
	let_go(&gate);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(join_thread(threads[i]), number(EPIPE));
	end_queue(queue);
}

Test(completion, several_may_wait_where_the_caller_drains)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	pthread_t threads[3];

	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, push_status(queue, -EPIPE, &completion));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(wait_in_thread, &completion);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(join_thread(threads[i]), number(EPIPE));
	cr_assert_eq(atomic_load(&seen_count), 6, "what came later was not asked for");
	end_queue(queue);
}

static atomic_bool is_in_handler;
static atomic_bool may_leave_handler;

static void stand_in_handler(int number_of_signal)
{
	(void)number_of_signal;
	atomic_store(&is_in_handler, true);
	while (!atomic_load(&may_leave_handler))
		poll(NULL, 0, 1);
}

static void take_a_while(void *object)
{
	usleep(5000);
	note(object);
}

static uint32_t word_of(struct defer_drop_completion *completion)
{
	return atomic_load((_Atomic(uint32_t) *)&completion->state);
}

/*
 * One thread waits for its completion; it is called when the other one stops draining, but does not
 * know it yet, since a signal handler holds it up. The other thread comes back and drains until its
 * time is over.
 */
Test(completion, a_call_of_a_thread_that_waits_is_not_taken_back_by_another_that_comes)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	pthread_t draining, waiting;
	struct gate gate;

	signal(SIGUSR1, stand_in_handler);
	gate_init(&gate);
	answers(0, defer_drop_queue_push(queue, &gate, pass_gate, 0));
	answers(0, defer_drop_queue_push(queue, number(0), take_a_while, 0));
	answers(0, push_status(queue, -EPIPE, &completion));
	draining = spawn(drain_one_in_thread, queue);
	await_held(&gate);
	waiting = spawn(wait_in_thread, &completion);
	await(word_of(&completion) & DD_COMPLETION_WAITED);
	cr_assert_eq(pthread_kill(waiting, SIGUSR1), 0);
	await(atomic_load(&is_in_handler));
	let_go(&gate);
	cr_assert_null(join_thread(draining));
	cr_assert(word_of(&completion) & DD_COMPLETION_CALLED);
	answers(-ETIMEDOUT, defer_drop_completion_wait(&completion, MS, NULL));
	atomic_store(&may_leave_handler, true);
	cr_assert_eq(join_thread(waiting), number(EPIPE));
	end_queue(queue);
}

/* ---- An eventfd ------------------------------------------------------------------------------ */

Test(completion, signals_its_eventfd_once_for_all_its_drops)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		void *objects[5] = {NULL};
		uint64_t ignored;

		completion.eventfd = eventfd(0, EFD_NONBLOCK);
		options.completion = &completion;
		answers(0, defer_drop_queue_push_many(
				   queue, objects, 5, note, FOREVER, &options, NULL));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(read_from(completion.eventfd), 1);
		answers(0, defer_drop_completion_wait(&completion, 0, NULL));
		cr_assert_eq(read(completion.eventfd, &ignored, sizeof ignored), -1);
		close(completion.eventfd);
		end_queue(queue);
	}
}

/* A thread that learns of the end may look, close the eventfd and forget the completion at once. */
static void *hear_and_close(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 2000; i++) {
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		uint64_t count;

		completion.eventfd = eventfd(0, 0);
		wrong += push_with(argument, NULL, note, &completion) != 0;
		wrong += read(completion.eventfd, &count, sizeof count) != sizeof count;
		wrong += defer_drop_completion_wait(&completion, 0, NULL) != 0;
		close(completion.eventfd);
		memset(&completion, 0x5a, sizeof completion);
	}
	return number(wrong);
}

Test(completion, is_over_for_a_thread_that_reads_the_eventfd)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t other = spawn(hear_and_close, queue);

	cr_assert_null(hear_and_close(queue));
	cr_assert_null(join_thread(other));
	cr_assert_eq(stats_of(queue).failed_total, 0);
	end_queue(queue);
}

static atomic_bool has_looked;

static void *look_in_thread(void *argument)
{
	int result = defer_drop_completion_wait(argument, 0, NULL);

	atomic_store(&has_looked, true);
	return number((uintptr_t)-result);
}

/* The eventfd is signalled, but the thread that did it has not had its last access to the
 * completion yet. */
Test(completion, that_was_called_before_it_was_told_is_waited_for_until_it_is_over)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct dd_completion *own = (struct dd_completion *)&completion;
	pthread_t thread;

	own->queue = queue;
	own->generation = queue->generation;
	cr_assert(dd_completion_begin(own, 1));
	dd_completion_wake(own);
	cr_assert(word_of(&completion) & DD_COMPLETION_CALLED);
	cr_assert(dd_completion_count(own, 1));
	dd_completion_tell(own);
	thread = spawn(look_in_thread, &completion);
	await(word_of(&completion) & DD_COMPLETION_WAITED || atomic_load(&has_looked));
	usleep(20000);
	cr_assert_not(atomic_load(&has_looked));
	cr_assert(dd_completion_end(own));
	dd_futex_wake(&own->state, INT_MAX);
	cr_assert_null(join_thread(thread));
	end_queue(queue);
}

Test(completion, is_not_held_up_by_an_eventfd_that_is_full)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	uint64_t most = UINT64_MAX - 1;

	completion.eventfd = eventfd(0, 0);
	cr_assert_eq(write(completion.eventfd, &most, sizeof most), sizeof most);
	answers(0, push_with(queue, NULL, note, &completion));
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	cr_assert_eq(stats_of(queue).failed_total, 0);
	end_queue(queue);
}

/* ---- Many at once ---------------------------------------------------------------------------- */

static int push_statuses(struct defer_drop_queue *queue, const int *statuses, size_t count,
	struct defer_drop_completion *completion)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *objects[8];

	for (size_t i = 0; i < count; i++)
		objects[i] = (void *)(intptr_t)statuses[i];
	options.destroy_status = return_object;
	options.completion = completion;
	return defer_drop_queue_push_many(queue, objects, count, NULL, FOREVER, &options, NULL);
}

Test(completion, of_many_keeps_the_first_status_that_is_not_0)
{
	const int statuses[] = {0, 0, -EIO, 0, -ENOSPC, -EPIPE, 0};

	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		int status = 99;

		answers(0, push_statuses(queue, statuses, 7, &completion));
		answers(0, defer_drop_completion_wait(&completion, FOREVER, &status));
		answers(-EIO, status);
		cr_assert_eq(stats_of(queue).failed_total, 3);
		/* The next use begins with a new status. */
		answers(0, push_statuses(queue, statuses, 2, &completion));
		answers(0, defer_drop_completion_wait(&completion, FOREVER, &status));
		answers(0, status);
		end_queue(queue);
	}
}

Test(completion, of_many_counts_them_all)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *objects[8];

	for (uintptr_t i = 0; i < 8; i++)
		objects[i] = number(i);
	options.completion = &completion;
	answers(0, defer_drop_queue_push_many(queue, objects, 8, note, 0, &options, NULL));
	memset(objects, 0x5a, sizeof objects);
	for (unsigned i = 0; i < 8; i++) {
		answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
		answers(-EBUSY, push_with(queue, NULL, forbidden, &completion));
		drain(queue, 1);
	}
	answers(0, defer_drop_completion_wait(&completion, 0, NULL));
	assert_seen(0, 8);
	end_queue(queue);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(completion, of_none_is_over_at_once)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int status = 99;
	size_t pushed = 99;

	completion.eventfd = eventfd(0, EFD_NONBLOCK);
	options.completion = &completion;
	answers(0, defer_drop_queue_push_many(queue, NULL, 0, note, 0, &options, &pushed));
	cr_assert_eq(pushed, 0);
	answers(0, defer_drop_completion_wait(&completion, 0, &status));
	answers(0, status);
	answers(0, defer_drop_completion_wait(&completion, 0, &status));
	cr_assert_eq(read_from(completion.eventfd), 1);
	end_queue(queue);
}

Test(completion, of_none_whose_eventfd_is_closed_is_over_and_counts_as_failed)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int status = 99;

	completion.eventfd = eventfd(0, 0);
	close(completion.eventfd);
	options.completion = &completion;
	answers(0, defer_drop_queue_push_many(queue, NULL, 0, forbidden, 0, &options, NULL));
	answers(0, defer_drop_completion_wait(&completion, 0, &status));
	answers(0, status);
	cr_assert_eq(stats_of(queue).failed_total, 1);
	end_queue(queue);
}

Test(completion, of_many_counts_those_alone_that_were_pushed)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 8, lanes_tried[shared]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct defer_drop_ticket ticket;
		void *objects[6];
		size_t pushed = 99;

		atomic_store(&seen_count, 0);
		for (uintptr_t i = 0; i < 6; i++)
			objects[i] = number(i);
		completion.eventfd = eventfd(0, EFD_NONBLOCK);
		options.completion = &completion;
		options.ticket = &ticket;
		options.bytes = 10;
		answers(-ETIMEDOUT,
			defer_drop_queue_push_many(queue, objects, 6, note, MS, &options, &pushed));
		cr_assert_eq(pushed, 4);
		cr_assert_eq(stats_of(queue).backlog_bytes, 40);
		drain(queue, 3);
		answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
		answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
		answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
		answers(0, defer_drop_ticket_wait(&ticket, 0));
		cr_assert_eq(read_from(completion.eventfd), 1);
		assert_seen(0, 4);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		close(completion.eventfd);
		end_queue(queue);
	}
}

/* ---- Where it is not destroyed --------------------------------------------------------------- */

Test(completion, of_an_abandoned_drop_answers_eshutdown)
{
	for (unsigned i = 0; i < 4; i++) {
		const int statuses[] = {-EIO, 0, 0};
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[i % 2]);
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
		uint64_t timeout_ns = i / 2 ? 0 : 1;
		int status = 99;

		completion.eventfd = eventfd(0, EFD_NONBLOCK);
		answers(0, push_statuses(queue, statuses, 3, &completion));
		drain(queue, 1);
		answers(i / 2 ? 0 : -ETIMEDOUT, defer_drop_queue_shutdown(queue, timeout_ns));
		answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, 0, &status));
		answers(-EIO, status);
		answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, FOREVER, NULL));
		cr_assert_eq(read_from(completion.eventfd), 1);
		answers(0, defer_drop_queue_free(queue));
		answers(-ESHUTDOWN, defer_drop_completion_wait(&completion, 0, NULL));
		close(completion.eventfd);
	}
}

Test(completion, a_shutdown_ends_the_wait)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	pthread_t threads[2];
	struct gate gate;

	hold_up(queue, &gate);
	answers(0, push_with(queue, NULL, forbidden, &completion));
	for (unsigned i = 0; i < 2; i++)
		threads[i] = spawn(wait_in_thread, &completion);
	await(atomic_load((_Atomic(uint32_t) *)&completion.state) & DD_COMPLETION_WAITED);
	let_go(&gate);
	answers(0, shut_down_at_last(queue, 0));
	for (unsigned i = 0; i < 2; i++)
		join_thread(threads[i]);
	cr_assert_neq(defer_drop_completion_wait(&completion, 0, NULL), -EAGAIN);
	answers(0, defer_drop_queue_free(queue));
}

/* ---- By destructors -------------------------------------------------------------------------- */

static struct defer_drop_completion nested_completion;
static int nested_results[6];

static void use_nested(void *object)
{
	nested_results[0] = push_with(object, NULL, note, &nested_completion);
	nested_results[1] = defer_drop_completion_wait(&nested_completion, 0, NULL);
	nested_results[2] = defer_drop_completion_wait(&nested_completion, FOREVER, NULL);
	nested_results[3] = push_with(object, NULL, forbidden, &nested_completion);
}

static void look_nested(void *object)
{
	(void)object;
	nested_results[4] = defer_drop_completion_wait(&nested_completion, 0, NULL);
	nested_results[5] = defer_drop_completion_wait(&nested_completion, FOREVER, NULL);
}

Test(completion, of_a_nested_drop)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(i);

		nested_completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		answers(0, defer_drop_queue_push(queue, queue, use_nested, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, nested_results[0]);
		answers(-EAGAIN, nested_results[1]);
		answers(-EDEADLK, nested_results[2]);
		answers(-EBUSY, nested_results[3]);
		answers(0, defer_drop_completion_wait(&nested_completion, FOREVER, NULL));
		/* A completion that is over may be waited for, by a destructor too. */
		answers(0, defer_drop_queue_push(queue, queue, look_nested, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, nested_results[4]);
		answers(0, nested_results[5]);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void push_many_nested(void *object)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *objects[5];

	for (intptr_t i = 0; i < 5; i++)
		objects[i] = (void *)(i == 2 ? -(intptr_t)EIO : 0);
	options.destroy_status = return_object;
	options.bytes = 1000;
	options.completion = &nested_completion;
	nested_results[0] = defer_drop_queue_push_many(object, objects, 5, NULL, 0, &options, NULL);
}

Test(completion, of_many_nested_drops_in_the_smallest_ring)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i % 2], 2, lanes_tried[i / 2]);
		int status = 99;

		nested_completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		answers(0, defer_drop_queue_push(queue, queue, push_many_nested, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, nested_results[0]);
		answers(0, defer_drop_completion_wait(&nested_completion, FOREVER, &status));
		answers(-EIO, status);
		cr_assert_eq(stats_of(queue).backlog_bytes, 0);
		cr_assert_eq(stats_of(queue).destroyed_total, 6);
		end_queue(queue);
	}
}

/* ---- A wait that drains, beside others ------------------------------------------------------- */

Test(completion, a_wait_that_drains_keeps_to_its_time_while_another_thread_drains)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct intruder intruder;

	begin_intrusion(&intruder);
	answers(0, push_with(intruder.queue, number(1), note, &completion));
	answers(-ETIMEDOUT, defer_drop_completion_wait(&completion, 500 * MS, NULL));
	await_intruder(&intruder);
	answers(-ETIMEDOUT, defer_drop_completion_wait(&completion, MS, NULL));
	answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
	end_intrusion(&intruder);
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	assert_seen(0, 2);
	end_queue(intruder.queue);
}

Test(completion, a_wait_that_drains_ends_with_a_shutdown_beside_it)
{
	const uint64_t timeouts_ns[] = {FOREVER, 0};

	for (unsigned i = 0; i < 2; i++) {
		struct closer closer = {make_queue(CALLER, 16, LANES), timeouts_ns[i], 0};
		struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(closer.queue, &closer, begin_closing, FOREVER));
		answers(0, push_with(closer.queue, number(0), note, &completion));
		answers(i ? -ESHUTDOWN : 0, defer_drop_completion_wait(&completion, FOREVER, NULL));
		assert_seen(0, !i);
		end_closed(&closer);
	}
}
