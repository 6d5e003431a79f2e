/* Closes a file in the background; an epoll loop learns that, and the status of close(2). */
#include <defer_drop.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int close_file(void *object)
{
	return close((int)(intptr_t)object) ? -errno : 0;
}

int main(void)
{
	struct defer_drop_completion closed = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct epoll_event event = {.events = EPOLLIN};
	int loop = epoll_create1(EPOLL_CLOEXEC);
	int file = -1; /* a bad one, so that closing it fails */
	int status = 0;

	closed.eventfd = eventfd(0, EFD_CLOEXEC);
	if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, closed.eventfd, &event))
		return 1;
	options.destroy_status = close_file;
	options.completion = &closed;
	if (defer_drop_with((void *)(intptr_t)file, NULL, DEFER_DROP_FOREVER, &options))
		return 1;
	while (epoll_wait(loop, &event, 1, -1) != 1)
		; /* a signal */
	if (defer_drop_completion_wait(&closed, 0, &status))
		return 1;
	printf("close: %s\n", strerror(-status));
	close(closed.eventfd);
	close(loop);
	return status != -EBADF;
}
