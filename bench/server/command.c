/* SPDX-License-Identifier: MIT
 *
 * Finds the command of a request by its name, checks it, and runs it.
 */
#include "command.h"

#include <string.h>
#include <strings.h>

#include "keyspace.h"
#include "reader.h"
#include "reply.h"

/* The commands that clients use most come first. */
static const struct command *const lists[] = {
	commands_of_keys, commands_of_values, commands_of_server};

#define LISTS (sizeof lists / sizeof lists[0])

/* The number of bytes of an unknown name that are repeated to the client. */
#define MAX_REPEATED 64

bool call_is(const struct call *call, uint32_t argument, const char *word)
{
	size_t length = strlen(word);

	return call_length(call, argument) == length &&
	       !strncasecmp(call_bytes(call, argument), word, length);
}

struct value *call_find(const struct call *call, uint32_t argument)
{
	const char *key = call_bytes(call, argument);
	size_t length = call_length(call, argument);

	return call->connection->loop->is_reader ? keyspace_get_shared(key, length)
						 : keyspace_get(key, length);
}

void call_refuse_type(struct call *call)
{
	reply_error(call->out, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void call_refuse_memory(struct call *call)
{
	reply_error(call->out, "OOM command not allowed when used memory > 'maxmemory'.");
}

static const struct command *find(const struct call *call)
{
	for (unsigned i = 0; i < LISTS; i++)
		for (const struct command *command = lists[i]; command->name; command++)
			if (call_is(call, 0, command->name))
				return command;
	return NULL;
}

uint64_t command_count(void)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < LISTS; i++)
		for (const struct command *command = lists[i]; command->name; command++)
			count++;
	return count;
}

void command_run(struct call *call)
{
	const struct command *command = find(call);
	size_t length = call_length(call, 0);

	if (!command)
		reply_error(call->out, "ERR unknown command '%.*s'",
			(int)(length < MAX_REPEATED ? length : MAX_REPEATED), call_bytes(call, 0));
	else if (call->count < command->least || (command->most && call->count > command->most))
		reply_error(
			call->out, "ERR wrong number of arguments for '%s' command", command->name);
	else if (command->flags & COMMAND_GROWS && memory_is_over_limit(0))
		call_refuse_memory(call);
	else if (call->connection->loop->is_reader)
		reader_run(command, call);
	else
		command->run(call);
}
