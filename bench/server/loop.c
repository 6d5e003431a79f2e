/* SPDX-License-Identifier: MIT
 *
 * The event loop: waits for descriptors, and calls what watches them.
 */
#include "loop.h"

#include <errno.h>
#include <unistd.h>

#include "connection.h"

#define MAX_EVENTS 256

int loop_open(struct loop *loop, unsigned max_connections)
{
	*loop = (struct loop){.max_connections = max_connections};
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll < 0 ? -errno : 0;
}

void loop_close(struct loop *loop)
{
	buffer_free(&loop->spare_in);
	buffer_free(&loop->spare_out);
	close(loop->epoll);
}

int loop_watch(struct loop *loop, struct watch *watch, int descriptor, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, descriptor, &event) ? -errno : 0;
}

void loop_watch_for(struct loop *loop, struct watch *watch, int descriptor, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	epoll_ctl(loop->epoll, EPOLL_CTL_MOD, descriptor, &event);
}

void loop_unwatch(struct loop *loop, int descriptor)
{
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, descriptor, NULL);
}

void loop_turn(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[MAX_EVENTS];
	int count = epoll_wait(loop->epoll, events, MAX_EVENTS, timeout_ms);

	for (int i = 0; i < count; i++) {
		struct watch *watch = events[i].data.ptr;

		watch->ready(watch, events[i].events);
	}
	connection_bury_dead(loop);
}
