/* SPDX-License-Identifier: MIT
 *
 * What the kernel takes long to destroy: big files and big mappings.
 *
 *     defer_drop_os_unlink("old.db", NULL);       instead of unlink("old.db")
 *     defer_drop_os_close(fd, NULL);              instead of close(fd), of a file without a name
 *     defer_drop_os_munmap(table, bytes, NULL);   instead of munmap(table, bytes)
 *
 * Each call does what its namesake does, with the same result, before it returns: the path is gone,
 * the descriptor's number is free, the addresses may be mapped again. Only the cost comes later.
 * The library holds the file, or moves the pages elsewhere, so that the system call finds little to
 * do; and it destroys in slices, in the background. Where that would change what the call means, or
 * would not pay, the call does it all in place.
 *
 * What is the same as in place:
 * - results and errors: all that the system reports is returned at once, by these calls. No error
 *   comes later: a file that cannot be truncated in slices is closed whole.
 * - locks of files. Record locks (fcntl(2)) end with the close of any descriptor of the file in the
 *   process, as ever; locks of flock(2) with the last duplicate. What the library holds has no lock
 *   and keeps none.
 * - descriptors of the program. What is held has descriptors in a table of its own (unshare(2),
 *   CLONE_FILES): no loop that closes all can close them, no limit of the program's counts them, no
 *   child inherits them. defer_drop_os_hold_at alone has one in the program's table for a moment.
 * - what others have open: their file is not truncated. The library truncates a file in slices only
 *   if the file has no name left and a write lease is granted (fcntl(2), F_SETLEASE), which means
 *   that nobody else has it open. Descriptors with O_PATH do not count for that: whoever keeps one,
 *   to open the file or link it again, closes the file by close(2).
 * - events of inotify(7), except for watches of a file itself: they see it opened and truncated,
 *   and IN_DELETE_SELF when it is destroyed.
 *
 * What is different, until the object is destroyed (defer_drop_os_flush waits for that):
 * - The space of a file is not free, as statvfs(3) and quotas tell, and its file system is busy for
 *   umount(2) and for remounting read-only. If less is free than is pending, the calls act in
 *   place.
 * - The memory of a mapping counts for the process, and so do its addresses: for its control group,
 *   and if the system commits no more than it has (vm.overcommit_memory=2). If the process has a
 *   limit of addresses or data (RLIMIT_AS, RLIMIT_DATA), or less memory is free than was pending
 *   before, the calls act in place.
 * - The process has two threads more, until 50 ms after the last object was destroyed. unshare(2)
 *   and setns(2) of some kinds want one thread; and a plugin with the static library inside may not
 *   be closed before (defer_drop_os_flush). They are scheduled as the thread that drops first.
 * - If the process ends, whichever way, the kernel destroys at once what is pending. So nothing is
 *   lost, and a program that ends at once gains nothing. A program that replaces itself (execve(2))
 *   waits for it.
 *
 * What is destroyed in place, always:
 * - descriptors of anything but a regular file: the peer of a socket or pipe waits for its end;
 * - a file that has another name (hard links), and a close of a file that still has a name: they
 *   destroy nothing. A file from O_TMPFILE or memfd_create(2) has no name;
 * - files of a file system that is not local, or that the library does not know: it knows ext2 to
 *   ext4, xfs, btrfs, f2fs, tmpfs and overlayfs;
 * - shared mappings and those of files, whose last user alone pays; locked memory (mlock(2)); huge
 *   pages of hugetlbfs; before Linux 6.17 ranges of several mappings. Transparent huge pages are
 *   moved whole;
 * - memory that was never touched: what counts is how much is resident, by a sample (mincore(2)).
 *   So reservations cost what they always did;
 * - what is smaller than least_bytes, or beyond the limit of what may be pending;
 * - everything, if /proc is not mounted, threads cannot be started, or Linux is older than 5.9.
 *
 * A mapping is moved by mremap(2) with MREMAP_DONTUNMAP, and unmapped at its old place afterwards:
 * at no time are there addresses that another thread could map and lose. A range that is registered
 * with userfaultfd(2) loses its registration, so unmap such a range yourself.
 *
 * System calls, beside those of the header defer_drop.h. Callers make newfstatat, fstatfs, openat,
 * close, unlinkat, mincore, msync, madvise, mmap, mprotect, mremap, munmap, prlimit64, sysinfo,
 * gettid, getpid and rt_sigprocmask, and those that start a thread; the library's threads
 * close_range, openat, close, newfstatat, fcntl and ftruncate.
 *
 * By default a file is destroyed in slices of 32 MiB, the first after 5 ms, and after each slice
 * the library rests for as long as the slice took: other users of the disk get the other half of
 * its time. It rests without holding up what else is pending: the object goes back to a list until
 * its time has come. DEFER_DROP_OPTIONS tunes the queue, whose name is defer_drop_os, as in
 * "defer_drop_os:niceness=19".
 */
