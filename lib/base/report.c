/* SPDX-License-Identifier: MIT
 *
 * The lines that the library writes, to stderr or to the program's handler.
 */
#include "base/report.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/handler.h"

/* ---- A line ---------------------------------------------------------------------------------- */

static void add_list(struct dd_line *line, const char *format, va_list arguments)
{
	char *at = line->text + line->length;

	vsnprintf(at, sizeof line->text - line->length, format, arguments);
	for (; *at; at++)
		if ((unsigned char)*at < ' ' || *at == '\x7f')
			*at = '?';
	line->length = (size_t)(at - line->text);
}

void dd_line_add(struct dd_line *line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_list(line, format, arguments);
	va_end(arguments);
}

/* ---- The handler ----------------------------------------------------------------------------- */

static struct dd_handlers handlers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of threads that set a handler */

void dd_report_lock(void)
{
	pthread_mutex_lock(&lock);
}

void dd_report_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void defer_drop_report_handle(defer_drop_report_fn handle, void *context)
{
	dd_report_lock();
	dd_handler_set(&handlers, handle, context);
	dd_report_unlock();
}

/* ---- Reports --------------------------------------------------------------------------------- */

/* Writes a line in one call, so that lines of several threads do not mix. Errors are ignored. */
static void write_line(struct dd_line *line)
{
	const char *at = line->text;
	const char *end = at + line->length + 1;

	line->text[line->length] = '\n';
	while (at < end) {
		ssize_t written = write(STDERR_FILENO, at, (size_t)(end - at));

		if (written > 0)
			at += written;
		else if (!written || errno != EINTR)
			return;
	}
}

static void begin_line(struct dd_line *line, const char *name)
{
	bool has_name = name && strcmp(name, "defer_drop") != 0;

	dd_line_add(line, "%s[%ld]: defer_drop%s%s: ", program_invocation_short_name,
		(long)getpid(), has_name ? " " : "", has_name ? name : "");
}

void dd_report(const char *name, const char *format, ...)
{
	struct dd_line line = {0};
	defer_drop_report_fn handle;
	void *context;
	va_list arguments;
	int errno_before = errno;
	int state;

	begin_line(&line, name);
	va_start(arguments, format);
	add_list(&line, format, arguments);
	va_end(arguments);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	handle = dd_handler_get(&handlers, &context);
	if (handle)
		handle(context, line.text);
	else
		write_line(&line);
	pthread_setcancelstate(state, NULL);
	errno = errno_before;
}
