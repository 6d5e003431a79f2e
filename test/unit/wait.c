/* SPDX-License-Identifier: MIT
 *
 * Waiting for a position.
 */
#include "unit.h"

#include <sys/eventfd.h>

#include "core/wait.h"

TestSuite(wait, .timeout = 60);

static struct defer_drop_queue *queue;
static struct dd_lane *lane; /* this thread's */
static uint64_t first;       /* its first position */

/* A queue that this thread drains, with this number of drops in a lane of its own. */
static void make(unsigned drops)
{
	queue = make_queue(CALLER, 16, LANES);
	for (unsigned i = 0; i < drops; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
	lane = queue->lanes[1];
	first = dd_ring_first(16);
}

static void drain(uint64_t drops)
{
	answers(0, defer_drop_queue_drain(queue, drops, FOREVER, NULL));
}

static int signal_at(uint64_t position)
{
	int made = eventfd(0, EFD_NONBLOCK);

	/* The library closes what it was given. */
	answers(0, dd_wait_notify(lane, position, dup(made)));
	return made;
}

static bool is_signalled(int made)
{
	uint64_t count = 0;

	return read(made, &count, sizeof count) == sizeof count && count == 1;
}

Test(wait, what_has_passed_is_not_waited_for)
{
	make(3);
	drain(2);
	answers(0, dd_wait(lane, first, FOREVER));
	answers(0, dd_wait(lane, first + 1, FOREVER));
	answers(0, dd_wait(lane, first + 2, FOREVER));
	answers(0, dd_wait(lane, first + 2, 1)); /* even though this deadline is over */
	answers(-ETIMEDOUT, dd_wait(lane, first + 3, 1));
	end_queue(queue);
}

Test(wait, a_deadline_ends_it_and_no_sooner)
{
	uint64_t until_ns;

	make(1);
	until_ns = dd_now_ns() + 2000000;
	answers(-ETIMEDOUT, dd_wait(lane, first + 1, until_ns));
	cr_assert_geq(dd_now_ns(), until_ns);
	end_queue(queue);
}

Test(wait, each_waiter_is_woken_at_its_position_in_whatever_order_they_came)
{
	const uint64_t positions[] = {3, 1, 5, 2, 4, 3};
	int signals[6];

	make(6);
	for (unsigned i = 0; i < 6; i++)
		signals[i] = signal_at(first + positions[i]);
	for (uint64_t passed = 1; passed <= 6; passed++) {
		drain(1);
		for (unsigned i = 0; i < 6; i++)
			cr_assert_eq(is_signalled(signals[i]), positions[i] == passed,
				"waiter %u at %u", i, (unsigned)passed);
	}
	cr_assert_not(has_waiter(queue));
	end_queue(queue);
}

static void *push_one(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, NULL, note, FOREVER));
}

Test(wait, waiters_of_one_lane_are_not_woken_by_another)
{
	struct dd_lane *other;
	int own_signal;
	int other_signal;

	make(1);
	cr_assert_null(join_thread(spawn(push_one, queue)));
	other = queue->lanes[2];
	own_signal = signal_at(first + 1);
	lane = other;
	other_signal = signal_at(first + 1);
	drain(1); /* lanes are taken from in their order */
	cr_assert(is_signalled(own_signal));
	cr_assert_not(is_signalled(other_signal));
	drain(1);
	cr_assert(is_signalled(other_signal));
	end_queue(queue);
}

Test(wait, what_has_passed_is_signalled_at_once)
{
	int made;

	make(1);
	drain(1);
	made = signal_at(first + 1);
	cr_assert(is_signalled(made));
	cr_assert_not(has_waiter(queue));
	end_queue(queue);
}

Test(wait, an_end_releases_all_waiters)
{
	int done;
	int left;

	make(2);
	done = signal_at(first + 1);
	left = signal_at(first + 2);
	drain(1);
	cr_assert(is_signalled(done));
	answers(0, defer_drop_queue_shutdown(queue, 0));
	cr_assert(is_signalled(left));
	answers(-ESHUTDOWN, dd_wait(lane, first + 2, FOREVER));
	answers(0, dd_wait(lane, first + 1, FOREVER));
	answers(0, defer_drop_queue_free(queue));
}

struct waiting {
	uint64_t position;
	uint64_t deadline_ns;
	int result;
};

static void *wait_here(void *argument)
{
	struct waiting *waiting = argument;

	waiting->result = dd_wait(lane, waiting->position, waiting->deadline_ns);
	return NULL;
}

Test(wait, a_waiter_that_gives_up_takes_no_other_along)
{
	struct waiting patient = {.deadline_ns = FOREVER, .result = 1};
	struct waiting hasty = {.result = 1};
	pthread_t thread;

	make(3);
	patient.position = first + 2;
	thread = spawn(wait_here, &patient);
	await(has_waiter(queue));
	/* Before, at and behind the position of the thread that goes on waiting. */
	for (uint64_t at = 1; at <= 3; at++) {
		hasty.position = first + at;
		hasty.deadline_ns = dd_now_ns() + 1000000;
		wait_here(&hasty);
		answers(-ETIMEDOUT, hasty.result);
	}
	drain(3);
	join_thread(thread);
	answers(0, patient.result);
	end_queue(queue);
}

static atomic_bool is_over;

static void *wait_hastily(void *argument)
{
	unsigned wrong = 0;

	for (unsigned i = 0; !atomic_load(&is_over); i++) {
		uint64_t timeout_ns = i % 3 ? FOREVER : i % 50000;
		struct defer_drop_ticket ticket;
		int result;

		wrong += push_ticket(argument, NULL, note, FOREVER, &ticket) != 0;
		result = defer_drop_ticket_wait(&ticket, timeout_ns);
		wrong += result && (result != (timeout_ns ? -ETIMEDOUT : -EAGAIN) || i % 3);
	}
	return number(wrong);
}

Test(wait, waiters_come_and_go_beside_the_worker)
{
	struct defer_drop_queue *busy = make_queue(DEFER_DROP_RUNNER_WORKER, 4, 2);
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		threads[i] = spawn(wait_hastily, busy);
	await(atomic_load(&seen_count) > 2000);
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_null(join_thread(threads[i]));
	cr_assert_not(has_waiter(busy));
	end_queue(busy);
}
