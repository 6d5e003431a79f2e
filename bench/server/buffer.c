/* SPDX-License-Identifier: MIT
 *
 * Buffers: they grow within the limit of the server, and lend their memory to each other.
 */
#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define SMALL 16384

/* A spare that is larger is given back to the system. */
#define LARGEST_SPARE (1u << 20)

static bool grow(struct buffer *buffer, size_t room)
{
	char *memory;

	if (room > SMALL && memory_is_over_limit(room - buffer->room))
		return false;
	memory = realloc(buffer->memory, room);
	if (!memory)
		return false;
	memory_count_buffers((int64_t)room - (int64_t)buffer->room);
	buffer->memory = memory;
	buffer->room = room;
	return true;
}

bool buffer_reserve(struct buffer *buffer, size_t bytes)
{
	size_t room = buffer->room ? buffer->room : SMALL;

	if (buffer->is_broken)
		return false;
	if (buffer->room - buffer->end >= bytes)
		return true;
	if (buffer->begin && buffer->begin >= buffer_length(buffer)) {
		memcpy(buffer->memory, buffer_bytes(buffer), buffer_length(buffer));
		buffer->end -= buffer->begin;
		buffer->begin = 0;
	}
	while (room - buffer->end < bytes)
		room *= 2;
	if (room > buffer->room && !grow(buffer, room))
		buffer->is_broken = true;
	return !buffer->is_broken;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t count)
{
	if (!buffer_reserve(buffer, count))
		return;
	memcpy(buffer->memory + buffer->end, bytes, count);
	buffer->end += count;
}

void buffer_print(struct buffer *buffer, const char *format, ...)
{
	char line[256];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof line)
		buffer->is_broken = true;
	else
		buffer_append(buffer, line, (size_t)length);
}

void buffer_consume(struct buffer *buffer, size_t count)
{
	buffer->begin += count;
	if (buffer->begin == buffer->end)
		buffer->begin = buffer->end = 0;
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->memory);
	memory_count_buffers(-(int64_t)buffer->room);
	*buffer = (struct buffer){0};
}

void buffer_give(struct buffer *buffer, struct buffer *spare)
{
	if (buffer_length(buffer) || !buffer->memory)
		return;
	if (spare->memory || buffer->room > LARGEST_SPARE) {
		buffer_free(buffer);
	} else {
		*spare = *buffer;
		*buffer = (struct buffer){0};
	}
}

void buffer_take(struct buffer *buffer, struct buffer *spare)
{
	if (buffer->memory || !spare->memory)
		return;
	*buffer = *spare;
	*spare = (struct buffer){0};
}
