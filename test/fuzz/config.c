/* SPDX-License-Identifier: MIT
 *
 * Fuzzed: struct defer_drop_config and DEFER_DROP_OPTIONS. What is accepted is in range and can be
 * asked for again; what is refused changes nothing; a number that is accepted is the one written.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define MOST_TEXT 600
#define MOST_62   (UINT64_C(1) << 62)

static unsigned reports;

static void count_report(const char *option, const char *accepted)
{
	CHECK(option && accepted && *accepted);
	reports++;
}

static void ignore_level(void *context, const struct defer_drop_level *level)
{
	(void)context;
	(void)level;
}

/* ---- What may be in force -------------------------------------------------------------------- */

static int is_within(uint64_t value, uint64_t least, uint64_t most)
{
	return value >= least && value <= most;
}

static void check_marks(const struct defer_drop_config *shown)
{
	CHECK(shown->high_drops <= MOST_62 && shown->high_bytes <= MOST_62);
	CHECK(shown->high_drops ? shown->low_drops < shown->high_drops
				: shown->low_drops <= MOST_62);
	CHECK(shown->high_bytes ? shown->low_bytes < shown->high_bytes
				: shown->low_bytes <= MOST_62);
	CHECK((shown->high_drops || shown->high_bytes) == (shown->watermark != NULL));
	CHECK(is_within(shown->watermark_interval_ns, 1000, MOST_62));
}

static void check_scheduling(const struct defer_drop_config *shown)
{
	bool is_realtime = shown->scheduling >= DEFER_DROP_SCHEDULING_FIFO;

	CHECK(shown->scheduling <= DEFER_DROP_SCHEDULING_RR);
	CHECK(is_within(shown->scheduling_priority, is_realtime, is_realtime ? 99 : 0));
	CHECK(shown->niceness >= -20 && shown->niceness <= 19);
}

static void check_range(const struct defer_drop_config *shown)
{
	bool is_timed = shown->at_exit == DEFER_DROP_AT_EXIT_TIMED;

	CHECK(is_within(shown->queue_size, 2, 16777216));
	CHECK(!(shown->queue_size & (shown->queue_size - 1)));
	CHECK(shown->max_lanes == DEFER_DROP_NO_LANES || is_within(shown->max_lanes, 1, 1024));
	CHECK(is_within(strlen(shown->worker_name), 1, 15));
	CHECK(!shown->cpus || is_within(strlen(shown->cpus), 1, DD_CPUS_BYTES - 1));
	CHECK(is_within(shown->runner, 1, 2));
	CHECK(is_within(shown->at_exit, 1, 3));
	CHECK(is_within(shown->at_fork, 1, 2));
	CHECK(is_within(shown->exit_timeout_ns, is_timed, is_timed ? MOST_62 : 0));
	CHECK(!shown->stack_size_bytes ||
		is_within(shown->stack_size_bytes, (uint64_t)sysconf(_SC_THREAD_STACK_MIN),
			UINT64_C(1) << 32));
	CHECK(shown->quiet_spell_ns == DEFER_DROP_NEVER ||
		is_within(shown->quiet_spell_ns, 1000000, MOST_62));
	CHECK(is_within(shown->longest_nap_ns, 1000, 1000000000));
	CHECK(is_within(shown->max_bytes, 1, MOST_62));
	CHECK(!shown->watchdog_ns || is_within(shown->watchdog_ns, 1000000, MOST_62));
	check_scheduling(shown);
	check_marks(shown);
}

/* In range, and what is shown of it makes the same. */
static struct defer_drop_config check_accepted(const struct dd_config *config)
{
	struct defer_drop_config shown = DEFER_DROP_CONFIG_INIT;
	struct dd_config again;

	CHECK(!dd_config_show(config, &shown));
	check_range(&shown);
	CHECK(!dd_config_make(&shown, &again));
	CHECK(dd_config_is_equal(config, &again));
	return shown;
}

/* ---- The struct ------------------------------------------------------------------------------ */

/* Near what is special, or anything. */
static uint64_t take_value(struct input *input)
{
	static const uint64_t special[] = {0, 1, 2, 99, 1000, 4096, 16384, 1000000, 16777216,
		1000000000, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 62, UINT64_MAX};
	unsigned kind = take_byte(input);

	if (kind < 96)
		return 0;
	if (kind < 224)
		return special[kind % (sizeof special / sizeof special[0])] + take_below(input, 3) -
		       1;
	return take_bytes(input, 8);
}

static const char *take_text(struct input *input, char *text, unsigned most)
{
	unsigned length = take_below(input, most + 1);

	for (unsigned i = 0; i < length; i++)
		text[i] = (char)take_byte(input);
	text[length] = 0;
	return take_below(input, 2) ? text : NULL;
}

static void take_config(
	struct input *input, struct defer_drop_config *asked, char *name, char *cpus)
{
	asked->queue_size = (uint32_t)take_value(input);
	asked->max_lanes = (uint32_t)take_value(input);
	asked->scheduling = (uint32_t)take_value(input);
	asked->scheduling_priority = (uint32_t)take_value(input);
	asked->niceness = (int32_t)take_value(input);
	asked->runner = (uint32_t)take_value(input);
	asked->at_exit = (uint32_t)take_value(input);
	asked->at_fork = (uint32_t)take_value(input);
	asked->exit_timeout_ns = take_value(input);
	asked->stack_size_bytes = take_value(input);
	asked->quiet_spell_ns = take_value(input);
	asked->longest_nap_ns = take_value(input);
	asked->max_bytes = take_value(input);
	asked->high_drops = take_value(input);
	asked->low_drops = take_value(input);
	asked->high_bytes = take_value(input);
	asked->low_bytes = take_value(input);
	asked->watermark_interval_ns = take_value(input);
	asked->watermark = take_below(input, 2) ? ignore_level : NULL;
	asked->worker_name = take_text(input, name, 17);
	asked->cpus = take_text(input, cpus, 255);
}

