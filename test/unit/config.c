/* SPDX-License-Identifier: MIT
 *
 * Configuration: built-in values, ranges, rules of several fields, messages, the environment.
 */
#include "unit.h"

#include <sys/eventfd.h>

#include "config/config.h"
#include "config/environment.h"

#define MS   UINT64_C(1000000)
#define S    UINT64_C(1000000000)
#define MOST (UINT64_C(1) << 62)

/* Options that a program or a user can write as text: all except pointers. */
#define WRITTEN 24

/* Size of the first version of the struct, which ended with this field. */
#define FIRST_BYTES (offsetof(struct defer_drop_config, destructor_times) + sizeof(uint32_t))

TestSuite(config, .timeout = 60);

static struct dd_config made;

static struct defer_drop_config changed;

static struct defer_drop_config with_watermark(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.watermark = ignore_level;
	return config;
}

/* Makes a configuration with one field changed, and returns the result. */
#define with(field, given) \
	(changed = with_watermark(), changed.field = (given), dd_config_make(&changed, &made))

#define accepts(field, given)                           \
	do {                                            \
		answers(0, with(field, given));         \
		cr_assert_eq(made.values.field, given); \
	} while (0)

#define refuses(field, given) answers(-EINVAL, with(field, given))

#define ends_at(field, most)                \
	do {                                \
		accepts(field, most);       \
		refuses(field, (most) + 1); \
	} while (0)

#define keeps_within(field, least, most)   \
	do {                               \
		refuses(field, (least)-1); \
		accepts(field, least);     \
		ends_at(field, most);      \
	} while (0)

/* ---- Built-in values ------------------------------------------------------------------------- */

Test(config, null_and_the_initializer_mean_the_built_in_values)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
	struct dd_config built_in;

	answers(0, dd_config_make(NULL, &built_in));
	answers(0, dd_config_make(&asked, &made));
	cr_assert(dd_config_is_equal(&built_in, &made));
}

Test(config, built_in_values_are_those_of_the_manual)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	cr_assert_eq(config.size, sizeof config);
	cr_assert_eq(config.queue_size, DD_QUEUE_SIZE);
	cr_assert_eq(config.max_lanes, DD_MAX_LANES_BUILT_IN);
	cr_assert_str_eq(config.name, "defer_drop");
	cr_assert_null(config.cpus);
	cr_assert_eq(config.scheduling, DEFER_DROP_SCHEDULING_DEFAULT);
	cr_assert_eq(config.scheduling_priority, 0);
	cr_assert_eq(config.niceness, DEFER_DROP_NICENESS_INHERITED);
	cr_assert_eq(config.runner, DEFER_DROP_RUNNER_DEFAULT);
	cr_assert_eq(config.at_fork, DEFER_DROP_AT_FORK_DEFAULT);
	cr_assert_eq(config.pending_eventfd, -1);
	cr_assert_eq(config.exit_timeout_ns, DEFER_DROP_UNSET);
	cr_assert_eq(config.stack_size_bytes, 0);
	cr_assert_eq(config.quiet_spell_ns, 100 * MS);
	cr_assert_eq(config.longest_delay_ns, 20 * MS);
	cr_assert_eq(config.max_bytes, MOST);
	cr_assert_eq(config.high_drops, 0);
	cr_assert_eq(config.low_drops, DEFER_DROP_UNSET);
	cr_assert_eq(config.high_bytes, 0);
	cr_assert_eq(config.low_bytes, DEFER_DROP_UNSET);
	cr_assert_eq(config.watermark_interval_ns, 10 * MS);
	cr_assert_eq(config.watchdog_ns, 0);
	cr_assert(!config.watermark && !config.error && !config.watchdog && !config.worker_start);
	cr_assert(!config.context && !config.rcu_flavor);
	cr_assert_eq(config.populate_lanes, 0);
	cr_assert_eq(config.destructor_times, DEFER_DROP_TIMES_OFF);
	cr_assert_eq(config.stats_print, DEFER_DROP_FORMAT_NONE);
}

Test(config, what_the_program_leaves_open_is_resolved)
{
	answers(0, dd_config_make(NULL, &made));
	cr_assert_eq(made.values.runner, DEFER_DROP_RUNNER_WORKER);
	cr_assert_eq(made.values.at_fork, DEFER_DROP_AT_FORK_EMPTY);
	cr_assert_eq(made.values.exit_timeout_ns, DEFER_DROP_FOREVER);
	cr_assert_eq(made.values.low_drops, 0);
	cr_assert_eq(made.values.low_bytes, 0);
	cr_assert_eq(made.values.scheduling, DEFER_DROP_SCHEDULING_DEFAULT);
	answers(0, with(high_drops, 101));
	cr_assert_eq(made.values.low_drops, 50);
	answers(0, with(high_bytes, 7));
	cr_assert_eq(made.values.low_bytes, 3);
}

Test(config, as_much_of_the_built_in_values_is_filled_in_as_there_is_room_for)
{
	struct {
		struct defer_drop_config known;
		unsigned char unknown[8];
	} later;

	memset(&later, 0x55, sizeof later);
	later.known.size = sizeof later;
	answers(0, defer_drop_config_built_in(&later.known));
	cr_assert_eq(later.known.size, sizeof later.known);
	cr_assert_eq(later.known.queue_size, DD_QUEUE_SIZE);
	cr_assert_eq(later.unknown[0], 0x55);
	later.known.size = FIRST_BYTES - 1;
	answers(-EINVAL, defer_drop_config_built_in(&later.known));
	answers(-EINVAL, defer_drop_config_built_in(NULL));
}

/* ---- Each field ------------------------------------------------------------------------------ */

Test(config, queue_size_is_a_power_of_two_in_its_range)
{
	for (unsigned bit = 1; bit <= 24; bit++)
		accepts(queue_size, 1u << bit);
	refuses(queue_size, 0);
	refuses(queue_size, 1);
	refuses(queue_size, 3);
	refuses(queue_size, 4095);
	refuses(queue_size, 1u << 25);
	refuses(queue_size, UINT32_MAX);
}

Test(config, numbers_keep_to_their_ranges)
{
	accepts(max_lanes, 0);
	ends_at(max_lanes, 1024);
	refuses(max_lanes, UINT32_MAX);
	keeps_within(niceness, -20, 19);
	accepts(niceness, DEFER_DROP_NICENESS_INHERITED);
	refuses(niceness, INT32_MIN + 1);
	refuses(niceness, INT32_MAX);
	keeps_within(max_bytes, 1, MOST);
	refuses(max_bytes, UINT64_MAX);
	accepts(high_drops, 0);
	ends_at(high_drops, MOST);
	accepts(high_bytes, 0);
	ends_at(high_bytes, MOST);
	refuses(high_drops, DEFER_DROP_UNSET);
	refuses(high_bytes, DEFER_DROP_UNSET);
	accepts(populate_lanes, 0);
	ends_at(populate_lanes, 1);
	accepts(destructor_times, DEFER_DROP_TIMES_OFF);
	ends_at(destructor_times, DEFER_DROP_TIMES_EXACT);
	accepts(stats_print, DEFER_DROP_FORMAT_NONE);
	ends_at(stats_print, DEFER_DROP_FORMAT_JSON);
}

