/* SPDX-License-Identifier: MIT
 *
 * Parses requests.
 */
#include "request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* Of a length: more than the longest valid one has, and few enough for 64 bits. */
#define MAX_DIGITS 18

/* Room for arguments that is kept between requests. */
#define KEPT_ARGUMENTS 64

void request_init(struct request *request)
{
	*request = (struct request){.bulk = -1};
}

static bool set_room(struct request *request, uint32_t room)
{
	struct span *arguments = realloc(request->arguments, room * sizeof *arguments);

	if (!arguments)
		return false;
	memory_count_buffers(((int64_t)room - (int64_t)request->room) * (int64_t)sizeof *arguments);
	request->arguments = arguments;
	request->room = room;
	return true;
}

void request_free(struct request *request)
{
	memory_count_buffers(-(int64_t)(request->room * sizeof *request->arguments));
	free(request->arguments);
	request_init(request);
}

void request_reset(struct request *request)
{
	if (request->room > KEPT_ARGUMENTS)
		request_free(request);
	request->count = 0;
	request->at = 0;
	request->expected = 0;
	request->bulk = -1;
}

static bool add_argument(struct request *request, size_t begin, size_t length)
{
	/* Makes room for the arguments that came, not for those that are promised. */
	if (request->count == request->room &&
		!set_room(request, request->room ? request->room * 2 : 8))
		return false;
	request->arguments[request->count++] = (struct span){begin, length};
	return true;
}

/* ---- Arrays of bulk strings ------------------------------------------------------------------ */

/*
 * Reads a number as long as no longer one could be valid. Returns the place behind its digits, or
 * NULL if there is another character instead of the first one. (Not strtoll(3), which took a fifth
 * of the loop's instructions.)
 */
static const char *read_number(const char *from, const char *end, int64_t *number)
{
	bool is_negative = from < end && *from == '-';
	const char *first = from + is_negative;
	const char *at = first;
	int64_t value = 0;

	for (; at < end && at - first < MAX_DIGITS && *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (*at - '0');
	*number = is_negative ? -value : value;
	return at > first || at == end ? at : NULL;
}

/*
 * Reads "<mark><number>\r\n" at the place of the request. Returns 1; 0 if not all of it is there;
 * -1 if it is not such a line.
 */
static int parse_length(struct request *request, const char *bytes, size_t count, int64_t *number)
{
	const char *end = bytes + count;
	int64_t read;
	const char *at = read_number(bytes + request->at + 1, end, &read);

	if (!at || (at < end && *at != '\r'))
		return -1;
	if (end - at < 2)
		return 0;
	if (at[1] != '\n')
		return -1;
	*number = read;
	request->at = (size_t)(at + 2 - bytes);
	return 1;
}

static const char *say_no_bulk(char found)
{
	static _Thread_local char text[] = "Protocol error: expected '$', got ' '";

	/* A byte that could end the line of the answer is not repeated. */
	text[sizeof text - 3] = isprint((unsigned char)found) ? found : '?';
	return text;
}

static enum request_state parse_bulk_head(
	struct request *request, const char *bytes, size_t count, const char **error)
{
	int result;

	if (bytes[request->at] != '$') {
		*error = say_no_bulk(bytes[request->at]);
		return REQUEST_WRONG;
	}
	result = parse_length(request, bytes, count, &request->bulk);
	if (!result)
		return REQUEST_PARTIAL;
	if (result > 0 && request->bulk >= 0 && request->bulk <= REQUEST_MAX_BULK)
		return REQUEST_COMPLETE;
	*error = "Protocol error: invalid bulk length";
	return REQUEST_WRONG;
}

static enum request_state parse_bulk(
	struct request *request, const char *bytes, size_t count, const char **error)
{
	size_t length;
	enum request_state state = REQUEST_COMPLETE;

	if (request->at == count)
		return REQUEST_PARTIAL;
	if (request->bulk < 0)
		state = parse_bulk_head(request, bytes, count, error);
	if (state != REQUEST_COMPLETE)
		return state;
	length = (size_t)request->bulk;
	if (count - request->at < length + 2)
		return REQUEST_PARTIAL;
	if (memcmp(bytes + request->at + length, "\r\n", 2)) {
		*error = "Protocol error: a bulk string is longer than it said";
		return REQUEST_WRONG;
	}
	if (!add_argument(request, request->at, length)) {
		*error = "out of memory";
		return REQUEST_WRONG;
	}
	request->at += length + 2;
	request->bulk = -1;
	return REQUEST_COMPLETE;
}

static enum request_state parse_array_head(
	struct request *request, const char *bytes, size_t count, const char **error)
{
	int64_t expected;
	int result = parse_length(request, bytes, count, &expected);

	if (!result)
		return REQUEST_PARTIAL;
	if (result < 0 || expected > REQUEST_MAX_ARGUMENTS) {
		*error = "Protocol error: invalid multibulk length";
		return REQUEST_WRONG;
	}
	request->expected = expected > 0 ? (uint32_t)expected : 0;
	return REQUEST_COMPLETE;
}

static enum request_state parse_array(
	struct request *request, const char *bytes, size_t count, const char **error)
{
	enum request_state state = REQUEST_COMPLETE;

	if (!request->at)
		state = parse_array_head(request, bytes, count, error);
	while (state == REQUEST_COMPLETE && request->count < request->expected)
		state = parse_bulk(request, bytes, count, error);
	return state;
}

/* ---- Inline commands ------------------------------------------------------------------------- */

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return isxdigit((unsigned char)digit) ? tolower((unsigned char)digit) - 'a' + 10 : -1;
}

