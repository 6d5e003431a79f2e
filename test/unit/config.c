/* SPDX-License-Identifier: MIT
 *
 * Configuration: built-in values, ranges, what goes together, options.
 */
#include "unit.h"

#include "config.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

TestSuite(config, .timeout = 60);

/* What it answers to a configuration with one field set. */
#define with(field, value)                                                                   \
	dd_config_make(&(struct defer_drop_config){.size = sizeof(struct defer_drop_config), \
			       .field = value},                                              \
		&made)

static struct dd_config made;

/* ---- The struct ------------------------------------------------------------------------------ */

Test(config, null_and_zeroes_mean_the_built_in_values)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
	struct dd_config built_in;

	answers(0, dd_config_make(NULL, &built_in));
	answers(0, dd_config_make(&asked, &made));
	cr_assert(dd_config_is_equal(&built_in, &made));
	cr_assert_eq(made.queue_size, DD_QUEUE_SIZE);
	cr_assert_eq(made.max_lanes, DD_MAX_LANES_BUILT_IN);
	cr_assert_str_eq(made.worker_name, "defer_drop");
	cr_assert_str_empty(made.cpus);
	cr_assert_eq(made.quiet_spell_ns, 100 * MS);
	cr_assert_eq(made.watchdog_ns, 0);
	cr_assert_eq(made.longest_nap_ns, MS);
	cr_assert_eq(made.runner, DEFER_DROP_RUNNER_WORKER);
	cr_assert_eq(made.at_exit, DEFER_DROP_AT_EXIT_DRAIN);
	cr_assert_eq(made.at_fork, DEFER_DROP_AT_FORK_EMPTY);
}

Test(config, queue_size_is_a_power_of_two_in_its_range)
{
	for (unsigned bit = 1; bit <= 24; bit++) {
		answers(0, with(queue_size, 1u << bit));
		cr_assert_eq(made.queue_size, 1u << bit);
	}
	answers(-EINVAL, with(queue_size, 1));
	answers(-EINVAL, with(queue_size, 3));
	answers(-EINVAL, with(queue_size, 4095));
	answers(-EINVAL, with(queue_size, 1u << 25));
	answers(-EINVAL, with(queue_size, UINT32_MAX));
}

Test(config, max_lanes_ends_at_1024_or_is_none)
{
	answers(0, with(max_lanes, 1));
	answers(0, with(max_lanes, 1024));
	answers(-EINVAL, with(max_lanes, 1025));
	answers(-EINVAL, with(max_lanes, UINT32_MAX - 1));
	answers(0, with(max_lanes, DEFER_DROP_NO_LANES));
	cr_assert_eq(made.max_lanes, 0);
}

Test(config, worker_name_has_1_to_15_bytes)
{
	answers(0, with(worker_name, "x"));
	answers(0, with(worker_name, "123456789012345"));
	cr_assert_str_eq(made.worker_name, "123456789012345");
	answers(-EINVAL, with(worker_name, ""));
	answers(-EINVAL, with(worker_name, "1234567890123456"));
}

Test(config, cpus_are_a_list_that_names_one_that_exists)
{
	const char *const good[] = {"0", "0-3", "0,0", "0-0", "1000,0", "0,5-9,1023", "0-1023"};
	const char *const bad[] = {"", "x", "-1", "0-", "3-0", "0,", ",0", "0 ", " 0", "0--1",
		"0-1-2", "1024", "0-1024", "1023", "99999999999999999999", "0;1", "0x1"};
	char too_long[600] = "0";

	for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++)
		cr_assert_eq(with(cpus, good[i]), 0, "\"%s\"", good[i]);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_assert_eq(with(cpus, bad[i]), -EINVAL, "\"%s\"", bad[i]);
	for (unsigned i = 1; i + 2 < sizeof too_long; i += 2)
		memcpy(&too_long[i], ",0", 3);
	answers(-EINVAL, with(cpus, too_long));
}

Test(config, a_list_of_cpus_is_read_as_it_is_written)
{
	cpu_set_t cpus;

	cr_assert(dd_cpus_parse("0-2,6,8-8", &cpus));
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		cr_assert_eq(!!CPU_ISSET(cpu, &cpus), cpu <= 2 || cpu == 6 || cpu == 8, "%u", cpu);
}

