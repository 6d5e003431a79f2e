/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "lane.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "completion.h"
#include "guard.h"
#include "handover.h"
#include "registry.h"

static pthread_once_t farewell_once = PTHREAD_ONCE_INIT;
static pthread_key_t farewell_key;
static _Atomic(bool) farewell_works;

/* ---- Memory ---------------------------------------------------------------------------------- */

static void *map(size_t bytes, bool is_populated)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (is_populated ? MAP_POPULATE : 0);
	int before = errno;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	errno = before; /* who has no memory for a lane uses the shared one */
	return memory == MAP_FAILED ? NULL : memory;
}

struct dd_slot *dd_slots_map(uint64_t capacity, bool is_populated)
{
	return map(sizeof(struct dd_slot) * capacity, is_populated);
}

void dd_slots_unmap(struct dd_slot *slots, uint64_t capacity)
{
	munmap(slots, sizeof(struct dd_slot) * capacity);
}

void dd_lane_init(struct dd_lane *lane, struct defer_drop_queue *queue, struct dd_slot *zeroed,
	bool is_shared)
{
	uint64_t capacity = queue->config.values.queue_size;

	dd_ring_init(&lane->ring, zeroed, capacity, is_shared);
	lane->queue = queue;
	lane->is_shared = is_shared;
	lane->first = dd_ring_first(capacity);
	lane->current.width = 1;
	/* Also for a grace period that is running: it covers nothing of this lane. */
	lane->cover.position = lane->next_cover.position = lane->first;
	atomic_store_explicit(&lane->alarm, lane->first + DD_NO_ALARM, memory_order_relaxed);
}

/* A lane and its slots in one mapping. NULL where there is no memory. */
static struct dd_lane *map_lane(struct defer_drop_queue *queue)
{
	size_t bytes =
		sizeof(struct dd_lane) + sizeof(struct dd_slot) * queue->config.values.queue_size;
	struct dd_lane *lane = map(bytes, queue->config.values.populate_lanes);

	if (!lane)
		return NULL;
	dd_lane_init(lane, queue, (struct dd_slot *)(lane + 1), false);
	lane->mapped_bytes = bytes;
	return lane;
}

/* ---- Attaching and leaving ------------------------------------------------------------------- */

static void give_back(struct dd_tenancy *tenancy)
{
	struct defer_drop_queue *queue = dd_registry_find(tenancy->queue_id);
	struct dd_lane *lane = tenancy->lane;

	if (!queue || lane->is_shared)
		return;
	tenancy->left_at = dd_lane_give_back(lane);
}

bool dd_lane_reclaim(const struct dd_tenancy *tenancy)
{
	bool is_reclaimed;

	dd_registry_lock();
	is_reclaimed = !tenancy->lane->is_shared && dd_lane_take_back(tenancy->lane);
	dd_registry_unlock();
	return is_reclaimed;
}

void dd_lane_return(struct dd_tenancy *tenancy)
{
	dd_registry_lock();
	tenancy->left_at = dd_lane_give_back(tenancy->lane);
	dd_registry_unlock();
}

/*
 * Runs when a thread ends, among the destructors of other thread-specific data, which may still
 * push: each such push takes the lane back for as long as it lasts. A thread whose first push of
 * all comes from the very last of them gets no second call, and its lane stays unused.
 */
static void farewell(void *self)
{
	(void)self;
	if (dd_self.running)
		dd_escape_report(dd_self.entered.queue, "longjmp(3) left it, and its thread ended");
	dd_registry_lock();
	for (unsigned i = 0; i < DD_TENANCIES; i++)
		if (dd_self.tenancies[i].lane && !dd_self.is_leaving)
			give_back(&dd_self.tenancies[i]);
	dd_registry_unlock();
	dd_self.lane = &dd_unattached;
	dd_self.is_leaving = true;
}

static void make_farewell_key(void)
{
	/* Relaxed is enough: pthread_once(3) carries it. */
	atomic_store_explicit(&farewell_works, !pthread_key_create(&farewell_key, farewell),
		memory_order_relaxed);
}

/*
 * A static library inside a shared object goes when that is closed: threads that end later must not
 * be sent here.
 */
__attribute__((destructor)) static void delete_farewell_key(void)
{
	/* The number may soon be another's key. */
	if (atomic_exchange_explicit(&farewell_works, false, memory_order_relaxed))
		pthread_key_delete(farewell_key);
}

