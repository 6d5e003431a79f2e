/* SPDX-License-Identifier: MIT
 *
 * Fuzzed: struct defer_drop_config and DEFER_DROP_OPTIONS. An accepted configuration is in range
 * and can be asked for again; a refused one changes nothing and is reported in one line; an
 * accepted number is the one that was written; options of the program stay.
 */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/environment.h"
#include "fuzz.h"
#include "../common/queues.h"
#include "base/report.h"

#define MOST_TEXT 600
#define MOST_62   (UINT64_C(1) << 62)

static void check_line(const char *line)
{
	CHECK(*line && strlen(line) < DD_LINE_BYTES);
	for (; *line; line++)
		CHECK((unsigned char)*line >= ' ' && *line != '\x7f');
}

/* ---- What may be in force -------------------------------------------------------------------- */

static int is_within(uint64_t value, uint64_t least, uint64_t most)
{
	return value >= least && value <= most;
}

static void check_mark(const struct defer_drop_config *shown, uint64_t high, uint64_t low)
{
	CHECK(high <= MOST_62);
	CHECK(high ? low < high && shown->watermark : !low);
}

static void check_scheduling(const struct defer_drop_config *shown)
{
	bool is_realtime = shown->scheduling >= DEFER_DROP_SCHEDULING_FIFO;

	CHECK(shown->scheduling <= DEFER_DROP_SCHEDULING_RR);
	CHECK(is_within(shown->scheduling_priority, is_realtime, is_realtime ? 99 : 0));
	CHECK(shown->niceness == DEFER_DROP_NICENESS_INHERITED ||
		(shown->niceness >= -20 && shown->niceness <= 19));
}

static void check_runner(const struct defer_drop_config *shown)
{
	CHECK(is_within(shown->runner, 1, 3));
	CHECK(shown->pending_eventfd >= -1);
	CHECK(shown->pending_eventfd == -1 || shown->runner != DEFER_DROP_RUNNER_WORKER);
	CHECK(!shown->worker_start || shown->runner == DEFER_DROP_RUNNER_WORKER);
}

static void check_range(const struct defer_drop_config *shown)
{
	CHECK(is_within(shown->queue_size, 2, 16777216));
	CHECK(!(shown->queue_size & (shown->queue_size - 1)));
	CHECK(shown->max_lanes <= 1024);
	CHECK(is_within(strlen(shown->name), 1, 15));
	CHECK(!shown->cpus || is_within(strlen(shown->cpus), 1, DD_CPUS_BYTES - 1));
	CHECK(is_within(shown->at_fork, 1, 2));
	CHECK(shown->exit_timeout_ns <= MOST_62 || shown->exit_timeout_ns == DEFER_DROP_FOREVER);
	CHECK(!shown->stack_size_bytes ||
		is_within(shown->stack_size_bytes, (uint64_t)sysconf(_SC_THREAD_STACK_MIN),
			UINT64_C(1) << 32));
	CHECK(shown->quiet_spell_ns == DEFER_DROP_NEVER ||
		is_within(shown->quiet_spell_ns, 1000000, MOST_62));
	CHECK(is_within(shown->longest_delay_ns, 1000, 1000000000));
	CHECK(shown->populate_lanes <= 1);
	CHECK(shown->destructor_times <= DEFER_DROP_TIMES_EXACT);
	CHECK(shown->stats_print <= DEFER_DROP_FORMAT_JSON);
	CHECK(is_within(shown->max_bytes, 1, MOST_62));
	CHECK(shown->watermark_interval_ns <= MOST_62);
	CHECK(!shown->watchdog_ns || is_within(shown->watchdog_ns, 1000000, MOST_62));
	check_scheduling(shown);
	check_runner(shown);
	check_mark(shown, shown->high_drops, shown->low_drops);
	check_mark(shown, shown->high_bytes, shown->low_bytes);
}

