/* SPDX-License-Identifier: MIT
 *
 * The default queue: lazy start, configuration and DEFER_DROP_OPTIONS, the end of threads and of
 * the process.
 */
#include "unit.h"

TestSuite(global, .timeout = 60);

static void set_options(const char *options)
{
	cr_assert_eq(setenv("DEFER_DROP_OPTIONS", options, 1), 0);
}

/* From now on callers drain the default queue, of which that is up to the program alone. */
static void start_without_worker(uint32_t queue_size)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = CALLER;
	config.queue_size = queue_size;
	if (defer_drop_start(&config))
		abort();
}

static struct defer_drop_config config_in_force(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	answers(0, defer_drop_queue_config(defer_drop_queue_default(), &config));
	return config;
}

/* ---- Start ----------------------------------------------------------------------------------- */

Test(global, the_first_push_starts_the_worker_and_nothing_else_does)
{
	unsigned before = count_threads();

	cr_assert_not_null(defer_drop_queue_default());
	answers(0, defer_drop_flush());
	cr_assert_eq(count_threads(), before);
	answers(0, defer_drop(number(0), note));
	cr_assert_eq(count_threads(), before + 1);
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

Test(global, every_short_call_works_first)
{
	answers(0, defer_drop_flush_timed(0));
	answers(0, defer_drop_timed(number(0), note, 0));
	answers(0, defer_drop_try(number(1), note));
	answers(0, defer_drop(number(2), note));
	answers(0, defer_drop_flush_timed(LONG_NS));
	answers(0, defer_drop_queue_push(defer_drop_queue_default(), number(3), note, FOREVER));
	answers(0, defer_drop(number(4), note));
	answers(0, defer_drop_shutdown());
	assert_seen(0, 5);
}

Test(global, start_answers_0_for_the_values_in_force)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	answers(0, defer_drop_start(NULL));
	answers(0, defer_drop_start(NULL));
	answers(0, defer_drop_start(&config));
	config = config_in_force();
	answers(0, defer_drop_start(&config));
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_start(&config));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

/* Answers how many calls did not answer 0. */
static void *start_often(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 20000; i++)
		wrong += defer_drop_start(argument) != 0;
	return number(wrong);
}

Test(global, several_threads_may_ask_at_once_for_the_values_in_force)
{
	pthread_t threads[3];

	answers(0, defer_drop_start(NULL));
	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(start_often, NULL);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_null(join_thread(threads[i]));
}

static void start_in_destructor(void *object)
{
	*(int *)object = defer_drop_start(NULL);
}

Test(global, a_destructor_may_ask_for_the_values_in_force)
{
	int result = 1;

	answers(0, defer_drop(&result, start_in_destructor));
	answers(0, defer_drop_flush());
	answers(0, result);
}

Test(global, start_answers_0_for_the_configuration_in_force_after_another_bound_was_set)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	answers(0, defer_drop_start(NULL));
	answers(0, defer_drop_queue_set_max_bytes(defer_drop_queue_default(), 1000));
	config = config_in_force();
	cr_assert_eq(config.max_bytes, 1000);
	answers(0, defer_drop_start(&config));
	answers(0, defer_drop_start(NULL));
	cr_assert_eq(config_in_force().max_bytes, 1000, "the start has changed it");
	config.max_bytes = 999;
	answers(-EALREADY, defer_drop_start(&config));
	cr_assert_eq(config_in_force().max_bytes, 1000);
}

Test(global, start_after_a_first_push_answers_0_for_the_built_in_values)
{
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_start(NULL));
}

Test(global, start_answers_ealready_for_other_values_and_changes_nothing)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 16;
	answers(0, defer_drop_start(&config));
	answers(-EALREADY, defer_drop_start(NULL));
	config.queue_size = 32;
	answers(-EALREADY, defer_drop_start(&config));
	config.queue_size = 16;
	config.name = "other";
	answers(-EALREADY, defer_drop_start(&config));
	cr_assert_eq(config_in_force().queue_size, 16);
	cr_assert_str_eq(config_in_force().name, "defer_drop");
	config.name = "defer_drop";
	answers(0, defer_drop_start(&config));
}

