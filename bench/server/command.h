/* SPDX-License-Identifier: MIT
 *
 * What clients can ask for.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "connection.h"

/* A request that is being done. */
struct call {
	struct connection *connection;
	struct buffer *out;
	const char *bytes; /* what the spans count from */
	const struct span *arguments;
	uint32_t count; /* of arguments, the command's name included */
};

enum command_flags {
	COMMAND_GROWS = 1 << 0, /* takes memory: refused when the limit is reached */
	COMMAND_READS = 1 << 1, /* changes nothing, and reads no list or set: for readers too */
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

/* Whatever the case of its letters. */
bool call_is(const struct call *call, uint32_t argument, const char *word);

/* The value of a key; NULL where there is none. */
struct value *call_find(const struct call *call, uint32_t argument);

void call_refuse_type(struct call *call);
void call_refuse_memory(struct call *call);

/* How many commands there are. */
uint64_t command_count(void);

#endif
