/* SPDX-License-Identifier: MIT
 *
 * JSON, written piece by piece.
 */
#ifndef JSON_H
#define JSON_H

#include <stdio.h>

/* Writes a string in quotes. Bytes beyond ASCII pass through. */
void json_string(FILE *file, const char *text);

/* Writes members of an object with strings as values, and commas between them: name, value, name,
 * value ... NULL. */
void json_members(FILE *file, ...) __attribute__((sentinel));

/* Writes a comma and a member with a number; null for a number that is not finite. */
void json_next_number(FILE *file, const char *name, double value);

#endif
