/* SPDX-License-Identifier: MIT
 *
 * Making and freeing queues, and their configuration.
 */
#include "queues.h"

TestSuite(queue, .timeout = 60);

/* ---- Making, freeing, configuration ---------------------------------------------------------- */

static void assert_not_made(int result, const struct defer_drop_config *config)
{
	struct defer_drop_queue *queue = (void *)&seen;

	answers(result, defer_drop_queue_create(&queue, config));
	cr_assert_eq((void *)queue, (void *)&seen, "the result was touched");
}

Test(queue, create_refuses_what_is_wrong_and_leaves_the_result_alone)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct {
		struct defer_drop_config known;
		uint64_t unknown;
	} later = {DEFER_DROP_CONFIG_INIT, 1};

	answers(-EINVAL, defer_drop_queue_create(NULL, NULL));
	config.queue_size = 3;
	assert_not_made(-EINVAL, &config);
	config.queue_size = 8;
	config.size = 0;
	assert_not_made(-EINVAL, &config);
	later.known.size = sizeof later;
	assert_not_made(-E2BIG, &later.known);
}

Test(queue, create_answers_enomem_where_there_is_no_memory, .disabled = HAS_SANITIZER)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 1u << 24; /* 256 MiB */
	limit_memory(100u << 20);
	assert_not_made(-ENOMEM, &config);
}

Test(queue, create_answers_esrch_where_no_thread_can_be_made, .disabled = HAS_SANITIZER)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.stack_size_bytes = UINT64_C(1) << 32;
	limit_memory(UINT64_C(1) << 30);
	assert_not_made(-ESRCH, &config);
}

/* Exits with 0 if neither a real-time worker nor one with priority may be created: -EPERM. */
static void be_nobody(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct rlimit none = {0, 0};
	struct defer_drop_queue *queue;

	/* A process that is preferred already may ask for that much again. */
	if (setpriority(PRIO_PROCESS, 0, 0))
		_exit(2);
	setrlimit(RLIMIT_RTPRIO, &none);
	setrlimit(RLIMIT_NICE, &none);
	if (!getuid() && setuid(65534))
		_exit(2);
	config.scheduling = DEFER_DROP_SCHEDULING_FIFO;
	config.scheduling_priority = 1;
	fprintf(stderr, "FIFO answers %d\n", defer_drop_queue_create(&queue, &config));
	config.scheduling = 0;
	config.scheduling_priority = 0;
	config.niceness = -5;
	fprintf(stderr, "niceness answers %d\n", defer_drop_queue_create(&queue, &config));
}

Test(queue, create_answers_eperm_where_priority_is_not_allowed)
{
	char want[64];

	cr_assert_eq(run_child(be_nobody), 0);
	snprintf(want, sizeof want, "FIFO answers %d\n", -EPERM);
	cr_assert_eq(times_said(want), 1, "%s", said);
	snprintf(want, sizeof want, "niceness answers %d\n", -EPERM);
	cr_assert_eq(times_said(want), 1, "%s", said);
}

Test(queue, free_answers_ebusy_before_a_shutdown_and_changes_nothing)
{
	const uint32_t runners[] = {WORKER, CALLER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 16, LANES);

		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(-EBUSY, defer_drop_queue_free(queue));
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&seen_count), 4);
}

Test(queue, free_refuses_the_default_queue)
{
	answers(-EINVAL, defer_drop_queue_free(defer_drop_queue_default()));
	answers(0, defer_drop_shutdown());
	answers(-EINVAL, defer_drop_queue_free(defer_drop_queue_default()));
}

Test(queue, config_tells_the_built_in_values)
{
	struct defer_drop_queue *queue =
		make_queue(DEFER_DROP_RUNNER_DEFAULT, DD_QUEUE_SIZE, LANES);
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	answers(0, defer_drop_queue_config(queue, &config));
	cr_assert_eq(config.size, sizeof config);
	cr_assert_eq(config.queue_size, DD_QUEUE_SIZE);
	cr_assert_eq(config.max_lanes, DD_MAX_LANES_BUILT_IN);
	cr_assert_str_eq(config.name, "defer_drop");
	cr_assert_eq(config.runner, DEFER_DROP_RUNNER_WORKER);
	cr_assert_eq(config.at_fork, DEFER_DROP_AT_FORK_EMPTY);
	cr_assert_eq(config.quiet_spell_ns, 100 * MS);
	cr_assert_eq(config.longest_delay_ns, 20 * MS);
	cr_assert_eq(config.exit_timeout_ns, FOREVER);
	cr_assert_eq(config.niceness, DEFER_DROP_NICENESS_INHERITED);
	cr_assert_eq(config.pending_eventfd, -1);
	cr_assert_eq(config.max_bytes, UINT64_C(1) << 62);
	cr_assert_eq(config.high_drops, 0);
	cr_assert_eq(config.low_drops, 0);
	cr_assert_eq(config.watermark_interval_ns, 10 * MS);
	cr_assert_eq(config.watchdog_ns, 0);
	cr_assert_null(config.cpus);
	end_queue(queue);
}