/* Checks that the text which is shown of a value is read as that value. */
static void check_text(const struct defer_drop_config *shown)
{
	for (unsigned i = 0; i < dd_options_count; i++) {
		const struct dd_option *option = &dd_options[i];
		struct dd_line line = {0};
		uint64_t value = dd_option_value(option, shown);
		uint64_t again;

		if (option->kind == DD_POINTER || option->kind == DD_NAME)
			continue;
		dd_option_show(option, value, &line);
		CHECK(dd_option_parse(option, line.text, &again));
		if (option->kind == DD_CPUS && value)
			CHECK(!strcmp(line.text, shown->cpus));
		else
			CHECK(again == value);
	}
}

/* Checks that the configuration is in range, and that what is shown of it makes an equal one. */
static struct defer_drop_config check_accepted(const struct dd_config *config)
{
	struct defer_drop_config shown = DEFER_DROP_CONFIG_INIT;
	struct dd_config again;

	CHECK(!dd_config_show(config, &shown));
	check_range(&shown);
	check_text(&shown);
	CHECK(!dd_config_make(&shown, &again));
	CHECK(dd_config_is_equal(config, &again));
	return shown;
}

/* ---- The struct ------------------------------------------------------------------------------ */

/* A value that is built in, near a special one, or any. */
static uint64_t take_value(struct input *input, uint64_t built_in)
{
	static const uint64_t special[] = {0, 1, 2, 99, 1000, 4096, 16384, 1000000, 16777216,
		1000000000, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 62, UINT64_MAX - 1};
	unsigned kind = take_byte(input);

	if (kind < 128)
		return built_in;
	if (kind < 240)
		return special[kind % (sizeof special / sizeof special[0])] + take_below(input, 3) -
		       1;
	return take_bytes(input, 8);
}

static const char *take_text(struct input *input, char *text, unsigned most, const char *built_in)
{
	unsigned length = take_below(input, most + 1);

	if (!take_below(input, 2))
		return built_in;
	for (unsigned i = 0; i < length; i++)
		text[i] = (char)take_byte(input);
	text[length] = 0;
	return text;
}

static void take_config(
	struct input *input, struct defer_drop_config *asked, char *name, char *cpus)
{
	asked->queue_size = (uint32_t)take_value(input, asked->queue_size);
	asked->max_lanes = (uint32_t)take_value(input, asked->max_lanes);
	asked->scheduling = (uint32_t)take_value(input, asked->scheduling);
	asked->scheduling_priority = (uint32_t)take_value(input, asked->scheduling_priority);
	asked->niceness = (int32_t)take_value(input, (uint64_t)asked->niceness);
	asked->runner = (uint32_t)take_value(input, asked->runner);
	asked->at_fork = (uint32_t)take_value(input, asked->at_fork);
	asked->pending_eventfd = (int32_t)take_value(input, (uint64_t)asked->pending_eventfd);
	asked->exit_timeout_ns = take_value(input, asked->exit_timeout_ns);
	asked->stack_size_bytes = take_value(input, asked->stack_size_bytes);
	asked->quiet_spell_ns = take_value(input, asked->quiet_spell_ns);
	asked->longest_delay_ns = take_value(input, asked->longest_delay_ns);
	asked->max_bytes = take_value(input, asked->max_bytes);
	asked->high_drops = take_value(input, asked->high_drops);
	asked->low_drops = take_value(input, asked->low_drops);
	asked->high_bytes = take_value(input, asked->high_bytes);
	asked->low_bytes = take_value(input, asked->low_bytes);
	asked->watermark_interval_ns = take_value(input, asked->watermark_interval_ns);
	asked->watchdog_ns = take_value(input, asked->watchdog_ns);
	asked->watermark = take_below(input, 2) ? ignore_level : NULL;
	asked->worker_start = take_below(input, 2) ? ignore_start : NULL;
	asked->name = take_text(input, name, 17, asked->name);
	asked->cpus = take_text(input, cpus, 255, NULL);
	asked->populate_lanes = (uint32_t)take_value(input, asked->populate_lanes);
	asked->destructor_times = (uint32_t)take_value(input, asked->destructor_times);
	asked->stats_print = (uint32_t)take_value(input, asked->stats_print);
}

