/* SPDX-License-Identifier: MIT
 *
 * Commands for the server itself.
 */
#include <defer_drop.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "command.h"
#include "keyspace.h"
#include "reply.h"
#include "server.h"

static void refuse_word(struct call *call)
{
	reply_error(call->out, "ERR unknown subcommand or wrong number of arguments");
}

static void ping(struct call *call)
{
	if (call->count > 1)
		reply_bulk(call->out, call_bytes(call, 1), call_length(call, 1));
	else
		reply_status(call->out, "PONG");
}

static void echo(struct call *call)
{
	reply_bulk(call->out, call_bytes(call, 1), call_length(call, 1));
}

/* ---- INFO ------------------------------------------------------------------------------------ */

static void describe_server(const struct loop *loop, struct buffer *out)
{
	uint32_t version = defer_drop_version();

	(void)loop;
	buffer_print(out, "defer_drop_version:%" PRIu32 ".%" PRIu32 ".%" PRIu32 "\r\n",
		version / 10000, version / 100 % 100, version % 100);
	buffer_print(out, "process_id:%d\r\ntcp_port:%u\r\nuptime_in_seconds:%" PRIu64 "\r\n",
		(int)getpid(), server.port, (bench_now_ns() - server.started_ns) / 1000000000u);
}

static void describe_clients(const struct loop *loop, struct buffer *out)
{
	buffer_print(out, "connected_clients:%u\r\nmaxclients:%u\r\n", loop->connections,
		loop->max_connections);
}

static void describe_memory(const struct loop *loop, struct buffer *out)
{
	struct tally held = reclaim_held();
	struct tally destroyed = memory_destroyed();
	struct tally created = memory_created();

	(void)loop;
	buffer_print(out, "used_memory:%" PRIu64 "\r\nmaxmemory:%" PRIu64 "\r\n",
		memory_used_bytes(), memory_limit_bytes());
	buffer_print(out,
		"nodes_created_total:%" PRIu64 "\r\nnodes_destroyed_total:%" PRIu64 "\r\n",
		created.nodes, destroyed.nodes);
	buffer_print(out, "nodes_held:%" PRIu64 "\r\nbytes_held:%" PRIu64 "\r\n", held.nodes,
		held.bytes);
	buffer_print(out, "nodes_waiting:%" PRIu64 "\r\nbytes_waiting:%" PRIu64 "\r\n",
		created.nodes - destroyed.nodes - held.nodes,
		created.bytes - destroyed.bytes - held.bytes);
}

static void describe_stats(const struct loop *loop, struct buffer *out)
{
	buffer_print(out,
		"total_connections_received:%" PRIu64 "\r\ntotal_commands_processed:%" PRIu64
		"\r\n",
		loop->accepted_total, loop->requests_total);
}

static void describe_reclaim(const struct loop *loop, struct buffer *out)
{
	(void)loop;
	reclaim_describe(out);
}

static void describe_keyspace(const struct loop *loop, struct buffer *out)
{
	(void)loop;
	if (keyspace_count())
		buffer_print(out, "db0:keys=%" PRIu64 ",expires=0,avg_ttl=0\r\n", keyspace_count());
}

static const struct {
	const char *name;
	void (*describe)(const struct loop *loop, struct buffer *out);
} sections[] = {
	{"Server", describe_server},
	{"Clients", describe_clients},
	{"Memory", describe_memory},
	{"Stats", describe_stats},
	{"Reclaim", describe_reclaim},
	{"Keyspace", describe_keyspace},
};

#define SECTIONS (sizeof sections / sizeof sections[0])

static bool is_asked_for(const struct call *call, const char *section)
{
	if (call->count == 1)
		return true;
	for (uint32_t i = 1; i < call->count; i++)
		if (call_is(call, i, section) || call_is(call, i, "all") ||
			call_is(call, i, "default") || call_is(call, i, "everything"))
			return true;
	return false;
}

static void info(struct call *call)
{
	struct buffer text = {0};

	for (unsigned i = 0; i < SECTIONS; i++) {
		if (!is_asked_for(call, sections[i].name))
			continue;
		buffer_print(
			&text, "%s# %s\r\n", buffer_length(&text) ? "\r\n" : "", sections[i].name);
		sections[i].describe(call->connection->loop, &text);
	}
	if (text.is_broken)
		call_refuse_memory(call);
	else
		reply_bulk(call->out, buffer_bytes(&text), buffer_length(&text));
	buffer_free(&text);
}

