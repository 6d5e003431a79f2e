/* SPDX-License-Identifier: MIT
 *
 * Measures what the kernel takes long to destroy: how long the caller waits, and another thread for
 * a page or a small file meanwhile, in place, dropped, and as others would do it.
 */
#include <defer_drop/os.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "bench.h"
#include "options.h"
#include "os.h"
#include "process.h"
#include "results.h"

#define MAX_ROUNDS 31
#define MIB        (UINT64_C(1) << 20)

static uint64_t rounds = 3;
static struct options_list sizes = {{1, 4, 16, 64, 256, 1024}, 6};
static const char *disk = "/tmp";
static const char *memory = "/dev/shm";

static const struct options_entry table[] = {
	OPTIONS_NUMBER(
		"rounds", &rounds, 1, MAX_ROUNDS, .what = "how often everything is measured"),
	OPTIONS_LIST("sizes", &sizes, 1, 65536, .quick = 64, .what = "MiB of an object"),
	{.name = "disk", .text = &disk, .value = "FOLDER", .what = "of files on a disk"},
	{.name = "memory", .text = &memory, .value = "FOLDER", .what = "of files in memory"},
	{.name = NULL},
};

enum way { IN_PLACE, DROPPED, WHOLE, THREAD, URING, WAYS };

static const char *const names[WAYS] = {
	"in place", "defer_drop", "defer_drop, one slice", "mutex and list", "io_uring"};

enum measure { CALLER, FAULT, SMALL, MEASURES };

static const char *const measures[MEASURES] = {
	"the caller", "a page of another thread, worst", "a small file of another thread, worst"};

/* What is measured: a kind of object, for a file in one of the folders. */
struct subject {
	const char *name;
	enum kind kind;
	const char *const *folder;
};

static const struct subject subjects[] = {
	{"unlink", UNLINK, &disk},
	{"unlink", UNLINK, &memory},
	{"last close", CLOSE, &disk},
	{"last close", CLOSE, &memory},
	{"munmap of small pages", UNMAP, &disk},
	{"munmap of huge pages", UNMAP_HUGE, &disk},
};

#define SUBJECTS (sizeof subjects / sizeof subjects[0])

static bool has_uring;
static double figures[SUBJECTS][MEASURES][OPTIONS_LIST_MAX][WAYS][MAX_ROUNDS];
static bool is_measured[SUBJECTS][OPTIONS_LIST_MAX];

/* io_uring unmaps nothing. */
static bool can(enum way way, enum kind kind)
{
	return way != URING || (has_uring && is_file(kind));
}

static void drop(enum way way, struct object *object)
{
	struct defer_drop_os_options options = DEFER_DROP_OS_OPTIONS_INIT;

	options.least_bytes = 1; /* what does not pay is to be seen */
	if (way == WHOLE)
		options.slice_bytes = UINT64_C(1) << 62;
	switch (object->kind) {
	case UNLINK:
		bench_check(defer_drop_os_unlink(object->path, &options));
		break;
	case CLOSE:
		bench_check(defer_drop_os_close(object->fd, &options));
		break;
	default:
		bench_check(defer_drop_os_munmap(object->address, object->bytes, &options));
	}
}

static void destroy(enum way way, struct object *object)
{
	if (way == IN_PLACE)
		object_destroy(object);
	else if (way == THREAD)
		thread_drop(object);
	else if (way == URING)
		uring_drop(object);
	else
		drop(way, object);
}

static void settle(enum way way)
{
	if (way == THREAD)
		thread_flush();
	else if (way == URING)
		uring_flush();
	/* By looking: a flush would do without the rests between slices. */
	else
		while (defer_drop_os_flush(0))
			bench_sleep_ns(1000000);
}

