/* SPDX-License-Identifier: MIT
 *
 * Push off the fast path, flush, drain, shutdown.
 */
#define _GNU_SOURCE
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "push.h"
#include "registry.h"
#include "worker.h"

/*
 * How long a push spins before it parks: about as long as it takes to wake a thread, and no longer,
 * since the worker may need this CPU. Between two looks at head it spins for as long as the consumer
 * takes for an eighth of the ring, within bounds: a producer that looks all the time takes the lines
 * from the consumer that it needs to make room. (Measured with empty destructors and 4096 slots, ns
 * per drop: 141 with one spin between two looks, 64 with 64, 17 with 256, 9 with 512, on cores that
 * share no cache; 21 and 5 with one and 512 on cores that do.)
 */
#define ROOM_SPINS       1024
#define LEAST_LOOK_SPINS 16
#define MOST_LOOK_SPINS  512

/* ---- Making room ----------------------------------------------------------------------------- */

static int refuse(struct dd_lane *lane, int error)
{
	dd_add_shared(&lane->refused_total, 1);
	return error;
}

/* Is there room at this position? Cuts the worker's nap short where the backlog has grown. */
static bool has_room(struct dd_lane *lane, uint64_t at)
{
	struct dd_park *park = &lane->queue->park;
	uint64_t capacity = dd_ring_capacity(&lane->ring);
	uint64_t backlog = lane->is_shared ? dd_ring_room(&lane->ring, at)
					   : dd_ring_room_owned(&lane->ring, at);

	if (backlog >= capacity / 4 && dd_bell_is_napping(&park->bell) && dd_bell_ring(&park->bell))
		dd_add_shared(&lane->queue->wakes_total, 1);
	return backlog < capacity;
}

static uint64_t look_spins(uint64_t capacity)
{
	if (capacity / 8 < LEAST_LOOK_SPINS)
		return LEAST_LOOK_SPINS;
	return capacity / 8 < MOST_LOOK_SPINS ? capacity / 8 : MOST_LOOK_SPINS;
}

static bool has_room_soon(struct dd_lane *lane, uint64_t at)
{
	uint64_t capacity = dd_ring_capacity(&lane->ring);
	uint64_t spins = look_spins(capacity);

	for (uint64_t i = 0; i < ROOM_SPINS; i += spins) {
		for (uint64_t j = 0; j < spins; j++)
			dd_relax();
		if (dd_ring_room(&lane->ring, at) < capacity)
			return true;
	}
	return false;
}

/*
 * Waits until there is room at this position: until the drop one lap before it has been destroyed.
 * Returns 0, -ETIMEDOUT, -ESHUTDOWN.
 */
static int wait_for_room(struct dd_lane *lane, uint64_t at, uint64_t deadline_ns)
{
	uint64_t since_ns = dd_now_ns();
	int result = 0;

	if (!has_room_soon(lane, at))
		result = dd_wait(lane, at + 1 - dd_ring_capacity(&lane->ring), deadline_ns);
	dd_add_shared(&lane->waits_total, 1);
	dd_add_shared(&lane->wait_ns_total, dd_now_ns() - since_ns);
	return result;
}

/* What a push does about a ring that is full: whether it may wait, and until when. */
static int may_wait(struct dd_lane *lane, uint64_t timeout_ns, uint64_t *deadline_ns)
{
	if (dd_is_closed(lane->queue))
		return -ESHUTDOWN;
	if (timeout_ns == DD_TRY)
		return -EAGAIN;
	if (!timeout_ns)
		return -ETIMEDOUT;
	*deadline_ns = dd_deadline_after(timeout_ns);
	return dd_worker_ensure(lane->queue);
}

/* ---- Push ------------------------------------------------------------------------------------ */

/* Attention was set when this thread had published: takes the drop back, or wakes the worker. */
static bool settle(struct dd_lane *lane, uint64_t at, defer_drop_fn destroy)
{
	struct defer_drop_queue *queue = lane->queue;
	uint32_t bits = dd_settle(&queue->park.attention);

	if ((bits & DD_CLOSED) && dd_ring_retract(&lane->ring, at, destroy))
		return false;
	if ((bits & DD_ASLEEP) && dd_rouse(&queue->park.attention))
		dd_worker_wake(queue);
	return true;
}

