/* SPDX-License-Identifier: MIT
 *
 * DEFER_DROP_OPTIONS is a list of options separated by commas. An option is NAME=VALUE or help, for
 * the default queue, or either of these after QUEUE: for the queues of that name. A digit after a
 * comma continues a value that is a list of CPUs: no name of an option begins with a digit.
 */
#include "config/environment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"

#define OPTION_BYTES (DD_CPUS_BYTES + 32) /* with the final 0, without the queue */
#define MOST_ECHOED  (DD_NAME_BYTES + OPTION_BYTES)

/* One application of the variable to a configuration. */
struct tuning {
	struct dd_config *config; /* being tuned */
	struct defer_drop_config asked;
	const char *name;
	bool is_default;
	bool wants_help;
	void (*tell)(const char *line);
};

/* The text of the option being applied: all of it, and from behind its queue. */
struct text {
	const char *begin;
	const char *own;
	const char *end;
};

/* ---- Reports --------------------------------------------------------------------------------- */

static void say(const struct tuning *tuning, const struct dd_line *line)
{
	if (tuning->tell)
		tuning->tell(line->text);
}

/* Begins a line about an option with its text. */
static void begin_line(struct dd_line *line, const struct text *text)
{
	size_t length = (size_t)(text->end - text->begin);
	bool is_short = length <= MOST_ECHOED;

	dd_line_add(line, "DEFER_DROP_OPTIONS: %.*s%s: ", is_short ? (int)length : 64, text->begin,
		is_short ? "" : "...");
}

/* Ends the line with the value that stays in force. */
static void add_kept(
	const struct tuning *tuning, const struct dd_option *option, struct dd_line *line)
{
	dd_line_add(line, "; it stays ");
	dd_option_show(option, dd_option_value(option, &tuning->config->values), line);
}

static void refuse_length(const struct tuning *tuning, const struct text *text)
{
	struct dd_line line = {0};

	begin_line(&line, text);
	dd_line_add(&line, "want at most %d bytes", OPTION_BYTES - 1);
	say(tuning, &line);
}

static void refuse_name(const struct tuning *tuning, const struct text *text)
{
	struct dd_line line = {0};

	begin_line(&line, text);
	dd_line_add(&line, "want a name among");
	for (unsigned i = 0; i < dd_options_count; i++)
		if (dd_options[i].owner != DD_OF_PROGRAM)
			dd_line_add(&line, " %s,", dd_options[i].name);
	dd_line_add(&line, " followed by = and a value, or help");
	say(tuning, &line);
}

static void refuse_value(
	const struct tuning *tuning, const struct text *text, const struct dd_option *option)
{
	struct dd_line line = {0};

	begin_line(&line, text);
	dd_line_add(&line, "want ");
	dd_option_show_range(option, &line);
	add_kept(tuning, option, &line);
	say(tuning, &line);
}

static void refuse_owner(
	const struct tuning *tuning, const struct text *text, const struct dd_option *option)
{
	struct dd_line line = {0};

	begin_line(&line, text);
	dd_line_add(&line, "the program decides that");
	if (option->kind != DD_POINTER)
		add_kept(tuning, option, &line);
	say(tuning, &line);
}

static void refuse_rule(
	const struct tuning *tuning, unsigned rule, const struct defer_drop_config *before)
{
	struct dd_line line = {0};

	dd_line_add(&line, "DEFER_DROP_OPTIONS: ");
	dd_rule_show_fields(rule, &tuning->config->values, &line);
	dd_line_add(&line, ": want %s; they stay ", dd_rule_wants(rule));
	dd_rule_show_fields(rule, before, &line);
	say(tuning, &line);
}

/* ---- Options --------------------------------------------------------------------------------- */

static bool is_programs(const struct tuning *tuning, const struct dd_option *option)
{
	return option->owner == DD_OF_PROGRAM ||
	       (option->owner == DD_OF_PROGRAM_IF_SET &&
		       dd_option_value(option, &tuning->asked) != option->built_in);
}