Test(config, a_stack_is_the_systems_or_at_least_what_the_system_says)
{
	uint64_t least = (uint64_t)sysconf(_SC_THREAD_STACK_MIN);

	keeps_within(stack_size_bytes, least, UINT64_C(1) << 32);
	accepts(stack_size_bytes, 0);
	refuses(stack_size_bytes, 1);
	refuses(stack_size_bytes, UINT64_MAX);
}

Test(config, times_keep_to_their_ranges)
{
	accepts(exit_timeout_ns, 0);
	ends_at(exit_timeout_ns, DEFER_DROP_TIMEOUT_MAX);
	accepts(exit_timeout_ns, DEFER_DROP_FOREVER);
	refuses(exit_timeout_ns, DEFER_DROP_UNSET - 1);
	keeps_within(quiet_spell_ns, MS, DEFER_DROP_TIMEOUT_MAX);
	accepts(quiet_spell_ns, DEFER_DROP_NEVER);
	refuses(quiet_spell_ns, DEFER_DROP_NEVER - 1);
	refuses(quiet_spell_ns, 0);
	keeps_within(longest_delay_ns, 1000, S);
	refuses(longest_delay_ns, 0);
	accepts(watermark_interval_ns, 0);
	ends_at(watermark_interval_ns, MOST);
	refuses(watermark_interval_ns, UINT64_MAX);
	keeps_within(watchdog_ns, MS, DEFER_DROP_TIMEOUT_MAX);
	accepts(watchdog_ns, 0);
	refuses(watchdog_ns, 1);
	refuses(watchdog_ns, UINT64_MAX);
}

Test(config, choices_end_with_the_last_one)
{
	accepts(runner, DEFER_DROP_RUNNER_DRAINER);
	refuses(runner, DEFER_DROP_RUNNER_DRAINER + 1);
	accepts(at_fork, DEFER_DROP_AT_FORK_KEEP);
	refuses(at_fork, DEFER_DROP_AT_FORK_KEEP + 1);
	accepts(scheduling, DEFER_DROP_SCHEDULING_IDLE);
	accepts(scheduling, DEFER_DROP_SCHEDULING_INHERITED);
	refuses(scheduling, DEFER_DROP_SCHEDULING_INHERITED + 1);
	refuses(scheduling, UINT32_MAX);
}

Test(config, a_name_has_1_to_15_bytes_and_is_copied)
{
	char name[] = "123456789012345";

	answers(0, with(name, name));
	name[0] = 'x';
	cr_assert_str_eq(made.values.name, "123456789012345");
	answers(0, with(name, "x"));
	refuses(name, "");
	refuses(name, "1234567890123456");
	refuses(name, NULL);
}

Test(config, cpus_are_a_list_that_names_one_that_exists)
{
	const char *const good[] = {
		"0", "0-3", "0,0", "0-0", "1000,0", "0,5-9,1023", "0-1023", "00000"};
	const char *const bad[] = {"", "x", "-1", "0-", "3-0", "0,", ",0", "0 ", " 0", "0--1",
		"0-1-2", "1024", "0-1024", "1023", "99999999999999999999", "0;1", "0x1",
		"inherited", "4294967296"};
	char too_long[600] = "0";

	for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
		cr_assert_eq(with(cpus, good[i]), 0, "\"%s\"", good[i]);
		cr_assert_str_eq(made.values.cpus, good[i]);
		cr_assert_neq(made.values.cpus, good[i]);
	}
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_assert_eq(with(cpus, bad[i]), -EINVAL, "\"%s\"", bad[i]);
	for (unsigned i = 1; i + 2 < 254; i += 2)
		memcpy(&too_long[i], ",0", 3);
	answers(0, with(cpus, too_long));
	memcpy(&too_long[253], ",00", 4);
	refuses(cpus, too_long);
	for (unsigned i = 253; i + 2 < sizeof too_long; i += 2)
		memcpy(&too_long[i], ",0", 3);
	refuses(cpus, too_long);
}

Test(config, a_list_of_cpus_is_read_as_it_is_written)
{
	cpu_set_t cpus;

	cr_assert(dd_cpus_parse("0-2,6,8-8", &cpus));
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		cr_assert_eq(!!CPU_ISSET(cpu, &cpus), cpu <= 2 || cpu == 6 || cpu == 8, "%u", cpu);
}

Test(config, each_scheduling_has_its_policy)
{
	const int policies[] = {0, SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR};

	for (uint32_t i = DEFER_DROP_SCHEDULING_OTHER; i <= DEFER_DROP_SCHEDULING_RR; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

		config.scheduling = i;
		cr_assert_eq(dd_config_policy(&config), policies[i]);
	}
}

/* ---- Fields together ------------------------------------------------------------------------- */

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

Test(config, low_marks_lie_below_high_ones)
{
	const uint64_t unset = DEFER_DROP_UNSET;

	answers(0, make_with_marks(1, unset, 1, unset));
	answers(0, make_with_marks(1, 0, 1, 0));
	answers(0, make_with_marks(MOST, MOST - 1, MOST, MOST - 1));
	cr_assert_eq(made.values.low_drops, MOST - 1);
	answers(0, make_with_marks(100, 1, 0, 0));
	cr_assert_eq(made.values.low_drops, 1);
	answers(0, make_with_marks(100, 0, 0, unset));
	cr_assert_eq(made.values.low_drops, 0);
	answers(-EINVAL, make_with_marks(100, 100, 0, unset));
	answers(-EINVAL, make_with_marks(0, unset, 100, 101));
	answers(-EINVAL, make_with_marks(0, 10, 100, unset));
	answers(-EINVAL, make_with_marks(100, unset, 0, 10));
	answers(-EINVAL, make_with_marks(MOST, MOST + 1, 0, unset));
	answers(-EINVAL, make_with_marks(0, unset, MOST, UINT64_MAX));
}

