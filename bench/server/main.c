/* SPDX-License-Identifier: MIT
 *
 * A small server that speaks the Redis protocol: see --help, and command.h for its commands.
 *
 *     a request -> connection.c: read, parse, -> command_*.c -> keyspace.c: unlink -> reclaim.c:
 *     who destroys -> the answer
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bench.h"
#include "connection.h"
#include "hash.h"
#include "keyspace.h"
#include "listener.h"
#include "reader.h"
#include "server.h"

/* Descriptors beside those of clients: a few, and one for each client that waits for a flush. */
#define OTHER_DESCRIPTORS 64

/* The time that clients have at the end to read their answers. */
#define LINGER_NS UINT64_C(2000000000)

struct server server;

__attribute__((format(printf, 2, 3))) static _Noreturn void fail(int error, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "drop_server: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(2);
}

/* ---- The beginning --------------------------------------------------------------------------- */

/* Reduces the number of clients if the system has fewer descriptors for this process. */
static void make_room_for_clients(struct server_options *options)
{
	struct rlimit limit;
	rlim_t loops = options->reclaim.is_shared ? 2 : 1;
	rlim_t wanted = loops * options->max_clients + OTHER_DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		fail(errno, "RLIMIT_NOFILE");
	if (limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_max < wanted) {
		struct rlimit more = {wanted, wanted};

		if (!setrlimit(RLIMIT_NOFILE, &more))
			return;
	}
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		fail(errno, "RLIMIT_NOFILE");
	if (limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_cur <= OTHER_DESCRIPTORS)
		fail(EMFILE, "RLIMIT_NOFILE %" PRIu64, (uint64_t)limit.rlim_cur);
	options->max_clients = (unsigned)((limit.rlim_cur - OTHER_DESCRIPTORS) / loops);
	fprintf(stderr, "drop_server: RLIMIT_NOFILE leaves room for %u clients\n",
		options->max_clients);
}

/* A thread starts on the CPU of its starter. */
static void start_reclaim(const struct server_options *options)
{
	int result;

	if (options->is_pinned)
		bench_pin_consumer();
	result = reclaim_start(&options->reclaim);
	if (result)
		fail(-result, "--reclaim %s", options->reclaim.way->name);
	if (options->is_pinned)
		bench_pin_producer(0);
}

static void start_reader(const struct server_options *options)
{
	int result;

	if (options->is_pinned)
		bench_pin_producer(1);
	result = reader_start(options->address, (uint16_t)options->read_port, options->max_clients);
	if (result)
		fail(-result, "--read-port %d", options->read_port);
	if (options->is_pinned)
		bench_pin_producer(0);
}

static void signal_ready(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	server.is_ending = true;
}

/* Called before any thread is started, so that none of them gets the signals. */
static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*
 * glibc keeps freed blocks of up to 128 bytes aside unjoined until somebody asks for a large block.
 * That would be the loop, which would have to join a million of them. Without this store the thread
 * that frees joins them. Other allocators ignore the setting.
 */
static void keep_no_fastbins(void)
{
	mallopt(M_MXFAST, 0);
}

static void start(struct loop *loop, struct watch *signals, int signal_descriptor)
{
	int result = hash_seed();

	if (result)
		fail(-result, "random numbers");
	keep_no_fastbins();
	memory_set_limit(server.options.max_memory_bytes);
	result = server.options.has_pools ? memory_use_pools() : 0;
	if (result)
		fail(-result, "--pools");
	make_room_for_clients(&server.options);
	start_reclaim(&server.options);
	result = keyspace_create();
	if (!result)
		result = loop_open(loop, server.options.max_clients);
	if (!result)
		result = loop_watch(loop, signals, signal_descriptor, EPOLLIN);
	if (result)
		fail(-result, "cannot start");
}

/* ---- The end --------------------------------------------------------------------------------- */

static void end_connections(struct loop *loop)
{
	uint64_t until_ns = bench_now_ns() + LINGER_NS;

	connection_end_all(loop);
	while (loop->first && bench_now_ns() < until_ns) {
		loop_turn(loop, 100);
		reclaim_turn();
	}
	connection_close_all(loop);
}

static int report(void)
{
	struct tally created = memory_created();
	struct tally destroyed = memory_destroyed();

	printf("nodes: %" PRIu64 " created, %" PRIu64 " destroyed\n", created.nodes,
		destroyed.nodes);
	if (memory_end_pools())
		return 1;
	return created.nodes == destroyed.nodes && created.bytes == destroyed.bytes ? 0 : 1;
}

int main(int count, char **arguments)
{
	static struct listener listener;
	static struct loop loop;
	struct watch signals = {signal_ready};
	int signal_descriptor = open_signals();
	bool is_more_to_reclaim = false;
	int result;

	server_options_read(&server.options, count, arguments);
	server.started_ns = bench_now_ns();
	start(&loop, &signals, signal_descriptor);
	result = listener_open(&listener, &loop, server.options.address, server.options.port);
	if (result == -EINVAL)
		fail(EINVAL, "--listen %s: want an address of IPv4 or IPv6",
			server.options.address);
	if (result)
		fail(-result, "--listen %s --port %u", server.options.address, server.options.port);
	server.port = listener.port;
	printf("listening on %s port %u\n", server.options.address, server.port);
	if (server.options.reclaim.is_shared)
		start_reader(&server.options);
	fflush(stdout);
	while (!server.is_ending) {
		loop_turn(&loop, is_more_to_reclaim ? 0 : -1);
		is_more_to_reclaim = reclaim_turn();
	}
	listener_close(&listener);
	end_connections(&loop);
	if (server.options.reclaim.is_shared)
		reader_stop();
	keyspace_destroy();
	reclaim_stop();
	loop_close(&loop);
	close(signal_descriptor);
	return report();
}
