/* SPDX-License-Identifier: MIT
 *
 * Files: they are held while a system call takes their last name or descriptor, and destroyed in
 * slices afterwards.
 *
 * A file is held by a descriptor with O_PATH in the holder's table. It is no duplicate of the
 * program's: it has no part in locks, leases or the position of the file, and its close reports
 * nothing. For descriptors of that table there are system calls here, and no functions of the C
 * library: ThreadSanitizer takes such a descriptor for the program's of the same number, and a
 * program may replace close(2) by a function that drops (LD_PRELOAD).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/futex.h"
#include "face/os_cost.h"
#include "face/os_holder.h"
#include "face/os_terms.h"

/* Where destroying takes as long as what deferring costs the caller: ext4 with a journal took 37 us
 * for a MiB that is cached, tmpfs 60, ext4 with discard 220. */
#define LEAST_BYTES (UINT64_C(8) << 20)
/* What the program does next may need the disk: a server that has dropped a table removes other
 * files of it, and writes to its log. */
#define DELAY_NS (5 * DD_MS)
/* /proc/self/task/4194304/fd/2147483647 */
#define PATH_BYTES 64

struct file {
	struct dd_os_drop drop;
	int held;        /* with O_PATH */
	int truncatable; /* the same file, with a write lease; -1: none */
	bool has_begun;
	bool is_kept; /* by others: to close it says nothing about its cost */
	uint64_t device;
	uint64_t left_bytes;  /* of its size */
	uint64_t slice_bytes; /* of its size: more than those of the drop if it has holes */
	uint64_t took_ns;
};

static void close_own(int fd)
{
	if (fd >= 0)
		syscall(SYS_close, fd);
}

static int open_own(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0);
}

/* The kernel's struct is that of the C library on 64-bit machines. */
static bool look_at(int fd, struct stat *about)
{
	return !syscall(SYS_newfstatat, fd, "", about, AT_EMPTY_PATH);
}

static uint64_t bytes_of(const struct stat *about)
{
	return (uint64_t)about->st_blocks * 512;
}

/* ---- Destroying, on the worker --------------------------------------------------------------- */

/* Takes a write lease. Should somebody break it, as by dropping the same file twice, the signal
 * goes to this thread alone, which blocks it: SIGIO would end the program. */
static bool take_lease(int fd)
{
	struct f_owner_ex owner = {F_OWNER_TID, gettid()};

	return !syscall(SYS_fcntl, fd, F_SETOWN_EX, &owner) &&
	       !syscall(SYS_fcntl, fd, F_SETLEASE, F_WRLCK);
}

/* Opens the file for truncating, if nobody else can see that: it has no name, and a write lease
 * says that nobody else has it open, nor will. The lease ends with the close. */
static int open_truncatable(int held, bool *is_kept)
{
	char path[PATH_BYTES];
	int fd;

	snprintf(path, sizeof path, "/proc/thread-self/fd/%d", held);
	fd = open_own(path, O_RDWR | O_NONBLOCK);
	*is_kept = fd >= 0 && !take_lease(fd);
	if (*is_kept) {
		close_own(fd);
		fd = -1;
	}
	return fd;
}

/* Prepares for slices if the file is to be truncated. */
static void begin(struct file *file)
{
	struct stat about;

	file->has_begun = true;
	file->left_bytes = 0;
	file->is_kept = !look_at(file->held, &about) || about.st_nlink || !bytes_of(&about);
	if (file->is_kept)
		return;
	file->truncatable = open_truncatable(file->held, &file->is_kept);
	if (file->truncatable < 0)
		return;
	file->left_bytes = (uint64_t)about.st_size;
	file->slice_bytes = (uint64_t)((double)file->drop.slice_bytes * (double)about.st_size /
				       (double)bytes_of(&about)) +
			    1;
}

/* Truncates by a slice. False if the file is to be closed as it is: the last slice, or an error,
 * such as of a disk. */
static bool truncate_some(struct file *file)
{
	if (file->left_bytes <= file->slice_bytes)
		return false;
	file->left_bytes -= file->slice_bytes;
	return !syscall(SYS_ftruncate, file->truncatable, file->left_bytes);
}

