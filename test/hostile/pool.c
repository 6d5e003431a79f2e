/* SPDX-License-Identifier: MIT
 *
 * Pools in processes that fork, exit, and have threads that come and go.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <defer_drop/pool.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 6
#define HELD    300 /* blocks that a thread has at a time: more than two magazines */

struct block {
	uint64_t owner; /* who has it; 0 while it is at rest */
	char fill[56];
};

static struct defer_drop_pool *pool;
static atomic_bool is_over;

static void make_pool(uint64_t idle_ns)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	config.block_bytes = sizeof(struct block);
	config.idle_ns = idle_ns;
	ANSWERS(0, defer_drop_pool_create(&pool, &config));
}

static struct defer_drop_pool_counts counts_of_pool(void)
{
	struct defer_drop_pool_counts counts = DEFER_DROP_POOL_COUNTS_INIT;

	ANSWERS(0, defer_drop_pool_stats(pool, &counts));
	return counts;
}

/* New memory may hold anything: what the fill says was at rest must say that nobody has it. */
static struct block *take(uint64_t owner)
{
	struct block *block = defer_drop_pool_take(pool);

	CHECK(block);
	block->owner = owner;
	memset(block->fill, (int)owner, sizeof block->fill);
	return block;
}

static void give(void *given)
{
	struct block *block = given;

	for (size_t i = 0; i < sizeof block->fill; i++)
		CHECK((unsigned char)block->fill[i] == (unsigned char)block->owner);
	defer_drop_pool_give(pool, block);
}

static void drop(struct block *block)
{
	ANSWERS(0, defer_drop(block, give));
}

/* Takes, gives and drops by turns, until all is over. */
static void *use(void *argument)
{
	uint64_t owner = (uintptr_t)argument;
	struct block *held[HELD];

	while (!atomic_load(&is_over)) {
		for (unsigned i = 0; i < HELD; i++)
			held[i] = take(owner);
		for (unsigned i = 0; i < HELD; i++)
			i % 2 ? give(held[i]) : drop(held[i]);
	}
	return NULL;
}

static void start_threads(pthread_t *threads)
{
	atomic_store(&is_over, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		ANSWERS(0, pthread_create(&threads[i], NULL, use, (void *)(i + 1)));
}

static void end_threads(pthread_t *threads)
{
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < THREADS; i++)
		ANSWERS(0, pthread_join(threads[i], NULL));
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void *use_once(void *argument)
{
	uint64_t owner = (uintptr_t)argument;
	struct block *held[HELD];

	for (unsigned i = 0; i < HELD; i++)
		held[i] = take(owner);
	for (unsigned i = 0; i < HELD; i++)
		give(held[i]);
	return NULL;
}

static int compare(const void *one, const void *other)
{
	uintptr_t a = (uintptr_t) * (void *const *)one;
	uintptr_t b = (uintptr_t) * (void *const *)other;

	return (a > b) - (a < b);
}

/* All that is at rest in the child is there once. */
static void take_all_at_rest(void)
{
	enum { MOST = 200000 };
	void **taken = malloc(MOST * sizeof *taken);
	uint64_t backed = counts_of_pool().from_backing_total;
	unsigned count = 0;

	CHECK(taken);
	do
		taken[count++] = take(99);
	while (count < MOST && counts_of_pool().from_backing_total == backed);
	qsort(taken, count, sizeof *taken, compare);
	for (unsigned i = 1; i < count; i++)
		CHECK(taken[i] != taken[i - 1]);
	for (unsigned i = 0; i < count; i++)
		give(taken[i]);
	free(taken);
}

static void go_on_in_child(void *argument)
{
	pthread_t thread;

	take_all_at_rest();
	use_once(argument);
	ANSWERS(0, pthread_create(&thread, NULL, use_once, argument));
	ANSWERS(0, pthread_join(thread, NULL));
	drop(take(7));
	ANSWERS(0, defer_drop_flush());
	ANSWERS(0, defer_drop_pool_trim(pool, 0));
	use_once(argument);
}

static void run_fork(void)
{
	pthread_t threads[THREADS];

	make_pool(1000000);
	start_threads(threads);
	for (unsigned i = 0; i < scaled(20, 400); i++)
		run_good_child(go_on_in_child, (void *)(uintptr_t)(i + 1));
	end_threads(threads);
	ANSWERS(0, defer_drop_flush());
	CHECK(counts_of_pool().out == 0);
	ANSWERS(0, defer_drop_pool_free(pool));
}

/* A destructor forks on the worker, which goes on in the child with what it has. */
static void fork_and_give(void *block)
{
	struct outcome outcome;

	give(block);
	run_child(&outcome, go_on_in_child, (void *)1);
	CHECK(outcome.status == 0 || strstr(outcome.words, "answers -35")); /* no flush there */
}

static void run_fork_by_worker(void)
{
	make_pool(1000000);
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, defer_drop(take(i + 1), fork_and_give));
	ANSWERS(0, defer_drop_flush());
	ANSWERS(0, defer_drop_pool_free(pool));
}

