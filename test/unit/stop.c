/* SPDX-License-Identifier: MIT
 *
 * Stopping a queue and starting it again: its threads are gone meanwhile, and nothing is lost.
 */
#include "waits.h"

#include <sched.h>

TestSuite(stop, .timeout = 60);

#define HOUR_NS (3600 * 1000 * MS)

static const uint32_t runners[] = {WORKER, CALLER, DRAINER};

/* Makes a queue of this runner with a watchdog, so with at least one thread. */
static struct defer_drop_queue *make_watched(uint32_t runner, uint64_t watchdog_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.queue_size = 16;
	config.watchdog_ns = watchdog_ns;
	return create_queue(&config);
}

static struct defer_drop_queue *make_stopped(uint32_t queue_size, uint32_t lanes)
{
	struct defer_drop_queue *queue = make_queue(WORKER, queue_size, lanes);

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	return queue;
}

/* Notes which thread destroys. */
static pthread_t destroyer;

static void note_thread(void *object)
{
	destroyer = pthread_self();
	note(object);
}

/* True if a caller of stop or start is at work. */
static bool has_stopper(struct defer_drop_queue *queue)
{
	bool has;

	dd_mutex_lock(&queue->control);
	has = queue->has_stopper;
	dd_mutex_unlock(&queue->control);
	return has;
}

/* ---- Threads --------------------------------------------------------------------------------- */

Test(stop, ends_the_threads_of_the_queue_and_start_brings_them_back)
{
	for (unsigned i = 0; i < 3; i++) {
		unsigned before = count_threads();
		unsigned own = runners[i] == WORKER ? 2 : 1;
		struct defer_drop_queue *queue = make_watched(runners[i], HOUR_NS);

		for (unsigned j = 0; j < 3; j++) {
			await(count_threads() == before + own);
			answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
			answers(0, defer_drop_queue_stop(queue, FOREVER));
			cr_assert_eq(count_threads(), before, "threads are still there");
			answers(0, defer_drop_queue_start(queue));
		}
		end_queue(queue);
		cr_assert_eq(atomic_load(&seen_count), 3 * (i + 1));
	}
}

/* For the kernel too: only a process of one thread may unshare that. */
static void unshare_while_stopped(void)
{
	struct defer_drop_queue *queue = make_watched(WORKER, HOUR_NS);

	if (!unshare(CLONE_THREAD) || errno != EINVAL)
		_exit(77);
	if (defer_drop_queue_push(queue, NULL, note, FOREVER) || defer_drop(NULL, note))
		_exit(1);
	if (defer_drop_queue_stop(queue, FOREVER) ||
		defer_drop_queue_stop(defer_drop_queue_default(), FOREVER))
		_exit(2);
	if (unshare(CLONE_THREAD))
		_exit(3);
	if (defer_drop_queue_start(queue) || defer_drop_queue_start(defer_drop_queue_default()))
		_exit(4);
	if (defer_drop_queue_flush(queue, LONG_NS) || defer_drop_flush_timed(LONG_NS))
		_exit(5);
	_exit(atomic_load(&seen_count) != 2);
}

Test(stop, leaves_a_process_of_one_thread)
{
	int status = run_child(unshare_while_stopped);

	if (status == 77)
		cr_skip_test("unshare(2) does not tell");
	answers(0, status);
}

Test(stop, ends_a_worker_that_sleeps_and_one_that_naps)
{
	const uint64_t quiet_spells_ns[] = {MS, DEFER_DROP_NEVER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
		unsigned before = count_threads();
		struct defer_drop_queue *queue;

		config.quiet_spell_ns = quiet_spells_ns[i];
		config.longest_delay_ns = 1000 * MS;
		queue = create_queue(&config);
		for (unsigned j = 0; j < 3; j++) {
			await(i ? stats_of(queue).naps_total > 8 : is_asleep(queue));
			answers(0, defer_drop_queue_stop(queue, LONG_NS));
			cr_assert_eq(count_threads(), before);
			answers(0, defer_drop_queue_start(queue));
		}
		end_queue(queue);
	}
}

/* ---- What goes on meanwhile ------------------------------------------------------------------ */

Test(stop, pushes_queue_up_meanwhile_and_are_destroyed_after_start_in_their_order)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_stopped(16, lanes_tried[shared]);
		unsigned threads = count_threads();

		atomic_store(&seen_count, 0);
		fill(queue, 16);
		cr_assert_eq(count_threads(), threads, "a push has started the worker");
		cr_assert_eq(defer_drop_queue_backlog(queue), 16);
		assert_seen(0, 0);
		answers(0, defer_drop_queue_start(queue));
		answers(0, defer_drop_queue_flush(queue, LONG_NS));
		assert_seen(0, 16);
		end_queue(queue);
	}
}

