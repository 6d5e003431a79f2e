/* SPDX-License-Identifier: MIT
 *
 * Pools in processes that fork, exit, and have threads that come and go.
 */
#include "hostile.h"

#include <defer_drop/pool.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 6
#define HELD    300 /* blocks that a thread has at a time: more than two magazines */
#define IDLE_NS 1000000

struct block {
	uint64_t owner; /* the number of the thread that took it last */
	char fill[56];  /* repeats the owner */
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

static struct block *take(uint64_t owner)
{
	struct block *block = defer_drop_pool_take(pool);

	CHECK(block);
	block->owner = owner;
	memset(block->fill, (int)owner, sizeof block->fill);
	return block;
}

/* A destructor too: its object is a block. */
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
		for (unsigned i = 0; i < HELD; i++) {
			CHECK(held[i]->owner == owner);
			i % 2 ? give(held[i]) : drop(held[i]);
		}
	}
	return NULL;
}

/* Each thread is given its number, from 1 on. */
static void start_threads(pthread_t *threads, void *(*run)(void *))
{
	atomic_store(&is_over, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = spawn(run, (void *)(i + 1));
}

static void join_threads(const pthread_t *threads)
{
	for (unsigned i = 0; i < THREADS; i++)
		join_thread(threads[i]);
}

static void end_use(const pthread_t *threads)
{
	atomic_store(&is_over, true);
	join_threads(threads);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void *use_once(void *argument)
{
	uint64_t owner = (uintptr_t)argument;
	struct block *held[HELD];

	for (unsigned i = 0; i < HELD; i++)
		held[i] = take(owner);
	for (unsigned i = 0; i < HELD; i++) {
		CHECK(held[i]->owner == owner);
		give(held[i]);
	}
	return NULL;
}

static int compare(const void *one, const void *other)
{
	uintptr_t a = (uintptr_t) * (void *const *)one;
	uintptr_t b = (uintptr_t) * (void *const *)other;

	return (a > b) - (a < b);
}

/* Checks that no block is at rest twice in the child. */
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
	take_all_at_rest();
	use_once(argument);
	join_thread(spawn(use_once, argument));
	drop(take(7));
	ANSWERS(0, defer_drop_flush());
	ANSWERS(0, defer_drop_pool_trim(pool, 0));
	use_once(argument);
}

static void run_fork(void)
{
	pthread_t threads[THREADS];

	make_pool(IDLE_NS);
	start_threads(threads, use);
	for (unsigned i = 0; i < scaled(20, 400); i++)
		run_good_child(go_on_in_child, (void *)(uintptr_t)(i + 1));
	end_use(threads);
	ANSWERS(0, defer_drop_flush());
	CHECK(counts_of_pool().out == 0);
	ANSWERS(0, defer_drop_pool_free(pool));
}

/* A destructor forks on the worker, which goes on in the child with the blocks that it has. */
static void fork_and_give(void *block)
{
	struct outcome outcome;

	give(block);
	run_child(&outcome, go_on_in_child, (void *)1);
	CHECK(outcome.status == 0 || strstr(outcome.words, "answers -35")); /* no flush there */
}

static void run_fork_by_worker(void)
{
	make_pool(IDLE_NS);
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, defer_drop(take(i + 1), fork_and_give));
	ANSWERS(0, defer_drop_flush());
	ANSWERS(0, defer_drop_pool_free(pool));
}

/* ---- exit ------------------------------------------------------------------------------------ */

static void exit_with_drops(void *argument)
{
	pthread_t threads[THREADS];

	(void)argument;
	make_pool(IDLE_NS);
	start_threads(threads, use);
	usleep(2000);
	end_use(threads); /* before exit, at which a drop would be refused */
	for (unsigned i = 0; i < 1000; i++)
		drop(take(i + 1));
	exit(0);
}

static void run_exit(void)
{
	for (unsigned i = 0; i < scaled(10, 200); i++)
		run_good_child(exit_with_drops, NULL);
}

static void *use_for_ever(void *argument)
{
	for (;;)
		use_once(argument);
	return NULL;
}

static void exit_in_the_middle(void *argument)
{
	pthread_t threads[THREADS];

	(void)argument;
	make_pool(IDLE_NS);
	start_threads(threads, use_for_ever);
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

		start_threads(threads, use_once);
		join_threads(threads);
	}
	/* The blocks of a thread come home when it ends. */
	CHECK(counts_of_pool().from_backing_total <= THREADS * HELD);
	CHECK(counts_of_pool().out == 0);
	ANSWERS(0, defer_drop_pool_free(pool));
}

static pthread_barrier_t used;

static void *use_and_end(void *argument)
{
	use_once(argument);
	pthread_barrier_wait(&used);
	while (!atomic_load(&is_over))
		;
	return NULL;
}

/* Threads that have used a pool end while it is freed, and another is made in its place. */
static void free_beside_ends(void)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&used, NULL, THREADS + 1);
	make_pool(IDLE_NS);
	start_threads(threads, use_and_end);
	pthread_barrier_wait(&used);
	atomic_store(&is_over, true);
	ANSWERS(0, defer_drop_pool_free(pool));
	make_pool(IDLE_NS);
	use_once((void *)99);
	join_threads(threads);
	CHECK(counts_of_pool().taken_total == HELD);
	ANSWERS(0, defer_drop_pool_free(pool));
	pthread_barrier_destroy(&used);
}

static void run_free(void)
{
	for (unsigned i = 0; i < scaled(100, 3000); i++)
		free_beside_ends();
}

const struct hostile_case hostile_cases[] = {
	{"fork",
		"A child that is forked beside threads that take and give has each block once, and "
		"no lock held.",
		run_fork},
	{"fork_by_worker", "A destructor may fork that gives to a pool.", run_fork_by_worker},
	{"exit", "Blocks that destructors give while the process ends are accepted.", run_exit},
	{"exit_in_the_middle", "A process may end beside threads that take and give.",
		run_exit_in_the_middle},
	{"churn", "Threads that end leave their blocks to threads that come.", run_churn},
	{"free", "A pool may be freed while threads end that have used it.", run_free},
	{NULL, NULL, NULL},
};