#define KEPT(field)               CHECK(shown->field == asked->field)
#define KEPT_UNLESS(field, unset) CHECK(asked->field == (unset) || shown->field == asked->field)

/* Checks that the values that were asked for are in force. */
static void check_kept(const struct defer_drop_config *asked, const struct defer_drop_config *shown)
{
	KEPT(queue_size);
	KEPT(max_lanes);
	KEPT(scheduling);
	KEPT(scheduling_priority);
	KEPT(niceness);
	KEPT_UNLESS(runner, DEFER_DROP_RUNNER_DEFAULT);
	KEPT_UNLESS(at_fork, DEFER_DROP_AT_FORK_DEFAULT);
	KEPT(pending_eventfd);
	KEPT_UNLESS(exit_timeout_ns, DEFER_DROP_UNSET);
	KEPT(stack_size_bytes);
	KEPT(quiet_spell_ns);
	KEPT(longest_delay_ns);
	KEPT(populate_lanes);
	KEPT(destructor_times);
	KEPT(stats_print);
	KEPT(max_bytes);
	KEPT(high_drops);
	KEPT_UNLESS(low_drops, DEFER_DROP_UNSET);
	KEPT(high_bytes);
	KEPT_UNLESS(low_bytes, DEFER_DROP_UNSET);
	KEPT(watermark_interval_ns);
	KEPT(watchdog_ns);
	KEPT(watermark);
	KEPT(worker_start);
	CHECK(!strcmp(asked->name, shown->name));
	CHECK(!asked->cpus == !shown->cpus);
	CHECK(!asked->cpus || !strcmp(asked->cpus, shown->cpus));
}

static void fuzz_struct(struct input *input)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_config shown;
	struct dd_config config;
	char why[DD_LINE_BYTES];
	char name[32];
	char cpus[300];
	int result;

	take_config(input, &asked, name, cpus);
	result = dd_config_make(&asked, &config);
	CHECK(!result || result == -EINVAL);
	CHECK(defer_drop_config_check(&asked, why, sizeof why) == result);
	if (result) {
		check_line(why);
		CHECK(strstr(why, ": want "));
		return;
	}
	shown = check_accepted(&config);
	check_kept(&asked, &shown);
}

/* ---- DEFER_DROP_OPTIONS ---------------------------------------------------------------------- */

static unsigned told;

static void count_line(const char *line)
{
	CHECK(!strncmp(line, "DEFER_DROP_OPTIONS: ", 20));
	check_line(line);
	told++;
}

/* Reads a whole number in decimal; false if there is none, or none that could be in force. */
static int read_digits(const char **text, uint64_t *value)
{
	const char *begin = *text;

	*value = 0;
	for (; **text >= '0' && **text <= '9'; ++*text) {
		if (*value > UINT64_MAX / 10 - 1)
			return 0;
		*value = *value * 10 + (uint64_t)(**text - '0');
	}
	return *text > begin;
}

static uint64_t unit_of(const char *text, int is_time)
{
	static const struct {
		const char *name;
		int is_time;
		uint64_t value;
	} units[] = {
		{"ns", 1, 1},
		{"us", 1, 1000},
		{"ms", 1, 1000000},
		{"s", 1, 1000000000},
		{"m", 1, UINT64_C(60000000000)},
		{"k", 0, 1024},
		{"M", 0, 1048576},
		{"G", 0, 1073741824},
	};

	if (!*text)
		return 1;
	for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
		if (units[i].is_time == is_time && !strcmp(text, units[i].name))
			return units[i].value;
	return 0;
}