Test(stop, a_full_ring_answers_and_waits_meanwhile_as_always)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_stopped(4, lanes_tried[shared]);
		struct push push = {.queue = queue, .object = number(4), .timeout_ns = FOREVER};
		uint64_t since_ns;
		pthread_t thread;

		atomic_store(&seen_count, 0);
		if (shared)
			fill(queue, 4);
		thread = spawn(shared ? push_in_thread : fill_and_push, &push);
		await(has_waiter(queue));
		if (!shared)
			fill(queue, 4);
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, forbidden, 0));
		since_ns = dd_now_ns();
		answers(-ETIMEDOUT, defer_drop_queue_push(queue, NULL, forbidden, 2 * MS));
		cr_assert_geq(dd_now_ns() - since_ns, 2 * MS);
		answers(0, defer_drop_queue_start(queue));
		join_thread(thread);
		answers(0, push.result);
		answers(0, defer_drop_queue_flush(queue, LONG_NS));
		cr_assert_eq(atomic_load(&seen_count), shared ? 5 : 9);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(stop, a_push_for_bytes_waits_meanwhile_and_is_served_after_start)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue;

	config.max_bytes = 100;
	queue = create_queue(&config);
	answers(0, defer_drop_queue_stop(queue, FOREVER));
	options.bytes = 80;
	answers(0, defer_drop_queue_push_with(queue, number(0), note, FOREVER, &options));
	answers(-EAGAIN, defer_drop_queue_push_with(queue, NULL, forbidden, 0, &options));
	answers(-ETIMEDOUT, defer_drop_queue_push_with(queue, NULL, forbidden, MS, &options));
	answers(0, defer_drop_queue_start(queue));
	answers(0, defer_drop_queue_push_with(queue, number(1), note, LONG_NS, &options));
	end_queue(queue);
	assert_seen(0, 2);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static void assert_all_answer(struct awaited *awaited, uint64_t timeout_ns, int want)
{
	awaited->timeout_ns = timeout_ns;
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(ways[i](awaited), number((uintptr_t)-want), "way %u", i);
}

Test(stop, flushes_and_waits_time_out_meanwhile_and_are_served_after_start)
{
	struct awaited awaited = {.queue = make_stopped(16, LANES)};
	pthread_t threads[4];

	push_awaited(&awaited, number(0), note);
	assert_all_answer(&awaited, 0, -EAGAIN);
	assert_all_answer(&awaited, MS, -ETIMEDOUT);
	awaited.timeout_ns = FOREVER;
	for (unsigned i = 0; i < 4; i++)
		threads[i] = spawn(ways[i], &awaited);
	await(has_waiter(awaited.queue) && atomic_load(&awaited.queue->watchers));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_queue_start(awaited.queue));
	for (unsigned i = 0; i < 4; i++)
		cr_assert_null(join_thread(threads[i]), "way %u", i);
	assert_seen(0, 1);
	end_queue(awaited.queue);
}

Test(stop, a_flush_with_nothing_to_wait_for_answers_0_meanwhile)
{
	struct defer_drop_queue *queue = make_stopped(16, LANES);

	answers(0, defer_drop_queue_flush(queue, 0));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(0, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	end_queue(queue);
}

Test(stop, a_queue_that_callers_drain_can_be_drained_meanwhile)
{
	for (unsigned i = 1; i < 3; i++) {
		struct defer_drop_queue *queue = make_watched(runners[i], HOUR_NS);
		uint64_t destroyed = 99;

		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_stop(queue, FOREVER));
		fill(queue, 10);
		answers(0, defer_drop_queue_drain(queue, 6, FOREVER, &destroyed));
		cr_assert_eq(destroyed, 6);
		if (runners[i] == CALLER)
			answers(0, defer_drop_queue_flush(queue, FOREVER));
		else
			drain(queue, UINT64_MAX);
		assert_seen(0, 10);
		answers(0, defer_drop_queue_start(queue));
		end_queue(queue);
	}
}

Test(stop, a_queue_of_its_own_is_no_business_of_another)
{
	struct defer_drop_queue *stopped = make_stopped(16, LANES);
	struct defer_drop_queue *other = make_queue(WORKER, 16, LANES);

	answers(0, defer_drop_queue_push(stopped, NULL, forbidden, FOREVER));
	for (uintptr_t i = 0; i < 100; i++)
		answers(0, defer_drop_queue_push(other, number(i), note, FOREVER));
	answers(0, defer_drop_queue_flush(other, LONG_NS));
	assert_seen(0, 100);
	end_queue(other);
	answers(0, defer_drop_queue_shutdown(stopped, 0));
	answers(0, defer_drop_queue_free(stopped));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- Again, and first ------------------------------------------------------------------------ */

Test(stop, again_does_nothing_and_neither_does_start)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	unsigned threads;

	answers(0, defer_drop_queue_start(queue));
	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_queue_stop(queue, FOREVER));
	answers(0, defer_drop_queue_stop(queue, 0));
	threads = count_threads();
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_queue_start(queue));
	cr_assert_eq(count_threads(), threads + 1);
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	assert_seen(0, 1);
	end_queue(queue);
}

