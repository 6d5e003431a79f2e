/* SPDX-License-Identifier: MIT
 *
 * A program as its author builds it, with a sanitizer or for valgrind, on the library as it is
 * installed: it is correct, and no tool may say otherwise. What goes through the library, in every
 * way that there is, is plain memory.
 *
 *     guest          every way in and out
 *     guest race     the control: an object is written to after it was dropped
 *     guest leak     the control: an object is neither dropped nor freed
 *     guest pending  what is pending is no leak, and a forked child does not report its parent's
 */
#include <defer_drop.h>
#include <defer_drop/guard.h>
#include <defer_drop/pool.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"

enum { COUNT = 100, THREADS = 3 };

struct object {
	long value;
	long *sum;
};

/* A tool that is not there, or a program without it. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static struct object *make(long *sum)
{
	struct object *object = malloc(sizeof *object);

	CHECK(object);
	*object = (struct object){.value = 1, .sum = sum};
	return object;
}

static void destroy(void *memory)
{
	struct object *object = memory;

	*object->sum += object->value;
	free(object);
}

static int destroy_with_status(void *memory)
{
	destroy(memory);
	return 0;
}

static int destroy_with_context(void *memory, void *context)
{
	struct object *object = memory;

	object->sum = context;
	destroy(object);
	return 0;
}

static void destroy_and_nest(void *memory)
{
	struct object *object = memory;

	ANSWERS(0, defer_drop(make(object->sum), destroy));
	destroy(object);
}

static struct defer_drop_queue *make_queue(uint32_t runner, uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = runner;
	config.max_lanes = max_lanes;
	config.queue_size = 64;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	return queue;
}

static void end_queue(struct defer_drop_queue *queue)
{
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_free(queue));
}

/* ---- Ways in and out ------------------------------------------------------------------------- */

static void flush(void)
{
	long sum = 0;

	for (int i = 0; i < COUNT; i++)
		ANSWERS(0, defer_drop(make(&sum), i % 2 ? destroy : destroy_and_nest));
	ANSWERS(0, defer_drop_flush());
	CHECK(sum == COUNT + COUNT / 2);
}

static void wait_for_completions(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	long sum = 0;
	int status = 1;

	for (int i = 0; i < COUNT; i++) {
		struct defer_drop_completion done = DEFER_DROP_COMPLETION_INIT;

		options.completion = &done;
		options.bytes = sizeof(struct object);
		options.destroy_status = i % 2 ? destroy_with_status : NULL;
		options.destroy_context = i % 2 ? NULL : destroy_with_context;
		options.context = i % 2 ? NULL : &sum;
		ANSWERS(0, defer_drop_with(make(&sum), NULL, DEFER_DROP_FOREVER, &options));
		ANSWERS(0, defer_drop_completion_wait(&done, DEFER_DROP_FOREVER, &status));
		CHECK(!status && sum == i + 1);
	}
}

static void wait_for_tickets(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;
	long sum = 0;

	options.ticket = &ticket;
	for (int i = 0; i < COUNT; i++) {
		ANSWERS(0, defer_drop_with(make(&sum), destroy, DEFER_DROP_FOREVER, &options));
		ANSWERS(0, defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER));
		CHECK(sum == i + 1);
	}
}

static void wait_for_the_backlog(void)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_WORKER, 8);
	long sum = 0;

	for (int i = 0; i < COUNT; i++)
		ANSWERS(0, defer_drop_queue_push(queue, make(&sum), destroy, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, DEFER_DROP_FOREVER));
	CHECK(sum == COUNT);
	end_queue(queue);
}

static void shut_down(void)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_WORKER, 8);
	long sum = 0;

	for (int i = 0; i < COUNT; i++)
		ANSWERS(0, defer_drop_queue_push(queue, make(&sum), destroy, DEFER_DROP_FOREVER));
	end_queue(queue);
	CHECK(sum == COUNT);
}

/* ---- Several threads ------------------------------------------------------------------------- */

struct site {
	struct defer_drop_queue *queue;
	long *sum; /* the consumer's */
};

