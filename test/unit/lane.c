/* SPDX-License-Identifier: MIT
 *
 * Lanes: which threads get one, keep it, and give it back.
 */
#include "queues.h"

#include "core/registry.h"

TestSuite(lane, .timeout = 60);

/* A thread that pushes on request, and says which lane it used. */
struct pusher {
	struct defer_drop_queue *queue;
	uintptr_t first; /* of the numbers that it pushes */
	unsigned count;
	uint32_t lane; /* of the first */
	int errors;
	pthread_barrier_t *barrier; /* all have their lanes */
};

static void *push_numbers(void *argument)
{
	struct pusher *pusher = argument;
	struct defer_drop_ticket ticket = {0};

	for (unsigned i = 0; i < pusher->count; i++) {
		pusher->errors += push_ticket(pusher->queue, number(pusher->first + i), note,
					  FOREVER, &ticket) != 0;
		/* From the shared lane it may move to one that another has left. */
		pusher->errors += i && pusher->lane && ticket.lane != pusher->lane;
		pusher->lane = i ? pusher->lane : ticket.lane;
		if (!i && pusher->barrier)
			pthread_barrier_wait(pusher->barrier);
	}
	return NULL;
}

static void run_pushers(struct pusher *pushers, unsigned count)
{
	pthread_barrier_t barrier;
	pthread_t threads[8];

	pthread_barrier_init(&barrier, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		pushers[i].barrier = &barrier;
		threads[i] = spawn(push_numbers, &pushers[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		join_thread(threads[i]);
		cr_assert_eq(pushers[i].errors, 0, "it changed its lane");
	}
	pthread_barrier_destroy(&barrier);
}

static void assert_lanes(uint32_t max_lanes, unsigned owned)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, max_lanes);
	struct pusher pushers[8] = {{.count = 50}};
	unsigned users[9] = {0};

	for (unsigned i = 0; i < 8; i++)
		pushers[i] = (struct pusher){.queue = queue, .count = 50};
	run_pushers(pushers, 8);
	for (unsigned i = 0; i < 8; i++) {
		cr_assert_leq(pushers[i].lane, owned);
		users[pushers[i].lane]++;
	}
	for (unsigned i = 1; i <= owned; i++)
		cr_assert_eq(users[i], 1, "lane %u has %u owners", i, users[i]);
	cr_assert_eq(users[0], 8 - owned);
	cr_assert_eq(stats_of(queue).lanes, 1 + owned);
	end_queue(queue);
}

Test(lane, each_thread_has_its_own_while_there_are_any_and_keeps_it)
{
	assert_lanes(LANES, 8);
	assert_lanes(8, 8);
	assert_lanes(3, 3);
	assert_lanes(1, 1);
	assert_lanes(0, 0);
}

Test(lane, a_thread_that_ends_gives_its_lane_back)
{
	struct defer_drop_queue *queue = make_queue(WORKER, 64, 4);

	for (unsigned i = 0; i < 50; i++) {
		struct pusher pusher = {.queue = queue, .count = 2};

		run_pushers(&pusher, 1);
		cr_assert_eq(pusher.lane, 1);
		answers(0, defer_drop_queue_flush(queue, FOREVER));
	}
	cr_assert_eq(stats_of(queue).lanes, 2);
	end_queue(queue);
	cr_assert_eq(atomic_load(&seen_count), 100);
}

/* In a lane with drops the first push could find no room, and its drop would wait behind them. */
Test(lane, a_new_thread_gets_an_empty_lane_while_there_can_be_one)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 3);

	for (uint32_t i = 1; i <= 3; i++) {
		struct pusher pusher = {.queue = queue, .count = 16};

		run_pushers(&pusher, 1);
		cr_assert_eq(pusher.errors, 0);
		cr_assert_eq(pusher.lane, i);
	}
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	for (unsigned i = 0; i < 3; i++) {
		struct pusher pusher = {.queue = queue, .count = 16};

		/* The full lanes that the others left come last in the list, or first. */
		run_pushers(&pusher, 1);
		cr_assert_eq(pusher.errors, 0);
	}
	cr_assert_eq(stats_of(queue).lanes, 4);
	cr_assert_eq(stats_of(queue).waits_total, 0);
	end_queue(queue);
}

Test(lane, the_next_owner_goes_on_behind_what_was_left)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 16, 1);

	for (uintptr_t i = 0; i < 4; i++) {
		struct pusher pusher = {.queue = queue, .first = 4 * i, .count = 4};

		run_pushers(&pusher, 1);
		cr_assert_eq(pusher.lane, 1);
	}
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 16);
	end_queue(queue);
}

