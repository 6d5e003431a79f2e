/* SPDX-License-Identifier: MIT
 *
 * Threads that come and go: very many, many at once, cancelled, pushing while they end, made by
 * destructors.
 */
#include "hostile.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gate gate;

#define MOST_THREADS 100000
#define SMALL_STACK  ((size_t)sysconf(_SC_THREAD_STACK_MIN) + 65536)

static struct defer_drop_queue *queue;

static void make_queue(uint32_t queue_size, uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = queue_size;
	config.max_lanes = max_lanes;
	config.max_bytes = 100;
	config.quiet_spell_ns = 1000000;
	queue = create_queue(&config);
}

/* Ends the queue: this number of drops was accepted, and all of them are destroyed. */
static void end_queue_of(uint64_t accepted)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	CHECK(stats.destroyed_total == accepted && !stats.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(queue));
}

static void start(pthread_t *thread, bool is_detached, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;

	CHECK(!pthread_attr_init(&attributes));
	CHECK(!pthread_attr_setstacksize(&attributes, SMALL_STACK));
	CHECK(!pthread_attr_setdetachstate(
		&attributes, is_detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE));
	CHECK(!pthread_create(thread, &attributes, run, argument));
	CHECK(!pthread_attr_destroy(&attributes));
}

/* ---- A hundred thousand that push once ------------------------------------------------------- */

#define AT_A_TIME 50

static unsigned char times_destroyed[MOST_THREADS];
static atomic_uint pushed;

static void mark_destroyed(void *mark)
{
	++*(unsigned char *)mark;
}

static void *push_once(void *mark)
{
	ANSWERS(0, defer_drop_queue_push(queue, mark, mark_destroyed, DEFER_DROP_FOREVER));
	atomic_fetch_add(&pushed, 1);
	return NULL;
}

static void run_many(void)
{
	unsigned count = scaled(3000, MOST_THREADS);
	pthread_t threads[AT_A_TIME];

	make_queue(8, 4);
	for (unsigned i = 0; i < count; i += AT_A_TIME) {
		for (unsigned j = 0; j < AT_A_TIME; j++)
			start(&threads[j], j % 2, push_once, &times_destroyed[i + j]);
		for (unsigned j = 0; j < AT_A_TIME; j += 2)
			CHECK(!pthread_join(threads[j], NULL));
		AWAIT(atomic_load(&pushed) == i + AT_A_TIME);
	}
	CHECK(stats_of(queue).lanes <= 1 + 4);
	end_queue_of(count);
	for (unsigned i = 0; i < count; i++)
		CHECK(times_destroyed[i] == 1);
}

/* ---- Many at once ---------------------------------------------------------------------------- */

#define MOST_IN_CROWD 4000
#define CROWD_DROPS   8

struct member {
	pthread_t thread;
	unsigned pushed;
	unsigned destroyed;
};

static struct member crowd[MOST_IN_CROWD];
static pthread_barrier_t all_have_pushed;
static pthread_barrier_t all_may_leave;

static void destroy_in_order(void *object)
{
	struct member *member = &crowd[(uintptr_t)object / CROWD_DROPS];

	CHECK((uintptr_t)object % CROWD_DROPS == member->destroyed);
	member->destroyed++;
}

static void push_of(struct member *member)
{
	uintptr_t number = (uintptr_t)(member - crowd) * CROWD_DROPS + member->pushed++;

	ANSWERS(0,
		defer_drop_queue_push(queue, (void *)number, destroy_in_order, DEFER_DROP_FOREVER));
}

static void *crowd_in(void *argument)
{
	struct member *member = argument;

	while (member->pushed < CROWD_DROPS - 1)
		push_of(member);
	pthread_barrier_wait(&all_have_pushed);
	pthread_barrier_wait(&all_may_leave);
	push_of(member);
	return NULL;
}

