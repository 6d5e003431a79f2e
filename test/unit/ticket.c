/* SPDX-License-Identifier: MIT
 *
 * Tickets: poll, wait, notify.
 */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#define CALLER  DEFER_DROP_RUNNER_CALLER
#define WORKER  DEFER_DROP_RUNNER_WORKER
#define FOREVER DEFER_DROP_FOREVER
#define MS      UINT64_C(1000000)

static const uint32_t lanes_tried[] = {0, DEFER_DROP_NO_LANES};

TestSuite(ticket, .timeout = 60);

static struct defer_drop_ticket push_ticket(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy)
{
	struct defer_drop_ticket ticket;

	answers(0, defer_drop_queue_push_ticket(queue, object, destroy, FOREVER, &ticket));
	return ticket;
}

/* How often an eventfd was signalled since the last look. */
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

/* ---- Poll and wait --------------------------------------------------------------------------- */

Test(ticket, a_drop_is_done_when_its_destructor_has_returned)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 8, lanes_tried[shared]);
		struct defer_drop_ticket first = push_ticket(queue, number(0), note);
		struct defer_drop_ticket second = push_ticket(queue, number(1), note);

		answers(-EINPROGRESS, defer_drop_ticket_poll(&first));
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(0, defer_drop_ticket_poll(&first));
		answers(-EINPROGRESS, defer_drop_ticket_poll(&second));
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(0, defer_drop_ticket_poll(&second));
		/* It stays done, for as long as the queue is there. */
		for (unsigned i = 0; i < 100; i++)
			answers(0, defer_drop_queue_push(queue, NULL, note) |
					   defer_drop_queue_flush(queue, FOREVER));
		answers(0, defer_drop_ticket_poll(&first));
		answers(0, defer_drop_queue_shutdown(queue, 0, 0, NULL));
		answers(0, defer_drop_ticket_poll(&first));
		answers(0, defer_drop_ticket_wait(&second, 0));
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(ticket, what_is_done_stays_done_when_its_place_is_taken_again)
{
	for (uint32_t queue_size = 2; queue_size <= 256; queue_size *= 2) {
		struct defer_drop_queue *queue = make_queue(CALLER, queue_size, 0);
		struct defer_drop_ticket tickets[256];

		for (uint32_t i = 0; i < queue_size; i++)
			tickets[i] = push_ticket(queue, NULL, note);
		for (uint32_t i = 0; i < queue_size; i++) {
			answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
			answers(0, defer_drop_ticket_poll(&tickets[i]));
			answers(0, defer_drop_queue_push_try(queue, NULL, note));
			answers(0, defer_drop_ticket_poll(&tickets[i]));
			answers(0, defer_drop_ticket_wait(&tickets[i], 0));
		}
		end_queue(queue);
	}
}

Test(ticket, what_is_done_stays_done_while_the_worker_is_busy)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, 0);
	struct defer_drop_ticket tickets[3];
	int results[3];
	struct gate first;
	struct gate second;

	hold_up(queue, &first);
	for (unsigned i = 0; i < 3; i++)
		tickets[i] = push_ticket(queue, NULL, note);
	gate_init(&second);
	answers(0, defer_drop_queue_push(queue, &second, pass_gate));
	while (!defer_drop_queue_push_try(queue, NULL, note))
		;
	let_go(&first);
	await_semaphore(&second.entered);
	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_ticket_poll(&tickets[i]));
	/* Their places are free: others take them. */
	while (!defer_drop_queue_push_try(queue, NULL, note))
		;
	for (unsigned i = 0; i < 3; i++)
		results[i] = defer_drop_ticket_poll(&tickets[i]);
	sem_post(&second.open);
	for (unsigned i = 0; i < 3; i++)
		answers(0, results[i]);
	end_queue(queue);
}

