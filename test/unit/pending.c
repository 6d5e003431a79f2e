/* SPDX-License-Identifier: MIT
 *
 * The eventfd of a queue that callers drain: an event loop that reads it, drains, and knows no more
 * misses nothing.
 */
#include "queues.h"

#include <poll.h>
#include <sys/eventfd.h>

TestSuite(pending, .timeout = 60);

static const uint32_t runners[] = {CALLER, DRAINER};

static int signalled; /* the eventfd of the queue */

static struct defer_drop_queue *make(uint32_t runner, uint32_t queue_size, uint32_t lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	signalled = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	cr_assert_geq(signalled, 0);
	config.runner = runner;
	config.queue_size = queue_size;
	config.max_lanes = lanes;
	config.pending_eventfd = signalled;
	return create_queue(&config);
}

static void end(struct defer_drop_queue *queue)
{
	end_queue(queue);
	close(signalled);
}

/* Returns how often the eventfd was signalled since the last look. */
static uint64_t signals(void)
{
	uint64_t count = 0;

	return read(signalled, &count, sizeof count) == sizeof count ? count : 0;
}

static void push(struct defer_drop_queue *queue, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		answers(0, defer_drop_queue_push(queue, NULL, note, 0));
}

/* ---- Pushes ---------------------------------------------------------------------------------- */

Test(pending, is_signalled_once_when_an_empty_queue_gets_a_drop)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(runners[i % 2], 16, lanes_tried[i / 2]);

		cr_assert_eq(signals(), 0);
		push(queue, 1);
		cr_assert_eq(signals(), 1);
		/* The queue is not empty. */
		push(queue, 10);
		cr_assert_eq(signals(), 0);
		end(queue);
	}
}

Test(pending, is_signalled_again_after_a_drain_that_emptied_the_queue)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(runners[i % 2], 16, lanes_tried[i / 2]);

		for (unsigned round = 1; round < 50; round++) {
			push(queue, 1 + round % 5);
			cr_assert_eq(signals(), 1, "in round %u", round);
			drain(queue, UINT64_MAX);
			cr_assert_eq(signals(), 0, "in round %u", round);
		}
		/* A drain of nothing changes nothing. */
		drain(queue, UINT64_MAX);
		drain(queue, 0);
		cr_assert_eq(signals(), 0);
		push(queue, 1);
		cr_assert_eq(signals(), 1);
		end(queue);
	}
}

Test(pending, is_signalled_by_pushes_of_all_kinds)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make(CALLER, 16, lanes_tried[shared]);
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct defer_drop_ticket ticket;
		void *objects[3] = {NULL};

		options.bytes = 10;
		answers(0, defer_drop_queue_push_with(queue, NULL, note, 0, &options));
		cr_assert_eq(signals(), 1);
		drain(queue, UINT64_MAX);
		answers(0, defer_drop_queue_push_many(queue, objects, 3, note, 0, NULL, NULL));
		cr_assert_eq(signals(), 1);
		drain(queue, UINT64_MAX);
		answers(0, push_ticket(queue, NULL, note, FOREVER, &ticket));
		cr_assert_eq(signals(), 1);
		drain(queue, UINT64_MAX);
		cr_assert_eq(signals(), 0);
		end(queue);
	}
}

Test(pending, is_not_signalled_by_a_push_that_is_refused)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make(CALLER, 4, lanes_tried[shared]);

		answers(-EINVAL, defer_drop_queue_push(queue, NULL, NULL, 0));
		cr_assert_eq(signals(), 0);
		push(queue, 4);
		cr_assert_eq(signals(), 1);
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		cr_assert_eq(signals(), 0);
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		cr_assert_eq(signals(), 0);
		answers(-ESHUTDOWN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		cr_assert_eq(signals(), 0);
		answers(0, defer_drop_queue_free(queue));
		close(signalled);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void *push_one(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, NULL, note, 0));
}

Test(pending, is_signalled_once_for_all_threads)
{
	struct defer_drop_queue *queue = make(CALLER, 16, LANES);

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++)
			cr_assert_null(join_thread(spawn(push_one, queue)));
		cr_assert_eq(signals(), 1);
		drain(queue, UINT64_MAX);
	}
	end(queue);
}

Test(pending, leaves_errno_alone)
{
	struct defer_drop_queue *queue = make(CALLER, 16, LANES);

	errno = 77;
	push(queue, 1);
	drain(queue, UINT64_MAX);
	push(queue, 1);
	cr_assert_eq(errno, 77);
	end(queue);
}

