/* SPDX-License-Identifier: MIT
 *
 * Writes strings, members and numbers of JSON.
 */
#include "json.h"

#include <math.h>
#include <stdarg.h>

void json_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(file, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(file, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, file);
	}
	fputc('"', file);
}

void json_members(FILE *file, ...)
{
	const char *before = "";
	const char *name;
	va_list arguments;

	va_start(arguments, file);
	while ((name = va_arg(arguments, const char *))) {
		fprintf(file, "%s\"%s\": ", before, name);
		json_string(file, va_arg(arguments, const char *));
		before = ", ";
	}
	va_end(arguments);
}

void json_next_number(FILE *file, const char *name, double value)
{
	if (isfinite(value))
		fprintf(file, ", \"%s\": %.10g", name, value);
	else
		fprintf(file, ", \"%s\": null", name); /* JSON knows no infinity */
}