Test(stop, may_come_before_the_first_use_of_the_default_queue)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	unsigned before = count_threads();

	answers(0, defer_drop_queue_stop(queue, FOREVER));
	for (uintptr_t i = 0; i < 10; i++)
		answers(0, defer_drop(number(i), note));
	cr_assert_eq(count_threads(), before);
	answers(-EAGAIN, defer_drop_flush_timed(0));
	answers(-ETIMEDOUT, defer_drop_flush_timed(MS));
	answers(0, defer_drop_queue_start(queue));
	answers(0, defer_drop_flush_timed(LONG_NS));
	assert_seen(0, 10);
}

Test(stop, start_may_come_before_the_first_use_of_the_default_queue)
{
	unsigned before = count_threads();

	answers(0, defer_drop_queue_start(defer_drop_queue_default()));
	cr_assert_eq(count_threads(), before + 1);
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_shutdown());
	assert_seen(0, 1);
}

Test(stop, the_start_of_the_default_queue_for_the_values_in_force_ends_it)
{
	answers(0, defer_drop_start(NULL));
	answers(0, defer_drop_queue_stop(defer_drop_queue_default(), FOREVER));
	answers(0, defer_drop(number(0), note));
	answers(-ETIMEDOUT, defer_drop_flush_timed(MS));
	answers(0, defer_drop_start(NULL));
	answers(0, defer_drop_flush_timed(LONG_NS));
	assert_seen(0, 1);
}

/* ---- Beside destructors ---------------------------------------------------------------------- */

Test(stop, gives_up_on_a_destructor_that_runs_and_the_queue_goes_on)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[shared]);
		uint64_t since_ns = dd_now_ns();
		struct gate gate;

		atomic_store(&seen_count, 0);
		hold_up(queue, &gate);
		answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
		answers(-EAGAIN, defer_drop_queue_stop(queue, 0));
		answers(-ETIMEDOUT, defer_drop_queue_stop(queue, 2 * MS));
		cr_assert_geq(dd_now_ns() - since_ns, 2 * MS);
		answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
		let_go(&gate);
		/* No call starts it. */
		answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
		answers(0, defer_drop_queue_flush(queue, LONG_NS));
		assert_seen(0, 3);
		answers(0, defer_drop_queue_stop(queue, LONG_NS));
		answers(0, defer_drop_queue_start(queue));
		end_queue(queue);
	}
}

Test(stop, waits_for_no_thread_in_a_queue_that_callers_drain)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	/* Callers that drain are not threads of the queue. */
	fill(queue, 5);
	answers(0, defer_drop_queue_stop(queue, 0));
	answers(0, defer_drop_queue_start(queue));
	end_queue(queue);
	assert_seen(0, 5);
}

Test(stop, gives_up_on_a_destructor_that_a_caller_runs)
{
	for (unsigned i = 1; i < 3; i++) {
		struct defer_drop_queue *queue = make_watched(runners[i], HOUR_NS);
		pthread_t thread;
		struct gate gate;

		gate_init(&gate);
		answers(0, defer_drop_queue_push(queue, &gate, pass_gate, 0));
		thread = spawn(drain_in_thread, queue);
		await_held(&gate);
		answers(-EAGAIN, defer_drop_queue_stop(queue, 0));
		answers(-ETIMEDOUT, defer_drop_queue_stop(queue, MS));
		let_go(&gate);
		cr_assert_null(join_thread(thread));
		answers(0, defer_drop_queue_stop(queue, LONG_NS));
		answers(0, defer_drop_queue_start(queue));
		end_queue(queue);
	}
}

Test(stop, waits_for_a_destructor_that_runs_and_for_none_after_it)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t thread;
	struct gate gate;

	hold_up(queue, &gate);
	for (uintptr_t i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
	thread = spawn(stop_in_thread, queue);
	await(dd_queue_state(queue) == DD_STOPPED);
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	assert_seen(0, 0);
	cr_assert_eq(defer_drop_queue_backlog(queue), 5);
	answers(0, defer_drop_queue_start(queue));
	end_queue(queue);
	assert_seen(0, 5);
}

static void nest_three(void *object)
{
	pass_gate(object);
	for (uintptr_t i = 0; i < 3; i++)
		if (defer_drop_queue_push(nest, number(i), note, FOREVER))
			atomic_fetch_add(&nest_errors, 1);
}

Test(stop, loses_no_nested_drop)
{
	pthread_t thread;
	struct gate gate;

	nest = make_queue(WORKER, 16, LANES);
	gate_init(&gate);
	answers(0, defer_drop_queue_push(nest, &gate, nest_three, FOREVER));
	answers(0, defer_drop_queue_push(nest, number(3), note, FOREVER));
	await_held(&gate);
	thread = spawn(stop_in_thread, nest);
	await(dd_queue_state(nest) == DD_STOPPED);
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	answers(0, defer_drop_queue_start(nest));
	answers(0, defer_drop_queue_flush(nest, LONG_NS));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	assert_seen(0, 4);
	end_queue(nest);
}

static struct defer_drop_queue *asked;
static atomic_int asked_results[4];

static void ask(void *object)
{
	atomic_store(&asked_results[0], defer_drop_queue_stop(asked, 0));
	atomic_store(&asked_results[1], defer_drop_queue_stop(asked, FOREVER));
	atomic_store(&asked_results[2], defer_drop_queue_start(asked));
	note(object);
}

