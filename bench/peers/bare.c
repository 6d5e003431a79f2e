/* SPDX-License-Identifier: MIT
 *
 * The floors that no peer can beat: the destructor called in place; two plain stores into a ring
 * that is never emptied; one locked add; and the library's ring between a producer and a consumer
 * that never sleep, close or wait.
 */
#include "peer.h"

#include <stdatomic.h>

#include "core/ring.h"

/* ---- In place -------------------------------------------------------------------------------- */

static void destroy_in_place(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		peer_destroy(NULL);
}

const struct peer peer_in_place = {.name = "destroyed in place", .push = destroy_in_place};

/* ---- Two stores ------------------------------------------------------------------------------ */

static struct dd_slot stored[PEER_BOUND];

static void store(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct dd_slot *slot = &stored[i % PEER_BOUND];

		dd_plain_store(&slot->object, NULL);
		atomic_store_explicit(&slot->destroy, peer_destroy, memory_order_release);
	}
}

const struct peer peer_two_stores = {.name = "two stores", .most_producers = 1, .push = store};

/* ---- One locked add -------------------------------------------------------------------------- */

/* Alone on its cache lines, also for prefetchers that fetch two at a time. */
static alignas(128) struct {
	_Atomic uint64_t word;
	char padding[120];
} counter;

static void add(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		atomic_fetch_add_explicit(&counter.word, 1, memory_order_relaxed);
}

const struct peer peer_locked_add = {.name = "locked add", .push = add};

/* ---- The ring alone -------------------------------------------------------------------------- */

static struct dd_ring ring;
static struct dd_slot slots[PEER_BOUND];
static _Atomic(bool) is_over;
static pthread_t consumer;

static void *consume(void *argument)
{
	struct dd_drop drop;

	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		while (dd_ring_take(&ring, &drop)) {
			drop.destroy(drop.object);
			dd_ring_done(&ring);
		}
		dd_ring_recycle(&ring);
		for (unsigned i = 0; i < 200; i++)
			dd_relax();
	}
	return argument;
}

static void begin(void)
{
	if (!ring.slots)
		dd_ring_init(&ring, slots, PEER_BOUND, false);
	atomic_store(&is_over, false);
	peer_start(&consumer, consume);
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
	for (unsigned times = 0; !dd_ring_is_past(&ring, dd_ring_tail(&ring)); times++)
		peer_relax(times);
}

static void end(void)
{
	atomic_store(&is_over, true);
	pthread_join(consumer, NULL);
}

const struct peer peer_bare_ring = {.name = "bare ring",
	.most_producers = 1,
	.begin = begin,
	.push = push,
	.flush = flush,
	.end = end};
