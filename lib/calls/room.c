/* SPDX-License-Identifier: MIT
 *
 * A push that finds its ring full: looking for room, and waiting for it.
 */
#include "calls/room.h"

#include <errno.h>

#include "core/worker.h"

/*
 * How long a push spins before it sleeps: about as long as it takes to wake a thread, and no
 * longer, since the worker may need this CPU. Between two reads of head it spins for as long as the
 * consumer takes for an eighth of the ring, within bounds: a producer that reads all the time takes
 * away the cache lines that the consumer needs to make room. (Measured with empty destructors and
 * 4096 slots, ns per drop: 141 with one spin between two reads, 64 with 64, 17 with 256, 9 with
 * 512, on cores that share no cache; 21 and 5 with one and 512 on cores that do.)
 */
#define LEAST_ROOM_SPINS 16
#define MOST_ROOM_SPINS  1024

/*
 * A push that has to sleep waits for the room that the consumer makes in ROOM_WANTED_NS of work,
 * for half of the ring at most; or for one slot, if that takes longer than to wake a thread. With
 * some room it waits no longer than ROOM_PATIENCE_NS: the consumer has other lanes too, and the
 * next destructor may be slow.
 */
#define ROOM_WANTED_NS   UINT64_C(256000)
#define ROOM_SLOW_NS     UINT64_C(10000)
#define ROOM_PATIENCE_NS DD_MS

#define LEAST_LOOK_SPINS 16
#define MOST_LOOK_SPINS  512

bool dd_has_room(struct dd_lane *lane, uint64_t last)
{
	uint64_t backlog = dd_ring_room_owned(&lane->ring, last);

	dd_nudge(lane, backlog);
	return backlog < dd_ring_capacity(&lane->ring);
}

static uint64_t look_spins(uint64_t capacity)
{
	if (capacity / 8 < LEAST_LOOK_SPINS)
		return LEAST_LOOK_SPINS;
	return capacity / 8 < MOST_LOOK_SPINS ? capacity / 8 : MOST_LOOK_SPINS;
}

/*
 * Spins for as long as spinning has helped before. If it did not help, more threads want to run
 * than there are CPUs, or destructors are slow. True if there is room.
 */
static bool has_room_soon(struct dd_lane *lane, uint64_t at)
{
	uint64_t capacity = dd_ring_capacity(&lane->ring);
	uint64_t spins = look_spins(capacity);
	uint32_t limit = dd_read_32(&lane->room_spins);
	bool is_found = false;

	for (uint64_t i = 0; i < limit && !is_found; i += spins) {
		for (uint64_t j = 0; j < spins; j++)
			dd_relax();
		is_found = dd_ring_room(&lane->ring, at) < capacity;
	}
	limit = is_found ? limit * 2 : limit / 2;
	limit = limit < LEAST_ROOM_SPINS ? LEAST_ROOM_SPINS : limit;
	limit = limit > MOST_ROOM_SPINS ? MOST_ROOM_SPINS : limit;
	atomic_store_explicit(&lane->room_spins, limit, memory_order_relaxed);
	return is_found;
}

/*
 * Returns how many slots a push waits for. If it were woken for one, a producer would fill that and
 * sleep again, and waking it costs the consumer more than a cheap destructor. So it waits for half
 * of the ring. (16 producers on two CPUs, ns per drop: 14 with a quarter of the ring, 9 with half
 * of it or three quarters.) A slot that takes the consumer long is worth a wake.
 */
static uint64_t wanted_slots(struct dd_lane *lane)
{
	uint64_t drop_ns = dd_read(&lane->queue->drop_ns);
	uint64_t most = dd_ring_capacity(&lane->ring) / 2;
	uint64_t slots = drop_ns && drop_ns < ROOM_SLOW_NS ? ROOM_WANTED_NS / drop_ns : 1;

	return dd_least(slots, most);
}

/* Sleeps until there is room at this position, and for some more if that will come soon. */
static int sleep_for_room(struct dd_lane *lane, uint64_t at, uint64_t deadline_ns)
{
	uint64_t first = at + 1 - dd_ring_capacity(&lane->ring);
	uint64_t slots = wanted_slots(lane);
	uint64_t patience_ns = dd_now_ns() + ROOM_PATIENCE_NS;
	int result;

	if (slots > 1)
		dd_wait(lane, first + slots - 1, dd_least(patience_ns, deadline_ns));
	result = dd_wait_poll(lane, first);
	return result == -EINPROGRESS ? dd_wait(lane, first, deadline_ns) : result;
}

int dd_wait_for_room(struct dd_lane *lane, uint64_t at, uint64_t deadline_ns)
{
	uint64_t since_ns = dd_now_ns();
	int result = has_room_soon(lane, at) ? 0 : sleep_for_room(lane, at, deadline_ns);

	dd_add_shared(&lane->waits_total, 1);
	dd_add_shared(&lane->wait_ns_total, dd_now_ns() - since_ns);
	return result;
}

int dd_may_wait(struct dd_lane *lane, uint64_t deadline_ns)
{
	if (dd_is_closed(lane->queue))
		return -ESHUTDOWN;
	if (dd_deadline_has_come(deadline_ns))
		return dd_deadline_error(deadline_ns);
	if (dd_grace_is_reading(&lane->queue->grace))
		return -EDEADLK;
	return dd_worker_ensure(lane->queue);
}
