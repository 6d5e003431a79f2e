/* SPDX-License-Identifier: MIT
 *
 * Making lanes, and handing them from thread to thread.
 */
#include "core/lane.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/queue.h"
#include "core/registry.h"

/* A vacancy: no lane is free, but one more can be made. */
#define NEW_LANE UINT32_MAX

static pthread_once_t farewell_once = PTHREAD_ONCE_INIT;
static pthread_key_t farewell_key;
static _Atomic(bool) farewell_works;

/* ---- Memory ---------------------------------------------------------------------------------- */

static void *map(size_t bytes, bool is_populated)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (is_populated ? MAP_POPULATE : 0);
	int before = errno;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	errno = before; /* a thread that gets no memory for a lane uses the shared one */
	if (memory == MAP_FAILED)
		return NULL;
	dd_tools_mapped(memory, bytes);
	return memory;
}

static void unmap(void *memory, size_t bytes)
{
	dd_tools_unmapped(memory, bytes);
	munmap(memory, bytes);
}

struct dd_slot *dd_slots_map(uint64_t capacity, bool is_populated)
{
	return map(sizeof(struct dd_slot) * capacity, is_populated);
}

void dd_slots_unmap(struct dd_slot *slots, uint64_t capacity)
{
	unmap(slots, sizeof(struct dd_slot) * capacity);
}

void dd_lane_init(struct dd_lane *lane, struct defer_drop_queue *queue, struct dd_slot *zeroed,
	bool is_shared)
{
	uint64_t capacity = queue->config.values.queue_size;

	dd_ring_init(&lane->ring, zeroed, capacity, is_shared);
	if (dd_tools_look_for_races())
		lane->ring.limit_step = 1; /* each push takes the slow path */
	lane->queue = queue;
	lane->is_shared = is_shared;
	lane->first = dd_ring_first(capacity);
	lane->current.width = 1;
	lane->stride = 1;
	/* A grace period that is running covers nothing of this lane either. */
	lane->cover.position = lane->next_cover.position = lane->first;
	atomic_store_explicit(&lane->alarm, lane->first + DD_NO_ALARM, memory_order_relaxed);
}

/*
 * Maps a lane and its slots, in one mapping. Each lane begins one cache line further into a page
 * than the one before. If all began at a page, the lines that a round reads of each would compete
 * for a few sets of the cache. NULL if there is no memory.
 */
static struct dd_lane *map_lane(struct defer_drop_queue *queue)
{
	size_t offset = dd_queue_lanes(queue) % DD_LANE_COLOURS * DD_LINE;
	size_t bytes = offset + sizeof(struct dd_lane) +
		       sizeof(struct dd_slot) * queue->config.values.queue_size;
	char *mapping = map(bytes, queue->config.values.populate_lanes);
	struct dd_lane *lane;

	if (!mapping)
		return NULL;
	lane = (void *)(mapping + offset);
	dd_lane_init(lane, queue, (struct dd_slot *)(lane + 1), false);
	lane->mapping = mapping;
	lane->mapped_bytes = bytes;
	return lane;
}

/*
 * Gives the memory of an empty lane's slots back to the system, except the page that they share
 * with the lane. All slots are clear, and read as clear afterwards, so threads may read them
 * meanwhile. If the program has locked its memory, the memory stays.
 */
static void unmap_pages(struct dd_lane *lane)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)lane->ring.slots + page - 1) & -page;
	uintptr_t end = (uintptr_t)lane->mapping + lane->mapped_bytes;
	int before = errno;

	if (from < end)
		madvise((void *)from, end - from, MADV_DONTNEED);
	errno = before;
}

/* ---- From thread to thread, under the registry's lock ---------------------------------------- */

static void set_vacancy(struct defer_drop_queue *queue, uint32_t vacancy)
{
	/* Relaxed is enough: a thread that sees it asks again under the lock. */
	atomic_store_explicit(&queue->vacancy, vacancy, memory_order_relaxed);
}