static void assert_all_refused(void)
{
	for (unsigned i = 0; i < 3; i++)
		answers(-EDEADLK, atomic_load(&asked_results[i]));
}

Test(stop, from_a_destructor_answers_edeadlk)
{
	for (unsigned i = 0; i < 3; i++) {
		asked = make_queue(runners[i], 16, LANES);
		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_push(asked, number(0), ask, FOREVER));
		if (runners[i] == WORKER)
			answers(0, defer_drop_queue_flush(asked, LONG_NS));
		else
			drain(asked, 1);
		assert_all_refused();
		/* The queue goes on. */
		answers(0, defer_drop_queue_push(asked, number(1), note, FOREVER));
		end_queue(asked);
		assert_seen(0, 2);
	}
}

static void ask_from_watchdog(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	(void)slow;
	if (!atomic_load(&asked_results[3]))
		ask(number(0));
	atomic_store(&asked_results[3], 1);
}

static void await_told(void *object)
{
	(void)object;
	await(atomic_load(&asked_results[3]));
}

Test(stop, from_the_watchdog_answers_edeadlk)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.watchdog_ns = MS;
	config.watchdog = ask_from_watchdog;
	asked = create_queue(&config);
	answers(0, defer_drop_queue_push(asked, NULL, await_told, FOREVER));
	answers(0, defer_drop_queue_flush(asked, LONG_NS));
	assert_all_refused();
	end_queue(asked);
}

Test(stop, of_another_queue_may_be_asked_for_by_a_destructor)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	asked = make_queue(WORKER, 16, LANES);
	answers(0, defer_drop_queue_push(queue, number(0), ask, FOREVER));
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	/* A thread without destructors gets a tenth of a second, if the machine stands still. */
	cr_assert(!atomic_load(&asked_results[0]) || atomic_load(&asked_results[0]) == -EAGAIN);
	answers(0, atomic_load(&asked_results[1]));
	answers(0, atomic_load(&asked_results[2]));
	end_queue(asked);
	end_queue(queue);
}

/* ---- Watchdog and hooks ---------------------------------------------------------------------- */

/* Returns when the watchdog has counted it. */
static void be_slow(void *object)
{
	await(stats_of(asked).slow_total >= (uintptr_t)object);
	note(object);
}

Test(stop, a_watchdog_watches_again_after_start)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.watchdog_ns = MS;
	config.watchdog = ignore_slow;
	asked = create_queue(&config);
	for (uintptr_t i = 1; i < 4; i++) {
		answers(0, defer_drop_queue_push(asked, number(i), be_slow, FOREVER));
		answers(0, defer_drop_queue_flush(asked, LONG_NS));
		answers(0, defer_drop_queue_stop(asked, FOREVER));
		answers(0, defer_drop_queue_start(asked));
	}
	assert_seen(1, 3);
	cr_assert_eq(stats_of(asked).slow_total, 3);
	end_queue(asked);
}

static struct gate watchdog_gate;
static atomic_bool has_stood;

static void stand_once(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	(void)slow;
	if (!atomic_exchange(&has_stood, true))
		pass_gate(&watchdog_gate);
}

/* Returns when the watchdog function has been called. */
static void await_stood(void *object)
{
	await(atomic_load(&has_stood));
	note(object);
}

/* Destroys all that is pending. */
static void destroy_all(struct defer_drop_queue *queue)
{
	if (queue->config.values.runner == DRAINER)
		drain(queue, UINT64_MAX);
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
}

Test(stop, gives_up_on_a_watchdog_function_that_runs_and_the_queue_goes_on)
{
	for (unsigned i = 0; i < 3; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
		unsigned before = count_threads();
		struct defer_drop_queue *queue;

		atomic_store(&seen_count, 0);
		atomic_store(&has_stood, false);
		gate_init(&watchdog_gate);
		config.runner = runners[i];
		config.watchdog_ns = MS;
		config.watchdog = stand_once;
		queue = create_queue(&config);
		answers(0, defer_drop_queue_push(queue, number(0), await_stood, FOREVER));
		destroy_all(queue);
		await_held(&watchdog_gate);
		answers(-EAGAIN, defer_drop_queue_stop(queue, 0));
		answers(-ETIMEDOUT, defer_drop_queue_stop(queue, 2 * MS));
		/* No call starts it. */
		answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
		destroy_all(queue);
		assert_seen(0, 2);
		let_go(&watchdog_gate);
		answers(0, defer_drop_queue_stop(queue, LONG_NS));
		cr_assert_eq(count_threads(), before);
		answers(0, defer_drop_queue_start(queue));
		end_queue(queue);
	}
}

static atomic_bool has_been_stopped;

static void flush_once(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	(void)slow;
	if (!atomic_exchange(&has_stood, true))
		atomic_store(&asked_results[0], defer_drop_queue_flush(asked, FOREVER));
}

