/* SPDX-License-Identifier: MIT
 *
 * Files and mappings that are to be destroyed.
 */
#include "os.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define CHUNK (UINT64_C(1) << 20)
#define HUGE  (UINT64_C(2) << 20)

/* Writes a file and waits until the disk has it, so that only its pages are still in memory. */
static bool fill(int fd, uint64_t bytes)
{
	static char chunk[CHUNK];

	memset(chunk, 1, sizeof chunk);
	for (uint64_t at = 0; at < bytes; at += CHUNK)
		if (write(fd, chunk, sizeof chunk) != (ssize_t)sizeof chunk)
			return false;
	return !fdatasync(fd);
}

static bool make_file(struct object *object, const char *folder)
{
	snprintf(object->path, sizeof object->path, "%s/defer_drop_bench_%d", folder, getpid());
	object->fd = open(object->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (object->fd < 0)
		return false;
	if (!fill(object->fd, object->bytes)) {
		unlink(object->path);
		close(object->fd);
		return false;
	}
	if (object->kind == UNLINK)
		return !close(object->fd);
	return !unlink(object->path);
}

static bool make_mapping(struct object *object)
{
	uint64_t reserved = object->bytes + HUGE;
	char *base =
		mmap(NULL, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *begin = (char *)(((uintptr_t)base + HUGE - 1) & ~(HUGE - 1));

	if (base == MAP_FAILED)
		return false;
	/* Only the range itself stays, which begins where a huge page can. */
	if (begin > base)
		munmap(base, (size_t)(begin - base));
	munmap(begin + object->bytes, (size_t)(base + HUGE - begin));
	madvise(begin, object->bytes, object->kind == UNMAP_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(begin, 1, object->bytes);
	object->address = begin;
	return true;
}

bool object_make(struct object *object, enum kind kind, const char *folder, uint64_t bytes)
{
	object->kind = kind;
	object->bytes = bytes;
	return is_file(kind) ? make_file(object, folder) : make_mapping(object);
}

void object_destroy(struct object *object)
{
	switch (object->kind) {
	case UNLINK:
		bench_check(unlink(object->path));
		break;
	case CLOSE:
		bench_check(close(object->fd));
		break;
	default:
		bench_check(munmap(object->address, object->bytes));
	}
}
