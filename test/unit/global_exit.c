/* SPDX-License-Identifier: MIT
 *
 * The default queue at the end of threads and of the process.
 */
#include "ending.h"

TestSuite(global_exit, .timeout = 60);

/* ---- The end of threads ---------------------------------------------------------------------- */

static pthread_key_t key;

/* Pushes in each round in which the system calls it. */
static void push_at_thread_end(void *round)
{
	uintptr_t next = (uintptr_t)round + 1;

	if (defer_drop(round, note))
		abort();
	pthread_setspecific(key, number(next));
}

static void *end_pushing(void *argument)
{
	if (argument && defer_drop(number(0), note))
		abort();
	pthread_setspecific(key, number(1));
	return NULL;
}

Test(global_exit, destructors_of_thread_data_push)
{
	cr_assert_eq(pthread_key_create(&key, push_at_thread_end), 0);
	join_thread(spawn(end_pushing, &key));
	answers(0, defer_drop_flush());
	cr_assert_eq(atomic_load(&seen_count), 1 + PTHREAD_DESTRUCTOR_ITERATIONS);
}

Test(global_exit, destructors_of_thread_data_push_for_the_first_time)
{
	cr_assert_eq(pthread_key_create(&key, push_at_thread_end), 0);
	join_thread(spawn(end_pushing, NULL));
	answers(0, defer_drop_flush());
	cr_assert_eq(atomic_load(&seen_count), PTHREAD_DESTRUCTOR_ITERATIONS);
}

/* ---- The end of the process ------------------------------------------------------------------ */

static void take_a_while(void *object)
{
	usleep(2000);
	count_life(object);
}

static void push_slow_ones(void)
{
	for (unsigned i = 0; i < 20; i++)
		if (defer_drop(NULL, take_a_while))
			_exit(1);
}

Test(global_exit, exit_drains_by_default)
{
	cr_assert_eq(live(push_slow_ones, 0), 20);
	cr_assert_str_eq(said, "");
}

static void push_and_return_status(void)
{
	push_slow_ones();
	exit(7);
}

Test(global_exit, exit_keeps_its_status)
{
	cr_assert_eq(live(push_and_return_status, 7), 20);
}

static struct gate forever; /* never opened */

static void stand(void *object)
{
	count_life(object);
	pass_gate(&forever);
}

static void push_one_that_stands(void)
{
	gate_init(&forever);
	for (unsigned i = 0; i < 5; i++)
		if (defer_drop(NULL, i ? count_life : stand))
			_exit(1);
	await_semaphore(&forever.entered);
}

Test(global_exit, a_timed_exit_leaves_what_takes_too_long_and_says_so)
{
	set_options("exit_timeout_ns=20ms");
	cr_assert_eq(live(push_one_that_stands, 0), 1);
	cr_assert_eq(times_said("\n"), 1, "%s", said);
	cr_assert_eq(times_said(" 5 "), 1, "the one that stands and four more: %s", said);
}

Test(global_exit, a_timed_exit_with_time_enough_drains_and_says_nothing)
{
	set_options("exit_timeout_ns=60s");
	cr_assert_eq(live(push_slow_ones, 0), 20);
	cr_assert_str_eq(said, "");
}

/* Lets the worker out of a gate when the default queue is closed. */
static void *open_when_closed(void *gate)
{
	await(defer_drop_start(NULL) == -ESHUTDOWN);
	sem_post(&((struct gate *)gate)->open);
	return NULL;
}

static void push_behind_a_gate(void)
{
	struct gate *gate = malloc(sizeof *gate);

	gate_init(gate);
	if (defer_drop(gate, pass_gate))
		_exit(1);
	await_semaphore(&gate->entered);
	push_slow_ones();
	spawn(open_when_closed, gate);
}

/* The whole queue is pending when the process ends. */
static void push_to_nobody(void)
{
	start_without_worker(64);
	push_slow_ones();
}

Test(global_exit, an_abandoning_exit_destroys_nothing_more)
{
	set_options("exit_timeout_ns=0");
	cr_assert_eq(live(push_to_nobody, 0), 0);
	cr_assert_str_eq(said, "");
	cr_assert_eq(live(push_behind_a_gate, 0), 0);
	cr_assert_str_eq(said, "");
}

Test(global_exit, exit_drains_for_a_caller_that_did_not)
{
	cr_assert_eq(live(push_to_nobody, 0), 20);
}

Test(global_exit, exit_by_a_destructor_drains_the_rest)
{
	cr_assert_eq(live(exit_by_worker, 5), 10);
	set_options("exit_timeout_ns=0");
	cr_assert_eq(live(exit_by_worker, 5), 0);
}

/* Drops, and ends the process before they can be destroyed. */
static void nest_and_exit(void *object)
{
	for (unsigned i = 0; i < 3; i++)
		if (defer_drop(object, count_life))
			_exit(1);
	exit(5);
}

static void push_a_nesting_exit(void)
{
	if (defer_drop(NULL, nest_and_exit))
		_exit(1);
	for (;;)
		pause();
}

Test(global_exit, exit_by_a_destructor_destroys_what_it_dropped)
{
	cr_assert_eq(live(push_a_nesting_exit, 5), 3);
}

static void *push_and_exit(void *argument)
{
	(void)argument;
	push_slow_ones();
	exit(6);
}

static void let_a_producer_exit(void)
{
	pthread_t thread;

	push_slow_ones();
	if (pthread_create(&thread, NULL, push_and_exit, NULL))
		_exit(1);
	for (;;)
		pause();
}

Test(global_exit, exit_by_a_producer_drains)
{
	cr_assert_eq(live(let_a_producer_exit, 6), 40);
}

