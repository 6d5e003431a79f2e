/* SPDX-License-Identifier: MIT
 *
 * Reads what the kernel says of this process and its threads.
 */
#include "process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Finds the first line of a file that begins with a word, and removes the word. False if there is
 * none.
 */
static bool find_line(const char *path, const char *word, char *line, int room)
{
	FILE *file = fopen(path, "re");
	size_t length = strlen(word);
	bool is_found = false;

	while (file && !is_found && fgets(line, room, file))
		is_found = !strncmp(line, word, length);
	if (file)
		fclose(file);
	if (is_found)
		memmove(line, line + length, strlen(line + length) + 1);
	return is_found;
}

/* Returns the number that follows a word, or 0 if the word is missing. */
static uint64_t number_in(const char *path, const char *word)
{
	char line[256];

	return find_line(path, word, line, sizeof line) ? strtoull(line, NULL, 10) : 0;
}

uint64_t process_resident_bytes(void)
{
	/* VmRSS of /proc/self/status lags behind by some pages for each CPU. */
	return number_in("/proc/self/smaps_rollup", "Rss:") * 1024;
}

uint64_t process_mapped_bytes(void)
{
	return number_in("/proc/self/status", "VmSize:") * 1024;
}

uint64_t process_available_bytes(void)
{
	return number_in("/proc/meminfo", "MemAvailable:") * 1024;
}

static void look_at_thread(struct process_thread *thread, uint64_t id)
{
	char path[64];

	thread->id = id;
	snprintf(path, sizeof path, "/proc/self/task/%" PRIu64 "/comm", id);
	if (!find_line(path, "", thread->name, sizeof thread->name))
		snprintf(thread->name, sizeof thread->name, "?");
	thread->name[strcspn(thread->name, "\n")] = '\0';
	snprintf(path, sizeof path, "/proc/self/task/%" PRIu64 "/schedstat", id);
	thread->cpu_ns = number_in(path, "");
	snprintf(path, sizeof path, "/proc/self/task/%" PRIu64 "/status", id);
	thread->sleeps = number_in(path, "voluntary_ctxt_switches:");
	thread->preemptions = number_in(path, "nonvoluntary_ctxt_switches:");
}

unsigned process_threads(struct process_thread *threads, unsigned most)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *found;
	unsigned count = 0;

	while (folder && (found = readdir(folder))) {
		if (*found->d_name == '.')
			continue;
		if (count < most)
			look_at_thread(&threads[count], strtoull(found->d_name, NULL, 10));
		count++;
	}
	if (folder)
		closedir(folder);
	return count;
}

uint64_t process_preemptions(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_nivcsw;
}

char *process_beside(const char *program)
{
	char own[4096];
	ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
	char *path;

	own[length > 0 ? length : 0] = '\0';
	if (asprintf(&path, "%.*s/%s", (int)(strrchr(own, '/') - own), own, program) < 0)
		abort();
	return path;
}
