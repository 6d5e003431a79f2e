/* SPDX-License-Identifier: MIT
 *
 * Finds out where a program runs: the CPU, the kernel, the compiler, the C library and malloc.
 */
#include "machine.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void look_at_cpu(char *cpu, size_t room)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(cpu, room, "unnamed CPU");
	while (file && fgets(line, sizeof line, file)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !colon || colon[1] != ' ')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(cpu, room, "%s", colon + 2);
		break;
	}
	if (file)
		fclose(file);
}

static void look_at_kernel(char *kernel, size_t room)
{
	struct utsname name;

	snprintf(kernel, room, "Linux");
	if (!uname(&name))
		snprintf(kernel, room, "%s %s", name.sysname, name.release);
}

/* A preloaded allocator is found before the C library. */
static void look_at_allocator(char *allocator, size_t room)
{
	void *function = dlsym(RTLD_DEFAULT, "malloc");
	char path[4096];
	Dl_info info;

	snprintf(allocator, room, "unknown");
	/* The file that the links lead to has the version in its name. */
	if (function && dladdr(function, &info) && realpath(info.dli_fname, path))
		snprintf(allocator, room, "%s", strrchr(path, '/') + 1);
}

void machine_facts(struct machine_facts *facts)
{
	look_at_cpu(facts->cpu, sizeof facts->cpu);
	facts->cpus = bench_cpus();
	look_at_kernel(facts->kernel, sizeof facts->kernel);
	facts->compiler = COMPILER;
	snprintf(facts->libc, sizeof facts->libc, "glibc %s", gnu_get_libc_version());
	look_at_allocator(facts->allocator, sizeof facts->allocator);
}