/* ---- CONFIG ---------------------------------------------------------------------------------- */

static void print_port(char *text, size_t bytes)
{
	snprintf(text, bytes, "%u", server.port);
}

static void print_max_clients(char *text, size_t bytes)
{
	snprintf(text, bytes, "%u", server.options.max_clients);
}

static void print_max_memory(char *text, size_t bytes)
{
	snprintf(text, bytes, "%" PRIu64, server.options.max_memory_bytes);
}

static void print_reclaim(char *text, size_t bytes)
{
	snprintf(text, bytes, "%s", server.options.reclaim.way->name);
}

static void print_reclaim_min(char *text, size_t bytes)
{
	snprintf(text, bytes, "%" PRIu64, server.options.reclaim.min_weight);
}

static void print_no(char *text, size_t bytes)
{
	snprintf(text, bytes, "no");
}

static void print_nothing(char *text, size_t bytes)
{
	(void)bytes;
	*text = 0;
}

/* The first two are what redis-benchmark asks for. */
static const struct {
	const char *name;
	void (*print)(char *text, size_t bytes);
} settings[] = {
	{"save", print_nothing},
	{"appendonly", print_no},
	{"port", print_port},
	{"maxclients", print_max_clients},
	{"maxmemory", print_max_memory},
	{"reclaim", print_reclaim},
	{"reclaim-min", print_reclaim_min},
};

#define SETTINGS          (sizeof settings / sizeof settings[0])
#define MAX_PATTERN_BYTES 64

static bool is_match(const struct call *call, const char *name)
{
	for (uint32_t i = 2; i < call->count; i++) {
		char pattern[MAX_PATTERN_BYTES] = "";

		if (call_length(call, i) >= sizeof pattern)
			continue;
		memcpy(pattern, call_bytes(call, i), call_length(call, i));
		if (!fnmatch(pattern, name, FNM_CASEFOLD))
			return true;
	}
	return false;
}

static void config(struct call *call)
{
	uint64_t matches = 0;
	char text[64];

	if (!call_is(call, 1, "GET") || call->count < 3) {
		refuse_word(call);
		return;
	}
	for (unsigned i = 0; i < SETTINGS; i++)
		matches += is_match(call, settings[i].name);
	reply_array(call->out, matches * 2);
	for (unsigned i = 0; i < SETTINGS; i++) {
		if (!is_match(call, settings[i].name))
			continue;
		settings[i].print(text, sizeof text);
		reply_text(call->out, settings[i].name);
		reply_text(call->out, text);
	}
}

/* ---- The rest -------------------------------------------------------------------------------- */

static void set_name(struct call *call)
{
	struct connection *connection = call->connection;
	size_t length = call_length(call, 2);

	if (length >= sizeof connection->name) {
		reply_error(call->out, "ERR Client names have at most %zu bytes",
			sizeof connection->name - 1);
		return;
	}
	memcpy(connection->name, call_bytes(call, 2), length);
	connection->name[length] = 0;
	reply_status(call->out, "OK");
}

static void client(struct call *call)
{
	if (call->count == 2 && call_is(call, 1, "ID"))
		reply_integer(call->out, call->connection->id);
	else if (call->count == 2 && call_is(call, 1, "GETNAME"))
		reply_text(call->out, call->connection->name);
	else if (call->count == 3 && call_is(call, 1, "SETNAME"))
		set_name(call);
	else
		refuse_word(call);
}

/* redis-cli asks for their documentation, to help its user while typing: there is none. */
static void command(struct call *call)
{
	if (call->count > 1 && call_is(call, 1, "COUNT"))
		reply_integer(call->out, command_count());
	else
		reply_array(call->out, 0);
}

static void end(struct call *call)
{
	(void)call;
	server.is_ending = true;
}

const struct command commands_of_server[] = {
	{"ping", 1, 2, COMMAND_READS, ping},
	{"echo", 2, 2, COMMAND_READS, echo},
	{"info", 1, 0, 0, info},
	{"config", 2, 0, COMMAND_READS, config},
	{"client", 2, 0, COMMAND_READS, client},
	{"command", 1, 0, COMMAND_READS, command},
	{"shutdown", 1, 0, 0, end},
	{0},
};
