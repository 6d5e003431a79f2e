/* SPDX-License-Identifier: MIT
 *
 * A destructor does not return, threads wait in every way for the drops behind it, and several
 * others shut the queue down with little time: it is given up, and all waits return. Then the
 * destructor returns, and the queue is joined and freed: each drop was destroyed or abandoned, as
 * its completion, guard and eventfd say.
 */
#include "stress.h"

#include <defer_drop/guard.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CLOSERS    3
#define DROPS      3   /* behind the destructor, of each thread that waits */
#define MAX_BYTES  100 /* pending */
#define STATUS     (-5)
#define LONGEST_NS 2000000

/* How a thread waits. */
enum wait {
	IN_PUSH,
	IN_BUDGET,
	IN_FLUSH,
	IN_TICKET,
	IN_COMPLETION,
	IN_BACKLOG,
	IN_GUARD,
	IN_STOP,
	IN_SHUTDOWN,
	WAITS,
};

struct waiter {
	pthread_t thread;
	struct stuck *stuck;
	enum wait wait;
	atomic_uint accepted;
	atomic_bool has_begun; /* to wait, or is about to */
	atomic_bool is_told;   /* its answer, as it was checked */
	struct defer_drop_ticket ticket;
	struct defer_drop_completion completion;
	struct defer_drop_guard guard;
	int eventfd; /* signalled for the ticket */
};

struct closer {
	pthread_t thread;
	struct stuck *stuck;
	uint64_t timeout_ns;
};

/* A queue whose destructor does not return, until it is let go. */
static struct stuck {
	struct defer_drop_queue *queue;
	uint32_t runner;
	atomic_bool is_entered;
	atomic_bool is_let_go;
	unsigned nested; /* drops of that destructor's that were accepted */
	struct defer_drop_completion completion;
	struct defer_drop_ticket ticket;
	struct defer_drop_strategy_queue strategy;
	pthread_t drainer;
	/* By destructors. Plain on purpose: the library's edges must order it. */
	unsigned destroyed;
	pthread_barrier_t all_have_pushed; /* before rings are filled */
	unsigned waiters_count;
	struct waiter waiters[MAX_PRODUCERS];
	struct closer closers[CLOSERS];
} stuck;

/* ---- Destructors ----------------------------------------------------------------------------- */

static void count(void *object)
{
	struct stuck *self = object;

	self->destroyed++;
}

static int count_with_status(void *object)
{
	count(object);
	return STATUS;
}

static int stand(void *object)
{
	struct stuck *self = object;

	atomic_store(&self->is_entered, true);
	while (!atomic_load(&self->is_let_go))
		usleep(100);
	for (unsigned i = 0; i < DROPS; i++) {
		int result = defer_drop_queue_push(self->queue, self, count, DEFER_DROP_FOREVER);

		CHECK(!result || result == -ESHUTDOWN);
		self->nested += !result;
	}
	return count_with_status(self);
}

/* ---- Threads that wait ----------------------------------------------------------------------- */

/* A ring of the thread's own is filled; the shared one may be full already. */
static int wait_in_push(struct waiter *waiter)
{
	struct stuck *self = waiter->stuck;
	int result;

	while (!(result = defer_drop_queue_push(self->queue, self, count, 0)))
		atomic_fetch_add(&waiter->accepted, 1);
	CHECK(result == -EAGAIN || result == -ESHUTDOWN);
	atomic_store(&waiter->has_begun, true);
	return defer_drop_queue_push(self->queue, self, count, DEFER_DROP_FOREVER);
}

static int wait_in_budget(struct waiter *waiter)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = MAX_BYTES;
	return defer_drop_queue_push_with(
		waiter->stuck->queue, waiter->stuck, count, DEFER_DROP_FOREVER, &options);
}

static int wait_in_guard(struct waiter *waiter)
{
	struct defer_drop_guard *const guards = &waiter->guard;
	int result = defer_drop_guard_await(&guards, 1, DEFER_DROP_FOREVER);

	CHECK(defer_drop_guard_is_pending(&waiter->guard));
	return result;
}

static int wait_somehow(struct waiter *waiter)
{
	struct defer_drop_queue *queue = waiter->stuck->queue;

	switch (waiter->wait) {
	case IN_PUSH:
		return wait_in_push(waiter);
	case IN_BUDGET:
		return wait_in_budget(waiter);
	case IN_FLUSH:
		return defer_drop_queue_flush(queue, DEFER_DROP_FOREVER);
	case IN_TICKET:
		return defer_drop_ticket_wait(&waiter->ticket, DEFER_DROP_FOREVER);
	case IN_COMPLETION:
		return defer_drop_completion_wait(&waiter->completion, DEFER_DROP_FOREVER, NULL);
	case IN_BACKLOG:
		return defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, DEFER_DROP_FOREVER);
	case IN_GUARD:
		return wait_in_guard(waiter);
	case IN_STOP:
		return defer_drop_queue_stop(queue, DEFER_DROP_FOREVER);
	default:
		return defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER);
	}
}