/* Returns when the watchdog function waits for the queue, and that is being stopped. */
static void await_stop(void *object)
{
	await(has_waiter(asked));
	await(dd_queue_state(asked) == DD_STOPPED || atomic_load(&has_been_stopped));
	note(object);
}

Test(stop, gives_up_on_a_watchdog_function_that_waits_for_the_queue_which_goes_on)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.watchdog_ns = MS;
	config.watchdog = flush_once;
	atomic_store(&asked_results[0], 1);
	asked = create_queue(&config);
	answers(0, defer_drop_queue_push(asked, number(0), await_stop, FOREVER));
	for (uintptr_t i = 1; i < 5; i++)
		answers(0, defer_drop_queue_push(asked, number(i), note, FOREVER));
	await(has_waiter(asked));
	answers(-ETIMEDOUT, defer_drop_queue_stop(asked, MS));
	atomic_store(&has_been_stopped, true);
	answers(0, defer_drop_queue_flush(asked, LONG_NS));
	await(atomic_load(&asked_results[0]) != 1);
	answers(0, atomic_load(&asked_results[0]));
	assert_seen(0, 5);
	answers(0, defer_drop_queue_stop(asked, LONG_NS));
	end_queue(asked);
}

/* Ends the process when a caller of stop waits for the watchdog. */
static void exit_beside_stop(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	(void)slow;
	atomic_store(&has_stood, true);
	await(atomic_load(&asked->watchdog.state) == DD_WATCHDOG_ENDING);
	usleep(5000);
	exit(6);
}

static void stop_beside_exit(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	alarm(50);
	config.watchdog_ns = MS;
	config.watchdog = exit_beside_stop;
	claim_or_exit(1, !defer_drop_queue_create(&asked, &config));
	claim_or_exit(2, !defer_drop_queue_push(asked, number(0), await_stood, FOREVER));
	await(atomic_load(&has_stood));
	defer_drop_queue_stop(asked, FOREVER);
	for (;;)
		pause();
}

Test(stop, a_watchdog_function_may_end_the_process_while_a_caller_of_stop_waits_for_it)
{
	answers(6, run_child(stop_beside_exit));
}

static atomic_uint hooked;

static void count_start(void *context)
{
	atomic_fetch_add((atomic_uint *)context, 1);
}

Test(stop, the_hook_of_the_worker_is_called_again_after_each_start)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.worker_start = count_start;
	config.context = &hooked;
	queue = create_queue(&config);
	for (unsigned i = 1; i < 5; i++) {
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(0, defer_drop_queue_flush(queue, LONG_NS));
		cr_assert_eq(atomic_load(&hooked), i);
		answers(0, defer_drop_queue_stop(queue, FOREVER));
		answers(0, defer_drop_queue_start(queue));
	}
	end_queue(queue);
	cr_assert_eq(atomic_load(&hooked), 5);
}

/* ---- Shut down and exit ---------------------------------------------------------------------- */