/* False if there is no room for such an object. */
static bool measure(const struct subject *of, enum way way, uint64_t mib, double *values[MEASURES])
{
	struct object object = {0};
	struct disturbance others;
	uint64_t begin_ns;

	if (2 * mib * MIB > process_available_bytes() ||
		!object_make(&object, of->kind, *of->folder, mib * MIB))
		return false;
	disturb_begin(*of->folder);
	bench_sleep_ns(3000000); /* the other thread is at work */
	begin_ns = bench_now_ns();
	destroy(way, &object);
	*values[CALLER] = (double)(bench_now_ns() - begin_ns) / 1e3;
	settle(way);
	others = disturb_end();
	*values[FAULT] = (double)others.fault_ns / 1e3;
	*values[SMALL] = (double)others.file_ns / 1e3;
	return true;
}

/* Measures all ways of a subject, one after the other. */
static void measure_all(unsigned nth, unsigned size, unsigned round)
{
	for (enum way way = 0; way < WAYS; way++) {
		double *values[MEASURES];

		for (enum measure kind = 0; kind < MEASURES; kind++)
			values[kind] = &figures[nth][kind][size][way][round];
		if (can(way, subjects[nth].kind))
			is_measured[nth][size] =
				measure(&subjects[nth], way, sizes.values[size], values);
	}
}

/* ---- Results --------------------------------------------------------------------------------- */

static const char *system_of(const char *folder)
{
	struct statfs system;

	if (statfs(folder, &system))
		return "none";
	switch (system.f_type) {
	case 0xef53:
		return "ext4";
	case 0x01021994:
		return "tmpfs";
	case 0x58465342:
		return "xfs";
	case 0x9123683e:
		return "btrfs";
	case 0x794c7630:
		return "overlayfs";
	}
	return "another file system";
}

static void show_size(struct results *results, unsigned nth, enum measure kind, unsigned size)
{
	char at[24];

	snprintf(at, sizeof at, "%" PRIu64, sizes.values[size]);
	for (enum way way = 0; way < WAYS; way++) {
		struct results_row row = {
			.name = names[way],
			.at = at,
			.unit = "us",
			.samples = figures[nth][kind][size][way],
			.rounds = (unsigned)rounds,
			.ratio_of = way == IN_PLACE ? NULL : figures[nth][kind][size][way],
			.ratio_to = way == IN_PLACE ? NULL : figures[nth][kind][size][IN_PLACE],
		};

		if (can(way, subjects[nth].kind))
			results_row(results, &row);
	}
}

static void show(struct results *results, unsigned nth, enum measure kind)
{
	const struct subject *of = &subjects[nth];
	char title[160];
	struct results_table shown = {title, "MiB", "to in place"};

	snprintf(title, sizeof title, "%s, %s%s: %s", of->name,
		is_file(of->kind) ? "" : "other files on ", system_of(*of->folder), measures[kind]);
	results_table(results, &shown);
	for (unsigned size = 0; size < sizes.count; size++)
		if (is_measured[nth][size])
			show_size(results, nth, kind, size);
}

static void describe(struct results *results)
{
	if (has_uring)
		results_version(results, "liburing", uring_version());
	else
		results_skip(results, "io_uring", "liburing or the kernel does not have it");
	results_note(results, "files are written, on the disk, and cached; %s is %s, %s is %s",
		disk, system_of(disk), memory, system_of(memory));
	results_note(results, "nothing is pinned");
	results_note(results,
		"mutex and list and io_uring leave the name, the number or the addresses in use "
		"until all is done");
	for (unsigned nth = 0; nth < SUBJECTS; nth++)
		for (unsigned size = 0; size < sizes.count; size++)
			if (!is_measured[nth][size])
				results_skip(
					results, subjects[nth].name, "no room for the largest");
}

int main(int count, char **arguments)
{
	struct options options = options_read(table,
		"Measures what the kernel takes long to destroy, in place and dropped: files and "
		"mappings.",
		count, arguments);
	struct results results;

	results_begin(&results, &options);
	has_uring = uring_start();
	thread_start();
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned nth = 0; nth < SUBJECTS; nth++)
			for (unsigned size = 0; size < sizes.count; size++)
				measure_all(nth, size, round);
	thread_end();
	describe(&results);
	for (unsigned nth = 0; nth < SUBJECTS; nth++)
		for (enum measure kind = 0; kind < MEASURES; kind++)
			show(&results, nth, kind);
	if (has_uring)
		uring_end();
	return results_end(&results);
}
