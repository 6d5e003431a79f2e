/* SPDX-License-Identifier: MIT
 *
 * Concurrency Kit's ring, many producers and one consumer, of the same size and with pairs as ours.
 */
#include <ck_ring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "bench.h"
#include "peer.h"

#define SIZE 4096

struct pair {
	void *object;
	void (*destroy)(void *object);
};

CK_RING_PROTOTYPE(pair, pair)

static ck_ring_t ring;
static struct pair pairs[SIZE];
static _Atomic uint64_t destroyed;
static uint64_t pushed;
static atomic_bool is_over;
static pthread_t thread;

static void *consume(void *argument)
{
	struct pair pair;

	(void)argument;
	bench_pin(1);
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		if (!CK_RING_DEQUEUE_MPSC(pair, &ring, pairs, &pair)) {
			ck_pr_stall();
			continue;
		}
		pair.destroy(pair.object);
		atomic_fetch_add_explicit(&destroyed, 1, memory_order_release);
	}
	return NULL;
}

static void begin(void)
{
	ck_ring_init(&ring, SIZE);
	atomic_store(&destroyed, 0);
	pushed = 0;
	atomic_store(&is_over, false);
	pthread_create(&thread, NULL, consume, NULL);
}

static void push(uint64_t count)
{
	struct pair pair = {NULL, peer_destroy};

	for (uint64_t i = 0; i < count; i++)
		while (!CK_RING_ENQUEUE_MPSC(pair, &ring, pairs, &pair))
			ck_pr_stall();
	pushed += count;
}

static void flush(void)
{
	while (atomic_load_explicit(&destroyed, memory_order_acquire) < pushed)
		ck_pr_stall();
}

static void end(void)
{
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
}

const struct peer peer_ck_ring = {"ck_ring MPSC", begin, push, flush, end};
