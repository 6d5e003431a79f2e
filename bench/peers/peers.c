/* SPDX-License-Identifier: MIT
 *
 * The list of all peers, and what several of them are made of.
 */
#include "peer.h"

#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"

/* Looks in vain before the CPU is offered to other threads, which may be those waited for. */
#define RELAXES 1024

const struct peer *const peers[PEERS_MOST] = {
	&peer_drop,
	&peer_drop_shared,
	&peer_in_place,
	&peer_two_stores,
	&peer_locked_add,
	&peer_bare_ring,
#ifdef HAVE_URCU
	&peer_defer_rcu,
	&peer_call_rcu,
	&peer_call_rcu_own,
	&peer_wfcqueue,
#endif
#ifdef HAVE_CK
	&peer_ck_ring,
#endif
#ifdef HAVE_GLIB
	&peer_async_queue,
	&peer_thread_pool,
#endif
#ifdef HAVE_CROSSBEAM
	&peer_crossbeam_bounded,
	&peer_crossbeam_unbounded,
#endif
	&peer_mutex_list,
};

void peers_describe(struct results *results)
{
#ifdef HAVE_URCU
	results_version(results, "liburcu", HAVE_URCU);
#else
	results_skip(results, "liburcu defer_rcu, call_rcu and wfcqueue",
		"liburcu-dev was missing when this was built");
#endif
#ifdef HAVE_CK
	results_version(results, "Concurrency Kit", HAVE_CK);
#else
	results_skip(results, "ck_ring MPSC", "libck-dev was missing when this was built");
#endif
#ifdef HAVE_GLIB
	results_version(results, "GLib", HAVE_GLIB);
#else
	results_skip(results, "GAsyncQueue and GThreadPool",
		"libglib2.0-dev was missing when this was built");
#endif
#ifdef HAVE_CROSSBEAM
	results_version(results, "crossbeam", HAVE_CROSSBEAM);
#else
	results_skip(results, "crossbeam channels",
		"rustc and librust-crossbeam-channel-dev were missing when this was built");
#endif
}

/* ---- Parts of several peers ------------------------------------------------------------------ */

static void reach(void *object)
{
	sem_post(object);
}

void peer_flush(const struct peer *peer)
{
	sem_t is_reached;

	if (peer->flush)
		peer->flush();
	if (peer->flush || !peer->push_one)
		return;
	sem_init(&is_reached, 0, 0);
	peer->push_one(&is_reached, reach);
	while (sem_wait(&is_reached))
		;
	sem_destroy(&is_reached);
}

static void end(void *object)
{
	*(bool *)object = true;
}

void peer_end_behind(void (*push_one)(void *object, void (*destroy)(void *object)), bool *is_over,
	pthread_t consumer)
{
	push_one(is_over, end);
	pthread_join(consumer, NULL);
	*is_over = false; /* for the next begin */
}

void peer_start(pthread_t *consumer, void *(*consume)(void *))
{
	if (pthread_create(consumer, NULL, consume, NULL))
		abort();
}

void *peer_allocate(uint64_t count, size_t bytes)
{
	void *memory = malloc(count * bytes);

	if (!memory)
		abort();
	/* Not calloc(3), whose fresh pages would be touched first in the measurement. */
	memset(memory, 0xff, count * bytes);
	return memset(memory, 0, count * bytes);
}

void peer_relax(unsigned times)
{
	if (times % RELAXES == RELAXES - 1)
		sched_yield();
	else
		dd_relax();
}
