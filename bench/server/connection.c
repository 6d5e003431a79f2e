/* SPDX-License-Identifier: MIT
 *
 * A connection, from accepting it to closing it.
 */
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.h"
#include "reclaim.h"
#include "reply.h"

/*
 * The bytes read at a time: few, so that the pipeline of one client holds up the others only
 * briefly.
 */
#define READ_BYTES 4096

/*
 * The bytes of answers that may wait for a client before the server stops executing its requests.
 */
#define MAX_WAITING_BYTES (1u << 20)

/* ---- The end --------------------------------------------------------------------------------- */

static void stop_waiting(struct connection *connection)
{
	if (connection->eventfd < 0)
		return;
	/*
	 * Removed by an explicit call: the library may hold a duplicate, and epoll(7) watches until
	 * all are closed.
	 */
	loop_unwatch(connection->loop, connection->eventfd);
	close(connection->eventfd);
	connection->eventfd = -1;
}

static void die(struct connection *connection)
{
	struct loop *loop = connection->loop;

	if (connection->is_dead)
		return;
	connection->is_dead = true;
	stop_waiting(connection);
	close(connection->socket);
	*(connection->previous ? &connection->previous->next : &loop->first) = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	connection->next = loop->dead;
	loop->dead = connection;
	loop->connections--;
}

void connection_bury_dead(struct loop *loop)
{
	while (loop->dead) {
		struct connection *connection = loop->dead;

		loop->dead = connection->next;
		buffer_free(&connection->in);
		buffer_free(&connection->out);
		request_free(&connection->request);
		free(connection);
	}
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void do_request(struct connection *connection)
{
	struct request *request = &connection->request;

	if (request->count) {
		struct call call = {connection, &connection->out, buffer_bytes(&connection->in),
			request->arguments, request->count};

		connection->loop->requests_total++;
		command_run(&call);
	}
	buffer_consume(&connection->in, request->at);
	request_reset(request);
}

static bool may_do_more(const struct connection *connection)
{
	return !connection->is_closing && !connection->is_dead && connection->eventfd < 0 &&
	       buffer_length(&connection->out) < MAX_WAITING_BYTES;
}

static void do_requests(struct connection *connection)
{
	while (may_do_more(connection)) {
		const char *error;
		enum request_state state = request_parse(&connection->request,
			buffer_bytes(&connection->in), buffer_length(&connection->in), &error);

		if (state == REQUEST_PARTIAL)
			return;
		if (state == REQUEST_WRONG) {
			reply_error(&connection->out, "ERR %s", error);
			connection->is_closing = true;
			return;
		}
		do_request(connection);
	}
}

/* ---- Reading and writing --------------------------------------------------------------------- */

static void read_some(struct connection *connection)
{
	struct buffer *in = &connection->in;
	size_t most = READ_BYTES;
	ssize_t count;

	buffer_take(in, &connection->loop->spare_in);
	if (!buffer_reserve(in, READ_BYTES)) {
		reply_error(&connection->out, "OOM no memory for a request of this size");
		connection->is_closing = true;
		return;
	}
	/*
	 * Reads as much of a large argument as there is: nothing is executed before all of it has
	 * come.
	 */
	if (connection->request.bulk > READ_BYTES)
		most = in->room - in->end;
	count = recv(connection->socket, in->memory + in->end, most, 0);
	if (count > 0)
		in->end += (size_t)count;
	else if (!count)
		connection->is_closing = true;
	else if (errno != EAGAIN && errno != EINTR)
		die(connection);
}

static void write_some(struct connection *connection)
{
	struct buffer *out = &connection->out;
	ssize_t count;

	if (!buffer_length(out))
		return;
	count = send(connection->socket, buffer_bytes(out), buffer_length(out), MSG_NOSIGNAL);
	if (count >= 0)
		buffer_consume(out, (size_t)count);
	else if (errno != EAGAIN && errno != EINTR)
		die(connection);
}

/* Goes on with a connection after something has changed, and sets the events that it waits for. */
static void go_on(struct connection *connection)
{
	struct buffer *out = &connection->out;
	uint32_t events = 0;

	buffer_take(out, &connection->loop->spare_out);
	do_requests(connection);
	/*
	 * After an answer that could not be kept whole, the client could not tell where the next
	 * one begins.
	 */
	if (out->is_broken)
		die(connection);
	if (!connection->is_dead)
		write_some(connection);
	if (connection->is_closing && !buffer_length(out) && connection->eventfd < 0)
		die(connection);
	if (connection->is_dead)
		return;
	if (may_do_more(connection))
		events |= EPOLLIN;
	if (buffer_length(out))
		events |= EPOLLOUT;
	if (events != connection->events)
		loop_watch_for(connection->loop, &connection->watch, connection->socket, events);
	connection->events = events;
	buffer_give(&connection->in, &connection->loop->spare_in);
	buffer_give(out, &connection->loop->spare_out);
}

static void socket_ready(struct watch *watch, uint32_t events)
{
	struct connection *connection = (struct connection *)watch;

	if (connection->is_dead)
		return;
	if (events & (EPOLLERR | EPOLLHUP))
		die(connection); /* both directions are gone */
	else if (events & EPOLLIN && may_do_more(connection))
		read_some(connection);
	if (!connection->is_dead)
		go_on(connection);
}

/* ---- Waiting for what was reclaimed ---------------------------------------------------------- */

static void eventfd_ready(struct watch *watch, uint32_t events)
{
	struct connection *connection =
		(struct connection *)((char *)watch - offsetof(struct connection, done));

	(void)events;
	if (connection->is_dead)
		return;
	stop_waiting(connection);
	reply_status(&connection->out, "OK");
	go_on(connection);
}

void connection_wait_for_reclaim(struct connection *connection)
{
	int result;

	connection->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	result = connection->eventfd < 0 ? -errno : 0;
	if (!result)
		result = loop_watch(
			connection->loop, &connection->done, connection->eventfd, EPOLLIN);
	if (!result)
		result = reclaim_notify(connection->eventfd);
	if (!result)
		return;
	stop_waiting(connection);
	reply_error(&connection->out, "ERR flushed, but not told when all is destroyed: %s",
		strerror(-result));
}

/* ---- All ------------------------------------------------------------------------------------- */

static void refuse(int socket, const char *error)
{
	/* Sends what fits at once, which is all of this short answer. */
	send(socket, error, strlen(error), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(socket);
}

void connection_open(struct loop *loop, int socket)
{
	struct connection *connection = NULL;
	int one = 1;

	if (loop->connections < loop->max_connections)
		connection = calloc(1, sizeof *connection);
	if (!connection) {
		refuse(socket, "-ERR max number of clients reached\r\n");
		return;
	}
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	connection->watch.ready = socket_ready;
	connection->done.ready = eventfd_ready;
	connection->loop = loop;
	connection->id = ++loop->accepted_total;
	connection->socket = socket;
	connection->eventfd = -1;
	connection->events = EPOLLIN;
	request_init(&connection->request);
	if (loop_watch(loop, &connection->watch, socket, EPOLLIN)) {
		refuse(socket, "-ERR no room for another client\r\n");
		free(connection);
		return;
	}
	connection->next = loop->first;
	if (loop->first)
		loop->first->previous = connection;
	loop->first = connection;
	loop->connections++;
}

void connection_end_all(struct loop *loop)
{
	struct connection *next;

	for (struct connection *connection = loop->first; connection; connection = next) {
		next = connection->next;
		connection->is_closing = true;
		go_on(connection);
	}
}

void connection_close_all(struct loop *loop)
{
	while (loop->first)
		die(loop->first);
	connection_bury_dead(loop);
}
