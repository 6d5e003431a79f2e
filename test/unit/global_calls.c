/* SPDX-License-Identifier: MIT
 *
 * The short calls, which are for the default queue: what they refuse, and their errors.
 */
#include "ending.h"

TestSuite(global_calls, .timeout = 60);

Test(global_calls, the_short_calls_refuse_what_is_wrong)
{
	const uint64_t none[] = {DEFER_DROP_TIMEOUT_MAX + 1, FOREVER - 1};

	for (unsigned i = 0; i < 2; i++) {
		answers(-EINVAL, defer_drop(&seen, NULL));
		answers(-EINVAL, defer_drop_try(&seen, NULL));
		answers(-EINVAL, defer_drop_timed(&seen, NULL, 0));
		answers(-EOVERFLOW, defer_drop_timed(NULL, forbidden, none[i]));
		answers(-EOVERFLOW, defer_drop_flush_timed(none[i]));
		/* The second time, the thread has a lane. */
		answers(0, defer_drop(number(i), note));
	}
	answers(0, defer_drop_flush());
	assert_seen(0, 2);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(global_calls, a_full_ring_refuses_try_and_timed)
{
	struct gate gate;

	set_options("queue_size=4");
	hold_up(defer_drop_queue_default(), &gate);
	/* The drop that is being destroyed takes a slot too. */
	for (uintptr_t i = 0; i < 3; i++)
		answers(0, defer_drop_try(number(i), note));
	answers(-EAGAIN, defer_drop_try(NULL, forbidden));
	answers(-EAGAIN, defer_drop_timed(NULL, forbidden, 0));
	answers(-ETIMEDOUT, defer_drop_timed(NULL, forbidden, MS));
	answers(-EAGAIN, defer_drop_flush_timed(0));
	let_go(&gate);
	answers(0, defer_drop_flush());
	assert_seen(0, 3);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(global_calls, a_shutdown_drains_once_and_closes_for_good)
{
	for (uintptr_t i = 0; i < 100; i++)
		answers(0, defer_drop(number(i), note));
	answers(0, defer_drop_shutdown());
	assert_seen(0, 100);
	answers(0, defer_drop_shutdown());
	answers(-ESHUTDOWN, defer_drop(NULL, forbidden));
	answers(-ESHUTDOWN, defer_drop_try(NULL, forbidden));
	answers(-ESHUTDOWN, defer_drop_timed(NULL, forbidden, FOREVER));
	answers(-ESHUTDOWN, defer_drop_flush());
	answers(-ESHUTDOWN, defer_drop_flush_timed(0));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static atomic_int destructor_result[3];

static void wait_inside(void *object)
{
	(void)object;
	atomic_store(&destructor_result[0], defer_drop_flush());
	atomic_store(&destructor_result[1], defer_drop_flush_timed(0));
	atomic_store(&destructor_result[2], defer_drop_shutdown());
}

Test(global_calls, a_destructor_that_waits_gets_edeadlk)
{
	answers(0, defer_drop(NULL, wait_inside));
	answers(0, defer_drop_flush());
	for (unsigned i = 0; i < 3; i++)
		answers(-EDEADLK, atomic_load(&destructor_result[i]));
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

/* Prints on stderr what each call returns if no worker can be started. */
static void push_without_worker(void)
{
	struct defer_drop_ticket ticket;
	struct defer_drop_queue *queue = defer_drop_queue_default();

	setenv("DEFER_DROP_OPTIONS", "queue_size=2,stack_size_bytes=4294967296", 1);
	limit_memory(UINT64_C(1) << 30);
	if (push_ticket(queue, number(0), note, 0, &ticket) || defer_drop(number(1), note))
		_exit(1);
	if (defer_drop(NULL, forbidden) != -ESRCH || defer_drop_try(NULL, forbidden) != -EAGAIN ||
		defer_drop_timed(NULL, forbidden, FOREVER) != -ESRCH)
		_exit(2);
	if (defer_drop_flush() != -ESRCH || defer_drop_flush_timed(LONG_NS) != -ESRCH)
		_exit(3);
	if (defer_drop_ticket_wait(&ticket, FOREVER) != -ESRCH)
		_exit(4);
	if (defer_drop_queue_wait_backlog(queue, 1, UINT64_MAX, FOREVER) != -ESRCH)
		_exit(5);
	unlimit_memory();
	if (defer_drop(number(2), note) || defer_drop_flush())
		_exit(6);
	for (uintptr_t i = 0; i < 3; i++)
		if (seen[i] != number(i))
			_exit(7);
	_exit(seen_count != 3 || forbidden_count);
}

Test(global_calls, without_a_worker_a_full_push_and_a_flush_answer_esrch, .disabled = HAS_SANITIZER)
{
	cr_assert_eq(run_child(push_without_worker), 0);
	/* The program was told once what is wrong. */
	cr_assert_eq(times_said("cannot start the worker"), 1, "%s", said);
}

/* The push did not ask for this size, so a smaller queue does. */
static void push_without_memory(void)
{
	struct defer_drop_config config;

	setenv("DEFER_DROP_OPTIONS", "queue_size=16777216", 1);
	limit_memory(200u << 20);
	errno = 77;
	if (defer_drop(number(0), note) || defer_drop_flush() || errno != 77)
		_exit(1);
	unlimit_memory();
	config = config_in_force();
	if (config.queue_size != DD_QUEUE_SIZE)
		_exit(2);
	_exit(seen_count != 1);
}

Test(global_calls, without_memory_for_the_size_of_the_options_a_first_push_takes_the_built_in_one,
	.disabled = HAS_SANITIZER)
{
	cr_assert_eq(run_child(push_without_memory), 0, "%s", said);
	cr_assert_eq(times_said("no memory for queue_size=16777216"), 1, "%s", said);
	cr_assert_eq(times_said("\n"), 1, "%s", said);
}

static void exit_without_worker(void)
{
	setenv("DEFER_DROP_OPTIONS", "stack_size_bytes=4294967296", 1);
	limit_memory(UINT64_C(1) << 30);
	for (unsigned i = 0; i < 10; i++)
		if (defer_drop(NULL, note))
			_exit(1);
	if (defer_drop_shutdown())
		_exit(2);
	_exit(seen_count != 10);
}

Test(global_calls, without_a_worker_a_shutdown_drains_by_itself, .disabled = HAS_SANITIZER)
{
	cr_assert_eq(run_child(exit_without_worker), 0);
}

Test(global_calls, the_version_is_that_of_the_header)
{
	cr_assert_eq(defer_drop_version(), DEFER_DROP_VERSION);
}
