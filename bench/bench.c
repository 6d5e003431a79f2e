/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The CPUs that the process had before anything was pinned. */
static const cpu_set_t *all_cpus(void)
{
	static cpu_set_t all;
	static int is_known;

	if (!is_known && !sched_getaffinity(0, sizeof all, &all))
		is_known = 1;
	return &all;
}

unsigned bench_cpus(void)
{
	return (unsigned)CPU_COUNT(all_cpus());
}

void bench_pin(unsigned nth)
{
	const cpu_set_t *all = all_cpus();
	cpu_set_t one;

	CPU_ZERO(&one);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!nth--)
			break;
	}
	sched_setaffinity(0, sizeof one, &one);
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;

	return (left > right) - (left < right);
}

double bench_median(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void print_cpu(FILE *file)
{
	char line[256];
	FILE *info = fopen("/proc/cpuinfo", "r");

	while (info && fgets(line, sizeof line, info)) {
		char *name = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !name)
			continue;
		name[strcspn(name, "\n")] = 0;
		fprintf(file, "%s, ", name + 2);
		break;
	}
	if (info)
		fclose(info);
}

void bench_print_machine(FILE *file)
{
	struct utsname system;

	print_cpu(file);
	uname(&system);
	fprintf(file, "%u CPUs, Linux %s, ", bench_cpus(), system.release);
#ifdef __clang__
	fprintf(file, "clang %s", __clang_version__);
#else
	fprintf(file, "gcc %s", __VERSION__);
#endif
	fprintf(file, ", glibc %s\n", gnu_get_libc_version());
}

uint64_t bench_number(const char *option, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < least || value > most) {
		fprintf(stderr, "%s %s: want %" PRIu64 "..%" PRIu64 "\n", option, text, least,
			most);
		exit(2);
	}
	return value;
}