/* Shows the threads in the shared lane which lane they may ask for. */
static void show_vacancy(struct defer_drop_queue *queue)
{
	const struct dd_lane *lane = queue->cold_lanes ? queue->cold_lanes : queue->free_lanes;

	if (lane)
		set_vacancy(queue, lane->index);
	else
		set_vacancy(queue,
			dd_queue_lanes(queue) <= queue->config.values.max_lanes ? NEW_LANE : 0);
}

/* Puts a lane first into a list. at: where the list begins. */
static void put(struct dd_lane **at, struct dd_lane *lane)
{
	lane->next_free = *at;
	*at = lane;
	show_vacancy(lane->queue);
}

/* Counts lanes that enter the list of free lanes, or leave it if `more` is negative. */
static void count_free(struct defer_drop_queue *queue, int32_t more)
{
	uint32_t count = dd_read_32(&queue->free_count);

	/* Relaxed is enough: the consumer only learns whether to ask for the lock. */
	atomic_store_explicit(&queue->free_count, count + (uint32_t)more, memory_order_relaxed);
}

uint64_t dd_lane_give_back(struct dd_lane *lane)
{
	put(&lane->queue->free_lanes, lane);
	count_free(lane->queue, 1);
	return dd_ring_own_tail(&lane->ring);
}

/* True if all drops in a lane are destroyed. Its owner may add more. */
static bool is_empty(struct dd_lane *lane)
{
	return dd_ring_is_past(&lane->ring, dd_ring_tail(&lane->ring));
}

/* Takes the lane out of the list at this place, if there is one. */
static struct dd_lane *take_at(struct dd_lane **at)
{
	struct dd_lane *lane = *at;

	if (!lane)
		return NULL;
	*at = lane->next_free;
	show_vacancy(lane->queue);
	return lane;
}

/* Takes the lane out of the list of free lanes, at this place. */
static struct dd_lane *take_free(struct defer_drop_queue *queue, struct dd_lane **at)
{
	struct dd_lane *lane = take_at(at);

	if (lane)
		count_free(queue, -1);
	return lane;
}

/* Returns the place in the list of the next empty lane. */
static struct dd_lane **find_empty(struct dd_lane **at)
{
	while (*at && !is_empty(*at))
		at = &(*at)->next_free;
	return at;
}

/* Returns the place of this lane in the list. */
static struct dd_lane **find(struct dd_lane **at, const struct dd_lane *lane)
{
	while (*at && *at != lane)
		at = &(*at)->next_free;
	return at;
}

/* Takes over a lane that was given back and is empty; or returns NULL. */
static struct dd_lane *take_over_empty(struct defer_drop_queue *queue)
{
	struct dd_lane *lane = take_free(queue, find_empty(&queue->free_lanes));

	return lane ? lane : take_at(&queue->cold_lanes);
}

/* Takes over any free lane, with the drops that may still be in it; or returns NULL. */
static struct dd_lane *take_over(struct defer_drop_queue *queue)
{
	return take_free(queue, &queue->free_lanes);
}

/* Takes this lane, if it was given back and no thread has taken it over. */
static bool take_back(struct dd_lane *lane)
{
	struct defer_drop_queue *queue = lane->queue;

	return take_free(queue, find(&queue->free_lanes, lane)) ||
	       take_at(find(&queue->cold_lanes, lane));
}

/* True if more lanes are free than keep their memory. A guess, made without the lock. */
static bool has_surplus(struct defer_drop_queue *queue)
{
	return dd_read_32(&queue->free_count) > DD_WARM_LANES &&
	       !queue->config.values.populate_lanes;
}

/* Takes an empty free lane, except the few that keep their memory. */
static struct dd_lane *take_surplus(struct defer_drop_queue *queue)
{
	struct dd_lane **at = &queue->free_lanes;

	/* The lanes that were given back last are taken over first, so they keep it. */
	for (unsigned i = 0; i < DD_WARM_LANES && *at; i++)
		at = &(*at)->next_free;
	return take_free(queue, find_empty(at));
}

