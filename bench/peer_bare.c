/* SPDX-License-Identifier: MIT
 *
 * The floors: lib/ring.h as one producer and one consumer would use it that never sleep, close or
 * wait; and two plain stores into a ring of the same size that nobody empties.
 */
#include <pthread.h>

#include "bench.h"
#include "peer.h"
#include "ring.h"

#define SIZE 4096

static struct dd_ring ring;
static struct dd_slot slots[SIZE];
static _Atomic(bool) is_over;
static pthread_t thread;

static void *consume(void *argument)
{
	struct dd_drop drop;

	(void)argument;
	bench_pin(1);
	for (;;) {
		while (dd_ring_take(&ring, &drop)) {
			drop.destroy(drop.object);
			dd_ring_done(&ring);
		}
		dd_ring_recycle(&ring);
		if (atomic_load_explicit(&is_over, memory_order_relaxed))
			return NULL;
		for (unsigned i = 0; i < 200; i++)
			dd_relax();
	}
}

static void begin(void)
{
	if (!ring.slots)
		dd_ring_init(&ring, slots, SIZE, false);
	atomic_store(&is_over, false);
	pthread_create(&thread, NULL, consume, NULL);
}

static void push(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = dd_ring_own_tail(&ring);

		while (dd_ring_is_at_limit(&ring, at) &&
			dd_ring_room(&ring, at) >= dd_ring_capacity(&ring))
			for (unsigned spins = 0; spins < 512; spins++)
				dd_relax();
		dd_ring_publish(&ring, at, NULL, peer_destroy);
		dd_ring_advance(&ring, at + 1);
	}
}

static void flush(void)
{
	while (!dd_ring_is_past(&ring, dd_ring_tail(&ring)))
		dd_relax();
}

static void end(void)
{
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
}

const struct peer peer_bare_ring = {"bare ring", begin, push, flush, end};

static struct dd_slot stored[SIZE];

static void store(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct dd_slot *slot = &stored[i & (SIZE - 1)];

		dd_plain_store(&slot->object, NULL);
		atomic_store_explicit(&slot->destroy, peer_destroy, memory_order_release);
	}
}

static void nothing(void)
{
}

const struct peer peer_two_stores = {"two stores", NULL, store, nothing, NULL};
