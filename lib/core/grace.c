/* SPDX-License-Identifier: MIT
 *
 * Grace periods by liburcu: which drops they cover, when they begin, and what a fork does to them.
 */
#include "core/grace.h"

#include "config/built_in.h"
#if DD_HAS_RCU

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

#include "core/grace_thread.h"
#include "core/queue.h"
#include "core/scheduling.h"

/* The flavor bp, if the application uses it and so links it; else NULL. */
extern const struct rcu_flavor_struct urcu_bp_flavor __attribute__((weak));

/* Positions not covered that are worth another grace period at once. */
#define DD_PLENTY_UNCOVERED 256

/*
 * A grace period begins this long after it was asked for: meanwhile the ring fills, and all of that
 * is covered. (bench/grace at full speed, ns until a drop is destroyed: 33 without, 28 with.)
 */
#define GATHER_NS UINT64_C(20000)

/*
 * Threads of the library that are readers or wait for grace periods, some of them beyond the end of
 * their queue; not counting those of bp, which survive a fork. Relaxed is enough: a forked child
 * sees each other thread as it was at one point.
 */
static _Atomic(uint32_t) mortals;
static _Thread_local bool is_mortal; /* a reader */

/* In a forked child: the parent had such threads, beside the one that forked. */
static bool has_lost_parent;

static bool is_immortal(const struct rcu_flavor_struct *flavor)
{
	return flavor == &urcu_bp_flavor;
}

/* Counts a thread before the flavor knows it; end_use is for afterwards. */
static void begin_use(const struct rcu_flavor_struct *flavor)
{
	if (!is_immortal(flavor))
		atomic_fetch_add_explicit(&mortals, 1, memory_order_relaxed);
}

static void end_use(const struct rcu_flavor_struct *flavor)
{
	if (!is_immortal(flavor))
		atomic_fetch_sub_explicit(&mortals, 1, memory_order_relaxed);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void dispose(struct dd_grace_thread *shared)
{
	pthread_mutex_destroy(&shared->lock);
	free(shared);
}

static void *wait_for_grace_periods(void *argument)
{
	struct dd_grace_thread *shared = argument;

	/* Set by the thread itself: from outside, it would take a file descriptor. */
	pthread_setname_np(pthread_self(), "defer_drop-rcu");
	shared->thread_id = gettid();
	dd_grace_thread_run(shared, shared->flavor->update_synchronize_rcu);
	end_use(shared->flavor);
	if (dd_grace_thread_let_go(shared))
		dispose(shared);
	return NULL;
}

/* Starts the thread. NULL if there is no memory, or no thread can be created. */
static struct dd_grace_thread *start(struct defer_drop_queue *queue)
{
	int before = errno;
	struct dd_grace_thread *shared = calloc(1, sizeof *shared);

	errno = before;
	if (!shared)
		return NULL;
	pthread_mutex_init(&shared->lock, NULL);
	shared->flavor = queue->grace.flavor;
	dd_grace_thread_init(shared, &queue->park, queue->config.values.pending_eventfd);
	begin_use(shared->flavor);
	if (!dd_scheduling_start_helper(
		    &queue->config.values, &shared->thread, wait_for_grace_periods, shared))
		return shared;
	end_use(shared->flavor);
	errno = before;
	dispose(shared);
	return NULL;
}

/* ---- By producers ---------------------------------------------------------------------------- */

int dd_grace_use(struct dd_grace *grace)
{
	if (grace->is_orphaned)
		return -ENOTSUP;
	/* Relaxed is enough: a thread that waits for a drop synchronised with its producer. */
	if (!atomic_load_explicit(&grace->is_used, memory_order_relaxed))
		atomic_store_explicit(&grace->is_used, true, memory_order_relaxed);
	return 0;
}

bool dd_grace_is_reading(struct dd_grace *grace)
{
	return atomic_load_explicit(&grace->is_used, memory_order_relaxed) &&
	       dd_grace_is_inside(grace);
}

bool dd_grace_is_inside(struct dd_grace *grace)
{
	return grace->flavor->read_ongoing();
}

uint64_t dd_grace_ask_again_ns(struct dd_grace *grace, uint64_t deadline_ns)
{
	if (!dd_grace_is_inside(grace))
		return deadline_ns;
	return dd_least(dd_now_ns() + DD_LOOK_NS, deadline_ns);
}

/* ---- By the consumer ------------------------------------------------------------------------- */

/* Registers the worker as a reader. Other callers that drain register themselves. */
static void become_reader(struct dd_grace *grace)
{
	if (grace->is_reader || !grace->has_worker || grace->is_orphaned)
		return;
	begin_use(grace->flavor);
	is_mortal = !is_immortal(grace->flavor);
	grace->flavor->register_thread();
	grace->is_reader = true;
}

static void note_cover(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	for (uint32_t i = 0; i < count; i++) {
		struct dd_lane *lane = queue->lanes[i];

		lane->next_cover.position = dd_ring_tail(&lane->ring);
		lane->next_cover.nested = lane->nested.pushed_total;
	}
}

/*
 * Lets the drops be destroyed that the grace period covers which began with note_cover. True if a
 * lane that was set aside has received many drops since: the next grace period may pass while the
 * covered ones are destroyed.
 */
static bool take_cover(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);
	bool has_plenty = false;

	for (uint32_t i = 0; i < count; i++) {
		struct dd_lane *lane = queue->lanes[i];

		lane->cover = lane->next_cover;
		if (lane->is_set_aside &&
			dd_ring_tail(&lane->ring) - lane->cover.position >= DD_PLENTY_UNCOVERED)
			has_plenty = true;
		lane->is_set_aside = false;
	}
	queue->grace.is_running = false;
	return has_plenty;
}