int dd_queue_push_settle(struct dd_lane *lane, uint64_t at, defer_drop_fn destroy)
{
	/* The tail first: waking may start a thread, and then flush must find the drop. */
	dd_ring_advance(&lane->ring, at);
	if (settle(lane, at, destroy))
		return 0;
	/* Back to where it was, and at the limit: from now on every push looks at CLOSED first. */
	dd_ring_withdraw(&lane->ring, at);
	return refuse(lane, -ESHUTDOWN);
}

static int push_owned(struct dd_lane *lane, void *object, defer_drop_fn destroy,
	uint64_t timeout_ns, uint64_t *at)
{
	uint64_t deadline_ns;
	int result;

	if (dd_is_closed(lane->queue))
		return refuse(lane, -ESHUTDOWN);
	*at = dd_ring_own_tail(&lane->ring);
	if (dd_ring_is_at_limit(&lane->ring, *at) && !has_room(lane, *at)) {
		result = may_wait(lane, timeout_ns, &deadline_ns);
		if (!result)
			result = wait_for_room(lane, *at, deadline_ns);
		if (result)
			return refuse(lane, result);
		has_room(lane, *at); /* moves the limit, so that the next push is fast */
	}
	return dd_push_at(lane, lane->queue, *at, object, destroy);
}

/* Gives up a position that was claimed in the shared lane: on a closed queue nobody minds the gap.
 *  */
static int disclaim(struct dd_lane *lane)
{
	dd_add_shared(&lane->retracted_total, 1);
	return -ESHUTDOWN;
}

/* Claims a position in the shared lane, if there is room at one before the time is over. */
static int claim_or_give_up(struct dd_lane *lane, uint64_t timeout_ns, uint64_t *at)
{
	uint64_t deadline_ns;
	int result;

	if (dd_ring_claim_try(&lane->ring, at))
		return 0;
	result = may_wait(lane, timeout_ns, &deadline_ns);
	while (!result) {
		result = wait_for_room(lane, *at, deadline_ns);
		if (!result && dd_ring_claim_try(&lane->ring, at))
			return 0;
		if (!result && dd_deadline_has_come(deadline_ns))
			result = -ETIMEDOUT;
	}
	return result;
}

/* Claims the next position in the shared lane and waits with the claim: first come, first served.
 *  */
static int claim_and_wait(struct dd_lane *lane, uint64_t *at)
{
	struct dd_ring *ring = &lane->ring;
	uint64_t deadline_ns;
	int result = 0;

	if (!dd_ring_has_room(ring, atomic_load_explicit(&ring->tail, memory_order_relaxed)))
		result = may_wait(lane, DEFER_DROP_FOREVER, &deadline_ns);
	if (result)
		return result;
	*at = dd_ring_claim(ring);
	if (!dd_ring_has_room(ring, *at) && wait_for_room(lane, *at, DEFER_DROP_FOREVER))
		return disclaim(lane);
	return 0;
}

static int claim_shared(struct dd_lane *lane, uint64_t timeout_ns, uint64_t *at)
{
	if (dd_is_closed(lane->queue))
		return -ESHUTDOWN;
	if (timeout_ns == DEFER_DROP_FOREVER)
		return claim_and_wait(lane, at);
	return claim_or_give_up(lane, timeout_ns, at);
}

static int push_shared(struct dd_lane *lane, void *object, defer_drop_fn destroy,
	uint64_t timeout_ns, uint64_t *at)
{
	int result = claim_shared(lane, timeout_ns, at);

	if (result)
		return refuse(lane, result);
	/*
	 * The closing consumer moves head past positions that were claimed but not published, which
	 * makes room in slots that may yet be filled by those who claimed them. Whoever found that
	 * room sees CLOSED here, by DONE, and must leave the slot alone.
	 */
	if (dd_is_closed(lane->queue))
		return refuse(lane, disclaim(lane));
	dd_ring_publish(&lane->ring, *at, object, destroy);
	if (!dd_heed(&lane->queue->park.attention) || settle(lane, *at, destroy))
		return 0;
	return refuse(lane, disclaim(lane));
}

/*
 * A thread that has given its lane back pushes to the shared one; for the sake of its order, not
 * before what it left in its own is destroyed.
 */
