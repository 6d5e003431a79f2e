/* SPDX-License-Identifier: MIT
 *
 * Which thread destroys in a queue without a worker. With the runner drainer: a thread that drains
 * or shuts down, and no other. With the runner caller: also a thread that waits; never a thread
 * that pushes.
 */
#include "waits.h"

#include "defer_drop/guard.h"

TestSuite(drainer, .timeout = 60);

/* Notes the drop, and counts it if another thread than the first of the test destroys it. */
static pthread_t expected;
static atomic_uint by_others;

static void note_by(void *object)
{
	if (!pthread_equal(expected, pthread_self()))
		atomic_fetch_add(&by_others, 1);
	note(object);
}

static struct defer_drop_queue *make(uint32_t runner, uint32_t queue_size, uint32_t lanes)
{
	expected = pthread_self();
	atomic_store(&seen_count, 0);
	return make_queue(runner, queue_size, lanes);
}

/* ---- Waits ----------------------------------------------------------------------------------- */

Test(drainer, waits_of_other_threads_destroy_nothing_and_are_served_by_a_drain)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct awaited awaited = {.queue = make(DRAINER, 16, lanes_tried[shared])};
		pthread_t threads[WAYS];

		push_awaited(&awaited, number(0), note_by);
		awaited.timeout_ns = FOREVER;
		for (unsigned i = 0; i < WAYS; i++)
			threads[i] = spawn(ways[i], &awaited);
		await(all_wait(&awaited));
		usleep(20000);
		assert_seen(0, 0);
		drain(awaited.queue, UINT64_MAX);
		for (unsigned i = 0; i < WAYS; i++)
			cr_assert_null(join_thread(threads[i]), "way %u", i);
		assert_seen(0, 1);
		cr_assert_eq(atomic_load(&by_others), 0);
		end_queue(awaited.queue);
	}
}

Test(drainer, a_wait_of_the_thread_that_drains_destroys_nothing_either)
{
	struct awaited awaited = {.queue = make(DRAINER, 16, LANES)};

	push_awaited(&awaited, number(0), note_by);
	for (unsigned i = 0; i < WAYS; i++) {
		awaited.timeout_ns = 0;
		cr_assert_eq(ways[i](&awaited), number(EAGAIN), "way %u", i);
		awaited.timeout_ns = MS;
		cr_assert_eq(ways[i](&awaited), number(ETIMEDOUT), "way %u", i);
	}
	assert_seen(0, 0);
	drain(awaited.queue, 1);
	awaited.timeout_ns = FOREVER;
	for (unsigned i = 0; i < WAYS; i++)
		cr_assert_null(ways[i](&awaited), "way %u", i);
	assert_seen(0, 1);
	end_queue(awaited.queue);
}

Test(drainer, a_wait_with_the_runner_caller_destroys_on_the_thread_that_waits)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct awaited awaited = {.queue = make(CALLER, 16, LANES)};

		atomic_store(&by_others, 0);
		push_awaited(&awaited, number(0), note_by);
		awaited.timeout_ns = FOREVER;
		cr_assert_null(join_thread(spawn(ways[i], &awaited)));
		assert_seen(0, 1);
		cr_assert_eq(atomic_load(&by_others), 1);
		end_queue(awaited.queue);
	}
}

static void *await_guard(void *argument)
{
	struct defer_drop_strategy_queue *by = argument;
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note_by, &by->strategy);
	struct defer_drop_guard *guards[] = {&guard};

	return number((uintptr_t)-defer_drop_guard_await(guards, 1, FOREVER));
}

Test(drainer, a_guard_is_waited_for_and_destroyed_by_the_thread_that_drains)
{
	struct defer_drop_queue *queue = make(DRAINER, 16, LANES);
	struct defer_drop_strategy_queue by;
	pthread_t thread;

	answers(0, defer_drop_strategy_queue_init(&by, queue, FOREVER));
	thread = spawn(await_guard, &by);
	await(has_waiter(queue));
	assert_seen(0, 0);
	drain(queue, UINT64_MAX);
	cr_assert_null(join_thread(thread));
	assert_seen(0, 1);
	cr_assert_eq(atomic_load(&by_others), 0);
	end_queue(queue);
}

Test(drainer, a_drain_serves_a_flush_as_far_as_it_gets)
{
	struct awaited awaited = {.queue = make(DRAINER, 16, LANES), .timeout_ns = FOREVER};
	pthread_t thread;

	for (uintptr_t i = 0; i < 3; i++)
		answers(0, defer_drop_queue_push(awaited.queue, number(i), note_by, 0));
	thread = spawn(wait_for_flush, &awaited);
	await(has_waiter(awaited.queue));
	drain(awaited.queue, 2);
	cr_assert(has_waiter(awaited.queue));
	drain(awaited.queue, 1);
	cr_assert_null(join_thread(thread));
	assert_seen(0, 3);
	cr_assert_eq(atomic_load(&by_others), 0);
	end_queue(awaited.queue);
}