/* Begins a grace period. may_wait: waits for it here if no thread can be started. */
static void begin(struct defer_drop_queue *queue, bool may_wait)
{
	struct dd_grace *grace = &queue->grace;

	grace->wanted_since_ns = 0;
	note_cover(queue);
	dd_count(&grace->begun_total);
	grace->is_running = true;
	/* A stopped queue, which callers drain, has no threads of its own. */
	if (!grace->thread && dd_queue_state(queue) != DD_STOPPED)
		grace->thread = start(queue);
	if (grace->thread) {
		dd_grace_thread_ask(grace->thread);
	} else if (may_wait) {
		begin_use(grace->flavor);
		grace->flavor->update_synchronize_rcu();
		end_use(grace->flavor);
		take_cover(queue);
	}
}

static bool is_covered(const struct dd_lane *lane, bool is_nested, uint64_t at)
{
	return dd_is_before(at, is_nested ? lane->cover.nested : lane->cover.position);
}

static bool covers(struct dd_lane *lane, bool is_nested, uint64_t at)
{
	struct defer_drop_queue *queue = lane->queue;

	if (is_covered(lane, is_nested, at))
		return true;
	become_reader(&queue->grace);
	/* Not at once: a later begin covers drops that come meanwhile. */
	if (!queue->grace.is_running && !queue->grace.wanted_since_ns)
		queue->grace.wanted_since_ns = dd_now_ns();
	return false;
}

bool dd_grace_covers(struct dd_lane *lane, uint64_t at)
{
	return covers(lane, false, at);
}

bool dd_grace_covers_nested(struct dd_lane *lane)
{
	return covers(lane, true, lane->nested.taken_total);
}

/* No thread could be started, and the consumer may not wait: makes the next round ask again. */
static void try_again(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	for (uint32_t i = 0; i < count; i++)
		queue->lanes[i]->is_set_aside = false;
	queue->grace.is_running = false;
}

void dd_grace_collect(struct defer_drop_queue *queue, bool may_wait)
{
	struct dd_grace *grace = &queue->grace;

	if (grace->wanted_since_ns && dd_now_ns() - grace->wanted_since_ns >= GATHER_NS)
		begin(queue, may_wait);
	if (!grace->is_running)
		return;
	if (!grace->thread)
		try_again(queue);
	else if (dd_grace_thread_has_passed(grace->thread) && take_cover(queue))
		begin(queue, may_wait);
}

/* Sleeps until the thread rings; if there is no thread, for a moment. */
static void rest(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	uint64_t moment_ns = dd_now_ns() + DD_MS;

	if (!queue->grace.thread && moment_ns < deadline_ns)
		deadline_ns = moment_ns;
	dd_bell_rest(&queue->park.bell, deadline_ns);
}

void dd_grace_rest(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	struct dd_grace *grace = &queue->grace;
	bool may_wait = deadline_ns == DEFER_DROP_FOREVER;
	bool is_online;

	if (grace->wanted_since_ns)
		begin(queue, may_wait);
	if (grace->is_running && !(grace->thread && dd_grace_thread_has_passed(grace->thread))) {
		/* With QSBR. It may be a thread other than the worker that closes the queue. */
		is_online = grace->flavor->read_ongoing();
		if (is_online)
			grace->flavor->thread_offline();
		rest(queue, deadline_ns);
		if (is_online)
			grace->flavor->thread_online();
	}
	dd_grace_collect(queue, may_wait);
}

