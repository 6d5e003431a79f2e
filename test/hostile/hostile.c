/* SPDX-License-Identifier: MIT
 *
 * The main of every hostile program, and what its cases share.
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The exit status of a test that cannot run here, for Meson. */
#define SKIPPED 77

void fail(const char *file, int line, const char *claim)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
	_exit(1);
}

void skip(const char *why)
{
	printf("%s\n", why);
	fflush(stdout);
	_exit(SKIPPED);
}

unsigned scaled(unsigned quick, unsigned stress)
{
	return getenv("HOSTILE_LONG") ? stress : quick;
}

void *share_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	return memory;
}

struct ledger *ledger_open(void)
{
	return share_memory(sizeof(struct ledger));
}

void ledger_count(void *ledger)
{
	atomic_fetch_add(&((struct ledger *)ledger)->destroyed, 1);
}

int ledger_push(struct ledger *ledger, struct defer_drop_queue *queue)
{
	int error = defer_drop_queue_push(queue, ledger, ledger_count, DEFER_DROP_FOREVER);

	if (!error)
		atomic_fetch_add(&ledger->accepted, 1);
	return error;
}

void pass_gate(void *object)
{
	struct gate *gate = object;

	atomic_store(&gate->is_entered, true);
	AWAIT(atomic_load(&gate->is_open));
}

void hold_up(struct defer_drop_queue *queue, struct gate *gate)
{
	atomic_store(&gate->is_entered, false);
	atomic_store(&gate->is_open, false);
	ANSWERS(0, defer_drop_queue_push(queue, gate, pass_gate, DEFER_DROP_FOREVER));
	AWAIT(atomic_load(&gate->is_entered));
}

/* Reads until all writers have closed; keeps what there is room for. */
static void read_words(int from, char *words, size_t size)
{
	size_t have = 0;
	ssize_t got;

	do {
		char scrap[512];

		got = read(from, scrap, sizeof scrap);
		for (ssize_t i = 0; i < got; i++)
			if (have < size - 1)
				words[have++] = scrap[i];
	} while (got > 0 || (got < 0 && errno == EINTR));
	words[have] = 0;
}

void run_child(struct outcome *outcome, void (*body)(void *argument), void *argument)
{
	int ends[2];
	pid_t child;

	CHECK(!pipe2(ends, O_CLOEXEC));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		alarm(DEADLINE_SECONDS);
		body(argument);
		_exit(0);
	}
	close(ends[1]);
	outcome->process = child;
	read_words(ends[0], outcome->words, sizeof outcome->words);
	close(ends[0]);
	while (waitpid(child, &outcome->status, 0) < 0)
		CHECK(errno == EINTR);
	if (WIFSIGNALED(outcome->status) && WTERMSIG(outcome->status) == SIGALRM) {
		fprintf(stderr, "%s", outcome->words);
		fail(__FILE__, __LINE__, "a child ends");
	}
}

void run_good_child(void (*body)(void *argument), void *argument)
{
	struct outcome outcome;

	run_child(&outcome, body, argument);
	fprintf(stderr, "%s", outcome.words);
	CHECK(WIFEXITED(outcome.status) && !WEXITSTATUS(outcome.status));
}

static void ask_for_tid_address(void *ignored)
{
	int *address = NULL;

	(void)ignored;
	_exit(!prctl(PR_GET_TID_ADDRESS, &address) && !address);
}

void need_ends_in_children(void)
{
	struct outcome outcome;

	run_child(&outcome, ask_for_tid_address, NULL);
	if (outcome.status)
		skip("in a forked child of this C library the first thread cannot end alone");
}

const char *report_of(const struct outcome *outcome, const char *line)
{
	char begin[128];
	int length = snprintf(begin, sizeof begin, "%s[%d]: defer_drop",
		program_invocation_short_name, (int)outcome->process);

	return strncmp(line, begin, (size_t)length) ? NULL : line + length;
}

bool has_report(const struct outcome *outcome, const char *text)
{
	for (const char *line = outcome->words; line; line = strchr(line, '\n')) {
		const char *at = report_of(outcome, line += *line == '\n');

		if (at && !strncmp(at, text, strlen(text)))
			return true;
	}
	return false;
}

static const struct hostile_case *find(const char *name)
{
	for (const struct hostile_case *it = hostile_cases; it->name; it++)
		if (!strcmp(it->name, name))
			return it;
	return NULL;
}

static void tell(const struct hostile_case *it, int status)
{
	const char *verdict = "FAILS  ";

	if (!status)
		verdict = "holds  ";
	else if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		verdict = "skipped";
	printf("%s %s: ", verdict, it->name);
	if (WIFSIGNALED(status))
		printf("signal %d%s: ", WTERMSIG(status),
			WTERMSIG(status) == SIGALRM ? " (it hangs)" : "");
	printf("%s\n", it->claim);
	fflush(stdout);
}

/* Runs a case in a child. Returns its exit status, or 1. */
static int run_case(const struct hostile_case *it)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		alarm(DEADLINE_SECONDS);
		it->run();
		exit(0); /* leaks are looked for there */
	}
	while (waitpid(child, &status, 0) < 0)
		CHECK(errno == EINTR);
	tell(it, status);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Runs each case in a child. Fails if one does; is skipped if some are, and the others hold. */
static int run_all(void)
{
	int result = 0;

	for (const struct hostile_case *it = hostile_cases; it->name; it++) {
		int status = run_case(it);

		if (status == SKIPPED)
			result = result ? result : SKIPPED;
		else if (status)
			result = 1;
	}
	return result;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct hostile_case *it = find(argv[i]);

		if (!it) {
			fprintf(stderr,
				"hostile: %s: no such case; want none, or some of:", argv[i]);
			for (it = hostile_cases; it->name; it++)
				fprintf(stderr, " %s", it->name);
			fputc('\n', stderr);
			return 2;
		}
		it->run();
	}
	return argc < 2 ? run_all() : 0;
}
