/* SPDX-License-Identifier: MIT
 *
 * Tickets: look, wait, notify.
 */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "core/directory.h"

TestSuite(ticket, .timeout = 60);

static struct defer_drop_ticket ticketed(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy)
{
	struct defer_drop_ticket ticket;

	answers(0, push_ticket(queue, object, destroy, FOREVER, &ticket));
	return ticket;
}

/* Returns how often an eventfd was signalled since the last look. */
static uint64_t signals_of(int eventfd_number)
{
	uint64_t count = 0;

	return read(eventfd_number, &count, sizeof count) == sizeof count ? count : 0;
}

static int make_eventfd(void)
{
	int made = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	cr_assert_geq(made, 0);
	return made;
}

static void await_signal(int eventfd_number)
{
	struct pollfd readable = {.fd = eventfd_number, .events = POLLIN};

	await(poll(&readable, 1, 1000) == 1);
}

/* ---- Look and wait --------------------------------------------------------------------------- */

Test(ticket, a_drop_is_done_when_its_destructor_has_returned)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 8, lanes_tried[shared]);
		struct defer_drop_ticket first = ticketed(queue, number(0), note);
		struct defer_drop_ticket second = ticketed(queue, number(1), note);

		answers(-EAGAIN, defer_drop_ticket_wait(&first, 0));
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(0, defer_drop_ticket_wait(&first, 0));
		answers(-EAGAIN, defer_drop_ticket_wait(&second, 0));
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(0, defer_drop_ticket_wait(&second, 0));
		/* It stays done, for as long as the queue is there. */
		for (unsigned i = 0; i < 100; i++)
			answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER) |
					   defer_drop_queue_flush(queue, FOREVER));
		answers(0, defer_drop_ticket_wait(&first, 0));
		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		answers(0, defer_drop_ticket_wait(&first, 0));
		answers(0, defer_drop_ticket_wait(&second, 0));
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(ticket, what_is_done_stays_done_when_its_place_is_taken_again)
{
	for (uint32_t queue_size = 2; queue_size <= 256; queue_size *= 2) {
		struct defer_drop_queue *queue = make_queue(CALLER, queue_size, LANES);
		struct defer_drop_ticket tickets[256];

		for (uint32_t i = 0; i < queue_size; i++)
			tickets[i] = ticketed(queue, NULL, note);
		for (uint32_t i = 0; i < queue_size; i++) {
			answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
			answers(0, defer_drop_ticket_wait(&tickets[i], 0));
			answers(0, defer_drop_queue_push(queue, NULL, note, 0));
			answers(0, defer_drop_ticket_wait(&tickets[i], 0));
		}
		end_queue(queue);
	}
}

Test(ticket, what_is_done_stays_done_while_the_worker_is_busy)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, LANES);
	struct defer_drop_ticket tickets[3];
	int results[3];
	struct gate first;
	struct gate second;

	hold_up(queue, &first);
	for (unsigned i = 0; i < 3; i++)
		tickets[i] = ticketed(queue, NULL, note);
	gate_init(&second);
	answers(0, defer_drop_queue_push(queue, &second, pass_gate, FOREVER));
	while (!defer_drop_queue_push(queue, NULL, note, 0))
		;
	let_go(&first);
	await_semaphore(&second.entered);
	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_ticket_wait(&tickets[i], 0));
	/* Their places are free: others take them. */
	while (!defer_drop_queue_push(queue, NULL, note, 0))
		;
	for (unsigned i = 0; i < 3; i++)
		results[i] = defer_drop_ticket_wait(&tickets[i], 0);
	sem_post(&second.open);
	for (unsigned i = 0; i < 3; i++)
		answers(0, results[i]);
	end_queue(queue);
}

