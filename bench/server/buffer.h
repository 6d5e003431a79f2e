/* SPDX-License-Identifier: MIT
 *
 * Bytes on their way in or out of a connection. They grow at the end and are consumed from the
 * beginning.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *memory;
	size_t begin; /* of what is not consumed */
	size_t end;
	size_t room;
	bool is_broken; /* something could not be appended: what it holds is not to be used */
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
 * Makes room for so many bytes at the end. False, and the buffer is broken, where there is no
 * memory or the server's limit is reached; a small buffer (of 16 KiB) is always given, so that full
 * servers still answer.
 */
bool buffer_reserve(struct buffer *buffer, size_t bytes);
void buffer_append(struct buffer *buffer, const void *bytes, size_t count);
/* As printf(3), for a line or less: 255 bytes. */
__attribute__((format(printf, 2, 3))) void buffer_print(
	struct buffer *buffer, const char *format, ...);
void buffer_consume(struct buffer *buffer, size_t count);
void buffer_free(struct buffer *buffer);

/*
 * Memory that nobody uses now, kept for the next who does: so that connections that are idle have
 * none, and the others need not call malloc.
 */
void buffer_give(struct buffer *buffer, struct buffer *spare);
void buffer_take(struct buffer *buffer, struct buffer *spare);

#endif
