/* SPDX-License-Identifier: MIT
 *
 * Writes what a benchmark found: tables as text while it runs, and the same rows as JSON at the
 * end.
 *
 *     results_begin    where, when and how it ran
 *     results_version, results_skip, results_note
 *     results_table    what the rows that follow are about
 *     results_row      one way, at one value of the table's variable
 *     results_end
 */
#ifndef RESULTS_H
#define RESULTS_H

#include <stddef.h>
#include <stdio.h>

#include "options.h"

/* One array of the JSON, which grows while the benchmark runs. */
struct results_list {
	FILE *file;
	char *text;
	size_t bytes;
	unsigned count;
};

struct results {
	FILE *out;  /* the text */
	FILE *json; /* NULL: not wanted */
	const struct options *options;
	struct results_list versions, notes, skipped, rows;
	const struct results_table *table;
};

struct results_table {
	const char *title;    /* "saturating push" */
	const char *variable; /* what the rows vary, beside the way: "producers", "percentile" */
	const char *ratio;    /* what the ratio is, "ours/theirs"; NULL: no row has one */
};

struct results_row {
	const char *name; /* the way: "defer_drop", "mutex and list" */
	const char *at;   /* the value of the table's variable: "16", "p99.9" */
	const char *unit; /* "ns", "bytes" */
	/* One figure for each round. */
	const double *samples;
	unsigned rounds;
	/*
	 * Two more series, one figure for each round. The ratio is taken within each round, so that
	 * what slowed the whole round down cancels out; the median of these ratios is shown. NULL:
	 * no ratio.
	 */
	const double *ratio_of;
	const double *ratio_to;
};

/*
 * Begins the results. If the JSON cannot be written, ends the program before anything is measured,
 * with a message and exit status 2.
 */
void results_begin(struct results *results, const struct options *options);

/* Adds the version of a peer. That of this library is already there. */
void results_version(struct results *results, const char *name, const char *version);
/* Names something that could not be measured. */
void results_skip(struct results *results, const char *name, const char *why);
/* Adds a line about how the figures were measured. */
void results_note(struct results *results, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Begins a table, which must stay in place until the next one begins or the results end. */
void results_table(struct results *results, const struct results_table *table);
void results_row(struct results *results, const struct results_row *row);

/*
 * Ends the results. Returns the exit status of the program: 2, after a message, if the results
 * could not be written.
 */
int results_end(struct results *results);

#endif
