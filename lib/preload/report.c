/* SPDX-License-Identifier: MIT
 *
 * The report at exit.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "preload/next.h"
#include "preload/preload.h"

#define MIB 1048576.0
#define MS  1e6

static size_t add(char *text, size_t bytes, const char *kind, const struct defer_drop_os_kind *of)
{
	/* What the worker took would have been the caller's. */
	double spared_ns = (double)of->worker_ns_total - (double)of->caller_ns_total;
	int length;

	if (!of->deferred_total && !of->in_place_total)
		return 0;
	length = snprintf(text, bytes,
		"defer-drop[%ld]: %s: %" PRIu64 " deferred, %.1f MiB; took the program %.1f ms, "
		"spared it %.1f ms; %" PRIu64 " in place\n",
		(long)getpid(), kind, of->deferred_total, (double)of->deferred_bytes_total / MIB,
		(double)of->caller_ns_total / MS, spared_ns / MS, of->in_place_total);

	return length < 0 ? 0 : (size_t)length;
}

void dd_preload_report(void)
{
	struct defer_drop_os_counts counts = DEFER_DROP_OS_COUNTS_INIT;
	char text[512];
	size_t length;
	int fd = STDERR_FILENO;

	if (!dd_preload_settings.has_report || defer_drop_os_stats(&counts))
		return;
	length = add(text, sizeof text / 2, "files", &counts.files);
	length += add(text + length, sizeof text / 2, "memory", &counts.mappings);
	if (!length)
		return;
	if (dd_preload_settings.report[0])
		fd = dd_next_all()->open(dd_preload_settings.report,
			O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	/* One call, so that the lines of several processes do not mix. */
	if (fd >= 0 && write(fd, text, length) < 0 && fd == STDERR_FILENO)
		return;
	if (fd > STDERR_FILENO)
		dd_next_all()->close(fd);
}
