/* SPDX-License-Identifier: MIT
 *
 * The commands that clients can send.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "connection.h"

/* A request that is being executed. */
struct call {
	struct connection *connection;
	struct buffer *out;
	const char *bytes; /* the origin of the spans */
	const struct span *arguments;
	uint32_t count; /* of arguments, the command's name included */
};

enum command_flags {
	COMMAND_GROWS = 1 << 0, /* takes memory: refused beyond the limit */
	COMMAND_READS = 1 << 1, /* reads, and no list or set: for readers too */
};

struct command {
	const char *name;
	uint32_t least; /* arguments, the name included */
	uint32_t most;  /* 0: any number */
	uint32_t flags;
	void (*run)(struct call *call);
};

/* Each list ends with a command without a name. */
extern const struct command commands_of_keys[];   /* command_keys.c */
extern const struct command commands_of_values[]; /* command_values.c */
extern const struct command commands_of_server[]; /* command_server.c */

void command_run(struct call *call);

static inline const char *call_bytes(const struct call *call, uint32_t argument)
{
	return call->bytes + call->arguments[argument].begin;
}

static inline size_t call_length(const struct call *call, uint32_t argument)
{
	return call->arguments[argument].length;
}

/* True if an argument is that word. Upper and lower case are the same. */
bool call_is(const struct call *call, uint32_t argument, const char *word);

/* Returns the value of a key, or NULL if there is none. */
struct value *call_find(const struct call *call, uint32_t argument);

void call_refuse_type(struct call *call);
void call_refuse_memory(struct call *call);

/* Returns the number of commands. */
uint64_t command_count(void);

#endif