Test(config, a_high_mark_takes_a_watermark_function)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.high_drops = 100;
	answers(-EINVAL, dd_config_make(&asked, &made));
	asked.high_drops = 0;
	asked.high_bytes = 100;
	answers(-EINVAL, dd_config_make(&asked, &made));
	asked.watermark = ignore_level;
	answers(0, dd_config_make(&asked, &made));
	asked.high_bytes = 0;
	answers(0, dd_config_make(&asked, &made));
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
	for (uint32_t scheduling = 0; scheduling <= DEFER_DROP_SCHEDULING_INHERITED; scheduling++) {
		bool is_realtime = scheduling == DEFER_DROP_SCHEDULING_FIFO ||
				   scheduling == DEFER_DROP_SCHEDULING_RR;

		answers(is_realtime ? 0 : -EINVAL, make_with_priority(scheduling, 1));
		answers(is_realtime ? 0 : -EINVAL, make_with_priority(scheduling, 99));
		answers(is_realtime ? -EINVAL : 0, make_with_priority(scheduling, 0));
		answers(-EINVAL, make_with_priority(scheduling, 100));
		answers(-EINVAL, make_with_priority(scheduling, UINT32_MAX));
	}
}

static int make_with_runner(uint32_t runner, int32_t eventfd, defer_drop_worker_fn start)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.runner = runner;
	asked.pending_eventfd = eventfd;
	asked.worker_start = start;
	return dd_config_make(&asked, &made);
}

Test(config, an_eventfd_goes_with_callers_and_a_start_function_with_a_worker)
{
	int open_eventfd = eventfd(0, 0);

	for (uint32_t runner = 0; runner <= DEFER_DROP_RUNNER_DRAINER; runner++) {
		bool has_worker = runner <= DEFER_DROP_RUNNER_WORKER;

		answers(0, make_with_runner(runner, -1, NULL));
		answers(has_worker ? -EINVAL : 0, make_with_runner(runner, open_eventfd, NULL));
		answers(-EINVAL, make_with_runner(runner, INT32_MAX, NULL)); /* it is not open */
		answers(has_worker ? 0 : -EINVAL, make_with_runner(runner, -1, ignore_start));
		answers(-EINVAL, make_with_runner(runner, 5, ignore_start));
		answers(-EINVAL, make_with_runner(runner, -2, NULL));
	}
}

/* ---- The struct as a whole ------------------------------------------------------------------- */

Test(config, a_later_version_is_taken_if_it_asks_for_nothing_new)
{
	struct {
		struct defer_drop_config known;
		unsigned char unknown[3];
	} later = {.known = DEFER_DROP_CONFIG_INIT};

	later.known.size = offsetof(__typeof__(later), unknown) + 3;
	later.known.queue_size = 8;
	answers(0, dd_config_make(&later.known, &made));
	cr_assert_eq(made.values.queue_size, 8);
	cr_assert_eq(made.values.size, sizeof made.values);
	for (unsigned i = 0; i < 3; i++) {
		later.unknown[i] = 1;
		answers(-E2BIG, dd_config_make(&later.known, &made));
		later.unknown[i] = 0;
	}
}

Test(config, what_is_smaller_than_the_first_version_is_refused)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.size = 0;
	answers(-EINVAL, dd_config_make(&asked, &made));
	asked.size = FIRST_BYTES - 1;
	answers(-EINVAL, dd_config_make(&asked, &made));
	asked.size = FIRST_BYTES;
	answers(0, dd_config_make(&asked, &made));
}

Test(config, what_is_shown_asks_for_the_same)
{
	struct defer_drop_config shown = DEFER_DROP_CONFIG_INIT;
	struct dd_config again;

	answers(0, with(max_lanes, 0));
	answers(0, dd_config_show(&made, &shown));
	cr_assert_eq(shown.size, sizeof shown);
	cr_assert_eq(shown.max_lanes, 0);
	cr_assert_eq(shown.name, made.values.name);
	answers(0, dd_config_make(&shown, &again));
	cr_assert(dd_config_is_equal(&made, &again));
	shown.size = FIRST_BYTES - 1;
	answers(-EINVAL, dd_config_show(&made, &shown));
	shown.size = sizeof shown + 100;
	answers(0, dd_config_show(&made, &shown));
	cr_assert_eq(shown.size, sizeof shown);
}

Test(config, a_copy_has_strings_of_its_own)
{
	struct dd_config copy;

	answers(0, with(cpus, "0"));
	dd_config_copy(&copy, &made);
	cr_assert(dd_config_is_equal(&copy, &made));
	cr_assert_eq(copy.values.name, copy.text.name);
	cr_assert_eq(copy.values.cpus, copy.text.cpus);
	answers(0, with(queue_size, 2));
	dd_config_copy(&copy, &made);
	cr_assert_null(copy.values.cpus);
}