static int follow_own_lane(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	struct dd_tenancy *tenancy = dd_tenancy_of(queue);
	int result;

	if (!tenancy || tenancy->lane->is_shared)
		return 0;
	result = dd_queue_wait(
		tenancy->lane, tenancy->left_at, timeout_ns == DD_TRY ? 0 : timeout_ns);
	return result == -ETIMEDOUT && timeout_ns == DD_TRY ? -EAGAIN : result;
}

static void fill_ticket(struct defer_drop_ticket *ticket, struct dd_lane *lane, uint64_t position)
{
	*ticket = (struct defer_drop_ticket){
		.queue = lane->queue,
		.position = position,
		.lane = lane->index,
		.generation = lane->queue->generation,
	};
}

static int push_nested(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy,
	struct defer_drop_ticket *ticket)
{
	int result = dd_nested_push(&queue->nested, object, destroy);

	if (result)
		return result;
	dd_count(&queue->nested_total);
	if (ticket)
		fill_ticket(ticket, queue->running_lane,
			dd_plain_load(&queue->running_lane->ring.cursor));
	return 0;
}

int dd_queue_push(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy,
	uint64_t timeout_ns, struct defer_drop_ticket *ticket)
{
	struct dd_lane *lane;
	uint64_t at = 0;
	int result;

	if (!destroy)
		return -EINVAL;
	if (dd_is_running(queue))
		return push_nested(queue, object, destroy, ticket);
	result = dd_queue_open(queue);
	if (result)
		return result;
	lane = dd_lane_of(queue);
	if (dd_self.is_leaving)
		result = follow_own_lane(queue, timeout_ns);
	if (result)
		return refuse(lane, result);
	if (lane->is_shared)
		result = push_shared(lane, object, destroy, timeout_ns, &at);
	else
		result = push_owned(lane, object, destroy, timeout_ns, &at);
	if (!result && ticket)
		fill_ticket(ticket, lane, at + 1);
	return result;
}

static int push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns)
{
	struct dd_tenancy *tenancy;

	if (!queue)
		return -EINVAL;
	tenancy = dd_tenancy_of(queue);
	if (tenancy && !tenancy->lane->is_shared && !dd_self.running && !dd_self.is_leaving)
		return dd_push(tenancy->lane, queue, object, destroy, timeout_ns);
	return dd_queue_push(queue, object, destroy, timeout_ns, NULL);
}

int defer_drop_queue_push(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy)
{
	return push(queue, object, destroy, DEFER_DROP_FOREVER);
}

int defer_drop_queue_push_try(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy)
{
	return push(queue, object, destroy, DD_TRY);
}

int defer_drop_queue_push_timed(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns)
{
	int result = dd_timeout_check(timeout_ns);

	return result ? result : push(queue, object, destroy, timeout_ns);
}

int defer_drop_queue_push_ticket(struct defer_drop_queue *queue, void *object,
	defer_drop_fn destroy, uint64_t timeout_ns, struct defer_drop_ticket *ticket)
{
	int result = queue && ticket ? dd_timeout_check(timeout_ns) : -EINVAL;

	return result ? result : dd_queue_push(queue, object, destroy, timeout_ns, ticket);
}

int defer_drop_queue_ticket(struct defer_drop_queue *queue, struct defer_drop_ticket *ticket)
{
	struct dd_tenancy *tenancy;
	struct dd_lane *lane;
	int result;

	if (!queue || !ticket)
		return -EINVAL;
	if (dd_is_running(queue))
		return -EDEADLK;
	result = dd_queue_open(queue);
	if (result)
		return result;
	/* One that is leaving waits for its own lane before it pushes to the shared. */
	tenancy = dd_tenancy_of(queue);
	lane = tenancy ? tenancy->lane : &queue->shared;
	if (dd_self.is_leaving && !lane->is_shared &&
		dd_ring_is_past(&lane->ring, tenancy->left_at))
		lane = &queue->shared;
	fill_ticket(ticket, lane, dd_ring_tail(&lane->ring));
	return 0;
}

/* ---- Waiting and draining -------------------------------------------------------------------- */