/* Can this thread be relied on to give a lane back? */
static bool will_say_farewell(void)
{
	int before = errno;
	bool will;

	pthread_once(&farewell_once, make_farewell_key);
	will = atomic_load_explicit(&farewell_works, memory_order_relaxed) &&
	       !pthread_setspecific(farewell_key, &dd_self);
	errno = before; /* who cannot uses the shared lane, and its push succeeds */
	return will;
}

/* An unused lane of its own for this thread, or NULL. Under the registry's lock. */
static struct dd_lane *own_lane(struct defer_drop_queue *queue)
{
	struct dd_lane *lane = dd_lane_take_over(queue);

	if (lane || dd_queue_lanes(queue) > queue->config.values.max_lanes)
		return lane;
	lane = map_lane(queue);
	if (lane)
		dd_lane_add(queue, lane);
	return lane;
}

/* One that is unused, or whose queue is no more. Under the registry's lock. */
static struct dd_tenancy *free_tenancy(void)
{
	for (unsigned i = 0; i < DD_TENANCIES; i++) {
		struct dd_tenancy *tenancy = &dd_self.tenancies[i];

		if (!tenancy->lane || !dd_registry_find(tenancy->queue_id))
			return tenancy;
	}
	return NULL;
}

/* Under the registry's lock. */
static struct dd_lane *attach(struct defer_drop_queue *queue)
{
	struct dd_tenancy *tenancy = free_tenancy();
	struct dd_lane *lane = NULL;

	/* Once on the shared lane of a queue, always: or a thread's order would be lost. */
	if (!tenancy)
		dd_self.has_overflowed = true;
	if (dd_self.has_overflowed)
		return &queue->shared;
	if (will_say_farewell())
		lane = own_lane(queue);
	*tenancy = (struct dd_tenancy){
		.queue_id = queue->id,
		.lane = lane ? lane : &queue->shared,
	};
	return tenancy->lane;
}

struct dd_tenancy *dd_tenancy_of(const struct defer_drop_queue *queue)
{
	for (unsigned i = 0; i < DD_TENANCIES; i++) {
		struct dd_tenancy *tenancy = &dd_self.tenancies[i];

		if (tenancy->queue_id == queue->id && tenancy->lane)
			return tenancy;
	}
	return NULL;
}

struct dd_lane *dd_lane_of(struct defer_drop_queue *queue)
{
	struct dd_tenancy *tenancy = dd_tenancy_of(queue);
	struct dd_lane *lane;

	if (dd_self.is_leaving)
		return &queue->shared;
	if (tenancy) {
		lane = tenancy->lane;
	} else {
		dd_registry_lock();
		lane = attach(queue);
		dd_registry_unlock();
	}
	if (queue == defer_drop_queue_default() && !lane->is_shared)
		dd_self.lane = lane;
	return lane;
}

/* ---- The end of a queue, and of its threads -------------------------------------------------- */

void dd_lanes_unmap(struct defer_drop_queue *queue)
{
	uint32_t count = atomic_load_explicit(&queue->lane_count, memory_order_relaxed);

	for (uint32_t i = 1; i < count; i++) {
		struct dd_lane *lane = queue->lanes[i];

		munmap(lane, lane->mapped_bytes);
	}
}

static bool is_mine(const struct dd_lane *lane)
{
	const struct dd_tenancy *tenancy = dd_tenancy_of(lane->queue);

	return tenancy && tenancy->lane == lane && !dd_self.is_leaving;
}

/*
 * A drop that the child keeps tells nobody: its completion may lie on the stack of a thread that
 * the child does not have. The context that the completion kept stays. Returns the bytes that it
 * holds.
 */
static uint64_t strip(struct dd_options *options)
{
	options->pointer = options->word & DD_HAS_CONTEXT ? dd_options_context(options) : NULL;
	options->word &= ~DD_HAS_COMPLETION;
	return options->word & DD_BYTES;
}

/* In place of the destructor of a guard that is the parent's. */
static void pass_over(void *guard)
{
	(void)guard;
}

