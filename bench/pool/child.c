/* SPDX-License-Identifier: MIT
 *
 * Runs the program once more for each allocator, since that is chosen when a program starts
 * (ld.so(8), LD_PRELOAD). The figures come back through memory that both have mapped.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child's environment: the file that holds the figures, and the task. */
#define VARIABLE "DEFER_DROP_BENCH_POOL"

static int figures_file;

static void *map(int file)
{
	void *memory = mmap(
		NULL, sizeof(struct pool_figures), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

struct pool_figures *child_figures(unsigned *task)
{
	const char *text = getenv(VARIABLE);
	int file;

	if (!text || sscanf(text, "%d %u", &file, task) != 2)
		return NULL;
	return map(file);
}

struct pool_figures *child_prepare(void)
{
	figures_file = memfd_create("figures", 0); /* kept open in children */
	if (figures_file < 0 || ftruncate(figures_file, sizeof(struct pool_figures)))
		abort();
	return map(figures_file);
}

void child_run(char **arguments, const char *preload, unsigned task)
{
	char text[32];
	pid_t child;
	int status;

	snprintf(text, sizeof text, "%d %u", figures_file, task);
	setenv(VARIABLE, text, 1);
	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) ||
		waitpid(child, &status, 0) != child)
		abort();
	unsetenv("LD_PRELOAD");
	if (WIFEXITED(status) && WEXITSTATUS(status))
		exit(WEXITSTATUS(status)); /* it has said why */
	if (status)
		abort();
}
