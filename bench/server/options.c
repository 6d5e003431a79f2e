/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "server.h"

static void print_usage(void)
{
	puts("usage: drop_server [OPTION]...\n"
	     "\n"
	     "A server that speaks enough of the Redis protocol for redis-cli and "
	     "redis-benchmark,\n"
	     "to show what it does to its answers who destroys big values.\n"
	     "\n"
	     "  --reclaim WAY       who destroys what clients delete, replace and flush [drop]:\n"
	     "                        place     the loop, in place\n"
	     "                        mutex     a thread with a list, a mutex and no limit\n"
	     "                        call_rcu  liburcu's call_rcu, without a limit\n"
	     "                        drop      defer_drop's worker\n"
	     "                        loop      the loop, draining defer_drop's queue\n"
	     "  --reclaim-min N     the nodes, or pages, from which garbage is left to that way;\n"
	     "                      1..1000000000 [16]\n"
	     "  --queue-size N      drops that may wait, a power of two in 2..16777216 [4096]\n"
	     "  --queue-bytes N     what they may hold; 1..2^62 [268435456]\n"
	     "  --budget-us N       for draining in a turn of the loop; 1..1000000 [200]\n"
	     "  --pools             nodes come from pools, and home again, instead of malloc\n"
	     "  --port N            0..65535; 0 picks a free one [6379]\n"
	     "  --listen ADDRESS    of IPv4 or IPv6 [127.0.0.1]\n"
	     "  --read-port N       also where a second thread answers what only reads; it needs a "
	     "way\n"
	     "                      with grace periods, call_rcu or drop\n"
	     "  --max-clients N     1..1000000 [10000]\n"
	     "  --max-memory BYTES  for data, what waits to be destroyed, and buffers;\n"
	     "                      1048576..2^62, or 0: no limit [4294967296]\n"
	     "  --pin               the loop on the first CPU, others on the second\n"
	     "  --help              this text\n"
	     "\n"
	     "It says on the first line of its output where it listens. SIGTERM ends it: what was\n"
	     "asked for is answered, all is destroyed, and the last line says how many nodes were\n"
	     "created and destroyed; the exit status is 1 if not as many.");
}

__attribute__((format(printf, 1, 2))) static _Noreturn void refuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(2);
}

static const struct reclaim_way *way(const char *name)
{
	const struct reclaim_way *found = reclaim_find(name);

	if (found)
		return found;
	fprintf(stderr, "--reclaim %s: want one of ", name);
	reclaim_print_names(stderr);
	fprintf(stderr, "\n");
	exit(2);
}

static uint32_t power_of_two(const char *option, const char *text)
{
	uint64_t value = bench_number(option, text, 2, 16777216);

	if (!(value & (value - 1)))
		return (uint32_t)value;
	refuse("%s %s: want a power of two in 2..16777216", option, text);
}

static uint64_t limit(const char *option, const char *text)
{
	uint64_t value = bench_number(option, text, 0, UINT64_C(1) << 62);

	if (!value || value >= 1048576)
		return value;
	refuse("%s %s: want 0 or 1048576..%llu", option, text, 1ULL << 62);
}

static void take(struct server_options *options, int option, const char *text)
{
	if (option == 'r')
		options->reclaim.way = way(text);
	else if (option == 'm')
		options->reclaim.min_weight = bench_number("--reclaim-min", text, 1, 1000000000);
	else if (option == 'q')
		options->reclaim.queue_size = power_of_two("--queue-size", text);
	else if (option == 'B')
		options->reclaim.max_bytes =
			bench_number("--queue-bytes", text, 1, UINT64_C(1) << 62);
	else if (option == 'b')
		options->reclaim.budget_ns = bench_number("--budget-us", text, 1, 1000000) * 1000;
	else if (option == 'p')
		options->port = (uint16_t)bench_number("--port", text, 0, 65535);
	else if (option == 'R')
		options->read_port = (int)bench_number("--read-port", text, 0, 65535);
	else if (option == 'l')
		options->address = text;
	else if (option == 'c')
		options->max_clients = (unsigned)bench_number("--max-clients", text, 1, 1000000);
	else if (option == 'M')
		options->max_memory_bytes = limit("--max-memory", text);
	else if (option == 'P')
		options->is_pinned = true;
	else if (option == 'o')
		options->has_pools = true;
	else
		print_usage(), exit(option == 'h' ? 0 : 2);
}

void options_parse(struct server_options *options, int count, char **arguments)
{
	static const struct option known[] = {
		{"reclaim", required_argument, NULL, 'r'},
		{"reclaim-min", required_argument, NULL, 'm'},
		{"queue-size", required_argument, NULL, 'q'},
		{"queue-bytes", required_argument, NULL, 'B'},
		{"budget-us", required_argument, NULL, 'b'},
		{"port", required_argument, NULL, 'p'},
		{"read-port", required_argument, NULL, 'R'},
		{"listen", required_argument, NULL, 'l'},
		{"max-clients", required_argument, NULL, 'c'},
		{"max-memory", required_argument, NULL, 'M'},
		{"pools", no_argument, NULL, 'o'},
		{"pin", no_argument, NULL, 'P'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*options = (struct server_options){
		.address = "127.0.0.1",
		.port = 6379,
		.read_port = -1,
		.max_clients = 10000,
		.max_memory_bytes = UINT64_C(4) << 30,
		.reclaim = {.way = &reclaim_drop,
			.min_weight = 16, /* measured: bench/server/compare.py */
			.queue_size = 4096,
			.max_bytes = 256 << 20,
			.budget_ns = 200000},
	};
	while ((option = getopt_long(count, arguments, "", known, NULL)) != -1)
		take(options, option, optarg);
	if (optind < count)
		refuse("%s: want options only (see --help)", arguments[optind]);
	options->reclaim.is_shared = options->read_port >= 0;
	if (options->reclaim.is_shared && !options->reclaim.way->has_grace_periods)
		refuse("--reclaim %s: want one with grace periods with --read-port",
			options->reclaim.way->name);
}
