/* SPDX-License-Identifier: MIT
 *
 * Children by posix_spawn(3) of /proc/self/exe, with the file of the figures left open for them.
 */
#include "child.h"

#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names the file of the figures in the environment of a child. */
#define VARIABLE "DEFER_DROP_BENCH_FIGURES"

static void *map(int file, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void *child_figures(size_t bytes)
{
	const char *file = getenv(VARIABLE);

	return file ? map(atoi(file), bytes) : NULL;
}

void *child_prepare(size_t bytes)
{
	int file = memfd_create("figures", 0); /* kept open in children */
	char text[16];

	if (file < 0 || ftruncate(file, (off_t)bytes))
		abort();
	snprintf(text, sizeof text, "%d", file);
	setenv(VARIABLE, text, 1);
	return map(file, bytes);
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

bool child_find_allocator(const char *name, char *path, size_t room)
{
	char libc[4096];
	Dl_info info;

	if (!dladdr(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &info) ||
		!realpath(info.dli_fname, libc))
		return false;
	*strrchr(libc, '/') = '\0';
	return snprintf(path, room, "%s/%s", libc, name) < (int)room && !access(path, R_OK);
}