Test(global, start_refuses_what_is_wrong_and_changes_nothing)
{
	struct {
		struct defer_drop_config known;
		uint64_t unknown;
	} later = {DEFER_DROP_CONFIG_INIT, 1};
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 48;
	answers(-EINVAL, defer_drop_start(&config));
	config.queue_size = 16;
	config.cpus = "1023";
	answers(-EINVAL, defer_drop_start(&config));
	later.known.size = sizeof later;
	answers(-E2BIG, defer_drop_start(&later.known));
	later.unknown = 0;
	later.known.queue_size = 32;
	answers(0, defer_drop_start(&later.known));
	cr_assert_eq(config_in_force().queue_size, 32);
	config.cpus = "x";
	answers(-EINVAL, defer_drop_start(&config));
}

Test(global, start_answers_eshutdown_after_a_shutdown)
{
	answers(0, defer_drop_shutdown());
	answers(-ESHUTDOWN, defer_drop_start(NULL));
	answers(-ESHUTDOWN, defer_drop(NULL, forbidden));
}

Test(global, start_answers_enomem_and_may_be_tried_again, .disabled = HAS_SANITIZER)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 1u << 24;
	limit_memory(200u << 20);
	answers(-ENOMEM, defer_drop_start(&config));
	config.queue_size = 64;
	answers(0, defer_drop_start(&config));
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

Test(global, start_answers_esrch_and_may_be_tried_again, .disabled = HAS_SANITIZER)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.stack_size_bytes = UINT64_C(1) << 32;
	limit_memory(UINT64_C(1) << 30);
	answers(-ESRCH, defer_drop_start(&config));
	answers(-ESRCH, defer_drop_start(&config));
	answers(0, defer_drop_start(NULL));
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

static void start_as_nobody(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_RTPRIO, &none);
	if (!getuid() && setuid(65534))
		_exit(2);
	config.scheduling = DEFER_DROP_SCHEDULING_RR;
	config.scheduling_priority = 1;
	fprintf(stderr, "start answers %d\n", defer_drop_start(&config));
	fprintf(stderr, "then %d\n", defer_drop_start(NULL));
}

Test(global, start_answers_eperm_and_may_be_tried_again)
{
	char want[64];

	cr_assert_eq(run_child(start_as_nobody), 0);
	snprintf(want, sizeof want, "start answers %d\nthen 0\n", -EPERM);
#ifdef COUNTS_RUNS /* nobody may not write the counters, and says so after it */
	said[strlen(want)] = 0;
#endif
	cr_assert_str_eq(said, want);
}

static void *start(void *argument)
{
	return number((uintptr_t)-defer_drop_start(argument));
}

Test(global, many_threads_start_it_at_once)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	unsigned before = count_threads();
	pthread_t threads[8];

	config.queue_size = 32;
	for (unsigned i = 0; i < 8; i++)
		threads[i] = spawn(start, &config);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_null(join_thread(threads[i]));
	await(count_threads() <= before + 1); /* joined threads leave /proc a little later */
	cr_assert_eq(count_threads(), before + 1);
}

/* ---- Options --------------------------------------------------------------------------------- */

Test(global, options_apply_without_a_start)
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

Test(global, options_override_a_start)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("queue_size=64");
	config.queue_size = 128;
	config.longest_delay_ns = 2000;
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().queue_size, 64);
	cr_assert_eq(config_in_force().longest_delay_ns, 2000);
	/* The same values are asked for, and the environment is the same. */
	answers(0, defer_drop_start(&config));
	config.longest_delay_ns = 3000;
	answers(-EALREADY, defer_drop_start(&config));
}

Test(global, options_override_values_that_go_together)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("scheduling=idle,scheduling_priority=0");
	config.scheduling = DEFER_DROP_SCHEDULING_FIFO;
	config.scheduling_priority = 50;
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().scheduling, DEFER_DROP_SCHEDULING_IDLE);
	cr_assert_eq(config_in_force().scheduling_priority, 0);
}

Test(global, options_leave_exit_and_fork_to_a_program_that_has_set_them)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("exit_timeout_ns=2s,at_fork=empty");
	config.exit_timeout_ns = 0;
	config.at_fork = DEFER_DROP_AT_FORK_KEEP;
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().exit_timeout_ns, 0);
	cr_assert_eq(config_in_force().at_fork, DEFER_DROP_AT_FORK_KEEP);
}

