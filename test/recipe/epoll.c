/* An epoll server, which drops a session when its peer is gone: the loop turns on at once. */
/*
 *     cc epoll.c $(pkg-config --cflags --libs defer_drop) -o epoll
 *     ./epoll 1000
 */
#include <arpa/inet.h>
#include <defer_drop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct session {
	int peer;
	char cache[1 << 20];
};

static void session_free(void *object)
{
	close(((struct session *)object)->peer);
	free(object);
}

int main(int count, char **arguments)
{
	int peers = count > 1 ? atoi(arguments[1]) : 1; /* to serve */
	int loop = epoll_create1(EPOLL_CLOEXEC);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof address;
	struct epoll_event event = {.events = EPOLLIN};

	if (listen(listener, 100) || getsockname(listener, (struct sockaddr *)&address, &size))
		return 1;
	printf("port %d\n", ntohs(address.sin_port));
	fflush(stdout);
	epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
	while (peers && epoll_wait(loop, &event, 1, -1) == 1) {
		struct session *session = event.data.ptr;

		if (!session) {
			session = event.data.ptr = calloc(1, sizeof *session);
			session->peer = accept(listener, NULL, NULL);
			epoll_ctl(loop, EPOLL_CTL_ADD, session->peer, &event);
		} else if (read(session->peer, session->cache, sizeof session->cache) <= 0) {
			epoll_ctl(loop, EPOLL_CTL_DEL, session->peer, NULL);
			if (defer_drop(
				    session, session_free)) /* instead of session_free(session) */
				return 1;
			peers--;
		}
	}
	return defer_drop_flush();
}