static bool destroy_some(struct dd_os_drop *drop)
{
	struct file *file = (struct file *)drop;
	uint64_t begin_ns = dd_now_ns();
	bool is_left;

	if (!file->has_begun)
		begin(file);
	is_left = truncate_some(file);
	if (!is_left) {
		close_own(file->truncatable);
		close_own(file->held);
	}
	file->took_ns += dd_now_ns() - begin_ns;
	if (is_left)
		return false;
	if (!file->is_kept)
		dd_os_cost_note(file->device, file->drop.bytes, file->took_ns);
	free(file);
	return true;
}

/* ---- Holding --------------------------------------------------------------------------------- */

struct request {
	struct dd_os_request request;
	int fd; /* in the table of that thread */
	pid_t thread;
	const struct stat *about;
	const struct defer_drop_os_options *terms;
	struct file *file; /* the result, or NULL */
};

static bool is_same(int fd, const struct stat *about)
{
	struct stat opened;

	return look_at(fd, &opened) && opened.st_dev == about->st_dev &&
	       opened.st_ino == about->st_ino;
}

static struct file *make(int held, const struct request *request)
{
	struct file *file = calloc(1, sizeof *file);

	if (!file)
		return NULL;
	file->drop.destroy_some = destroy_some;
	file->drop.kind = DD_OS_FILE;
	file->drop.bytes = bytes_of(request->about);
	file->drop.slice_bytes = request->terms->slice_bytes;
	file->drop.bytes_per_second = request->terms->bytes_per_second;
	file->drop.is_polite = true;
	file->device = request->about->st_dev;
	file->held = held;
	file->truncatable = -1;
	return file;
}

/* Opens the caller's file in the holder's table. */
static void serve(struct dd_os_request *asked)
{
	struct request *request = (struct request *)asked;
	char path[PATH_BYTES];
	int fd;

	snprintf(
		path, sizeof path, "/proc/self/task/%ld/fd/%d", (long)request->thread, request->fd);
	fd = open_own(path, O_PATH);
	if (fd < 0)
		return;
	if (is_same(fd, request->about))
		request->file = make(fd, request);
	if (!request->file)
		close_own(fd);
}

/* True if the file system is one of which a file can be held without anybody noticing: others show
 * a file that is removed while it is open under another name (NFS, FUSE). */
static bool is_known(uint64_t type)
{
	static const uint32_t known[] = {
		0xef53,     /* ext2 to ext4 */
		0x58465342, /* xfs */
		0x9123683e, /* btrfs */
		0xf2f52010, /* f2fs */
		0x01021994, /* tmpfs */
		0x794c7630, /* overlayfs */
	};

	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		if (type == known[i])
			return true;
	return false;
}

/* True if the file may wait: its file system has as much space as is not back yet. */
static bool may_wait(int fd, uint64_t bytes)
{
	struct statfs system;

	return !fstatfs(fd, &system) && is_known((uint64_t)system.f_type) &&
	       (uint64_t)system.f_bavail * (uint64_t)system.f_bsize >=
		       dd_os_pending_bytes() + bytes;
}

/* True if that is a regular file, with so many names, which is large enough to be measured. */
static bool is_big(
	const struct stat *about, nlink_t names, const struct defer_drop_os_options *terms)
{
	uint64_t least_bytes = dd_os_least(terms, LEAST_BYTES);

	return S_ISREG(about->st_mode) && about->st_nlink == names && bytes_of(about) &&
	       bytes_of(about) >= least_bytes;
}

/* Holds a big file, if that pays and is possible. */
static void hold(struct defer_drop_os_held *hold, int fd, const struct stat *about,
	const struct defer_drop_os_options *terms)
{
	struct request request = {
		.request.serve = serve,
		.fd = fd,
		.thread = gettid(),
		.about = about,
		.terms = terms,
	};

	if (terms->least_bytes == DEFER_DROP_UNSET &&
		!dd_os_cost_pays(about->st_dev, bytes_of(about)))
		return;
	if (!may_wait(fd, bytes_of(about)) || !dd_os_reserve(bytes_of(about)))
		return;
	dd_os_ask(&request.request);
	hold->held = request.file;
	if (!hold->held)
		dd_os_give_back(bytes_of(about));
}

