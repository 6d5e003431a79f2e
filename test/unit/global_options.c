/* SPDX-License-Identifier: MIT
 *
 * What DEFER_DROP_OPTIONS sets of the default queue, and what it leaves to the program.
 */
#include "ending.h"

TestSuite(global_options, .timeout = 60);

Test(global_options, options_apply_without_a_start)
{
	set_options("queue_size=64,max_lanes=0,cpus=0-1023,0,at_fork=keep,quiet_spell_ns=never,"
		    "longest_delay_ns=5us,stack_size_bytes=1M,niceness=2,exit_timeout_ns=7");
	answers(0, defer_drop(number(0), note));
	cr_assert_eq(config_in_force().queue_size, 64);
	cr_assert_eq(config_in_force().max_lanes, 0);
	cr_assert_str_eq(config_in_force().cpus, "0-1023,0");
	cr_assert_eq(config_in_force().at_fork, DEFER_DROP_AT_FORK_KEEP);
	cr_assert_eq(config_in_force().quiet_spell_ns, DEFER_DROP_NEVER);
	cr_assert_eq(config_in_force().longest_delay_ns, 5000);
	cr_assert_eq(config_in_force().stack_size_bytes, 1048576);
	cr_assert_eq(config_in_force().niceness, 2);
	cr_assert_eq(config_in_force().exit_timeout_ns, 7);
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

Test(global_options, options_override_a_start)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("queue_size=64");
	config.queue_size = 128;
	config.longest_delay_ns = 2000;
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().queue_size, 64);
	cr_assert_eq(config_in_force().longest_delay_ns, 2000);
	/* The program asks for the same values, and the environment is the same. */
	answers(0, defer_drop_start(&config));
	config.longest_delay_ns = 3000;
	answers(-EALREADY, defer_drop_start(&config));
}

Test(global_options, options_override_values_that_go_together)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("scheduling=idle,scheduling_priority=0");
	config.scheduling = DEFER_DROP_SCHEDULING_FIFO;
	config.scheduling_priority = 50;
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().scheduling, DEFER_DROP_SCHEDULING_IDLE);
	cr_assert_eq(config_in_force().scheduling_priority, 0);
}

Test(global_options, options_leave_exit_and_fork_to_a_program_that_has_set_them)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("exit_timeout_ns=2s,at_fork=empty");
	config.exit_timeout_ns = 0;
	config.at_fork = DEFER_DROP_AT_FORK_KEEP;
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().exit_timeout_ns, 0);
	cr_assert_eq(config_in_force().at_fork, DEFER_DROP_AT_FORK_KEEP);
}

Test(global_options, options_say_exit_and_fork_for_a_program_that_has_not)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("exit_timeout_ns=2s,at_fork=keep");
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().exit_timeout_ns, 2000 * MS);
	cr_assert_eq(config_in_force().at_fork, DEFER_DROP_AT_FORK_KEEP);
}

/* Returns the configuration of a queue of this name. */
static struct defer_drop_config config_of(const char *name)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.name = name;
	queue = create_queue(&config);
	answers(0, defer_drop_queue_config(queue, &config));
	end_queue(queue);
	config.name = NULL;
	return config;
}

Test(global_options, options_without_a_name_are_for_the_default_queue)
{
	set_options("queue_size=64,at_fork=keep");
	cr_assert_eq(config_of("other").queue_size, DD_QUEUE_SIZE);
	cr_assert_eq(config_of("other").at_fork, DEFER_DROP_AT_FORK_EMPTY);
	answers(0, defer_drop_start(NULL));
	cr_assert_eq(config_in_force().queue_size, 64);
}

Test(global_options, options_with_a_name_are_for_queues_of_that_name)
{
	set_options("queue_size=64,io:queue_size=32,io:longest_delay_ns=5us,other:queue_size=128");
	cr_assert_eq(config_of("io").queue_size, 32);
	cr_assert_eq(config_of("io").longest_delay_ns, 5000);
	cr_assert_eq(config_of("other").queue_size, 128);
	cr_assert_eq(config_of("other").longest_delay_ns, 20 * MS);
	cr_assert_eq(config_of("io2").queue_size, DD_QUEUE_SIZE);
	answers(0, defer_drop(number(0), note));
	cr_assert_eq(config_in_force().queue_size, 64);
	cr_assert_eq(config_in_force().longest_delay_ns, 20 * MS);
}

