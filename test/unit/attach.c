/* SPDX-License-Identifier: MIT
 *
 * Reserving a lane before the first push.
 */
#include "queues.h"

TestSuite(attach, .timeout = 60);

static const uint32_t runners[] = {WORKER, CALLER};

Test(attach, gives_the_thread_the_lane_that_its_first_push_would)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 16, LANES);
		struct defer_drop_ticket ticket;

		cr_assert_eq(stats_of(queue).lanes, 1);
		answers(0, defer_drop_queue_attach(queue));
		cr_assert_eq(stats_of(queue).lanes, 2);
		answers(0, push_ticket(queue, NULL, note, FOREVER, &ticket));
		cr_assert_eq(ticket.lane, 1);
		cr_assert_eq(stats_of(queue).lanes, 2);
		end_queue(queue);
	}
}

Test(attach, again_does_nothing)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_queue_attach(queue));
	answers(0, defer_drop_queue_push(queue, number(0), note, 0));
	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_queue_attach(queue));
	cr_assert_eq(stats_of(queue).lanes, 2);
	cr_assert_eq(stats_of(queue).pushed_total, 1);
	end_queue(queue);
	assert_seen(0, 1);
}

Test(attach, leaves_errno_alone)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	errno = 77;
	answers(0, defer_drop_queue_attach(queue));
	answers(0, defer_drop_queue_attach(queue));
	cr_assert_eq(errno, 77);
	end_queue(queue);
}

static void *attach_in_thread(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_attach(argument));
}

Test(attach, a_thread_that_ends_gives_its_lane_back)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 1);

	for (unsigned i = 0; i < 20; i++)
		cr_assert_null(join_thread(spawn(attach_in_thread, queue)));
	cr_assert_eq(stats_of(queue).lanes, 2);
	end_queue(queue);
}

/* Gets -ENOSPC, and then pushes. */
static void *attach_in_vain(void *argument)
{
	struct defer_drop_queue *queue = argument;
	struct defer_drop_ticket ticket = {.lane = 99};
	unsigned wrong = 0;

	wrong += defer_drop_queue_attach(queue) != -ENOSPC;
	wrong += push_ticket(queue, number(1), note, FOREVER, &ticket) != 0;
	wrong += ticket.lane != 0;
	wrong += defer_drop_queue_attach(queue) != -ENOSPC;
	return number(wrong);
}

Test(attach, answers_enospc_if_no_lane_is_left_and_the_thread_pushes_to_the_shared_one)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 1);
	struct defer_drop_queue *shared = make_queue(CALLER, 16, 0);

	answers(0, defer_drop_queue_attach(queue));
	cr_assert_null(join_thread(spawn(attach_in_vain, queue)));
	answers(0, defer_drop_queue_attach(queue));
	cr_assert_null(join_thread(spawn(attach_in_vain, shared)));
	cr_assert_null(attach_in_vain(shared));
	end_queue(queue);
	end_queue(shared);
	cr_assert_eq(atomic_load(&seen_count), 3);
}

static void attach_without_memory(void)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 1 << 22, 4);
	int result;

	limit_memory(1 << 20);
	result = defer_drop_queue_attach(queue);
	unlimit_memory();
	if (result != -ENOSPC)
		_exit(1);
	if (defer_drop_queue_push(queue, number(0), note, FOREVER) ||
		defer_drop_queue_flush(queue, FOREVER))
		_exit(2);
	_exit(atomic_load(&seen_count) != 1);
}

Test(attach, answers_enospc_if_there_is_no_memory_for_one, .disabled = HAS_SANITIZER)
{
	answers(0, run_child(attach_without_memory));
}

static atomic_int inside_result;

static void attach_inside(void *object)
{
	atomic_store(&inside_result, defer_drop_queue_attach(object));
}

Test(attach, from_a_destructor_answers_edeadlk)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 16, LANES);
		struct defer_drop_queue *other = make_queue(CALLER, 16, LANES);

		answers(0, defer_drop_queue_push(queue, queue, attach_inside, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(-EDEADLK, atomic_load(&inside_result));
		answers(0, defer_drop_queue_push(queue, other, attach_inside, FOREVER));
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		answers(0, atomic_load(&inside_result));
		end_queue(queue);
		end_queue(other);
	}
}

Test(attach, answers_eshutdown_after_a_shutdown)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(-ESHUTDOWN, defer_drop_queue_attach(queue));
	cr_assert_eq(join_thread(spawn(attach_in_thread, queue)), number(ESHUTDOWN));
	answers(0, defer_drop_queue_free(queue));
}

Test(attach, may_come_before_the_first_use_of_the_default_queue)
{
	unsigned before = count_threads();

	answers(0, defer_drop_queue_attach(defer_drop_queue_default()));
	cr_assert_eq(count_threads(), before);
	cr_assert_eq(stats_of(defer_drop_queue_default()).lanes, 2);
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
	answers(0, defer_drop_shutdown());
	answers(-ESHUTDOWN, defer_drop_queue_attach(defer_drop_queue_default()));
}

Test(attach, a_lane_is_a_forked_childs_too)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 1);
	pid_t child;

	answers(0, defer_drop_queue_attach(queue));
	child = fork();
	if (!child) {
		struct defer_drop_ticket ticket;

		if (push_ticket(queue, NULL, note, 0, &ticket) || ticket.lane != 1)
			_exit(1);
		_exit(defer_drop_queue_attach(queue) || defer_drop_queue_flush(queue, FOREVER));
	}
	answers(0, status_of(child));
	end_queue(queue);
}

static void *attach_and_push(void *argument)
{
	unsigned wrong = 0;

	wrong += defer_drop_queue_attach(argument) != 0;
	for (unsigned i = 0; i < 1000; i++)
		wrong += defer_drop_queue_push(argument, NULL, note, FOREVER) != 0;
	return number(wrong);
}

Test(attach, many_threads_attach_at_once)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 8);
	pthread_t threads[8];

	for (unsigned i = 0; i < 8; i++)
		threads[i] = spawn(attach_and_push, queue);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_null(join_thread(threads[i]));
	end_queue(queue);
	cr_assert_eq(atomic_load(&seen_count), 8000);
}
