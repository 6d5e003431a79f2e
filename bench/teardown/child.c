/* SPDX-License-Identifier: MIT
 *
 * Runs the program once more for each allocator, since that is chosen when a program starts
 * (ld.so(8), LD_PRELOAD). The figures come back through memory that both processes have mapped.
 */
#define _GNU_SOURCE
#include "teardown.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names the file of the figures in the environment of a child. */
#define VARIABLE "DEFER_DROP_TEARDOWN_FILE"

static void *map(int file)
{
	void *memory = mmap(
		NULL, sizeof(struct teardown_figures), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

struct teardown_figures *child_figures(void)
{
	const char *file = getenv(VARIABLE);

	return file ? map(atoi(file)) : NULL;
}

struct teardown_figures *child_prepare(void)
{
	int file = memfd_create("figures", 0); /* kept open in children */
	char text[16];

	if (file < 0 || ftruncate(file, sizeof(struct teardown_figures)))
		abort();
	snprintf(text, sizeof text, "%d", file);
	setenv(VARIABLE, text, 1);
	return map(file);
}

void child_run(char **arguments, const char *preload)
{
	pid_t child;
	int status;

	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) ||
		waitpid(child, &status, 0) != child)
		abort();
	if (WIFEXITED(status) && WEXITSTATUS(status))
		exit(WEXITSTATUS(status)); /* it has said why */
	if (status)
		abort();
}
