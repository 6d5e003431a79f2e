/* Any thread drops windows; the thread of an epoll loop destroys them, a millisecond at a time. */
#include <defer_drop.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WINDOWS 10000

static unsigned closed_count; /* of the loop's thread */

static void close_window(void *window)
{
	free(window);
	closed_count++;
}

static void *drop_windows(void *queue)
{
	for (unsigned i = 0; i < WINDOWS; i++)
		if (defer_drop_queue_push(queue, malloc(64), close_window, DEFER_DROP_FOREVER))
			abort();
	return NULL;
}

int main(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct epoll_event event = {.events = EPOLLIN};
	struct defer_drop_queue *queue;
	int loop = epoll_create1(EPOLL_CLOEXEC);
	eventfd_t signals;
	pthread_t other;

	config.runner = DEFER_DROP_RUNNER_DRAINER; /* a thread that waits does not close windows */
	config.pending_eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (epoll_ctl(loop, EPOLL_CTL_ADD, config.pending_eventfd, &event) ||
		defer_drop_queue_create(&queue, &config) ||
		pthread_create(&other, NULL, drop_windows, queue))
		return 1;
	while (closed_count < WINDOWS) {
		if (epoll_wait(loop, &event, 1, -1) != 1)
			continue; /* a signal */
		/* First read, then drain: the library adds 1 again if it leaves something. */
		eventfd_read(config.pending_eventfd, &signals);
		if (defer_drop_queue_drain(queue, UINT64_MAX, 1000000, NULL))
			return 1;
	}
	pthread_join(other, NULL);
	if (defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER) || defer_drop_queue_free(queue))
		return 1;
	close(config.pending_eventfd);
	close(loop);
	printf("%u windows are closed\n", closed_count);
	return 0;
}