/* The drain looks at the backlog on its way too seldom to see that the last drops have gone. */
Test(drainer, a_short_drain_serves_a_wait_for_the_backlog_when_it_ends)
{
	for (unsigned i = 0; i < 4; i++) {
		struct awaited awaited = {
			.queue = make(DRAINER, 16, lanes_tried[i % 2]), .timeout_ns = FOREVER};
		pthread_t thread;

		for (uintptr_t j = 0; j < 10; j++)
			answers(0, defer_drop_queue_push(awaited.queue, number(j), note_by, 0));
		thread = spawn(wait_for_backlog, &awaited);
		await(atomic_load(&awaited.queue->watchers));
		if (i / 2)
			drain(awaited.queue, 4);
		drain(awaited.queue, i / 2 ? 6 : UINT64_MAX);
		cr_assert_null(join_thread(thread));
		assert_seen(0, 10);
		cr_assert_eq(atomic_load(&by_others), 0);
		end_queue(awaited.queue);
	}
}

/* ---- Drains and shutdowns -------------------------------------------------------------------- */

Test(drainer, one_thread_drains_at_a_time)
{
	struct defer_drop_queue *queue = make(DRAINER, 16, LANES);
	pthread_t thread;
	struct gate gate;

	gate_init(&gate);
	answers(0, defer_drop_queue_push(queue, &gate, pass_gate, 0));
	thread = spawn(drain_in_thread, queue);
	await_held(&gate);
	answers(-EBUSY, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
	answers(-EAGAIN, defer_drop_queue_flush(queue, 0));
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, MS));
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	end_queue(queue);
}

Test(drainer, has_no_thread_of_its_own)
{
	unsigned before = count_threads();
	struct defer_drop_queue *queue = make(DRAINER, 16, LANES);
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	fill(queue, 16);
	answers(0, defer_drop_queue_start(queue));
	cr_assert_eq(count_threads(), before);
	answers(0, defer_drop_queue_config(queue, &config));
	cr_assert_eq(config.runner, DRAINER);
	end_queue(queue);
	assert_seen(0, 16);
}

Test(drainer, a_shutdown_destroys_on_the_thread_that_calls_it)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue = make(DRAINER, 16, LANES);

		for (uintptr_t j = 0; j < 10; j++)
			answers(0, defer_drop_queue_push(queue, number(j), note_by, 0));
		answers(0, defer_drop_queue_shutdown(queue, i ? FOREVER : LONG_NS));
		assert_seen(0, 10);
		cr_assert_eq(atomic_load(&by_others), 0);
		answers(-ESHUTDOWN, defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		answers(0, defer_drop_queue_free(queue));
	}
}

static void *abandon_in_thread(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_shutdown(argument, 0));
}

Test(drainer, a_shutdown_releases_all_waiters)
{
	struct awaited awaited = {.queue = make(DRAINER, 16, LANES), .timeout_ns = FOREVER};
	pthread_t threads[WAYS];

	push_awaited(&awaited, number(0), note_by);
	for (unsigned i = 0; i < WAYS; i++)
		threads[i] = spawn(ways[i], &awaited);
	await(all_wait(&awaited));
	cr_assert_null(join_thread(spawn(abandon_in_thread, awaited.queue)));
	for (unsigned i = 0; i < WAYS - 1; i++)
		cr_assert_eq(join_thread(threads[i]), number(ESHUTDOWN), "way %u", i);
	join_thread(threads[WAYS - 1]); /* a hint */
	assert_seen(0, 0);
	answers(0, defer_drop_queue_free(awaited.queue));
}

static int inside_results[4];

static void ask(void *object)
{
	inside_results[0] = defer_drop_queue_flush(object, FOREVER);
	inside_results[1] = defer_drop_queue_drain(object, 1, FOREVER, NULL);
	inside_results[2] = defer_drop_queue_shutdown(object, FOREVER);
	inside_results[3] = defer_drop_queue_wait_backlog(object, 0, 0, FOREVER);
}

Test(drainer, a_destructor_that_would_wait_for_itself_gets_edeadlk)
{
	struct defer_drop_queue *queue = make(DRAINER, 16, LANES);

	answers(0, defer_drop_queue_push(queue, queue, ask, 0));
	drain(queue, 1);
	for (unsigned i = 0; i < 4; i++)
		answers(-EDEADLK, inside_results[i]);
	end_queue(queue);
}