/* Checks the result of a wait while the destructor has not returned; a shutdown waits for its
 * end. */
static void check_answer(const struct waiter *waiter, int answer)
{
	switch (waiter->wait) {
	case IN_PUSH:
	case IN_BUDGET:
		CHECK(answer == -ESHUTDOWN);
		break;
	case IN_STOP:
		CHECK(answer == -ESHUTDOWN || answer == -EBUSY || !answer);
		CHECK(answer || waiter->stuck->runner != DEFER_DROP_RUNNER_WORKER);
		break;
	case IN_SHUTDOWN:
		CHECK(!answer);
		break;
	default:
		CHECK(answer == -ECANCELED);
	}
}

/* Drops with a ticket and a completion, of which the first signals the eventfd. */
static void push_behind(struct waiter *waiter)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct stuck *self = waiter->stuck;
	void *const objects[DROPS] = {self, self, self};
	size_t pushed;

	options.completion = &waiter->completion;
	options.ticket = &waiter->ticket;
	options.destroy_status = count_with_status;
	CHECK(!defer_drop_queue_push_many(
		self->queue, objects, DROPS, NULL, DEFER_DROP_FOREVER, &options, &pushed));
	CHECK(pushed == DROPS);
	atomic_fetch_add(&waiter->accepted, DROPS);
	CHECK(!defer_drop_ticket_notify(&waiter->ticket, waiter->eventfd));
}

static void drop_guarded(struct waiter *waiter)
{
	struct defer_drop_guard *const guards = &waiter->guard;

	waiter->guard = (struct defer_drop_guard)DEFER_DROP_GUARD_STATUS_INIT(
		waiter->stuck, count_with_status, &waiter->stuck->strategy.strategy);
	CHECK(defer_drop_guard_await(&guards, 1, 0) == -EAGAIN);
	atomic_fetch_add(&waiter->accepted, 1);
}

/* The guard is its thread's until it is over. */
static void await_end(struct waiter *waiter)
{
	struct defer_drop_guard *const guards = &waiter->guard;
	int result;

	while ((result = defer_drop_guard_await(&guards, 1, DEFER_DROP_FOREVER)) == -ECANCELED)
		usleep(100);
	CHECK(result == -ESHUTDOWN);
	CHECK(defer_drop_guard_state(&waiter->guard) == DEFER_DROP_GUARD_EMPTY);
}

static void *run_waiter(void *argument)
{
	struct waiter *waiter = argument;

	push_behind(waiter);
	if (waiter->wait == IN_GUARD)
		drop_guarded(waiter);
	pthread_barrier_wait(&waiter->stuck->all_have_pushed);
	if (waiter->wait != IN_PUSH)
		atomic_store(&waiter->has_begun, true);
	check_answer(waiter, wait_somehow(waiter));
	atomic_store(&waiter->is_told, true);
	if (waiter->wait == IN_GUARD)
		await_end(waiter);
	return NULL;
}

static void start_waiter(struct stress *stress, struct waiter *waiter)
{
	waiter->stuck = &stuck;
	waiter->wait = (enum wait)below(&stress->random, WAITS);
	waiter->completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	waiter->eventfd = eventfd(0, EFD_CLOEXEC);
	CHECK(waiter->eventfd >= 0);
	CHECK(!pthread_create(&waiter->thread, NULL, run_waiter, waiter));
}

/* ---- The end --------------------------------------------------------------------------------- */

static void *close_queue(void *argument)
{
	const struct closer *closer = argument;

	CHECK(defer_drop_queue_shutdown(closer->stuck->queue, closer->timeout_ns) == -ECANCELED);
	CHECK(defer_drop_queue_free(closer->stuck->queue) == -EBUSY);
	return NULL;
}

static void give_up(struct stress *stress)
{
	for (unsigned i = 0; i < CLOSERS; i++) {
		struct closer *closer = &stuck.closers[i];

		closer->stuck = &stuck;
		closer->timeout_ns = some_ns(&stress->random, LONGEST_NS);
		CHECK(!pthread_create(&closer->thread, NULL, close_queue, closer));
	}
	for (unsigned i = 0; i < CLOSERS; i++)
		CHECK(!pthread_join(stuck.closers[i].thread, NULL));
}

/* All waits except shutdowns have returned, while the destructor has not. */
static void await_told(void)
{
	for (unsigned i = 0; i < stuck.waiters_count; i++)
		while (stuck.waiters[i].wait != IN_SHUTDOWN &&
			!atomic_load(&stuck.waiters[i].is_told))
			usleep(100);
	CHECK(defer_drop_queue_shutdown(stuck.queue, 0) == -ECANCELED);
	CHECK(defer_drop_completion_wait(&stuck.completion, 0, NULL) == -ECANCELED);
	CHECK(defer_drop_ticket_wait(&stuck.ticket, DEFER_DROP_FOREVER) == -ECANCELED);
}