/* Adds a new lane. */
static void add(struct defer_drop_queue *queue, struct dd_lane *lane)
{
	uint32_t count = atomic_load_explicit(&queue->lane_count, memory_order_relaxed);

	lane->index = count;
	queue->lanes[count] = lane;
	/* LANES->: without release the consumer could see the count before the lane. */
	atomic_store_explicit(&queue->lane_count, count + 1, memory_order_release);
}

/* ---- Attaching and leaving ------------------------------------------------------------------- */

static void give_back(struct dd_tenancy *tenancy)
{
	struct defer_drop_queue *queue = dd_registry_find(tenancy->queue_id);
	struct dd_lane *lane = tenancy->lane;

	if (!queue || lane->is_shared)
		return;
	tenancy->left_at = dd_lane_give_back(lane);
	/* The consumer, which may sleep for long, trims only lanes that have drops left in them. */
	if (has_surplus(queue) && is_empty(lane)) {
		take_back(lane);
		unmap_pages(lane);
		put(&queue->cold_lanes, lane);
	}
}

bool dd_lane_reclaim(const struct dd_tenancy *tenancy)
{
	bool is_reclaimed;

	dd_registry_lock();
	is_reclaimed = !tenancy->lane->is_shared && take_back(tenancy->lane);
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
		dd_escape_report(
			dd_self.entered.queue, "longjmp(3) left it, or its thread was ended");
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

bool dd_lane_will_say_farewell(void)
{
	int before = errno;
	bool will;

	pthread_once(&farewell_once, make_farewell_key);
	will = atomic_load_explicit(&farewell_works, memory_order_relaxed) &&
	       !pthread_setspecific(farewell_key, &dd_self);
	errno = before; /* a thread that will not uses the shared lane, and its push succeeds */
	return will;
}

/* Makes a lane; or returns NULL. Under the registry's lock. */
static struct dd_lane *new_lane(struct defer_drop_queue *queue)
{
	struct dd_lane *lane;

	if (dd_queue_lanes(queue) > queue->config.values.max_lanes)
		return NULL;
	lane = map_lane(queue);
	if (lane) {
		add(queue, lane);
		show_vacancy(queue);
	} else {
		set_vacancy(queue, 0); /* no push tries again until a lane is given back */
	}
	return lane;
}

/*
 * Returns an unused lane for this thread, or NULL. Prefers an empty or a new one, so that the
 * thread does not wait behind the drops of a thread that has ended. Under the registry's lock.
 */
static struct dd_lane *own_lane(struct defer_drop_queue *queue)
{
	struct dd_lane *lane = take_over_empty(queue);

	if (!lane)
		lane = new_lane(queue);
	return lane ? lane : take_over(queue);
}

/* Returns a tenancy that is unused, or whose queue was freed; or NULL. Under the lock. */
static struct dd_tenancy *free_tenancy(void)
{
	for (unsigned i = 0; i < DD_TENANCIES; i++) {
		struct dd_tenancy *tenancy = &dd_self.tenancies[i];

		if (!tenancy->lane || !dd_registry_find(tenancy->queue_id))
			return tenancy;
	}
	return NULL;
}

/* True if the thread's drops in the shared lane are destroyed. Before that, to leave it would lose
 * the thread's order. */
static bool may_leave_shared(struct defer_drop_queue *queue, const struct dd_tenancy *tenancy)
{
	return dd_ring_is_past(&queue->shared.ring, tenancy->left_at);
}

/* Moves the thread from the shared lane to its own, if it may and there is one. Under the lock. */
static void move_in(struct defer_drop_queue *queue, struct dd_tenancy *tenancy)
{
	struct dd_lane *lane = NULL;

	show_vacancy(queue);
	if (may_leave_shared(queue, tenancy) && dd_lane_will_say_farewell())
		lane = own_lane(queue);
	if (lane)
		tenancy->lane = lane;
}

/* Gives the thread a tenancy of this queue. Returns its lane. Under the registry's lock. */
static struct dd_lane *attach(struct defer_drop_queue *queue)
{
	struct dd_tenancy *tenancy = free_tenancy();
	bool has_overflowed = dd_self.overflowed_at;

	if (!tenancy) {
		dd_self.overflowed_at = 1 + dd_registry_removed();
		return &queue->shared;
	}
	/* Without a tenancy it may have pushed to the shared lane before, and nothing noted it. */
	*tenancy = (struct dd_tenancy){
		.queue_id = dd_read(&queue->id),
		.lane = &queue->shared,
		.left_at = has_overflowed ? dd_ring_tail(&queue->shared.ring) : queue->shared.first,
	};
	move_in(queue, tenancy);
	return tenancy->lane;
}

/* True if this vacancy is a lane that can be made, or an empty one. */
static bool is_vacant(struct defer_drop_queue *queue, uint32_t vacancy)
{
	if (!vacancy || vacancy == NEW_LANE)
		return vacancy;
	return vacancy < dd_queue_lanes(queue) && is_empty(queue->lanes[vacancy]);
}

/* True if the thread could leave the shared lane for its own. A guess, without the lock. */
static bool may_move(const struct dd_tenancy *tenancy)
{
	struct defer_drop_queue *queue = tenancy->lane->queue;

	return tenancy->lane->is_shared && is_vacant(queue, dd_read_32(&queue->vacancy)) &&
	       may_leave_shared(queue, tenancy) &&
	       atomic_load_explicit(&farewell_works, memory_order_relaxed);
}

/* True if all tenancies were in use, and no queue was removed since. */
static bool has_no_tenancy(void)
{
	return dd_self.overflowed_at == 1 + dd_registry_removed();
}

struct dd_tenancy *dd_tenancy_of(const struct defer_drop_queue *queue)
{
	/* The default queue may be about to get its id, which no tenancy has before. */
	uint64_t id = atomic_load_explicit(&queue->id, memory_order_relaxed);

	for (unsigned i = 0; i < DD_TENANCIES; i++) {
		struct dd_tenancy *tenancy = &dd_self.tenancies[i];

		if (tenancy->queue_id == id && tenancy->lane)
			return tenancy;
	}
	return NULL;
}

struct dd_lane *dd_lane_of(struct defer_drop_queue *queue)
{
	struct dd_tenancy *tenancy = dd_tenancy_of(queue);
	struct dd_lane *lane;

	if (dd_self.is_leaving || (!tenancy && has_no_tenancy()))
		return &queue->shared;
	if (!tenancy || may_move(tenancy)) {
		dd_registry_lock();
		if (tenancy)
			move_in(queue, tenancy);
		lane = tenancy ? tenancy->lane : attach(queue);
		dd_registry_unlock();
	} else {
		lane = tenancy->lane;
	}
	if (dd_queue_is_default(queue) && !lane->is_shared)
		dd_self.lane = lane;
	return lane;
}

/* ---- Memory of unused lanes ------------------------------------------------------------------ */

/* Trims one lane, which it takes over as a thread would. So madvise runs without the lock. */
static bool trim_one(struct defer_drop_queue *queue)
{
	struct dd_lane *lane;

	dd_registry_lock();
	lane = take_surplus(queue);
	dd_registry_unlock();
	if (!lane)
		return false;
	unmap_pages(lane);
	dd_registry_lock();
	put(&queue->cold_lanes, lane);
	dd_registry_unlock();
	return true;
}

bool dd_lanes_trim(struct defer_drop_queue *queue)
{
	unsigned count = 0;

	while (count < DD_TRIMMED_LANES && has_surplus(queue) && trim_one(queue))
		count++;
	return count;
}

/* ---- The end of a queue ---------------------------------------------------------------------- */

void dd_lanes_unmap(struct defer_drop_queue *queue)
{
	uint32_t count = atomic_load_explicit(&queue->lane_count, memory_order_relaxed);

	for (uint32_t i = 1; i < count; i++) {
		struct dd_lane *lane = queue->lanes[i];

		unmap(lane->mapping, lane->mapped_bytes);
	}
}