#ifndef DEFER_DROP_OS_H
#define DEFER_DROP_OS_H

#include <defer_drop.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How to destroy. Begin with DEFER_DROP_OS_OPTIONS_INIT. */
struct defer_drop_os_options {
	size_t size; /* sizeof(struct defer_drop_os_options) */
	/* What holds fewer bytes than this, in memory or on disk, is destroyed in place: 0..2^62,
	 * or [DEFER_DROP_UNSET], the measured break-even: 16 MiB of memory that is resident, 8 MiB
	 * of a file. With DEFER_DROP_UNSET the library also measures what each file system takes,
	 * and destroys in place where that is less than to defer: 300 us. */
	uint64_t least_bytes;
	/* Bytes that are destroyed at a time, 4096..2^62 [33554432, 32 MiB]. */
	uint64_t slice_bytes;
	/* Not more than so many bytes per second, 1..2^62, or [0], no limit: for each object. */
	uint64_t bytes_per_second;
};

/*
 * Unmaps memory: munmap(2).
 *
 * address, bytes: as for munmap(2).
 * options: NULL means DEFER_DROP_OS_OPTIONS_INIT, here and below.
 * Threads: any.
 * Blocks: as munmap(2) of a range without pages; and briefly. The first call after a quiet time
 *   starts a thread.
 * Errors: those of munmap(2), and (nothing was done)
 *   -EINVAL  an option is out of its range; size is smaller than that of the first version
 *   -E2BIG   options is of a later version and uses what this library does not know
 * Ordering: as munmap(2).
 */
DEFER_DROP_API int defer_drop_os_munmap(
	void *address, size_t bytes, const struct defer_drop_os_options *options);

/*
 * Gives the memory of a range back, which stays mapped and reads as zeros: madvise(2) with
 * MADV_DONTNEED. For a caller that is about to free the range, as free(3) does: where to defer is
 * not possible, or would not pay, it leaves the memory to that.
 *
 * address, bytes: pages of one private mapping without a file.
 * Threads: any, as long as no other uses the range. Blocks: as defer_drop_os_munmap.
 * Errors (no memory was given back):
 *   -EINVAL, -E2BIG  as for defer_drop_os_munmap
 *   -EAGAIN          it was not deferred, and holds what it held
 * Ordering: none.
 */
DEFER_DROP_API int defer_drop_os_discard(
	void *address, size_t bytes, const struct defer_drop_os_options *options);

/*
 * Closes a descriptor: close(2).
 *
 * Threads: any.
 * Blocks: as close(2) of a descriptor that is not the last one of its file; and until a thread of
 *   the library has opened the file once more, some 50 us if a CPU is free.
 * Errors: those of close(2), which closes the descriptor nevertheless; and -EINVAL, -E2BIG, as for
 *   defer_drop_os_munmap: then it is still open.
 * Ordering: as close(2).
 */
DEFER_DROP_API int defer_drop_os_close(int fd, const struct defer_drop_os_options *options);

/*
 * Closes a stream: fclose(3), which writes out what is buffered before it closes.
 *
 * Threads, Blocks, Ordering: as fclose(3) and defer_drop_os_close.
 * Errors: those of fclose(3), which closes the stream nevertheless; and -EINVAL, -E2BIG, as for
 *   defer_drop_os_munmap: then it is still open; -EINVAL also if stream is NULL.
 */
DEFER_DROP_API int defer_drop_os_fclose(FILE *stream, const struct defer_drop_os_options *options);

/*
 * Removes a name, and the file if that was its last one: unlink(2), unlinkat(2).
 *
 * folder, path, flags: as for unlinkat(2).
 * Threads: any.
 * Blocks: as the system call if another name is left; and as defer_drop_os_close.
 * Errors: those of the system call; and -EINVAL, -E2BIG, as for defer_drop_os_munmap. On every
 *   error the name is still there.
 * Ordering: as the system call.
 */
DEFER_DROP_API int defer_drop_os_unlink(
	const char *path, const struct defer_drop_os_options *options);
DEFER_DROP_API int defer_drop_os_unlinkat(
	int folder, const char *path, int flags, const struct defer_drop_os_options *options);

/* ---- Everything else that can destroy a file ------------------------------------------------- */

/* A file that is held for a moment. Its fields are the library's own; held may be read. */
struct defer_drop_os_held {
	uint64_t bytes;
	uint64_t begin_ns;
	uint64_t device;
	void *held; /* NULL: there is no file, or it is destroyed in place */
	uint64_t process;
};

