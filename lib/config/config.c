/* SPDX-License-Identifier: MIT
 *
 * The configuration of a queue: its options, what they may be, and what fits together.
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/report.h"
#include "config/built_in.h"
#include "config/versioned.h"

_Static_assert(DD_QUEUE_SIZE >= 2 && DD_QUEUE_SIZE <= DD_MAX_QUEUE_SIZE &&
		       !(DD_QUEUE_SIZE & (DD_QUEUE_SIZE - 1)),
	"Meson option queue_size");

/* Size of the first version of the struct; later versions add to it. */
#define DD_CONFIG_SIZE_0 200

DD_FIRST_VERSION(struct defer_drop_config, destructor_times, DD_CONFIG_SIZE_0);

/* ---- The table ------------------------------------------------------------------------------- */

#define TWO_TO_62   (UINT64_C(1) << 62)
#define LEAST_STACK (UINT64_C(1) << 63) /* stands for the minimum that the system reports */
#define INHERITED   ((uint64_t)DEFER_DROP_NICENESS_INHERITED)

/* Rules that concern several fields together. */
enum {
	PRIORITY = 1,
	DROPS_MARKS,
	BYTES_MARKS,
	RUNNER,
};

#define WORDS(...) ((const struct dd_word[]){__VA_ARGS__, {NULL, 0}})

#define FIELD(field)                                                         \
	.name = #field, .offset = offsetof(struct defer_drop_config, field), \
	.bytes = sizeof((struct defer_drop_config){0}.field)