static void run_crowd(void)
{
	unsigned count = scaled(400, MOST_IN_CROWD);

	make_queue(16, 4);
	CHECK(!pthread_barrier_init(&all_have_pushed, NULL, count + 1));
	CHECK(!pthread_barrier_init(&all_may_leave, NULL, count + 1));
	for (unsigned i = 0; i < count; i++)
		start(&crowd[i].thread, false, crowd_in, &crowd[i]);
	pthread_barrier_wait(&all_have_pushed);
	CHECK(stats_of(queue).lanes == 1 + 4);
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	for (unsigned i = 0; i < count; i++)
		CHECK(crowd[i].destroyed == CROWD_DROPS - 1);
	pthread_barrier_wait(&all_may_leave);
	for (unsigned i = 0; i < count; i++)
		CHECK(!pthread_join(crowd[i].thread, NULL));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	for (unsigned i = 0; i < count; i++)
		CHECK(crowd[i].destroyed == CROWD_DROPS);
	end_queue_of(count * CROWD_DROPS);
}

/* ---- Destructors of thread-specific data ----------------------------------------------------- */

/* ThreadSanitizer ends in the last round, and the process with it if we go on. */
#ifdef __SANITIZE_THREAD__
#define FAREWELL_DROPS 5
#else
#define FAREWELL_DROPS CROWD_DROPS
#endif

/* One key is made before the library's, one after it, and either destructor may come first. */
static pthread_key_t early_key;
static pthread_key_t late_key;

static void push_again(pthread_key_t key, struct member *member)
{
	if (member->pushed == FAREWELL_DROPS)
		return;
	push_of(member);
	CHECK(!pthread_setspecific(key, member));
}

static void push_early(void *member)
{
	push_again(early_key, member);
}

static void push_late(void *member)
{
	push_again(late_key, member);
}

static void *push_and_leave(void *argument)
{
	struct member *member = argument;

	if ((member - crowd) % 3) /* a third of them push for the first time when they end */
		push_of(member);
	CHECK(!pthread_setspecific(early_key, member));
	CHECK(!pthread_setspecific(late_key, member));
	return NULL;
}

static void run_farewell(void)
{
	unsigned count = scaled(600, MOST_IN_CROWD);
	uint64_t accepted = 0;

	CHECK(!pthread_key_create(&early_key, push_early));
	make_queue(4, 4);
	ANSWERS(0, defer_drop_queue_push(queue, NULL, ignore, DEFER_DROP_FOREVER));
	CHECK(!pthread_key_create(&late_key, push_late));
	for (unsigned i = 0; i < count; i++) {
		start(&crowd[i].thread, false, push_and_leave, &crowd[i]);
		if (i % 20 != 19)
			continue;
		for (unsigned j = i - 19; j <= i; j++)
			CHECK(!pthread_join(crowd[j].thread, NULL));
	}
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	for (unsigned i = 0; i < count; i++) {
		CHECK(crowd[i].pushed >= PTHREAD_DESTRUCTOR_ITERATIONS);
		CHECK(crowd[i].destroyed == crowd[i].pushed);
		accepted += crowd[i].pushed;
	}
	CHECK(stats_of(queue).lanes <= 1 + 4);
	end_queue_of(1 + accepted);
}

/* ---- The end of a thread whose lane is full -------------------------------------------------- */

static void *fill_lane(void *argument)
{
	struct member *member = argument;

	while (member->pushed < 4)
		push_of(member);
	ANSWERS(-EAGAIN, defer_drop_queue_push(queue, NULL, ignore, 0));
	CHECK(!pthread_setspecific(late_key, member));
	return NULL;
}

static void find_full_at_the_end(void *argument)
{
	(void)argument;
	ANSWERS(-EAGAIN, defer_drop_queue_push(queue, NULL, ignore, 0));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_push(queue, NULL, ignore, 1000000));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(queue, 1000000));
}

/* The lane of the one before, with its drops still in it. */
static void *find_full(void *argument)
{
	struct member *member = argument;

	find_full_at_the_end(NULL);
	atomic_store(&gate.is_open, true);
	while (member->pushed < CROWD_DROPS)
		push_of(member);
	return NULL;
}