Test(ticket, what_is_done_stays_done_when_what_follows_is_abandoned)
{
	for (uint32_t drained = 1; drained <= 64; drained++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 64, LANES);
		struct defer_drop_ticket ticket = {0};

		for (uint32_t i = 0; i < 64; i++) {
			if (i + 1 == drained)
				ticket = ticketed(queue, NULL, note);
			else
				answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		}
		answers(0, defer_drop_queue_drain(queue, drained, FOREVER, NULL));
		for (uint32_t i = 0; i < drained; i++)
			answers(0, defer_drop_queue_push(queue, NULL, note, 0));
		answers(0, defer_drop_queue_shutdown(queue, 0));
		answers(0, defer_drop_ticket_wait(&ticket, 0));
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(ticket, a_drop_is_in_progress_while_its_destructor_runs)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct defer_drop_ticket ticket;
	uint64_t since_ns;
	struct gate gate;

	gate_init(&gate);
	ticket = ticketed(queue, &gate, pass_gate);
	await_semaphore(&gate.entered);
	answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
	since_ns = dd_now_ns();
	answers(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, 2 * MS));
	cr_assert_geq(dd_now_ns() - since_ns, 2 * MS);
	let_go(&gate);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	answers(0, defer_drop_ticket_wait(&ticket, 0));
	end_queue(queue);
}

Test(ticket, a_wait_does_not_wait_for_later_drops)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, number(0), note);
	struct gate gate;

	hold_up(queue, &gate);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	assert_seen(0, 1);
	let_go(&gate);
	end_queue(queue);
}

static void *wait_for_ticket(void *argument)
{
	return number((uintptr_t)-defer_drop_ticket_wait(argument, FOREVER));
}

Test(ticket, many_threads_wait_and_each_is_woken)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	struct defer_drop_ticket tickets[8];
	pthread_t threads[8];
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 8; i++) {
		tickets[i] = ticketed(queue, NULL, note);
		threads[i] = spawn(wait_for_ticket, &tickets[i]);
	}
	await(has_waiter(queue));
	let_go(&gate);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_null(join_thread(threads[i]));
	end_queue(queue);
}

Test(ticket, a_wait_drains_where_the_caller_drains)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket;

	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	ticket = ticketed(queue, number(1), note);
	answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
	answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	assert_seen(0, 2);
	end_queue(queue);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

Test(ticket, a_push_that_is_refused_leaves_the_ticket_alone)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, LANES);
	struct defer_drop_ticket ticket;
	struct defer_drop_ticket before;

	memset(&before, 0x5a, sizeof before);
	ticket = before;
	answers(-EINVAL, push_ticket(NULL, NULL, forbidden, 0, &ticket));
	answers(-EINVAL, push_ticket(queue, NULL, NULL, 0, &ticket));
	answers(-EOVERFLOW, push_ticket(queue, NULL, forbidden, FOREVER - 1, &ticket));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(-EAGAIN, push_ticket(queue, NULL, forbidden, 0, &ticket));
	answers(-ETIMEDOUT, push_ticket(queue, NULL, forbidden, MS, &ticket));
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(-ESHUTDOWN, push_ticket(queue, NULL, forbidden, 0, &ticket));
	cr_assert_arr_eq(&ticket, &before, sizeof ticket);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, what_is_no_ticket_answers_einval)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket none = {0};
	struct defer_drop_ticket wrong = ticketed(queue, NULL, note);
	int signalled = make_eventfd();

	wrong.lane = 1000;
	answers(-EINVAL, defer_drop_ticket_wait(NULL, 0));
	answers(-EINVAL, defer_drop_ticket_wait(&none, 0));
	answers(-EINVAL, defer_drop_ticket_wait(&wrong, 0));
	answers(-EINVAL, defer_drop_ticket_wait(NULL, 0));
	answers(-EINVAL, defer_drop_ticket_wait(&none, FOREVER));
	answers(-EINVAL, defer_drop_ticket_wait(&wrong, FOREVER));
	answers(-EINVAL, defer_drop_ticket_notify(NULL, signalled));
	answers(-EINVAL, defer_drop_ticket_notify(&none, signalled));
	answers(-EINVAL, defer_drop_ticket_notify(&wrong, signalled));
	answers(-EINVAL, defer_drop_queue_ticket(NULL, &none));
	answers(-EINVAL, defer_drop_queue_ticket(queue, NULL));
	end_queue(queue);
	cr_assert_eq(signals_of(signalled), 0);
}

