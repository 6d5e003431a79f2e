/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define MAX_OPTIONS 32

/* What getopt_long(3) returns for an entry of the table is its index. */
enum { QUICK = MAX_OPTIONS, LEAST, JSON, HELP };

static const struct option common[] = {
	{"quick", no_argument, NULL, QUICK},
	{"least", no_argument, NULL, LEAST},
	{"json", required_argument, NULL, JSON},
	{"help", no_argument, NULL, HELP},
	{NULL, 0, NULL, 0},
};

/* ---- Help ------------------------------------------------------------------------------------ */

static void print_built_in(const struct options_entry *entry)
{
	if (entry->text) {
		printf(" [%s]\n", *entry->text ? *entry->text : "all");
		return;
	}
	printf("; %" PRIu64 "..%" PRIu64 " [", entry->least, entry->most);
	if (entry->number)
		printf("%" PRIu64, *entry->number);
	else
		for (unsigned i = 0; i < entry->list->count; i++)
			printf("%s%" PRIu64, i ? "," : "", entry->list->values[i]);
	if (entry->quick)
		printf(entry->list ? ", quick up to %" PRIu64 : ", quick %" PRIu64, entry->quick);
	printf("]\n");
}

static void print_help(const struct options_entry *table, const char *about)
{
	printf("usage: %s [OPTION]...\n\n%s\n\n", program_invocation_short_name, about);
	for (const struct options_entry *entry = table; entry->name; entry++) {
		char left[32];

		snprintf(left, sizeof left, "--%s %s", entry->name,
			entry->number ? "N"
			: entry->list ? "N,..."
				      : "NAME");
		printf("  %-18s %s", left, entry->what);
		print_built_in(entry);
	}
	printf("  --quick            less of it, for some seconds\n"
	       "  --least            every number at its least: to see that it works\n"
	       "  --json FILE        the same figures as JSON too; - for standard output, then "
	       "the text\n"
	       "                     goes to standard error\n"
	       "  --help             this text\n");
}

/* ---- Values ---------------------------------------------------------------------------------- */

static void read_list(const struct options_entry *entry, const char *option, char *text)
{
	entry->list->count = 0;
	for (char *part = strsep(&text, ","); part; part = strsep(&text, ",")) {
		if (entry->list->count == OPTIONS_LIST_MAX) {
			fprintf(stderr, "%s: want at most %d numbers\n", option, OPTIONS_LIST_MAX);
			exit(2);
		}
		entry->list->values[entry->list->count++] =
			bench_number(option, part, entry->least, entry->most);
	}
}

static void read_value(const struct options_entry *entry, char *text)
{
	char option[32];

	snprintf(option, sizeof option, "--%s", entry->name);
	if (entry->number) {
		*entry->number = bench_number(option, text, entry->least, entry->most);
	} else if (entry->list) {
		text = strdup(text); /* for the results, which show the command line as it was */
		if (!text)
			abort();
		read_list(entry, option, text);
		free(text);
	} else {
		*entry->text = text;
	}
}

static void leave_out_above(struct options_list *list, uint64_t most)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < list->count; i++)
		if (list->values[i] <= most)
			list->values[kept++] = list->values[i];
	list->count = kept;
}

/* Numbers that were not given, with --quick or --least. */
static void reduce(const struct options_entry *entry, bool is_least)
{
	if (entry->number && (is_least || entry->quick))
		*entry->number = is_least ? entry->least : entry->quick;
	if (entry->list && is_least)
		*entry->list = (struct options_list){{entry->least}, 1};
	else if (entry->list && entry->quick)
		leave_out_above(entry->list, entry->quick);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static unsigned fill(struct option *all, const struct options_entry *table)
{
	unsigned entries = 0;

	for (; table[entries].name; entries++)
		all[entries] =
			(struct option){table[entries].name, required_argument, NULL, (int)entries};
	memcpy(all + entries, common, sizeof common);
	return entries;
}

struct options options_read(
	const struct options_entry *table, const char *about, int count, char **arguments)
{
	struct option all[MAX_OPTIONS + sizeof common / sizeof common[0]];
	unsigned entries = fill(all, table);
	struct options options = {count, arguments, NULL};
	bool is_given[MAX_OPTIONS] = {false};
	bool is_quick = false;
	bool is_least = false;
	int option;

	while ((option = getopt_long(count, arguments, "", all, NULL)) != -1) {
		if (option == QUICK)
			is_quick = true;
		else if (option == LEAST)
			is_least = true;
		else if (option == JSON)
			options.json = optarg;
		else if (option == HELP)
			print_help(table, about), exit(0);
		else if (option == '?')
			exit(2); /* getopt_long(3) has said why */
		else
			is_given[option] = true, read_value(&table[option], optarg);
	}
	if (optind < count) {
		fprintf(stderr, "%s: want options only, see --help\n", arguments[optind]);
		exit(2);
	}
	for (unsigned i = 0; i < entries && (is_quick || is_least); i++)
		if (!is_given[i])
			reduce(&table[i], is_least);
	return options;
}
