/* SPDX-License-Identifier: MIT
 *
 * Counts the instructions of a push, with its loop and its call, by running bench/push under
 * callgrind. What the producer does between two readings of the clock is counted. There are so few
 * pushes that no ring fills up: no push waits, and the figure can be repeated on any machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "peer.h"
#include "process.h"
#include "results.h"

#define MAX_ROUNDS 11

static uint64_t rounds = 3;
static uint64_t pushes = 3000;
static uint64_t most_ways = PEERS_MOST;

static const struct options_entry table[] = {
	OPTIONS_NUMBER(
		"rounds", &rounds, 1, MAX_ROUNDS, .quick = 1, .what = "how often each way is run"),
	OPTIONS_NUMBER("pushes", &pushes, 1000, PEER_BOUND - 1, .what = "pushes of one run"),
	OPTIONS_NUMBER("ways", &most_ways, 1, PEERS_MOST,
		.what = "how many ways are counted; the first two are ours"),
	{.name = NULL},
};

/* A way to push: the program that has it, and its name there. */
struct way {
	const char *program;
	const char *name;
};

static struct way ways[PEERS_MOST + 2];
static double counts[PEERS_MOST + 2][MAX_ROUNDS];

/* ---- One run --------------------------------------------------------------------------------- */

static _Noreturn void fail(const char *what, const char *name)
{
	fprintf(stderr, "instructions: %s under callgrind: %s\n", name, what);
	exit(2);
}

/* Runs a program and discards its output. False if there is no such program. */
static bool run_silently(const char *const *arguments, int *status)
{
	posix_spawn_file_actions_t actions;
	pid_t child;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	/* posix_spawnp(3) does not change the arguments, although its type allows it. */
	error = posix_spawnp(
		&child, arguments[0], &actions, NULL, (char *const *)arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error)
		return false;
	while (waitpid(child, status, 0) != child)
		;
	return true;
}

static bool has_valgrind(void)
{
	const char *const arguments[] = {"valgrind", "--version", NULL};
	int status;

	return run_silently(arguments, &status) && !status;
}

/* Returns the number of instructions that callgrind wrote to a file. */
static uint64_t read_count(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[4096];
	uint64_t count = 0;

	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "totals: %" SCNu64, &count) == 1)
			break;
	if (file)
		fclose(file);
	if (!count)
		fail("it counted nothing", name);
	return count;
}

static double count_instructions(const struct way *way, const char *file)
{
	char *program = process_beside(way->program);
	char out[4096];
	char drops[24];
	const char *const arguments[] = {"valgrind", "--tool=callgrind",
		"--toggle-collect=push_saturating", out, program, "--least", "--drops", drops,
		"--only", way->name, NULL};
	uint64_t count;
	int status;

	snprintf(out, sizeof out, "--callgrind-out-file=%s", file);
	snprintf(drops, sizeof drops, "%" PRIu64, pushes);
	if (!run_silently(arguments, &status) || status)
		fail("it failed", way->name);
	count = read_count(file, way->name);
	free(program);
	return (double)count / (double)pushes;
}

/* ---- All ------------------------------------------------------------------------------------- */

/* Lists our own push, through either library, and then the peers. */
static unsigned list_ways(void)
{
	unsigned count = 0;

	ways[count++] = (struct way){"push", peers[0]->name};
	ways[count++] = (struct way){"push_static", STATIC_NAME};
	for (unsigned i = 1; peers[i]; i++)
		ways[count++] = (struct way){"push", peers[i]->name};
	return count < most_ways ? count : (unsigned)most_ways;
}

static void count_all(unsigned count)
{
	char file[] = "/tmp/instructions-XXXXXX";
	int descriptor = mkstemp(file);

	if (descriptor < 0)
		fail(strerror(errno), file);
	close(descriptor);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < count; i++)
			counts[i][round] = count_instructions(&ways[i], file);
	unlink(file);
}

static void show(struct results *results, unsigned count)
{
	const struct results_table shown = {
		"instructions of a push, loop and call included", "pushes", "ours/theirs"};
	char at[24];

	snprintf(at, sizeof at, "%" PRIu64, pushes);
	results_table(results, &shown);
	for (unsigned i = 0; i < count; i++)
		results_row(results, &(struct results_row){.name = ways[i].name,
					     .at = at,
					     .unit = "instr",
					     .samples = counts[i],
					     .rounds = (unsigned)rounds,
					     .ratio_of = counts[0],
					     .ratio_to = counts[i]});
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Counts the instructions of a push with valgrind's callgrind.", count, arguments);
	struct results results;

	results_begin(&results, &options);
	peers_describe(&results);
	if (has_valgrind()) {
		unsigned chosen = list_ways();

		count_all(chosen);
		show(&results, chosen);
	} else {
		results_skip(&results, "instructions of a push", "valgrind is not installed");
	}
	return results_end(&results);
}
