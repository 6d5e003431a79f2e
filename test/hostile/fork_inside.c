/* SPDX-License-Identifier: MIT
 *
 * Forks from a destructor, a callback and a thread that ends.
 */
#include "forking.h"
#include "core/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Fork from a destructor, a callback, a thread that ends ---------------------------------- */

enum place {
	IN_DESTRUCTOR,
	IN_ERROR,
	IN_WATERMARK,
	PLACES,
};

static struct {
	struct defer_drop_queue *queue;
	struct ledger *ledger; /* each process has its own */
	pthread_t worker;
	unsigned kept; /* in the child */
	bool has_forked;
	pid_t child;
} forking;

static void count_on_worker(void *object)
{
	(void)object;
	CHECK(!forking.has_forked || pthread_equal(pthread_self(), forking.worker));
	ledger_count(forking.ledger);
}

/* A thread of the child, which goes on after the destructor has returned. */
static void *push_ten(void *argument)
{
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, defer_drop_queue_push(forking.queue, NULL, count_on_worker, FOREVER));
	ANSWERS(0, defer_drop_queue_flush(forking.queue, FOREVER));
	CHECK(atomic_load(&forking.ledger->destroyed) == forking.kept + 10);
	exit(0);
	return argument;
}

/* The child returns, and its one thread goes on as the worker. */
static void fork_on_worker(void)
{
	forking.worker = pthread_self();
	forking.has_forked = true;
	forking.child = fork_bounded();
	if (forking.child)
		return;
	forking.ledger = ledger_open();
	spawn(push_ten, NULL);
}

static int fork_among_nested(void *object)
{
	bool fails = object;

	for (unsigned i = 0; i < 2; i++)
		ANSWERS(0, defer_drop_queue_push(forking.queue, NULL, count_on_worker, FOREVER));
	if (!fails)
		fork_on_worker();
	return fails ? -EIO : 0;
}

static void fork_in_error(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	CHECK(failure->status == -EIO);
	fork_on_worker();
}

static void fork_in_watermark(void *context, const struct defer_drop_level *level)
{
	(void)context;
	if (level->is_high && !forking.has_forked)
		fork_on_worker();
}

static void make_forking_queue(enum place place, bool is_kept)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.at_fork = is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;
	config.queue_size = 8; /* just enough */
	config.error = fork_in_error;
	if (place == IN_WATERMARK) {
		config.watermark = fork_in_watermark;
		config.high_drops = 3;
	}
	forking.queue = create_queue(&config);
	forking.ledger = ledger_open();
	forking.kept = is_kept ? 7 : 0;
	forking.has_forked = false;
}

static void fork_inside(enum place place, bool is_kept)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct gate gate = {0};

	make_forking_queue(place, is_kept);
	hold_up(forking.queue, &gate);
	options.destroy_status = fork_among_nested;
	if (place != IN_WATERMARK)
		ANSWERS(0, defer_drop_queue_push_with(forking.queue,
				   place == IN_ERROR ? &gate : NULL, NULL, FOREVER, &options));
	for (unsigned i = place == IN_WATERMARK ? 0 : 2; i < 7; i++)
		ANSWERS(0, defer_drop_queue_push(forking.queue, NULL, count_on_worker, FOREVER));
	atomic_store(&gate.is_open, true);
	ANSWERS(0, defer_drop_queue_flush(forking.queue, FOREVER));
	CHECK(forking.has_forked);
	await_good(forking.child);
	end_queue(forking.queue);
	CHECK(atomic_load(&forking.ledger->destroyed) == 7);
}

static void run_inside(void)
{
	need_ends_in_children();
	for (unsigned i = 0; i < 2 * PLACES; i++)
		fork_inside(i / 2, i % 2);
}

static struct {
	struct defer_drop_queue *queue;
	atomic_bool is_at_rest;
} resting;

/* The last look before the worker falls asleep. */
static void fork_at_rest(void *context, const struct defer_drop_level *level)
{
	pid_t child;

	(void)context;
	if (level->is_high)
		return;
	atomic_store(&resting.is_at_rest, true);
	AWAIT(dd_queue_state(resting.queue) == DD_CLOSING);
	child = fork_bounded();
	if (child)
		await_good(child);
}