Test(config, choices_end_with_the_last_one)
{
	answers(0, with(runner, DEFER_DROP_RUNNER_CALLER));
	answers(-EINVAL, with(runner, DEFER_DROP_RUNNER_CALLER + 1));
	answers(0, with(at_exit, DEFER_DROP_AT_EXIT_ABANDON));
	answers(-EINVAL, with(at_exit, DEFER_DROP_AT_EXIT_ABANDON + 1));
	answers(0, with(at_fork, DEFER_DROP_AT_FORK_KEEP));
	answers(-EINVAL, with(at_fork, DEFER_DROP_AT_FORK_KEEP + 1));
	answers(0, with(scheduling, DEFER_DROP_SCHEDULING_IDLE));
	answers(-EINVAL, with(scheduling, DEFER_DROP_SCHEDULING_RR + 1));
	answers(-EINVAL, with(scheduling, UINT32_MAX));
}

Test(config, numbers_keep_to_their_ranges)
{
	uint64_t least_stack = (uint64_t)sysconf(_SC_THREAD_STACK_MIN);

	answers(0, with(niceness, -20));
	answers(0, with(niceness, 19));
	answers(-EINVAL, with(niceness, -21));
	answers(-EINVAL, with(niceness, 20));
	answers(-EINVAL, with(niceness, INT32_MIN));
	answers(0, with(stack_size_bytes, least_stack));
	answers(-EINVAL, with(stack_size_bytes, least_stack - 1));
	answers(0, with(stack_size_bytes, UINT64_C(1) << 32));
	answers(-EINVAL, with(stack_size_bytes, (UINT64_C(1) << 32) + 1));
	answers(0, with(quiet_spell_ns, MS));
	answers(-EINVAL, with(quiet_spell_ns, MS - 1));
	answers(0, with(quiet_spell_ns, DEFER_DROP_TIMEOUT_MAX));
	answers(-EINVAL, with(quiet_spell_ns, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EINVAL, with(quiet_spell_ns, DEFER_DROP_NEVER - 1));
	answers(0, with(quiet_spell_ns, DEFER_DROP_NEVER));
	answers(0, with(longest_nap_ns, 1000));
	answers(-EINVAL, with(longest_nap_ns, 999));
	answers(0, with(longest_nap_ns, S));
	answers(-EINVAL, with(longest_nap_ns, S + 1));
}

/* ---- Bytes and marks ------------------------------------------------------------------------- */

#define MOST (UINT64_C(1) << 62)

static void ignore_level(void *context, const struct defer_drop_level *level)
{
	(void)context;
	(void)level;
}

static int make_with_marks(
	uint64_t high_drops, uint64_t low_drops, uint64_t high_bytes, uint64_t low_bytes)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.watermark = ignore_level;
	asked.high_drops = high_drops;
	asked.low_drops = low_drops;
	asked.high_bytes = high_bytes;
	asked.low_bytes = low_bytes;
	return dd_config_make(&asked, &made);
}

Test(config, bytes_and_intervals_keep_to_their_ranges)
{
	answers(0, dd_config_make(NULL, &made));
	cr_assert_eq(made.max_bytes, MOST);
	cr_assert_eq(made.watermark_interval_ns, 10 * MS);
	answers(0, with(max_bytes, 1));
	answers(0, with(max_bytes, MOST));
	answers(-EINVAL, with(max_bytes, MOST + 1));
	answers(-EINVAL, with(max_bytes, UINT64_MAX));
	answers(0, with(watermark_interval_ns, 1000));
	answers(-EINVAL, with(watermark_interval_ns, 999));
	answers(0, with(watermark_interval_ns, MOST));
	answers(-EINVAL, with(watermark_interval_ns, MOST + 1));
	answers(0, with(watchdog_ns, MS));
	answers(-EINVAL, with(watchdog_ns, MS - 1));
	answers(-EINVAL, with(watchdog_ns, 1));
	answers(0, with(watchdog_ns, MOST));
	answers(-EINVAL, with(watchdog_ns, MOST + 1));
}

