/* SPDX-License-Identifier: MIT
 *
 * Files and mappings: the calls mean what the system's mean, and only the cost comes later.
 */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/vfs.h>

#include "defer_drop/os.h"
#include "face/os_cost.h"

#define MIB  (size_t)1048576
#define PAGE (size_t) sysconf(_SC_PAGESIZE)

TestSuite(os, .timeout = 120);

/* ---- Objects --------------------------------------------------------------------------------- */

/* Defers whatever it is. */
static struct defer_drop_os_options always(void)
{
	struct defer_drop_os_options options = DEFER_DROP_OS_OPTIONS_INIT;

	options.least_bytes = 1;
	return options;
}

/* So slow that it is not done before somebody flushes: a slice of some KiB in an hour. */
static struct defer_drop_os_options slowly(void)
{
	struct defer_drop_os_options options = always();

	options.slice_bytes = 16 * PAGE;
	options.bytes_per_second = 16;
	return options;
}

static char folder[] = "/tmp/defer_drop_os_XXXXXX";
static bool has_folder;

static const char *path_of(const char *name)
{
	static char paths[4][64];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static void remove_folder(void)
{
	static const char *const names[] = {"file", "other", "again"};

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		unlink(path_of(names[i]));
	rmdir(folder);
}

/* Makes a file of a MiB, each page of which says where it lies, and returns it open. */
static int make(const char *name)
{
	int fd;

	if (!has_folder) {
		has_folder = mkdtemp(folder);
		cr_assert(has_folder);
		atexit(remove_folder);
	}
	fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	for (size_t at = 0; at < MIB; at += PAGE) {
		char page[65536] = {0};

		memcpy(page, &at, sizeof at);
		cr_assert_eq(write(fd, page, PAGE), (ssize_t)PAGE);
	}
	return fd;
}

/* Makes a file that nobody has open. */
static const char *make_closed(const char *name)
{
	close(make(name));
	return path_of(name);
}

/* Makes a file without a name. */
static int make_nameless(void)
{
	int fd = make("file");

	unlink(path_of("file"));
	return fd;
}

static bool is_whole(int fd)
{
	for (size_t at = 0; at < MIB; at += PAGE) {
		size_t found;

		if (pread(fd, &found, sizeof found, (off_t)at) != sizeof found || found != at)
			return false;
	}
	return true;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct defer_drop_os_counts stats(void)
{
	struct defer_drop_os_counts values = DEFER_DROP_OS_COUNTS_INIT;

	answers(0, defer_drop_os_stats(&values));
	return values;
}

/* Skips a test of files where they cannot be deferred. */
static void need_files(void)
{
	struct defer_drop_os_options options = always();

	answers(0, defer_drop_os_unlink(make_closed("file"), &options));
	if (!stats().files.deferred_total)
		cr_skip_test("the file system of /tmp is not known, or the kernel is old");
	answers(0, defer_drop_os_flush(FOREVER));
}

static char *map(size_t bytes)
{
	char *address =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(address, MAP_FAILED);
	memset(address, 1, bytes);
	return address;
}

/* Maps at an address where nothing may be mapped. */
static bool is_free(char *address, size_t bytes)
{
	return mmap(address, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == address;
}

/* Skips a test of mappings where they cannot be deferred: the kernel is too old, or valgrind. */
static void need_mappings(void)
{
	struct defer_drop_os_options options = always();

	answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	if (!stats().mappings.deferred_total)
		cr_skip_test("mappings cannot be moved here");
	answers(0, defer_drop_os_flush(FOREVER));
}

/* The number of entries of a folder of /proc/self. */
static unsigned entries(const char *path)
{
	DIR *opened = opendir(path);
	unsigned count = 0;

	cr_assert_not_null(opened);
	while (readdir(opened))
		count++;
	closedir(opened);
	return count;
}

/* Runs a function in a child, which succeeds if it returns true. */
static void in_child(bool (*run)(void *argument), void *argument)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(!run(argument));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

/* ---- unlink ---------------------------------------------------------------------------------- */

Test(os, unlink_frees_the_name_at_once)
{
	struct defer_drop_os_options options = slowly();

	need_files();
	errno = 77;
	answers(0, defer_drop_os_unlink(make_closed("file"), &options));
	cr_assert_eq(errno, 77);
	cr_assert_neq(access(path_of("file"), F_OK), 0);
	cr_assert_eq(stats().files.deferred_total, 2);
	cr_assert_eq(stats().pending, 1);
	cr_assert_geq(stats().pending_bytes, MIB);
	close(make("file"));
	cr_assert_eq(unlink(path_of("file")), 0);
	cr_assert_eq(rmdir(folder), 0);
	answers(-EAGAIN, defer_drop_os_flush(0));
	errno = 77;
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert_eq(errno, 77);
	cr_assert_eq(stats().pending, 0);
	cr_assert_eq(stats().pending_bytes, 0);
}

Test(os, unlink_has_the_errors_of_the_system)
{
	struct defer_drop_os_options options = always();

	make_closed("file");
	answers(-ENOENT, defer_drop_os_unlink(path_of("none"), &options));
	answers(-ENOTDIR, defer_drop_os_unlink(path_of("file/none"), &options));
	answers(-EISDIR, defer_drop_os_unlink(folder, &options));
	answers(-ENOTDIR,
		defer_drop_os_unlinkat(AT_FDCWD, path_of("file"), AT_REMOVEDIR, &options));
	answers(-EBADF, defer_drop_os_unlinkat(-1, "file", 0, &options));
	cr_assert_eq(access(path_of("file"), F_OK), 0);
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert_eq(access(path_of("file"), F_OK), 0);
}

Test(os, a_file_whose_unlink_fails_stays_whole)
{
	struct defer_drop_os_held hold;
	struct defer_drop_os_options options = always();
	int fd;

	need_files();
	answers(0, defer_drop_os_hold_at(&hold, AT_FDCWD, make_closed("file"), &options));
	cr_assert_geq(hold.bytes, MIB);
	defer_drop_os_let_go(&hold);
	answers(0, defer_drop_os_flush(FOREVER));
	fd = open(path_of("file"), O_RDONLY | O_CLOEXEC);
	cr_assert(is_whole(fd));
}

Test(os, a_rename_over_a_held_file_destroys_it_later)
{
	struct defer_drop_os_held hold;
	struct defer_drop_os_options options = slowly();
	int fd;

	need_files();
	make_closed("file");
	answers(0, defer_drop_os_hold_at(&hold, AT_FDCWD, make_closed("other"), &options));
	cr_assert_eq(rename(path_of("file"), path_of("other")), 0);
	defer_drop_os_let_go(&hold);
	cr_assert_eq(stats().pending, 1);
	answers(0, defer_drop_os_flush(FOREVER));
	fd = open(path_of("other"), O_RDONLY | O_CLOEXEC);
	cr_assert(is_whole(fd));
}

Test(os, another_name_keeps_the_file)
{
	struct defer_drop_os_options options = always();
	int fd;

	make_closed("file");
	cr_assert_eq(link(path_of("file"), path_of("other")), 0);
	answers(0, defer_drop_os_unlink(path_of("file"), &options));
	cr_assert_eq(stats().files.deferred_total, 0);
	fd = open(path_of("other"), O_RDONLY | O_CLOEXEC);
	cr_assert(is_whole(fd));
}

Test(os, what_another_process_has_open_is_not_truncated)
{
	struct defer_drop_os_options options = always();
	int go[2];
	int fd = make("file");
	pid_t child;
	int status;

	need_files();
	fd = make("file");
	cr_assert_eq(pipe(go), 0);
	child = fork();
	if (!child) {
		char ignored;

		claim_or_exit(1, read(go[0], &ignored, 1) == 1);
		claim_or_exit(2, is_whole(fd));
		_exit(0);
	}
	close(fd);
	answers(0, defer_drop_os_unlink(path_of("file"), &options));
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert_eq(write(go[1], "", 1), 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

Test(os, a_symbolic_link_is_removed_and_not_what_it_names)
{
	struct defer_drop_os_options options = always();

	make_closed("file");
	cr_assert_eq(symlink(path_of("file"), path_of("other")), 0);
	answers(0, defer_drop_os_unlink(path_of("other"), &options));
	cr_assert_eq(access(path_of("file"), F_OK), 0);
	cr_assert_eq(stats().files.deferred_total, 0);
}

Test(os, an_empty_file_is_unlinked_in_place)
{
	struct defer_drop_os_options options = always();

	close(make("file"));
	cr_assert_eq(truncate(path_of("file"), 0), 0);
	answers(0, defer_drop_os_unlink(path_of("file"), &options));
	cr_assert_eq(stats().files.deferred_total, 0);
}

Test(os, a_file_may_be_dropped_twice)
{
	struct defer_drop_os_options options = slowly();
	int fd;

	need_files();
	fd = make("file");
	/* The second one is opened while the first one has a lease. */
	answers(0, defer_drop_os_unlink(path_of("file"), &options));
	answers(0, defer_drop_os_close(fd, &options));
	await(stats().pending == 1);
	answers(0, defer_drop_os_flush(FOREVER));
}

/* ---- close ----------------------------------------------------------------------------------- */

Test(os, close_frees_the_number_at_once)
{
	struct defer_drop_os_options options = slowly();
	int fd;

	need_files();
	fd = make_nameless();
	answers(0, defer_drop_os_close(fd, &options));
	cr_assert_eq(stats().pending, 1);
	cr_assert(!is_open(fd));
	cr_assert_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), fd);
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert(is_open(fd));
	answers(-EBADF, defer_drop_os_close(-1, &options));
}

Test(os, close_of_a_file_with_a_name_destroys_nothing)
{
	struct defer_drop_os_options options = always();
	int fd = make("file");

	answers(0, defer_drop_os_close(fd, &options));
	cr_assert(!is_open(fd));
	cr_assert_eq(stats().files.deferred_total, 0);
	fd = open(path_of("file"), O_RDONLY | O_CLOEXEC);
	cr_assert(is_whole(fd));
}

Test(os, a_duplicate_keeps_the_file)
{
	struct defer_drop_os_options options = always();
	int fd = make_nameless();
	int duplicate = dup(fd);

	answers(0, defer_drop_os_close(fd, &options));
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert(is_whole(duplicate));
}

Test(os, a_mapping_keeps_the_file)
{
	struct defer_drop_os_options options = always();
	int fd = make_nameless();
	char *address = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	size_t found;

	cr_assert_neq(address, MAP_FAILED);
	answers(0, defer_drop_os_close(fd, &options));
	answers(0, defer_drop_os_flush(FOREVER));
	memcpy(&found, address + MIB - PAGE, sizeof found);
	cr_assert_eq(found, MIB - PAGE);
}

Test(os, the_peer_of_a_pipe_sees_its_end_at_once)
{
	struct defer_drop_os_options options = always();
	int ends[2];
	char ignored;

	cr_assert_eq(pipe(ends), 0);
	need_files(); /* the library's threads began while the pipe was open */
	answers(0, defer_drop_os_close(ends[1], &options));
	cr_assert_eq(read(ends[0], &ignored, 1), 0);
}

static bool has_lock(void *fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

	return !fcntl(*(int *)fd, F_GETLK, &lock) && lock.l_type == F_WRLCK &&
	       lock.l_pid == getppid();
}

static bool has_no_lock(void *fd)
{
	return !has_lock(fd);
}

static void lock_record(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

	cr_assert_eq(fcntl(fd, F_SETLK, &lock), 0);
}

Test(os, unlink_keeps_record_locks)
{
	struct defer_drop_os_options options = always();
	int fd;

	need_files();
	fd = make("file");
	lock_record(fd);
	answers(0, defer_drop_os_unlink(path_of("file"), &options));
	answers(0, defer_drop_os_flush(FOREVER));
	in_child(has_lock, &fd);
}

Test(os, close_ends_record_locks_of_its_process)
{
	struct defer_drop_os_options options = always();
	int fd = make("file");
	int other = open(path_of("file"), O_RDWR | O_CLOEXEC);

	unlink(path_of("file"));
	lock_record(other);
	in_child(has_lock, &other);
	answers(0, defer_drop_os_close(fd, &options));
	in_child(has_no_lock, &other);
}

Test(os, close_ends_a_lock_of_the_file_at_once)
{
	struct defer_drop_os_options options = slowly();
	int fd = make("file");
	int other = open(path_of("file"), O_RDWR | O_CLOEXEC);

	unlink(path_of("file"));
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	cr_assert_neq(flock(other, LOCK_EX | LOCK_NB), 0);
	answers(0, defer_drop_os_close(fd, &options));
	cr_assert_eq(flock(other, LOCK_EX | LOCK_NB), 0);
}

Test(os, fclose_writes_out_what_is_buffered)
{
	struct defer_drop_os_options options = always();
	int fd = make_nameless();
	int duplicate = dup(fd);
	FILE *stream = fdopen(fd, "r+");
	char found[6];

	cr_assert_geq(fputs("words", stream), 0);
	answers(0, defer_drop_os_fclose(stream, &options));
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert(!is_open(fd));
	cr_assert_eq(pread(duplicate, found, 5, (off_t)MIB), 5);
	cr_assert_eq(memcmp(found, "words", 5), 0);
}

Test(os, fclose_reports_what_cannot_be_written)
{
	struct defer_drop_os_options options = always();
	FILE *stream = fopen("/dev/full", "w");

	cr_assert_not_null(stream);
	cr_assert_geq(fputs("words", stream), 0);
	answers(-ENOSPC, defer_drop_os_fclose(stream, &options));
}

/* ---- Descriptors that are held --------------------------------------------------------------- */

Test(os, the_program_sees_no_descriptor_that_is_held)
{
	struct defer_drop_os_options options = slowly();
	unsigned before;

	need_files();
	make_closed("file");
	before = entries("/proc/self/fd");
	answers(0, defer_drop_os_unlink(path_of("file"), &options));
	cr_assert_eq(stats().pending, 1);
	cr_assert_eq(entries("/proc/self/fd"), before);
	answers(0, defer_drop_os_flush(FOREVER));
}

static bool closes_all(void *unused)
{
	struct defer_drop_os_options options = slowly();
	int fds[16];

	(void)unused;
	if (defer_drop_os_unlink(make_closed("file"), &options))
		return false;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	for (unsigned i = 0; i < 16; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (stats().pending != 1 || defer_drop_os_flush(FOREVER))
		return false;
	for (unsigned i = 0; i < 16; i++)
		if (!is_open(fds[i]))
			return false;
	return true;
}

Test(os, a_loop_that_closes_all_closes_none_that_is_held)
{
	need_files();
	in_child(closes_all, NULL);
}

/* A file of which the child of a fork had a descriptor would not be destroyed in slices. */
static bool has_nothing(void *mapped)
{
	struct defer_drop_os_options options = always();
	struct defer_drop_os_counts now = stats();

	if (now.pending || now.files.deferred_total || defer_drop_os_flush(FOREVER))
		return false;
	/* The child drops for itself. */
	if (defer_drop_os_munmap(mapped, MIB, &options) || defer_drop_os_flush(FOREVER))
		return false;
	return stats().mappings.deferred_total == 1;
}

Test(os, a_child_has_nothing_of_what_is_pending)
{
	struct defer_drop_os_options options = slowly();
	char *mapped = map(MIB);

	need_files();
	need_mappings();
	answers(0, defer_drop_os_unlink(make_closed("file"), &options));
	answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	cr_assert_eq(stats().pending, 2);
	in_child(has_nothing, mapped);
	cr_assert_eq(stats().pending, 2);
	answers(0, defer_drop_os_flush(FOREVER));
}

Test(os, a_child_of_vfork_does_it_in_place)
{
	struct defer_drop_os_options options = always();
	int fd;
	int status;
	pid_t child;

	need_files();
	fd = make_nameless();
	child = vfork();
	if (!child) {
		/* Before execve(2) a program may only do little, and closes files. */
		_exit(defer_drop_os_close(fd, &options));
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(stats().files.deferred_total, 1);
	cr_assert(is_whole(fd));
}

/* ---- munmap ---------------------------------------------------------------------------------- */

Test(os, munmap_frees_the_addresses_at_once)
{
	struct defer_drop_os_options options = slowly();
	char *address;

	need_mappings();
	address = map(MIB);
	errno = 77;
	answers(0, defer_drop_os_munmap(address, MIB, &options));
	cr_assert_eq(errno, 77);
	cr_assert_eq(stats().pending, 1);
	cr_assert(is_free(address, MIB));
	memset(address, 2, MIB);
	answers(0, defer_drop_os_flush(FOREVER));
	for (size_t at = 0; at < MIB; at++)
		cr_assert_eq(address[at], 2);
}

Test(os, munmap_of_a_part_leaves_the_rest)
{
	struct defer_drop_os_options options = always();
	char *address;

	need_mappings();
	address = map(3 * MIB);
	answers(0, defer_drop_os_munmap(address + MIB, MIB, &options));
	cr_assert_eq(stats().mappings.deferred_total, 2);
	cr_assert(is_free(address + MIB, MIB));
	answers(0, defer_drop_os_flush(FOREVER));
	for (size_t at = 0; at < MIB; at++)
		cr_assert(address[at] == 1 && address[MIB + at] == 0 && address[2 * MIB + at] == 1);
}

Test(os, munmap_has_the_errors_of_the_system)
{
	struct defer_drop_os_options options = always();
	char *address = map(MIB);

	answers(-EINVAL, defer_drop_os_munmap(address + 1, MIB, &options));
	answers(-EINVAL, defer_drop_os_munmap(address, 0, &options));
	cr_assert_eq(address[MIB - 1], 1);
}

/* Unmaps in place what may not be moved. */
static void assert_in_place(char *address, size_t bytes)
{
	struct defer_drop_os_options options = always();

	answers(0, defer_drop_os_munmap(address, bytes, &options));
	cr_assert_eq(stats().mappings.deferred_total, 0);
	cr_assert(is_free(address, bytes));
}

Test(os, memory_that_was_never_touched_is_unmapped_in_place)
{
	assert_in_place(mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MIB);
}

Test(os, a_shared_mapping_is_unmapped_in_place)
{
	char *address = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memset(address, 1, MIB);
	assert_in_place(address, MIB);
}

Test(os, a_mapping_of_a_file_is_unmapped_in_place)
{
	int fd = make_nameless();
	char *address = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	memset(address, 1, MIB);
	assert_in_place(address, MIB);
}

Test(os, locked_memory_is_unmapped_in_place)
{
	char *address = map(MIB);

	if (mlock(address, MIB))
		cr_skip_test("no memory may be locked here");
	assert_in_place(address, MIB);
}

Test(os, a_range_with_a_hole_is_unmapped_in_place)
{
	char *address = map(4 * MIB);

	cr_assert_eq(munmap(address + MIB, 2 * MIB), 0);
	assert_in_place(address, 4 * MIB);
}

Test(os, a_range_of_several_kinds_is_unmapped_in_place)
{
	char *address = map(4 * MIB);

	cr_assert_eq(mmap(address + MIB, MIB, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		address + MIB);
	memset(address + MIB, 1, MIB);
	assert_in_place(address, 4 * MIB);
}

Test(os, a_process_with_limited_addresses_unmaps_in_place)
{
	struct rlimit limit = {UINT64_C(1) << 46, RLIM_INFINITY};

	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	assert_in_place(map(MIB), MIB);
}

Test(os, discard_leaves_the_range_mapped_and_zero)
{
	struct defer_drop_os_options options = always();
	char *address;

	need_mappings();
	address = map(MIB);
	answers(0, defer_drop_os_discard(address, MIB, &options));
	for (size_t at = 0; at < MIB; at++)
		cr_assert_eq(address[at], 0);
	answers(0, defer_drop_os_flush(FOREVER));
	address[0] = 3;
	options.least_bytes = DEFER_DROP_UNSET;
	answers(-EAGAIN, defer_drop_os_discard(address, MIB, &options));
	cr_assert_eq(address[0], 3);
}

/* ---- What pays ------------------------------------------------------------------------------- */

Test(os, a_file_system_that_is_not_known_yet_is_worth_it)
{
	cr_assert(dd_os_cost_pays(1, 8 * MIB));
	cr_assert_not(dd_os_cost_pays(1, 1));
}

Test(os, a_file_system_that_is_quick_is_not_worth_it_until_it_is_slow_again)
{
	unsigned noted = 0;

	while (dd_os_cost_pays(1, 8 * MIB)) {
		dd_os_cost_note(1, 8 * MIB, 1000);
		cr_assert_lt(++noted, 100);
	}
	cr_assert_gt(noted, 1);
	cr_assert(dd_os_cost_pays(2, 8 * MIB));
	dd_os_cost_note(1, 8 * MIB, 100 * MS);
	cr_assert(dd_os_cost_pays(1, 8 * MIB));
	/* Another one with the same place. */
	dd_os_cost_note(9, 8 * MIB, 1000);
	dd_os_cost_note(9, 0, 1000);
	cr_assert(dd_os_cost_pays(1, 8 * MIB));
}

Test(os, a_big_file_is_dropped_by_default)
{
	int fd;

	need_files();
	fd = make("file");
	cr_assert_eq(posix_fallocate(fd, 0, (off_t)(16 * MIB)), 0);
	close(fd);
	answers(0, defer_drop_os_unlink(path_of("file"), NULL));
	cr_assert_eq(stats().files.deferred_total, 2);
	answers(0, defer_drop_os_flush(FOREVER));
}

/* ---- Limits, paces and the end --------------------------------------------------------------- */

Test(os, what_is_small_is_destroyed_in_place)
{
	answers(0, defer_drop_os_munmap(map(MIB), MIB, NULL));
	answers(0, defer_drop_os_unlink(make_closed("file"), NULL));
	answers(0, defer_drop_os_close(make_nameless(), NULL));
	cr_assert_eq(stats().mappings.deferred_total + stats().files.deferred_total, 0);
}

Test(os, no_more_is_pending_than_the_limit)
{
	struct defer_drop_os_options options = slowly();

	need_mappings();
	answers(0, defer_drop_os_set_limits(3 * MIB, 0));
	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	cr_assert_eq(stats().pending, 3);
	cr_assert_eq(stats().mappings.in_place_total, 2);
	answers(0, defer_drop_os_flush(FOREVER));
	answers(-EINVAL, defer_drop_os_set_limits((UINT64_C(1) << 62) + 1, 0));
	answers(-EOVERFLOW, defer_drop_os_set_limits(0, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(0, defer_drop_os_set_limits(0, 0));
	answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	cr_assert_eq(stats().mappings.in_place_total, 3);
}

Test(os, a_pace_holds_up_nothing_else)
{
	struct defer_drop_os_options slow = slowly();
	struct defer_drop_os_options options = always();

	need_mappings();
	answers(0, defer_drop_os_munmap(map(MIB), MIB, &slow));
	for (unsigned i = 0; i < 100; i++)
		answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	await(stats().pending == 1);
	answers(-EAGAIN, defer_drop_os_flush(0));
	answers(0, defer_drop_os_flush(FOREVER));
}

Test(os, the_threads_end_when_nothing_is_pending)
{
	struct defer_drop_os_options options = always();
	unsigned before = entries("/proc/self/task");

	answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	await(entries("/proc/self/task") == before);
	answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert_eq(entries("/proc/self/task"), before);
}

Test(os, options_are_checked)
{
	struct defer_drop_os_options options = always();
	char *address = map(MIB);

	options.slice_bytes = 4095;
	answers(-EINVAL, defer_drop_os_munmap(address, MIB, &options));
	answers(-EINVAL, defer_drop_os_close(0, &options));
	options = always();
	options.least_bytes = DEFER_DROP_FOREVER;
	answers(-EINVAL, defer_drop_os_discard(address, MIB, &options));
	options = always();
	options.bytes_per_second = (UINT64_C(1) << 62) + 1;
	answers(-EINVAL, defer_drop_os_unlink(path_of("none"), &options));
	options = always();
	options.size = 1;
	answers(-EINVAL, defer_drop_os_munmap(address, MIB, &options));
	cr_assert_eq(address[0], 1);
	cr_assert(is_open(0));
	answers(-EOVERFLOW, defer_drop_os_flush(DEFER_DROP_TIMEOUT_MAX + 1));
}

/* Exits with something pending that nobody waits for; or which exit waits for. */
static void exit_with_pending(uint64_t exit_timeout_ns)
{
	struct defer_drop_os_options options = slowly();

	answers(0, defer_drop_os_set_limits(UINT64_C(1) << 40, exit_timeout_ns));
	answers(0, defer_drop_os_munmap(map(MIB), MIB, &options));
	answers(0, defer_drop_os_unlink(make_closed("file"), &options));
	exit(0);
}

Test(os, exit_leaves_at_once)
{
	exit_with_pending(0);
}

Test(os, exit_waits_as_long_as_was_asked)
{
	exit_with_pending(FOREVER);
}

/* ---- Signals --------------------------------------------------------------------------------- */

static atomic_uint handled;

static void close_one(int signal)
{
	struct defer_drop_os_options options = always();
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	(void)signal;
	if (fd >= 0 && write(fd, "word", 4) == 4 && !defer_drop_os_close(fd, &options))
		atomic_fetch_add(&handled, 1);
}

Test(os, a_signal_handler_may_close_while_its_thread_does)
{
	struct sigaction action = {.sa_handler = close_one};
	struct itimerval often = {{0, 300}, {0, 300}};
	struct itimerval never = {{0, 0}, {0, 0}};
	struct defer_drop_os_options options = always();
	int probe = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (probe < 0)
		cr_skip_test("there is no O_TMPFILE here");
	need_files();
	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (unsigned i = 0; i < 50; i++)
		answers(0, defer_drop_os_close(make_nameless(), &options));
	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert_gt(atomic_load(&handled), 0);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void *drop_many(void *unused)
{
	struct defer_drop_os_options options = always();

	for (unsigned i = 0; i < 200; i++) {
		char name[32];
		int fd;

		snprintf(name, sizeof name, "/tmp/defer_drop_os_%d_%u", gettid(), i);
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, "word", 4) != 4)
			abort();
		close(fd);
		if (defer_drop_os_unlink(name, &options) || !access(name, F_OK))
			abort();
		if (defer_drop_os_munmap(map(MIB), MIB, &options))
			abort();
	}
	return unused;
}

Test(os, threads_drop_at_the_same_time)
{
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, drop_many, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
	answers(0, defer_drop_os_flush(FOREVER));
	cr_assert_eq(stats().pending, 0);
	cr_assert_eq(stats().pending_bytes, 0);
}