/* ---- exit ------------------------------------------------------------------------------------ */

static void exit_beside_threads(void *argument)
{
	pthread_t threads[THREADS];

	(void)argument;
	make_pool(1000000);
	start_threads(threads);
	usleep(2000);
	atomic_store(&is_over, true); /* a thread whose drop is refused would say so */
	end_threads(threads);
	for (unsigned i = 0; i < 1000; i++)
		drop(take(i + 1));
	exit(0);
}

static void run_exit(void)
{
	for (unsigned i = 0; i < scaled(10, 200); i++)
		run_good_child(exit_beside_threads, NULL);
}

static void *use_for_ever(void *argument)
{
	for (;;)
		use_once(argument);
	return NULL;
}

static void exit_in_the_middle(void *argument)
{
	pthread_t thread;

	(void)argument;
	make_pool(1000000);
	for (uintptr_t i = 0; i < THREADS; i++)
		ANSWERS(0, pthread_create(&thread, NULL, use_for_ever, (void *)(i + 1)));
	usleep(2000);
	exit(0);
}

static void run_exit_in_the_middle(void)
{
	for (unsigned i = 0; i < scaled(10, 200); i++)
		run_good_child(exit_in_the_middle, NULL);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void run_churn(void)
{
	make_pool(DEFER_DROP_NEVER);
	for (unsigned i = 0; i < scaled(100, 3000); i++) {
		pthread_t threads[THREADS];

		for (uintptr_t j = 0; j < THREADS; j++)
			ANSWERS(0, pthread_create(&threads[j], NULL, use_once, (void *)(j + 1)));
		for (unsigned j = 0; j < THREADS; j++)
			ANSWERS(0, pthread_join(threads[j], NULL));
	}
	/* What all had at a time comes home with each that ends. */
	CHECK(counts_of_pool().from_backing_total <= THREADS * HELD);
	CHECK(counts_of_pool().out == 0);
	ANSWERS(0, defer_drop_pool_free(pool));
}

/* Threads that have used a pool end while it is freed, and another is made in its place. */
struct use_and_wait {
	pthread_barrier_t used;
	atomic_bool may_end;
};

static void *use_and_end(void *argument)
{
	struct use_and_wait *shared = argument;

	use_once((void *)5);
	pthread_barrier_wait(&shared->used);
	while (!atomic_load(&shared->may_end))
		;
	return NULL;
}

static void run_free(void)
{
	for (unsigned i = 0; i < scaled(100, 3000); i++) {
		struct use_and_wait shared = {.may_end = false};
		pthread_t threads[THREADS];

		make_pool(1000000);
		pthread_barrier_init(&shared.used, NULL, THREADS + 1);
		for (unsigned j = 0; j < THREADS; j++)
			ANSWERS(0, pthread_create(&threads[j], NULL, use_and_end, &shared));
		pthread_barrier_wait(&shared.used);
		atomic_store(&shared.may_end, true);
		ANSWERS(0, defer_drop_pool_free(pool));
		make_pool(1000000);
		use_once((void *)6);
		for (unsigned j = 0; j < THREADS; j++)
			ANSWERS(0, pthread_join(threads[j], NULL));
		CHECK(counts_of_pool().taken_total == HELD);
		ANSWERS(0, defer_drop_pool_free(pool));
		pthread_barrier_destroy(&shared.used);
	}
}

const struct hostile_case hostile_cases[] = {
	{"fork",
		"A child that is forked beside threads that take and give has each block once, and "
		"no lock held.",
		run_fork},
	{"fork_by_worker", "A destructor may fork that gives to a pool.", run_fork_by_worker},
	{"exit", "What destructors give while the process ends is taken.", run_exit},
	{"exit_in_the_middle", "A process may end beside threads that take and give.",
		run_exit_in_the_middle},
	{"churn", "Threads that come and go leave what they had to those that come.", run_churn},
	{"free", "A pool may be freed while threads end that have used it.", run_free},
	{NULL, NULL, NULL},
};