/* clang-format off */
const struct dd_option dd_options[] = {
	{FIELD(queue_size), DD_POWER,
		.least = 2, .most = DD_MAX_QUEUE_SIZE, .built_in = DD_QUEUE_SIZE},
	{FIELD(max_lanes), DD_COUNT,
		.least = 0, .most = DD_MAX_LANES, .built_in = DD_MAX_LANES_BUILT_IN},
	{FIELD(name), DD_NAME, DD_OF_PROGRAM, .built_in_text = "defer_drop"},
	{FIELD(cpus), DD_CPUS, .words = WORDS({"inherited", 0})},
	{FIELD(scheduling), DD_CHOICE, .rule = PRIORITY,
		.words = WORDS(
			{"default", DEFER_DROP_SCHEDULING_DEFAULT},
			{"other", DEFER_DROP_SCHEDULING_OTHER},
			{"batch", DEFER_DROP_SCHEDULING_BATCH},
			{"idle", DEFER_DROP_SCHEDULING_IDLE},
			{"fifo", DEFER_DROP_SCHEDULING_FIFO},
			{"rr", DEFER_DROP_SCHEDULING_RR},
			{"inherited", DEFER_DROP_SCHEDULING_INHERITED})},
	{FIELD(scheduling_priority), DD_COUNT, .rule = PRIORITY,
		.least = 0, .most = 99, .built_in = 0},
	{FIELD(niceness), DD_SIGNED,
		.least = (uint64_t)-20, .most = 19, .built_in = INHERITED,
		.words = WORDS({"inherited", INHERITED})},
	{FIELD(runner), DD_CHOICE, DD_OF_PROGRAM, .rule = RUNNER,
		.words = WORDS(
			{"default", DEFER_DROP_RUNNER_DEFAULT},
			{"worker", DEFER_DROP_RUNNER_WORKER},
			{"caller", DEFER_DROP_RUNNER_CALLER},
			{"drainer", DEFER_DROP_RUNNER_DRAINER})},
	{FIELD(at_fork), DD_CHOICE, DD_OF_PROGRAM_IF_SET,
		.words = WORDS(
			{"default", DEFER_DROP_AT_FORK_DEFAULT},
			{"empty", DEFER_DROP_AT_FORK_EMPTY},
			{"keep", DEFER_DROP_AT_FORK_KEEP})},
	{FIELD(pending_eventfd), DD_SIGNED, DD_OF_PROGRAM, .rule = RUNNER,
		.least = (uint64_t)-1, .most = INT32_MAX, .built_in = (uint64_t)-1},
	{FIELD(exit_timeout_ns), DD_TIME, DD_OF_PROGRAM_IF_SET,
		.least = 0, .most = DEFER_DROP_TIMEOUT_MAX, .built_in = DEFER_DROP_UNSET,
		.words = WORDS({"forever", DEFER_DROP_FOREVER}, {"unset", DEFER_DROP_UNSET})},
	{FIELD(stack_size_bytes), DD_COUNT,
		.least = LEAST_STACK, .most = UINT64_C(1) << 32, .built_in = 0,
		.words = WORDS({"0", 0})},
	{FIELD(quiet_spell_ns), DD_TIME,
		.least = DD_MS, .most = DEFER_DROP_TIMEOUT_MAX, .built_in = 100 * DD_MS,
		.words = WORDS({"never", DEFER_DROP_NEVER})},
	{FIELD(longest_delay_ns), DD_TIME,
		.least = 1000, .most = DD_S, .built_in = 20 * DD_MS},
	{FIELD(max_bytes), DD_COUNT,
		.least = 1, .most = TWO_TO_62, .built_in = TWO_TO_62},
	{FIELD(high_drops), DD_COUNT, .rule = DROPS_MARKS,
		.least = 0, .most = TWO_TO_62, .built_in = 0},
	{FIELD(low_drops), DD_COUNT, .rule = DROPS_MARKS,
		.least = 0, .most = TWO_TO_62, .built_in = DEFER_DROP_UNSET,
		.words = WORDS({"unset", DEFER_DROP_UNSET})},
	{FIELD(high_bytes), DD_COUNT, .rule = BYTES_MARKS,
		.least = 0, .most = TWO_TO_62, .built_in = 0},
	{FIELD(low_bytes), DD_COUNT, .rule = BYTES_MARKS,
		.least = 0, .most = TWO_TO_62, .built_in = DEFER_DROP_UNSET,
		.words = WORDS({"unset", DEFER_DROP_UNSET})},
	{FIELD(watermark_interval_ns), DD_TIME,
		.least = 0, .most = TWO_TO_62, .built_in = 10 * DD_MS},
	{FIELD(watermark), DD_POINTER, DD_OF_PROGRAM},
	{FIELD(error), DD_POINTER, DD_OF_PROGRAM},
	{FIELD(watchdog_ns), DD_TIME,
		.least = DD_MS, .most = DEFER_DROP_TIMEOUT_MAX, .built_in = 0,
		.words = WORDS({"0", 0})},
	{FIELD(watchdog), DD_POINTER, DD_OF_PROGRAM},
	{FIELD(worker_start), DD_POINTER, DD_OF_PROGRAM, .rule = RUNNER},
	{FIELD(context), DD_POINTER, DD_OF_PROGRAM},
	{FIELD(rcu_flavor), DD_POINTER, DD_OF_PROGRAM},
	{FIELD(populate_lanes), DD_COUNT, .least = 0, .most = 1, .built_in = 0},
	{FIELD(destructor_times), DD_CHOICE,
		.words = WORDS(
			{"off", DEFER_DROP_TIMES_OFF},
			{"sampled", DEFER_DROP_TIMES_SAMPLED},
			{"exact", DEFER_DROP_TIMES_EXACT})},
	{FIELD(stats_print), DD_CHOICE,
		.words = WORDS(
			{"none", DEFER_DROP_FORMAT_NONE},
			{"text", DEFER_DROP_FORMAT_TEXT},
			{"json", DEFER_DROP_FORMAT_JSON})},
};
/* clang-format on */

const unsigned dd_options_count = sizeof dd_options / sizeof dd_options[0];

/* ---- A value --------------------------------------------------------------------------------- */

uint64_t dd_option_value(const struct dd_option *option, const struct defer_drop_config *values)
{
	const char *at = (const char *)values + option->offset;
	uint64_t whole;
	uint32_t half;

	if (option->bytes == sizeof whole) {
		memcpy(&whole, at, sizeof whole);
		return whole;
	}
	memcpy(&half, at, sizeof half);
	return option->kind == DD_SIGNED ? (uint64_t)(int32_t)half : half;
}

static void store(const struct dd_option *option, struct defer_drop_config *values, uint64_t whole)
{
	char *at = (char *)values + option->offset;
	uint32_t half = (uint32_t)whole;

	if (option->bytes == sizeof whole)
		memcpy(at, &whole, sizeof whole);
	else
		memcpy(at, &half, sizeof half);
}