Test(config, each_field_makes_a_difference)
{
	struct dd_config plain;

	answers(0, with(queue_size, DD_QUEUE_SIZE));
	dd_config_copy(&plain, &made);
#define differs(field, value)           \
	answers(0, with(field, value)); \
	cr_assert_not(dd_config_is_equal(&plain, &made), #field)
	differs(queue_size, DD_QUEUE_SIZE == 2 ? 4 : 2);
	differs(max_lanes, DD_MAX_LANES_BUILT_IN / 2);
	differs(name, "x");
	differs(cpus, "0");
	differs(scheduling, DEFER_DROP_SCHEDULING_OTHER);
	differs(niceness, 1);
	differs(runner, DEFER_DROP_RUNNER_CALLER);
	differs(at_fork, DEFER_DROP_AT_FORK_KEEP);
	differs(exit_timeout_ns, 0);
	differs(stack_size_bytes, 1 << 20);
	differs(quiet_spell_ns, MS);
	differs(longest_delay_ns, 1000);
	differs(max_bytes, 1);
	differs(high_drops, 1);
	differs(high_bytes, 1);
	differs(watermark_interval_ns, 0);
	differs(watermark, NULL);
	differs(error, ignore_failure);
	differs(watchdog_ns, MS);
	differs(watchdog, ignore_slow);
	differs(worker_start, ignore_start);
	differs(context, &plain);
	differs(rcu_flavor, (const struct rcu_flavor_struct *)(const void *)&plain);
	differs(populate_lanes, 1);
	differs(destructor_times, DEFER_DROP_TIMES_SAMPLED);
	differs(stats_print, DEFER_DROP_FORMAT_TEXT);
#undef differs
	answers(0, make_with_marks(100, 1, 100, 1));
	dd_config_copy(&plain, &made);
	answers(0, make_with_marks(100, 2, 100, 1));
	cr_assert_not(dd_config_is_equal(&plain, &made));
	answers(0, make_with_marks(100, 1, 100, 2));
	cr_assert_not(dd_config_is_equal(&plain, &made));
	answers(0, make_with_priority(DEFER_DROP_SCHEDULING_RR, 1));
	dd_config_copy(&plain, &made);
	answers(0, make_with_priority(DEFER_DROP_SCHEDULING_RR, 2));
	cr_assert_not(dd_config_is_equal(&plain, &made));
	answers(0, make_with_runner(DEFER_DROP_RUNNER_CALLER, -1, NULL));
	dd_config_copy(&plain, &made);
	answers(0, make_with_runner(DEFER_DROP_RUNNER_CALLER, 0, NULL));
	cr_assert_not(dd_config_is_equal(&plain, &made));
}

/* ---- What is wrong is said ------------------------------------------------------------------- */

static char why[1024];

/* Checks the report of a configuration with one field changed. */
#define says(field, given, text)                                                      \
	do {                                                                          \
		changed = defer_drop_config_init();                                   \
		changed.field = (given);                                              \
		answers(-EINVAL, defer_drop_config_check(&changed, why, sizeof why)); \
		cr_assert_str_eq(why, text);                                          \
	} while (0)

Test(config, what_is_wrong_with_a_field_is_said)
{
	says(queue_size, 3, "queue_size=3: want a power of two in 2..16777216");
	says(max_lanes, 1025, "max_lanes=1025: want 0..1024");
	says(name, "", "name=: want 1 to 15 bytes");
	says(name, NULL, "name=NULL: want 1 to 15 bytes");
	says(name, "one\nline\x7f and 16", "name=one?line? and 16: want 1 to 15 bytes");
	says(cpus, "1-0", "cpus=1-0: want CPUs of this machine, as 0-3,6 or inherited");
	says(scheduling, 7,
		"scheduling=7: want default, other, batch, idle, fifo, rr or inherited");
	says(scheduling_priority, 100, "scheduling_priority=100: want 0..99");
	says(niceness, -21, "niceness=-21: want -20..19 or inherited");
	says(runner, 4, "runner=4: want default, worker, caller or drainer");
	says(at_fork, 3, "at_fork=3: want default, empty or keep");
	says(pending_eventfd, -2, "pending_eventfd=-2: want -1..2147483647");
	says(exit_timeout_ns, MOST + 1,
		"exit_timeout_ns=4611686018427387905ns: want 0..2^62ns, forever or unset");
	says(quiet_spell_ns, 999999, "quiet_spell_ns=999999ns: want 1ms..2^62ns or never");
	says(longest_delay_ns, 120 * S, "longest_delay_ns=2m: want 1us..1s");
	says(max_bytes, 0, "max_bytes=0: want 1..2^62");
	says(low_drops, UINT64_MAX, "low_drops=18446744073709551615: want 0..2^62 or unset");
	says(watermark_interval_ns, UINT64_MAX,
		"watermark_interval_ns=18446744073709551615ns: want 0..2^62ns");
	says(watchdog_ns, 90, "watchdog_ns=90ns: want 1ms..2^62ns or 0");
}

Test(config, what_is_wrong_between_fields_is_said)
{
	says(scheduling, DEFER_DROP_SCHEDULING_FIFO,
		"scheduling=fifo, scheduling_priority=0: want scheduling_priority in 1..99 with "
		"fifo "
		"and rr, and 0 with all others");
	says(high_drops, 100,
		"high_drops=100, low_drops=50: want low_drops below high_drops, in a program that "
		"has a watermark function");
	says(low_bytes, 1,
		"high_bytes=0, low_bytes=1: want low_bytes below high_bytes, in a program that has "
		"a watermark function");
	says(pending_eventfd, 5,
		"runner=worker, pending_eventfd=5, worker_start=NULL: want worker_start with the "
		"runner worker only, and pending_eventfd, an open descriptor, with the others "
		"only");
}

Test(config, what_is_wrong_with_the_size_is_said)
{
	struct {
		struct defer_drop_config known;
		uint64_t unknown;
	} later = {.known = DEFER_DROP_CONFIG_INIT, .unknown = 1};
	char expected[sizeof why];

	says(size, 8, "size=8: want at least 200");
	later.known.size = sizeof later;
	answers(-E2BIG, defer_drop_config_check(&later.known, why, sizeof why));
	snprintf(expected, sizeof expected,
		"size=%zu: want 0 in the bytes that this library does not know, which begin at "
		"%zu",
		sizeof later, sizeof later.known);
	cr_assert_str_eq(why, expected);
}

Test(config, of_a_string_that_is_far_too_long_enough_is_said)
{
	static char name[100000];
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	memset(name, 'n', sizeof name - 1);
	asked.name = name;
	answers(-EINVAL, defer_drop_config_check(&asked, why, sizeof why));
	cr_assert_eq(strncmp(why, "name=nnn", 8), 0);
	cr_assert_not_null(strstr(why, ": want 1 to 15 bytes"));
}

Test(config, what_is_said_is_cut_off_where_there_is_no_more_room)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.max_lanes = 1025;
	for (size_t room = 1; room < 40; room++) {
		char want[64] = "max_lanes=1025: want 0..1024";
		char cut[64];

		if (room <= strlen(want))
			want[room - 1] = 0;
		memset(cut, '#', sizeof cut);
		answers(-EINVAL, defer_drop_config_check(&asked, cut, room));
		cr_assert_str_eq(cut, want);
		cr_assert_eq(cut[room], '#');
	}
	why[0] = '#';
	answers(-EINVAL, defer_drop_config_check(&asked, why, 0));
	cr_assert_eq(why[0], '#');
	answers(-EINVAL, defer_drop_config_check(&asked, NULL, 0));
}

Test(config, of_what_is_right_nothing_is_said)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.cpus = "0";
	strcpy(why, "untouched");
	errno = EXDEV;
	answers(0, defer_drop_config_check(NULL, why, sizeof why));
	answers(0, defer_drop_config_check(&asked, why, sizeof why));
	answers(0, defer_drop_config_check(&asked, NULL, 0));
	cr_assert_eq(errno, EXDEV);
	cr_assert_str_eq(why, "untouched");
}

Test(config, a_flavor_takes_liburcu)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.rcu_flavor = (const struct rcu_flavor_struct *)(const void *)&asked;
	/* A library built with liburcu accepts a flavor; one built without returns -ENOTSUP. */
#if defined(DD_HAS_RCU) && !DD_HAS_RCU
	answers(-ENOTSUP, defer_drop_config_check(&asked, why, sizeof why));
	cr_assert_str_eq(why, "rcu_flavor: this library was built without liburcu");
#else
	answers(0, defer_drop_config_check(&asked, why, sizeof why));
#endif
	asked.max_lanes = 1025;
	answers(-EINVAL, defer_drop_config_check(&asked, why, sizeof why));
}

