/* SPDX-License-Identifier: MIT
 *
 * An idle process costs nothing: before the first push no thread runs and hardly a page is used;
 * after a quiet spell the worker does not wake up again, nor does its watchdog (argument: watched).
 */
#include <defer_drop.h>
#include <dirent.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
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

/* Times that the threads of this process, except the first, went to sleep or were preempted. */
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

/* Where the library's writable segment lies, found by an address in it. */
struct segment {
	uintptr_t inside;
	uintptr_t begin;
	uintptr_t end;
};

static int find_segment(struct dl_phdr_info *object, size_t size, void *argument)
{
	struct segment *segment = argument;

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &object->dlpi_phdr[i];
		uintptr_t begin = object->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD || segment->inside < begin ||
			segment->inside >= begin + header->p_memsz)
			continue;
		segment->begin = begin;
		segment->end = begin + header->p_memsz;
		return 1;
	}
	return 0;
}

/* Pages of that segment that are in memory. */
static unsigned pages_in_memory(void)
{
	struct segment segment = {.inside = (uintptr_t)defer_drop_queue_default()};
	uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
	FILE *file = fopen("/proc/self/pagemap", "r");
	unsigned pages = 0;

	check(dl_iterate_phdr(find_segment, &segment), "the library has a writable segment");
	check(file != NULL, "/proc/self/pagemap");
	for (uintptr_t at = segment.begin / page_bytes; at <= (segment.end - 1) / page_bytes;
		at++) {
		uint64_t entry = 0;

		check(!fseek(file, (long)(at * sizeof entry), SEEK_SET), "a page to look at");
		check(fread(&entry, sizeof entry, 1, file) == 1, "a page to look at");
		pages += (unsigned)(entry >> 63); /* present: proc_pid_pagemap(5) */
	}
	fclose(file);
	return pages;
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

int main(int count, char **arguments)
{
	bool is_watched = count > 1 && !strcmp(arguments[1], "watched");
	unsigned threads;
	unsigned long switches;

	unsigned pages = pages_in_memory();

	if (is_watched)
		setenv("DEFER_DROP_OPTIONS", "watchdog_ns=1ms", 1);
	printf("%u pages before the first push", pages);
	check(pages <= 2, "the library takes a page or two before it is used");
	switches_of_others(&threads);
	check(threads == 0, "no thread before the first push");
	check(!defer_drop(NULL, nothing) && !defer_drop_flush(), "a push and a flush");
	switches_of_others(&threads);
	check(threads == (is_watched ? 2 : 1), "the worker, and its watchdog, after it");
	printf(", %u after it\n", pages_in_memory());

	wait_for_deep_sleep();
	switches = switches_of_others(&threads);
	sleep(2);
	check(switches_of_others(&threads) == switches, "in deep sleep nobody wakes up");

	check(!defer_drop(NULL, nothing) && !defer_drop_flush(), "a push wakes it");
	check(stats().deep_sleeps_total >= 1, "the deep sleep was counted");
	check(stats().destroyed_total == 2, "both drops are destroyed");
	return 0;
}
