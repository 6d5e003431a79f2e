/* SPDX-License-Identifier: MIT
 *
 * Runs one thread by ptrace(2), instruction by instruction.
 */
#include "debugger.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "hostile.h"

void debugger_attach(pid_t thread)
{
	if (!ptrace(PTRACE_SEIZE, thread, NULL, PTRACE_O_EXITKILL))
		return;
	CHECK(errno == EPERM || errno == ENOSYS);
	skip("ptrace(2) is not permitted here");
}

void debugger_trap(void)
{
	raise(SIGTRAP);
}

/* Waits until the thread is stopped. Returns by which signal. */
static int await_stop(pid_t thread)
{
	int status;

	while (waitpid(thread, &status, __WALL) < 0)
		CHECK(errno == EINTR);
	CHECK(WIFSTOPPED(status));
	return WSTOPSIG(status);
}

void debugger_await_trap(pid_t thread)
{
	CHECK(await_stop(thread) == SIGTRAP);
}

void debugger_step(pid_t thread)
{
	CHECK(!ptrace(PTRACE_SINGLESTEP, thread, NULL, NULL));
	CHECK(await_stop(thread) == SIGTRAP);
}

void debugger_continue(pid_t thread)
{
	CHECK(!ptrace(PTRACE_CONT, thread, NULL, NULL));
}

void debugger_see_off(pid_t thread)
{
	int status;

	debugger_continue(thread);
	while (waitpid(thread, &status, __WALL) < 0)
		CHECK(errno == EINTR);
	CHECK(WIFEXITED(status));
}

bool debugger_has(pid_t thread)
{
	int status;

	return !waitpid(thread, &status, WNOHANG | __WALL);
}