/* A value that was accepted says what is now in force. */
static void check_number(const struct dd_option *option, const char *text, uint64_t in_force)
{
	int is_negative = *text == '-';
	uint64_t value;
	uint64_t unit;

	text += is_negative;
	if (*text >= '0' && *text <= '9') {
		CHECK(read_digits(&text, &value));
		unit = unit_of(text, strstr(option->name, "_ns") != NULL);
		CHECK(unit && value <= UINT64_MAX / unit);
		CHECK(in_force == (is_negative ? -(value * unit) : value * unit));
	} else {
		CHECK(!is_negative);
		CHECK(!strcmp(text, "forever") || !strcmp(text, "never") ||
			!strcmp(text, "unset") || !strcmp(text, "inherited"));
	}
}

/* One option of a known name that was applied. */
static void check_applied(const char *text, const struct defer_drop_config *shown)
{
	const char *equals = strchr(text, '=');

	for (unsigned i = 0; equals && i < dd_options_count; i++) {
		const struct dd_option *option = &dd_options[i];
		size_t length = strlen(option->name);

		if ((size_t)(equals - text) != length || memcmp(text, option->name, length))
			continue;
		if (option->kind != DD_CHOICE && option->kind != DD_CPUS)
			check_number(option, equals + 1, dd_option_value(option, shown));
	}
}

/* The options that the program has decided are in force. */
static void check_program(const struct defer_drop_config *asked, const struct dd_config *before,
	const struct defer_drop_config *shown)
{
	CHECK(shown->runner == before->values.runner);
	CHECK(!strcmp(shown->name, before->values.name));
	CHECK(shown->watermark == asked->watermark);
	CHECK(asked->exit_timeout_ns == DEFER_DROP_UNSET ||
		shown->exit_timeout_ns == asked->exit_timeout_ns);
	CHECK(asked->at_fork == DEFER_DROP_AT_FORK_DEFAULT || shown->at_fork == asked->at_fork);
}

static void take_base(struct input *input, struct defer_drop_config *asked)
{
	unsigned bits = take_byte(input);

	if (bits & 1) {
		asked->watermark = ignore_level;
		asked->high_drops = 1000;
		asked->high_bytes = 1000;
	}
	if (bits & 2) {
		asked->scheduling = DEFER_DROP_SCHEDULING_RR;
		asked->scheduling_priority = 5;
	}
	if (bits & 4)
		asked->exit_timeout_ns = 5;
	if (bits & 8)
		asked->at_fork = DEFER_DROP_AT_FORK_KEEP;
	if ((bits & 16) && (bits & 1))
		asked->low_drops = 10;
	if (bits & 32)
		asked->name = "a,1=:";
}

/* The variable lies here, so that to set it takes no memory. */
static char variable[MOST_TEXT + 20] = "DEFER_DROP_OPTIONS=";

static char *set_variable(const struct input *input)
{
	char *text = strchr(variable, '=') + 1;
	size_t length = (size_t)(input->end - input->at);

	length = length < MOST_TEXT ? length : MOST_TEXT;
	memcpy(text, input->at, length);
	text[length] = 0;
	CHECK(!putenv(variable));
	return text;
}

static void fuzz_options(struct input *input)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_config shown;
	struct dd_config before;
	struct dd_config config;
	bool is_default = take_below(input, 4);
	const char *text;

	take_base(input, &asked);
	CHECK(!dd_config_make(&asked, &before));
	dd_config_copy(&config, &before);
	text = set_variable(input);
	told = 0;
	errno = EXDEV;
	dd_environment_apply(&config, &asked, config.values.name, is_default, count_line);
	CHECK(errno == EXDEV);
	shown = check_accepted(&config);
	check_program(&asked, &before, &shown);
	if (strchr(text, ','))
		return;
	if (told || (!is_default && !strchr(text, ':')))
		CHECK(dd_config_is_equal(&before, &config));
	else if (is_default)
		check_applied(text, &shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, bytes + size};

	if (take_below(&input, 4))
		fuzz_options(&input);
	else
		fuzz_struct(&input);
	return 0;
}
