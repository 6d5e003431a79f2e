/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"
#include "versioned.h"

_Static_assert(DD_QUEUE_SIZE >= 2 && DD_QUEUE_SIZE <= DD_MAX_QUEUE_SIZE &&
		       !(DD_QUEUE_SIZE & (DD_QUEUE_SIZE - 1)),
	"Meson option queue_size");

/* Of the first version of the struct, to which later ones add. */
#define DD_CONFIG_SIZE_0 88

_Static_assert(
	offsetof(struct defer_drop_config, max_bytes) == DD_CONFIG_SIZE_0, "defer_drop_config");

#define MOST_BYTES (UINT64_C(1) << 62)

/* ---- Checks ---------------------------------------------------------------------------------- */

static bool is_within(uint64_t value, uint64_t least, uint64_t most)
{
	return value >= least && value <= most;
}

static const char *cpu_number(const char *at, unsigned *cpu)
{
	char *end;
	unsigned long value;

	if (!isdigit((unsigned char)*at))
		return NULL;
	value = strtoul(at, &end, 10);
	if (value >= CPU_SETSIZE)
		return NULL;
	*cpu = (unsigned)value;
	return end;
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

/* One of the CPUs must exist, or the worker could never run. */
static bool is_cpu_list(const char *list)
{
	cpu_set_t cpus;
	long configured = sysconf(_SC_NPROCESSORS_CONF);

	if (strlen(list) >= DD_CPUS_BYTES || !dd_cpus_parse(list, &cpus))
		return false;
	for (long cpu = 0; cpu < configured && cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &cpus))
			return true;
	return false;
}

static bool is_realtime(const struct dd_config *config)
{
	return config->scheduling == DEFER_DROP_SCHEDULING_FIFO ||
	       config->scheduling == DEFER_DROP_SCHEDULING_RR;
}

/* What no single value shows: which of them go together. */

static bool has_priority_as_due(const struct dd_config *config)
{
	return is_realtime(config) == (config->scheduling_priority != 0);
}

static bool has_timeout_as_due(const struct dd_config *config)
{
	return (config->at_exit == DEFER_DROP_AT_EXIT_TIMED) == (config->exit_timeout_ns != 0);
}

/* Marks are for who is told of them, and the low one lies below the high one. */
static bool has_marks_as_due(const struct dd_config *config)
{
	bool has_marks = config->high_drops || config->high_bytes;

	return has_marks == (config->watermark != NULL) &&
	       (config->low_drops < config->high_drops || !config->low_drops) &&
	       (config->low_bytes < config->high_bytes || !config->low_bytes);
}

int dd_config_policy(const struct dd_config *config)
{
	static const int policies[] = {
		[DEFER_DROP_SCHEDULING_OTHER] = SCHED_OTHER,
		[DEFER_DROP_SCHEDULING_BATCH] = SCHED_BATCH,
		[DEFER_DROP_SCHEDULING_IDLE] = SCHED_IDLE,
		[DEFER_DROP_SCHEDULING_FIFO] = SCHED_FIFO,
		[DEFER_DROP_SCHEDULING_RR] = SCHED_RR,
	};

	return policies[config->scheduling];
}

/* ---- One value at a time: the same setters serve the struct and the environment -------------- */

/* Each sets a field to a value that is not 0. False where the value is out of range. */

static bool set_queue_size(struct dd_config *config, uint64_t value)
{
	config->queue_size = (uint32_t)value;
	return is_within(value, 2, DD_MAX_QUEUE_SIZE) && !(value & (value - 1));
}

static bool set_max_lanes(struct dd_config *config, uint64_t value)
{
	config->max_lanes = value == DEFER_DROP_NO_LANES ? 0 : (uint32_t)value;
	return value == DEFER_DROP_NO_LANES || is_within(value, 1, DD_MAX_LANES);
}

static bool set_scheduling(struct dd_config *config, uint64_t value)
{
	config->scheduling = (uint32_t)value;
	if (!is_realtime(config))
		config->scheduling_priority = 0; /* so that the environment can undo one */
	return value <= DEFER_DROP_SCHEDULING_RR;
}

static bool set_scheduling_priority(struct dd_config *config, uint64_t value)
{
	config->scheduling_priority = (uint32_t)value;
	return is_within(value, 1, 99);
}

