/* SPDX-License-Identifier: MIT
 *
 * Reads command lines by getopt_long(3) and a table.
 */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 32

/* The column at which --help explains an option. */
#define EXPLANATION 21

/* The table of the program, with that of all benchmarks behind it. */
struct entries {
	const struct options_entry *each[MAX_OPTIONS];
	bool is_given[MAX_OPTIONS];
	unsigned count;
};

static void add(struct entries *entries, const struct options_entry *table)
{
	for (; table->name; table++) {
		if (entries->count == MAX_OPTIONS)
			abort();
		entries->each[entries->count++] = table;
	}
}

void options_refuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(2);
}

/* ---- Help ------------------------------------------------------------------------------------ */

static const char *value_name(const struct options_entry *entry)
{
	if (entry->flag)
		return "";
	if (entry->value)
		return entry->value;
	return entry->text ? "NAME" : entry->list ? "N,..." : "N";
}

static void print_range(FILE *file, const struct options_entry *entry)
{
	fprintf(file, "%s%s%" PRIu64 "..%" PRIu64, entry->is_zero_allowed ? "0 or " : "",
		entry->is_power_of_two ? "a power of two in " : "", entry->least, entry->most);
}

static void print_built_in_list(const struct options_entry *entry)
{
	for (unsigned i = 0; i < entry->list->count; i++)
		printf("%s%" PRIu64, i ? "," : "", entry->list->values[i]);
	if (entry->quick)
		printf(entry->quick_least == entry->quick ? ", quick %" PRIu64
							  : ", quick up to %" PRIu64,
			entry->quick);
}

static void print_built_in(const struct options_entry *entry)
{
	if (entry->text && *entry->text)
		printf(" [%s]", *entry->text);
	if (!entry->number && !entry->list)
		return;
	printf("; ");
	print_range(stdout, entry);
	if (entry->number && *entry->number == UINT64_MAX)
		return; /* only what is given counts */
	printf(" [");
	if (entry->list)
		print_built_in_list(entry);
	else
		printf("%" PRIu64, *entry->number);
	if (entry->number && entry->quick)
		printf(", quick %" PRIu64, entry->quick);
	printf("]");
}

static void print_entry(const struct options_entry *entry)
{
	char left[32];

	snprintf(left, sizeof left, "--%s %s", entry->name, value_name(entry));
	printf("  %-*s ", EXPLANATION - 3, left);
	for (const char *at = entry->what; *at; at++)
		if (*at == '\n')
			printf("\n%*s", EXPLANATION, "");
		else
			putchar(*at);
	print_built_in(entry);
	printf("\n");
}

