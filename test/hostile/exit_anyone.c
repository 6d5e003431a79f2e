/* SPDX-License-Identifier: MIT
 *
 * Processes that any thread ends, beside producers: each drop is destroyed in its order, or is
 * counted as left.
 */
#include "ending.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRODUCERS 3

enum who {
	BY_RETURN,
	BY_PRODUCER,
	BY_DESTRUCTOR,
	BY_NESTED,
	BY_LAST_WORDS, /* a destructor of thread-specific data */
	BY_ANYONE,
};

/* The number of drops that a report may say a queue leaves. */
struct bounds {
	unsigned least;
	unsigned most;
};

#define SECOND_DROPS 5

static struct exiting {
	enum who who;
	const struct policy *policy;
	struct bounds *left; /* of each queue; shared with the child */
	/* Of the producers, when exit was called: */
	unsigned accepted;
	unsigned destroyed;
} exiting;

static struct {
	_Atomic(uintptr_t) accepted;
	_Atomic(uintptr_t) destroyed;
	atomic_int answer; /* that ended its pushing, or 1 */
} producers[PRODUCERS];
static atomic_uint nested_destroyed;
static struct defer_drop_queue *second;
static atomic_uint second_destroyed;
static pthread_key_t last_words;

static void note(void *object)
{
	uintptr_t number = (uintptr_t)object / PRODUCERS;
	unsigned producer = (unsigned)((uintptr_t)object % PRODUCERS);

	CHECK(atomic_load(&producers[producer].destroyed) == number);
	atomic_store(&producers[producer].destroyed, number + 1);
}

static bool is_busy(void)
{
	for (unsigned i = 0; i < PRODUCERS; i++)
		if (atomic_load(&producers[i].accepted) < 200)
			return false;
	return true;
}

/* A producer whose ring is full waits, and pushes no more while the gate is closed. */
static bool are_full(void)
{
	for (unsigned i = 1; i < PRODUCERS; i++)
		if (atomic_load(&producers[i].accepted) !=
			atomic_load(&producers[i].destroyed) + QUEUE_SIZE)
			return false;
	return true;
}

static unsigned destroyed_by_now(void)
{
	uintptr_t destroyed = 0;

	for (unsigned i = 0; i < PRODUCERS; i++)
		destroyed += atomic_load(&producers[i].destroyed);
	return (unsigned)destroyed;
}

static unsigned accepted_by_now(void)
{
	uintptr_t accepted = 0;

	for (unsigned i = 0; i < PRODUCERS; i++)
		accepted += atomic_load(&producers[i].accepted);
	return (unsigned)accepted;
}

static void exit_good(void *object)
{
	(void)object;
	if (exiting.policy && exiting.policy->is_held) {
		AWAIT(atomic_load(&gate.is_entered));
		AWAIT(are_full());
	}
	exiting.accepted = accepted_by_now();
	exiting.destroyed = destroyed_by_now();
	exit(GOOD);
}

static void *push_until_refused(void *argument)
{
	unsigned self = (unsigned)(uintptr_t)argument;
	uintptr_t number = 0;
	int result;

	while (!(result = defer_drop((void *)(number * PRODUCERS + self), note))) {
		atomic_store(&producers[self].accepted, ++number);
		if (self || number < 500)
			continue;
		AWAIT(is_busy());
		atomic_store(&producers[self].answer, -ESHUTDOWN); /* it pushes no more */
		if (exiting.who == BY_PRODUCER)
			exit_good(NULL);
		CHECK(!pthread_setspecific(last_words, producers));
		return NULL;
	}
	atomic_store(&producers[self].answer, result);
	return argument;
}

static void count_nested(void *object)
{
	(void)object;
	atomic_fetch_add(&nested_destroyed, 1);
}

static void count_second(void *object)
{
	(void)object;
	atomic_fetch_add(&second_destroyed, 1);
}

/* The drops behind the one that ends the process have their turn too, or not. */
static void nest_exit(void *object)
{
	(void)object;
	ANSWERS(0, defer_drop(NULL, count_nested));
	ANSWERS(0, defer_drop(NULL, exit_good));
	ANSWERS(0, defer_drop(NULL, count_nested));
}

/* What the default queue may report once no thread pushes any more. */
static void bound_default(uint64_t accepted, uint64_t destroyed)
{
	struct bounds *left = &exiting.left[0];

	left->least = left->most = (unsigned)(accepted - destroyed);
	if (exiting.who == BY_DESTRUCTOR || exiting.who == BY_NESTED || exiting.policy->is_held)
		return;
	/* Producers and worker went on beside the report: what had been accepted before exit and
	 * is still there was counted, what had been destroyed before was not; except for one whose
	 * destructor had not returned. */
	left->most = (unsigned)accepted - exiting.destroyed + 1;
	left->least = exiting.accepted > destroyed ? exiting.accepted - (unsigned)destroyed : 0;
}

