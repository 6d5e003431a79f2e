/* SPDX-License-Identifier: MIT
 *
 * Commands for strings, and for keys with values of any kind.
 */
#include "command.h"
#include "keyspace.h"
#include "reply.h"

static void get(struct call *call)
{
	struct value *value = call_find(call, 1);

	if (!value) {
		reply_null(call->out);
	} else if (value->type != VALUE_STRING) {
		call_refuse_type(call);
	} else {
		struct string *string = (struct string *)value;

		reply_bulk(call->out, string->bytes, string->length);
	}
}

static void set(struct call *call)
{
	struct value *value = string_create(call_bytes(call, 2), call_length(call, 2));

	if (value && keyspace_set(call_bytes(call, 1), call_length(call, 1), value)) {
		reply_status(call->out, "OK");
		return;
	}
	if (value)
		garbage_destroy(&value->garbage);
	call_refuse_memory(call);
}

/* UNLINK too: the server decides who destroys, not the client. */
static void delete (struct call *call)
{
	uint64_t deleted = 0;

	for (uint32_t i = 1; i < call->count; i++)
		deleted += keyspace_delete(call_bytes(call, i), call_length(call, i));
	reply_integer(call->out, deleted);
}

static void exists(struct call *call)
{
	uint64_t found = 0;

	for (uint32_t i = 1; i < call->count; i++)
		found += call_find(call, i) ? 1 : 0;
	reply_integer(call->out, found);
}

static void dbsize(struct call *call)
{
	reply_integer(call->out, keyspace_count());
}

/*
 * Unlinks everything at once. SYNC is answered when everything is destroyed; meanwhile other
 * clients are served.
 */
static void flushall(struct call *call)
{
	bool is_sync = call->count > 1 && call_is(call, 1, "SYNC");

	if (call->count > 1 && !is_sync && !call_is(call, 1, "ASYNC"))
		reply_error(call->out, "ERR syntax error");
	else if (!keyspace_flush())
		call_refuse_memory(call);
	else if (is_sync)
		connection_wait_for_reclaim(call->connection);
	else
		reply_status(call->out, "OK");
}

const struct command commands_of_keys[] = {
	{"get", 2, 2, COMMAND_READS, get},
	{"set", 3, 3, COMMAND_GROWS, set},
	{"del", 2, 0, 0, delete},
	{"unlink", 2, 0, 0, delete},
	{"exists", 2, 0, COMMAND_READS, exists},
	{"dbsize", 1, 1, 0, dbsize},
	{"flushall", 1, 2, 0, flushall},
	{0},
};
