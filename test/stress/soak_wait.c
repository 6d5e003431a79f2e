/* SPDX-License-Identifier: MIT
 *
 * Waiting in a soak: tickets, completions, eventfds, flushes and backlogs.
 */
#include "soak.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* All that was accepted from this thread is destroyed, or was abandoned. */
static void check_over(const struct stream *stream, int result)
{
	CHECK(is_done_or_shut(stream->site, result));
	CHECK(result || stream->destroyed == stream->accepted);
}

void hear(int eventfd)
{
	struct pollfd readable = {.fd = eventfd, .events = POLLIN};
	uint64_t count = 0;
	int ready;

	CHECK(eventfd >= 0);
	do
		ready = poll(&readable, 1, -1);
	while (ready < 0 && errno == EINTR);
	CHECK(ready == 1);
	CHECK(read(eventfd, &count, sizeof count) == sizeof count && count == 1);
}

static int poll_until_over(struct defer_drop_completion *completion, int *status)
{
	int result;

	do {
		usleep(20);
		result = defer_drop_completion_poll(completion, status);
	} while (result == -EINPROGRESS);
	return result;
}

void await(struct visitor *visitor, struct stream *stream, struct defer_drop_completion *completion,
	int expected)
{
	uint64_t timeout_ns = below(&visitor->random, 100000);
	int status = 1;
	int result = -ETIMEDOUT;

	switch (below(&visitor->random, 3)) {
	case 0:
		result = poll_until_over(completion, &status);
		break;
	case 1:
		result = defer_drop_completion_wait(completion, timeout_ns, &status);
		break;
	default:
		break;
	}
	if (result == -ETIMEDOUT)
		result = defer_drop_completion_wait(completion, DEFER_DROP_FOREVER, &status);
	check_over(stream, result);
	CHECK(result || status == expected);
	CHECK(defer_drop_completion_poll(completion, NULL) == result);
}

static void wait_for_ticket(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_ticket ticket;
	int result;
	int fd;

	CHECK(!defer_drop_queue_ticket(stream->site->queue, &ticket));
	switch (below(&visitor->random, 3)) {
	case 0:
		result = defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER);
		break;
	case 1:
		result = defer_drop_ticket_wait(&ticket, below(&visitor->random, 50000));
		if (result == -ETIMEDOUT)
			return;
		break;
	default:
		fd = eventfd(0, EFD_CLOEXEC);
		CHECK(!defer_drop_ticket_notify(&ticket, fd));
		hear(fd);
		close(fd);
		result = defer_drop_ticket_poll(&ticket);
	}
	check_over(stream, result);
}

void wait_some(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_queue *queue = stream->site->queue;
	uint64_t timeout_ns = some_timeout(&visitor->random);
	int result;

	switch (below(&visitor->random, 4)) {
	case 0:
		result = defer_drop_queue_flush(queue, timeout_ns);
		CHECK(result == -ETIMEDOUT || is_done_or_shut(stream->site, result));
		CHECK(result || stream->destroyed == stream->accepted);
		break;
	case 1:
		result = defer_drop_queue_wait_backlog(queue, below(&visitor->random, 8),
			below(&visitor->random, MAX_BYTES), timeout_ns);
		CHECK(result == -ETIMEDOUT || is_done_or_shut(stream->site, result));
		break;
	default:
		wait_for_ticket(visitor, stream);
	}
}