/* After the library has had its turn: every push was destroyed or counted. */
static void settle(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	bool drains = exiting.policy->drains;
	uint64_t accepted = exiting.who == BY_DESTRUCTOR ? 1 : exiting.who == BY_NESTED ? 4 : 0;
	uint64_t destroyed = exiting.who == BY_DESTRUCTOR ? 1 : exiting.who == BY_NESTED ? 2 : 0;
	struct defer_drop_stats stats;

	for (unsigned i = 0; i < PRODUCERS; i++)
		AWAIT(atomic_load(&producers[i].answer) == -ESHUTDOWN);
	accepted += accepted_by_now() + exiting.policy->is_held;
	if (exiting.policy->is_held) {
		bound_default(accepted, destroyed_by_now());
		atomic_store(&gate.is_open, true);
		destroyed++;
	}
	AWAIT(!stats_of(queue).backlog); /* an exit whose time is over leaves the worker behind */
	ANSWERS(-ESHUTDOWN, defer_drop(NULL, note));
	ANSWERS(-ESHUTDOWN, defer_drop_start(NULL));
	destroyed += destroyed_by_now() + atomic_load(&nested_destroyed);
	if (!exiting.policy->is_held)
		bound_default(accepted, destroyed);
	stats = stats_of(queue);
	CHECK(stats.pushed_total == accepted && stats.destroyed_total == destroyed);
	CHECK(stats.abandoned_total == accepted - destroyed);
	CHECK(!drains || !stats.abandoned_total);
	CHECK(exiting.who != BY_NESTED || atomic_load(&nested_destroyed) == 1u + drains);
}

static void settle_second(void)
{
	struct defer_drop_stats stats = stats_of(second);
	unsigned destroyed = atomic_load(&second_destroyed);

	CHECK(stats.pushed_total == SECOND_DROPS && !stats.backlog);
	CHECK(stats.destroyed_total == destroyed);
	CHECK(stats.abandoned_total == SECOND_DROPS - destroyed);
	CHECK(!exiting.policy->drains || destroyed == SECOND_DROPS);
	exiting.left[1].least = exiting.left[1].most = SECOND_DROPS - destroyed;
}

static void make_second(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	config.name = "second";
	config.exit_timeout_ns = exiting.policy->exit_timeout_ns;
	second = create_queue(&config);
	for (unsigned i = 0; i < SECOND_DROPS; i++)
		ANSWERS(0, defer_drop_queue_push(second, NULL, count_second, FOREVER));
}

static void exit_beside_producers(void *argument)
{
	(void)argument;
	set_options(exiting.policy->options);
	CHECK(!atexit(settle));
	CHECK(!atexit(settle_second));
	make_second();
	CHECK(!pthread_key_create(&last_words, exiting.who == BY_LAST_WORDS ? exit_good : ignore));
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		spawn_detached(push_until_refused, (void *)i);
	AWAIT(is_busy());
	if (exiting.policy->is_held) {
		AWAIT(atomic_load(&producers[0].answer)); /* the child itself must not be held up */
		hold_up_default();
	}
	if (exiting.who == BY_RETURN)
		exit_good(NULL);
	if (exiting.who == BY_DESTRUCTOR)
		ANSWERS(0, defer_drop(NULL, exit_good));
	if (exiting.who == BY_NESTED)
		ANSWERS(0, defer_drop(NULL, nest_exit));
	for (;;)
		pause();
}

static void check_exit(void)
{
	bool is_reported = reports(exiting.policy);
	unsigned left[QUEUES];
	struct outcome outcome;

	run_child(&outcome, exit_beside_producers, NULL);
	fprintf(stderr, "%s", outcome.words);
	CHECK(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == GOOD);
	read_report(&outcome, left);
	for (unsigned i = 0; i < QUEUES; i++) {
		CHECK(left[i] >= (is_reported ? exiting.left[i].least : 0));
		CHECK(left[i] <= (is_reported ? exiting.left[i].most : 0));
	}
}

static void run_anyone(void)
{
	exiting.left = share_memory(QUEUES * sizeof *exiting.left);
	for (exiting.who = 0; exiting.who < BY_ANYONE; exiting.who++) {
		bool is_worker = exiting.who == BY_DESTRUCTOR || exiting.who == BY_NESTED;

		for (unsigned i = 0; i < POLICIES; i++) {
			exiting.policy = &exit_policies[i];
			if (!is_worker || !exit_policies[i].is_held)
				check_exit();
		}
	}
	exiting.policy = NULL;
}

const struct hostile_case hostile_cases[] = {
	{"anyone",
		"Any thread may end the process beside producers: every accepted drop is destroyed "
		"in its order or counted as left.",
		run_anyone},
	{NULL, NULL, NULL},
};
