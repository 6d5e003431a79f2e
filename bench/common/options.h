/* SPDX-License-Identifier: MIT
 *
 * The command line of a benchmark: what is particular to it is a table; --quick, --least, --json
 * and --help are common to all.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

#define OPTIONS_LIST_MAX 64

/* Numbers, on the command line separated by commas. */
struct options_list {
	uint64_t values[OPTIONS_LIST_MAX];
	unsigned count;
};

struct options_entry {
	const char *name; /* without dashes; NULL ends the table */
	const char *what; /* for --help */
	/* Where it goes, which holds what is built in: one of the three. */
	uint64_t *number;
	struct options_list *list;
	const char **text;
	/* What a number may be. With --least, which is for tests, it is the least. */
	uint64_t least, most;
	/* With --quick: the number, or of a list the greatest that is kept. 0: what is built in. */
	uint64_t quick;
};

/* What was asked for, for results_begin. */
struct options {
	int count;
	char **arguments;
	const char *json; /* the file for JSON, "-" for standard output, or NULL */
};

/*
 * Reads the command line. What is wrong ends the program with one line and exit status 2; --help
 * with exit status 0. about: a sentence or more for --help.
 */
struct options options_read(
	const struct options_entry *table, const char *about, int count, char **arguments);

#endif