/* ---- The environment ------------------------------------------------------------------------- */

static char lines[40][1024]; /* the lines that were reported */
static unsigned told;

static void take_line(const char *line)
{
	cr_assert_lt(told, 40);
	cr_assert_lt(strlen(line), sizeof lines[0]);
	strcpy(lines[told++], line);
	errno = EBADF;
}

/* Makes a configuration of what the program asks for, and applies options to it. */
static void tune(const struct defer_drop_config *asked, bool is_default, const char *options)
{
	told = 0;
	setenv("DEFER_DROP_OPTIONS", options, 1);
	answers(0, dd_config_make(asked, &made));
	errno = EXDEV;
	dd_environment_apply(&made, asked, made.values.name, is_default, take_line);
	cr_assert_eq(errno, EXDEV);
}

static void assert_applies(const char *options)
{
	tune(NULL, true, options);
	cr_assert_eq(told, 0, "%s: %s", options, lines[0]);
}

/* Checks an option and the value in force, for a value that is written differently. */
#define sets(field, text, value)                          \
	do {                                              \
		assert_applies(#field "=" text);          \
		cr_assert_eq(made.values.field, (value)); \
	} while (0)

Test(config, without_the_variable_nothing_changes)
{
	struct dd_config before;

	unsetenv("DEFER_DROP_OPTIONS");
	answers(0, make_with_marks(100, 10, 100, 20));
	dd_config_copy(&before, &made);
	dd_environment_apply(&made, NULL, "defer_drop", true, take_line);
	cr_assert(dd_config_is_equal(&before, &made));
	assert_applies("");
	cr_assert_eq(told, 0);
}

Test(config, options_set_their_fields)
{
	sets(queue_size, "2", 2);
	sets(max_lanes, "0", 0);
	sets(max_lanes, "1024", 1024);
	sets(niceness, "-20", -20);
	sets(niceness, "19", 19);
	sets(stack_size_bytes, "4294967296", UINT64_C(1) << 32);
	sets(stack_size_bytes, "0", 0);
	sets(quiet_spell_ns, "1000000", MS);
	sets(longest_delay_ns, "1000000000", S);
	sets(populate_lanes, "1", 1);
	sets(destructor_times, "off", DEFER_DROP_TIMES_OFF);
	sets(destructor_times, "sampled", DEFER_DROP_TIMES_SAMPLED);
	sets(destructor_times, "exact", DEFER_DROP_TIMES_EXACT);
	sets(stats_print, "none", DEFER_DROP_FORMAT_NONE);
	sets(stats_print, "text", DEFER_DROP_FORMAT_TEXT);
	sets(stats_print, "json", DEFER_DROP_FORMAT_JSON);
	sets(max_bytes, "4611686018427387904", MOST);
	sets(watermark_interval_ns, "0", 0);
	sets(watchdog_ns, "1000000", MS);
	sets(watchdog_ns, "0", 0);
	sets(exit_timeout_ns, "4611686018427387904", MOST);
	sets(exit_timeout_ns, "0", 0);
	sets(low_drops, "0", 0);
	assert_applies("scheduling=rr,scheduling_priority=99");
	cr_assert_eq(made.values.scheduling, DEFER_DROP_SCHEDULING_RR);
	cr_assert_eq(made.values.scheduling_priority, 99);
	assert_applies("cpus=0-3,5");
	cr_assert_str_eq(made.values.cpus, "0-3,5");
	cr_assert_eq(made.values.cpus, made.text.cpus);
}

Test(config, every_word_of_the_manual_is_a_value)
{
	sets(scheduling, "default", DEFER_DROP_SCHEDULING_DEFAULT);
	sets(scheduling, "other", DEFER_DROP_SCHEDULING_OTHER);
	sets(scheduling, "batch", DEFER_DROP_SCHEDULING_BATCH);
	sets(scheduling, "idle", DEFER_DROP_SCHEDULING_IDLE);
	assert_applies("scheduling=fifo,scheduling_priority=1");
	cr_assert_eq(made.values.scheduling, DEFER_DROP_SCHEDULING_FIFO);
	sets(at_fork, "default", DEFER_DROP_AT_FORK_EMPTY);
	sets(at_fork, "empty", DEFER_DROP_AT_FORK_EMPTY);
	sets(at_fork, "keep", DEFER_DROP_AT_FORK_KEEP);
	sets(exit_timeout_ns, "forever", DEFER_DROP_FOREVER);
	sets(exit_timeout_ns, "unset", DEFER_DROP_FOREVER);
	sets(quiet_spell_ns, "never", DEFER_DROP_NEVER);
	sets(niceness, "inherited", DEFER_DROP_NICENESS_INHERITED);
	sets(low_drops, "unset", 0);
	sets(low_bytes, "unset", 0);
	sets(cpus, "inherited", NULL);
}

Test(config, times_have_units)
{
	sets(exit_timeout_ns, "7ns", 7);
	sets(exit_timeout_ns, "7us", 7000);
	sets(exit_timeout_ns, "7ms", 7 * MS);
	sets(exit_timeout_ns, "7s", 7 * S);
	sets(exit_timeout_ns, "7m", 7 * 60 * S);
	sets(exit_timeout_ns, "0m", 0);
	sets(quiet_spell_ns, "1000us", MS);
	sets(longest_delay_ns, "5us", 5000);
	sets(watermark_interval_ns, "2s", 2 * S);
	sets(watchdog_ns, "5ms", 5 * MS);
	sets(exit_timeout_ns, "4611686018s", 4611686018 * S);
}

Test(config, numbers_have_units)
{
	sets(queue_size, "8k", 8192);
	sets(queue_size, "16M", 16777216);
	sets(max_lanes, "1k", 1024);
	sets(stack_size_bytes, "1M", 1048576);
	sets(stack_size_bytes, "4G", UINT64_C(1) << 32);
	sets(max_bytes, "64k", 65536);
	sets(max_bytes, "1G", UINT64_C(1) << 30);
	sets(max_bytes, "4294967296G", MOST);
}

Test(config, options_may_stand_in_any_order_and_the_last_one_counts)
{
	assert_applies(",queue_size=4,,queue_size=8,");
	cr_assert_eq(made.values.queue_size, 8);
	assert_applies("cpus=0-3,5,7-9,queue_size=16");
	cr_assert_str_eq(made.values.cpus, "0-3,5,7-9");
	cr_assert_eq(made.values.queue_size, 16);
	assert_applies("scheduling_priority=5,scheduling=fifo");
	cr_assert_eq(made.values.scheduling_priority, 5);
}

Test(config, the_environment_overrides_the_program)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.queue_size = 4;
	asked.max_bytes = 100;
	asked.cpus = "0";
	asked.niceness = 5;
	tune(&asked, true, "queue_size=8,cpus=inherited,niceness=inherited");
	cr_assert_eq(told, 0);
	cr_assert_eq(made.values.queue_size, 8);
	cr_assert_eq(made.values.max_bytes, 100);
	cr_assert_null(made.values.cpus);
	cr_assert_eq(made.values.niceness, DEFER_DROP_NICENESS_INHERITED);
}

