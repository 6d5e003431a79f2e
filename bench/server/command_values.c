/* SPDX-License-Identifier: MIT
 *
 * Commands for lists and sets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "keyspace.h"
#include "reply.h"

/* Digits and a sign of the longest index. */
#define MAX_INDEX_BYTES 20

/*
 * Returns the value of the call's key, and creates it if there is none. NULL: the call has been
 * answered.
 */
static struct value *get_or_create(
	struct call *call, enum value_type type, struct value *(*create)(void))
{
	struct value *value = call_find(call, 1);

	if (value && value->type == type)
		return value;
	if (value) {
		call_refuse_type(call);
		return NULL;
	}
	value = create();
	if (value && keyspace_set(call_bytes(call, 1), call_length(call, 1), value))
		return value;
	if (value)
		garbage_destroy(&value->garbage);
	call_refuse_memory(call);
	return NULL;
}

/*
 * Returns the value of the call's key. NULL: there is none, or it has another type, and the call
 * has been answered.
 */
static struct value *get(
	struct call *call, enum value_type type, void (*reply_nothing)(struct buffer *))
{
	struct value *value = call_find(call, 1);

	if (value && value->type == type)
		return value;
	if (value)
		call_refuse_type(call);
	else
		reply_nothing(call->out);
	return NULL;
}

static void reply_zero(struct buffer *out)
{
	reply_integer(out, 0);
}

static void reply_empty(struct buffer *out)
{
	reply_array(out, 0);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void push(struct call *call, bool is_at_front)
{
	struct list *list = (struct list *)get_or_create(call, VALUE_LIST, list_create);

	for (uint32_t i = 2; list && i < call->count; i++) {
		if (list_push(list, is_at_front, call_bytes(call, i), call_length(call, i)))
			continue;
		call_refuse_memory(call);
		return;
	}
	if (list)
		reply_integer(call->out, list->count);
}

static void lpush(struct call *call)
{
	push(call, true);
}

static void rpush(struct call *call)
{
	push(call, false);
}

static void llen(struct call *call)
{
	struct list *list = (struct list *)get(call, VALUE_LIST, reply_zero);

	if (list)
		reply_integer(call->out, list->count);
}

/* Reads an index; a negative one counts from the end. False if the argument is no index. */
static bool read_index(const struct call *call, uint32_t argument, uint64_t count, int64_t *index)
{
	char digits[MAX_INDEX_BYTES + 1] = "";
	size_t length = call_length(call, argument);
	char *end;

	if (!length || length > MAX_INDEX_BYTES)
		return false;
	memcpy(digits, call_bytes(call, argument), length);
	errno = 0;
	*index = strtoll(digits, &end, 10);
	if (errno || end != digits + length)
		return false;
	if (*index < 0)
		*index += (int64_t)count;
	return true;
}

static void reply_range(struct buffer *out, const struct list *list, int64_t first, int64_t last)
{
	const struct list_node *node;

	if (first < 0)
		first = 0;
	if (last >= (int64_t)list->count)
		last = (int64_t)list->count - 1;
	if (first > last) {
		reply_empty(out);
		return;
	}
	reply_array(out, (uint64_t)(last - first + 1));
	node = list_at(list, (uint64_t)first);
	for (; first <= last && !out->is_broken; first++, node = node->next)
		reply_bulk(out, node->bytes, node->length);
}

static void lrange(struct call *call)
{
	struct list *list = (struct list *)get(call, VALUE_LIST, reply_empty);
	int64_t first;
	int64_t last;

	if (!list)
		return;
	if (read_index(call, 2, list->count, &first) && read_index(call, 3, list->count, &last))
		reply_range(call->out, list, first, last);
	else
		reply_error(call->out, "ERR value is not an integer or out of range");
}

/* ---- Sets ------------------------------------------------------------------------------------ */

static void sadd(struct call *call)
{
	struct set *set = (struct set *)get_or_create(call, VALUE_SET, set_create);
	uint64_t added = 0;

	for (uint32_t i = 2; set && i < call->count; i++) {
		bool is_new;

		if (!set_add(set, call_bytes(call, i), call_length(call, i), &is_new)) {
			call_refuse_memory(call);
			return;
		}
		added += is_new;
	}
	if (set)
		reply_integer(call->out, added);
}

static void scard(struct call *call)
{
	struct set *set = (struct set *)get(call, VALUE_SET, reply_zero);

	if (set)
		reply_integer(call->out, set->members.count);
}

const struct command commands_of_values[] = {
	{"rpush", 3, 0, COMMAND_GROWS, rpush},
	{"lpush", 3, 0, COMMAND_GROWS, lpush},
	{"llen", 2, 2, 0, llen},
	{"lrange", 4, 4, 0, lrange},
	{"sadd", 3, 0, COMMAND_GROWS, sadd},
	{"scard", 2, 2, 0, scard},
	{0},
};