Test(ticket, what_is_done_stays_done_when_what_follows_is_abandoned)
{
	for (uint32_t drained = 1; drained <= 64; drained++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 64, 0);
		struct defer_drop_ticket ticket = {0};

		for (uint32_t i = 0; i < 64; i++) {
			if (i + 1 == drained)
				ticket = push_ticket(queue, NULL, note);
			else
				answers(0, defer_drop_queue_push(queue, NULL, note));
		}
		answers(0, defer_drop_queue_drain(queue, drained, FOREVER, NULL));
		for (uint32_t i = 0; i < drained; i++)
			answers(0, defer_drop_queue_push_try(queue, NULL, note));
		answers(0, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_ABANDON, 0, NULL));
		answers(0, defer_drop_ticket_poll(&ticket));
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(ticket, a_drop_is_in_progress_while_its_destructor_runs)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, 0);
	struct defer_drop_ticket ticket;
	uint64_t since_ns;
	struct gate gate;

	gate_init(&gate);
	ticket = push_ticket(queue, &gate, pass_gate);
	await_semaphore(&gate.entered);
	answers(-EINPROGRESS, defer_drop_ticket_poll(&ticket));
	answers(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, 0));
	since_ns = dd_now_ns();
	answers(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, 2 * MS));
	cr_assert_geq(dd_now_ns() - since_ns, 2 * MS);
	let_go(&gate);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	answers(0, defer_drop_ticket_poll(&ticket));
	end_queue(queue);
}

Test(ticket, a_wait_does_not_wait_for_later_drops)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, number(0), note);
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
	struct defer_drop_queue *queue = make_queue(WORKER, 16, 0);
	struct defer_drop_ticket tickets[8];
	pthread_t threads[8];
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 8; i++) {
		tickets[i] = push_ticket(queue, NULL, note);
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
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket;

	answers(0, defer_drop_queue_push(queue, number(0), note));
	ticket = push_ticket(queue, number(1), note);
	answers(0, defer_drop_queue_push(queue, number(2), note));
	answers(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, 0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	assert_seen(0, 2);
	end_queue(queue);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

Test(ticket, push_ticket_refuses_what_is_wrong_and_leaves_the_ticket_alone)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 2, 0);
	struct defer_drop_ticket ticket;
	struct defer_drop_ticket before;

	memset(&before, 0x5a, sizeof before);
	ticket = before;
	answers(-EINVAL, defer_drop_queue_push_ticket(NULL, NULL, forbidden, 0, &ticket));
	answers(-EINVAL, defer_drop_queue_push_ticket(queue, NULL, NULL, 0, &ticket));
	answers(-EINVAL, defer_drop_queue_push_ticket(queue, NULL, forbidden, 0, NULL));
	answers(-EOVERFLOW,
		defer_drop_queue_push_ticket(queue, NULL, forbidden, FOREVER - 1, &ticket));
	answers(0, defer_drop_queue_push(queue, NULL, note));
	answers(0, defer_drop_queue_push(queue, NULL, note));
	answers(-ETIMEDOUT, defer_drop_queue_push_ticket(queue, NULL, forbidden, 0, &ticket));
	answers(-ETIMEDOUT, defer_drop_queue_push_ticket(queue, NULL, forbidden, MS, &ticket));
	answers(0, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL));
	answers(-ESHUTDOWN, defer_drop_queue_push_ticket(queue, NULL, forbidden, 0, &ticket));
	cr_assert_arr_eq(&ticket, &before, sizeof ticket);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, what_is_no_ticket_answers_einval)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket none = {0};
	struct defer_drop_ticket wrong = push_ticket(queue, NULL, note);
	int signalled = make_eventfd();

	wrong.lane = 1000;
	answers(-EINVAL, defer_drop_ticket_poll(NULL));
	answers(-EINVAL, defer_drop_ticket_poll(&none));
	answers(-EINVAL, defer_drop_ticket_poll(&wrong));
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
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);

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
		struct defer_drop_ticket done = push_ticket(queue, NULL, note);
		struct defer_drop_ticket left;

		answers(0, defer_drop_queue_flush(queue, FOREVER));
		left = push_ticket(queue, NULL, forbidden);
		answers(0, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_ABANDON, 0, NULL));
		answers(0, defer_drop_ticket_poll(&done));
		answers(0, defer_drop_ticket_wait(&done, FOREVER));
		answers(-ESHUTDOWN, defer_drop_ticket_poll(&left));
		answers(-ESHUTDOWN, defer_drop_ticket_wait(&left, 0));
		answers(-ESHUTDOWN, defer_drop_ticket_wait(&left, FOREVER));
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void *abandon(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_shutdown(
		argument, DEFER_DROP_SHUTDOWN_ABANDON, 0, NULL));
}