Test(lane, a_thread_of_many_queues_keeps_its_order_in_each)
{
	struct defer_drop_queue *queues[20];

	for (unsigned i = 0; i < 20; i++)
		queues[i] = make_queue(CALLER, 128, LANES);
	for (uintptr_t at = 0; at < 100; at++)
		for (unsigned i = 0; i < 20; i++)
			answers(0, defer_drop_queue_push(queues[i], number(at), note, FOREVER));
	for (unsigned i = 0; i < 20; i++) {
		atomic_store(&seen_count, 0);
		answers(0, defer_drop_queue_flush(queues[i], FOREVER));
		assert_seen(0, 100);
	}
	/* Once there is room again, the order holds still. */
	end_queue(queues[0]);
	atomic_store(&seen_count, 0);
	for (uintptr_t at = 0; at < 100; at++)
		answers(0, defer_drop_queue_push(queues[19], number(at), note, FOREVER));
	answers(0, defer_drop_queue_flush(queues[19], FOREVER));
	assert_seen(0, 100);
	for (unsigned i = 1; i < 20; i++)
		end_queue(queues[i]);
}

/* At the same lines, a thousand lanes would share a few sets of the first cache. */
Test(lane, lanes_begin_at_different_lines_of_their_pages)
{
	struct tenant tenants[8] = {{.queue = make_queue(CALLER, 64, 8)}};
	struct defer_drop_queue *queue = tenants[0].queue;
	unsigned users[4096 / DD_LINE] = {0};

	for (unsigned i = 0; i < 8; i++) {
		tenants[i] =
			(struct tenant){.queue = queue, .object = number(i), .destroy = ignore};
		tenant_begin(&tenants[i]);
	}
	for (unsigned i = 1; i <= 8; i++) {
		uintptr_t at = (uintptr_t)queue->lanes[i];

		cr_assert_eq(at % DD_LINE, 0);
		cr_assert_eq(++users[at % 4096 / DD_LINE], 1);
	}
	for (unsigned i = 0; i < 8; i++)
		tenant_end(&tenants[i]);
	end_queue(queue);
}

/* ---- From the shared lane to one of its own -------------------------------------------------- */

static uint32_t lane_of_push(struct defer_drop_queue *queue, uintptr_t at)
{
	struct defer_drop_ticket ticket = {0};

	answers(0, push_ticket(queue, number(at), note, FOREVER, &ticket));
	return ticket.lane;
}

Test(lane, a_thread_leaves_the_shared_lane_when_there_is_one_and_its_drops_are_destroyed)
{
	struct tenant tenant = {.queue = make_queue(CALLER, 16, 1), .destroy = note};
	struct defer_drop_queue *queue = tenant.queue;

	tenant.object = number(100);
	tenant_begin(&tenant);
	cr_assert_eq(lane_of_push(queue, 0), 0);
	answers(-ENOSPC, defer_drop_queue_attach(queue));
	answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
	tenant_end(&tenant);
	/* The thread's own drops are pending, and so are those that the other thread left in its
	 * lane. */
	cr_assert_eq(lane_of_push(queue, 2), 0);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	atomic_store(&seen_count, 0);
	cr_assert_eq(lane_of_push(queue, 0), 1);
	cr_assert_eq(lane_of_push(queue, 1), 1);
	answers(0, defer_drop_queue_push(queue, number(2), note, FOREVER));
	answers(0, defer_drop_queue_attach(queue));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 3);
	end_queue(queue);
}

/* Its drops in the shared lane are the last for which its order could be lost. */
Test(lane, a_thread_stays_in_the_shared_lane_while_its_drops_are_there)
{
	struct tenant tenant = {.queue = make_queue(CALLER, 16, 1), .destroy = note};
	struct defer_drop_queue *queue = tenant.queue;

	tenant.object = number(100);
	tenant_begin(&tenant);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(lane_of_push(queue, 0), 0);
	answers(0, defer_drop_queue_push(queue, number(1), note, FOREVER));
	tenant_end(&tenant); /* an empty lane */
	drain(queue, 1);
	for (uintptr_t i = 2; i < 5; i++)
		cr_assert_eq(lane_of_push(queue, i), 0);
	atomic_store(&seen_count, 0);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(1, 4);
	cr_assert_eq(lane_of_push(queue, 5), 1);
	end_queue(queue);
}