Test(ticket, a_wait_answers_eoverflow_to_times_that_are_none)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);

	answers(-EOVERFLOW, defer_drop_ticket_wait(&ticket, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EOVERFLOW, defer_drop_ticket_wait(&ticket, FOREVER - 1));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_ticket_wait(&ticket, DEFER_DROP_TIMEOUT_MAX));
	end_queue(queue);
}

Test(ticket, what_was_abandoned_answers_eshutdown)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 8, lanes_tried[i]);
		struct defer_drop_ticket done = ticketed(queue, NULL, note);
		struct defer_drop_ticket left;

		answers(0, defer_drop_queue_flush(queue, FOREVER));
		left = ticketed(queue, NULL, forbidden);
		answers(0, defer_drop_queue_shutdown(queue, 0));
		answers(0, defer_drop_ticket_wait(&done, 0));
		answers(0, defer_drop_ticket_wait(&done, FOREVER));
		answers(-ESHUTDOWN, defer_drop_ticket_wait(&left, 0));
		answers(-ESHUTDOWN, defer_drop_ticket_wait(&left, FOREVER));
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void *abandon(void *argument)
{
	return number((uintptr_t)-shut_down_at_last(argument, 0));
}

Test(ticket, a_wait_ends_with_eshutdown_when_its_drop_is_abandoned)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct defer_drop_ticket ticket;
	pthread_t waiter;
	pthread_t closer;
	struct gate gate;

	hold_up(queue, &gate);
	ticket = ticketed(queue, NULL, forbidden);
	waiter = spawn(wait_for_ticket, &ticket);
	await(has_waiter(queue));
	closer = spawn(abandon, queue);
	await(dd_queue_state(queue) >= DD_CLOSING);
	let_go(&gate);
	cr_assert(is_abandoned(-(int)(uintptr_t)join_thread(waiter)));
	cr_assert_null(join_thread(closer));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, a_ticket_from_before_a_fork_answers_estale)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
	int signalled = make_eventfd();
	pid_t child = fork();

	if (!child) {
		struct defer_drop_ticket own;

		if (defer_drop_ticket_wait(&ticket, 0) != -ESTALE ||
			defer_drop_ticket_wait(&ticket, FOREVER) != -ESTALE ||
			defer_drop_ticket_notify(&ticket, signalled) != -ESTALE)
			_exit(1);
		if (push_ticket(queue, NULL, note, 0, &own) ||
			defer_drop_ticket_wait(&own, 0) != -EAGAIN ||
			defer_drop_ticket_wait(&own, FOREVER))
			_exit(2);
		_exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	cr_assert_eq(signals_of(signalled), 0);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	end_queue(queue);
}

static void assert_stale(const struct defer_drop_ticket *ticket)
{
	int signalled = make_eventfd();

	answers(-ESTALE, defer_drop_ticket_wait(ticket, 0));
	answers(-ESTALE, defer_drop_ticket_wait(ticket, MS));
	answers(-ESTALE, defer_drop_ticket_wait(ticket, FOREVER));
	answers(-ESTALE, defer_drop_ticket_notify(ticket, signalled));
	cr_assert_eq(signals_of(signalled), 0);
	close(signalled);
}

Test(ticket, a_ticket_of_a_queue_that_was_freed_answers_estale)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue =
			make_queue(i % 2 ? WORKER : CALLER, 8, lanes_tried[i / 2]);
		struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
		struct defer_drop_ticket own;

		answers(0, defer_drop_queue_ticket(queue, &own));
		end_queue(queue);
		assert_stale(&ticket);
		assert_stale(&own);
		/* As likely as not at the same address. */
		queue = make_queue(i % 2 ? WORKER : CALLER, 8, lanes_tried[i / 2]);
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		assert_stale(&ticket);
		assert_stale(&own);
		end_queue(queue);
		assert_stale(&ticket);
	}
}

Test(ticket, a_ticket_of_a_queue_that_was_shut_down_is_no_stale_one)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);

	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(0, defer_drop_ticket_wait(&ticket, 0));
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	answers(0, defer_drop_queue_free(queue));
	assert_stale(&ticket);
}