static void help(const struct tuning *tuning)
{
	for (unsigned i = 0; i < dd_options_count; i++) {
		const struct dd_option *option = &dd_options[i];
		struct dd_line line = {0};

		if (option->kind == DD_POINTER)
			continue;
		dd_line_add(&line, "DEFER_DROP_OPTIONS: %s=", option->name);
		dd_option_show(option, dd_option_value(option, &tuning->config->values), &line);
		dd_line_add(&line, " (built in: ");
		dd_option_show(option, dd_option_built_in(option), &line);
		dd_line_add(&line, "): ");
		if (is_programs(tuning, option))
			dd_line_add(&line, "the program decides that");
		else
			dd_option_show_range(option, &line);
		say(tuning, &line);
	}
}

static const struct dd_option *find_option(const char *name)
{
	for (unsigned i = 0; i < dd_options_count; i++)
		if (!strcmp(dd_options[i].name, name))
			return &dd_options[i];
	return NULL;
}

static void apply(struct tuning *tuning, const struct text *text)
{
	char name[OPTION_BYTES];
	size_t length = (size_t)(text->end - text->own);
	const struct dd_option *option;
	uint64_t value;
	char *equals;

	if (length >= sizeof name) {
		refuse_length(tuning, text);
		return;
	}
	memcpy(name, text->own, length);
	name[length] = 0;
	equals = strchr(name, '=');
	if (equals)
		*equals = 0;
	option = find_option(name);
	if (!equals && !strcmp(name, "help"))
		tuning->wants_help = true;
	else if (!option)
		refuse_name(tuning, text);
	else if (is_programs(tuning, option))
		refuse_owner(tuning, text, option);
	else if (!equals || !dd_option_parse(option, equals + 1, &value))
		refuse_value(tuning, text, option);
	else
		dd_option_set(option, tuning->config, value);
}

/* ---- The list -------------------------------------------------------------------------------- */

static const char *end_of_option(const char *at)
{
	while (*at && !(*at == ',' && !(at[1] >= '0' && at[1] <= '9')))
		at++;
	return at;
}

/* Skips the name of the queue. False if the option is for another one. */
static bool find_own(const struct tuning *tuning, struct text *text)
{
	size_t length = (size_t)(text->end - text->begin);
	size_t name_length = strlen(tuning->name);
	size_t to_sign = strcspn(text->begin, ":=,");

	text->own = text->begin;
	if (length > name_length && text->begin[name_length] == ':' &&
		!memcmp(text->begin, tuning->name, name_length)) {
		text->own += name_length + 1;
		return true;
	}
	return tuning->is_default && (!to_sign || text->begin[to_sign] != ':');
}

static void apply_all(struct tuning *tuning, const char *options)
{
	struct text text = {.begin = options};

	while (*text.begin) {
		text.end = end_of_option(text.begin);
		if (text.end > text.begin && find_own(tuning, &text))
			apply(tuning, &text);
		text.begin = text.end + (*text.end == ',');
	}
}

/* Restores values that do not go together. */
static void keep_rules(struct tuning *tuning, const struct dd_config *before)
{
	struct dd_config *config = tuning->config;
	unsigned rule = 0;

	while ((rule = dd_config_broken_rule(&config->values, rule))) {
		refuse_rule(tuning, rule, &before->values);
		for (unsigned i = 0; i < dd_options_count; i++) {
			const struct dd_option *option = &dd_options[i];

			if (option->rule == rule)
				dd_option_set(
					option, config, dd_option_value(option, &before->values));
		}
	}
}

static void tune(struct tuning *tuning, const char *options)
{
	struct defer_drop_config *values = &tuning->config->values;
	struct dd_config before;

	dd_config_copy(&before, tuning->config);
	/* A low mark that the program has not set follows the high one. */
	values->low_drops = tuning->asked.low_drops;
	values->low_bytes = tuning->asked.low_bytes;
	apply_all(tuning, options);
	dd_config_resolve(values);
	keep_rules(tuning, &before);
	if (tuning->wants_help)
		help(tuning);
}

void dd_environment_apply(struct dd_config *config, const struct defer_drop_config *asked,
	const char *name, bool is_default, void (*tell)(const char *line))
{
	const char *options = secure_getenv("DEFER_DROP_OPTIONS");
	struct tuning tuning = {
		.config = config, .name = name, .is_default = is_default, .tell = tell};
	int errno_before = errno;

	if (options && !dd_config_take(asked, &tuning.asked))
		tune(&tuning, options);
	errno = errno_before;
}
