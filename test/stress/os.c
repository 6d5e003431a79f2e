/* SPDX-License-Identifier: MIT
 *
 * Threads drop files and mappings, and use the name, the number and the addresses again at once.
 * What they make there is theirs: the library destroys none of it, and at the end nothing is left.
 */
#include "stress.h"

#include <defer_drop/os.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STEPS 20
#define BYTES ((size_t)65536)

static struct defer_drop_os_options chosen(struct producer *producer)
{
	struct defer_drop_os_options options = DEFER_DROP_OS_OPTIONS_INIT;

	options.least_bytes = 1;
	options.slice_bytes = UINT64_C(4096) << below(&producer->random, 5);
	if (!below(&producer->random, 4))
		options.bytes_per_second = UINT64_C(1) << 28;
	return options;
}

/* Makes a file whose content is a number. */
static int make(const char *path, unsigned number)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK(write(fd, &number, sizeof number) == sizeof number);
	return fd;
}

static void check_and_close(int fd, unsigned number)
{
	unsigned found = ~number;

	CHECK(pread(fd, &found, sizeof found, 0) == sizeof found);
	CHECK(found == number);
	CHECK(!close(fd));
}

static void drop_file(struct producer *producer, unsigned number)
{
	struct defer_drop_os_options options = chosen(producer);
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/tmp/defer_drop_stress_%d", gettid());
	fd = make(path, number);
	ANSWERS(0, defer_drop_os_unlink(path, &options));
	/* The name is free, and the old file is whole while it is open. */
	check_and_close(make(path, number + 1), number + 1);
	ANSWERS(0, defer_drop_os_unlink(path, &options));
	if (below(&producer->random, 2))
		ANSWERS(0, defer_drop_os_close(fd, &options));
	else
		check_and_close(fd, number);
}

static void drop_mapping(struct producer *producer, unsigned number)
{
	struct defer_drop_os_options options = chosen(producer);
	unsigned *words =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(words != MAP_FAILED);
	for (size_t i = 0; i < BYTES / sizeof *words; i++)
		words[i] = number;
	if (!below(&producer->random, 2)) {
		int result = defer_drop_os_discard(words, BYTES, &options);

		CHECK(!result || result == -EAGAIN);
		if (!result)
			CHECK(!words[0] && !words[BYTES / sizeof *words - 1]);
	}
	ANSWERS(0, defer_drop_os_munmap(words, BYTES, &options));
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < STEPS; i++) {
		drop_file(producer, 2 * i);
		drop_mapping(producer, i + 1);
		if (!below(&producer->random, 10))
			ANSWERS(0, defer_drop_os_flush(DEFER_DROP_FOREVER));
	}
	return NULL;
}

void scenario_os(struct stress *stress)
{
	struct defer_drop_os_counts counts = DEFER_DROP_OS_COUNTS_INIT;
	struct producer producers[MAX_PRODUCERS] = {0};

	start_producers(stress, producers, stress->producers, NULL, run);
	join_producers(producers, stress->producers);
	ANSWERS(0, defer_drop_os_flush(DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_os_stats(&counts));
	CHECK(!counts.pending && !counts.pending_bytes);
}
