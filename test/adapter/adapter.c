/* SPDX-License-Identifier: MIT */
#include "adapter.h"

#include <defer_drop/guard.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define DROPS 100

/* What a drop finds out about itself. */
struct object {
	pthread_t destroyer;
	int number;
};

static struct object objects[DROPS];
static atomic_int destroyed_count;
static int last_number; /* of those that one thread destroys */

static void destroy(void *argument)
{
	struct object *object = argument;

	object->destroyer = pthread_self();
	atomic_fetch_add(&destroyed_count, 1);
}

static void destroy_in_order(void *argument)
{
	struct object *object = argument;

	CHECK(object->number == last_number + 1);
	last_number = object->number;
	destroy(object);
}

static int destroy_and_fail(void *object)
{
	destroy(object);
	return -EIO;
}

static void reset(void)
{
	atomic_store(&destroyed_count, 0);
	last_number = -1;
	for (int i = 0; i < DROPS; i++)
		objects[i].number = i;
}

static int is_here(const struct object *object)
{
	return pthread_equal(object->destroyer, pthread_self());
}

/* ---- Pools ----------------------------------------------------------------------------------- */

void test_pool(const struct defer_drop_strategy *by, turn_fn turn, void *loop)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_STATUS_INIT(&objects[0], destroy_and_fail, by);

	reset();
	for (int i = 0; i < DROPS; i++)
		CHECK(!defer_drop_by(by, &objects[i], destroy));
	while (atomic_load(&destroyed_count) < DROPS)
		turn(loop);
	for (int i = 0; i < DROPS; i++)
		CHECK(!is_here(&objects[i]));
	CHECK(defer_drop_guard_drop(&guard) == -EIO);
	CHECK(atomic_load(&destroyed_count) == DROPS + 1);
}

/* ---- Loops ----------------------------------------------------------------------------------- */

static void *drop_all(void *by)
{
	for (int i = 0; i < DROPS; i++)
		CHECK(!defer_drop_by(by, &objects[i], destroy_in_order));
	return NULL;
}

static void turn_until_all_destroyed(turn_fn turn, void *loop)
{
	while (atomic_load(&destroyed_count) < DROPS)
		turn(loop);
	for (int i = 0; i < DROPS; i++)
		CHECK(is_here(&objects[i]));
}

static void *await_one(void *by)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_STATUS_INIT(&objects[0], destroy_and_fail, by);

	CHECK(defer_drop_guard_drop(&guard) == -EIO);
	return NULL;
}

static void test_own_drops(const struct defer_drop_strategy *by, turn_fn turn, void *loop)
{
	reset();
	drop_all((void *)by);
	CHECK(!atomic_load(&destroyed_count));
	turn_until_all_destroyed(turn, loop);
}

static void test_others_drops(const struct defer_drop_strategy *by, turn_fn turn, void *loop)
{
	pthread_t thread;

	reset();
	CHECK(!pthread_create(&thread, NULL, drop_all, (void *)by));
	turn_until_all_destroyed(turn, loop);
	pthread_join(thread, NULL);
}

/* Waiting on the loop's own thread turns to the objects; another thread's is served by a turn. */
static void test_waiting(const struct defer_drop_strategy *by, turn_fn turn, void *loop)
{
	pthread_t thread;

	reset();
	await_one((void *)by);
	CHECK(is_here(&objects[0]));
	CHECK(!pthread_create(&thread, NULL, await_one, (void *)by));
	while (atomic_load(&destroyed_count) < 2)
		turn(loop);
	pthread_join(thread, NULL);
	CHECK(is_here(&objects[0]));
}

/* A drop that finds no room answers at once, and the object is still ours. */
static void test_full(const struct defer_drop_strategy *by, turn_fn turn, void *loop)
{
	int accepted = 0;
	int result;

	reset();
	while (!(result = defer_drop_by(by, &objects[0], destroy)))
		accepted++;
	CHECK(result == -EAGAIN);
	while (atomic_load(&destroyed_count) < accepted)
		turn(loop);
	CHECK(!defer_drop_by(by, &objects[0], destroy));
	while (atomic_load(&destroyed_count) <= accepted)
		turn(loop);
}

void test_loop(const struct defer_drop_strategy *by, turn_fn turn, void *loop)
{
	test_own_drops(by, turn, loop);
	test_others_drops(by, turn, loop);
	test_waiting(by, turn, loop);
	test_full(by, turn, loop);
}
