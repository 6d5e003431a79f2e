/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

void dd_report(const char *format, ...)
{
	char line[1024];
	va_list arguments;
	int before = errno;
	int state;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	fprintf(stderr, "defer_drop: %s\n", line);
	pthread_setcancelstate(state, NULL);
	errno = before;
}