Test(drainer, nested_drops_run_in_the_drain)
{
	nest = make(DRAINER, 2, LANES);
	answers(0, defer_drop_queue_push(nest, number(20), descend, 0));
	drain(nest, 21);
	cr_assert_eq(atomic_load(&seen_count), 21);
	cr_assert_eq(atomic_load(&nest_errors), 0);
	end_queue(nest);
}

/* ---- Pushes ---------------------------------------------------------------------------------- */

static const uint32_t runners[] = {CALLER, DRAINER};

struct late {
	struct defer_drop_queue *queue;
	unsigned rounds;
	unsigned errors;
	struct tenant tenant; /* that still has its lane at its last push */
};

static pthread_key_t key;

/* Pushes in each round of thread-specific data in which the system calls it. */
static void push_late(void *argument)
{
	struct late *late = argument;

	late->errors +=
		defer_drop_queue_push(late->queue, number(++late->rounds), note_by, FOREVER) != 0;
	pthread_setspecific(key, late);
}

static void *push_until_the_end(void *argument)
{
	struct late *late = argument;

	late->errors += defer_drop_queue_push(late->queue, number(0), note_by, FOREVER) != 0;
	pthread_setspecific(key, late);
	return NULL;
}

/* Thread-local variables that its destructors need may be gone by then. */
Test(drainer, a_thread_that_ends_pushes_and_never_destroys)
{
	cr_assert_eq(pthread_key_create(&key, push_late), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct late late = {.queue = make(runners[i % 2], 16, lanes_tried[i / 2])};

		/* The thread waits for no drain: it can be joined before anything is destroyed. */
		join_thread(spawn(push_until_the_end, &late));
		assert_seen(0, 0);
		drain(late.queue, UINT64_MAX);
		cr_assert_eq(late.errors, 0);
		assert_seen(0, 1 + PTHREAD_DESTRUCTOR_ITERATIONS);
		cr_assert_eq(atomic_load(&by_others), 0, "the thread that ended has destroyed");
		end_queue(late.queue);
	}
}

static int late_results[2];

/* In its second round the thread is leaving, whichever key comes first; another has its lane. */
static void push_without_time(void *argument)
{
	struct late *late = argument;

	if (!late->rounds++) {
		pthread_setspecific(key, late);
		return;
	}
	tenant_begin(&late->tenant);
	late_results[0] = defer_drop_queue_push(late->queue, NULL, forbidden, 0);
	late_results[1] = defer_drop_queue_push(late->queue, NULL, forbidden, MS);
}

Test(drainer, a_thread_that_ends_does_not_wait_longer_than_it_is_told_to)
{
	cr_assert_eq(pthread_key_create(&key, push_without_time), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct late late = {.queue = make(runners[i], 16, 1)};

		late.tenant = (struct tenant){
			.queue = late.queue, .object = number(1), .destroy = note_by};
		join_thread(spawn(push_until_the_end, &late));
		cr_assert_eq(late.rounds, 2);
		answers(-EAGAIN, late_results[0]);
		answers(-ETIMEDOUT, late_results[1]);
		assert_seen(0, 0);
		drain(late.queue, UINT64_MAX);
		assert_seen(0, 2);
		tenant_end(&late.tenant);
		end_queue(late.queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(drainer, a_push_that_waits_for_room_destroys_nothing)
{
	for (unsigned i = 0; i < 4; i++) {
		struct defer_drop_queue *queue = make(runners[i % 2], 4, lanes_tried[i / 2]);

		for (uintptr_t j = 0; j < 4; j++)
			answers(0, defer_drop_queue_push(queue, number(j), note_by, 0));
		answers(-ETIMEDOUT, defer_drop_queue_push(queue, NULL, forbidden, 5 * MS));
		assert_seen(0, 0);
		drain(queue, UINT64_MAX);
		assert_seen(0, 4);
		end_queue(queue);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(drainer, a_push_that_waits_for_bytes_destroys_nothing)
{
	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
		struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		struct defer_drop_queue *queue;

		atomic_store(&seen_count, 0);
		config.runner = runners[i];
		config.max_bytes = 10;
		options.bytes = 10;
		queue = create_queue(&config);
		answers(0, defer_drop_queue_push_with(queue, number(0), note, 0, &options));
		answers(-ETIMEDOUT,
			defer_drop_queue_push_with(queue, NULL, forbidden, 5 * MS, &options));
		assert_seen(0, 0);
		end_queue(queue);
		assert_seen(0, 1);
	}
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}
