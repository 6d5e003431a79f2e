/* SPDX-License-Identifier: MIT
 *
 * The beginning of the preload library in a process, and where it leaves everything alone.
 */
#include <dlfcn.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/next.h"
#include "preload/preload.h"

atomic_uint dd_preload_what;
struct dd_settings dd_preload_settings;
struct defer_drop_os_options dd_preload_files;

/* So a second copy of this library finds the first one. */
DD_STANDS_BEFORE extern const char defer_drop_preload[];
const char defer_drop_preload[] = "defer_drop_preload";

/* Takes this library out of what children inherit. The command has put it first. */
static void leave_children_alone(void)
{
	char *preload = getenv("LD_PRELOAD");
	char *rest = preload ? strchr(preload, ':') : NULL;

	if (rest)
		memmove(preload, rest + 1, strlen(rest + 1) + 1);
	else
		unsetenv("LD_PRELOAD");
	unsetenv(DD_SETTINGS_VARIABLE);
}

/* Settings that cannot be read are of another version's command. */
static bool read_settings(void)
{
	const char *text = getenv(DD_SETTINGS_VARIABLE);
	char why[128];

	dd_settings_init(&dd_preload_settings);
	return dd_settings_read(&dd_preload_settings, text ? text : "", why, sizeof why);
}

__attribute__((constructor(103))) static void start(void)
{
	struct defer_drop_os_options options = DEFER_DROP_OS_OPTIONS_INIT;

	dd_next_all();
	if (dlsym(RTLD_NEXT, "defer_drop_preload") || !read_settings())
		return;
	options.slice_bytes = dd_preload_settings.slice_bytes;
	options.bytes_per_second = dd_preload_settings.bytes_per_second;
	options.least_bytes = dd_preload_settings.file_bytes;
	dd_preload_files = options;
	defer_drop_os_set_limits(dd_preload_settings.max_bytes, dd_preload_settings.exit_ns);
	if (!dd_preload_settings.is_for_children)
		leave_children_alone();
	dd_preload_memory_start();
	atomic_store_explicit(&dd_preload_what, dd_preload_settings.what, memory_order_relaxed);
}

/* Runs after the handlers of exit. */
__attribute__((destructor)) static void end(void)
{
	if (atomic_load_explicit(&dd_preload_what, memory_order_relaxed))
		dd_preload_report();
}

/* ---- Programs that want one thread, or few system calls -------------------------------------- */

/* Waits until the library has no thread. */
static void end_threads(void)
{
	defer_drop_os_flush(DEFER_DROP_FOREVER);
}

DD_STANDS_BEFORE int unshare(int flags)
{
	end_threads();
	return dd_next_all()->unshare(flags);
}

DD_STANDS_BEFORE int setns(int fd, int kind)
{
	end_threads();
	return dd_next_all()->setns(fd, kind);
}

/* From now on the program is killed for system calls that it has not thought of. */
static void leave_alone(void)
{
	atomic_store_explicit(&dd_preload_what, 0, memory_order_relaxed);
	end_threads();
}

DD_STANDS_BEFORE int prctl(int option, ...)
{
	unsigned long arguments[4];
	va_list list;

	va_start(list, option);
	for (unsigned i = 0; i < 4; i++)
		arguments[i] = va_arg(list, unsigned long);
	va_end(list);
	if (option == PR_SET_SECCOMP)
		leave_alone();
	return dd_next_all()->prctl(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

DD_STANDS_BEFORE long syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (unsigned i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_seccomp)
		leave_alone();
	return dd_next_all()->syscall(number, arguments[0], arguments[1], arguments[2],
		arguments[3], arguments[4], arguments[5]);
}
