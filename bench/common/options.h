/* SPDX-License-Identifier: MIT
 *
 * The command line of every program in bench: a table says what is particular to a program.
 *
 * Bad input ends the program with exit status 2 and one line on standard error, which names the
 * value and what is accepted. --help ends it with exit status 0.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_LIST_MAX 64

/* Numbers, separated by commas on the command line. */
struct options_list {
	uint64_t values[OPTIONS_LIST_MAX];
	unsigned count;
};

struct options_entry {
	const char *name;  /* without dashes; NULL ends the table */
	const char *what;  /* for --help, which indents its further lines */
	const char *value; /* what --help calls the value. NULL: N, or NAME for a text */
	/* The destination, one of four. It holds the built-in value. */
	uint64_t *number;
	struct options_list *list;
	const char **text;
	bool *flag; /* an option without a value */
	/* The range of a number, and of each number of a list. */
	uint64_t least, most;
	bool is_power_of_two; /* only those within the range are accepted */
	bool is_zero_allowed; /* below the range */
	/* The texts that are accepted, by number; NULL behind the last. No function: any text. */
	const char *(*choice)(unsigned nth);
	/* With --quick: the number, or the greatest one of a list that is kept. 0: the built-in value. */
	uint64_t quick;
	uint64_t quick_least; /* the least one of a list that is kept */
};

/* Entries for a number and for a list, with their range. Further members follow. */
#define OPTIONS_NUMBER(name_, number_, least_, most_, ...)                                    \
	{                                                                                     \
		.name = name_, .number = number_, .least = least_, .most = most_, __VA_ARGS__ \
	}
#define OPTIONS_LIST(name_, list_, least_, most_, ...)                                    \
	{                                                                                 \
		.name = name_, .list = list_, .least = least_, .most = most_, __VA_ARGS__ \
	}

struct options_program {
	const char *about; /* for --help, a sentence or more */
	const struct options_entry *table;
	const char *operands; /* what follows the options, for --help. NULL: nothing may */
	const char *notes;    /* for --help, behind the options, or NULL */
};

/* Reads the command line. Returns the index of the first operand, or count if there is none. */
int options_parse(const struct options_program *program, int count, char **arguments);

/* Ends the program with exit status 2 and a line on standard error. */
_Noreturn void options_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The command line of a benchmark, for results_begin. */
struct options {
	int count;
	char **arguments;
	const char *json; /* the file for JSON, "-" for standard output, or NULL */
};

/*
 * Reads the command line of a benchmark, which has three more options. --quick: as the table says;
 * --least: every number at its least, for tests; --json FILE.
 */
struct options options_read(
	const struct options_entry *table, const char *about, int count, char **arguments);

#endif