Test(stop, a_shutdown_of_a_stopped_queue_destroys_on_the_calling_thread)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_stopped(16, lanes_tried[shared]);
		unsigned threads = count_threads();

		atomic_store(&seen_count, 0);
		for (uintptr_t i = 0; i < 10; i++)
			answers(0, defer_drop_queue_push(queue, number(i), note_thread, FOREVER));
		answers(0, defer_drop_queue_shutdown(queue, shared ? FOREVER : LONG_NS));
		assert_seen(0, 10);
		cr_assert(pthread_equal(destroyer, pthread_self()));
		cr_assert_eq(count_threads(), threads);
		answers(-ESHUTDOWN, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
		answers(-ESHUTDOWN, defer_drop_queue_stop(queue, FOREVER));
		answers(-ESHUTDOWN, defer_drop_queue_stop(queue, 0));
		answers(-ESHUTDOWN, defer_drop_queue_start(queue));
		answers(0, defer_drop_queue_free(queue));
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(stop, a_shutdown_of_a_stopped_queue_may_abandon)
{
	struct defer_drop_queue *queue = make_stopped(16, LANES);

	answers(-EBUSY, defer_drop_queue_free(queue));
	for (unsigned i = 0; i < 10; i++)
		answers(0, defer_drop_queue_push(queue, NULL, forbidden, FOREVER));
	answers(0, defer_drop_queue_shutdown(queue, 0));
	cr_assert_eq(stats_of(queue).abandoned_total, 10);
	cr_assert_eq(stats_of(queue).backlog, 0);
	answers(0, defer_drop_queue_free(queue));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(stop, a_shutdown_of_a_stopped_queue_releases_all_waiters)
{
	for (unsigned is_abandoned = 0; is_abandoned < 2; is_abandoned++) {
		struct awaited awaited = {
			.queue = make_stopped(16, LANES),
			.timeout_ns = FOREVER,
		};
		int want = is_abandoned ? -ESHUTDOWN : 0;
		pthread_t threads[4];

		push_awaited(&awaited, number(0), note);
		for (unsigned i = 0; i < 4; i++)
			threads[i] = spawn(ways[i], &awaited);
		await(has_waiter(awaited.queue) && atomic_load(&awaited.queue->watchers));
		answers(0, defer_drop_queue_shutdown(awaited.queue, is_abandoned ? 0 : FOREVER));
		for (unsigned i = 0; i < 3; i++) {
			int got = -(int)(uintptr_t)join_thread(threads[i]);

			/* A flush that comes when all is over finds the queue shut down. */
			cr_assert(got == want || (!i && got == -ESHUTDOWN), "%u: %d", i, got);
		}
		join_thread(threads[3]); /* a hint, as always */
		answers(0, defer_drop_queue_free(awaited.queue));
	}
}

static atomic_uint *shared_count;

static void exit_while_stopped(void)
{
	struct defer_drop_queue *queue = make_stopped(16, LANES);

	if (defer_drop_queue_stop(defer_drop_queue_default(), FOREVER))
		_exit(2);
	for (unsigned i = 0; i < 10; i++)
		if (defer_drop_queue_push(queue, shared_count, count_up, FOREVER) ||
			defer_drop(shared_count, count_up))
			_exit(1);
}

Test(stop, an_exit_destroys_what_is_pending_in_a_stopped_queue)
{
	shared_count = share(4096);
	answers(0, run_child(exit_while_stopped));
	cr_assert_str_empty(said);
	cr_assert_eq(atomic_load(shared_count), 20);
}

Test(stop, an_exit_that_leaves_at_once_destroys_nothing_of_a_stopped_queue)
{
	setenv("DEFER_DROP_OPTIONS", "exit_timeout_ns=0,defer_drop:exit_timeout_ns=0", 1);
	shared_count = share(4096);
	answers(0, run_child(exit_while_stopped));
	cr_assert_str_empty(said);
	cr_assert_eq(atomic_load(shared_count), 0);
}

/* ---- Fork ------------------------------------------------------------------------------------ */

/* In the child: the queue is stopped, has these drops, and goes on when it is started. */
static void be_stopped_child(struct defer_drop_queue *queue, unsigned kept)
{
	unsigned threads = count_threads();

	claim_or_exit(1, threads == 1);
	claim_or_exit(2, defer_drop_queue_backlog(queue) == kept);
	claim_or_exit(3, !defer_drop_queue_push(queue, number(kept), note, FOREVER));
	claim_or_exit(4, count_threads() == 1);
	claim_or_exit(5, defer_drop_queue_flush(queue, 0) == -EAGAIN);
	claim_or_exit(6, defer_drop_queue_flush(queue, MS) == -ETIMEDOUT);
	claim_or_exit(7, !defer_drop_queue_stop(queue, FOREVER));
	claim_or_exit(8, !defer_drop_queue_start(queue));
	claim_or_exit(9, !defer_drop_queue_flush(queue, LONG_NS));
	claim_or_exit(10, atomic_load(&seen_count) == kept + 1);
	for (unsigned i = 0; i <= kept; i++)
		claim_or_exit(11, seen[i] == number(i));
	claim_or_exit(12, !defer_drop_queue_stop(queue, FOREVER));
	claim_or_exit(13, !defer_drop_queue_shutdown(queue, FOREVER));
	claim_or_exit(14, !defer_drop_queue_free(queue));
	_exit(0);
}

Test(stop, a_child_of_a_stopped_queue_is_stopped_starts_and_works)
{
	for (unsigned is_kept = 0; is_kept < 2; is_kept++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
		struct defer_drop_queue *queue;
		pid_t child;

		atomic_store(&seen_count, 0);
		config.at_fork = is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;
		queue = create_queue(&config);
		answers(0, defer_drop_queue_stop(queue, FOREVER));
		for (uintptr_t i = 0; i < 3; i++)
			answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
		child = fork();
		if (!child)
			be_stopped_child(queue, is_kept ? 3 : 0);
		answers(0, status_of(child));
		/* The parent's is stopped as before. */
		answers(-ETIMEDOUT, defer_drop_queue_flush(queue, MS));
		answers(0, defer_drop_queue_start(queue));
		answers(0, defer_drop_queue_flush(queue, LONG_NS));
		assert_seen(0, 3);
		end_queue(queue);
	}
}

Test(stop, a_child_that_was_forked_while_a_caller_of_stop_waits_can_be_stopped_and_started)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t thread;
	struct gate gate;
	pid_t child;

	hold_up(queue, &gate);
	thread = spawn(stop_in_thread, queue);
	await(dd_queue_state(queue) == DD_STOPPED);
	child = fork();
	if (!child) {
		alarm(50);
		claim_or_exit(1, !defer_drop_queue_stop(queue, FOREVER));
		claim_or_exit(2, !defer_drop_queue_push(queue, number(0), note, FOREVER));
		claim_or_exit(3, !defer_drop_queue_start(queue));
		claim_or_exit(4, !defer_drop_queue_flush(queue, LONG_NS));
		_exit(atomic_load(&seen_count) != 1);
	}
	answers(0, status_of(child));
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	answers(0, defer_drop_queue_start(queue));
	end_queue(queue);
}

static struct gate forking_gate;
static pid_t forked;

/* In the child, beside the destructor that forked, which returns there. Whether the stop in the
 * parent came to its end does not concern the child. */
static void *end_child(void *argument)
{
	int result;

	while ((result = defer_drop_queue_start(argument)) == -EBUSY)
		usleep(500);
	claim_or_exit(21, !result);
	claim_or_exit(22, !defer_drop_queue_push(argument, number(0), note, FOREVER));
	claim_or_exit(23, !defer_drop_queue_flush(argument, LONG_NS));
	claim_or_exit(24, atomic_load(&seen_count) == 1);
	_exit(6);
}

static void fork_in_gate(void *object)
{
	pthread_t thread;

	pass_gate(&forking_gate);
	forked = fork();
	if (forked)
		return;
	alarm(50);
	if (pthread_create(&thread, NULL, end_child, object))
		_exit(20);
}

Test(stop, a_child_of_a_destructor_that_forks_while_a_caller_of_stop_waits_goes_on)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t thread;

	gate_init(&forking_gate);
	answers(0, defer_drop_queue_push(queue, queue, fork_in_gate, FOREVER));
	await_held(&forking_gate);
	thread = spawn(stop_in_thread, queue);
	await(dd_queue_state(queue) == DD_STOPPED);
	let_go(&forking_gate);
	cr_assert_null(join_thread(thread));
	answers(6, status_of(forked));
	answers(0, defer_drop_queue_start(queue));
	end_queue(queue);
}