/*
 * Holds a file while the program makes a system call that may destroy it: a rename over the file,
 * dup2(2) onto its last descriptor, freopen(3).
 *
 *     defer_drop_os_hold_at(&hold, AT_FDCWD, "new", NULL);
 *     result = rename("old", "new");
 *     defer_drop_os_let_go(&hold);
 *
 * hold: filled in. defer_drop_os_let_go must follow, on the same thread, whatever the system call
 *   returned and whatever this call returned; if the file is still in use then, it stays.
 * fd: the last descriptor of a file without a name. folder, path: the last name of a file, which is
 *   not followed if it is a symbolic link.
 * Threads: any.
 * Blocks: until a thread of the library has opened the file once more, as defer_drop_os_close.
 * Errors (nothing is held): -EINVAL, -E2BIG, as for defer_drop_os_munmap; -EINVAL also if hold is
 *   NULL. A file that is destroyed in place, or does not exist, is no error, and leaves errno as it
 *   was.
 * Ordering: none.
 */
DEFER_DROP_API int defer_drop_os_hold(
	struct defer_drop_os_held *hold, int fd, const struct defer_drop_os_options *options);
DEFER_DROP_API int defer_drop_os_hold_at(struct defer_drop_os_held *hold, int folder,
	const char *path, const struct defer_drop_os_options *options);

/*
 * Lets a file go that is held, so that it is destroyed in the background if nobody else uses it.
 *
 * Threads: that of defer_drop_os_hold. Blocks: briefly.
 */
DEFER_DROP_API void defer_drop_os_let_go(struct defer_drop_os_held *hold);

/* ---- All that is pending --------------------------------------------------------------------- */

/*
 * Waits until nothing is pending here, without the rests between slices, and until the threads have
 * ended: before umount(2) or unshare(2), or for the space of a file.
 *
 * Threads: any. What others drop meanwhile prolongs it.
 * Blocks: until then, until timeout_ns is over; with 0 it looks once whether something is pending.
 * Errors:
 *   -EAGAIN     something is pending, and timeout_ns is 0
 *   -ETIMEDOUT  something is still pending
 *   -ESHUTDOWN  exit leaves the rest to the kernel
 *   -EOVERFLOW  as for defer_drop_timed
 * Ordering: none.
 */
DEFER_DROP_API int defer_drop_os_flush(uint64_t timeout_ns);

/*
 * Sets limits, for the whole process.
 *
 * max_bytes: that may be pending here together, 0..2^62; what is beyond is destroyed in place.
 *   Built in are 8 GiB; with 0 everything is destroyed in place.
 * exit_timeout_ns: how long exit(3) waits for what is pending, without rests between slices. The
 *   kernel destroys the rest when the process ends. Built in is 0.
 * Threads: any. Blocks: briefly.
 * Errors (nothing was changed):
 *   -EINVAL     max_bytes is out of its range
 *   -EOVERFLOW  exit_timeout_ns, as for defer_drop_timed
 */
DEFER_DROP_API int defer_drop_os_set_limits(uint64_t max_bytes, uint64_t exit_timeout_ns);

/* What the calls did with objects of one kind. */
struct defer_drop_os_kind {
	uint64_t deferred_total;       /* destroyed in the background, or pending */
	uint64_t deferred_bytes_total; /* of these: resident, or on disk */
	uint64_t in_place_total;       /* large enough, and destroyed in place nevertheless */
	uint64_t caller_ns_total;      /* what the callers of deferred ones took for them */
	uint64_t worker_ns_total;      /* what destroying them took */
};

/* Counters since the process began, or since it was forked. */
struct defer_drop_os_counts {
	/* sizeof(struct defer_drop_os_counts), set by the caller; then what was filled in. */
	size_t size;
	struct defer_drop_os_kind mappings;
	struct defer_drop_os_kind files;
	uint64_t pending;       /* objects */
	uint64_t pending_bytes; /* of these */
};

/*
 * Fills in the statistics.
 *
 * Threads: any. Blocks: never.
 * Errors: -EINVAL if stats is NULL, or its size is smaller than that of the first version.
 */
DEFER_DROP_API int defer_drop_os_stats(struct defer_drop_os_counts *stats);

#ifdef __cplusplus
}

inline struct defer_drop_os_options defer_drop_os_default()
{
	struct defer_drop_os_options made = defer_drop_sized<struct defer_drop_os_options>();

	made.least_bytes = DEFER_DROP_UNSET;
	made.slice_bytes = UINT64_C(32) << 20;
	return made;
}

#define DEFER_DROP_OS_OPTIONS_INIT defer_drop_os_default()
#define DEFER_DROP_OS_COUNTS_INIT  defer_drop_sized<struct defer_drop_os_counts>()
#else
/* clang-format off */
#define DEFER_DROP_OS_OPTIONS_INIT                                                     \
	{.size = sizeof(struct defer_drop_os_options), .least_bytes = DEFER_DROP_UNSET, \
		.slice_bytes = UINT64_C(32) << 20}
#define DEFER_DROP_OS_COUNTS_INIT {.size = sizeof(struct defer_drop_os_counts)}
/* clang-format on */
#endif

#endif