/* ---- What the environment may not say -------------------------------------------------------- */

/* Checks that an option is refused with one line that repeats it, and changes nothing. */
static void assert_refuses(const char *option)
{
	struct dd_config built_in;
	char begin[600];

	answers(0, dd_config_make(NULL, &built_in));
	tune(NULL, true, option);
	snprintf(begin, sizeof begin, "DEFER_DROP_OPTIONS: %s: want ", option);
	cr_assert_eq(told, 1, "%s: %u lines", option, told);
	cr_assert_eq(strncmp(lines[0], begin, strlen(begin)), 0, "%s: %s", option, lines[0]);
	cr_assert(dd_config_is_equal(&made, &built_in), "%s", option);
}

Test(config, wrong_options_change_nothing_and_are_told)
{
	const char *const wrong[] = {"queue_size=0", "queue_size=-2", "queue_size= 2",
		"queue_size=2 ", "queue_size=0x2", "queue_size=", "queue_size", "=2", "=",
		"Queue_size=2", "queue_size=18446744073709551618", "queue_size=4294967298",
		"queue_size=+2", "queue_size=4096,1", "queue_size=4K", "queue_size=k",
		"queue_size=4kk", "queue_size=4ms", "queue_size=17592186044416M", "max_lanes=1025",
		"max_lanes=4294967296", "max_lanes=none", "max_lanes=-1", "cpus=", "cpus=1-0",
		"cpus=1023", "scheduling=1", "scheduling=", "scheduling=none", "scheduling=fif",
		"scheduling_priority=100", "niceness=20", "niceness=-21", "niceness=-",
		"niceness=--1", "niceness=4294967297", "niceness=-1k",
		"niceness=18446744073709551615", "at_fork=drain", "at_fork=1", "stack_size_bytes=1",
		"stack_size_bytes=-1", "quiet_spell_ns=999999", "quiet_spell_ns=999us",
		"quiet_spell_ns=none", "quiet_spell_ns=1k", "exit_timeout_ns=4611686018427387905",
		"exit_timeout_ns=never", "exit_timeout_ns=4611686019s",
		"exit_timeout_ns=18446744073710s", "exit_timeout_ns=307445734562m",
		"exit_timeout_ns=1h", "exit_timeout_ns=1 s", "exit_timeout_ns=1.5s",
		"longest_delay_ns=999", "longest_delay_ns=2s",
		"longest_delay_ns=18446744073709552616", "watchdog_ns=999999", "watchdog_ns=never",
		"watchdog_ns=4611686018427387905", "max_bytes=0", "max_bytes=4294967297G",
		"max_bytes=17179869184G", "high_drops=unset", "size=112", "worker_name=x",
		"at_exit=timed", "help=1", "Help", ":queue_size=2", "none"};

	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_refuses(wrong[i]);
}

#define tells(options, text)                      \
	do {                                      \
		tune(NULL, true, options);        \
		cr_assert_eq(told, 1);            \
		cr_assert_str_eq(lines[0], text); \
	} while (0)

Test(config, a_refusal_says_what_is_accepted_and_what_stays_in_force)
{
	tells("max_lanes=2,max_lanes=3k",
		"DEFER_DROP_OPTIONS: max_lanes=3k: want 0..1024; it stays 2");
	tells("quiet_spell_ns=1us", "DEFER_DROP_OPTIONS: quiet_spell_ns=1us: want 1ms..2^62ns or "
				    "never; it stays 100ms");
	tells("niceness=x",
		"DEFER_DROP_OPTIONS: niceness=x: want -20..19 or inherited; it stays inherited");
	tells("cpus=x",
		"DEFER_DROP_OPTIONS: cpus=x: want CPUs of this machine, as 0-3,6 or inherited; it "
		"stays inherited");
	tells("cpus=0,0,cpus=x",
		"DEFER_DROP_OPTIONS: cpus=x: want CPUs of this machine, as 0-3,6 or inherited; it "
		"stays 0,0");
	tells("at_fork=never",
		"DEFER_DROP_OPTIONS: at_fork=never: want default, empty or keep; it stays empty");
	tells("exit_timeout_ns=90s,exit_timeout_ns=h",
		"DEFER_DROP_OPTIONS: exit_timeout_ns=h: want 0..2^62ns, forever or unset; it stays "
		"90s");
	tells("exit_timeout_ns=60001us,exit_timeout_ns=h",
		"DEFER_DROP_OPTIONS: exit_timeout_ns=h: want 0..2^62ns, forever or unset; it stays "
		"60001us");
	tells("watchdog_ns=7", "DEFER_DROP_OPTIONS: watchdog_ns=7: want 1ms..2^62ns or 0; it "
			       "stays 0");
	tells("nobody=knows",
		"DEFER_DROP_OPTIONS: nobody=knows: want a name among queue_size, max_lanes, cpus, "
		"scheduling, scheduling_priority, niceness, at_fork, exit_timeout_ns, "
		"stack_size_bytes, quiet_spell_ns, longest_delay_ns, max_bytes, high_drops, "
		"low_drops, "
		"high_bytes, low_bytes, watermark_interval_ns, watchdog_ns, populate_lanes, "
		"destructor_times, stats_print, followed by = and a value, or help");
}

Test(config, a_line_about_an_option_has_no_newline)
{
	tells("max_lanes=2,max_lanes=1\n2\t",
		"DEFER_DROP_OPTIONS: max_lanes=1?2?: want 0..1024; it stays 2");
}

/* The value that stays in force is written so that it can be read back. */
Test(config, what_stays_in_force_can_be_read_back)
{
	const uint64_t times[] = {MS, MS + 1, 90 * S, 3600 * S, MOST, MOST - 1, 1500000, 2000001};

	for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
		struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
		char option[100] = "quiet_spell_ns=";
		const char *stays;

		asked.quiet_spell_ns = times[i];
		tune(&asked, true, "quiet_spell_ns=x");
		stays = strstr(lines[0], "; it stays ");
		cr_assert_not_null(stays);
		strcat(option, stays + strlen("; it stays "));
		assert_applies(option);
		cr_assert_eq(made.values.quiet_spell_ns, times[i], "%s", option);
	}
}