/* Makes and frees queues. Returns how many calls failed. */
static void *push_and_ask(void *argument)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	unsigned wrong = 0;

	config.runner = CALLER;
	config.queue_size = 2;
	while (!atomic_load((atomic_bool *)argument)) {
		struct defer_drop_queue *queue;
		struct defer_drop_ticket ticket;

		if (defer_drop_queue_create(&queue, &config) ||
			push_ticket(queue, NULL, note, 0, &ticket))
			return number(UINTPTR_MAX);
		wrong += defer_drop_ticket_wait(&ticket, 0) != -EAGAIN;
		wrong += defer_drop_queue_shutdown(queue, FOREVER) != 0;
		wrong += defer_drop_ticket_wait(&ticket, 0) != 0;
		wrong += defer_drop_queue_free(queue) != 0;
		wrong += defer_drop_ticket_wait(&ticket, 0) != -ESTALE;
		wrong += defer_drop_ticket_wait(&ticket, FOREVER) != -ESTALE;
	}
	return number(wrong);
}

Test(ticket, a_stale_ticket_may_be_asked_about_while_queues_come_and_go)
{
	static atomic_bool is_over;
	struct defer_drop_queue *queue = make_queue(CALLER, 2, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
	pthread_t threads[2];

	end_queue(queue);
	for (unsigned i = 0; i < 2; i++)
		threads[i] = spawn(push_and_ask, &is_over);
	for (unsigned i = 0; i < 20000; i++)
		answers(-ESTALE, defer_drop_ticket_wait(&ticket, 0));
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_null(join_thread(threads[i]));
}

/* More queues than can be found at a time, so that each takes the place of an earlier one. */
#define SUCCESSORS 6000

static struct defer_drop_ticket succeeded[SUCCESSORS];
static atomic_uint successors;

/* Asks about the queue whose entry the latest one has taken. Returns how many results were
 * wrong. */
static void *ask_beside_successor(void *argument)
{
	uintptr_t wrong = 0;
	unsigned at;

	(void)argument;
	while ((at = atomic_load(&successors)) < SUCCESSORS)
		if (at >= DD_PLACES)
			wrong += defer_drop_ticket_wait(&succeeded[at - DD_PLACES], 0) != -ESTALE;
	return number(wrong);
}

Test(ticket, a_stale_ticket_may_be_asked_about_while_the_queue_in_its_place_is_freed)
{
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		threads[i] = spawn(ask_beside_successor, NULL);
	for (unsigned i = 0; i < SUCCESSORS; i++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 2, 0);

		answers(0, push_ticket(queue, NULL, note, 0, &succeeded[i]));
		atomic_store(&successors, i);
		end_queue(queue);
	}
	atomic_store(&successors, SUCCESSORS);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_null(join_thread(threads[i]));
}

/* ---- Inside destructors ---------------------------------------------------------------------- */

struct inside {
	struct defer_drop_queue *queue;
	struct defer_drop_ticket outer;
	struct defer_drop_ticket nested;
	int results[4];
};

static void ask(void *object)
{
	struct inside *inside = object;
	struct defer_drop_ticket own;

	inside->results[0] = push_ticket(inside->queue, number(0), note, FOREVER, &inside->nested);
	inside->results[1] = defer_drop_ticket_wait(&inside->nested, FOREVER);
	inside->results[2] = defer_drop_ticket_wait(&inside->nested, 0);
	inside->results[3] = defer_drop_queue_ticket(inside->queue, &own);
}

