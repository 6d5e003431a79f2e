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
	CHECK(is_told(stream->site, result));
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
		result = defer_drop_completion_wait(completion, 0, status);
	} while (result == -EAGAIN);
	return result;
}

/* What is given up is over only when its queue has ended. */
static int wait_until_over(
	const struct site *site, struct defer_drop_completion *completion, int *status)
{
	int result;

	for (;;) {
		result = defer_drop_completion_wait(completion, DEFER_DROP_FOREVER, status);
		if (result != -ECANCELED)
			return result;
		CHECK(site->is_gap_allowed);
		usleep(100);
	}
}

void await(struct visitor *visitor, struct stream *stream, struct defer_drop_completion *completion,
	int expected)
{
	uint64_t timeout_ns = some_ns(&visitor->random, 100000);
	int status = 1;
	int result = in_vain(timeout_ns);

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
	if (result == in_vain(timeout_ns) || result == -ECANCELED)
		result = wait_until_over(stream->site, completion, &status);
	check_over(stream, result);
	CHECK(result || status == expected);
	CHECK(defer_drop_completion_wait(completion, 0, NULL) == result);
}

static void wait_for_ticket(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_ticket ticket;
	uint64_t timeout_ns;
	int result;
	int fd;

	CHECK(!defer_drop_queue_ticket(stream->site->queue, &ticket));
	switch (below(&visitor->random, 3)) {
	case 0:
		result = defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER);
		break;
	case 1:
		timeout_ns = some_ns(&visitor->random, 50000);
		result = defer_drop_ticket_wait(&ticket, timeout_ns);
		if (result == in_vain(timeout_ns))
			return;
		break;
	default:
		fd = eventfd(0, EFD_CLOEXEC);
		CHECK(!defer_drop_ticket_notify(&ticket, fd));
		hear(fd);
		close(fd);
		result = defer_drop_ticket_wait(&ticket, 0);
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
		CHECK(result == in_vain(timeout_ns) || is_told(stream->site, result));
		CHECK(result || stream->destroyed == stream->accepted);
		break;
	case 1:
		result = defer_drop_queue_wait_backlog(queue, below(&visitor->random, 8),
			below(&visitor->random, MAX_BYTES), timeout_ns);
		CHECK(result == in_vain(timeout_ns) || is_told(stream->site, result));
		break;
	default:
		wait_for_ticket(visitor, stream);
	}
}