/* Becomes the consumer of a queue without a worker, waiting for who is. 0 or -ETIMEDOUT. */
static int enter_consumer(
	struct defer_drop_queue *queue, struct dd_running *frame, uint64_t deadline_ns)
{
	int result = dd_seat_take(&queue->consumer_seat, deadline_ns);

	if (!result)
		dd_running_enter(frame, queue);
	return result;
}

static void leave_consumer(struct defer_drop_queue *queue, const struct dd_running *frame)
{
	dd_running_leave(frame);
	dd_seat_leave(&queue->consumer_seat);
}

/*
 * Runs destructors on this thread until the position has passed. Returns 0, -ETIMEDOUT, -ESTALE
 * where one of them has forked and this is the child, or -EINPROGRESS where another thread closes
 * the queue.
 */
static int drain_to(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = lane->queue;
	uint32_t generation = queue->generation;
	struct dd_running frame;
	int result = enter_consumer(queue, &frame, deadline_ns);

	if (result)
		return result;
	while (!result && !dd_ring_is_past(&lane->ring, position)) {
		if (queue->generation != generation)
			result = -ESTALE;
		else if (dd_queue_state(queue) != DD_OPEN)
			result = -EINPROGRESS;
		else if (dd_deadline_has_come(deadline_ns))
			result = -ETIMEDOUT;
		else if (!dd_worker_turn(lane, 1, deadline_ns))
			sched_yield(); /* claimed, and about to be published */
	}
	leave_consumer(queue, &frame);
	return result;
}

static int wait_until(struct dd_lane *lane, uint64_t position, uint64_t deadline_ns)
{
	struct defer_drop_queue *queue = lane->queue;
	int result = dd_wait_poll(lane, position);

	if (result != -EINPROGRESS)
		return result;
	if (dd_deadline_has_come(deadline_ns))
		return -ETIMEDOUT;
	if (queue->config.runner == DEFER_DROP_RUNNER_CALLER) {
		result = drain_to(lane, position, deadline_ns);
		if (result != -EINPROGRESS)
			return result;
	}
	result = dd_worker_ensure(queue);
	return result ? result : dd_wait(lane, position, deadline_ns);
}

int dd_queue_wait(struct dd_lane *lane, uint64_t position, uint64_t timeout_ns)
{
	return wait_until(lane, position, dd_deadline_after(timeout_ns));
}

int defer_drop_queue_flush(struct defer_drop_queue *queue, uint64_t timeout_ns)
{
	uint64_t tails[1 + DD_MAX_LANES];
	uint64_t deadline_ns;
	uint32_t count;
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (result || !dd_queue_has_opened(queue))
		return result;
	if (dd_is_running(queue))
		return -EDEADLK;
	if (dd_queue_state(queue) >= DD_FINISHED)
		return -ESHUTDOWN;
	deadline_ns = dd_deadline_after(timeout_ns);
	count = dd_queue_lanes(queue);
	for (uint32_t i = 0; i < count; i++)
		tails[i] = dd_ring_tail(&queue->lanes[i]->ring);
	for (uint32_t i = 0; i < count && !result; i++)
		result = wait_until(queue->lanes[i], tails[i], deadline_ns);
	return result;
}

static void count_remaining(struct defer_drop_queue *queue, struct defer_drop_drained *drained)
{
	struct defer_drop_stats stats = {.size = sizeof stats};

	defer_drop_queue_stats(queue, &stats);
	drained->remaining = stats.backlog;
}

static int drain(struct defer_drop_queue *queue, uint64_t max_drops, uint64_t deadline_ns,
	uint64_t *ran_total)
{
	struct dd_running frame;
	uint64_t ran;

	if (!dd_seat_try(&queue->consumer_seat))
		return -EBUSY;
	dd_running_enter(&frame, queue);
	dd_worker_look(queue);
	do {
		ran = dd_worker_round(queue, max_drops - *ran_total, deadline_ns);
		*ran_total += ran;
	} while (ran && *ran_total < max_drops && !dd_deadline_has_come(deadline_ns));
	leave_consumer(queue, &frame);
	return 0;
}

int defer_drop_queue_drain(struct defer_drop_queue *queue, uint64_t max_drops, uint64_t budget_ns,
	struct defer_drop_drained *drained)
{
	struct defer_drop_drained ignored;
	int result = dd_timeout_check(budget_ns);