/* Reads a character behind a backslash, in double quotes. Returns the place behind it. */
static const char *unescape(const char *from, const char *end, char *to)
{
	static const char names[] = "n\nr\rt\tb\ba\a";

	if (*from == 'x' && end - from > 2 && hex_value(from[1]) >= 0 && hex_value(from[2]) >= 0) {
		*to = (char)(hex_value(from[1]) << 4 | hex_value(from[2]));
		return from + 3;
	}
	*to = *from;
	for (const char *name = names; *name; name += 2)
		if (*from == *name)
			*to = name[1];
	return from + 1;
}

/*
 * Moves a word without its quotes to the place to. Returns the place behind the word, or NULL if
 * its quotes are open at the end or closed within the word.
 */
static const char *parse_word(const char *from, const char *end, char **to)
{
	char quote = 0;

	while (from < end && (quote || !isspace((unsigned char)*from))) {
		if (!quote && (*from == '"' || *from == '\'')) {
			quote = *from++;
		} else if (quote && *from == quote) {
			quote = 0;
			from++;
			if (from < end && !isspace((unsigned char)*from))
				return NULL;
		} else if (quote == '"' && *from == '\\' && end - from > 1) {
			from = unescape(from + 1, end, (*to)++);
		} else if (quote == '\'' && *from == '\\' && end - from > 1 && from[1] == '\'') {
			*(*to)++ = '\'';
			from += 2;
		} else {
			*(*to)++ = *from++;
		}
	}
	return quote ? NULL : from;
}

static enum request_state parse_words(
	struct request *request, char *bytes, const char *end, const char **error)
{
	const char *from = bytes;

	while (from < end) {
		char *to;
		size_t begin = (size_t)(from - bytes);

		if (isspace((unsigned char)*from)) {
			from++;
			continue;
		}
		to = bytes + begin;
		from = parse_word(from, end, &to);
		if (!from) {
			*error = "Protocol error: unbalanced quotes in request";
			return REQUEST_WRONG;
		}
		if (!add_argument(request, begin, (size_t)(to - bytes) - begin)) {
			*error = "out of memory";
			return REQUEST_WRONG;
		}
	}
	return REQUEST_COMPLETE;
}

static enum request_state parse_inline(
	struct request *request, char *bytes, size_t count, const char **error)
{
	char *end = memchr(bytes + request->at, '\n', count - request->at);

	request->at = end ? (size_t)(end + 1 - bytes) : count;
	if (request->at > REQUEST_MAX_LINE) {
		*error = "Protocol error: too big inline request";
		return REQUEST_WRONG;
	}
	return end ? parse_words(request, bytes, end, error) : REQUEST_PARTIAL;
}

/* ---- Both ------------------------------------------------------------------------------------ */

enum request_state request_parse(
	struct request *request, char *bytes, size_t count, const char **error)
{
	enum request_state state;

	if (!count)
		return REQUEST_PARTIAL;
	if (*bytes == '*')
		state = parse_array(request, bytes, count, error);
	else
		state = parse_inline(request, bytes, count, error);
	if (state == REQUEST_PARTIAL && count > REQUEST_MAX_BYTES) {
		*error = "Protocol error: too big request";
		return REQUEST_WRONG;
	}
	return state;
}