static bool is_string(const struct dd_option *option)
{
	return option->kind == DD_NAME || option->kind == DD_CPUS;
}

static const char *string_of(uint64_t value)
{
	return (const char *)(uintptr_t)value;
}

uint64_t dd_option_built_in(const struct dd_option *option)
{
	return option->built_in_text ? (uintptr_t)option->built_in_text : option->built_in;
}

void dd_option_set(const struct dd_option *option, struct dd_config *config, uint64_t value)
{
	char *text = option->kind == DD_NAME   ? config->text.name
		     : option->kind == DD_CPUS ? config->text.cpus
					       : NULL;

	if (text && value) {
		memcpy(text, string_of(value), strlen(string_of(value)) + 1);
		value = (uintptr_t)text;
	}
	store(option, &config->values, value);
}

/* ---- What is accepted ------------------------------------------------------------------------ */

/* Returns the end of the number, or NULL if there is none below DD_CPUS_END. */
static const char *cpu_number(const char *at, unsigned *cpu)
{
	const char *begin = at;

	*cpu = 0;
	for (; *at >= '0' && *at <= '9'; at++) {
		*cpu = *cpu * 10 + (unsigned)(*at - '0');
		if (*cpu >= DD_CPUS_END)
			return NULL;
	}
	return at > begin ? at : NULL;
}

bool dd_cpus_parse(const char *list, cpu_set_t *cpus)
{
	const char *at = list;

	CPU_ZERO(cpus);
	for (;;) {
		unsigned first;
		unsigned last;

		at = cpu_number(at, &first);
		last = first;
		if (at && *at == '-')
			at = cpu_number(at + 1, &last);
		if (!at || last < first)
			return false;
		for (unsigned cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, cpus);
		if (!*at)
			return true;
		if (*at++ != ',')
			return false;
	}
}

/* True for a list of CPUs of which at least one exists: otherwise the worker could never run. */
static bool is_cpu_list(const char *list)
{
	cpu_set_t cpus;
	int errno_before = errno;
	long configured;

	if (strnlen(list, DD_CPUS_BYTES) == DD_CPUS_BYTES || !dd_cpus_parse(list, &cpus))
		return false;
	configured = sysconf(_SC_NPROCESSORS_CONF);
	errno = errno_before;
	for (long cpu = 0; cpu < configured && cpu < DD_CPUS_END; cpu++)
		if (CPU_ISSET((size_t)cpu, &cpus))
			return true;
	return false;
}

static bool is_name(const char *name)
{
	size_t length = strnlen(name, DD_NAME_BYTES);

	return length >= 1 && length < DD_NAME_BYTES;
}

static uint64_t least_of(const struct dd_option *option)
{
	return option->least == LEAST_STACK ? (uint64_t)sysconf(_SC_THREAD_STACK_MIN)
					    : option->least;
}

static const struct dd_word *word_of(const struct dd_option *option, uint64_t value)
{
	for (const struct dd_word *at = option->words; at && at->text; at++)
		if (at->value == value)
			return at;
	return NULL;
}