Test(config, marks_keep_to_their_ranges_and_the_low_ones_lie_below)
{
	answers(0, make_with_marks(100, 0, 0, 0));
	cr_assert_eq(made.low_drops, 50);
	answers(0, make_with_marks(0, 0, 7, 0));
	cr_assert_eq(made.low_bytes, 3);
	answers(0, make_with_marks(1, 0, 1, 0));
	answers(0, make_with_marks(MOST, MOST - 1, MOST, MOST - 1));
	answers(0, make_with_marks(100, 1, 0, 0));
	cr_assert_eq(made.low_drops, 1);
	answers(-EINVAL, make_with_marks(MOST + 1, 1, 0, 0));
	answers(-EINVAL, make_with_marks(0, 0, MOST + 1, 1));
	answers(-EINVAL, make_with_marks(100, 100, 0, 0));
	answers(-EINVAL, make_with_marks(0, 0, 100, 101));
	answers(-EINVAL, make_with_marks(0, 10, 100, 0));
	answers(-EINVAL, make_with_marks(100, 0, 0, 10));
}

Test(config, marks_go_with_a_watermark_function_only)
{
	answers(-EINVAL, make_with_marks(0, 0, 0, 0));
	answers(-EINVAL, with(high_drops, 100));
	answers(-EINVAL, with(high_bytes, 100));
	answers(-EINVAL, with(low_drops, 100));
	answers(-EINVAL, with(low_bytes, 100));
}

static int make_with_priority(uint32_t scheduling, uint32_t priority)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.scheduling = scheduling;
	asked.scheduling_priority = priority;
	return dd_config_make(&asked, &made);
}

Test(config, a_priority_goes_with_fifo_and_rr_only)
{
	for (uint32_t scheduling = 0; scheduling <= DEFER_DROP_SCHEDULING_RR; scheduling++) {
		bool is_realtime = scheduling >= DEFER_DROP_SCHEDULING_FIFO;

		answers(is_realtime ? 0 : -EINVAL, make_with_priority(scheduling, 1));
		answers(is_realtime ? 0 : -EINVAL, make_with_priority(scheduling, 99));
		answers(is_realtime ? -EINVAL : 0, make_with_priority(scheduling, 0));
		answers(-EINVAL, make_with_priority(scheduling, 100));
	}
}

static int make_with_timeout(uint32_t at_exit, uint64_t timeout_ns)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.at_exit = at_exit;
	asked.exit_timeout_ns = timeout_ns;
	return dd_config_make(&asked, &made);
}

Test(config, an_exit_timeout_goes_with_a_timed_exit_only)
{
	for (uint32_t at_exit = 0; at_exit <= DEFER_DROP_AT_EXIT_ABANDON; at_exit++) {
		bool is_timed = at_exit == DEFER_DROP_AT_EXIT_TIMED;

		answers(is_timed ? 0 : -EINVAL, make_with_timeout(at_exit, 1));
		answers(is_timed ? 0 : -EINVAL, make_with_timeout(at_exit, DEFER_DROP_TIMEOUT_MAX));
		answers(-EINVAL, make_with_timeout(at_exit, DEFER_DROP_TIMEOUT_MAX + 1));
		answers(-EINVAL, make_with_timeout(at_exit, DEFER_DROP_FOREVER));
	}
}

Test(config, a_later_version_is_taken_where_it_asks_for_nothing_new)
{
	struct {
		struct defer_drop_config known;
		unsigned char unknown[3];
	} later = {.known = DEFER_DROP_CONFIG_INIT};

	later.known.size = offsetof(__typeof__(later), unknown) + 3;
	later.known.queue_size = 8;
	answers(0, dd_config_make(&later.known, &made));
	cr_assert_eq(made.queue_size, 8);
	for (unsigned i = 0; i < 3; i++) {
		later.unknown[i] = 1;
		answers(-E2BIG, dd_config_make(&later.known, &made));
		later.unknown[i] = 0;
	}
	later.known.size = 0;
	answers(-EINVAL, dd_config_make(&later.known, &made));
}

Test(config, what_is_shown_asks_for_the_same)
{
	struct defer_drop_config shown = DEFER_DROP_CONFIG_INIT;
	struct dd_config again;

	answers(0, with(max_lanes, DEFER_DROP_NO_LANES));
	answers(0, dd_config_show(&made, &shown));
	cr_assert_eq(shown.max_lanes, DEFER_DROP_NO_LANES);
	answers(0, dd_config_make(&shown, &again));
	cr_assert(dd_config_is_equal(&made, &again));
}

static void ignore_slow(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	(void)slow;
}

