/* SPDX-License-Identifier: MIT
 *
 * An idle process costs nothing: before the first push no thread runs and hardly a page is used;
 * after a quiet spell the worker does not wake up again.
 */
#include <defer_drop.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void check(int claim, const char *what)
{
	if (claim)
		return;
	fprintf(stderr, "not true: %s\n", what);
	exit(1);
}

/* The number behind a word in a file of /proc. */
static unsigned long number_in(const char *path, const char *word)
{
	char line[256];
	unsigned long value = 0;
	FILE *file = fopen(path, "r");

	check(file != NULL, path);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, word, strlen(word)))
			value = strtoul(line + strlen(word), NULL, 10);
	fclose(file);
	return value;
}

/* Times that the threads of this process, but for the first, went to sleep or were preempted. */
static unsigned long switches_of_others(unsigned *threads)
{
	unsigned long switches = 0;
	struct dirent *entry;
	DIR *tasks = opendir("/proc/self/task");

	check(tasks != NULL, "/proc/self/task");
	*threads = 0;
	while ((entry = readdir(tasks))) {
		char path[300];

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
		switches += number_in(path, "voluntary_ctxt_switches:");
		++*threads;
	}
	closedir(tasks);
	return switches;
}

/* Bytes that this process has written to in the library's own memory. */
static unsigned long dirty_kib(void)
{
	char line[512];
	unsigned long kib = 0;
	unsigned long end_before = 0;
	int is_ours = 0;
	FILE *file = fopen("/proc/self/smaps", "r");

	check(file != NULL, "/proc/self/smaps");
	while (fgets(line, sizeof line, file)) {
		unsigned long begin;
		unsigned long end;

		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
			/* What follows its file without a gap, and has no name, is zeroed data. */
			is_ours = strstr(line, "libdefer_drop") ||
				  (is_ours && begin == end_before && !strchr(line, '/'));
			end_before = end;
		} else if (is_ours && !strncmp(line, "Private_Dirty:", 14)) {
			kib += strtoul(line + 14, NULL, 10);
		}
	}
	fclose(file);
	return kib;
}

static void nothing(void *object)
{
	(void)object;
}

static struct defer_drop_stats stats(void)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	check(!defer_drop_queue_stats(defer_drop_queue_default(), &stats), "statistics");
	return stats;
}

/* Waits until the worker has gone to deep sleep, however long the machine takes for it. */
static void wait_for_deep_sleep(void)
{
	unsigned threads;
	unsigned long before;

	do {
		before = switches_of_others(&threads);
		usleep(200000);
	} while (before != switches_of_others(&threads) || !stats().naps_total);
}

int main(void)
{
	unsigned threads;
	unsigned long switches;

	unsigned long kib = dirty_kib();

	/* Two pages that the linker writes, and up to two of the C library's that may lie behind
	 * ours without a gap: the rings, 64 KiB and more, are not among them. */
	printf("%lu KiB written before the first push", kib);
	check(kib <= 16, "the library takes no memory before it is used");
	switches_of_others(&threads);
	check(threads == 0, "no thread before the first push");
	check(!defer_drop(NULL, nothing) && !defer_drop_flush(), "a push and a flush");
	switches_of_others(&threads);
	check(threads == 1, "one thread after it");
	kib = dirty_kib();
	printf(", %lu KiB after it\n", kib);

	wait_for_deep_sleep();
	switches = switches_of_others(&threads);
	sleep(2);
	check(switches_of_others(&threads) == switches, "a worker in deep sleep does not wake up");

	check(!defer_drop(NULL, nothing) && !defer_drop_flush(), "a push wakes it");
	check(stats().deep_sleeps_total >= 1, "the deep sleep was counted");
	check(stats().destroyed_total == 2, "both drops are destroyed");
	return 0;
}
