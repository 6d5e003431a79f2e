/* SPDX-License-Identifier: MIT
 *
 * Compares who destroys a server's big values: reads the options, has compare.py measure, and
 * writes what it tells as all benchmarks do.
 *
 * Each line from compare.py is a kind and its fields, with tabs between them:
 *
 *     version  name, version
 *     skip     name, why
 *     note     text
 *     table    title, variable, ratio
 *     row      name, at, unit, samples, and the samples that the ratio is of, or nothing
 */
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "results.h"

#define MAX_ROUNDS 101
#define MAX_FIELDS 6

static uint64_t rounds = 3;
static uint64_t duration_ms = 5000;
static uint64_t rate = 10000;
static uint64_t requests = 100000;
static uint64_t deletions = 2000;
static uint64_t overload = 200;
static struct options_list sizes = {{10, 1000, 100000, 1000000}, 4};

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .quick = 1,
		.what = "how often each server is measured, in turn"),
	OPTIONS_NUMBER("ms", &duration_ms, 100, 3600000, .quick = 2000,
		.what = "time for which small commands are measured"),
	OPTIONS_NUMBER("rate", &rate, 100, 1000000, .what = "small commands per second"),
	OPTIONS_NUMBER("requests", &requests, 100, 100000000, .quick = 10000,
		.what = "requests of redis-benchmark, GET and SET each"),
	OPTIONS_NUMBER("deletions", &deletions, 10, 100000, .quick = 500,
		.what = "pipelined deletions, of which the mean is shown"),
	OPTIONS_NUMBER("overload", &overload, 1, 100000, .quick = 40,
		.what = "values made and deleted as fast as possible"),
	OPTIONS_LIST("sizes", &sizes, 1, 100000000, .quick = 1000000, .quick_least = 1000000,
		.what = "elements of a value"),
	{.name = NULL},
};

static const char about[] =
	"Runs the server with each way to destroy big values, and redis-server with DEL and\n"
	"with UNLINK if it is installed. A client makes big values and deletes them at a\n"
	"steady pace. Meanwhile another client measures small commands in an open loop, and\n"
	"redis-benchmark measures the throughput. After that, deletions are measured by the\n"
	"CPU time of the loop, and an overload by its memory: values are made and deleted as\n"
	"fast as possible, while the thread that destroys hardly gets to run.";

/* ---- The script ------------------------------------------------------------------------------ */

static char script_path[] = SCRIPT;

/* Returns "name=N". */
static char *number_argument(const char *name, uint64_t value)
{
	char *text;

	if (asprintf(&text, "%s=%" PRIu64, name, value) < 0)
		abort();
	return text;
}

/* Returns "sizes=N,...". */
static char *sizes_argument(void)
{
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	if (!file)
		abort();
	for (unsigned i = 0; i < sizes.count; i++)
		fprintf(file, "%s%" PRIu64, i ? "," : "sizes=", sizes.values[i]);
	fclose(file);
	return text;
}

/* Starts compare.py, whose standard output can be read from *out. */
static pid_t start_script(FILE **out)
{
	/* Its arguments live as long as this program. */
	char *arguments[] = {script_path, process_beside("drop_server"),
		process_beside("drop_client"), number_argument("rounds", rounds),
		number_argument("ms", duration_ms), number_argument("rate", rate),
		number_argument("requests", requests), number_argument("deletions", deletions),
		number_argument("overload", overload), sizes_argument(), NULL};
	posix_spawn_file_actions_t actions;
	int ends[2];
	pid_t script;

	if (pipe2(ends, O_CLOEXEC))
		abort();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (posix_spawn(&script, script_path, &actions, NULL, arguments, environ))
		options_refuse("%s: cannot be run", script_path);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	*out = fdopen(ends[0], "r");
	if (!*out)
		abort();
	return script;
}

/* ---- Its output ------------------------------------------------------------------------------ */

static unsigned read_samples(double *samples, char *text)
{
	unsigned count = 0;

	for (char *part = strsep(&text, ","); part && *part; part = strsep(&text, ",")) {
		if (count == MAX_ROUNDS)
			abort();
		samples[count++] = strtod(part, NULL);
	}
	return count;
}

static void write_table(struct results *results, char **fields)
{
	static char title[128], variable[32], ratio[32];
	static const struct results_table shown = {title, variable, ratio};

	snprintf(title, sizeof title, "%s", fields[1]);
	snprintf(variable, sizeof variable, "%s", fields[2]);
	snprintf(ratio, sizeof ratio, "%s", fields[3]);
	results_table(results, &shown);
}

static void write_row(struct results *results, char **fields)
{
	double samples[MAX_ROUNDS];
	double ratio_of[MAX_ROUNDS];
	struct results_row row = {
		.name = fields[1], .at = fields[2], .unit = fields[3], .samples = samples};

	row.rounds = read_samples(samples, fields[4]);
	if (read_samples(ratio_of, fields[5]) == row.rounds)
		row.ratio_of = ratio_of, row.ratio_to = samples;
	results_row(results, &row);
}

static void write_line(struct results *results, char *line)
{
	static char nothing[] = "";
	char *fields[MAX_FIELDS];

	line[strcspn(line, "\n")] = '\0';
	for (unsigned i = 0; i < MAX_FIELDS; i++) {
		fields[i] = strsep(&line, "\t");
		if (!fields[i])
			fields[i] = nothing;
	}
	if (!strcmp(fields[0], "version"))
		results_version(results, fields[1], fields[2]);
	else if (!strcmp(fields[0], "skip"))
		results_skip(results, fields[1], fields[2]);
	else if (!strcmp(fields[0], "note"))
		results_note(results, "%s", fields[1]);
	else if (!strcmp(fields[0], "table"))
		write_table(results, fields);
	else if (!strcmp(fields[0], "row"))
		write_row(results, fields);
	else
		options_refuse("%s: unknown line: %s", script_path, fields[0]);
}

int main(int count, char **arguments)
{
	struct options options = options_read(table, about, count, arguments);
	struct results results;
	char *line = NULL;
	size_t room = 0;
	FILE *out;
	pid_t script;
	int status;

	results_begin(&results, &options);
	script = start_script(&out);
	while (getline(&line, &room, out) >= 0)
		write_line(&results, line);
	free(line);
	fclose(out);
	while (waitpid(script, &status, 0) != script)
		;
	if (status)
		return 1; /* the script has said why */
	return results_end(&results);
}