static void *push_for_ever(void *argument)
{
	sem_t *pushing = argument;
	int result;

	while (!(result = defer_drop(NULL, note)))
		sem_post(pushing);
	atomic_store(&life->result, result);
	pause();
	return NULL;
}

static void exit_beside_a_producer(void)
{
	static sem_t pushing;
	pthread_t thread;

	sem_init(&pushing, 0, 0);
	if (pthread_create(&thread, NULL, push_for_ever, &pushing))
		_exit(1);
	for (unsigned i = 0; i < 100; i++)
		await_semaphore(&pushing);
}

Test(global_exit, exit_beside_a_producer_closes_the_queue)
{
	int result;

	cr_assert_eq(live(exit_beside_a_producer, 0), 0);
	result = atomic_load(&life->result);
	/* The process may have ended before the producer pushed again. */
	cr_assert(result == 1 || result == -ESHUTDOWN, "%d", result);
}

static void push_late(void)
{
	int result = defer_drop(NULL, count_life);

	atomic_store(&life->result, result);
}

static void push_in_handler_after_use(void)
{
	if (defer_drop(NULL, count_life))
		_exit(1);
	atexit(push_late);
}

Test(global_exit, an_exit_handler_set_after_the_first_use_pushes_and_is_drained)
{
	cr_assert_eq(live(push_in_handler_after_use, 0), 2);
	cr_assert_eq(atomic_load(&life->result), 0);
}

static void push_in_handler_before_use(void)
{
	atexit(push_late);
	if (defer_drop(NULL, count_life))
		_exit(1);
}

Test(global_exit, an_exit_handler_set_before_the_first_use_is_refused)
{
	cr_assert_eq(live(push_in_handler_before_use, 0), 1);
	cr_assert_eq(atomic_load(&life->result), -ESHUTDOWN);
}

static void push_in_handler_only(void)
{
	atexit(push_late);
}

Test(global_exit, an_exit_handler_may_be_the_first_to_push)
{
	cr_assert_eq(live(push_in_handler_only, 0), 1);
	cr_assert_eq(atomic_load(&life->result), 0);
}

/* The worker is too slow to hide an exit that does not wait for it. */
static void take_long(void *object)
{
	usleep(300000);
	count_life(object);
}

static void push_long_late(void)
{
	atomic_store(&life->result, defer_drop(NULL, take_long));
}

/* The library has seen the exit before any thread used the default queue. */
static void use_default_in_handler_only(void)
{
	struct defer_drop_queue *queue;

	atexit(push_long_late);
	if (defer_drop_queue_create(&queue, NULL))
		_exit(1);
}

Test(global_exit, a_default_queue_first_used_late_in_exit_loses_nothing)
{
	unsigned destroyed;
	int result;

	destroyed = live(use_default_in_handler_only, 0);
	result = atomic_load(&life->result);
	cr_assert((result == 0 && destroyed == 1) || result == -ESHUTDOWN,
		"the push answers %d and %u are destroyed", result, destroyed);
}

static void ask_for_ticket_late(void)
{
	struct defer_drop_ticket ticket;

	atomic_store(&life->result, defer_drop_queue_ticket(defer_drop_queue_default(), &ticket));
}

static void ask_in_handler_only(void)
{
	struct defer_drop_queue *queue;

	atexit(ask_for_ticket_late);
	if (defer_drop_queue_create(&queue, NULL))
		_exit(1);
}

Test(global_exit, a_default_queue_first_used_late_in_exit_has_no_tickets)
{
	cr_assert_eq(live(ask_in_handler_only, 0), 0);
	answers(-ESHUTDOWN, atomic_load(&life->result));
}

static void make_queue_late(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	int result = defer_drop_queue_create(&queue, &config);

	if (!result)
		result = defer_drop_queue_push(queue, NULL, count_life, FOREVER);
	atomic_store(&life->result, result);
}

static void make_queue_in_handler(void)
{
	atexit(make_queue_late);
	if (defer_drop(NULL, note))
		_exit(1);
}

Test(global_exit, a_queue_made_late_in_exit_loses_nothing)
{
	unsigned destroyed = live(make_queue_in_handler, 0);
	int result = atomic_load(&life->result);

	cr_assert((result == 0 && destroyed == 1) || result == -ESHUTDOWN,
		"the push answers %d and %u are destroyed", result, destroyed);
}

/* ---- Exit from a destructor, and what comes after it ----------------------------------------- */

static int late_result;
static struct defer_drop_stats late_stats;

static void push_after_exit(void)
{
	late_stats = (struct defer_drop_stats)DEFER_DROP_STATS_INIT;
	late_result = defer_drop(NULL, note);
	defer_drop_queue_stats(defer_drop_queue_default(), &late_stats);
	if (late_result != -ESHUTDOWN)
		_exit(11);
	_exit(late_stats.pushed_total == late_stats.destroyed_total ? 10 : 12);
}

static void end_process(void *object)
{
	(void)object;
	exit(0);
}

static void nest_end_process(void *object)
{
	if (defer_drop(object, end_process))
		_exit(1);
}

/* The handler runs after the library's, on the worker, inside the destructor that called exit. */
static void exit_in_destructor(defer_drop_fn destroy)
{
	atexit(push_after_exit);
	if (defer_drop(NULL, destroy))
		_exit(1);
	for (;;)
		pause();
}

static void exit_in_plain_drop(void)
{
	exit_in_destructor(end_process);
}

static void exit_in_nested_drop(void)
{
	exit_in_destructor(nest_end_process);
}

Test(global_exit, a_push_after_exit_by_a_destructor_answers_eshutdown)
{
	cr_assert_eq(run_child(exit_in_plain_drop), 10);
	cr_assert_eq(run_child(exit_in_nested_drop), 10);
}