Test(pending, that_is_full_holds_no_thread_up)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	uint64_t most = UINT64_MAX - 1;
	struct defer_drop_queue *queue;

	signalled = eventfd(0, 0); /* a write to it would block */
	cr_assert_eq(write(signalled, &most, sizeof most), sizeof most);
	config.runner = CALLER;
	config.pending_eventfd = signalled;
	queue = create_queue(&config);
	push(queue, 1);
	drain(queue, UINT64_MAX);
	push(queue, 2);
	drain(queue, 1);
	end(queue);
	cr_assert_eq(atomic_load(&seen_count), 3);
}

/* ---- Drains that leave something ------------------------------------------------------------- */

Test(pending, is_signalled_when_a_drain_leaves_something)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(runners[i % 2], 16, lanes_tried[i / 2]);

		push(queue, 5);
		cr_assert_eq(signals(), 1);
		for (unsigned pending = 4; pending; pending--) {
			drain(queue, 1);
			cr_assert_eq(signals(), 1, "with %u pending", pending);
		}
		drain(queue, 1);
		cr_assert_eq(signals(), 0, "with none");
		push(queue, 1);
		cr_assert_eq(signals(), 1);
		end(queue);
	}
}

Test(pending, is_signalled_when_a_drain_has_no_time_for_all)
{
	struct defer_drop_queue *queue = make(CALLER, 16, LANES);

	push(queue, 5);
	cr_assert_eq(signals(), 1);
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, 0, NULL));
	cr_assert_eq(signals(), 1);
	drain(queue, 0);
	cr_assert_eq(signals(), 1);
	end(queue);
	cr_assert_eq(atomic_load(&seen_count), 5);
}

static void push_another(void *object)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, push_one, object) || pthread_join(thread, NULL))
		abort();
}

/* The drop comes while the drain runs the last one that it may run. */
Test(pending, is_signalled_for_a_drop_that_comes_during_a_drain_and_stays)
{
	struct defer_drop_queue *queue = make(CALLER, 16, LANES);

	answers(0, defer_drop_queue_push(queue, queue, push_another, 0));
	cr_assert_eq(signals(), 1);
	drain(queue, 1);
	cr_assert_eq(defer_drop_queue_backlog(queue), 1);
	cr_assert_geq(signals(), 1);
	drain(queue, UINT64_MAX);
	cr_assert_eq(signals(), 0);
	end(queue);
}

Test(pending, is_not_signalled_for_nested_drops_that_the_drain_runs)
{
	nest = make(CALLER, 16, LANES);
	answers(0, defer_drop_queue_push(nest, number(5), descend, 0));
	cr_assert_eq(signals(), 1);
	drain(nest, UINT64_MAX);
	cr_assert_eq(atomic_load(&seen_count), 6);
	cr_assert_eq(signals(), 0);
	end(nest);
}

Test(pending, is_signalled_for_nested_drops_that_the_drain_leaves)
{
	nest = make(CALLER, 16, LANES);
	answers(0, defer_drop_queue_push(nest, number(5), descend, 0));
	cr_assert_eq(signals(), 1);
	drain(nest, 3);
	cr_assert_eq(atomic_load(&seen_count), 3);
	cr_assert_eq(signals(), 1);
	drain(nest, 3);
	cr_assert_eq(signals(), 0);
	end(nest);
}

Test(pending, a_drain_that_answers_ebusy_is_told_when_the_other_one_leaves_something)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(runners[i], 16, LANES);
		pthread_t thread;
		struct gate gate;

		gate_init(&gate);
		answers(0, defer_drop_queue_push(queue, &gate, pass_gate, 0));
		push(queue, 1);
		cr_assert_eq(signals(), 1);
		thread = spawn(drain_one_in_thread, queue);
		await_held(&gate);
		answers(-EBUSY, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
		cr_assert_eq(signals(), 0);
		let_go(&gate);
		cr_assert_null(join_thread(thread));
		cr_assert_geq(signals(), 1);
		drain(queue, UINT64_MAX);
		cr_assert_eq(signals(), 0);
		end(queue);
	}
}

