/* SPDX-License-Identifier: MIT
 *
 * The command line of the server.
 */
#include "options.h"

#include "server.h"

#define LARGEST (UINT64_C(1) << 62)

/* The value of --read-port if it is not given. */
#define NONE UINT64_MAX

static const char *way = "drop";
static uint64_t min_weight = 16; /* measured: bench/server/compare.py */
static uint64_t queue_size = 4096;
static uint64_t queue_bytes = UINT64_C(256) << 20;
static uint64_t budget_us = 200;
static uint64_t port = 6379;
static uint64_t read_port = NONE;
static const char *address = "127.0.0.1";
static uint64_t max_clients = 10000;
static uint64_t max_memory_bytes = UINT64_C(4) << 30;
static bool has_pools;
static bool is_pinned;

static const struct options_entry table[] = {
	{.name = "reclaim",
		.value = "WAY",
		.what = "who destroys what clients delete, replace and flush:\n"
			"  place     the loop, in place\n"
			"  mutex     a thread with a list, a mutex and no limit\n"
			"  call_rcu  liburcu's call_rcu, without a limit\n"
			"  drop      defer_drop's worker\n"
			"  loop      the loop, draining defer_drop's queue\n",
		.text = &way,
		.choice = reclaim_name},
	OPTIONS_NUMBER("reclaim-min", &min_weight, 1, 1000000000,
		.what = "nodes, or pages, from which on garbage is left to that way"),
	OPTIONS_NUMBER("queue-size", &queue_size, 2, 16777216, .is_power_of_two = true,
		.what = "drops that may wait"),
	OPTIONS_NUMBER(
		"queue-bytes", &queue_bytes, 1, LARGEST, .what = "bytes that these drops may hold"),
	OPTIONS_NUMBER("budget-us", &budget_us, 1, 1000000,
		.what = "time for draining in a turn of the loop"),
	OPTIONS_NUMBER(
		"port", &port, 0, 65535, .what = "where clients connect; 0 picks a free port"),
	{.name = "listen",
		.value = "ADDRESS",
		.what = "where clients connect, of IPv4 or IPv6",
		.text = &address},
	OPTIONS_NUMBER("read-port", &read_port, 0, 65535,
		.what = "where a second thread answers read-only commands; needs a way with\n"
			"grace periods, call_rcu or drop"),
	OPTIONS_NUMBER("max-clients", &max_clients, 1, 1000000, .what = "most clients at a time"),
	OPTIONS_NUMBER("max-memory", &max_memory_bytes, 1048576, LARGEST, .value = "BYTES",
		.is_zero_allowed = true,
		.what = "of data, of garbage, and of buffers; 0: no limit"),
	{.name = "pools",
		.what = "takes nodes from pools, where they come home, instead of from malloc",
		.flag = &has_pools},
	{.name = "pin",
		.what = "pins the loop to the first CPU, others to the second",
		.flag = &is_pinned},
	{.name = NULL},
};

static const struct options_program program = {
	.about = "A server that speaks enough of the Redis protocol for redis-cli and "
		 "redis-benchmark,\n"
		 "to show how its answers depend on who destroys big values.",
	.table = table,
	.notes = "The first line of its output says where it listens. SIGTERM ends it: it answers\n"
		 "what was asked, destroys everything, and prints how many nodes it created and\n"
		 "destroyed; the exit status is 1 if the two differ.",
};

void server_options_read(struct server_options *options, int count, char **arguments)
{
	options_parse(&program, count, arguments);
	*options = (struct server_options){
		.address = address,
		.port = (uint16_t)port,
		.read_port = read_port == NONE ? -1 : (int)read_port,
		.max_clients = (unsigned)max_clients,
		.max_memory_bytes = max_memory_bytes,
		.has_pools = has_pools,
		.is_pinned = is_pinned,
		.reclaim = {.way = reclaim_find(way),
			.min_weight = min_weight,
			.queue_size = (uint32_t)queue_size,
			.max_bytes = queue_bytes,
			.is_shared = read_port != NONE,
			.budget_ns = budget_us * 1000},
	};
	if (options->reclaim.is_shared && !options->reclaim.way->has_grace_periods)
		options_refuse("--reclaim %s: want one with grace periods with --read-port", way);
}