bool dd_option_accepts(const struct dd_option *option, uint64_t value)
{
	bool is_within = value >= least_of(option) && value <= option->most;

	if (word_of(option, value))
		return true;
	switch (option->kind) {
	case DD_COUNT:
	case DD_TIME:
		return is_within;
	case DD_POWER:
		return is_within && !(value & (value - 1));
	case DD_SIGNED:
		return (int64_t)value >= (int64_t)option->least &&
		       (int64_t)value <= (int64_t)option->most;
	case DD_NAME:
		return value && is_name(string_of(value));
	case DD_CPUS:
		return is_cpu_list(string_of(value));
	case DD_POINTER:
		return true;
	case DD_CHOICE:
		break;
	}
	return false;
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* Greatest unit first. */
static const struct dd_word time_units[] = {
	{"m", 60 * DD_S},
	{"s", DD_S},
	{"ms", DD_MS},
	{"us", 1000},
	{"ns", 1},
	{NULL, 0},
};

static const struct dd_word count_units[] = {
	{"k", UINT64_C(1) << 10},
	{"M", UINT64_C(1) << 20},
	{"G", UINT64_C(1) << 30},
	{NULL, 0},
};

/* Prints a number; a time in the greatest unit that it is a multiple of. */
static void show_number(const struct dd_option *option, uint64_t value, struct dd_line *line)
{
	const struct dd_word *unit = time_units;

	if (option->kind == DD_SIGNED) {
		dd_line_add(line, "%lld", (long long)value);
	} else if (option->kind != DD_TIME || !value) {
		dd_line_add(line, "%llu", (unsigned long long)value);
	} else {
		while (value % unit->value)
			unit++;
		dd_line_add(line, "%llu%s", (unsigned long long)(value / unit->value), unit->text);
	}
}

void dd_option_show(const struct dd_option *option, uint64_t value, struct dd_line *line)
{
	const struct dd_word *word = word_of(option, value);

	if (word)
		dd_line_add(line, "%s", word->text);
	else if (!is_string(option) && option->kind != DD_POINTER)
		show_number(option, value, line);
	else if (!value)
		dd_line_add(line, "NULL");
	else if (is_string(option))
		dd_line_add(line, "%.*s", DD_CPUS_BYTES, string_of(value));
	else
		dd_line_add(line, "%#llx", (unsigned long long)value);
}

static void show_end(const struct dd_option *option, uint64_t end, struct dd_line *line)
{
	if (end == TWO_TO_62)
		dd_line_add(line, "2^62%s", option->kind == DD_TIME ? "ns" : "");
	else
		show_number(option, end, line);
}

void dd_option_show_range(const struct dd_option *option, struct dd_line *line)
{
	bool is_first = option->kind == DD_CHOICE;

	if (option->kind == DD_NAME) {
		dd_line_add(line, "1 to %d bytes", DD_NAME_BYTES - 1);
	} else if (option->kind == DD_CPUS) {
		dd_line_add(line, "CPUs of this machine, as 0-3,6");
	} else if (!is_first) {
		dd_line_add(line, "%s", option->kind == DD_POWER ? "a power of two in " : "");
		show_end(option, least_of(option), line);
		dd_line_add(line, "..");
		show_end(option, option->most, line);
	}
	for (const struct dd_word *at = option->words; at && at->text; at++) {
		dd_line_add(line, "%s%s", is_first ? "" : at[1].text ? ", " : " or ", at->text);
		is_first = false;
	}
}

/* Reads a whole number in decimal, and moves on to its end. False if there is none, or if it is too
 * large. */
static bool parse_digits(const char **at, uint64_t *value)
{
	const char *begin = *at;

	*value = 0;
	for (; **at >= '0' && **at <= '9'; ++*at)
		if (__builtin_mul_overflow(*value, 10, value) ||
			__builtin_add_overflow(*value, (uint64_t)(**at - '0'), value))
			return false;
	return *at > begin;
}

static bool parse_number(const struct dd_option *option, const char *text, uint64_t *value)
{
	const struct dd_word *unit = option->kind == DD_TIME ? time_units : count_units;
	bool is_negative = option->kind == DD_SIGNED && *text == '-';

	text += is_negative;
	if (!parse_digits(&text, value))
		return false;
	while (unit->text && strcmp(unit->text, text))
		unit++;
	if (*text && (!unit->text || __builtin_mul_overflow(*value, unit->value, value)))
		return false;
	if (option->kind == DD_SIGNED && *value > INT64_MAX)
		return false;
	if (is_negative)
		*value = -*value;
	return true;
}

bool dd_option_parse(const struct dd_option *option, const char *text, uint64_t *value)
{
	for (const struct dd_word *at = option->words; at && at->text; at++) {
		if (strcmp(at->text, text))
			continue;
		*value = at->value;
		return true;
	}
	if (option->kind == DD_CPUS) {
		*value = (uintptr_t)text;
		return dd_option_accepts(option, *value);
	}
	return option->kind != DD_CHOICE && parse_number(option, text, value) &&
	       dd_option_accepts(option, *value);
}

/* ---- Fields together ------------------------------------------------------------------------- */

static bool has_priority_as_due(const struct defer_drop_config *values)
{
	bool is_realtime = values->scheduling == DEFER_DROP_SCHEDULING_FIFO ||
			   values->scheduling == DEFER_DROP_SCHEDULING_RR;

	return is_realtime == (values->scheduling_priority != 0);
}

static bool are_marks(const struct defer_drop_config *values, uint64_t high, uint64_t low)
{
	return high ? values->watermark && low < high : !low;
}

static bool has_drops_marks_as_due(const struct defer_drop_config *values)
{
	return are_marks(values, values->high_drops, values->low_drops);
}

static bool has_bytes_marks_as_due(const struct defer_drop_config *values)
{
	return are_marks(values, values->high_bytes, values->low_bytes);
}

static bool has_what_its_runner_takes(const struct defer_drop_config *values)
{
	bool has_eventfd = values->pending_eventfd != -1;

	if (values->runner == DEFER_DROP_RUNNER_WORKER)
		return !has_eventfd;
	return !values->worker_start &&
	       (!has_eventfd || fcntl(values->pending_eventfd, F_GETFD) != -1);
}

static const struct {
	bool (*holds)(const struct defer_drop_config *values);
	const char *wants;
} rules[] = {
	[PRIORITY] = {has_priority_as_due,
		"scheduling_priority in 1..99 with fifo and rr, and 0 with all others"},
	[DROPS_MARKS] = {has_drops_marks_as_due,
		"low_drops below high_drops, in a program that has a watermark function"},
	[BYTES_MARKS] = {has_bytes_marks_as_due,
		"low_bytes below high_bytes, in a program that has a watermark function"},
	[RUNNER] = {has_what_its_runner_takes,
		"worker_start with the runner worker only, and pending_eventfd, an open "
		"descriptor, with the others only"},
};

unsigned dd_config_broken_rule(const struct defer_drop_config *values, unsigned after)
{
	for (unsigned rule = after + 1; rule < sizeof rules / sizeof rules[0]; rule++)
		if (!rules[rule].holds(values))
			return rule;
	return 0;
}

void dd_rule_show_fields(
	unsigned rule, const struct defer_drop_config *values, struct dd_line *line)
{
	const char *separator = "";

	for (unsigned i = 0; i < dd_options_count; i++) {
		const struct dd_option *option = &dd_options[i];

		if (option->rule != rule)
			continue;
		dd_line_add(line, "%s%s=", separator, option->name);
		dd_option_show(option, dd_option_value(option, values), line);
		separator = ", ";
	}
}

const char *dd_rule_wants(unsigned rule)
{
	return rules[rule].wants;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void set_built_in(struct defer_drop_config *values)
{
	memset(values, 0, sizeof *values);
	values->size = sizeof *values;
	for (unsigned i = 0; i < dd_options_count; i++)
		store(&dd_options[i], values, dd_option_built_in(&dd_options[i]));
}

int dd_config_take(const struct defer_drop_config *asked, struct defer_drop_config *values)
{
	struct defer_drop_config copy;
	int result;

	set_built_in(values);
	if (!asked)
		return 0;
	result = dd_versioned_copy(&copy, sizeof copy, DD_CONFIG_SIZE_0, asked);
	if (result)
		return result;
	/* Fields that an older version of the struct lacks keep the built-in value, not 0. */
	memcpy(values, &copy, copy.size < sizeof copy ? copy.size : sizeof copy);
	values->size = sizeof *values;
	return 0;
}

void dd_config_resolve(struct defer_drop_config *values)
{
	if (values->runner == DEFER_DROP_RUNNER_DEFAULT)
		values->runner = DEFER_DROP_RUNNER_WORKER;
	if (values->at_fork == DEFER_DROP_AT_FORK_DEFAULT)
		values->at_fork = DEFER_DROP_AT_FORK_EMPTY;
	if (values->exit_timeout_ns == DEFER_DROP_UNSET)
		values->exit_timeout_ns = DEFER_DROP_FOREVER;
	if (values->low_drops == DEFER_DROP_UNSET)
		values->low_drops = values->high_drops / 2;
	if (values->low_bytes == DEFER_DROP_UNSET)
		values->low_bytes = values->high_bytes / 2;
}

static int take(const struct defer_drop_config *asked, struct defer_drop_config *values,
	struct dd_line *why)
{
	int result = dd_config_take(asked, values);

	if (result == -EINVAL)
		dd_line_add(why, "size=%zu: want at least %d", asked->size, DD_CONFIG_SIZE_0);
	if (result == -E2BIG)
		dd_line_add(why,
			"size=%zu: want 0 in the bytes that this library does not know, which "
			"begin at %zu",
			asked->size, sizeof *values);
	return result;
}

/* Checks and completes what was asked for. why: receives the reason of a refusal. */
static int make(
	const struct defer_drop_config *asked, struct dd_config *config, struct dd_line *why)
{
	struct defer_drop_config values;
	int result = take(asked, &values, why);
	unsigned rule;

	if (result)
		return result;
	memset(config, 0, sizeof *config);
	config->values.size = sizeof config->values;
	for (unsigned i = 0; i < dd_options_count; i++) {
		const struct dd_option *option = &dd_options[i];
		uint64_t value = dd_option_value(option, &values);

		if (!dd_option_accepts(option, value)) {
			dd_line_add(why, "%s=", option->name);
			dd_option_show(option, value, why);
			dd_line_add(why, ": want ");
			dd_option_show_range(option, why);
			return -EINVAL;
		}
		dd_option_set(option, config, value);
	}
	dd_config_resolve(&config->values);
	rule = dd_config_broken_rule(&config->values, 0);
	if (!rule)
		return 0;
	dd_rule_show_fields(rule, &config->values, why);
	dd_line_add(why, ": want %s", dd_rule_wants(rule));
	return -EINVAL;
}

int dd_config_make(const struct defer_drop_config *asked, struct dd_config *config)
{
	struct dd_line why = {0};

	return make(asked, config, &why);
}

void dd_config_copy(struct dd_config *to, const struct dd_config *from)
{
	*to = *from;
	to->values.name = to->text.name;
	if (from->values.cpus)
		to->values.cpus = to->text.cpus;
}

static bool is_equal(const struct dd_option *option, uint64_t a, uint64_t b)
{
	return is_string(option) && a && b ? !strcmp(string_of(a), string_of(b)) : a == b;
}

bool dd_config_is_equal(const struct dd_config *a, const struct dd_config *b)
{
	for (unsigned i = 0; i < dd_options_count; i++) {
		const struct dd_option *option = &dd_options[i];

		if (!is_equal(option, dd_option_value(option, &a->values),
			    dd_option_value(option, &b->values)))
			return false;
	}
	return true;
}

/* ---- The public struct ----------------------------------------------------------------------- */

int dd_config_show(const struct dd_config *config, struct defer_drop_config *to)
{
	return dd_versioned_fill(to, DD_CONFIG_SIZE_0, &config->values, sizeof config->values);
}

int defer_drop_config_built_in(struct defer_drop_config *config)
{
	struct defer_drop_config values;

	if (!config)
		return -EINVAL;
	set_built_in(&values);
	return dd_versioned_fill(config, DD_CONFIG_SIZE_0, &values, sizeof values);
}

int defer_drop_config_check(const struct defer_drop_config *asked, char *why, size_t why_bytes)
{
	struct dd_config config;
	struct dd_line line = {0};
	int result = make(asked, &config, &line);

	if (!result && config.values.rcu_flavor && !DD_HAS_RCU) {
		dd_line_add(&line, "rcu_flavor: this library was built without liburcu");
		result = -ENOTSUP;
	}
	if (result && why && why_bytes) {
		size_t length = line.length < why_bytes ? line.length : why_bytes - 1;

		memcpy(why, line.text, length);
		why[length] = 0;
	}
	return result;
}

int dd_config_policy(const struct defer_drop_config *values)
{
	static const int policies[] = {
		[DEFER_DROP_SCHEDULING_OTHER] = SCHED_OTHER,
		[DEFER_DROP_SCHEDULING_BATCH] = SCHED_BATCH,
		[DEFER_DROP_SCHEDULING_IDLE] = SCHED_IDLE,
		[DEFER_DROP_SCHEDULING_FIFO] = SCHED_FIFO,
		[DEFER_DROP_SCHEDULING_RR] = SCHED_RR,
	};

	return policies[values->scheduling];
}
