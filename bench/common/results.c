/* SPDX-License-Identifier: MIT
 *
 * Writes what a benchmark found: tables as text, and the same rows as JSON.
 */
#include "results.h"

#include <defer_drop.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "json.h"
#include "machine.h"

#define TEXT(number)    #number
#define EXPANDED(macro) TEXT(macro)
#define VERSION                            \
	EXPANDED(DEFER_DROP_VERSION_MAJOR) \
	"." EXPANDED(DEFER_DROP_VERSION_MINOR) "." EXPANDED(DEFER_DROP_VERSION_PATCH)

/* The figures of a series that a table shows. */
struct summary {
	double least, lower_quartile, median, upper_quartile, most;
};

static struct summary summarize(const double *samples, unsigned rounds)
{
	double *sorted = malloc(rounds * sizeof *sorted);
	struct summary summary;

	if (!sorted)
		abort();
	memcpy(sorted, samples, rounds * sizeof *sorted);
	bench_sort(sorted, rounds);
	summary = (struct summary){
		.least = sorted[0],
		.lower_quartile = bench_quantile(sorted, rounds, 0.25),
		.median = bench_quantile(sorted, rounds, 0.5),
		.upper_quartile = bench_quantile(sorted, rounds, 0.75),
		.most = sorted[rounds - 1],
	};
	free(sorted);
	return summary;
}

static struct summary summarize_ratio(const struct results_row *row)
{
	double *ratios = malloc(row->rounds * sizeof *ratios);
	struct summary summary;