Test(config, an_option_of_any_length_is_survived)
{
	static char options[100000];

	memset(options, 'x', sizeof options - 1);
	tune(NULL, true, options);
	cr_assert_eq(told, 1);
	memset(options, '=', sizeof options - 1);
	tune(NULL, true, options);
	cr_assert_eq(told, 1);
	memset(options, ':', sizeof options - 1);
	tune(NULL, true, options);
	cr_assert_eq(told, 1);
	memset(options, ',', sizeof options - 1);
	assert_applies(options);
	snprintf(options, sizeof options, "%09999d,queue_size=8", 0);
	tune(NULL, true, options);
	cr_assert_eq(told, 1);
	cr_assert_eq(made.values.queue_size, 8);
}

Test(config, of_a_number_that_is_too_long_no_part_is_taken)
{
	char option[600];

	snprintf(option, sizeof option, "queue_size=%0275d", 16);
	assert_refuses(option + strlen("queue_size="));
	snprintf(option, sizeof option, "queue_size=%0276d", 16384);
	assert_applies(option);
	cr_assert_eq(made.values.queue_size, 16384);
	snprintf(option, sizeof option, "queue_size=%0277d", 8192);
	assert_refuses(option);
	snprintf(option, sizeof option, "queue_size=%0276d384", 16);
	tune(NULL, true, option);
	cr_assert_eq(told, 1);
	cr_assert_not_null(strstr(lines[0], ": want at most 287 bytes"));
	cr_assert_eq(made.values.queue_size, DD_QUEUE_SIZE);
	snprintf(option, sizeof option, "queue_size=%0300d384", 16);
	tune(NULL, true, option);
	cr_assert_not_null(strstr(lines[0], "000...: want at most 287 bytes"));
}

/* ---- Values that do not go together ---------------------------------------------------------- */

Test(config, a_wrong_combination_takes_no_other_option_along)
{
	tune(NULL, true, "queue_size=8,scheduling=fifo,max_lanes=3");
	cr_assert_eq(told, 1);
	cr_assert_eq(made.values.scheduling, DEFER_DROP_SCHEDULING_DEFAULT);
	cr_assert_eq(made.values.queue_size, 8);
	cr_assert_eq(made.values.max_lanes, 3);
}

Test(config, each_wrong_combination_is_told_and_put_back)
{
	tells("scheduling=fifo",
		"DEFER_DROP_OPTIONS: scheduling=fifo, scheduling_priority=0: want "
		"scheduling_priority in 1..99 with fifo and rr, and 0 with all others; they stay "
		"scheduling=default, scheduling_priority=0");
	tells("scheduling=batch,scheduling_priority=5",
		"DEFER_DROP_OPTIONS: scheduling=batch, scheduling_priority=5: want "
		"scheduling_priority in 1..99 with fifo and rr, and 0 with all others; they stay "
		"scheduling=default, scheduling_priority=0");
	tells("high_drops=1k",
		"DEFER_DROP_OPTIONS: high_drops=1024, low_drops=512: want low_drops below "
		"high_drops, in a program that has a watermark function; they stay high_drops=0, "
		"low_drops=0");
	tells("low_bytes=1",
		"DEFER_DROP_OPTIONS: high_bytes=0, low_bytes=1: want low_bytes below high_bytes, "
		"in "
		"a program that has a watermark function; they stay high_bytes=0, low_bytes=0");
	tune(NULL, true, "high_drops=1,high_bytes=1,scheduling=rr");
	cr_assert_eq(told, 3);
	cr_assert_eq(made.values.high_drops, 0);
	cr_assert_eq(made.values.high_bytes, 0);
	cr_assert_eq(made.values.scheduling, DEFER_DROP_SCHEDULING_DEFAULT);
}

Test(config, a_low_mark_that_the_program_leaves_open_goes_with_the_high_one)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.watermark = ignore_level;
	asked.high_drops = 1000;
	asked.high_bytes = 1000;
	tune(&asked, true, "high_drops=100,high_bytes=1k");
	cr_assert_eq(told, 0);
	cr_assert_eq(made.values.low_drops, 50);
	cr_assert_eq(made.values.low_bytes, 512);
	tune(&asked, true, "low_drops=7");
	cr_assert_eq(made.values.low_drops, 7);
	cr_assert_eq(made.values.low_bytes, 500);
	asked.low_drops = 400;
	tune(&asked, true, "high_drops=100");
	cr_assert_eq(told, 1);
	cr_assert_eq(made.values.high_drops, 1000);
	cr_assert_eq(made.values.low_drops, 400);
	tune(&asked, true, "high_drops=100,low_drops=unset");
	cr_assert_eq(told, 0);
	cr_assert_eq(made.values.low_drops, 50);
	tune(&asked, true, "high_drops=0,low_drops=0");
	cr_assert_eq(told, 0);
	cr_assert_eq(made.values.high_drops, 0);
}

/* ---- Whose options they are ------------------------------------------------------------------ */

static struct defer_drop_config named(const char *name)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	asked.name = name;
	return asked;
}

Test(config, options_without_a_name_are_for_the_default_queue)
{
	struct defer_drop_config io = named("io");

	tune(&io, false, "queue_size=8,max_lanes=x,help");
	cr_assert_eq(told, 0);
	cr_assert_eq(made.values.queue_size, DD_QUEUE_SIZE);
	tune(&io, true, "queue_size=8");
	cr_assert_eq(made.values.queue_size, 8);
}

Test(config, options_with_a_name_are_for_the_queues_of_that_name)
{
	const char *options = "queue_size=2,io:queue_size=4,io2:queue_size=8,i:queue_size=16,"
			      "defer_drop:queue_size=32";
	struct defer_drop_config io = named("io");
	struct defer_drop_config io2 = named("io2");
	struct defer_drop_config other = named("other");

	tune(&io, false, options);
	cr_assert_eq(made.values.queue_size, 4);
	tune(&io2, false, options);
	cr_assert_eq(made.values.queue_size, 8);
	tune(&other, false, options);
	cr_assert_eq(made.values.queue_size, DD_QUEUE_SIZE);
	tune(NULL, true, options);
	cr_assert_eq(made.values.queue_size, 32);
	tune(NULL, false, options);
	cr_assert_eq(made.values.queue_size, 32);
	tune(&io, true, options);
	cr_assert_eq(made.values.queue_size, 4);
	cr_assert_eq(told, 0);
}