/* ---- Several callers ------------------------------------------------------------------------- */

Test(stop, a_second_caller_answers_ebusy)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t thread;
	struct gate gate;

	hold_up(queue, &gate);
	thread = spawn(stop_in_thread, queue);
	await(has_stopper(queue));
	answers(-EBUSY, defer_drop_queue_stop(queue, 0));
	answers(-EBUSY, defer_drop_queue_stop(queue, FOREVER));
	answers(-EBUSY, defer_drop_queue_start(queue));
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	answers(0, defer_drop_queue_stop(queue, 0));
	answers(0, defer_drop_queue_start(queue));
	end_queue(queue);
}

static atomic_bool is_over;

/* Returns how many calls returned an error that they may not return. */
static void *stop_and_start(void *argument)
{
	uintptr_t wrong = 0;

	for (unsigned i = 0; i < 200; i++) {
		int result = i % 2 ? defer_drop_queue_start(argument)
				   : defer_drop_queue_stop(argument, FOREVER);

		wrong += result && result != -EBUSY;
	}
	return number(wrong);
}

Test(stop, many_stop_and_start_at_once_and_each_answers_0_or_ebusy)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		threads[i] = spawn(stop_and_start, queue);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_null(join_thread(threads[i]));
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	answers(0, defer_drop_queue_start(queue));
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	assert_seen(0, 1);
	end_queue(queue);
}

Test(stop, a_shutdown_beside_a_caller_of_stop_loses_nothing)
{
	for (unsigned i = 0; i < 50; i++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
		pthread_t thread;
		int result;

		atomic_store(&seen_count, 0);
		fill(queue, 10);
		thread = spawn(shut_down_in_thread, queue);
		result = defer_drop_queue_stop(queue, LONG_NS);
		cr_assert(!result || result == -ESHUTDOWN, "%d", result);
		cr_assert_null(join_thread(thread));
		assert_seen(0, 10);
		answers(-ESHUTDOWN, defer_drop_queue_stop(queue, FOREVER));
		answers(0, defer_drop_queue_free(queue));
	}
}

/* A producer, each of whose drops has a number; a destructor checks that none is missing. */
struct producer {
	struct defer_drop_queue *queue;
	uintptr_t pushed;
	uintptr_t destroyed;
	unsigned wrong;
};

struct numbered {
	struct producer *producer;
	uintptr_t number;
};

static void check_order(void *object)
{
	struct numbered *numbered = object;

	numbered->producer->wrong += numbered->number != numbered->producer->destroyed++;
	free(numbered);
}

static void *produce(void *argument)
{
	struct producer *producer = argument;

	while (!atomic_load(&is_over)) {
		struct numbered *numbered = malloc(sizeof *numbered);

		*numbered = (struct numbered){producer, producer->pushed++};
		if (defer_drop_queue_push(producer->queue, numbered, check_order, FOREVER))
			return number(1);
	}
	return NULL;
}

Test(stop, a_thousand_times_beside_producers_loses_nothing_and_keeps_their_order)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, LANES);
	struct producer producers[2] = {{.queue = queue}, {.queue = queue}};
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		threads[i] = spawn(produce, &producers[i]);
	for (unsigned i = 0; i < 1000; i++) {
		answers(0, defer_drop_queue_stop(queue, FOREVER));
		answers(0, defer_drop_queue_start(queue));
	}
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_null(join_thread(threads[i]));
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(producers[i].wrong, 0);
		cr_assert_eq(producers[i].destroyed, producers[i].pushed);
	}
	end_queue(queue);
}

