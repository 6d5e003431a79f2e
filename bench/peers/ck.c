/* SPDX-License-Identifier: MIT
 *
 * Concurrency Kit's ring for many producers and one consumer, which holds as many pairs as ours.
 */
#include "peer.h"

#include <ck_ring.h>

CK_RING_PROTOTYPE(pair, peer_drop_pair)

static ck_ring_t ring;
static struct peer_drop_pair pairs[PEER_BOUND];
static bool is_over;
static pthread_t consumer;

static void *consume(void *argument)
{
	struct peer_drop_pair pair;

	for (unsigned times = 0; !is_over; times++) {
		if (CK_RING_DEQUEUE_MPSC(pair, &ring, pairs, &pair))
			pair.destroy(pair.object), times = 0;
		else
			peer_relax(times);
	}
	return argument;
}

static void begin(void)
{
	ck_ring_init(&ring, PEER_BOUND);
	peer_start(&consumer, consume);
}

static void push_one(void *object, void (*destroy)(void *))
{
	struct peer_drop_pair pair = {object, destroy};

	for (unsigned times = 0; !CK_RING_ENQUEUE_MPSC(pair, &ring, pairs, &pair); times++)
		peer_relax(times);
}

static void push(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		push_one(NULL, peer_destroy);
}

static void end(void)
{
	peer_end_behind(push_one, &is_over, consumer);
}

const struct peer peer_ck_ring = {.name = "ck_ring MPSC",
	.is_spinning = true,
	.begin = begin,
	.push = push,
	.push_one = push_one,
	.end = end};