static void join_all(void)
{
	for (unsigned i = 0; i < stuck.waiters_count; i++)
		CHECK(!pthread_join(stuck.waiters[i].thread, NULL));
	if (stuck.runner != DEFER_DROP_RUNNER_WORKER)
		CHECK(!pthread_join(stuck.drainer, NULL));
}

/* ---- What became of the drops ---------------------------------------------------------------- */

static void check_waiter(struct waiter *waiter)
{
	struct pollfd readable = {.fd = waiter->eventfd, .events = POLLIN};
	uint64_t signals;

	CHECK(defer_drop_ticket_wait(&waiter->ticket, 0) == -ESHUTDOWN);
	CHECK(defer_drop_completion_wait(&waiter->completion, 0, NULL) == -ESHUTDOWN);
	CHECK(poll(&readable, 1, -1) == 1);
	CHECK(read(waiter->eventfd, &signals, sizeof signals) == sizeof signals && signals == 1);
	close(waiter->eventfd);
}

static void check_stuck(void)
{
	struct defer_drop_stats stats;
	uint64_t accepted = 1 + stuck.nested;
	int status = 1;

	CHECK(!defer_drop_completion_wait(&stuck.completion, 0, &status) && status == STATUS);
	CHECK(!defer_drop_ticket_wait(&stuck.ticket, 0));
	for (unsigned i = 0; i < stuck.waiters_count; i++) {
		accepted += atomic_load(&stuck.waiters[i].accepted);
		check_waiter(&stuck.waiters[i]);
	}
	stats = stats_of(stuck.queue);
	CHECK(stats.pushed_total == accepted && stats.destroyed_total == stuck.destroyed);
	CHECK(stats.abandoned_total == accepted - stuck.destroyed);
	CHECK(!stats.backlog && !stats.backlog_bytes);
	CHECK(stuck.destroyed == 1);
}

/* ---- A round --------------------------------------------------------------------------------- */

static void *drain(void *argument)
{
	struct stuck *self = argument;
	uint64_t destroyed;
	int result =
		defer_drop_queue_drain(self->queue, UINT64_MAX, DEFER_DROP_FOREVER, &destroyed);

	CHECK(!result || result == -ESHUTDOWN);
	CHECK(destroyed == 1);
	return NULL;
}

static void make_stuck_queue(struct stress *stress)
{
	static const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_WORKER,
		DEFER_DROP_RUNNER_CALLER, DEFER_DROP_RUNNER_DRAINER};
	struct defer_drop_config config;

	stuck = (struct stuck){.completion = DEFER_DROP_COMPLETION_INIT};
	stuck.runner = runners[below(&stress->random, 4)];
	stuck.waiters_count = stress->producers;
	CHECK(!pthread_barrier_init(&stuck.all_have_pushed, NULL, stuck.waiters_count));
	config = make_config(stress, stuck.runner);
	/* Room for what is pushed behind, also in the shared lane. */
	config.queue_size = 1024;
	config.max_bytes = MAX_BYTES;
	stuck.queue = create_queue(&config);
	CHECK(!defer_drop_strategy_queue_init(&stuck.strategy, stuck.queue, DEFER_DROP_FOREVER));
}

/* With bytes, so that the budget is full. */
static void get_stuck(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = MAX_BYTES;
	options.completion = &stuck.completion;
	options.ticket = &stuck.ticket;
	options.destroy_status = stand;
	CHECK(!defer_drop_queue_push_with(stuck.queue, &stuck, NULL, 0, &options));
	if (stuck.runner != DEFER_DROP_RUNNER_WORKER)
		CHECK(!pthread_create(&stuck.drainer, NULL, drain, &stuck));
	while (!atomic_load(&stuck.is_entered))
		usleep(100);
}

void scenario_give_up(struct stress *stress)
{
	make_stuck_queue(stress);
	get_stuck();
	for (unsigned i = 0; i < stuck.waiters_count; i++)
		start_waiter(stress, &stuck.waiters[i]);
	for (unsigned i = 0; i < stuck.waiters_count; i++)
		while (!atomic_load(&stuck.waiters[i].has_begun))
			usleep(100);
	give_up(stress);
	await_told();
	atomic_store(&stuck.is_let_go, true);
	CHECK(!defer_drop_queue_shutdown(stuck.queue, DEFER_DROP_FOREVER));
	join_all();
	check_stuck();
	CHECK(!defer_drop_queue_free(stuck.queue));
	CHECK(!pthread_barrier_destroy(&stuck.all_have_pushed));
	CHECK(defer_drop_ticket_wait(&stuck.ticket, 0) == -ESTALE);
}