static void *push_and_drain(void *memory)
{
	const struct site *site = memory;

	for (int i = 0; i < COUNT; i++) {
		struct object *object = make(site->sum);

		/* On a queue that callers drain, a push that waits for room waits for them. */
		while (defer_drop_queue_push(site->queue, object, destroy, 0) == -EAGAIN)
			ANSWERS(0, defer_drop_queue_flush(site->queue, DEFER_DROP_FOREVER));
	}
	ANSWERS(0, defer_drop_queue_flush(site->queue, DEFER_DROP_FOREVER));
	return NULL;
}

static void share(uint32_t runner, uint32_t max_lanes)
{
	long sum = 0;
	struct site site = {make_queue(runner, max_lanes), &sum};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, push_and_drain, &site));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	end_queue(site.queue);
	CHECK(sum == (long)THREADS * COUNT);
}

/* ---- Pools ----------------------------------------------------------------------------------- */

static struct defer_drop_pool *pool;

static void give(void *memory)
{
	struct object *object = memory;

	*object->sum += object->value;
	object->value = 0;
	defer_drop_pool_give(pool, object);
}

static void take_and_drop(void)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
	long sum = 0;

	config.block_bytes = sizeof(struct object);
	ANSWERS(0, defer_drop_pool_create(&pool, &config));
	for (int i = 0; i < 10 * COUNT; i++) {
		struct object *object = defer_drop_pool_take(pool);

		CHECK(object);
		*object = (struct object){.value = 1, .sum = &sum};
		ANSWERS(0, defer_drop(object, give));
		if (i % COUNT == 0)
			ANSWERS(0, defer_drop_flush());
	}
	ANSWERS(0, defer_drop_flush());
	CHECK(sum == 10 * COUNT);
	ANSWERS(0, defer_drop_pool_free(pool));
}

/* ---- What there is to ask for ---------------------------------------------------------------- */

static void run_all(void)
{
	flush();
	wait_for_completions();
	wait_for_tickets();
	wait_for_the_backlog();
	shut_down();
	share(DEFER_DROP_RUNNER_WORKER, 8);
	share(DEFER_DROP_RUNNER_WORKER, 0);
	share(DEFER_DROP_RUNNER_CALLER, 8);
	share(DEFER_DROP_RUNNER_CALLER, 0);
	take_and_drop();
}

static void race(void)
{
	long sum = 0;

	for (int i = 0; i < COUNT; i++) {
		struct object *object = make(&sum);

		ANSWERS(0, defer_drop(object, destroy));
		object->value = 2;
	}
	ANSWERS(0, defer_drop_flush());
}

static void leak(void)
{
	long sum = 0;

	CHECK(make(&sum)->value == 1);
}

static sem_t gate;

static _Atomic(bool) is_at_gate;

static void wait_at_gate(void *ignored)
{
	(void)ignored;
	atomic_store(&is_at_gate, true);
	CHECK(!sem_wait(&gate));
}

static void wait_for_child(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

static void __attribute__((noinline)) push_some(long *sum)
{
	for (int i = 0; i < COUNT; i++)
		ANSWERS(0, defer_drop(make(sum), destroy));
}

static void keep_pending(void)
{
	static long sum;
	pid_t child;

	CHECK(!sem_init(&gate, 0, 0));
	ANSWERS(0, defer_drop(NULL, wait_at_gate));
	/* AddressSanitizer's allocator has locks, which a child may inherit from another thread. */
	AWAIT(atomic_load(&is_at_gate));
	push_some(&sum);
	if (__lsan_do_recoverable_leak_check)
		CHECK(!__lsan_do_recoverable_leak_check());
	child = fork();
	if (!child)
		exit(0); /* and its tool looks for leaks */
	wait_for_child(child);
	CHECK(!sem_post(&gate));
	ANSWERS(0, defer_drop_flush());
	CHECK(sum == COUNT);
}

int main(int count, char **arguments)
{
	const char *what = count == 2 ? arguments[1] : "";

	if (!strcmp(what, "race"))
		race();
	else if (!strcmp(what, "leak"))
		leak();
	else if (!strcmp(what, "pending"))
		keep_pending();
	else
		run_all();
	return 0;
}