static void run_full(void)
{
	pthread_t thread;

	CHECK(!pthread_key_create(&late_key, find_full_at_the_end));
	for (unsigned i = 0; i < scaled(100, 2000); i++) {
		memset(crowd, 0, 2 * sizeof *crowd);
		make_queue(4, 2); /* one for the gate, one for both threads */
		hold_up(queue, &gate);
		start(&thread, false, fill_lane, &crowd[0]);
		CHECK(!pthread_join(thread, NULL));
		start(&thread, false, find_full, &crowd[1]);
		CHECK(!pthread_join(thread, NULL));
		CHECK(stats_of(queue).lanes == 1 + 2);
		end_queue_of(1 + 4 + CROWD_DROPS);
		CHECK(crowd[0].destroyed == 4);
		CHECK(crowd[1].destroyed == CROWD_DROPS);
	}
}

/* ---- Cancellation ---------------------------------------------------------------------------- */

static atomic_uint calling;
static atomic_uint answered; /* calls that went on to their end */

static void count_pushed(int answer)
{
	ANSWERS(0, answer);
	atomic_fetch_add(&pushed, 1);
}

static void wait_in_push(void)
{
	while (!defer_drop_queue_push(queue, NULL, ignore, 0))
		atomic_fetch_add(&pushed, 1);
	count_pushed(defer_drop_queue_push(queue, NULL, ignore, DEFER_DROP_FOREVER));
}

static void wait_in_timed_push(void)
{
	while (!defer_drop_queue_push(queue, NULL, ignore, 0))
		atomic_fetch_add(&pushed, 1);
	count_pushed(defer_drop_queue_push(queue, NULL, ignore, DEADLINE_NS));
}

static void wait_in_budget(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 1;
	count_pushed(defer_drop_queue_push_with(queue, NULL, ignore, DEFER_DROP_FOREVER, &options));
}

static void wait_in_flush(void)
{
	ANSWERS(0, defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
}

static void wait_in_ticket(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;

	options.ticket = &ticket;
	count_pushed(defer_drop_queue_push_with(queue, NULL, ignore, DEFER_DROP_FOREVER, &options));
	ANSWERS(0, defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER));
}

static void wait_in_completion(void)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.completion = &completion;
	count_pushed(defer_drop_queue_push_with(queue, NULL, ignore, DEFER_DROP_FOREVER, &options));
	ANSWERS(0, defer_drop_completion_wait(&completion, DEFER_DROP_FOREVER, NULL));
}

static void wait_for_backlog(void)
{
	ANSWERS(0, defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, DEFER_DROP_FOREVER));
}

/* One thread after the other stops it and starts it. */
static void wait_in_stop(void)
{
	int answer;

	do
		answer = defer_drop_queue_stop(queue, DEFER_DROP_FOREVER);
	while (answer == -EBUSY);
	ANSWERS(0, answer);
	do
		answer = defer_drop_queue_start(queue);
	while (answer == -EBUSY);
	ANSWERS(0, answer);
}

static void (*const ways[])(void) = {wait_in_push, wait_in_timed_push, wait_in_budget,
	wait_in_flush, wait_in_ticket, wait_in_completion, wait_for_backlog, wait_in_stop};

#define WAYS (sizeof ways / sizeof *ways)

static void (*way_to_wait)(void);

static void call(void)
{
	atomic_fetch_add(&calling, 1);
	way_to_wait();
	atomic_fetch_add(&answered, 1);
}

static void *be_cancelled(void *ignored)
{
	(void)ignored;
	call();
	pthread_testcancel();
	fail(__FILE__, __LINE__, "it is cancelled");
	return NULL;
}