/* In the child the worker is the only thread, and its end is the end of the process. */
static void run_at_rest(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct gate gate = {0};

	config.quiet_spell_ns = 1000000;
	config.high_drops = 3;
	config.watermark_interval_ns = DEADLINE_NS; /* except at the last look */
	config.watermark = fork_at_rest;
	resting.queue = create_queue(&config);
	hold_up(resting.queue, &gate);
	for (unsigned i = 0; i < 5; i++)
		ANSWERS(0, defer_drop_queue_push(resting.queue, &open_one, pass_gate, FOREVER));
	atomic_store(&gate.is_open, true);
	AWAIT(atomic_load(&resting.is_at_rest));
	end_queue(resting.queue);
}

static void *drain_in_vain(void *argument)
{
	ANSWERS(-EBUSY, defer_drop_queue_drain(argument, 1, FOREVER, NULL));
	return NULL;
}

/* The child is still inside the drain. */
static void fork_and_be_drained(void *queue)
{
	pid_t child = fork_bounded();

	if (child) {
		await_good(child);
		return;
	}
	join_thread(spawn(drain_in_vain, queue));
	exit(0);
}

static void run_draining(void)
{
	for (unsigned i = 0; i < POLICIES; i++) {
		struct defer_drop_queue *queue =
			make_queue(DEFER_DROP_RUNNER_CALLER, policies[i], 16, LANES);

		ANSWERS(0, defer_drop_queue_push(queue, queue, fork_and_be_drained, FOREVER));
		ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
		end_queue(queue);
	}
}

static pthread_key_t last_words;

/* Once the library has taken this thread's lane back. */
static void fork_when_leaving(void *round)
{
	if (round == (void *)1) {
		CHECK(!pthread_setspecific(last_words, (void *)2));
		return;
	}
	forking.child = fork_bounded();
	if (forking.child)
		return;
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, ledger_push(forking.ledger, forking.queue));
	ANSWERS(0, defer_drop_queue_flush(forking.queue, FOREVER));
	CHECK(atomic_load(&forking.ledger->destroyed) == forking.kept + 3);
	exit(0);
}

static void *push_and_leave(void *argument)
{
	CHECK(!pthread_setspecific(last_words, (void *)1));
	for (unsigned i = 0; i < 7; i++)
		ANSWERS(0, ledger_push(argument, forking.queue));
	return NULL;
}

static void run_leaving(void)
{
	CHECK(!pthread_key_create(&last_words, fork_when_leaving));
	for (unsigned i = 0; i < 2; i++) {
		struct gate gate = {0};

		make_forking_queue(IN_DESTRUCTOR, i);
		hold_up(forking.queue, &gate);
		join_thread(spawn(push_and_leave, forking.ledger));
		await_good(forking.child);
		atomic_store(&gate.is_open, true);
		end_queue(forking.queue);
		CHECK(atomic_load(&forking.ledger->destroyed) == forking.kept + 10);
	}
}

/* The queue that parent and child have. */
static struct defer_drop_queue *both;

/* In a child. The id of this thread may be the one of the parent's worker. */
static void *fork_again(void *argument)
{
	struct ledger *ledger = argument;
	pid_t child = fork_bounded();

	if (child) {
		await_good(child);
		return NULL;
	}
	ANSWERS(0, ledger_push(ledger, both));
	AWAIT(atomic_load(&ledger->destroyed) == 2); /* and no thread flushes */
	exit(0);
}

static void fork_beside_thread(uint32_t at_fork)
{
	struct ledger *ledger = ledger_open();
	pid_t child;

	both = make_queue(DEFER_DROP_RUNNER_WORKER, at_fork, 16, LANES);
	ANSWERS(0, ledger_push(ledger, both));
	ANSWERS(0, defer_drop_queue_flush(both, FOREVER));
	child = fork_bounded();
	if (!child) {
		join_thread(spawn(fork_again, ledger));
		_exit(0);
	}
	await_good(child);
	end_queue(both);
}

static void run_thread_of_child(void)
{
	for (unsigned i = 0; i < POLICIES; i++)
		fork_beside_thread(policies[i]);
}

const struct hostile_case hostile_cases[] = {
	{"inside", "A child that returns from where it forked goes on as the only worker.",
		run_inside},
	{"at_rest",
		"A worker that forks before it falls asleep ends in the child of a queue that "
		"closes.",
		run_at_rest},
	{"draining", "In the child of a drain no other thread may drain.", run_draining},
	{"leaving", "A thread may fork when its lane has been taken back.", run_leaving},
	{"thread_of_child", "No thread of a child is taken for a worker of its parent's.",
		run_thread_of_child},
	{NULL, NULL, NULL},
};