/* Pushes while this thread holds the lock: a push that took the lock would wait for ever. */
static void push_beside_lock(struct defer_drop_queue *queue)
{
	dd_registry_lock();
	for (uintptr_t i = 0; i < 50; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
	dd_registry_unlock();
}

Test(lane, a_thread_of_many_queues_takes_no_lock_and_gets_its_own_lane_when_a_queue_goes)
{
	struct defer_drop_queue *queues[2 + DD_TENANCIES];
	struct defer_drop_queue *last;

	for (unsigned i = 0; i < 2 + DD_TENANCIES; i++) {
		queues[i] = make_queue(CALLER, 128, LANES);
		cr_assert_eq(lane_of_push(queues[i], 0), i < DD_TENANCIES);
	}
	last = queues[1 + DD_TENANCIES];
	push_beside_lock(last);
	push_beside_lock(queues[DD_TENANCIES]);
	end_queue(queues[0]);
	/* Order first: 51 drops are in the shared lane. */
	cr_assert_eq(lane_of_push(last, 50), 0);
	answers(0, defer_drop_queue_flush(last, FOREVER));
	cr_assert_eq(lane_of_push(last, 0), 1);
	cr_assert_eq(lane_of_push(queues[DD_TENANCIES], 50), 0); /* asks once more */
	push_beside_lock(last);
	push_beside_lock(queues[DD_TENANCIES]);
	for (unsigned i = 1; i < 2 + DD_TENANCIES; i++)
		end_queue(queues[i]);
}

/* ---- Memory of lanes without owners ---------------------------------------------------------- */

enum { CROWD = 60, CROWD_SLOTS = 4096 };

struct crowd {
	struct defer_drop_queue *queue;
	pthread_barrier_t barrier;
	atomic_int errors;
};

static void *fill_lane(void *argument)
{
	struct crowd *crowd = argument;

	for (unsigned i = 0; i < CROWD_SLOTS; i++)
		if (defer_drop_queue_push(crowd->queue, NULL, ignore, FOREVER))
			atomic_fetch_add(&crowd->errors, 1);
	pthread_barrier_wait(&crowd->barrier); /* each has a lane of its own */
	return NULL;
}

/* Threads come, fill a lane each, and go. */
static void come_and_go(struct crowd *crowd, uint32_t runner)
{
	pthread_t threads[CROWD];

	crowd->queue = make_queue(runner, CROWD_SLOTS, CROWD);
	pthread_barrier_init(&crowd->barrier, NULL, CROWD);
	for (unsigned i = 0; i < CROWD; i++)
		threads[i] = spawn(fill_lane, crowd);
	for (unsigned i = 0; i < CROWD; i++)
		join_thread(threads[i]);
	pthread_barrier_destroy(&crowd->barrier);
	cr_assert_eq(atomic_load(&crowd->errors), 0);
	cr_assert_eq(stats_of(crowd->queue).lanes, 1 + CROWD);
}

/* Lanes whose last slots are in memory. */
static unsigned count_resident(struct defer_drop_queue *queue)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned count = 0;

	for (uint32_t i = 1; i < dd_queue_lanes(queue); i++) {
		uintptr_t last = (uintptr_t)(queue->lanes[i]->ring.slots + CROWD_SLOTS - 1);
		unsigned char is_resident = 0;

		cr_assert_eq(mincore((void *)(last & -page), 1, &is_resident), 0);
		count += is_resident & 1;
	}
	return count;
}

Test(lane, the_memory_of_lanes_without_owners_goes_back_to_the_system)
{
	struct crowd crowd = {.errors = 0};
	struct pusher pusher;

	come_and_go(&crowd, WORKER);
	while (count_resident(crowd.queue) > DD_WARM_LANES) /* before the worker sleeps */
		usleep(1000);
	/* And they serve again. */
	pusher = (struct pusher){.queue = crowd.queue, .count = 1000};
	run_pushers(&pusher, 1);
	cr_assert_eq(stats_of(crowd.queue).lanes, 1 + CROWD);
	end_queue(crowd.queue);
}

Test(lane, a_caller_that_drains_gives_their_memory_back_a_few_at_a_time)
{
	struct crowd crowd = {.errors = 0};
	unsigned before = CROWD;

	come_and_go(&crowd, CALLER);
	cr_assert_eq(count_resident(crowd.queue), CROWD);
	while (before > DD_WARM_LANES) {
		unsigned after;

		drain(crowd.queue, UINT64_MAX);
		after = count_resident(crowd.queue);
		cr_assert_lt(after, before);
		cr_assert_leq(before - after, DD_TRIMMED_LANES);
		before = after;
	}
	cr_assert_eq(before, DD_WARM_LANES);
	end_queue(crowd.queue);
}

static void *leave_empty(void *argument)
{
	struct crowd *crowd = argument;

	fill_lane(crowd);
	pthread_barrier_wait(&crowd->barrier); /* all is destroyed */
	return NULL;
}