static bool set_niceness(struct dd_config *config, uint64_t value)
{
	int64_t niceness = (int64_t)value;

	config->niceness = (int32_t)niceness;
	return niceness >= -20 && niceness <= 19;
}

static bool set_runner(struct dd_config *config, uint64_t value)
{
	config->runner = (uint32_t)value;
	return value <= DEFER_DROP_RUNNER_CALLER;
}

static bool set_at_exit(struct dd_config *config, uint64_t value)
{
	config->at_exit = (uint32_t)value;
	if (value != DEFER_DROP_AT_EXIT_TIMED)
		config->exit_timeout_ns = 0; /* likewise */
	return value <= DEFER_DROP_AT_EXIT_ABANDON;
}

static bool set_at_fork(struct dd_config *config, uint64_t value)
{
	config->at_fork = (uint32_t)value;
	return value <= DEFER_DROP_AT_FORK_KEEP;
}

static bool set_exit_timeout_ns(struct dd_config *config, uint64_t value)
{
	config->exit_timeout_ns = value;
	return is_within(value, 1, DEFER_DROP_TIMEOUT_MAX);
}

static bool set_stack_size_bytes(struct dd_config *config, uint64_t value)
{
	config->stack_size_bytes = value;
	return is_within(value, (uint64_t)sysconf(_SC_THREAD_STACK_MIN), UINT64_C(1) << 32);
}

static bool set_quiet_spell_ns(struct dd_config *config, uint64_t value)
{
	config->quiet_spell_ns = value;
	return value == DEFER_DROP_NEVER || is_within(value, DD_MS, DEFER_DROP_TIMEOUT_MAX);
}

static bool set_longest_nap_ns(struct dd_config *config, uint64_t value)
{
	config->longest_nap_ns = value;
	return is_within(value, 1000, DD_S);
}

static bool set_max_bytes(struct dd_config *config, uint64_t value)
{
	config->max_bytes = value;
	return is_within(value, 1, MOST_BYTES);
}

/* A low mark that goes with the high one, unless there is one. */
static void set_mark(uint64_t *high, uint64_t *low, uint64_t value)
{
	*high = value;
	if (!*low || *low >= value)
		*low = value / 2;
}

static bool set_high_drops(struct dd_config *config, uint64_t value)
{
	set_mark(&config->high_drops, &config->low_drops, value);
	return is_within(value, 1, MOST_BYTES);
}

static bool set_low_drops(struct dd_config *config, uint64_t value)
{
	config->low_drops = value;
	return is_within(value, 1, MOST_BYTES);
}

static bool set_high_bytes(struct dd_config *config, uint64_t value)
{
	set_mark(&config->high_bytes, &config->low_bytes, value);
	return is_within(value, 1, MOST_BYTES);
}

static bool set_low_bytes(struct dd_config *config, uint64_t value)
{
	config->low_bytes = value;
	return is_within(value, 1, MOST_BYTES);
}

static bool set_watermark_interval_ns(struct dd_config *config, uint64_t value)
{
	config->watermark_interval_ns = value;
	return is_within(value, 1000, DEFER_DROP_TIMEOUT_MAX);
}

static bool set_watchdog_ns(struct dd_config *config, uint64_t value)
{
	config->watchdog_ns = value;
	return is_within(value, DD_MS, DEFER_DROP_TIMEOUT_MAX);
}

static bool set_worker_name(struct dd_config *config, const char *value)
{
	size_t length = strlen(value);

	if (!is_within(length, 1, DD_NAME_BYTES - 1))
		return false;
	memcpy(config->worker_name, value, length + 1);
	return true;
}

static bool set_cpus(struct dd_config *config, const char *value)
{
	if (!is_cpu_list(value))
		return false;
	memcpy(config->cpus, value, strlen(value) + 1);
	return true;
}

/* ---- The struct ------------------------------------------------------------------------------ */

static const struct dd_config built_in = {
	.queue_size = DD_QUEUE_SIZE,
	.max_lanes = DD_MAX_LANES_BUILT_IN,
	.runner = DEFER_DROP_RUNNER_WORKER,
	.at_exit = DEFER_DROP_AT_EXIT_DRAIN,
	.at_fork = DEFER_DROP_AT_FORK_EMPTY,
	.quiet_spell_ns = 100 * DD_MS,
	.longest_nap_ns = DD_MS,
	.max_bytes = MOST_BYTES,
	.watermark_interval_ns = 10 * DD_MS,
	.worker_name = "defer_drop",
};