Test(global, options_say_exit_and_fork_for_a_program_that_has_not)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	set_options("exit_timeout_ns=2s,at_fork=keep");
	answers(0, defer_drop_start(&config));
	cr_assert_eq(config_in_force().exit_timeout_ns, 2000 * MS);
	cr_assert_eq(config_in_force().at_fork, DEFER_DROP_AT_FORK_KEEP);
}

/* Answers the configuration of a queue of this name. */
static struct defer_drop_config config_of(const char *name)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.name = name;
	answers(0, defer_drop_queue_create(&queue, &config));
	answers(0, defer_drop_queue_config(queue, &config));
	end_queue(queue);
	config.name = NULL;
	return config;
}

Test(global, options_without_a_name_are_for_the_default_queue)
{
	set_options("queue_size=64,at_fork=keep");
	cr_assert_eq(config_of("other").queue_size, DD_QUEUE_SIZE);
	cr_assert_eq(config_of("other").at_fork, DEFER_DROP_AT_FORK_EMPTY);
	answers(0, defer_drop_start(NULL));
	cr_assert_eq(config_in_force().queue_size, 64);
}

Test(global, options_with_a_name_are_for_queues_of_that_name)
{
	set_options("queue_size=64,io:queue_size=32,io:longest_delay_ns=5us,other:queue_size=128");
	cr_assert_eq(config_of("io").queue_size, 32);
	cr_assert_eq(config_of("io").longest_delay_ns, 5000);
	cr_assert_eq(config_of("other").queue_size, 128);
	cr_assert_eq(config_of("other").longest_delay_ns, 12 * MS);
	cr_assert_eq(config_of("io2").queue_size, DD_QUEUE_SIZE);
	answers(0, defer_drop(number(0), note));
	cr_assert_eq(config_in_force().queue_size, 64);
	cr_assert_eq(config_in_force().longest_delay_ns, 12 * MS);
}

Test(global, the_default_queue_may_be_drained_by_a_caller)
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

Test(global, a_flush_by_the_caller_covers_what_his_destructors_drop)
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

Test(global, wrong_options_are_reported_once_with_what_is_accepted)
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

Test(global, a_wrong_option_leaves_its_value_and_the_others_apply)
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
	if (defer_drop_start(&config) != -ESRCH || defer_drop_start(&config) != -ESRCH)
		_exit(1);
	unlimit_memory();
	if (defer_drop_start(&config))
		_exit(2);
}

Test(global, wrong_options_are_reported_once_over_several_starts, .disabled = HAS_SANITIZER)
{
	set_options("queue_size=3");
	cr_assert_eq(run_child(fail_to_start_twice), 0);
	cr_assert_eq(times_said("queue_size=3"), 1, "%s", said);
}

Test(global, a_start_with_options_leaves_errno_alone)
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

Test(global, a_first_push_that_complains_is_no_cancellation_point)
{
	set_options("queue_size=3");
	cr_assert_eq(run_child(first_push_cancelled), 0, "the thread ended inside the push");
	cr_assert_eq(times_said("queue_size=3"), 1);
}

/* ---- Errors of the short calls --------------------------------------------------------------- */

