/* SPDX-License-Identifier: MIT
 *
 * Writes answers.
 */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void reply_status(struct buffer *out, const char *text)
{
	buffer_append(out, "+", 1);
	buffer_append(out, text, strlen(text));
	buffer_append(out, "\r\n", 2);
}

void reply_error(struct buffer *out, const char *format, ...)
{
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	for (char *at = text; (at = strpbrk(at, "\r\n")); at++)
		*at = ' ';
	buffer_append(out, "-", 1);
	buffer_append(out, text, strlen(text));
	buffer_append(out, "\r\n", 2);
}

/* Formats a number: snprintf(3) would take most of the time of an answer. */
static void append_number(struct buffer *out, char mark, uint64_t number)
{
	char digits[24];
	char *at = digits + sizeof digits;

	*--at = '\n';
	*--at = '\r';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	*--at = mark;
	buffer_append(out, at, (size_t)(digits + sizeof digits - at));
}

void reply_integer(struct buffer *out, uint64_t integer)
{
	append_number(out, ':', integer);
}

void reply_bulk(struct buffer *out, const char *bytes, size_t length)
{
	append_number(out, '$', length);
	buffer_append(out, bytes, length);
	buffer_append(out, "\r\n", 2);
}

void reply_text(struct buffer *out, const char *text)
{
	reply_bulk(out, text, strlen(text));
}

void reply_null(struct buffer *out)
{
	buffer_append(out, "$-1\r\n", 5);
}

void reply_array(struct buffer *out, uint64_t count)
{
	append_number(out, '*', count);
}
