/* SPDX-License-Identifier: MIT
 *
 * The default queue starts with its first use, or by defer_drop_start.
 */
#include "ending.h"

TestSuite(global, .timeout = 60);

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

/* Returns how many calls did not return 0. */
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
#ifdef COUNTS_RUNS /* the user nobody may not write the counters, and says so after it */
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