static void assert_nested_ticket(uint32_t runner, uint32_t max_lanes)
{
	struct inside inside = {.queue = make_queue(runner, 8, max_lanes)};
	struct gate gate;

	atomic_store(&seen_count, 0);
	gate_init(&gate);
	/* Under a gate, so that the ticket is filled in before the destructor reads it. */
	answers(0, defer_drop_queue_push(inside.queue, &gate, pass_gate, FOREVER));
	inside.outer = ticketed(inside.queue, &inside, ask);
	let_go(&gate);
	answers(0, defer_drop_ticket_wait(&inside.outer, FOREVER));
	assert_seen(0, 1);
	answers(0, inside.results[0]);
	answers(-EDEADLK, inside.results[1]);
	answers(-EAGAIN, inside.results[2]);
	answers(-EDEADLK, inside.results[3]);
	cr_assert_eq(inside.nested.queue_id, inside.outer.queue_id);
	cr_assert_eq(inside.nested.position, inside.outer.position);
	cr_assert_eq(inside.nested.lane, inside.outer.lane);
	answers(0, defer_drop_ticket_wait(&inside.nested, 0));
	end_queue(inside.queue);
}

Test(ticket, a_nested_drop_has_the_ticket_of_the_drop_that_made_it)
{
	assert_nested_ticket(WORKER, LANES);
	assert_nested_ticket(WORKER, 0);
	assert_nested_ticket(CALLER, LANES);
	assert_nested_ticket(CALLER, 0);
}

static struct defer_drop_ticket looked_at[3];
static int looks[3];

static void look_at_all(void *object)
{
	(void)object;
	for (unsigned i = 0; i < 3; i++)
		looks[i] = defer_drop_ticket_wait(&looked_at[i], 0);
}

Test(ticket, a_destructor_may_look_at_any_ticket)
{
	const uint32_t runners[] = {WORKER, CALLER, DRAINER};

	for (unsigned i = 0; i < 3; i++) {
		struct defer_drop_queue *queue = make_queue(runners[i], 8, LANES);
		struct gate gate;

		gate_init(&gate);
		looked_at[0] = ticketed(queue, NULL, note);
		answers(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
		looked_at[1] = ticketed(queue, NULL, look_at_all);
		looked_at[2] = ticketed(queue, NULL, note);
		let_go(&gate);
		if (runners[i] == WORKER)
			answers(0, defer_drop_queue_flush(queue, LONG_NS));
		else
			answers(0, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
		answers(0, looks[0]);
		answers(-EAGAIN, looks[1]);
		answers(-EAGAIN, looks[2]);
		end_queue(queue);
	}
}

/* ---- The ticket of a thread ------------------------------------------------------------------ */

Test(ticket, the_ticket_of_a_thread_covers_all_that_it_pushed)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[shared]);
		struct defer_drop_ticket ticket;

		answers(0, defer_drop_queue_ticket(queue, &ticket));
		answers(0, defer_drop_ticket_wait(&ticket, 0));
		for (uintptr_t i = 0; i < 10; i++)
			answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
		answers(0, defer_drop_queue_ticket(queue, &ticket));
		answers(0, defer_drop_queue_push(queue, number(10), note, FOREVER));
		answers(0, defer_drop_queue_drain(queue, 9, FOREVER, NULL));
		answers(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(0, defer_drop_ticket_wait(&ticket, 0));
		end_queue(queue);
	}
}

Test(ticket, the_ticket_of_a_thread_is_to_be_had_from_the_default_queue_first)
{
	struct defer_drop_ticket ticket;

	answers(0, defer_drop_queue_ticket(defer_drop_queue_default(), &ticket));
	answers(0, defer_drop_ticket_wait(&ticket, 0));
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
}

/* ---- Notify ---------------------------------------------------------------------------------- */

Test(ticket, notify_adds_1_when_it_is_done_and_not_before)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket;
	int signalled = make_eventfd();

	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	ticket = ticketed(queue, NULL, note);
	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
	cr_assert_eq(signals_of(signalled), 0);
	answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
	cr_assert_eq(signals_of(signalled), 1);
	cr_assert_eq(signals_of(signalled), 0);
	end_queue(queue);
	cr_assert_eq(signals_of(signalled), 0);
}