	if (queue && !result)
		result = dd_queue_open(queue);
	if (!queue || queue->config.runner != DEFER_DROP_RUNNER_CALLER)
		return -EINVAL;
	if (!result && dd_is_running(queue))
		result = -EDEADLK;
	if (!result && dd_queue_state(queue) != DD_OPEN)
		result = -ESHUTDOWN;
	if (result)
		return result;
	drained = drained ? drained : &ignored;
	drained->ran_total = 0;
	result = drain(queue, max_drops, dd_deadline_after(budget_ns), &drained->ran_total);
	count_remaining(queue, drained);
	return result;
}

/* ---- Shutdown -------------------------------------------------------------------------------- */

static void make_earlier(_Atomic(uint64_t) *deadline_ns, uint64_t wanted_ns)
{
	uint64_t before = dd_read(deadline_ns);

	while (wanted_ns < before && !atomic_compare_exchange_weak_explicit(deadline_ns, &before,
					     wanted_ns, memory_order_relaxed, memory_order_relaxed))
		;
}

/*
 * Asks the consumer to close the queue. True where there is none and the caller, the first to ask,
 * must be it.
 */
static bool begin_closing(struct defer_drop_queue *queue, uint64_t drain_until_ns)
{
	bool is_consumer = false;

	make_earlier(&queue->drain_until_ns, drain_until_ns);
	pthread_mutex_lock(&queue->control);
	if (dd_queue_state(queue) == DD_OPEN) {
		is_consumer = !atomic_load_explicit(&queue->has_thread, memory_order_relaxed);
		dd_queue_set_state(queue, DD_CLOSING);
	}
	pthread_mutex_unlock(&queue->control);
	dd_bell_ring(&queue->park.bell);
	return is_consumer;
}

/* Waits for who is draining, but not beyond the deadline: then nobody finishes the queue. */
static void finish_here(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	struct dd_running frame;

	if (enter_consumer(queue, &frame, deadline_ns))
		return;
	dd_worker_finish(queue);
	leave_consumer(queue, &frame);
}

/* Waits until the state is reached. 0 or -ETIMEDOUT. */
static int wait_for_state(
	struct defer_drop_queue *queue, enum dd_state wanted, uint64_t deadline_ns)
{
	uint32_t state;

	while ((state = dd_queue_state(queue)) < wanted)
		if (dd_futex_wait(&queue->state, state, deadline_ns) == -ETIMEDOUT)
			return -ETIMEDOUT;
	return 0;
}

/* One caller joins the worker; all wait until that is done. */
static void join(struct defer_drop_queue *queue)
{
	bool is_joiner;

	pthread_mutex_lock(&queue->control);
	is_joiner = !queue->has_joiner;
	queue->has_joiner = true;
	pthread_mutex_unlock(&queue->control);
	if (is_joiner) {
		if (atomic_load_explicit(&queue->has_thread, memory_order_relaxed))
			dd_join(queue->thread);
		dd_queue_set_state(queue, DD_JOINED);
	}
	wait_for_state(queue, DD_JOINED, DEFER_DROP_FOREVER);
}

static void fill_report(struct defer_drop_queue *queue, struct defer_drop_report *report)
{
	struct defer_drop_stats stats = {.size = sizeof stats};

	defer_drop_queue_stats(queue, &stats);
	report->destroyed_total = stats.destroyed_total;
	report->left_total = stats.abandoned_total;
}

static void shut_down(struct defer_drop_queue *queue, uint64_t drain_until_ns)
{
	if (begin_closing(queue, drain_until_ns))
		finish_here(queue, DEFER_DROP_FOREVER);
	wait_for_state(queue, DD_FINISHED, DEFER_DROP_FOREVER);
	join(queue);
}

int defer_drop_queue_shutdown(struct defer_drop_queue *queue, uint32_t mode, uint64_t timeout_ns,
	struct defer_drop_report *report)
{
	struct defer_drop_report ignored;
	uint64_t drain_until_ns = DEFER_DROP_FOREVER;
	int result = dd_timeout_check(timeout_ns);

