/* SPDX-License-Identifier: MIT
 *
 * What every adapter must do, whichever pool or loop it is for.
 */
#include "adapter.h"

#include <defer_drop/guard.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#ifdef ADAPTER_RCU
#define URCU_API_MAP /* liburcu: the names without a flavor */
#include <time.h>
#include <urcu/urcu-memb.h>
#endif

#define DROPS       100
#define SHORT_NS    UINT64_C(1000000)
#define TOO_LONG_NS (DEFER_DROP_TIMEOUT_MAX + 1)

/* What a destructor finds out about its drop. */
struct object {
	pthread_t destroyer;
	int number;
};

static struct object objects[DROPS];
static atomic_int destroyed_count;
static int last_number; /* of drops that one thread destroys */

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

static void turn(const struct loop *loop)
{
	loop->turn(loop->itself);
}

static int drop(const struct loop *loop, struct object *object)
{
	return defer_drop_by(loop->by, object, destroy);
}

static int wait_for(const struct loop *loop, uint64_t timeout_ns)
{
	return loop->by->wait(loop->by, timeout_ns);
}

static void turn_until_destroyed(const struct loop *loop, int count)
{
	while (atomic_load(&destroyed_count) < count)
		turn(loop);
}

static void *drop_all(void *argument)
{
	const struct loop *loop = argument;

	for (int i = 0; i < DROPS; i++)
		CHECK(!defer_drop_by(loop->by, &objects[i], destroy_in_order));
	return NULL;
}

static void check_all_destroyed_here(void)
{
	CHECK(atomic_load(&destroyed_count) == DROPS);
	for (int i = 0; i < DROPS; i++)
		CHECK(is_here(&objects[i]));
}

static pthread_t start(void *(*run)(void *), const struct loop *loop)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run, (void *)loop));
	return thread;
}

static void test_own_drops(const struct loop *loop)
{
	reset();
	drop_all((void *)loop);
	CHECK(!atomic_load(&destroyed_count));
	turn_until_destroyed(loop, DROPS);
	check_all_destroyed_here();
}

static void test_others_drops(const struct loop *loop)
{
	pthread_t other;

	reset();
	other = start(drop_all, loop);
	turn_until_destroyed(loop, DROPS);
	pthread_join(other, NULL);
	check_all_destroyed_here();
}

/* A drop that finds no room returns at once, and the object is still the caller's. */
static void test_full(const struct loop *loop)
{
	int accepted = 0;
	int result;

	reset();
	while (!(result = drop(loop, &objects[0])))
		accepted++;
	CHECK(result == -EAGAIN);
	turn_until_destroyed(loop, accepted);
	CHECK(!drop(loop, &objects[0]));
	turn_until_destroyed(loop, accepted + 1);
}

/* ---- Loops: waits ---------------------------------------------------------------------------- */

static void *await_one(void *argument)
{
	const struct loop *loop = argument;
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_STATUS_INIT(&objects[0], destroy_and_fail, loop->by);

	CHECK(defer_drop_guard_drop(&guard) == -EIO);
	return NULL;
}

/* The wait for a guard destroys on the loop's own thread; another thread waits for a turn. */
static void test_guards(const struct loop *loop)
{
	pthread_t other;

	reset();
	await_one((void *)loop);
	CHECK(is_here(&objects[0]));
	other = start(await_one, loop);
	turn_until_destroyed(loop, 2);
	pthread_join(other, NULL);
	CHECK(is_here(&objects[0]));
}

static int wait_in_destructor(void *by)
{
	const struct defer_drop_strategy *strategy = by;

	return strategy->wait(strategy, DEFER_DROP_FOREVER);
}

static void test_own_wait(const struct loop *loop)
{
	struct defer_drop_guard waits =
		DEFER_DROP_GUARD_STATUS_INIT((void *)loop->by, wait_in_destructor, loop->by);

	reset();
	CHECK(!wait_for(loop, 0));
	drop_all((void *)loop);
	CHECK(wait_for(loop, 0) == -EAGAIN);
	CHECK(wait_for(loop, TOO_LONG_NS) == -EOVERFLOW);
	CHECK(!atomic_load(&destroyed_count));
	CHECK(!wait_for(loop, DEFER_DROP_FOREVER));
	check_all_destroyed_here();
	CHECK(!wait_for(loop, 0));
	CHECK(defer_drop_guard_drop(&waits) == -EDEADLK);
}

static atomic_bool has_waited_in_vain;

static void *drop_and_wait(void *argument)
{
	const struct loop *loop = argument;

	drop_all((void *)loop);
	CHECK(wait_for(loop, 0) == -EAGAIN);
	CHECK(wait_for(loop, SHORT_NS) == -ETIMEDOUT);
	CHECK(wait_for(loop, TOO_LONG_NS) == -EOVERFLOW);
	CHECK(!atomic_load(&destroyed_count));
	atomic_store(&has_waited_in_vain, true);
	CHECK(!wait_for(loop, DEFER_DROP_FOREVER));
	CHECK(atomic_load(&destroyed_count) == DROPS);
	return NULL;
}