	if (!ratios)
		abort();
	for (unsigned i = 0; i < row->rounds; i++)
		ratios[i] = row->ratio_of[i] / row->ratio_to[i];
	summary = summarize(ratios, row->rounds);
	free(ratios);
	return summary;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void list_begin(struct results_list *list)
{
	list->file = open_memstream(&list->text, &list->bytes);
	list->count = 0;
	if (!list->file)
		abort();
}

/* Returns the file to write the next element of the array to. */
static FILE *list_next(struct results_list *list)
{
	fprintf(list->file, list->count++ ? ",\n    " : "\n    ");
	return list->file;
}

/* Writes the array to the file, unless that is NULL. */
static void list_end(struct results_list *list, const char *name, FILE *file)
{
	fclose(list->file);
	if (file)
		fprintf(file, ",\n  \"%s\": [%s\n  ]", name, list->text);
	free(list->text);
}

static void write_command(FILE *file, const struct options *options)
{
	fprintf(file, "  \"command\": [");
	for (int i = 0; i < options->count; i++) {
		fputs(i ? ", " : "", file);
		json_string(file, i ? options->arguments[i] : program_invocation_short_name);
	}
	fprintf(file, "],\n");
}

static void write_head(FILE *file, const struct options *options, const struct machine_facts *facts)
{
	time_t now = time(NULL);
	struct tm utc;
	char date[32];

	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	fprintf(file, "{\n  ");
	json_members(file, "program", program_invocation_short_name, NULL);
	fprintf(file, ",\n");
	write_command(file, options);
	fprintf(file, "  ");
	json_members(file, "date", date, NULL);
	fprintf(file, ",\n  \"machine\": {");
	json_members(file, "cpu", facts->cpu, NULL);
	fprintf(file, ", \"cpus\": %u, ", facts->cpus);
	json_members(file, "kernel", facts->kernel, "compiler", facts->compiler, "libc",
		facts->libc, "allocator", facts->allocator, NULL);
	fprintf(file, "}");
}

static void write_row(FILE *file, const struct results_table *table, const struct results_row *row,
	const struct summary *summary, const struct summary *ratio)
{
	fprintf(file, "{");
	json_members(file, "table", table->title, "variable", table->variable, "at", row->at,
		"name", row->name, "unit", row->unit, NULL);
	json_next_number(file, "median", summary->median);
	json_next_number(file, "least", summary->least);
	json_next_number(file, "lower_quartile", summary->lower_quartile);
	json_next_number(file, "upper_quartile", summary->upper_quartile);
	json_next_number(file, "most", summary->most);
	fprintf(file, ", \"repeats\": %u", row->rounds);
	if (ratio) {
		fprintf(file, ", ");
		json_members(file, "ratio_is", table->ratio, NULL);
		json_next_number(file, "ratio", ratio->median);
		json_next_number(file, "ratio_lower_quartile", ratio->lower_quartile);
		json_next_number(file, "ratio_upper_quartile", ratio->upper_quartile);
	}
	fprintf(file, "}");
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* Prints three significant digits, and all digits before the point. */
static void print_number(FILE *file, double value)
{
	double size = fabs(value);
	int decimals = size < 0.9995 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;

	if (isfinite(value))
		fprintf(file, " %10.*f", decimals, value);
	else
		fprintf(file, " %10s", "-");
}

static void print_row(FILE *file, const struct results_row *row, const struct summary *summary,
	const struct summary *ratio)
{
	fprintf(file, "  %-30s %10s %-7s", row->name, row->at, row->unit);
	print_number(file, summary->median);
	print_number(file, summary->least);
	print_number(file, summary->lower_quartile);
	print_number(file, summary->upper_quartile);
	print_number(file, summary->most);
	if (ratio)
		print_number(file, ratio->median);
	fprintf(file, "\n");
}

/* ---- The parts ------------------------------------------------------------------------------- */

static FILE *open_json(const char *path)
{
	FILE *file;

	if (!path)
		return NULL;
	if (!strcmp(path, "-"))
		return stdout;
	file = fopen(path, "we");
	if (!file)
		options_refuse("--json %s: cannot be written: %s", path, strerror(errno));
	return file;
}

void results_begin(struct results *results, const struct options *options)
{
	struct machine_facts facts;

	results->json = open_json(options->json);
	results->out = results->json == stdout ? stderr : stdout;
	results->options = options;
	list_begin(&results->versions);
	list_begin(&results->notes);
	list_begin(&results->skipped);
	list_begin(&results->rows);
	machine_facts(&facts);
	fprintf(results->out, "%s, %u CPUs, %s, %s, %s, malloc of %s\n", facts.cpu, facts.cpus,
		facts.kernel, facts.compiler, facts.libc, facts.allocator);
	if (results->json)
		write_head(results->json, options, &facts);
	results_version(results, "defer_drop", VERSION);
}

static void add_pair(
	struct results_list *list, const char *name, const char *key, const char *value)
{
	FILE *file = list_next(list);

	fprintf(file, "{");
	json_members(file, "name", name, key, value, NULL);
	fprintf(file, "}");
}

void results_version(struct results *results, const char *name, const char *version)
{
	fprintf(results->out, "%s %s\n", name, version);
	add_pair(&results->versions, name, "version", version);
}

void results_skip(struct results *results, const char *name, const char *why)
{
	fprintf(results->out, "skipped: %s (%s)\n", name, why);
	add_pair(&results->skipped, name, "why", why);
}

void results_note(struct results *results, const char *format, ...)
{
	va_list arguments;
	char *note;

	va_start(arguments, format);
	if (vasprintf(&note, format, arguments) < 0)
		abort();
	va_end(arguments);
	fprintf(results->out, "%s\n", note);
	json_string(list_next(&results->notes), note);
	free(note);
}

void results_table(struct results *results, const struct results_table *table)
{
	results->table = table;
	fprintf(results->out, "\n%s\n  %-30s %10s %-7s %10s %10s %10s %10s %10s %s\n", table->title,
		"", table->variable, "unit", "median", "least", "quartile", "quartile", "most",
		table->ratio ? table->ratio : "");
}

void results_row(struct results *results, const struct results_row *row)
{
	struct summary summary = summarize(row->samples, row->rounds);
	struct summary ratio;

	if (row->ratio_of)
		ratio = summarize_ratio(row);
	print_row(results->out, row, &summary, row->ratio_of ? &ratio : NULL);
	fflush(results->out);
	write_row(list_next(&results->rows), results->table, row, &summary,
		row->ratio_of ? &ratio : NULL);
}

/*
 * Closes a file, except standard output and standard error. Returns 2 if it could not be written.
 */
static int finish(FILE *file, const char *name)
{
	int is_bad = fflush(file) || ferror(file);

	if (file != stdout && file != stderr)
		is_bad |= fclose(file);
	if (is_bad)
		fprintf(stderr, "%s: cannot be written: %s\n", name, strerror(errno));
	return is_bad ? 2 : 0;
}

int results_end(struct results *results)
{
	int status = finish(results->out, "the text");

	list_end(&results->versions, "versions", results->json);
	list_end(&results->notes, "notes", results->json);
	list_end(&results->skipped, "skipped", results->json);
	list_end(&results->rows, "rows", results->json);
	if (!results->json)
		return status;
	fprintf(results->json, "\n}\n");
	return finish(results->json, results->options->json) | status;
}