	if (!queue || mode > DEFER_DROP_SHUTDOWN_ABANDON ||
		(timeout_ns && mode != DEFER_DROP_SHUTDOWN_TIMED))
		return -EINVAL;
	if (!result && dd_is_running(queue))
		result = -EDEADLK;
	if (!result)
		result = dd_queue_open(queue);
	if (result && result != -ESHUTDOWN)
		return result;
	if (mode == DEFER_DROP_SHUTDOWN_TIMED)
		drain_until_ns = dd_deadline_after(timeout_ns);
	else if (mode == DEFER_DROP_SHUTDOWN_ABANDON)
		drain_until_ns = 0;
	shut_down(queue, drain_until_ns);
	report = report ? report : &ignored;
	fill_report(queue, report);
	return mode == DEFER_DROP_SHUTDOWN_TIMED && report->left_total ? -ETIMEDOUT : 0;
}

uint64_t dd_queue_exit(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = {.size = sizeof stats};
	uint64_t until_ns = DEFER_DROP_FOREVER;

	if (queue->config.at_exit == DEFER_DROP_AT_EXIT_ABANDON)
		until_ns = 0;
	else if (queue->config.at_exit == DEFER_DROP_AT_EXIT_TIMED)
		until_ns = dd_deadline_after(queue->config.exit_timeout_ns);
	if (dd_is_running(queue)) {
		/* A destructor called exit: this thread is the consumer, and finishes here. The
		 * drop that it was destroying counts as destroyed. */
		begin_closing(queue, until_ns);
		dd_ring_done(&queue->running_lane->ring);
		dd_ring_recycle(&queue->running_lane->ring);
		dd_worker_finish(queue);
	} else if (queue->config.at_exit != DEFER_DROP_AT_EXIT_TIMED) {
		shut_down(queue, until_ns);
	} else if (begin_closing(queue, until_ns)) {
		finish_here(queue, until_ns);
	} else {
		/* Not even a destructor that does not return holds the process up. */
		wait_for_state(queue, DD_FINISHED, until_ns);
	}
	defer_drop_queue_stats(queue, &stats);
	return stats.pushed_total - stats.destroyed_total;
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

int dd_queue_init(
	struct defer_drop_queue *queue, const struct dd_config *config, struct dd_slot *slots)
{
	uint32_t attention = 0;

	if (!slots) {
		slots = queue->shared_slots = dd_slots_map(config->queue_size);
		if (!slots)
			return -ENOMEM;
	}
	queue->config = *config;
	queue->is_fenced = !dd_membarrier_register();
	if (queue->is_fenced)
		attention |= DD_FENCED;
	if (config->runner == DEFER_DROP_RUNNER_WORKER)
		attention |= DD_ASLEEP; /* until the first push starts the worker */
	atomic_store_explicit(&queue->park.attention, attention, memory_order_relaxed);
	atomic_store_explicit(&queue->drain_until_ns, DEFER_DROP_FOREVER, memory_order_relaxed);
	pthread_mutex_init(&queue->waiters_lock, NULL);
	pthread_mutex_init(&queue->control, NULL);
	dd_lane_init(&queue->shared, queue, slots, true);
	queue->lanes[0] = &queue->shared;
	atomic_store_explicit(&queue->lane_count, 1, memory_order_relaxed);
	return 0;
}

static void unmap(struct defer_drop_queue *queue)
{
	if (queue->shared_slots)
		dd_slots_unmap(queue->shared_slots, queue->config.queue_size);
	munmap(queue, sizeof *queue);
}

/* Starts the worker, and makes the queue known to fork and exit. */
static int begin_queue(struct defer_drop_queue *queue)
{
	int result;

	dd_registry_lock();
	result = dd_registry_is_over() ? -ESHUTDOWN : dd_worker_start(queue, true);
	if (!result)
		dd_registry_add(queue);
	dd_registry_unlock();
	return result;
}

int defer_drop_queue_create(struct defer_drop_queue **queue, const struct defer_drop_config *asked)
{
	static _Atomic(uint64_t) ids = 1; /* 0 is the default queue's */
	struct defer_drop_queue *made;
	struct dd_config config;
	int result = queue ? dd_config_make(asked, &config) : -EINVAL;

	if (result)
		return result;
	/* Mapped, not allocated: lanes that are never made cost nothing. */
	made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return -ENOMEM;
	made->id = atomic_fetch_add_explicit(&ids, 1, memory_order_relaxed);
	result = dd_queue_init(made, &config, NULL);
	if (!result)
		result = begin_queue(made);
	if (result)
		unmap(made);
	else
		*queue = made;
	return result;
}

int defer_drop_queue_free(struct defer_drop_queue *queue)
{
	if (!queue || queue == defer_drop_queue_default())
		return -EINVAL;
	if (dd_queue_state(queue) != DD_JOINED)
		return -EBUSY;
	if (dd_registry_remove(queue)) {
		dd_lanes_unmap(queue);
		unmap(queue);
	}
	return 0;
}

int defer_drop_queue_config(struct defer_drop_queue *queue, struct defer_drop_config *config)
{
	int result;

	if (!queue || !config)
		return -EINVAL;
	result = dd_queue_open(queue);
	return result ? result : dd_config_show(&queue->config, config);
}

/* ---- fork ------------------------------------------------------------------------------------ */

void dd_queue_lock_all(struct defer_drop_queue *queue)
{
	pthread_mutex_lock(&queue->control);
	pthread_mutex_lock(&queue->waiters_lock);
}

void dd_queue_unlock_all(struct defer_drop_queue *queue)
{
	pthread_mutex_unlock(&queue->waiters_lock);
	pthread_mutex_unlock(&queue->control);
}

/* The thread that forked is this queue's worker, inside a destructor, and goes on as such. */
static bool is_own_worker(struct defer_drop_queue *queue)
{
	return atomic_load_explicit(&queue->has_thread, memory_order_relaxed) &&
	       pthread_equal(queue->thread, pthread_self());
}

/* A consumer that is gone may have been in the middle of its list: then it is left as it is. */
static void survive_nested(struct defer_drop_queue *queue, bool is_kept)
{
	/* Those in the list, and one more where a nested drop is being destroyed. */
	uint64_t pending = dd_read(&queue->nested_total) - dd_read(&queue->nested_destroyed_total) -
			   dd_read(&queue->nested_abandoned_total);
	struct dd_drop ignored;

	if (!dd_is_running(queue)) {
		queue->nested = (struct dd_nested){NULL, NULL};
		pending = 0;
	}
	while (!is_kept && dd_nested_take(&queue->nested, &ignored))
		pending--;
	atomic_store_explicit(&queue->nested_total, pending, memory_order_relaxed);
	atomic_store_explicit(&queue->nested_destroyed_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->nested_abandoned_total, 0, memory_order_relaxed);
}

/* What the parent had begun to shut down is shut down in the child. */
static void survive_state(struct defer_drop_queue *queue)
{
	uint32_t attention = 0;

	if (dd_queue_state(queue) != DD_OPEN) {
		atomic_store_explicit(&queue->state, DD_JOINED, memory_order_relaxed);
		attention |= DD_CLOSED;
	}
	queue->is_fenced = !dd_membarrier_register();
	if (queue->is_fenced)
		attention |= DD_FENCED;
	if (queue->config.runner == DEFER_DROP_RUNNER_WORKER && !is_own_worker(queue)) {
		atomic_store_explicit(&queue->has_thread, false, memory_order_relaxed);
		attention |= DD_ASLEEP;
	}
	atomic_store_explicit(&queue->park.attention, attention, memory_order_relaxed);
	atomic_store_explicit(&queue->park.bell, DD_BELL_AWAKE, memory_order_relaxed);
}

void dd_queue_survive(struct defer_drop_queue *queue)
{
	bool is_kept = queue->config.at_fork == DEFER_DROP_AT_FORK_KEEP;

	/* Locked by this thread, which has another number here: made anew, not unlocked. */
	pthread_mutex_init(&queue->control, NULL);
	pthread_mutex_init(&queue->waiters_lock, NULL);
	if (!dd_is_running(queue))
		atomic_store_explicit(&queue->consumer_seat, 0, memory_order_relaxed);
	queue->generation++;
	survive_nested(queue, is_kept);
	survive_state(queue);
	dd_lanes_survive(queue, is_kept && dd_queue_state(queue) == DD_OPEN);
	atomic_store_explicit(&queue->wakes_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->naps_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->deep_sleeps_total, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->highest_backlog, 0, memory_order_relaxed);
}