#define KEPT(field) CHECK(!asked->field || shown->field == asked->field)

/* What was asked for is what is in force. */
static void check_kept(const struct defer_drop_config *asked, const struct defer_drop_config *shown)
{
	KEPT(queue_size);
	KEPT(max_lanes);
	KEPT(scheduling);
	KEPT(scheduling_priority);
	KEPT(niceness);
	KEPT(runner);
	KEPT(at_exit);
	KEPT(at_fork);
	KEPT(exit_timeout_ns);
	KEPT(stack_size_bytes);
	KEPT(quiet_spell_ns);
	KEPT(longest_nap_ns);
	KEPT(max_bytes);
	KEPT(high_drops);
	KEPT(low_drops);
	KEPT(high_bytes);
	KEPT(low_bytes);
	KEPT(watermark_interval_ns);
	KEPT(watermark);
	CHECK(!asked->worker_name || !strcmp(asked->worker_name, shown->worker_name));
	CHECK(!asked->cpus || !strcmp(asked->cpus, shown->cpus));
}

static void fuzz_struct(struct input *input)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_config shown;
	struct dd_config config;
	char name[32];
	char cpus[300];
	int result;

	take_config(input, &asked, name, cpus);
	result = dd_config_make(&asked, &config);
	CHECK(!result || result == -EINVAL);
	if (result)
		return;
	shown = check_accepted(&config);
	check_kept(&asked, &shown);
}

/* ---- DEFER_DROP_OPTIONS ---------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset;
	size_t size;
} numbers[] = {
#define NUMBER(field)                                               \
	{                                                           \
#field, offsetof(struct defer_drop_config, field),  \
			sizeof((struct defer_drop_config){0}.field) \
	}
	NUMBER(queue_size),
	NUMBER(max_lanes),
	NUMBER(scheduling_priority),
	NUMBER(niceness),
	NUMBER(exit_timeout_ns),
	NUMBER(stack_size_bytes),
	NUMBER(quiet_spell_ns),
	NUMBER(longest_nap_ns),
	NUMBER(max_bytes),
	NUMBER(high_drops),
	NUMBER(low_drops),
	NUMBER(high_bytes),
	NUMBER(low_bytes),
	NUMBER(watermark_interval_ns),
	NUMBER(watchdog_ns),
};

static uint64_t shown_number(const struct defer_drop_config *shown, unsigned i)
{
	uint32_t half;
	uint64_t whole;

	if (numbers[i].size == sizeof half) {
		memcpy(&half, (const char *)shown + numbers[i].offset, sizeof half);
		return half;
	}
	memcpy(&whole, (const char *)shown + numbers[i].offset, sizeof whole);
	return whole;
}

/* A number as people read it; false where it is none, or none that could be in force. */
static int read_number(const char *text, uint64_t *value)
{
	*value = 0;
	if (!*text)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || *value > UINT64_MAX / 10 - 1)
			return 0;
		*value = *value * 10 + (uint64_t)(*text - '0');
	}
	return 1;
}

/* One option that was accepted says what is now in force. */
static void check_number(const char *option, const struct defer_drop_config *shown)
{
	const char *text = strchr(option, '=');
	uint64_t value;

	for (unsigned i = 0; text && i < sizeof numbers / sizeof numbers[0]; i++) {
		size_t length = strlen(numbers[i].name);

		if ((size_t)(text - option) != length || memcmp(option, numbers[i].name, length))
			continue;
		if (read_number(text + 1, &value))
			CHECK(shown_number(shown, i) == value);
		else
			CHECK(!strcmp(text + 1, "none") || !strcmp(text + 1, "never") ||
				(!strcmp(numbers[i].name, "niceness") && text[1] == '-'));
	}
}

static void make_base(struct input *input, struct dd_config *config)
{
	struct defer_drop_config asked = DEFER_DROP_CONFIG_INIT;

	if (take_below(input, 2)) {
		asked.watermark = ignore_level;
		asked.high_drops = 1000;
		asked.high_bytes = 1000;
	}
	if (take_below(input, 2)) {
		asked.scheduling = DEFER_DROP_SCHEDULING_RR;
		asked.scheduling_priority = 5;
	}
	if (take_below(input, 2)) {
		asked.at_exit = DEFER_DROP_AT_EXIT_TIMED;
		asked.exit_timeout_ns = 5;
	}
	CHECK(!dd_config_make(&asked, config));
}

static void fuzz_options(struct input *input)
{
	struct dd_config before;
	struct dd_config config;
	struct defer_drop_config shown;
	char text[MOST_TEXT];
	size_t length;

	make_base(input, &before);
	length = (size_t)(input->end - input->at);
	length = length < sizeof text ? length : sizeof text - 1;
	memcpy(text, input->at, length);
	text[length] = 0;
	config = before;
	reports = 0;
	errno = EXDEV;
	dd_config_override(&config, text, count_report);
	CHECK(errno == EXDEV);
	shown = check_accepted(&config);
	if (strchr(text, ','))
		return;
	if (reports)
		CHECK(dd_config_is_equal(&before, &config));
	else
		check_number(text, &shown);
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