Test(config, each_field_makes_a_difference)
{
	struct dd_config built_in;

	answers(0, dd_config_make(NULL, &built_in));
#define differs(field, value)           \
	answers(0, with(field, value)); \
	cr_assert_not(dd_config_is_equal(&built_in, &made), #field)
	differs(queue_size, 2);
	differs(max_lanes, 2);
	differs(worker_name, "x");
	differs(cpus, "0");
	differs(scheduling, DEFER_DROP_SCHEDULING_OTHER);
	differs(niceness, 1);
	differs(runner, DEFER_DROP_RUNNER_CALLER);
	differs(at_exit, DEFER_DROP_AT_EXIT_ABANDON);
	differs(at_fork, DEFER_DROP_AT_FORK_KEEP);
	differs(stack_size_bytes, 1 << 20);
	differs(quiet_spell_ns, MS);
	differs(longest_nap_ns, 1000);
	differs(watchdog_ns, MS);
	differs(watchdog, ignore_slow);
#undef differs
}

Test(config, each_scheduling_has_its_policy)
{
	const int policies[] = {0, SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR};

	for (uint32_t i = DEFER_DROP_SCHEDULING_OTHER; i <= DEFER_DROP_SCHEDULING_RR; i++) {
		struct dd_config config = {.scheduling = i};

		cr_assert_eq(dd_config_policy(&config), policies[i]);
	}
}

/* ---- Options --------------------------------------------------------------------------------- */

static unsigned complaints;
static char complaint[1024]; /* the last option that was wrong, and what is accepted */

static void complain(const char *option, const char *accepted)
{
	complaints++;
	snprintf(complaint, sizeof complaint, "%s|%s", option, accepted);
}

static void apply(const char *options)
{
	complaints = 0;
	answers(0, dd_config_make(NULL, &made));
	dd_config_override(&made, options, complain);
}

static void assert_applies(const char *options)
{
	apply(options);
	cr_assert_eq(complaints, 0, "%s: %s", options, complaint);
}

Test(config, options_set_their_fields)
{
	assert_applies("queue_size=2");
	cr_assert_eq(made.queue_size, 2);
	assert_applies("max_lanes=none");
	cr_assert_eq(made.max_lanes, 0);
	assert_applies("max_lanes=1024");
	cr_assert_eq(made.max_lanes, 1024);
	assert_applies("worker_name=a b=c");
	cr_assert_str_eq(made.worker_name, "a b=c");
	assert_applies("scheduling=rr,scheduling_priority=99");
	cr_assert_eq(made.scheduling, DEFER_DROP_SCHEDULING_RR);
	cr_assert_eq(made.scheduling_priority, 99);
	assert_applies("niceness=-20");
	cr_assert_eq(made.niceness, -20);
	assert_applies("runner=caller");
	cr_assert_eq(made.runner, DEFER_DROP_RUNNER_CALLER);
	assert_applies("exit_timeout_ns=4611686018427387904,at_exit=timed");
	cr_assert_eq(made.exit_timeout_ns, DEFER_DROP_TIMEOUT_MAX);
	assert_applies("at_fork=keep");
	cr_assert_eq(made.at_fork, DEFER_DROP_AT_FORK_KEEP);
	assert_applies("stack_size_bytes=4294967296");
	cr_assert_eq(made.stack_size_bytes, UINT64_C(1) << 32);
	assert_applies("quiet_spell_ns=never");
	cr_assert_eq(made.quiet_spell_ns, DEFER_DROP_NEVER);
	assert_applies("longest_nap_ns=1000000000");
	cr_assert_eq(made.longest_nap_ns, S);
	assert_applies("watchdog_ns=1000000");
	cr_assert_eq(made.watchdog_ns, MS);
}

Test(config, every_word_of_the_manual_is_a_value)
{
	assert_applies("runner=worker");
	assert_applies("at_exit=drain");
	assert_applies("at_exit=abandon");
	assert_applies("at_fork=empty");
	assert_applies("scheduling=other");
	cr_assert_eq(made.scheduling, DEFER_DROP_SCHEDULING_OTHER);
	assert_applies("scheduling=batch");
	cr_assert_eq(made.scheduling, DEFER_DROP_SCHEDULING_BATCH);
	assert_applies("scheduling=idle");
	cr_assert_eq(made.scheduling, DEFER_DROP_SCHEDULING_IDLE);
	assert_applies("scheduling=fifo,scheduling_priority=1");
	cr_assert_eq(made.scheduling, DEFER_DROP_SCHEDULING_FIFO);
}

Test(config, options_may_stand_in_any_order_and_the_last_one_counts)
{
	assert_applies(",queue_size=4,,queue_size=8,");
	cr_assert_eq(made.queue_size, 8);
	assert_applies("cpus=0-3,5,7-9,queue_size=16");
	cr_assert_str_eq(made.cpus, "0-3,5,7-9");
	cr_assert_eq(made.queue_size, 16);
	assert_applies("");
}

static void assert_refuses(const char *option)
{
	struct dd_config built_in;

	answers(0, dd_config_make(NULL, &built_in));
	apply(option);
	cr_assert_eq(complaints, 1, "%s: %u complaints", option, complaints);
	cr_assert_eq(strncmp(complaint, option, strlen(option)), 0, "%s: %s", option, complaint);
	cr_assert(dd_config_is_equal(&made, &built_in), "%s", option);
}

Test(config, wrong_options_change_nothing_and_are_reported)
{
	const char *const wrong[] = {"queue_size=0", "queue_size=-2", "queue_size= 2",
		"queue_size=2 ", "queue_size=0x2", "queue_size=", "queue_size", "=2",
		"Queue_size=2", "queue_size=18446744073709551618", "queue_size=4294967298",
		"max_lanes=0", "max_lanes=1025", "max_lanes=4294967295", "max_lanes=never",
		"worker_name=", "worker_name=1234567890123456", "cpus=", "cpus=1-0", "cpus=1023",
		"scheduling=1", "scheduling=", "scheduling=none", "niceness=20", "niceness=-21",
		"niceness=-", "runner=1", "at_exit=2", "at_fork=drain", "stack_size_bytes=1",
		"stack_size_bytes=-1", "quiet_spell_ns=999999", "quiet_spell_ns=none",
		"quiet_spell_ns=18446744073709551615", "longest_nap_ns=999", "watchdog_ns=0",
		"watchdog_ns=999999", "watchdog_ns=never", "watchdog_ns=4611686018427387905",
		"size=112", "niceness=4294967297", "longest_nap_ns=18446744073709552616"};

	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_refuses(wrong[i]);
}

Test(config, what_is_accepted_is_said)
{
	apply("queue_size=3");
	cr_assert_str_eq(complaint, "queue_size=3|a power of two in 2..16777216");
	apply("runner=me");
	cr_assert_str_eq(complaint, "runner=me|worker or caller");
	apply("nobody=knows");
	cr_assert_not_null(strstr(complaint, "longest_nap_ns"));
}

Test(config, an_option_of_any_length_is_survived)
{
	static char options[100000];

	memset(options, 'x', sizeof options - 1);
	apply(options);
	cr_assert_eq(complaints, 1);
	memset(options, '=', sizeof options - 1);
	apply(options);
	cr_assert_eq(complaints, 1);
	memset(options, ',', sizeof options - 1);
	assert_applies(options);
	snprintf(options, sizeof options, "%09999d,queue_size=8", 0);
	apply(options);
	cr_assert_eq(complaints, 1);
}

Test(config, of_a_number_that_is_too_long_no_part_is_taken)
{
	char option[400];

	snprintf(option, sizeof option, "queue_size=%0276d384", 16);
	apply(option);
	cr_assert_eq(complaints, 1);
	cr_assert_not_null(strstr(complaint, "|at most 287 bytes"));
	cr_assert_eq(made.queue_size, DD_QUEUE_SIZE);
}

Test(config, a_wrong_combination_takes_no_other_option_along)
{
	apply("queue_size=8,exit_timeout_ns=5");
	cr_assert_geq(complaints, 1);
	cr_assert_eq(made.exit_timeout_ns, 0);
	cr_assert_eq(made.queue_size, 8, "what was right is left out too");
}

Test(config, each_wrong_combination_is_reported)
{
	const char *const wrong[] = {"exit_timeout_ns=5", "at_exit=timed", "scheduling=fifo",
		"scheduling_priority=5", "scheduling=batch,scheduling_priority=5"};

	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		apply(wrong[i]);
		cr_assert_eq(complaints, 1, "%s", wrong[i]);
		cr_assert_eq(made.exit_timeout_ns, 0);
		cr_assert_eq(made.scheduling_priority, 0);
	}
}