/* A thread that may be cancelled at any instruction is not inside a call. */
static void *be_cancelled_anywhere(void *ignored)
{
	(void)ignored;
	CHECK(!pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
	CHECK(!pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	call();
	CHECK(!pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
	pthread_testcancel(); /* in musl the line before does not see what came earlier */
	for (;;)
		;
}

/* Waits of all kinds, each in a thread that is cancelled; then all goes on. */
#define CANCELLED 3

static void cancel_in(void (*way)(void), uint32_t max_lanes, void *(*run)(void *ignored))
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	pthread_t threads[CANCELLED];

	make_queue(4, max_lanes);
	hold_up(queue, &gate);
	options.bytes = 100;
	for (unsigned i = 0; i < 2; i++) /* full, where the lane is shared; and in bytes */
		ANSWERS(0, defer_drop_queue_push_with(queue, NULL, ignore, 0, i ? NULL : &options));
	way_to_wait = way;
	atomic_store(&pushed, 1 + 2);
	atomic_store(&calling, 0);
	atomic_store(&answered, 0);
	for (unsigned i = 0; i < CANCELLED; i++)
		start(&threads[i], false, run, NULL);
	AWAIT(atomic_load(&calling) == CANCELLED);
	rest_a_bit();
	for (unsigned i = 0; i < CANCELLED; i++)
		CHECK(!pthread_cancel(threads[i]));
	rest_a_bit();
	atomic_store(&gate.is_open, true);
	for (unsigned i = 0; i < CANCELLED; i++)
		CHECK(!pthread_join(threads[i], NULL)); /* it ends in no other way */
	CHECK(atomic_load(&answered) == CANCELLED);
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS)); /* no lock is held */
	end_queue_of(atomic_load(&pushed));
}

static void run_cancel(void)
{
	for (unsigned i = 0; i < scaled(3, 300) * WAYS; i++) {
		cancel_in(ways[i % WAYS], 0, be_cancelled);
		cancel_in(ways[i % WAYS], 4, be_cancelled);
	}
}

static void run_cancel_anywhere(void)
{
	for (unsigned i = 0; i < scaled(1, 100) * WAYS; i++)
		cancel_in(ways[i % WAYS], 0, be_cancelled_anywhere);
}

/* ---- Threads that destructors make ----------------------------------------------------------- */

static atomic_uint links_left;

static void *push_link(void *ignored);

/* Alternately it leaves the thread alone, and waits for its end. */
static void make_thread(void *object)
{
	unsigned left = atomic_fetch_sub(&links_left, 1);
	pthread_t thread;

	if (left <= 1)
		return;
	start(&thread, left % 2, push_link, object);
	if (left % 2 == 0)
		CHECK(!pthread_join(thread, NULL));
}

static void *push_link(void *object)
{
	ANSWERS(0, defer_drop_queue_push(queue, object, make_thread, DEFER_DROP_FOREVER));
	atomic_fetch_add(&pushed, 1);
	return NULL;
}

static void run_made(void)
{
	unsigned count = scaled(1000, 50000);

	make_queue(8, 2);
	atomic_store(&links_left, count);
	push_link(NULL);
	AWAIT(!atomic_load(&links_left));
	AWAIT(atomic_load(&pushed) == count);
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	end_queue_of(count);
}

/* ---- Very many queues ------------------------------------------------------------------------ */

#define QUEUES 70

/* A checker that follows locks has room for few that one thread holds. */
static void run_queues(void)
{
	struct defer_drop_queue *queues[QUEUES];
	struct ledger *ledger = ledger_open();
	pid_t child;
	int status;

	for (unsigned i = 0; i < QUEUES; i++) {
		ANSWERS(0, defer_drop_queue_create(&queues[i], NULL));
		ANSWERS(0, ledger_push(ledger, queues[i]));
	}
	child = fork();
	CHECK(child >= 0);
	if (!child)
		_exit(0);
	CHECK(waitpid(child, &status, 0) == child && !status);
	for (unsigned i = 0; i < QUEUES; i++)
		end_queue(queues[i]);
	CHECK(ledger->destroyed == QUEUES);
}

const struct hostile_case hostile_cases[] = {
	{"many", "Each of very many threads pushes once, joined or detached: all is destroyed.",
		run_many},
	{"crowd", "Of many threads at once the drops of each keep their order, in any lane.",
		run_crowd},
	{"farewell", "A thread's order holds for what it pushes while it ends.", run_farewell},
	{"full", "A thread may end while its lane is full; the next one finds it so.", run_full},
	{"cancel", "A thread that is cancelled while it waits ends after the call, not inside.",
		run_cancel},
	{"cancel_anywhere",
		"So does one that may be cancelled at any instruction outside of calls.",
		run_cancel_anywhere},
	{"made", "Destructors may make threads that push.", run_made},
	{"queues", "A process with very many queues may fork.", run_queues},
	{NULL, NULL, NULL},
};
