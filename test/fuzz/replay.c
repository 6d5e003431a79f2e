/* SPDX-License-Identifier: MIT
 *
 * replay FOLDER RANDOM_INPUTS: each file of a corpus, then this number of inputs from a fixed seed.
 */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/random.h"
#include "fuzz.h"

#define MOST_BYTES 4096

static char running[4200]; /* the input, by name */

/* Says which input it was. */
static void hear_abort(int number)
{
	(void)number;
	if (write(STDERR_FILENO, running, strlen(running)) < 0)
		_exit(1);
}

static void run_file(const char *folder, const char *name)
{
	uint8_t bytes[MOST_BYTES];
	char path[4096];
	FILE *file;
	size_t size;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "rb");
	CHECK(file);
	size = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	snprintf(running, sizeof running, "%s\n", path);
	LLVMFuzzerTestOneInput(bytes, size);
}

/* Returns how many inputs there were. */
static unsigned run_corpus(const char *folder)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	unsigned count = 0;

	CHECK(directory);
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		run_file(folder, entry->d_name);
		count++;
	}
	closedir(directory);
	return count;
}

static void run_random(unsigned long count)
{
	uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
	uint8_t bytes[256];

	for (unsigned long i = 0; i < count; i++) {
		size_t size = next_random(&random) % (sizeof bytes + 1);

		for (size_t at = 0; at < size; at++)
			bytes[at] = (uint8_t)(next_random(&random) >> 32);
		snprintf(running, sizeof running, "random input %lu\n", i);
		LLVMFuzzerTestOneInput(bytes, size);
	}
}

int main(int count, char **arguments)
{
	if (count != 3) {
		fprintf(stderr, "usage: %s FOLDER RANDOM_INPUTS\n", arguments[0]);
		return 2;
	}
	signal(SIGABRT, hear_abort);
	CHECK(run_corpus(arguments[1]));
	run_random(strtoul(arguments[2], NULL, 10));
	return 0;
}
