/* SPDX-License-Identifier: MIT
 *
 * The order in which exit deals with queues, from inside destructors too, and what it waits for.
 */
#include "ending.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Whose turn it is ------------------------------------------------------------------------ */

static struct defer_drop_queue *ending;
static struct defer_drop_queue *other;

static struct defer_drop_queue *make_queue(uint32_t runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.queue_size = 4;
	config.max_lanes = 0;
	return create_queue(&config);
}

/* Waits for room in the queue whose destructor ends the process. */
static void fill_ending(void *object)
{
	int result;

	(void)object;
	do
		result = ledger_push(ledger, ending);
	while (!result && atomic_load(&ledger->accepted) < 100);
	CHECK(!result || result == -ESHUTDOWN);
	atomic_fetch_add(&ledger->mark, 1);
}

static void exit_when_full(void *object)
{
	(void)object;
	ANSWERS(0, defer_drop_queue_push(other, NULL, fill_ending, FOREVER));
	AWAIT(atomic_load(&ledger->accepted) >= 3);
	exit(GOOD);
}

/* The newer of two queues has its turn first, unless the older one must. */
static void exit_while_another_waits(void *is_default)
{
	set_options("queue_size=4,max_lanes=0");
	ending = is_default ? defer_drop_queue_default() : make_queue(DEFER_DROP_RUNNER_WORKER);
	other = make_queue(DEFER_DROP_RUNNER_WORKER);
	ANSWERS(0, defer_drop_queue_push(ending, NULL, exit_when_full, FOREVER));
	for (;;)
		pause();
}

static void exit_default_while_older_waits(void *argument)
{
	(void)argument;
	set_options("queue_size=4,max_lanes=0");
	other = make_queue(DEFER_DROP_RUNNER_WORKER);
	ending = defer_drop_queue_default();
	ANSWERS(0, defer_drop_queue_push(ending, NULL, exit_when_full, FOREVER));
	for (;;)
		pause();
}

static void push_to_default(void *object)
{
	(void)object;
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
}

static void exit_with_pushes_to_default(void *is_default_first)
{
	if (is_default_first)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	other = make_queue(DEFER_DROP_RUNNER_CALLER);
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, defer_drop_queue_push(other, NULL, push_to_default, FOREVER));
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	exit(GOOD);
}

static void run_turns(void)
{
	check_turn(exit_while_another_waits, NULL, 1);
	check_turn(exit_while_another_waits, &gate, 1);
	check_turn(exit_default_while_older_waits, NULL, 1);
	check_turn(exit_with_pushes_to_default, NULL, 0);
	check_turn(exit_with_pushes_to_default, &gate, 0);
}

/* ---- Exit inside a drain, a shutdown --------------------------------------------------------- */

static void drain_other(void *object)
{
	(void)object;
	ANSWERS(0, defer_drop_queue_drain(other, UINT64_MAX, FOREVER, NULL));
	fail(__FILE__, __LINE__, "a destructor that ends the process does not return");
}

/* A worker may have ended the process by now. */
static void push_unless_over(struct defer_drop_queue *queue)
{
	int result = ledger_push(ledger, queue);

	CHECK(!result || result == -ESHUTDOWN);
}

static void push_around(struct defer_drop_queue *queue, defer_drop_fn destroy)
{
	for (unsigned i = 0; i < 3; i++)
		if (i == 1)
			ANSWERS(0, defer_drop_queue_push(queue, NULL, destroy, FOREVER));
		else
			push_unless_over(queue);
}

static void exit_good(void *object)
{
	(void)object;
	exit(GOOD);
}

static void exit_in_inner_drain(void *argument)
{
	(void)argument;
	ending = make_queue(DEFER_DROP_RUNNER_CALLER);
	other = make_queue(DEFER_DROP_RUNNER_CALLER);
	push_around(ending, drain_other);
	push_around(other, exit_good);
	ANSWERS(0, defer_drop_queue_flush(ending, FOREVER));
}

static void exit_in_shutdown(void *runner)
{
	ending = make_queue((uint32_t)(uintptr_t)runner);
	push_around(ending, exit_good);
	ANSWERS(0, defer_drop_queue_shutdown(ending, FOREVER));
	pause();
}

static void run_inside(void)
{
	check_turn(exit_in_inner_drain, NULL, 0);
	check_turn(exit_in_shutdown, (void *)DEFER_DROP_RUNNER_WORKER, 0);
	check_turn(exit_in_shutdown, (void *)DEFER_DROP_RUNNER_CALLER, 0);
}

/* ---- What exit waits for, and what is gone --------------------------------------------------- */

static void take_a_while(void *object)
{
	atomic_store(&gate.is_entered, true);
	usleep(20000);
	ledger_count(object);
}

static void exit_beside_a_long_one(void *policy)
{
	set_options(policy);
	CHECK(!atexit(mark_destroyed));
	ANSWERS(0, defer_drop(ledger, take_a_while));
	atomic_fetch_add(&ledger->accepted, 1);
	AWAIT(atomic_load(&gate.is_entered));
	exit(GOOD);
}

static void run_long(void)
{
	check_turn(exit_beside_a_long_one, (void *)DRAIN, 1);
	check_turn(exit_beside_a_long_one, (void *)TIMED, 1);
}

/* The owner of a queue ends it while exit does. */
static void *end_beside_exit(void *queue)
{
	atomic_store(&gate.is_entered, true);
	end_queue(queue);
	atomic_store(&gate.is_open, true);
	return NULL;
}

/* After the library has had its turn. */
static void await_freed(void)
{
	AWAIT(atomic_load(&gate.is_open));
}

static void exit_beside_owner(void *argument)
{
	struct defer_drop_queue *queue;

	(void)argument;
	CHECK(!atexit(await_freed));
	queue = make_queue(DEFER_DROP_RUNNER_CALLER);
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, ledger_push(ledger, queue));
	spawn_detached(end_beside_exit, queue);
	AWAIT(atomic_load(&gate.is_entered));
	exit(GOOD);
}

static void run_owner(void)
{
	for (unsigned i = 0; i < 40; i++)
		check_turn(exit_beside_owner, NULL, 0);
}

const struct hostile_case hostile_cases[] = {
	{"turns", "Queues whose destructors push to each other do not hold exit up.", run_turns},
	{"inside", "Exit from a destructor that a drain or a shutdown runs destroys the rest.",
		run_inside},
	{"long", "Exit waits for the destructor that is running, unless it leaves at once.",
		run_long},
	{"owner", "A queue may be freed while exit deals with it.", run_owner},
	{NULL, NULL, NULL},
};
