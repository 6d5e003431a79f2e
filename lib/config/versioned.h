/* SPDX-License-Identifier: MIT
 *
 * Public structs that grow at their end, and begin with the size that they had for the caller.
 */
#ifndef DD_VERSIONED_H
#define DD_VERSIONED_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Checks the size of the first version of a struct, given its last field: new fields come last. */
#define DD_FIRST_VERSION(type, last, size)                                         \
	_Static_assert(offsetof(type, last) + sizeof(((type *)0)->last) == (size), \
		"the first version of " #type)

/*
 * Copies a struct of another version: fields that it lacks become 0, fields beyond ours must be 0.
 * least: the size of its first version. Returns 0, -EINVAL or -E2BIG.
 */
static inline int dd_versioned_copy(void *copy, size_t size, size_t least, const void *asked)
{
	const unsigned char *bytes = asked;
	size_t asked_size;

	memcpy(&asked_size, asked, sizeof asked_size);
	if (asked_size < least)
		return -EINVAL;
	for (size_t i = size; i < asked_size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(copy, 0, size);
	memcpy(copy, asked, asked_size < size ? asked_size : size);
	return 0;
}

/*
 * Fills in a struct of another version, as far as it goes: its size says how far, and afterwards
 * how much was filled in. least: the size of its first version. Returns 0, or -EINVAL if it is
 * smaller.
 */
static inline int dd_versioned_fill(void *to, size_t least, const void *values, size_t size)
{
	size_t to_size;

	memcpy(&to_size, to, sizeof to_size);
	if (to_size < least)
		return -EINVAL;
	size = to_size < size ? to_size : size;
	memcpy(to, values, size);
	memcpy(to, &size, sizeof size);
	return 0;
}

#endif