Test(config, what_is_wrong_is_told_by_the_queue_that_it_is_for)
{
	struct defer_drop_config io = named("io");

	tune(NULL, true, "io:queue_size=3,io:nothing=3,io:x");
	cr_assert_eq(told, 0);
	tune(&io, false, "io:queue_size=16,io:queue_size=3,io:nothing=3,io:");
	cr_assert_eq(told, 3);
	cr_assert_str_eq(lines[0], "DEFER_DROP_OPTIONS: io:queue_size=3: want a power of two in "
				   "2..16777216; it stays 16");
	cr_assert_eq(
		strncmp(lines[1], "DEFER_DROP_OPTIONS: io:nothing=3: want a name among ", 52), 0);
	cr_assert_eq(strncmp(lines[2], "DEFER_DROP_OPTIONS: io:: want a name among ", 43), 0);
}

Test(config, names_of_queues_may_be_anything)
{
	struct defer_drop_config colon = named("a:b");
	struct defer_drop_config equals = named("a=b");
	struct defer_drop_config comma = named("a,b");
	struct defer_drop_config option = named("queue_size");

	tune(&colon, false, "a:b:queue_size=8,a:queue_size=16");
	cr_assert_eq(made.values.queue_size, 8);
	tune(&equals, false, "a=b:queue_size=8");
	cr_assert_eq(made.values.queue_size, 8);
	tune(&option, false, "queue_size:queue_size=8");
	cr_assert_eq(made.values.queue_size, 8);
	cr_assert_eq(told, 0);
	/* A comma ends an option: the queue with one in its name cannot be named. */
	tune(&comma, false, "a,b:queue_size=8");
	cr_assert_eq(told, 0);
	cr_assert_eq(made.values.queue_size, DD_QUEUE_SIZE);
	tune(&comma, true, "a,b:queue_size=8");
	cr_assert_eq(told, 1);
}

/* ---- What the program decides ---------------------------------------------------------------- */

Test(config, what_makes_the_program_correct_is_not_for_the_environment)
{
	const char *const options[] = {"runner", "name", "pending_eventfd", "worker_start",
		"watermark", "error", "watchdog", "context", "rcu_flavor"};
	struct dd_config built_in;

	answers(0, dd_config_make(NULL, &built_in));
	for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
		char option[40];
		char begin[100];

		snprintf(option, sizeof option, "%s=1", options[i]);
		snprintf(begin, sizeof begin, "DEFER_DROP_OPTIONS: %s: the program decides that",
			option);
		tune(NULL, true, option);
		cr_assert_eq(told, 1, "%s", option);
		cr_assert_eq(strncmp(lines[0], begin, strlen(begin)), 0, "%s", lines[0]);
		cr_assert(dd_config_is_equal(&built_in, &made), "%s", option);
	}
	tells("runner=caller",
		"DEFER_DROP_OPTIONS: runner=caller: the program decides that; it stays worker");
	tells("worker_start=1", "DEFER_DROP_OPTIONS: worker_start=1: the program decides that");
}

Test(config, what_the_program_has_set_at_exit_and_fork_stays)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	tune(&asked, true, "exit_timeout_ns=2s,at_fork=keep");
	cr_assert_eq(told, 0);
	cr_assert_eq(made.values.exit_timeout_ns, 2 * S);
	cr_assert_eq(made.values.at_fork, DEFER_DROP_AT_FORK_KEEP);
	asked.exit_timeout_ns = DEFER_DROP_FOREVER;
	tune(&asked, true, "exit_timeout_ns=2s,at_fork=keep");
	cr_assert_eq(told, 1);
	cr_assert_str_eq(lines[0], "DEFER_DROP_OPTIONS: exit_timeout_ns=2s: the program decides "
				   "that; it stays forever");
	cr_assert_eq(made.values.exit_timeout_ns, DEFER_DROP_FOREVER);
	cr_assert_eq(made.values.at_fork, DEFER_DROP_AT_FORK_KEEP);
	asked.exit_timeout_ns = DEFER_DROP_UNSET;
	asked.at_fork = DEFER_DROP_AT_FORK_EMPTY;
	tune(&asked, true, "exit_timeout_ns=2s,at_fork=keep");
	cr_assert_eq(told, 1);
	cr_assert_str_eq(lines[0], "DEFER_DROP_OPTIONS: at_fork=keep: the program decides that; "
				   "it stays empty");
	cr_assert_eq(made.values.exit_timeout_ns, 2 * S);
	cr_assert_eq(made.values.at_fork, DEFER_DROP_AT_FORK_EMPTY);
}

/* ---- Help ------------------------------------------------------------------------------------ */

static bool was_told(const char *line)
{
	for (unsigned i = 0; i < told; i++)
		if (!strcmp(lines[i], line))
			return true;
	return false;
}

Test(config, help_tells_all_options_with_what_is_in_force_in_the_end)
{
	tune(NULL, true, "help,longest_delay_ns=2us,watchdog_ns=5000us");
	cr_assert_eq(told, WRITTEN);
	cr_assert(was_told("DEFER_DROP_OPTIONS: longest_delay_ns=2us (built in: 20ms): 1us..1s"));
	cr_assert(was_told("DEFER_DROP_OPTIONS: watchdog_ns=5ms (built in: 0): 1ms..2^62ns or 0"));
	cr_assert(was_told("DEFER_DROP_OPTIONS: exit_timeout_ns=forever (built in: unset): "
			   "0..2^62ns, forever or unset"));
	cr_assert(was_told("DEFER_DROP_OPTIONS: cpus=inherited (built in: inherited): CPUs of this "
			   "machine, as 0-3,6 or inherited"));
	cr_assert(was_told("DEFER_DROP_OPTIONS: runner=worker (built in: default): the program "
			   "decides that"));
	cr_assert(
		was_told("DEFER_DROP_OPTIONS: name=defer_drop (built in: defer_drop): the program "
			 "decides that"));
}

Test(config, help_knows_what_the_program_has_decided)
{
	struct defer_drop_config io = named("io");

	io.exit_timeout_ns = 0;
	tune(&io, false, "io:help,io:help");
	cr_assert_eq(told, WRITTEN);
	cr_assert(was_told("DEFER_DROP_OPTIONS: exit_timeout_ns=0 (built in: unset): the program "
			   "decides that"));
	cr_assert(was_told("DEFER_DROP_OPTIONS: at_fork=empty (built in: default): default, empty "
			   "or keep"));
	cr_assert(
		was_told("DEFER_DROP_OPTIONS: name=io (built in: defer_drop): the program decides "
			 "that"));
}

Test(config, reports_need_no_listener)
{
	setenv("DEFER_DROP_OPTIONS", "help,queue_size=3,max_lanes=3", 1);
	answers(0, dd_config_make(NULL, &made));
	dd_environment_apply(&made, NULL, "defer_drop", true, NULL);
	cr_assert_eq(made.values.max_lanes, 3);
}
