/* SPDX-License-Identifier: MIT
 *
 * The library's reports, in lines: to the program's handler, or to stderr.
 */
#ifndef DD_REPORT_H
#define DD_REPORT_H

#include <stddef.h>

/* ---- A line that is put together ------------------------------------------------------------- */

#define DD_LINE_BYTES 1024 /* with the final 0; a longer line is cut off */

/* A line. All zeros: empty. */
struct dd_line {
	size_t length;
	char text[DD_LINE_BYTES];
};

/* Adds to a line. Control characters, newlines among them, become '?'. */
__attribute__((format(printf, 2, 3))) void dd_line_add(
	struct dd_line *line, const char *format, ...);

/* ---- Reports --------------------------------------------------------------------------------- */

/*
 * Reports one line.
 *
 * name: of the queue that the line is about, or NULL for the library as a whole.
 *
 * Takes no lock and no memory, is not a cancellation point, and leaves errno as it was. So locks
 * may be held.
 */
__attribute__((format(printf, 2, 3))) void dd_report(const char *name, const char *format, ...);

/* For fork. This is the last lock to take: no other is taken under it. */
void dd_report_lock(void);
void dd_report_unlock(void);

#endif
