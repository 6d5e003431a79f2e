/* SPDX-License-Identifier: MIT
 *
 * Processes that end: with which policy, and what they report of the drops that they leave.
 */
#include "ending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

const struct policy exit_policies[POLICIES] = {
	{DRAIN, FOREVER, true, false},
	{TIMED, UINT64_C(60000000000), true, false},
	{TIMED_OUT, 1, false, false},
	{TIMED_OUT, 1, false, true},
	{AT_ONCE, 0, false, false},
	{AT_ONCE, 0, false, true},
};

static const char *const reported_names[QUEUES] = {"", " second"};

struct gate gate;
struct ledger *ledger;

bool reports(const struct policy *policy)
{
	return policy->exit_timeout_ns && policy->exit_timeout_ns != FOREVER;
}

/* If this text is the one report of the queue of that name, returns what follows its line. Else
 * NULL. */
static const char *read_line(const char *text, const char *name, unsigned *left)
{
	char line[96];
	unsigned count;
	int length;

	if (*left || strncmp(text, name, strlen(name)) ||
		sscanf(text + strlen(name), ABANDONS, &count) != 1)
		return NULL;
	length = snprintf(line, sizeof line, "%s" ABANDONS "\n", name, count);
	if (!count || strncmp(text, line, (size_t)length)) /* nothing left: no report */
		return NULL;
	*left = count;
	return text + length;
}

void read_report(const struct outcome *outcome, unsigned left[QUEUES])
{
	const char *line = outcome->words;

	memset(left, 0, QUEUES * sizeof *left);
	while (*line) {
		const char *text = report_of(outcome, line);
		const char *next = NULL;

		CHECK(text);
		for (unsigned i = 0; !next && i < QUEUES; i++)
			next = read_line(text, reported_names[i], &left[i]);
		CHECK(next);
		line = next;
	}
}

void spawn_detached(void *(*run)(void *), void *argument)
{
	CHECK(!pthread_detach(spawn(run, argument))); /* most are still there at the end */
}

void hold_up_default(void)
{
	hold_up(defer_drop_queue_default(), &gate);
}

void *open_when_closing(void *argument)
{
	AWAIT(defer_drop_start(NULL) == -ESHUTDOWN);
	atomic_store(&gate.is_open, true);
	return argument;
}

void mark_destroyed(void)
{
	atomic_store(&ledger->mark, atomic_load(&ledger->destroyed));
}

void set_options(const char *policy)
{
	char options[128];

	snprintf(options, sizeof options, "queue_size=%d,%s", QUEUE_SIZE, policy);
	CHECK(!setenv("DEFER_DROP_OPTIONS", options, 1));
}

void run_to_end(
	struct outcome *outcome, void (*body)(void *), void *argument, int status, unsigned lines)
{
	unsigned said = 0;

	run_child(outcome, body, argument);
	for (const char *at = outcome->words; (at = strchr(at, '\n')); at++)
		said++;
	if (!WIFEXITED(outcome->status) || WEXITSTATUS(outcome->status) != status || said != lines)
		fprintf(stderr, "%s", outcome->words);
	CHECK(WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == status);
	CHECK(said == lines);
}

void check_turn(void (*body)(void *), void *argument, unsigned mark)
{
	struct outcome outcome;

	ledger = ledger_open();
	run_to_end(&outcome, body, argument, GOOD, 0);
	CHECK(atomic_load(&ledger->destroyed) == atomic_load(&ledger->accepted));
	CHECK(atomic_load(&ledger->mark) == mark);
}