/* A place in the list of nested drops: options, or a drop. Returns the bytes that it holds. */
static uint64_t survive_place(struct dd_drop *place)
{
	struct dd_options options = {(uint64_t)(uintptr_t)place->destroy, place->object};
	uint64_t bytes = 0;

	if (dd_is_options(place->destroy)) {
		bytes = strip(&options);
		*place = (struct dd_drop){options.pointer, dd_options_word(&options)};
	} else if (dd_untagged(place->destroy) == dd_guard_run) {
		place->destroy = pass_over;
	}
	return bytes;
}

/* The drops made by the one that this thread is destroying. Returns the bytes that they hold. */
static uint64_t survive_nested(struct dd_lane *lane, bool is_kept)
{
	struct dd_options options;
	struct dd_drop ignored;
	uint64_t bytes = 0;

	while (!is_kept && dd_nested_take(&lane->nested, &options, &ignored))
		;
	for (struct dd_chunk *at = lane->nested.first; at; at = at->next)
		for (uint32_t i = at->begin; i < at->end; i++)
			bytes += survive_place(&at->drops[i]);
	return bytes;
}

/* Returns the bytes that its drops hold. */
static uint64_t survive_drops(struct dd_lane *lane, bool is_kept)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_ring *ring = &lane->ring;
	/* A consumer that is gone may have been in the middle of anything. */
	bool is_running =
		dd_is_running(queue) && (queue->running_lane == lane || lane->is_among_nested);
	uint64_t bytes = 0;
	uint64_t running;
	uint64_t pairs;

	if (is_running) {
		bytes = strip(&lane->current.options) + survive_nested(lane, is_kept);
	} else {
		lane->current = (struct dd_current){.width = 1};
		lane->nested = (struct dd_nested){NULL, NULL, 0, 0};
		lane->is_among_nested = false;
	}
	running = is_running ? lane->current.width : 0;
	if (is_kept)
		dd_ring_lose(ring, dd_guard_run, running);
	dd_ring_survive(ring, is_kept, running);
	pairs = is_running && lane->current.width == 2;
	for (uint64_t at = dd_plain_load(&ring->cursor); at != dd_ring_tail(ring); at++) {
		struct dd_options options = dd_ring_options(ring, at);

		if (!dd_ring_holds_options(ring, at))
			continue;
		bytes += strip(&options);
		dd_ring_set_options(ring, at, &options);
		pairs++;
	}
	atomic_store_explicit(&ring->pairs_total, pairs, memory_order_relaxed);
	return bytes;
}

static void zero(_Atomic(uint64_t) *counter)
{
	atomic_store_explicit(counter, 0, memory_order_relaxed);
}

static uint64_t survive(struct dd_lane *lane, bool is_kept)
{
	uint64_t bytes = survive_drops(lane, is_kept);

	lane->first = dd_read(&lane->ring.head);
	lane->is_set_aside = false;
	lane->cover.nested = lane->nested.taken_total;
	lane->cover.position = dd_plain_load(&lane->ring.cursor);
	if (lane->queue->grace.is_orphaned) { /* and the one thread that there is does not read */
		lane->cover.nested = lane->nested.pushed_total;
		lane->cover.position = dd_ring_tail(&lane->ring);
	}
	dd_wait_forget(lane);
	atomic_store_explicit(&lane->alarm, lane->first + DD_NO_ALARM, memory_order_relaxed);
	zero(&lane->refused_total);
	zero(&lane->retracted_total);
	zero(&lane->waits_total);
	zero(&lane->wait_ns_total);
	zero(&lane->pairs_done_total);
	zero(&lane->skipped_total);
	zero(&lane->abandoned_total);
	zero(&lane->highest_backlog);
	return bytes;
}

void dd_lanes_survive(struct defer_drop_queue *queue, bool is_kept)
{
	uint32_t count = atomic_load_explicit(&queue->lane_count, memory_order_relaxed);

	struct dd_tenancy *own = dd_tenancy_of(queue);
	uint64_t bytes = survive(&queue->shared, is_kept);

	queue->free_lanes = NULL;
	for (uint32_t i = count; --i > 0;) {
		struct dd_lane *lane = queue->lanes[i];

		bytes += survive(lane, is_kept);
		if (own && own->lane == lane)
			own->left_at = dd_ring_own_tail(&lane->ring);
		if (is_mine(lane))
			continue;
		dd_lane_give_back(lane);
	}
	if (dd_is_running(queue) && queue->nested_running)
		bytes += strip(&queue->nested_running->options);
	dd_budget_forget(&queue->budget, bytes);
}