Test(global, the_short_calls_refuse_what_is_wrong)
{
	const uint64_t none[] = {DEFER_DROP_TIMEOUT_MAX + 1, FOREVER - 1};

	for (unsigned i = 0; i < 2; i++) {
		answers(-EINVAL, defer_drop(&seen, NULL));
		answers(-EINVAL, defer_drop_try(&seen, NULL));
		answers(-EINVAL, defer_drop_timed(&seen, NULL, 0));
		answers(-EOVERFLOW, defer_drop_timed(NULL, forbidden, none[i]));
		answers(-EOVERFLOW, defer_drop_flush_timed(none[i]));
		/* The second time with a lane. */
		answers(0, defer_drop(number(i), note));
	}
	answers(0, defer_drop_flush());
	assert_seen(0, 2);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(global, a_full_ring_refuses_try_and_timed)
{
	struct gate gate;

	set_options("queue_size=4");
	hold_up(defer_drop_queue_default(), &gate);
	/* The drop that is being destroyed takes a place too. */
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

Test(global, a_shutdown_drains_once_and_closes_for_good)
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

Test(global, a_destructor_that_waits_gets_edeadlk)
{
	answers(0, defer_drop(NULL, wait_inside));
	answers(0, defer_drop_flush());
	for (unsigned i = 0; i < 3; i++)
		answers(-EDEADLK, atomic_load(&destructor_result[i]));
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

/* Says on stderr what each call answers where no worker can be started. */
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

Test(global, without_a_worker_a_full_push_and_a_flush_answer_esrch, .disabled = HAS_SANITIZER)
{
	cr_assert_eq(run_child(push_without_worker), 0);
	/* The application was told once what is wrong. */
	cr_assert_eq(times_said("cannot start the worker"), 1, "%s", said);
}

/* Nobody asked for this size at the push, and so it does with less. */
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

Test(global, without_memory_for_the_size_of_the_options_a_first_push_takes_the_built_in_one,
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

Test(global, without_a_worker_a_shutdown_drains_by_itself, .disabled = HAS_SANITIZER)
{
	cr_assert_eq(run_child(exit_without_worker), 0);
}

/* ---- The end of threads ---------------------------------------------------------------------- */

static pthread_key_t key;

/* Pushes in each round in which the system calls it. */
static void push_at_thread_end(void *round)
{
	uintptr_t next = (uintptr_t)round + 1;

	if (defer_drop(round, note))
		abort();
	pthread_setspecific(key, number(next));
}

static void *end_pushing(void *argument)
{
	if (argument && defer_drop(number(0), note))
		abort();
	pthread_setspecific(key, number(1));
	return NULL;
}

Test(global, destructors_of_thread_data_push)
{
	cr_assert_eq(pthread_key_create(&key, push_at_thread_end), 0);
	join_thread(spawn(end_pushing, &key));
	answers(0, defer_drop_flush());
	cr_assert_eq(atomic_load(&seen_count), 1 + PTHREAD_DESTRUCTOR_ITERATIONS);
}

Test(global, destructors_of_thread_data_push_for_the_first_time)
{
	cr_assert_eq(pthread_key_create(&key, push_at_thread_end), 0);
	join_thread(spawn(end_pushing, NULL));
	answers(0, defer_drop_flush());
	cr_assert_eq(atomic_load(&seen_count), PTHREAD_DESTRUCTOR_ITERATIONS);
}

/* ---- The end of the process ------------------------------------------------------------------ */

/* Seen by both processes. */
struct life {
	atomic_uint destroyed;
	atomic_int result;
};

static struct life *life;

static void count_life(void *object)
{
	(void)object;
	atomic_fetch_add(&life->destroyed, 1);
}

static void take_a_while(void *object)
{
	usleep(2000);
	count_life(object);
}

/* Runs it in a child, which shall exit so; answers how many drops were destroyed. */
static unsigned live(void (*run)(void), int status)
{
	life = share(sizeof *life);
	atomic_store(&life->result, 1);
	cr_assert_eq(run_child(run), status, "%s", said);
	return atomic_load(&life->destroyed);
}

static void push_slow_ones(void)
{
	for (unsigned i = 0; i < 20; i++)
		if (defer_drop(NULL, take_a_while))
			_exit(1);
}

Test(global, exit_drains_by_default)
{
	cr_assert_eq(live(push_slow_ones, 0), 20);
	cr_assert_str_eq(said, "");
}

static void push_and_return_status(void)
{
	push_slow_ones();
	exit(7);
}

Test(global, exit_keeps_its_status)
{
	cr_assert_eq(live(push_and_return_status, 7), 20);
}

static struct gate forever; /* nobody opens it */

static void stand(void *object)
{
	count_life(object);
	pass_gate(&forever);
}

static void push_one_that_stands(void)
{
	gate_init(&forever);
	for (unsigned i = 0; i < 5; i++)
		if (defer_drop(NULL, i ? count_life : stand))
			_exit(1);
	await_semaphore(&forever.entered);
}

Test(global, a_timed_exit_leaves_what_takes_too_long_and_says_so)
{
	set_options("exit_timeout_ns=20ms");
	cr_assert_eq(live(push_one_that_stands, 0), 1);
	cr_assert_eq(times_said("\n"), 1, "%s", said);
	cr_assert_eq(times_said(" 5 "), 1, "the one that stands and four more: %s", said);
}

Test(global, a_timed_exit_with_time_enough_drains_and_says_nothing)
{
	set_options("exit_timeout_ns=60s");
	cr_assert_eq(live(push_slow_ones, 0), 20);
	cr_assert_str_eq(said, "");
}

static void push_behind_a_gate_and_let_go(void)
{
	struct gate *gate = malloc(sizeof *gate);

	hold_up(defer_drop_queue_default(), gate);
	push_slow_ones();
	let_go(gate);
}

/* So the whole queue is pending when the process ends, but for what the worker does meanwhile. */
static void push_to_nobody(void)
{
	start_without_worker(64);
	push_slow_ones();
}

Test(global, an_abandoning_exit_destroys_nothing_more)
{
	set_options("exit_timeout_ns=0");
	cr_assert_eq(live(push_to_nobody, 0), 0);
	cr_assert_str_eq(said, "");
	cr_assert_lt(live(push_behind_a_gate_and_let_go, 0), 20);
	cr_assert_str_eq(said, "");
}

Test(global, exit_drains_for_a_caller_who_did_not)
{
	cr_assert_eq(live(push_to_nobody, 0), 20);
}

static void exit_inside(void *object)
{
	(void)object;
	exit(5);
}

static void push_an_exit(void)
{
	struct gate *gate = malloc(sizeof *gate);

	hold_up(defer_drop_queue_default(), gate);
	if (defer_drop(NULL, exit_inside))
		_exit(1);
	for (unsigned i = 0; i < 10; i++)
		if (defer_drop(NULL, count_life))
			_exit(1);
	let_go(gate);
	for (;;)
		pause();
}

Test(global, exit_by_a_destructor_drains_the_rest)
{
	cr_assert_eq(live(push_an_exit, 5), 10);
	set_options("exit_timeout_ns=0");
	cr_assert_eq(live(push_an_exit, 5), 0);
}

/* Drops, and ends the process before they can be destroyed. */
static void nest_and_exit(void *object)
{
	for (unsigned i = 0; i < 3; i++)
		if (defer_drop(object, count_life))
			_exit(1);
	exit(5);
}

static void push_a_nesting_exit(void)
{
	if (defer_drop(NULL, nest_and_exit))
		_exit(1);
	for (;;)
		pause();
}

Test(global, exit_by_a_destructor_destroys_what_it_dropped)
{
	cr_assert_eq(live(push_a_nesting_exit, 5), 3);
}

static void *push_and_exit(void *argument)
{
	(void)argument;
	push_slow_ones();
	exit(6);
}

static void let_a_producer_exit(void)
{
	pthread_t thread;

	push_slow_ones();
	if (pthread_create(&thread, NULL, push_and_exit, NULL))
		_exit(1);
	for (;;)
		pause();
}

Test(global, exit_by_a_producer_drains)
{
	cr_assert_eq(live(let_a_producer_exit, 6), 40);
}

static void *push_for_ever(void *argument)
{
	sem_t *pushing = argument;
	int result;

	while (!(result = defer_drop(NULL, note)))
		sem_post(pushing);
	atomic_store(&life->result, result);
	pause();
	return NULL;
}

static void exit_beside_a_producer(void)
{
	static sem_t pushing;
	pthread_t thread;

	sem_init(&pushing, 0, 0);
	if (pthread_create(&thread, NULL, push_for_ever, &pushing))
		_exit(1);
	for (unsigned i = 0; i < 100; i++)
		await_semaphore(&pushing);
}

Test(global, exit_beside_a_producer_closes_the_queue)
{
	int result;

	cr_assert_eq(live(exit_beside_a_producer, 0), 0);
	result = atomic_load(&life->result);
	/* The process may have been gone before the producer pushed again. */
	cr_assert(result == 1 || result == -ESHUTDOWN, "%d", result);
}

static void push_late(void)
{
	int result = defer_drop(NULL, count_life);

	atomic_store(&life->result, result);
}

static void push_in_handler_after_use(void)
{
	if (defer_drop(NULL, count_life))
		_exit(1);
	atexit(push_late);
}

Test(global, an_exit_handler_set_after_the_first_use_pushes_and_is_drained)
{
	cr_assert_eq(live(push_in_handler_after_use, 0), 2);
	cr_assert_eq(atomic_load(&life->result), 0);
}

static void push_in_handler_before_use(void)
{
	atexit(push_late);
	if (defer_drop(NULL, count_life))
		_exit(1);
}

Test(global, an_exit_handler_set_before_the_first_use_is_refused)
{
	cr_assert_eq(live(push_in_handler_before_use, 0), 1);
	cr_assert_eq(atomic_load(&life->result), -ESHUTDOWN);
}

static void push_in_handler_only(void)
{
	atexit(push_late);
}

Test(global, an_exit_handler_may_be_the_first_to_push)
{
	cr_assert_eq(live(push_in_handler_only, 0), 1);
	cr_assert_eq(atomic_load(&life->result), 0);
}

/* The worker is not quick enough to hide that nobody waits for it. */
static void take_long(void *object)
{
	usleep(300000);
	count_life(object);
}

static void push_long_late(void)
{
	atomic_store(&life->result, defer_drop(NULL, take_long));
}

/* The library has seen the exit before anyone used the default queue. */
static void use_default_in_handler_only(void)
{
	struct defer_drop_queue *queue;

	atexit(push_long_late);
	if (defer_drop_queue_create(&queue, NULL))
		_exit(1);
}

Test(global, a_default_queue_first_used_late_in_exit_loses_nothing)
{
	unsigned destroyed;
	int result;

	destroyed = live(use_default_in_handler_only, 0);
	result = atomic_load(&life->result);
	cr_assert((result == 0 && destroyed == 1) || result == -ESHUTDOWN,
		"the push answers %d and %u are destroyed", result, destroyed);
}

static void ask_for_ticket_late(void)
{
	struct defer_drop_ticket ticket;

	atomic_store(&life->result, defer_drop_queue_ticket(defer_drop_queue_default(), &ticket));
}

static void ask_in_handler_only(void)
{
	struct defer_drop_queue *queue;

	atexit(ask_for_ticket_late);
	if (defer_drop_queue_create(&queue, NULL))
		_exit(1);
}

Test(global, a_default_queue_first_used_late_in_exit_has_no_tickets)
{
	cr_assert_eq(live(ask_in_handler_only, 0), 0);
	answers(-ESHUTDOWN, atomic_load(&life->result));
}

static void make_queue_late(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	int result = defer_drop_queue_create(&queue, &config);

	if (!result)
		result = defer_drop_queue_push(queue, NULL, count_life, FOREVER);
	atomic_store(&life->result, result);
}

static void make_queue_in_handler(void)
{
	atexit(make_queue_late);
	if (defer_drop(NULL, note))
		_exit(1);
}

Test(global, a_queue_made_late_in_exit_loses_nothing)
{
	unsigned destroyed = live(make_queue_in_handler, 0);
	int result = atomic_load(&life->result);

	cr_assert((result == 0 && destroyed == 1) || result == -ESHUTDOWN,
		"the push answers %d and %u are destroyed", result, destroyed);
}

Test(global, the_version_is_that_of_the_header)
{
	cr_assert_eq(defer_drop_version(), DEFER_DROP_VERSION);
}

/* ---- Exit from a destructor, and what comes after it ----------------------------------------- */

static int late_result;
static struct defer_drop_stats late_stats;

static void push_after_exit(void)
{
	late_stats = (struct defer_drop_stats)DEFER_DROP_STATS_INIT;
	late_result = defer_drop(NULL, note);
	defer_drop_queue_stats(defer_drop_queue_default(), &late_stats);
	if (late_result != -ESHUTDOWN)
		_exit(11);
	_exit(late_stats.pushed_total == late_stats.destroyed_total ? 10 : 12);
}

static void end_process(void *object)
{
	(void)object;
	exit(0);
}

static void nest_end_process(void *object)
{
	if (defer_drop(object, end_process))
		_exit(1);
}

/* The handler runs after the library's, on the worker, inside the destructor that called exit. */
static void exit_in_destructor(defer_drop_fn destroy)
{
	atexit(push_after_exit);
	if (defer_drop(NULL, destroy))
		_exit(1);
	for (;;)
		pause();
}

static void exit_in_plain_drop(void)
{
	exit_in_destructor(end_process);
}

static void exit_in_nested_drop(void)
{
	exit_in_destructor(nest_end_process);
}

Test(global, a_push_after_exit_by_a_destructor_answers_eshutdown)
{
	cr_assert_eq(run_child(exit_in_plain_drop), 10);
	cr_assert_eq(run_child(exit_in_nested_drop), 10);
}
