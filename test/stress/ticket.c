/* SPDX-License-Identifier: MIT
 *
 * Threads look at tickets, wait for them and have eventfds signalled while others push; once a
 * ticket is done, its drops have been destroyed.
 */
#include "stress.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void hear_of(const struct defer_drop_ticket *ticket)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	uint64_t count = 0;

	CHECK(fd >= 0);
	CHECK(!defer_drop_ticket_notify(ticket, fd));
	CHECK(poll(&readable, 1, -1) == 1);
	CHECK(read(fd, &count, sizeof count) == sizeof count && count == 1);
	close(fd);
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 200; i++) {
		struct defer_drop_ticket ticket;
		uint64_t timeout_ns;
		int result;

		push_one(producer);
		CHECK(!defer_drop_queue_ticket(producer->queue, &ticket));
		switch (below(&producer->random, 8)) {
		case 0:
			CHECK(!defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER));
			break;
		case 1:
			hear_of(&ticket);
			break;
		case 2:
			timeout_ns = some_ns(&producer->random, 50000);
			result = defer_drop_ticket_wait(&ticket, timeout_ns);
			CHECK(!result || result == in_vain(timeout_ns));
			break;
		default:
			break;
		}
		result = defer_drop_ticket_wait(&ticket, 0);
		CHECK(!result || result == -EAGAIN);
		if (!result)
			CHECK(producer->destroyed == producer->accepted);
	}
	return NULL;
}

void scenario_ticket(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);

	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	end_drained(queue, producers, stress->producers);
}