Test(pending, a_drain_that_answers_ebusy_is_not_told_if_the_other_one_leaves_nothing)
{
	struct defer_drop_queue *queue = make(CALLER, 16, LANES);
	pthread_t thread;
	struct gate gate;

	gate_init(&gate);
	answers(0, defer_drop_queue_push(queue, &gate, pass_gate, 0));
	cr_assert_eq(signals(), 1);
	thread = spawn(drain_in_thread, queue);
	await_held(&gate);
	answers(-EBUSY, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	cr_assert_eq(signals(), 0);
	push(queue, 1);
	cr_assert_eq(signals(), 1);
	end(queue);
}

Test(pending, is_signalled_when_a_wait_that_drains_leaves_something)
{
	struct defer_drop_queue *queue = make(CALLER, 16, LANES);
	struct defer_drop_ticket ticket;

	answers(0, push_ticket(queue, NULL, note, 0, &ticket));
	push(queue, 2);
	cr_assert_eq(signals(), 1);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	cr_assert_eq(defer_drop_queue_backlog(queue), 2);
	cr_assert_eq(signals(), 1);
	answers(0, defer_drop_queue_wait_backlog(queue, 1, UINT64_MAX, FOREVER));
	cr_assert_eq(signals(), 1);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(signals(), 0);
	push(queue, 1);
	cr_assert_eq(signals(), 1);
	end(queue);
}

/* ---- An event loop --------------------------------------------------------------------------- */

#define PRODUCERS 3
#define EACH      3000

static void *produce(void *argument)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < EACH; i++)
		wrong += defer_drop_queue_push(argument, NULL, note, FOREVER) != 0;
	return number(wrong);
}

/* Waits without a deadline: a missing signal would leave this thread and the producers waiting. */
static void loop(struct defer_drop_queue *queue, uint64_t max_drops)
{
	struct pollfd readable = {.fd = signalled, .events = POLLIN};

	while (atomic_load(&seen_count) < PRODUCERS * EACH) {
		cr_assert_eq(poll(&readable, 1, -1), 1);
		signals();
		drain(queue, max_drops);
	}
}

Test(pending, an_event_loop_that_knows_no_more_misses_nothing)
{
	for (unsigned i = 0; i < 8; i++) {
		struct defer_drop_queue *queue = make(runners[i & 1], 8, lanes_tried[i >> 1 & 1]);
		pthread_t threads[PRODUCERS];

		atomic_store(&seen_count, 0);
		for (unsigned j = 0; j < PRODUCERS; j++)
			threads[j] = spawn(produce, queue);
		loop(queue, i >> 2 ? 3 : UINT64_MAX);
		for (unsigned j = 0; j < PRODUCERS; j++)
			cr_assert_null(join_thread(threads[j]));
		end(queue);
	}
}

/* ---- Elsewhere ------------------------------------------------------------------------------- */

Test(pending, is_signalled_while_the_queue_is_stopped)
{
	struct defer_drop_queue *queue = make(CALLER, 16, LANES);

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	push(queue, 2);
	cr_assert_geq(signals(), 1);
	drain(queue, 1);
	cr_assert_eq(signals(), 1);
	drain(queue, 1);
	cr_assert_eq(signals(), 0);
	push(queue, 1);
	cr_assert_eq(signals(), 1);
	answers(0, defer_drop_queue_start(queue));
	drain(queue, UINT64_MAX);
	signals();
	push(queue, 1);
	cr_assert_eq(signals(), 1);
	end(queue);
	cr_assert_eq(atomic_load(&seen_count), 4);
}

Test(pending, of_the_default_queue)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	signalled = eventfd(0, EFD_NONBLOCK);
	config.runner = DRAINER;
	config.pending_eventfd = signalled;
	answers(0, defer_drop_start(&config));
	for (unsigned i = 0; i < 3; i++) {
		answers(0, defer_drop(NULL, note));
		answers(0, defer_drop_bytes(NULL, note, 10));
		cr_assert_eq(signals(), 1);
		drain(defer_drop_queue_default(), UINT64_MAX);
		cr_assert_eq(signals(), 0);
	}
	answers(0, defer_drop_shutdown());
	cr_assert_eq(atomic_load(&seen_count), 6);
}

Test(pending, belongs_to_a_queue_that_callers_drain)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.pending_eventfd = eventfd(0, 0);
	answers(-EINVAL, defer_drop_queue_create(&queue, &config));
	config.runner = CALLER;
	config.pending_eventfd = -2;
	answers(-EINVAL, defer_drop_queue_create(&queue, &config));
	config.pending_eventfd = eventfd(0, 0);
	close(config.pending_eventfd);
	answers(-EINVAL, defer_drop_queue_create(&queue, &config));
}