Test(ticket, a_wait_ends_with_eshutdown_when_its_drop_is_abandoned)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 8, 0);
	struct defer_drop_ticket ticket;
	pthread_t waiter;
	pthread_t closer;
	struct gate gate;

	hold_up(queue, &gate);
	ticket = push_ticket(queue, NULL, forbidden);
	waiter = spawn(wait_for_ticket, &ticket);
	await(has_waiter(queue));
	closer = spawn(abandon, queue);
	await(dd_queue_state(queue) == DD_CLOSING);
	let_go(&gate);
	cr_assert_eq(join_thread(waiter), number(ESHUTDOWN));
	cr_assert_null(join_thread(closer));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, a_ticket_from_before_a_fork_answers_estale)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);
	int signalled = make_eventfd();
	pid_t child = fork();

	if (!child) {
		struct defer_drop_ticket own;

		if (defer_drop_ticket_poll(&ticket) != -ESTALE ||
			defer_drop_ticket_wait(&ticket, FOREVER) != -ESTALE ||
			defer_drop_ticket_notify(&ticket, signalled) != -ESTALE)
			_exit(1);
		if (defer_drop_queue_push_ticket(queue, NULL, note, 0, &own) ||
			defer_drop_ticket_poll(&own) != -EINPROGRESS ||
			defer_drop_ticket_wait(&own, FOREVER))
			_exit(2);
		_exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	cr_assert_eq(signals_of(signalled), 0);
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	end_queue(queue);
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

	inside->results[0] = defer_drop_queue_push_ticket(
		inside->queue, number(0), note, FOREVER, &inside->nested);
	inside->results[1] = defer_drop_ticket_wait(&inside->nested, FOREVER);
	inside->results[2] = defer_drop_ticket_poll(&inside->nested);
	inside->results[3] = defer_drop_queue_ticket(inside->queue, &own);
}

static void assert_nested_ticket(uint32_t runner, uint32_t max_lanes)
{
	struct inside inside = {.queue = make_queue(runner, 8, max_lanes)};
	struct gate gate;

	atomic_store(&seen_count, 0);
	gate_init(&gate);
	/* Under a gate, so that the ticket is filled in before the destructor looks at it. */
	answers(0, defer_drop_queue_push(inside.queue, &gate, pass_gate));
	inside.outer = push_ticket(inside.queue, &inside, ask);
	let_go(&gate);
	answers(0, defer_drop_ticket_wait(&inside.outer, FOREVER));
	assert_seen(0, 1);
	answers(0, inside.results[0]);
	answers(-EDEADLK, inside.results[1]);
	answers(-EINPROGRESS, inside.results[2]);
	answers(-EDEADLK, inside.results[3]);
	cr_assert_eq(inside.nested.queue, inside.outer.queue);
	cr_assert_eq(inside.nested.position, inside.outer.position);
	cr_assert_eq(inside.nested.lane, inside.outer.lane);
	answers(0, defer_drop_ticket_poll(&inside.nested));
	end_queue(inside.queue);
}

Test(ticket, a_nested_drop_has_the_ticket_of_the_drop_that_made_it)
{
	assert_nested_ticket(WORKER, 0);
	assert_nested_ticket(WORKER, DEFER_DROP_NO_LANES);
	assert_nested_ticket(CALLER, 0);
	assert_nested_ticket(CALLER, DEFER_DROP_NO_LANES);
}

/* ---- The ticket of a thread ------------------------------------------------------------------ */

