/* SPDX-License-Identifier: MIT
 *
 * Bytes on their way into or out of a connection, appended at the end and consumed from the
 * beginning.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *memory;
	size_t begin; /* of the bytes that are not consumed */
	size_t end;
	size_t room;
	bool is_broken; /* something could not be appended: the contents must not be used */
};

static inline size_t buffer_length(const struct buffer *buffer)
{
	return buffer->end - buffer->begin;
}

static inline char *buffer_bytes(const struct buffer *buffer)
{
	return buffer->memory + buffer->begin;
}

/*
 * Makes room for that number of bytes at the end. False, and the buffer is broken, if there is no
 * memory or the limit of the server is reached. A small buffer (16 KiB) is given even beyond the
 * limit, so that a full server still answers.
 */
bool buffer_reserve(struct buffer *buffer, size_t bytes);
void buffer_append(struct buffer *buffer, const void *bytes, size_t count);
/* As printf(3), for a line or less: 255 bytes. */
__attribute__((format(printf, 2, 3))) void buffer_print(
	struct buffer *buffer, const char *format, ...);
void buffer_consume(struct buffer *buffer, size_t count);
void buffer_free(struct buffer *buffer);

/*
 * Give and take back memory that a buffer does not use now. So idle connections have none, and the
 * others need not call malloc.
 */
void buffer_give(struct buffer *buffer, struct buffer *spare);
void buffer_take(struct buffer *buffer, struct buffer *spare);

#endif
