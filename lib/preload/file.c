/* SPDX-License-Identifier: MIT
 *
 * Files: what removes a name, and what closes a file that has none.
 *
 * A close destroys nothing as long as the file has a name. So closes are looked at only when the
 * program has removed a name or made a file without one, and only so many: to look is a system call
 * of some 200 ns. The others cost a load.
 */
/* For large files the functions have names of their own, which this file defines too. */
#undef _FILE_OFFSET_BITS

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/helper.h"
#include "preload/next.h"
#include "preload/preload.h"

/* A temporary file that is open for longer than so many closes is closed in place. */
#define WATCHED_CLOSES 10000

/* Closes that are still looked at. */
static atomic_uint watched;

static void watch_closes(void)
{
	if (dd_preload_defers(DD_WHAT_CLOSE))
		atomic_store_explicit(&watched, WATCHED_CLOSES, memory_order_relaxed);
}

static inline bool is_watched(void)
{
	unsigned left = atomic_load_explicit(&watched, memory_order_relaxed);

	if (dd_usual(!left))
		return false;
	/* Threads that count down at the same time look once more. */
	atomic_store_explicit(&watched, left - 1, memory_order_relaxed);
	return dd_preload_defers(DD_WHAT_CLOSE);
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* A file that is losing a name. */
struct name {
	struct defer_drop_os_held held;
	int helper; /* the connection to the helper, or -1 */
};

/* Holds the file of a name that may be its last. */
static struct name hold_name(enum dd_what kind, int folder, const char *path)
{
	struct name name = {.helper = -1};
	int before = errno;

	if (dd_preload_defers(kind))
		defer_drop_os_hold_at(&name.held, folder, path, &dd_preload_files);
	if (name.held.held && *dd_preload_settings.helper)
		name.helper = dd_helper_hold(dd_preload_settings.helper, folder, path);
	errno = before;
	return name;
}

static int let_go(struct defer_drop_os_held *held, int result)
{
	int before = errno;

	defer_drop_os_let_go(held);
	errno = before;
	return result;
}

/* As let_go; the file may still be open here. */
static int let_name_go(struct name *name, int result)
{
	let_go(&name->held, result);
	if (name->helper >= 0) {
		int before = errno;

		dd_next_all()->close(name->helper);
		errno = before;
	}
	if (!result)
		watch_closes();
	return result;
}

DD_STANDS_BEFORE int unlink(const char *path)
{
	struct name name = hold_name(DD_WHAT_UNLINK, AT_FDCWD, path);

	return let_name_go(&name, dd_next_all()->unlink(path));
}

DD_STANDS_BEFORE int unlinkat(int folder, const char *path, int flags)
{
	struct name name = {.helper = -1};

	if (!(flags & AT_REMOVEDIR))
		name = hold_name(DD_WHAT_UNLINK, folder, path);
	return let_name_go(&name, dd_next_all()->unlinkat(folder, path, flags));
}

DD_STANDS_BEFORE int remove(const char *path)
{
	struct name name = hold_name(DD_WHAT_UNLINK, AT_FDCWD, path);

	return let_name_go(&name, dd_next_all()->remove(path));
}

DD_STANDS_BEFORE int shm_unlink(const char *path)
{
	int result = dd_next_all()->shm_unlink(path);

	if (!result)
		watch_closes();
	return result;
}

DD_STANDS_BEFORE int rename(const char *old, const char *path)
{
	struct name name = hold_name(DD_WHAT_RENAME, AT_FDCWD, path);

	return let_name_go(&name, dd_next_all()->rename(old, path));
}

DD_STANDS_BEFORE int renameat(int old_folder, const char *old, int folder, const char *path)
{
	struct name name = hold_name(DD_WHAT_RENAME, folder, path);

	return let_name_go(&name, dd_next_all()->renameat(old_folder, old, folder, path));
}

DD_STANDS_BEFORE int renameat2(
	int old_folder, const char *old, int folder, const char *path, unsigned flags)
{
	struct name name = {.helper = -1};

	if (!(flags & (RENAME_EXCHANGE | RENAME_NOREPLACE)))
		name = hold_name(DD_WHAT_RENAME, folder, path);
	return let_name_go(&name, dd_next_all()->renameat2(old_folder, old, folder, path, flags));
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

DD_STANDS_BEFORE int close(int fd)
{
	struct defer_drop_os_held held;

	if (dd_usual(!is_watched()))
		return dd_next_all()->close(fd);
	defer_drop_os_hold(&held, fd, &dd_preload_files);
	return let_go(&held, dd_next_all()->close(fd));
}

DD_STANDS_BEFORE int fclose(FILE *stream)
{
	struct defer_drop_os_held held;

	if (dd_usual(!is_watched()))
		return dd_next_all()->fclose(stream);
	defer_drop_os_hold(&held, fileno(stream), &dd_preload_files);
	return let_go(&held, dd_next_all()->fclose(stream));
}

/* ---- Files that never had a name ------------------------------------------------------------- */

DD_STANDS_BEFORE int memfd_create(const char *name, unsigned flags)
{
	watch_closes();
	return dd_next_all()->memfd_create(name, flags);
}

DD_STANDS_BEFORE FILE *tmpfile(void)
{
	watch_closes();
	return dd_next_all()->tmpfile();
}

DD_STANDS_BEFORE FILE *tmpfile64(void)
{
	watch_closes();
	return dd_next_all()->tmpfile64();
}

/* Reads the mode, which only some flags bring along. */
static mode_t mode_of(int flags, va_list list)
{
	bool is_nameless = (flags & O_TMPFILE) == O_TMPFILE;

	if (is_nameless)
		watch_closes();
	return is_nameless || flags & O_CREAT ? va_arg(list, mode_t) : 0;
}

#define READ_MODE(mode, flags)               \
	do {                                 \
		va_list list;                \
                                             \
		va_start(list, flags);       \
		mode = mode_of(flags, list); \
		va_end(list);                \
	} while (0)

DD_STANDS_BEFORE int open(const char *path, int flags, ...)
{
	mode_t mode;

	READ_MODE(mode, flags);
	return dd_next_all()->open(path, flags, mode);
}

DD_STANDS_BEFORE int open64(const char *path, int flags, ...)
{
	mode_t mode;

	READ_MODE(mode, flags);
	return dd_next_all()->open64(path, flags, mode);
}

DD_STANDS_BEFORE int openat(int folder, const char *path, int flags, ...)
{
	mode_t mode;

	READ_MODE(mode, flags);
	return dd_next_all()->openat(folder, path, flags, mode);
}

DD_STANDS_BEFORE int openat64(int folder, const char *path, int flags, ...)
{
	mode_t mode;

	READ_MODE(mode, flags);
	return dd_next_all()->openat64(folder, path, flags, mode);
}