static _Noreturn void print_help(
	const struct options_program *program, const struct entries *entries)
{
	printf("usage: %s [OPTION]...%s%s\n\n%s\n\n", program_invocation_short_name,
		program->operands ? " " : "", program->operands ? program->operands : "",
		program->about);
	for (unsigned i = 0; i < entries->count; i++)
		print_entry(entries->each[i]);
	printf("  %-*s%s\n", EXPLANATION - 2, "-h, --help", "this text");
	if (program->notes)
		printf("\n%s\n", program->notes);
	exit(0);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static bool is_accepted(const struct options_entry *entry, uint64_t value)
{
	if (!value && entry->is_zero_allowed)
		return true;
	if (entry->is_power_of_two && value & (value - 1))
		return false;
	return value >= entry->least && value <= entry->most;
}

static uint64_t read_number(const struct options_entry *entry, const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	/* strtoull(3) takes "-1" for a large number. */
	if (errno || *end || *text < '0' || *text > '9' || !is_accepted(entry, value)) {
		fprintf(stderr, "--%s %s: want ", entry->name, text);
		print_range(stderr, entry);
		options_refuse("%s", "");
	}
	return value;
}

static void read_list(const struct options_entry *entry, const char *text)
{
	/* A copy, since the results show the command line as it was given. */
	char *copy = strdup(text);
	char *rest = copy;

	if (!copy)
		abort();
	entry->list->count = 0;
	for (char *part = strsep(&rest, ","); part; part = strsep(&rest, ",")) {
		if (entry->list->count == OPTIONS_LIST_MAX)
			options_refuse("--%s %s: want at most %d numbers", entry->name, text,
				OPTIONS_LIST_MAX);
		entry->list->values[entry->list->count++] = read_number(entry, part);
	}
	free(copy);
}

static void check_choice(const struct options_entry *entry, const char *text)
{
	const char *name;

	for (unsigned i = 0; (name = entry->choice(i)); i++)
		if (!strcmp(name, text))
			return;
	fprintf(stderr, "--%s %s: want one of ", entry->name, text);
	for (unsigned i = 0; (name = entry->choice(i)); i++)
		fprintf(stderr, "%s%s", i ? ", " : "", name);
	options_refuse("%s", "");
}

static void read_value(const struct options_entry *entry, const char *text)
{
	if (entry->choice)
		check_choice(entry, text);
	if (entry->flag)
		*entry->flag = true;
	else if (entry->number)
		*entry->number = read_number(entry, text);
	else if (entry->list)
		read_list(entry, text);
	else
		*entry->text = text;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* What getopt_long(3) returns for an entry is its index, and 'h' for --help. */
static_assert(MAX_OPTIONS < 'h', "an index could be taken for it");

static void fill(struct option *known, const struct entries *entries)
{
	for (unsigned i = 0; i < entries->count; i++)
		known[i] = (struct option){entries->each[i]->name,
			entries->each[i]->flag ? no_argument : required_argument, NULL, (int)i};
	known[entries->count] = (struct option){"help", no_argument, NULL, 'h'};
	known[entries->count + 1] = (struct option){NULL, 0, NULL, 0};
}

static int parse(
	const struct options_program *program, struct entries *entries, int count, char **arguments)
{
	struct option known[MAX_OPTIONS + 2];
	int option;

	fill(known, entries);
	while ((option = getopt_long(count, arguments, "h", known, NULL)) != -1) {
		if (option == '?')
			exit(2); /* getopt_long(3) has said why */
		if (option == 'h')
			print_help(program, entries);
		entries->is_given[option] = true;
		read_value(entries->each[option], optarg);
	}
	if (optind < count && !program->operands)
		options_refuse("%s: want options only, see --help", arguments[optind]);
	return optind;
}

int options_parse(const struct options_program *program, int count, char **arguments)
{
	struct entries entries = {.count = 0};

	add(&entries, program->table);
	return parse(program, &entries, count, arguments);
}

/* ---- Benchmarks ------------------------------------------------------------------------------ */

static void keep_within(struct options_list *list, uint64_t least, uint64_t most)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < list->count; i++)
		if (list->values[i] >= least && list->values[i] <= most)
			list->values[kept++] = list->values[i];
	list->count = kept;
}

/* Reduces numbers that were not given, for --quick or --least. */
static void reduce(const struct options_entry *entry, bool is_least)
{
	if (entry->number && (is_least || entry->quick))
		*entry->number = is_least ? entry->least : entry->quick;
	if (entry->list && is_least)
		*entry->list = (struct options_list){{entry->least}, 1};
	else if (entry->list && entry->quick)
		keep_within(entry->list, entry->quick_least, entry->quick);
}

struct options options_read(
	const struct options_entry *table, const char *about, int count, char **arguments)
{
	bool is_quick = false;
	bool is_least = false;
	struct options options = {count, arguments, NULL};
	const struct options_program program = {.about = about, .table = table};
	const struct options_entry common[] = {
		{.name = "quick",
			.what = "measures less, for some seconds or minutes",
			.flag = &is_quick},
		{.name = "least",
			.what = "every number at its least, to see that the program works",
			.flag = &is_least},
		{.name = "json",
			.what = "where the figures go as JSON too; - is standard output, and the "
				"text "
				"goes\nto standard error then",
			.value = "FILE",
			.text = &options.json},
		{.name = NULL},
	};
	struct entries entries = {.count = 0};

	add(&entries, table);
	add(&entries, common);
	parse(&program, &entries, count, arguments);
	for (unsigned i = 0; i < entries.count && (is_quick || is_least); i++)
		if (!entries.is_given[i])
			reduce(entries.each[i], is_least);
	return options;
}
