/* SPDX-License-Identifier: MIT
 *
 * A guard around a buffered file: the file is complete, although the function that writes it
 * returns in the middle, and the caller learns whether closing it succeeded.
 */
#include <defer_drop/guard.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES 1000

static int close_file(void *file)
{
	return fclose(file) ? -errno : 0; /* here the buffer is written */
}

/* Writes as many lines as it can. */
static int write_lines(FILE *file, unsigned last)
{
	DEFER_DROP_SCOPED_STATUS(guard, file, close_file, NULL);

	for (unsigned i = 1; i <= LINES; i++) {
		fprintf(file, "line %u\n", i);
		if (i == last)
			return -EINTR; /* the worker closes the file, before this returns */
	}
	return defer_drop_guard_drop(&guard);
}

static unsigned count_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned lines = 0;
	int byte;

	if (!file)
		return 0;
	while ((byte = getc(file)) != EOF)
		lines += byte == '\n';
	fclose(file);
	return lines;
}

int main(void)
{
	char path[] = "/tmp/defer_drop_flush_XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	unsigned lines;

	if (!file || write_lines(file, LINES / 2) != -EINTR)
		return 1;
	lines = count_lines(path);
	printf("%u lines are in the file\n", lines);
	unlink(path);
	return lines != LINES / 2;
}