Test(queue, config_tells_what_was_asked_for)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_config told = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	char name[] = "reaper";

	asked.queue_size = 2;
	asked.max_lanes = 0;
	asked.name = name;
	asked.cpus = "0-1023";
	asked.scheduling = DEFER_DROP_SCHEDULING_BATCH;
	asked.niceness = 3;
	asked.exit_timeout_ns = 5;
	asked.at_fork = DEFER_DROP_AT_FORK_KEEP;
	asked.stack_size_bytes = 1 << 20;
	asked.quiet_spell_ns = DEFER_DROP_NEVER;
	asked.longest_delay_ns = 1000;
	asked.max_bytes = 1 << 20;
	asked.high_drops = 100;
	asked.low_drops = 10;
	asked.high_bytes = 1 << 19;
	asked.low_bytes = 1 << 10;
	asked.watermark_interval_ns = 1000;
	asked.watermark = ignore_level;
	asked.error = ignore_failure;
	asked.watchdog_ns = MS;
	asked.watchdog = ignore_slow;
	asked.worker_start = ignore_start;
	asked.context = &asked;
	answers(0, defer_drop_queue_create(&queue, &asked));
	name[0] = 'X'; /* the library has its own copy */
	answers(0, defer_drop_queue_config(queue, &told));
	cr_assert_str_eq(told.name, "reaper");
	cr_assert_str_eq(told.cpus, "0-1023");
	told.name = asked.name;
	told.cpus = asked.cpus;
	told.runner = 0;
	cr_assert_arr_eq(&told, &asked, sizeof told);
	end_queue(queue);
}

Test(queue, config_fills_in_no_more_than_the_caller_knows)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct {
		struct defer_drop_config known;
		unsigned char unknown[8];
	} later = {.known = DEFER_DROP_CONFIG_INIT, .unknown = "unknown"};

	later.known.size = sizeof later;
	answers(0, defer_drop_queue_config(queue, &later.known));
	cr_assert_eq(later.known.size, sizeof later.known, "so much was filled in");
	cr_assert_eq(later.known.queue_size, 8);
	cr_assert_arr_eq(later.unknown, "unknown", 8);
	end_queue(queue);
}

Test(queue, config_answers_einval_to_less_than_the_first_version)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	/* The first version ended with this field. */
	size_t first = offsetof(struct defer_drop_config, destructor_times) + sizeof(uint32_t);

	answers(-EINVAL, defer_drop_queue_config(queue, NULL));
	config.size = 0;
	answers(-EINVAL, defer_drop_queue_config(queue, &config));
	config.size = first - 1;
	answers(-EINVAL, defer_drop_queue_config(queue, &config));
	config.size = first;
	answers(0, defer_drop_queue_config(queue, &config));
	end_queue(queue);
}

Test(queue, a_thousand_queues_come_and_go)
{
	for (unsigned i = 0; i < 1000; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 4, LANES);

		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		/* Each of them has had a lane to spare for this thread. */
		cr_assert_eq(stats_of(queue).lanes, 2);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&seen_count), 1000);
}

static void *create_and_end(void *argument)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	uintptr_t wrong = 0;

	(void)argument;
	for (unsigned i = 0; i < 50; i++) {
		struct defer_drop_queue *queue;

		wrong += defer_drop_queue_create(&queue, &config) != 0;
		wrong += defer_drop_queue_push(queue, NULL, note, FOREVER) != 0;
		wrong += defer_drop_queue_shutdown(queue, FOREVER) != 0;
		wrong += defer_drop_queue_free(queue) != 0;
	}
	return number(wrong);
}

Test(queue, threads_make_and_free_queues_side_by_side)
{
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		threads[i] = spawn(create_and_end, NULL);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_null(join_thread(threads[i]));
	cr_assert_eq(atomic_load(&seen_count), 200);
}
