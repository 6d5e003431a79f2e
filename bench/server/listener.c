/* SPDX-License-Identifier: MIT
 *
 * Opens the port of the server, and accepts clients.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"

#define BACKLOG 1024

/* The clients accepted in a turn: few, since others want to be served too. */
#define ACCEPTED 64

static int open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* A client that cannot be accepted would keep the socket ready, and the loop spinning. */
static void turn_away(struct listener *listener)
{
	int socket;

	if (listener->reserve < 0)
		return;
	close(listener->reserve);
	socket = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC);
	if (socket >= 0)
		close(socket);
	listener->reserve = open_reserve();
}

static void accept_some(struct watch *watch, uint32_t events)
{
	struct listener *listener = (struct listener *)watch;

	(void)events;
	for (unsigned i = 0; i < ACCEPTED; i++) {
		int socket = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (socket >= 0)
			connection_open(listener->loop, socket);
		else if (errno == EMFILE || errno == ENFILE)
			turn_away(listener);
		else
			return;
	}
}

static int bind_to(struct listener *listener, const struct addrinfo *address)
{
	struct sockaddr_storage bound;
	socklen_t bytes = sizeof bound;
	int one = 1;

	listener->socket =
		socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->socket < 0)
		return -errno;
	setsockopt(listener->socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener->socket, address->ai_addr, address->ai_addrlen) ||
		listen(listener->socket, BACKLOG) ||
		getsockname(listener->socket, (struct sockaddr *)&bound, &bytes))
		return -errno;
	listener->port =
		ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
						  : ((struct sockaddr_in *)&bound)->sin_port);
	return 0;
}

int listener_open(struct listener *listener, struct loop *loop, const char *address, uint16_t port)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char digits[8];
	int result;

	*listener = (struct listener){
		.watch.ready = accept_some, .loop = loop, .socket = -1, .reserve = open_reserve()};
	snprintf(digits, sizeof digits, "%u", port);
	if (getaddrinfo(address, digits, &hints, &found))
		result = -EINVAL;
	else
		result = bind_to(listener, found), freeaddrinfo(found);
	if (!result)
		result = loop_watch(loop, &listener->watch, listener->socket, EPOLLIN);
	if (result)
		listener_close(listener);
	return result;
}

void listener_close(struct listener *listener)
{
	if (listener->socket >= 0)
		close(listener->socket);
	if (listener->reserve >= 0)
		close(listener->reserve);
}