int dd_config_make(const struct defer_drop_config *asked, struct dd_config *config)
{
	struct defer_drop_config copy;
	int result;

	*config = built_in;
	if (!asked)
		return 0;
	result = dd_versioned_copy(&copy, sizeof copy, DD_CONFIG_SIZE_0, asked);
	if (result)
		return result;
#define SET(field, value) (!copy.field || set_##field(config, value))
	if (!SET(queue_size, copy.queue_size) || !SET(max_lanes, copy.max_lanes) ||
		!SET(worker_name, copy.worker_name) || !SET(cpus, copy.cpus) ||
		!SET(scheduling, copy.scheduling) ||
		!SET(scheduling_priority, copy.scheduling_priority) ||
		!SET(niceness, (uint64_t)(int64_t)copy.niceness) || !SET(runner, copy.runner) ||
		!SET(at_exit, copy.at_exit) || !SET(at_fork, copy.at_fork) ||
		!SET(exit_timeout_ns, copy.exit_timeout_ns) ||
		!SET(stack_size_bytes, copy.stack_size_bytes) ||
		!SET(quiet_spell_ns, copy.quiet_spell_ns) ||
		!SET(longest_nap_ns, copy.longest_nap_ns) || !SET(max_bytes, copy.max_bytes) ||
		!SET(high_drops, copy.high_drops) || !SET(low_drops, copy.low_drops) ||
		!SET(high_bytes, copy.high_bytes) || !SET(low_bytes, copy.low_bytes) ||
		!SET(watermark_interval_ns, copy.watermark_interval_ns) ||
		!SET(watchdog_ns, copy.watchdog_ns))
		return -EINVAL;
#undef SET
	config->watermark = copy.watermark;
	config->error = copy.error;
	config->context = copy.context;
	config->rcu_flavor = copy.rcu_flavor;
	config->watchdog = copy.watchdog;
	return has_priority_as_due(config) && has_timeout_as_due(config) && has_marks_as_due(config)
		       ? 0
		       : -EINVAL;
}

bool dd_config_is_equal(const struct dd_config *a, const struct dd_config *b)
{
	return a->queue_size == b->queue_size && a->max_lanes == b->max_lanes &&
	       a->scheduling == b->scheduling && a->scheduling_priority == b->scheduling_priority &&
	       a->niceness == b->niceness && a->runner == b->runner && a->at_exit == b->at_exit &&
	       a->at_fork == b->at_fork && a->exit_timeout_ns == b->exit_timeout_ns &&
	       a->stack_size_bytes == b->stack_size_bytes &&
	       a->quiet_spell_ns == b->quiet_spell_ns && a->longest_nap_ns == b->longest_nap_ns &&
	       a->max_bytes == b->max_bytes && a->high_drops == b->high_drops &&
	       a->low_drops == b->low_drops && a->high_bytes == b->high_bytes &&
	       a->low_bytes == b->low_bytes &&
	       a->watermark_interval_ns == b->watermark_interval_ns &&
	       a->watermark == b->watermark && a->error == b->error && a->context == b->context &&
	       a->rcu_flavor == b->rcu_flavor && a->watchdog_ns == b->watchdog_ns &&
	       a->watchdog == b->watchdog && !strcmp(a->worker_name, b->worker_name) &&
	       !strcmp(a->cpus, b->cpus);
}

int dd_config_show(const struct dd_config *config, struct defer_drop_config *to)
{
	struct defer_drop_config all = {
		.size = to->size,
		.queue_size = config->queue_size,
		.max_lanes = config->max_lanes ? config->max_lanes : DEFER_DROP_NO_LANES,
		.worker_name = config->worker_name,
		.cpus = config->cpus[0] ? config->cpus : NULL,
		.scheduling = config->scheduling,
		.scheduling_priority = config->scheduling_priority,
		.niceness = config->niceness,
		.runner = config->runner,
		.at_exit = config->at_exit,
		.at_fork = config->at_fork,
		.exit_timeout_ns = config->exit_timeout_ns,
		.stack_size_bytes = config->stack_size_bytes,
		.quiet_spell_ns = config->quiet_spell_ns,
		.longest_nap_ns = config->longest_nap_ns,
		.max_bytes = config->max_bytes,
		.high_drops = config->high_drops,
		.low_drops = config->low_drops,
		.high_bytes = config->high_bytes,
		.low_bytes = config->low_bytes,
		.watermark_interval_ns = config->watermark_interval_ns,
		.watermark = config->watermark,
		.error = config->error,
		.context = config->context,
		.rcu_flavor = config->rcu_flavor,
		.watchdog_ns = config->watchdog_ns,
		.watchdog = config->watchdog,
	};

	if (to->size < DD_CONFIG_SIZE_0)
		return -EINVAL;
	memcpy(to, &all, to->size < sizeof all ? to->size : sizeof all);
	return 0;
}