static void *flush_for_ever(void *argument)
{
	uintptr_t wrong = 0;

	while (!atomic_load(&is_over)) {
		struct defer_drop_ticket ticket;

		wrong += push_ticket(argument, NULL, note, FOREVER, &ticket) != 0;
		wrong += defer_drop_ticket_wait(&ticket, FOREVER) != 0;
		wrong += defer_drop_queue_flush(argument, FOREVER) != 0;
		wrong += defer_drop_queue_wait_backlog(argument, 0, 0, FOREVER) != 0;
	}
	return number(wrong);
}

Test(stop, many_times_beside_waiters_serves_them_all)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct defer_drop_queue *queue = make_queue(WORKER, 16, lanes_tried[shared]);
		pthread_t threads[3];

		atomic_store(&is_over, false);
		for (unsigned i = 0; i < 3; i++)
			threads[i] = spawn(flush_for_ever, queue);
		for (unsigned i = 0; i < 200; i++) {
			answers(0, defer_drop_queue_stop(queue, FOREVER));
			answers(0, defer_drop_queue_start(queue));
		}
		atomic_store(&is_over, true);
		for (unsigned i = 0; i < 3; i++)
			cr_assert_null(join_thread(threads[i]));
		end_queue(queue);
	}
}

static void be_forked(struct defer_drop_queue *queue)
{
	int result;

	alarm(50);
	while ((result = defer_drop_queue_start(queue)) == -EBUSY)
		usleep(500);
	claim_or_exit(1, !result);
	claim_or_exit(2, !defer_drop_queue_push(queue, NULL, note, FOREVER));
	claim_or_exit(3, !defer_drop_queue_flush(queue, LONG_NS));
	claim_or_exit(4, !defer_drop_queue_stop(queue, LONG_NS));
	claim_or_exit(5, count_threads() == 1);
	_exit(0);
}

Test(stop, a_fork_at_any_moment_of_it_leaves_a_child_that_can_be_started)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);
	pthread_t thread = spawn(stop_and_start, queue);

	for (unsigned i = 0; i < 100; i++) {
		pid_t child = fork();

		if (!child)
			be_forked(queue);
		answers(0, status_of(child));
	}
	cr_assert_null(join_thread(thread));
	answers(0, defer_drop_queue_start(queue));
	end_queue(queue);
}

/* ---- What is refused ------------------------------------------------------------------------- */

Test(stop, refuses_times_that_are_none_and_the_queue_goes_on)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	answers(-EOVERFLOW, defer_drop_queue_stop(queue, DEFER_DROP_TIMEOUT_MAX + 1));
	answers(-EOVERFLOW, defer_drop_queue_stop(queue, FOREVER - 1));
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
	answers(0, defer_drop_queue_stop(queue, DEFER_DROP_TIMEOUT_MAX));
	end_queue(queue);
}

static void start_without_threads(void)
{
	struct defer_drop_queue *queue = make_stopped(16, LANES);

	if (defer_drop_queue_push(queue, number(0), note, FOREVER))
		_exit(1);
	forbid_threads();
	for (unsigned i = 0; i < 2; i++)
		if (defer_drop_queue_start(queue) != -ESRCH)
			_exit(2);
	/* It is still stopped. */
	if (defer_drop_queue_flush(queue, MS) != -ETIMEDOUT ||
		defer_drop_queue_push(queue, number(1), note, FOREVER))
		_exit(3);
	allow_threads();
	if (defer_drop_queue_start(queue) || defer_drop_queue_flush(queue, LONG_NS))
		_exit(4);
	_exit(atomic_load(&seen_count) != 2);
}

Test(stop, a_start_without_threads_answers_esrch_and_may_be_tried_again, .disabled = HAS_SANITIZER)
{
	answers(0, run_child(start_without_threads));
}

/* There is memory for the stack of a watchdog, and none for that of the worker. */
static void start_without_worker(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	unsigned before = count_threads();
	struct defer_drop_queue *queue;

	config.watchdog_ns = HOUR_NS;
	config.stack_size_bytes = UINT64_C(1) << 30;
	claim_or_exit(1, !defer_drop_queue_create(&queue, &config));
	claim_or_exit(2, !defer_drop_queue_stop(queue, FOREVER));
	claim_or_exit(3, count_threads() == before);
	limit_memory(200u << 20);
	for (unsigned i = 0; i < 2; i++) {
		claim_or_exit(4, defer_drop_queue_start(queue) == -ESRCH);
		claim_or_exit(5, count_threads() == before);
	}
	claim_or_exit(6, !defer_drop_queue_stop(queue, FOREVER));
	claim_or_exit(7, count_threads() == before);
	unlimit_memory();
	claim_or_exit(8, !defer_drop_queue_start(queue));
	claim_or_exit(9, count_threads() == before + 2);
	claim_or_exit(10, !defer_drop_queue_push(queue, number(0), note, FOREVER));
	claim_or_exit(11, !defer_drop_queue_flush(queue, LONG_NS));
	_exit(0);
}

Test(stop, a_start_without_a_worker_leaves_no_watchdog_behind, .disabled = HAS_SANITIZER)
{
	answers(0, run_child(start_without_worker));
}
