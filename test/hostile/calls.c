/* SPDX-License-Identifier: MIT
 *
 * A system that allows only the system calls that the manual lists: the build reads them from there
 * (check/calls.py). Any other ends the process.
 */
#include "hostile.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script.h"

struct listed {
	const char *when;
	int number;
};

static const struct listed listed[] = {
#include "calls.inc"
	/* What the test itself needs: a moment's rest, an eventfd, the end. */
	{"test", SYS_clock_nanosleep},
	{"test", SYS_nanosleep}, /* musl's */
	{"test", SYS_eventfd2},
	{"test", SYS_dup},
	{"test", SYS_close},
	{"test", SYS_read},
	{"test", SYS_exit_group},
};

#define LISTED (sizeof listed / sizeof *listed)

/* ---- The filter ------------------------------------------------------------------------------ */

static void report_call(int signal, siginfo_t *info, void *context)
{
	char line[64];
	int length =
		snprintf(line, sizeof line, "system call %d is not listed\n", info->si_syscall);

	(void)signal;
	(void)context;
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		_exit(2);
	_exit(1);
}

static bool is_allowed(const struct listed *call, bool may_schedule)
{
	return may_schedule || strncmp(call->when, "scheduling", strlen("scheduling")) != 0;
}

/* From now on this process, whose only thread calls, makes only what is listed. */
static void forbid_others(bool may_schedule)
{
	struct sock_filter steps[2 * LISTED + 2];
	struct sock_fprog filter = {.filter = steps};
	struct sigaction action = {.sa_sigaction = report_call, .sa_flags = SA_SIGINFO};
	unsigned count = 0;

	CHECK(!sigaction(SIGSYS, &action, NULL));
	steps[count++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < LISTED; i++) {
		if (!is_allowed(&listed[i], may_schedule))
			continue;
		steps[count++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)listed[i].number, 0, 1);
		steps[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	steps[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
	filter.len = (unsigned short)count;
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		skip("system calls cannot be filtered here");
}

/* ---- Under it -------------------------------------------------------------------------------- */

/* The script asks for all that it can; the default queue, and those of its name. */
#define UNSCHEDULED "scheduling=inherited,cpus=inherited,niceness=inherited"
#define OTHERS_UNSCHEDULED \
	"defer_drop:scheduling=inherited,defer_drop:cpus=inherited,defer_drop:niceness=inherited"

struct plan {
	enum script_start start;
	bool may_schedule;
};

static void follow(void *argument)
{
	const struct plan *plan = argument;
	struct ledger *ledger = ledger_open();

	if (!plan->may_schedule)
		CHECK(!setenv("DEFER_DROP_OPTIONS", UNSCHEDULED "," OTHERS_UNSCHEDULED, 1));
	forbid_others(plan->may_schedule);
	script_run(ledger, plan->start);
	script_check(false);
	exit(0);
}

static void try(bool may_schedule)
{
	struct plan plan = {.may_schedule = may_schedule};

#ifdef COUNTS_RUNS
	skip("what counts the runs makes calls of its own");
#endif
	for (plan.start = 0; plan.start < SCRIPT_STARTS; plan.start++)
		run_good_child(follow, &plan);
}

static void run_listed(void)
{
	try(true);
}

static void run_unscheduled(void)
{
	try(false);
}

/* The control: a call that is not listed is noticed. */
static void call_another(void *ignored)
{
	(void)ignored;
	forbid_others(true);
	getppid();
}

static void run_control(void)
{
	struct outcome outcome;

	run_child(&outcome, call_another, NULL);
	CHECK(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 1);
	CHECK(strstr(outcome.words, "is not listed"));
}

const struct hostile_case hostile_cases[] = {
	{"listed", "The library makes no system call but those that the manual lists.", run_listed},
	{"unscheduled", "With scheduling inherited it makes none for scheduling.", run_unscheduled},
	{"control", "A call that is not listed is noticed.", run_control},
	{NULL, NULL, NULL},
};