/* ---- DEFER_DROP_OPTIONS ---------------------------------------------------------------------- */

struct choice {
	const char *name;
	uint64_t value;
};

struct option {
	const char *name;
	bool (*set)(struct dd_config *config, uint64_t value);
	bool (*set_text)(struct dd_config *config, const char *text);
	const struct choice *choices; /* words it takes, ended by a NULL name; or NULL */
	const char *accepted;
};

static const struct choice none[] = {{"none", DEFER_DROP_NO_LANES}, {NULL, 0}};
static const struct choice never[] = {{"never", DEFER_DROP_NEVER}, {NULL, 0}};
static const struct choice schedulings[] = {
	{"other", DEFER_DROP_SCHEDULING_OTHER},
	{"batch", DEFER_DROP_SCHEDULING_BATCH},
	{"idle", DEFER_DROP_SCHEDULING_IDLE},
	{"fifo", DEFER_DROP_SCHEDULING_FIFO},
	{"rr", DEFER_DROP_SCHEDULING_RR},
	{NULL, 0},
};
static const struct choice runners[] = {
	{"worker", DEFER_DROP_RUNNER_WORKER},
	{"caller", DEFER_DROP_RUNNER_CALLER},
	{NULL, 0},
};
static const struct choice exits[] = {
	{"drain", DEFER_DROP_AT_EXIT_DRAIN},
	{"timed", DEFER_DROP_AT_EXIT_TIMED},
	{"abandon", DEFER_DROP_AT_EXIT_ABANDON},
	{NULL, 0},
};
static const struct choice forks[] = {
	{"empty", DEFER_DROP_AT_FORK_EMPTY},
	{"keep", DEFER_DROP_AT_FORK_KEEP},
	{NULL, 0},
};

static const struct option options_known[] = {
	{"queue_size", set_queue_size, NULL, NULL, "a power of two in 2..16777216"},
	{"max_lanes", set_max_lanes, NULL, none, "1..1024 or none"},
	{"worker_name", NULL, set_worker_name, NULL, "1 to 15 bytes"},
	{"cpus", NULL, set_cpus, NULL, "CPUs of this machine, as 0-3,6"},
	{"scheduling", set_scheduling, NULL, schedulings, "other, batch, idle, fifo or rr"},
	{"scheduling_priority", set_scheduling_priority, NULL, NULL, "1..99"},
	{"niceness", set_niceness, NULL, NULL, "-20..19"},
	{"runner", set_runner, NULL, runners, "worker or caller"},
	{"at_exit", set_at_exit, NULL, exits, "drain, timed or abandon"},
	{"at_fork", set_at_fork, NULL, forks, "empty or keep"},
	{"exit_timeout_ns", set_exit_timeout_ns, NULL, NULL, "1..2^62"},
	{"stack_size_bytes", set_stack_size_bytes, NULL, NULL, "PTHREAD_STACK_MIN..2^32"},
	{"quiet_spell_ns", set_quiet_spell_ns, NULL, never, "1000000..2^62 or never"},
	{"longest_nap_ns", set_longest_nap_ns, NULL, NULL, "1000..1000000000"},
	{"max_bytes", set_max_bytes, NULL, NULL, "1..2^62"},
	{"high_drops", set_high_drops, NULL, NULL, "1..2^62"},
	{"low_drops", set_low_drops, NULL, NULL, "1..2^62"},
	{"high_bytes", set_high_bytes, NULL, NULL, "1..2^62"},
	{"low_bytes", set_low_bytes, NULL, NULL, "1..2^62"},
	{"watermark_interval_ns", set_watermark_interval_ns, NULL, NULL, "1000..2^62"},
	{"watchdog_ns", set_watchdog_ns, NULL, NULL, "1000000..2^62"},
};

