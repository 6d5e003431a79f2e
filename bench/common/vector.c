/* SPDX-License-Identifier: MIT
 *
 * Makes and destroys vectors of strings, and counts the strings that are destroyed.
 */
#include "vector.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The digits of the largest uint64_t, and a terminating zero. */
#define STRING_BYTES 21

struct vector {
	uint64_t count;
	char *strings[];
};

static _Atomic(uint64_t) destroyed_total;

/* Returns a number in decimal. snprintf(3) would take most of the time for building a vector. */
static char *make_string(uint64_t number)
{
	char digits[STRING_BYTES];
	char *at = digits + sizeof digits;
	size_t bytes;
	char *string;

	*--at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	bytes = (size_t)(digits + sizeof digits - at);
	string = malloc(bytes);
	if (string)
		memcpy(string, at, bytes);
	return string;
}

struct vector *vector_make(uint64_t count)
{
	struct vector *vector = malloc(sizeof *vector + count * sizeof vector->strings[0]);

	if (!vector)
		return NULL;
	for (vector->count = 0; vector->count < count; vector->count++) {
		char *string = make_string(vector->count);

		if (!string) {
			vector_free(vector);
			return NULL;
		}
		vector->strings[vector->count] = string;
	}
	return vector;
}

void vector_free(void *object)
{
	struct vector *vector = object;
	uint64_t count = vector->count;

	for (uint64_t i = 0; i < count; i++)
		free(vector->strings[i]);
	free(vector);
	atomic_fetch_add(&destroyed_total, count);
}

uint64_t vector_destroyed_total(void)
{
	return atomic_load(&destroyed_total);
}