Test(global_options, the_default_queue_may_be_drained_by_a_caller)
{
	unsigned before = count_threads();
	uint64_t destroyed = 99;

	start_without_worker(4);
	for (uintptr_t i = 0; i < 4; i++)
		answers(0, defer_drop(number(i), note));
	answers(-EAGAIN, defer_drop_try(NULL, forbidden));
	answers(-ETIMEDOUT, defer_drop_timed(NULL, forbidden, MS));
	cr_assert_eq(count_threads(), before);
	answers(0, defer_drop_queue_drain(defer_drop_queue_default(), 3, FOREVER, &destroyed));
	cr_assert_eq(destroyed, 3);
	answers(0, defer_drop_flush());
	assert_seen(0, 4);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void nest_default(void *object)
{
	note(object);
	if (defer_drop(number((uintptr_t)object + 1), note))
		abort();
}

Test(global_options, a_flush_by_the_caller_covers_what_his_destructors_drop)
{
	start_without_worker(16);
	answers(0, defer_drop(number(0), nest_default));
	answers(0, defer_drop_flush());
	assert_seen(0, 2);
}

static void use_three_times(void)
{
	if (defer_drop(NULL, note) || defer_drop_start(NULL) || defer_drop_start(NULL) ||
		defer_drop_flush())
		_exit(1);
}

static void assert_complains(const char *options, unsigned complaints, const char *words)
{
	set_options(options);
	cr_assert_eq(run_child(use_three_times), 0, "%s", options);
	cr_assert_eq(times_said("\n"), complaints, "%s: %s", options, said);
	cr_assert(!complaints || times_said(words) == 1, "%s: %s", options, said);
}

Test(global_options, wrong_options_are_reported_once_with_what_is_accepted)
{
	assert_complains("", 0, "");
	assert_complains("queue_size=8,,", 0, "");
	assert_complains("queue_size=3", 1, "queue_size=3: want a power of two in 2..16777216");
	assert_complains("quue_size=4", 1, "quue_size=4");
	assert_complains("quue_size=4", 1, "queue_size,"); /* the names that there are */
	assert_complains("exit_timeout_ns=never", 1, "exit_timeout_ns=never");
	assert_complains("at_fork=1", 1, "at_fork=1");
	assert_complains("queue_size", 1, "queue_size:");
	assert_complains("runner=caller", 1, "runner=caller");
	assert_complains("pending_eventfd=3", 1, "pending_eventfd=3");
	assert_complains("name=x", 1, "name=x");
	assert_complains("=", 1, "a name among");
	assert_complains("a=1,b=2,queue_size=0,queue_size=16", 3, "a=1");
}

Test(global_options, a_wrong_option_leaves_its_value_and_the_others_apply)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("nonsense=1,queue_size=5,longest_delay_ns=5000");
	config.queue_size = 256;
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().queue_size, 256);
	cr_assert_eq(config_in_force().longest_delay_ns, 5000);
}

static void fail_to_start_twice(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.stack_size_bytes = UINT64_C(1) << 32;
	limit_memory(UINT64_C(1) << 30);
	for (unsigned i = 0; i < 2; i++)
		if (defer_drop_start(&config) != -ESRCH)
			_exit(1);
	unlimit_memory();
	if (defer_drop_start(&config))
		_exit(2);
}

Test(global_options, wrong_options_are_reported_once_over_several_starts, .disabled = HAS_SANITIZER)
{
	set_options("queue_size=3");
	cr_assert_eq(run_child(fail_to_start_twice), 0);
	cr_assert_eq(times_said("queue_size=3"), 1, "%s", said);
}

Test(global_options, a_start_with_options_leaves_errno_alone)
{
	set_options("queue_size=64,longest_delay_ns=5000");
	errno = 4711;
	answers(0, defer_drop_start(NULL));
	cr_assert_eq(errno, 4711, "errno became %d", errno);
}

static void *push_cancelled(void *argument)
{
	pthread_cancel(pthread_self());
	defer_drop(NULL, note);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	(void)argument;
	return number(1);
}

static void first_push_cancelled(void)
{
	_exit(join_thread(spawn(push_cancelled, NULL)) != number(1));
}

Test(global_options, a_first_push_that_complains_is_no_cancellation_point)
{
	set_options("queue_size=3");
	cr_assert_eq(run_child(first_push_cancelled), 0, "the thread ended inside the push");
	cr_assert_eq(times_said("queue_size=3"), 1);
}