#define OPTIONS_KNOWN (sizeof options_known / sizeof options_known[0])
#define OPTION_BYTES  (DD_CPUS_BYTES + 32) /* with the final 0 */

_Static_assert(OPTION_BYTES == 288, "what is accepted says so");

static const char names_known[] =
	"a name among queue_size, max_lanes, worker_name, cpus, scheduling, scheduling_priority, "
	"niceness, runner, at_exit, at_fork, exit_timeout_ns, stack_size_bytes, quiet_spell_ns, "
	"longest_nap_ns, max_bytes, high_drops, low_drops, high_bytes, low_bytes, "
	"watermark_interval_ns, watchdog_ns, followed by = and a value";

/* A whole number in decimal, or a word among the choices. */
static bool parse_value(const struct option *option, const char *text, uint64_t *value)
{
	char *end;

	for (const struct choice *at = option->choices; at && at->name; at++) {
		if (strcmp(at->name, text))
			continue;
		*value = at->value;
		return true;
	}
	/* Of options that are choices, the numbers are not for people. */
	if (option->choices && option->choices != none && option->choices != never)
		return false;
	if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && option->set == set_niceness))
		return false;
	errno = 0;
	*value = option->set == set_niceness ? (uint64_t)strtoll(text, &end, 10)
					     : strtoull(text, &end, 10);
	/* The values that words stand for are not taken as numbers. */
	return !errno && !*end &&
	       !(option->choices && *value >= DEFER_DROP_NO_LANES &&
		       (option->choices == none || *value == DEFER_DROP_NEVER));
}

/* Applies one name=value. Returns NULL, or what would have been accepted. */
static const char *apply(struct dd_config *config, const char *name, const char *text)
{
	struct dd_config changed = *config;

	for (size_t i = 0; i < OPTIONS_KNOWN; i++) {
		const struct option *option = &options_known[i];
		uint64_t value;

		if (strcmp(option->name, name))
			continue;
		if (option->set_text ? !option->set_text(&changed, text)
				     : !parse_value(option, text, &value) ||
					       !option->set(&changed, value))
			return option->accepted;
		*config = changed;
		return NULL;
	}
	return names_known;
}

/*
 * Where an option ends: at a comma, unless a digit follows, which no name begins with and a list of
 * CPUs goes on with.
 */
static const char *option_end(const char *at)
{
	while (*at && !(*at == ',' && !isdigit((unsigned char)at[1])))
		at++;
	return at;
}

static void apply_all(struct dd_config *config, const char *options,
	void (*report)(const char *option, const char *accepted))
{
	for (const char *at = options; *at;) {
		const char *end = option_end(at);
		size_t length = (size_t)(end - at);
		bool is_whole = length < OPTION_BYTES;
		char option[OPTION_BYTES];
		const char *accepted = is_whole ? names_known : "at most 287 bytes";
		char *value;

		length = is_whole ? length : sizeof option - 1;
		memcpy(option, at, length);
		option[length] = 0;
		value = strchr(option, '=');
		/* Of a number that was cut off the rest is another number. */
		if (value && is_whole) {
			*value = 0;
			accepted = apply(config, option, value + 1);
			*value = '=';
		}
		if (accepted && length)
			report(option, accepted);
		at = *end ? end + 1 : end;
	}
}

void dd_config_override(struct dd_config *config, const char *options,
	void (*report)(const char *option, const char *accepted))
{
	struct dd_config before = *config;
	int errno_before = errno;

	apply_all(config, options, report);
	if (!has_priority_as_due(config)) {
		report(options,
			"scheduling_priority with scheduling fifo or rr, and with no other");
		config->scheduling = before.scheduling;
		config->scheduling_priority = before.scheduling_priority;
	}
	if (!has_timeout_as_due(config)) {
		report(options, "exit_timeout_ns with at_exit timed, and with no other");
		config->at_exit = before.at_exit;
		config->exit_timeout_ns = before.exit_timeout_ns;
	}
	if (!has_marks_as_due(config)) {
		report(options,
			"high marks above low ones, in a program that has a watermark function");
		config->high_drops = before.high_drops;
		config->low_drops = before.low_drops;
		config->high_bytes = before.high_bytes;
		config->low_bytes = before.low_bytes;
	}
	errno = errno_before;
}