Test(ticket, notify_signals_at_once_what_is_done)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
	int signalled = make_eventfd();

	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	await_signal(signalled);
	cr_assert_eq(signals_of(signalled), 1);
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	cr_assert_eq(signals_of(signalled), 1);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, notify_adds_1_for_each_call)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 32, LANES);
	struct defer_drop_ticket ticket;
	int signalled = make_eventfd();
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 10; i++) {
		ticket = ticketed(queue, NULL, note);
		answers(0, defer_drop_ticket_notify(&ticket, signalled));
		answers(0, defer_drop_ticket_notify(&ticket, signalled));
	}
	cr_assert_eq(signals_of(signalled), 0);
	let_go(&gate);
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	cr_assert_eq(signals_of(signalled), 20);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, notify_signals_what_is_abandoned)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, forbidden);
	int signalled = make_eventfd();

	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	answers(0, defer_drop_queue_shutdown(queue, 0));
	cr_assert_eq(signals_of(signalled), 1);
	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	cr_assert_eq(signals_of(signalled), 1);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

static unsigned count_descriptors(void)
{
	unsigned count = 0;

	for (int at = 0; at < 1024; at++)
		count += fcntl(at, F_GETFD) >= 0;
	return count;
}

Test(ticket, notify_keeps_a_duplicate_and_gives_it_back)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	int kept = make_eventfd();
	unsigned before = count_descriptors();

	for (unsigned i = 0; i < 100; i++) {
		struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
		int signalled = dup(kept);

		answers(0, defer_drop_ticket_notify(&ticket, signalled));
		close(signalled);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
		cr_assert_eq(signals_of(kept), 1);
	}
	cr_assert_eq(count_descriptors(), before);
	end_queue(queue);
}

Test(ticket, notify_does_not_block_on_an_eventfd_that_is_full)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, number(0), note);
	const uint64_t most = UINT64_MAX - 1;
	int signalled = eventfd(0, 0); /* a write to it would block */

	cr_assert_eq(write(signalled, &most, sizeof most), sizeof most);
	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 1);
	await_signal(signalled);
	end_queue(queue);
}

Test(ticket, notify_answers_ebadf_and_signals_nothing)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
	int closed = make_eventfd();

	close(closed);
	answers(-EBADF, defer_drop_ticket_notify(&ticket, closed));
	answers(-EBADF, defer_drop_ticket_notify(&ticket, -1));
	cr_assert_not(has_waiter(queue));
	end_queue(queue);
}

Test(ticket, notify_answers_emfile_and_signals_nothing)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
	int signalled = make_eventfd();
	struct rlimit before;
	struct rlimit none;

	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = (rlim_t)signalled + 1;
	setrlimit(RLIMIT_NOFILE, &none);
	/* Whatever lies free below. */
	while (dup(signalled) >= 0)
		;
	answers(-EMFILE, defer_drop_ticket_notify(&ticket, signalled));
	setrlimit(RLIMIT_NOFILE, &before);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(signals_of(signalled), 0);
	end_queue(queue);
}

Test(ticket, notify_answers_enomem_and_signals_nothing, .disabled = HAS_SANITIZER)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);
	int signalled = make_eventfd();
	struct block *all;
	int results[2] = {0, 0};

	all = take_memory();
	/* The allocator's caches are empty as well: nothing of this size is left. */
	results[0] = defer_drop_ticket_notify(&ticket, signalled);
	results[1] = defer_drop_ticket_notify(&ticket, signalled);
	give_memory(all);
	answers(-ENOMEM, results[0]);
	answers(-ENOMEM, results[1]);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(signals_of(signalled), 0);
	end_queue(queue);
}

static void *notify_cancelled(void *argument)
{
	int signalled = eventfd(0, EFD_NONBLOCK);

	pthread_cancel(pthread_self());
	defer_drop_ticket_notify(argument, signalled);
	defer_drop_ticket_wait(argument, FOREVER);
	defer_drop_ticket_wait(argument, 0);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return number(1);
}

static void exit_with_survival(void)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
	struct defer_drop_ticket ticket = ticketed(queue, NULL, note);

	defer_drop_queue_flush(queue, FOREVER);
	_exit(join_thread(spawn(notify_cancelled, &ticket)) != number(1));
}

/* In a child: a call that was cancelled may leave locks behind. */
Test(ticket, notify_is_no_cancellation_point)
{
	cr_assert_eq(run_child(exit_with_survival), 0, "the thread ended inside the call");
}