Test(lane, a_thread_that_leaves_an_empty_lane_gives_its_memory_back)
{
	struct crowd crowd = {.queue = make_queue(CALLER, CROWD_SLOTS, CROWD)};
	pthread_t threads[CROWD];

	pthread_barrier_init(&crowd.barrier, NULL, 1 + CROWD);
	for (unsigned i = 0; i < CROWD; i++)
		threads[i] = spawn(leave_empty, &crowd);
	pthread_barrier_wait(&crowd.barrier);
	answers(0, defer_drop_queue_flush(crowd.queue, FOREVER));
	cr_assert_eq(count_resident(crowd.queue), CROWD);
	pthread_barrier_wait(&crowd.barrier);
	for (unsigned i = 0; i < CROWD; i++)
		join_thread(threads[i]);
	cr_assert_eq(count_resident(crowd.queue), DD_WARM_LANES);
	end_queue(crowd.queue);
}

/* ---- Threads that outlive a queue ------------------------------------------------------------ */

struct survivor {
	struct defer_drop_queue *queue;
	sem_t go;
	sem_t done;
	int errors;
};

static void *outlive(void *argument)
{
	struct survivor *survivor = argument;

	for (unsigned i = 0; i < 20; i++) {
		await_semaphore(&survivor->go);
		for (uintptr_t at = 0; at < 10; at++)
			survivor->errors += defer_drop_queue_push(survivor->queue, number(at), note,
						    FOREVER) != 0;
		sem_post(&survivor->done);
	}
	return NULL;
}

Test(lane, threads_live_on_when_a_queue_is_freed_and_use_the_next)
{
	struct survivor survivor = {.errors = 0};
	pthread_t thread;

	sem_init(&survivor.go, 0, 0);
	sem_init(&survivor.done, 0, 0);
	thread = spawn(outlive, &survivor);
	for (unsigned i = 0; i < 20; i++) {
		/* As likely as not at the address of the one before. */
		survivor.queue = make_queue(CALLER, 16, LANES);
		atomic_store(&seen_count, 0);
		sem_post(&survivor.go);
		await_semaphore(&survivor.done);
		answers(0, defer_drop_queue_flush(survivor.queue, FOREVER));
		assert_seen(0, 10);
		cr_assert_eq(stats_of(survivor.queue).lanes, 2);
		end_queue(survivor.queue);
	}
	join_thread(thread);
	cr_assert_eq(survivor.errors, 0);
}

/* ---- Threads that push while they end -------------------------------------------------------- */

static pthread_key_t key;
static struct defer_drop_queue *late_queue;
static uintptr_t late_from; /* the round of thread-specific data in which pushing begins */
static atomic_int late_errors;

static void push_late(void *round)
{
	uintptr_t at = (uintptr_t)round;

	if (at >= late_from && defer_drop_queue_push(late_queue, round, note, FOREVER))
		atomic_fetch_add(&late_errors, 1);
	pthread_setspecific(key, number(at + 1));
}

/* Joins a thread that may wait, while it ends, until its drops are drained; leaves no drop. */
static void join_while_draining(pthread_t thread)
{
	bool is_over;

	do {
		usleep(100);
		is_over = !pthread_tryjoin_np(thread, NULL);
		drain(late_queue, UINT64_MAX);
	} while (!is_over);
}

static void *end_late(void *argument)
{
	pthread_setspecific(key, argument);
	if (!argument && defer_drop_queue_push(late_queue, number(0), note, FOREVER))
		atomic_fetch_add(&late_errors, 1);
	if (!argument)
		pthread_setspecific(key, number(1));
	return NULL;
}

Test(lane, the_order_of_a_thread_holds_until_its_very_end)
{
	cr_assert_eq(pthread_key_create(&key, push_late), 0);
	late_queue = make_queue(CALLER, 16, LANES);
	join_while_draining(spawn(end_late, NULL));
	answers(0, defer_drop_queue_flush(late_queue, FOREVER));
	cr_assert_eq(atomic_load(&late_errors), 0);
	assert_seen(0, 1 + PTHREAD_DESTRUCTOR_ITERATIONS);
	end_queue(late_queue);
}

Test(lane, a_thread_that_first_pushes_at_its_very_end_keeps_no_lane)
{
	cr_assert_eq(pthread_key_create(&key, push_late), 0);
	for (late_from = 1; late_from <= PTHREAD_DESTRUCTOR_ITERATIONS; late_from++) {
		late_queue = make_queue(CALLER, 256, LANES);
		for (unsigned i = 0; i < 20; i++)
			join_while_draining(spawn(end_late, number(1)));
		cr_assert_leq(stats_of(late_queue).lanes, 2, "first in round %u: %u lanes",
			(unsigned)late_from, stats_of(late_queue).lanes);
		end_queue(late_queue);
	}
	cr_assert_eq(atomic_load(&late_errors), 0);
}