/* A wait of another thread does not destroy: it waits for the loop. */
static void test_others_wait(const struct loop *loop)
{
	pthread_t other;

	reset();
	atomic_store(&has_waited_in_vain, false);
	other = start(drop_and_wait, loop);
	while (!atomic_load(&has_waited_in_vain))
		sched_yield();
	turn_until_destroyed(loop, DROPS);
	pthread_join(other, NULL);
	check_all_destroyed_here();
}

/* ---- Loops: a second thread that drains ------------------------------------------------------ */

static sem_t is_draining, may_end;

static void wait_for_semaphore(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		continue;
}

static void destroy_when_allowed(void *object)
{
	sem_post(&is_draining);
	wait_for_semaphore(&may_end);
	destroy(object);
}

static void *drain_one(void *argument)
{
	const struct loop *loop = argument;
	uint64_t destroyed;

	CHECK(!defer_drop_queue_push(loop->queue, &objects[0], destroy_when_allowed, 0));
	CHECK(!defer_drop_queue_drain(loop->queue, 1, DEFER_DROP_FOREVER, &destroyed));
	CHECK(destroyed == 1);
	return NULL;
}

/* The loop turns in vain while another thread drains. It turns again when that thread is done. */
static void test_second_drainer(const struct loop *loop, bool is_waiting)
{
	pthread_t other;

	reset();
	CHECK(!sem_init(&is_draining, 0, 0) && !sem_init(&may_end, 0, 0));
	other = start(drain_one, loop);
	wait_for_semaphore(&is_draining);
	CHECK(!drop(loop, &objects[1]));
	if (is_waiting)
		CHECK(wait_for(loop, SHORT_NS) == -ETIMEDOUT);
	else
		turn(loop);
	CHECK(!atomic_load(&destroyed_count));
	sem_post(&may_end);
	if (is_waiting)
		CHECK(!wait_for(loop, DEFER_DROP_FOREVER));
	turn_until_destroyed(loop, 2);
	pthread_join(other, NULL);
	CHECK(!is_here(&objects[0]));
	CHECK(is_here(&objects[1]));
	sem_destroy(&is_draining);
	sem_destroy(&may_end);
}

/* ---- Loops: drops that wait for readers ------------------------------------------------------ */

#ifdef ADAPTER_RCU

#define READING_NS UINT64_C(500000000)

static sem_t is_reading;

static void *read_on(void *argument)
{
	struct timespec length = {0, READING_NS};

	rcu_register_thread();
	rcu_read_lock();
	sem_post(&is_reading);
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &length, &length))
		continue;
	rcu_read_unlock();
	rcu_unregister_thread();
	return argument;
}

/* Drops an object after a grace period, and one behind it, beside a reader. */
static pthread_t drop_beside_reader(const struct loop *loop)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	pthread_t reader;

	reset();
	CHECK(!sem_init(&is_reading, 0, 0));
	reader = start(read_on, loop);
	wait_for_semaphore(&is_reading);
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	CHECK(!defer_drop_queue_push_with(loop->queue, &objects[0], destroy, 0, &options));
	CHECK(!drop(loop, &objects[1]));
	return reader;
}

static void join_reader(pthread_t reader)
{
	pthread_join(reader, NULL);
	sem_destroy(&is_reading);
}

/* While drops wait for readers the loop sleeps; when they need not any more, it turns. */
static void test_turns_beside_reader(const struct loop *loop)
{
	pthread_t reader = drop_beside_reader(loop);
	int turns = 0;

	for (; atomic_load(&destroyed_count) < 2; turns++)
		turn(loop);
	CHECK(turns < 100);
	CHECK(is_here(&objects[0]) && is_here(&objects[1]));
	join_reader(reader);
}

static uint64_t own_cpu_ns(void)
{
	struct timespec time;

	CHECK(!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time));
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* The wait of the loop's own thread sleeps too; a reader gets -EDEADLK. */
static void test_wait_beside_reader(const struct loop *loop)
{
	uint64_t cpu_ns = own_cpu_ns();
	pthread_t reader = drop_beside_reader(loop);

	CHECK(wait_for(loop, SHORT_NS) == -ETIMEDOUT);
	rcu_register_thread();
	rcu_read_lock();
	CHECK(wait_for(loop, DEFER_DROP_FOREVER) == -EDEADLK);
	rcu_read_unlock();
	rcu_unregister_thread();
	CHECK(!atomic_load(&destroyed_count));
	CHECK(!wait_for(loop, DEFER_DROP_FOREVER));
	CHECK(atomic_load(&destroyed_count) == 2);
	CHECK(own_cpu_ns() - cpu_ns < READING_NS / 2);
	join_reader(reader);
}

#endif

void test_loop(const struct loop *loop)
{
	test_own_drops(loop);
	test_others_drops(loop);
	test_full(loop);
	test_guards(loop);
	test_own_wait(loop);
	test_others_wait(loop);
	test_second_drainer(loop, false);
	test_second_drainer(loop, true);
#ifdef ADAPTER_RCU
	test_turns_beside_reader(loop);
	test_wait_beside_reader(loop);
#endif
}

/* ---- Closing --------------------------------------------------------------------------------- */

void drop_before_closing(const struct loop *loop)
{
	reset();
	pthread_join(start(drop_all, loop), NULL);
	CHECK(!atomic_load(&destroyed_count));
}

void check_closed(void)
{
	check_all_destroyed_here();
}
