/* SPDX-License-Identifier: MIT
 *
 * Producers push, flush and wait while one or two threads stop and start the queue all the time.
 * All that was accepted is destroyed once and in order; a queue that is stopped destroys nothing
 * and has no thread.
 */
#include "stress.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#define MOST_STOPPERS 2

static atomic_bool is_over;
static unsigned stoppers_count;

/* ---- Those that stop it ---------------------------------------------------------------------- */

/* With a second thread that stops and starts it, it may be running again already. */
static void look_at_stopped(struct producer *stopper)
{
	uint64_t destroyed = stats_of(stopper->queue).destroyed_total;
	useconds_t pause_us = (useconds_t)below(&stopper->random, 300);

	if (pause_us >= 100)
		usleep(pause_us);
	CHECK(stoppers_count > 1 || stats_of(stopper->queue).destroyed_total == destroyed);
}

static void start(struct producer *stopper)
{
	int result;

	do
		result = defer_drop_queue_start(stopper->queue);
	while (result == -EBUSY && !sched_yield());
	CHECK(!result);
}

static void *stop_and_start(void *argument)
{
	struct producer *stopper = argument;

	while (!atomic_load(&is_over)) {
		uint64_t timeout_ns = below(&stopper->random, 3)
					      ? DEFER_DROP_FOREVER
					      : some_ns(&stopper->random, 200000);
		int result = defer_drop_queue_stop(stopper->queue, timeout_ns);

		CHECK(!result || result == in_vain(timeout_ns) ||
			(result == -EBUSY && stoppers_count > 1));
		if (!result) {
			look_at_stopped(stopper);
			start(stopper);
		}
		if (!below(&stopper->random, 3))
			usleep((useconds_t)below(&stopper->random, 500));
	}
	return NULL;
}

/* ---- Those that use it ----------------------------------------------------------------------- */

static void check_waited(const struct producer *producer, uint64_t timeout_ns, int result)
{
	CHECK(!result || result == in_vain(timeout_ns));
	CHECK(result || producer->destroyed == producer->accepted);
}

static void wait_for_ticket(struct producer *producer, uint64_t timeout_ns)
{
	struct defer_drop_ticket ticket;

	CHECK(!defer_drop_queue_ticket(producer->queue, &ticket));
	check_waited(producer, timeout_ns, defer_drop_ticket_wait(&ticket, timeout_ns));
}

static void wait_for_backlog(struct producer *producer, uint64_t timeout_ns)
{
	int result = defer_drop_queue_wait_backlog(
		producer->queue, below(&producer->random, 8), UINT64_MAX, timeout_ns);

	CHECK(!result || result == in_vain(timeout_ns));
}

static void wait_somehow(struct producer *producer)
{
	uint64_t timeout_ns = below(&producer->random, 2) ? DEFER_DROP_FOREVER
							  : some_ns(&producer->random, 100000);

	switch (below(&producer->random, 3)) {
	case 0:
		check_waited(
			producer, timeout_ns, defer_drop_queue_flush(producer->queue, timeout_ns));
		break;
	case 1:
		wait_for_ticket(producer, timeout_ns);
		break;
	default:
		wait_for_backlog(producer, timeout_ns);
	}
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 100; i++) {
		push_one(producer);
		if (!below(&producer->random, 20))
			wait_somehow(producer);
	}
	return NULL;
}

/* Each of its drops is flushed. */
static void *run_flusher(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 20; i++) {
		push_one(producer);
		CHECK(!defer_drop_queue_flush(producer->queue, DEFER_DROP_FOREVER));
		CHECK(producer->destroyed == producer->accepted);
	}
	return NULL;
}

/* ---- A round --------------------------------------------------------------------------------- */

static void *do_nothing(void *argument)
{
	return argument;
}

/* No other thread uses it yet. A thread that was joined may still be counted at first; a sanitizer
 * has one of its own once there was any. */
static struct defer_drop_queue *make_and_stop_queue(struct stress *stress)
{
	struct defer_drop_queue *queue;
	pthread_t thread;
	unsigned threads;

	CHECK(!pthread_create(&thread, NULL, do_nothing, NULL));
	CHECK(!pthread_join(thread, NULL));
	threads = count_threads();
	queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);
	CHECK(!defer_drop_queue_stop(queue, DEFER_DROP_FOREVER));
	CHECK(count_threads() <= threads);
	return queue;
}

void scenario_stop(struct stress *stress)
{
	unsigned count = stress->producers;
	struct producer producers[MAX_PRODUCERS + 1] = {0};
	struct producer stoppers[MOST_STOPPERS] = {0};
	struct defer_drop_queue *queue = make_and_stop_queue(stress);

	atomic_store(&is_over, false);
	stoppers_count = 1 + (unsigned)below(&stress->random, MOST_STOPPERS);
	for (unsigned i = 0; i < count; i++)
		producers[i].nests = (unsigned)below(&stress->random, 3);
	start_producers(stress, producers, count, queue, run);
	start_producers(stress, &producers[count], 1, queue, run_flusher);
	start_producers(stress, stoppers, stoppers_count, queue, stop_and_start);
	join_producers(producers, count + 1);
	atomic_store(&is_over, true);
	join_producers(stoppers, stoppers_count);
	if (below(&stress->random, 2)) {
		/* What is pending is destroyed by the shutdown, on this thread. */
		CHECK(!defer_drop_queue_stop(queue, DEFER_DROP_FOREVER));
	} else {
		CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
		check_all_destroyed(queue, producers, count + 1);
	}
	end_drained(queue, producers, count + 1);
}