/* What the thread left behind must not be written to when the queue is freed. */
Test(lane, a_queue_is_freed_after_threads_that_pushed_at_their_very_end)
{
	struct defer_drop_queue *other;

	cr_assert_eq(pthread_key_create(&key, push_late), 0);
	for (late_from = 1; late_from <= PTHREAD_DESTRUCTOR_ITERATIONS; late_from++) {
		struct survivor survivor = {.errors = 0};
		pthread_t thread;

		late_queue = make_queue(CALLER, 256, LANES);
		join_while_draining(spawn(end_late, number(1)));
		/* Its stack is used again by a thread with a lane in another queue. */
		other = make_queue(CALLER, 1024, 1);
		survivor.queue = other;
		sem_init(&survivor.go, 0, 0);
		sem_init(&survivor.done, 0, 0);
		thread = spawn(outlive, &survivor);
		sem_post(&survivor.go);
		await_semaphore(&survivor.done);
		end_queue(late_queue);
		for (unsigned i = 1; i < 20; i++) {
			sem_post(&survivor.go);
			await_semaphore(&survivor.done);
		}
		join_thread(thread);
		/* None of its drops went to the shared lane. */
		struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

		answers(0, defer_drop_queue_lane_stats(other, 0, &stats));
		cr_assert_eq(stats.pushed_total, 0);
		end_queue(other);
		cr_assert_eq(survivor.errors, 0);
	}
}

/* ---- The ticket of a thread that is leaving -------------------------------------------------- */

struct asking {
	struct defer_drop_queue *queue;
	unsigned rounds;
	int errors;
	struct defer_drop_ticket early; /* while what it pushed before is pending, */
	struct defer_drop_ticket late;  /* and once that is destroyed, and more was pushed */
	bool is_robbed;                 /* another thread has its lane by then: */
	struct tenant tenant;
	int looks[4];
};

/* From its second round on the thread is leaving, whichever key comes first. */
static void ask_late(void *argument)
{
	struct asking *asking = argument;
	struct defer_drop_queue *queue = asking->queue;

	if (!asking->rounds++) {
		pthread_setspecific(key, asking);
		return;
	}
	if (asking->is_robbed)
		tenant_begin(&asking->tenant);
	asking->errors |= defer_drop_queue_ticket(queue, &asking->early);
	asking->looks[0] = defer_drop_ticket_wait(&asking->early, 0);
	asking->errors |= defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL);
	asking->looks[1] = defer_drop_ticket_wait(&asking->early, 0);
	asking->errors |= defer_drop_queue_push(queue, number(1), note, FOREVER);
	asking->errors |= defer_drop_queue_ticket(queue, &asking->late);
	asking->looks[2] = defer_drop_ticket_wait(&asking->late, 0);
	asking->errors |= defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL);
	asking->looks[3] = defer_drop_ticket_wait(&asking->late, 0);
}

static void *end_asking(void *argument)
{
	struct asking *asking = argument;

	pthread_setspecific(key, asking);
	asking->errors |= defer_drop_queue_push(asking->queue, number(0), note, FOREVER);
	return NULL;
}

Test(lane, the_ticket_of_a_thread_that_is_leaving_covers_all_that_it_pushed)
{
	cr_assert_eq(pthread_key_create(&key, ask_late), 0);
	for (unsigned is_robbed = 0; is_robbed < 2; is_robbed++) {
		struct asking asking = {.queue = make_queue(CALLER, 16, 1), .is_robbed = is_robbed};

		asking.tenant = (struct tenant){
			.queue = asking.queue, .object = number(2), .destroy = note};
		atomic_store(&seen_count, 0);
		join_thread(spawn(end_asking, &asking));
		cr_assert_eq(asking.rounds, 2);
		answers(0, asking.errors);
		answers(-EAGAIN, asking.looks[0]);
		answers(0, asking.looks[1]);
		answers(-EAGAIN, asking.looks[2]);
		answers(0, asking.looks[3]);
		/* Its own lane until another thread has taken that over; then the shared one. */
		cr_assert_eq(asking.early.lane, 1);
		cr_assert_eq(asking.late.lane, !is_robbed);
		cr_assert_eq(seen[0], number(0));
		cr_assert_eq(seen[1 + is_robbed], number(1));
		if (is_robbed)
			tenant_end(&asking.tenant);
		end_queue(asking.queue);
	}
}