bool dd_grace_hurry(struct defer_drop_queue *queue)
{
	struct dd_grace *grace = &queue->grace;

	if (grace->wanted_since_ns)
		begin(queue, false);
	return !grace->is_running || (grace->thread && !dd_grace_thread_has_passed(grace->thread));
}

void dd_grace_enter(struct dd_grace *grace)
{
	grace->has_worker = true;
	if (grace->is_reader_from_start)
		become_reader(grace);
}

void dd_grace_leave(struct dd_grace *grace)
{
	if (grace->is_reader) {
		grace->flavor->unregister_thread();
		is_mortal = false;
		end_use(grace->flavor);
	}
	grace->is_reader = grace->has_worker = false;
}

void dd_grace_go_offline(struct dd_grace *grace)
{
	if (grace->is_reader)
		grace->flavor->thread_offline();
}

void dd_grace_go_online(struct dd_grace *grace)
{
	if (grace->is_reader)
		grace->flavor->thread_online();
}

void dd_grace_be_quiescent(struct dd_grace *grace)
{
	if (grace->is_reader)
		grace->flavor->read_quiescent_state();
}

/* ---- The end of a queue, a process, a fork --------------------------------------------------- */

int dd_grace_init(struct dd_grace *grace, const struct rcu_flavor_struct *flavor)
{
	grace->flavor = flavor ? flavor : &urcu_memb_flavor;
	grace->is_reader_from_start = flavor;
	grace->is_orphaned = has_lost_parent && !is_immortal(grace->flavor);
	return 0;
}

int dd_grace_stop(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	struct dd_grace *grace = &queue->grace;
	struct dd_grace_thread *shared = grace->thread;

	/* Counted permanently, in place of the threads that end: this process has waited for
	 * readers, which the child of a later fork does not have. */
	if (atomic_load_explicit(&grace->is_used, memory_order_relaxed))
		begin_use(grace->flavor);
	if (!shared)
		return 0;
	while (!dd_grace_thread_has_passed(shared)) {
		if (dd_queue_state(queue) != DD_STOPPED)
			return -ESHUTDOWN;
		if (dd_grace_is_reading(grace))
			return -EDEADLK;
		if (dd_deadline_has_come(deadline_ns))
			return -ETIMEDOUT;
		dd_bell_rest(&queue->park.bell, deadline_ns);
	}
	if (grace->is_running)
		take_cover(queue);
	dd_grace_end(grace);
	return 0;
}

void dd_grace_end(struct dd_grace *grace)
{
	struct dd_grace_thread *shared = grace->thread;

	if (!shared)
		return;
	grace->thread = NULL; /* before it is freed, or a child would free it again */
	dd_grace_thread_dismiss(shared);
	/* The thread may wait for a reader that never leaves: do not wait for it then. */
	if (grace->is_running)
		pthread_detach(shared->thread);
	else
		dd_thread_join(shared->thread, &shared->thread_id);
	if (dd_grace_thread_let_go(shared))
		dispose(shared);
}

bool dd_grace_suspend(struct dd_grace *grace)
{
	if (!dd_grace_is_reading(grace))
		return false;
	grace->flavor->thread_offline();
	return true;
}

void dd_grace_resume(struct dd_grace *grace)
{
	grace->flavor->thread_online();
}

void dd_grace_fork(void)
{
	/* liburcu's locks may be held, and its lists of readers contain threads that have ended. */
	if (atomic_load_explicit(&mortals, memory_order_relaxed) == is_mortal)
		return;
	has_lost_parent = true;
	is_mortal = false;
	atomic_store_explicit(&mortals, 0, memory_order_relaxed);
}

bool dd_grace_survive(struct dd_grace *grace, bool is_worker)
{
	grace->is_orphaned = has_lost_parent && !is_immortal(grace->flavor);
	if (grace->is_orphaned)
		atomic_store_explicit(&grace->is_used, false, memory_order_relaxed);
	free(grace->thread);
	grace->thread = NULL;
	grace->is_running = false;
	grace->wanted_since_ns = 0;
	if (!is_worker)
		grace->has_worker = false;
	if (!is_worker || grace->is_orphaned)
		grace->is_reader = false;
	atomic_store_explicit(&grace->begun_total, 0, memory_order_relaxed);
	return !grace->is_orphaned || !grace->flavor->read_ongoing();
}

#endif