/* Begins a hold that holds nothing yet. */
static int prepare(struct defer_drop_os_held *hold, const struct defer_drop_os_options *options,
	struct defer_drop_os_options *terms)
{
	if (!hold)
		return -EINVAL;
	memset(hold, 0, sizeof *hold);
	return dd_os_terms(options, terms);
}

static void note_big(struct defer_drop_os_held *hold, const struct stat *about, uint64_t begin_ns)
{
	hold->bytes = bytes_of(about);
	hold->device = about->st_dev;
	hold->process = (uint64_t)getpid();
	hold->begin_ns = begin_ns;
}

int defer_drop_os_hold(
	struct defer_drop_os_held *held, int fd, const struct defer_drop_os_options *options)
{
	struct dd_os_caller caller = dd_os_begin();
	struct defer_drop_os_options terms;
	struct stat about;
	int error = prepare(held, options, &terms);

	if (!error && !fstat(fd, &about) && is_big(&about, 0, &terms)) {
		note_big(held, &about, dd_now_ns());
		hold(held, fd, &about, &terms);
	}
	return dd_os_end(&caller, error);
}

int defer_drop_os_hold_at(struct defer_drop_os_held *held, int folder, const char *path,
	const struct defer_drop_os_options *options)
{
	struct dd_os_caller caller = dd_os_begin();
	struct defer_drop_os_options terms;
	struct stat about;
	int error = prepare(held, options, &terms);

	if (!error && path && !fstatat(folder, path, &about, AT_SYMLINK_NOFOLLOW) &&
		is_big(&about, 1, &terms)) {
		int fd;

		note_big(held, &about, dd_now_ns());
		fd = openat(folder, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && is_same(fd, &about))
			hold(held, fd, &about, &terms);
		close_own(fd);
	}
	return dd_os_end(&caller, error);
}

void defer_drop_os_let_go(struct defer_drop_os_held *hold)
{
	struct file *file = hold ? hold->held : NULL;
	uint64_t took_ns;

	/* After a fork the file is the parent's: the child has no such descriptor. */
	if (!hold || !hold->bytes || hold->process != (uint64_t)getpid())
		return;
	took_ns = dd_now_ns() - hold->begin_ns;
	if (file) {
		file->drop.due_ns = dd_now_ns() + DELAY_NS;
		dd_os_count_deferred(DD_OS_FILE, hold->bytes, took_ns);
		/* The holder lives as long as something is pending. */
		dd_os_hand_over(&file->drop);
	} else {
		dd_os_count_in_place(DD_OS_FILE);
		dd_os_cost_note(hold->device, hold->bytes, took_ns);
	}
	memset(hold, 0, sizeof *hold);
}

/* ---- The calls ------------------------------------------------------------------------------- */

int defer_drop_os_close(int fd, const struct defer_drop_os_options *options)
{
	struct dd_os_caller caller = dd_os_begin();
	struct defer_drop_os_held held;
	int result = defer_drop_os_hold(&held, fd, options);

	if (!result) {
		result = close(fd) ? -errno : 0;
		defer_drop_os_let_go(&held);
	}
	return dd_os_end(&caller, result);
}

int defer_drop_os_fclose(FILE *stream, const struct defer_drop_os_options *options)
{
	struct dd_os_caller caller = dd_os_begin();
	struct defer_drop_os_held held;
	int result = stream ? defer_drop_os_hold(&held, fileno(stream), options) : -EINVAL;

	if (!result) {
		result = fclose(stream) ? -errno : 0;
		defer_drop_os_let_go(&held);
	}
	return dd_os_end(&caller, result);
}

int defer_drop_os_unlinkat(
	int folder, const char *path, int flags, const struct defer_drop_os_options *options)
{
	struct dd_os_caller caller = dd_os_begin();
	struct defer_drop_os_held held;
	int result = defer_drop_os_hold_at(&held, folder, path, options);

	if (!result) {
		result = unlinkat(folder, path, flags) ? -errno : 0;
		defer_drop_os_let_go(&held);
	}
	return dd_os_end(&caller, result);
}

int defer_drop_os_unlink(const char *path, const struct defer_drop_os_options *options)
{
	return defer_drop_os_unlinkat(AT_FDCWD, path, 0, options);
}