Test(ticket, the_ticket_of_a_thread_covers_all_that_it_pushed)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(CALLER, 16, lanes_tried[shared]);
		struct defer_drop_ticket ticket;

		answers(0, defer_drop_queue_ticket(queue, &ticket));
		answers(0, defer_drop_ticket_poll(&ticket));
		for (uintptr_t i = 0; i < 10; i++)
			answers(0, defer_drop_queue_push(queue, number(i), note));
		answers(0, defer_drop_queue_ticket(queue, &ticket));
		answers(0, defer_drop_queue_push(queue, number(10), note));
		answers(0, defer_drop_queue_drain(queue, 9, FOREVER, NULL));
		answers(-EINPROGRESS, defer_drop_ticket_poll(&ticket));
		answers(0, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(0, defer_drop_ticket_poll(&ticket));
		end_queue(queue);
	}
}

Test(ticket, the_ticket_of_a_thread_is_to_be_had_from_the_default_queue_first)
{
	struct defer_drop_ticket ticket;

	answers(0, defer_drop_queue_ticket(defer_drop_queue_default(), &ticket));
	answers(0, defer_drop_ticket_poll(&ticket));
	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
}

/* ---- Notify ---------------------------------------------------------------------------------- */

Test(ticket, notify_adds_1_when_it_is_done_and_not_before)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket;
	int signalled = make_eventfd();

	answers(0, defer_drop_queue_push(queue, NULL, note));
	ticket = push_ticket(queue, NULL, note);
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
	struct defer_drop_queue *queue = make_queue(WORKER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);
	int signalled = make_eventfd();

	answers(0, defer_drop_ticket_wait(&ticket, FOREVER));
	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	await_signal(signalled);
	cr_assert_eq(signals_of(signalled), 1);
	answers(0, defer_drop_queue_shutdown(queue, 0, 0, NULL));
	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	cr_assert_eq(signals_of(signalled), 1);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, notify_adds_1_for_each_call)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 32, 0);
	struct defer_drop_ticket ticket;
	int signalled = make_eventfd();
	struct gate gate;

	hold_up(queue, &gate);
	for (unsigned i = 0; i < 10; i++) {
		ticket = push_ticket(queue, NULL, note);
		answers(0, defer_drop_ticket_notify(&ticket, signalled));
		answers(0, defer_drop_ticket_notify(&ticket, signalled));
	}
	cr_assert_eq(signals_of(signalled), 0);
	let_go(&gate);
	answers(0, defer_drop_queue_shutdown(queue, 0, 0, NULL));
	cr_assert_eq(signals_of(signalled), 20);
	answers(0, defer_drop_queue_free(queue));
}

Test(ticket, notify_signals_what_is_abandoned)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, forbidden);
	int signalled = make_eventfd();

	answers(0, defer_drop_ticket_notify(&ticket, signalled));
	answers(0, defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_ABANDON, 0, NULL));
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
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	int kept = make_eventfd();
	unsigned before = count_descriptors();

	for (unsigned i = 0; i < 100; i++) {
		struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);
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
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, number(0), note);
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
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);
	int closed = make_eventfd();

	close(closed);
	answers(-EBADF, defer_drop_ticket_notify(&ticket, closed));
	answers(-EBADF, defer_drop_ticket_notify(&ticket, -1));
	cr_assert_not(has_waiter(queue));
	end_queue(queue);
}

Test(ticket, notify_answers_emfile_and_signals_nothing)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);
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
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);
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
	defer_drop_ticket_poll(argument);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return number(1);
}

static void exit_with_survival(void)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, 0);
	struct defer_drop_ticket ticket = push_ticket(queue, NULL, note);

	defer_drop_queue_flush(queue, FOREVER);
	_exit(join_thread(spawn(notify_cancelled, &ticket)) != number(1));
}

/* In a child: a call that was cancelled may leave locks behind. */
Test(ticket, notify_is_no_cancellation_point)
{
	cr_assert_eq(run_child(exit_with_survival), 0, "the thread ended inside the call");
}
