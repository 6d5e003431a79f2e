/* SPDX-License-Identifier: MIT
 *
 * Ways to hand destruction to another thread, to be measured beside each other.
 *
 * The calls come in this order: begin; in each producer join, pushes, and, when all have pushed,
 * leave; between pushes and leave, flush by one of them; end.
 */
#ifndef PEER_H
#define PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "results.h"

struct peer {
	const char *name;
	unsigned most_producers; /* 0: any number */
	/* Producers wait for each other without giving up the CPU: where there were more of them
	 * than CPUs, each push would take a time slice or two. */
	bool is_spinning;
	/* Starts the consumer; the caller is pinned where it shall run. May be NULL. */
	void (*begin)(void);
	/* The calling thread will be the nth producer and push at most so often. May be NULL. */
	void (*join)(unsigned nth, uint64_t pushes);
	/* Hands over so many objects with an empty destructor, one by one. */
	void (*push)(uint64_t count);
	/* Hands over one object with its destructor: of peers that keep the order of pushes, which
	 * peer_flush relies on. Or NULL. */
	void (*push_one)(void *object, void (*destroy)(void *object));
	/* Waits until everything pushed before is destroyed. NULL: push_one serves, or nothing is
	 * handed over. */
	void (*flush)(void);
	/* Undoes join, begin. May be NULL. */
	void (*leave)(void);
	void (*end)(void);
};

extern const struct peer peer_in_place; /* bare.c: nothing is handed over */
/* The floors: what the memory alone costs, what one locked instruction costs, and the library's
 * ring in a loop that never sleeps, closes or waits. */
extern const struct peer peer_two_stores;
extern const struct peer peer_locked_add;
extern const struct peer peer_bare_ring;
extern const struct peer peer_drop;        /* drop.c: the short call */
extern const struct peer peer_drop_shared; /* the shared lane alone */
extern const struct peer peer_mutex_list;  /* mutex.c */
#ifdef HAVE_URCU
extern const struct peer peer_defer_rcu; /* urcu.c */
extern const struct peer peer_call_rcu;
extern const struct peer peer_call_rcu_own;
extern const struct peer peer_wfcqueue; /* wfcqueue.c */
#endif
#ifdef HAVE_CK
extern const struct peer peer_ck_ring; /* ck.c */
#endif
#ifdef HAVE_GLIB
extern const struct peer peer_async_queue; /* glib.c */
extern const struct peer peer_thread_pool;
#endif
#ifdef HAVE_CROSSBEAM
extern const struct peer peer_crossbeam_bounded; /* crossbeam.c */
extern const struct peer peer_crossbeam_unbounded;
#endif

/* Waits until everything pushed before is destroyed. */
void peer_flush(const struct peer *peer);

/* All that were built, the short call first; NULL ends them. */
extern const struct peer *const peers[];
#define PEERS_MOST 24

/* Producers at a time, at most. */
#define PEER_PRODUCERS 64

/* Adds versions, and what was not there to build with, to the results. */
void peers_describe(struct results *results);

/* ---- What peers are made of ------------------------------------------------------------------ */

/* So many drops wait at most, where a peer has a bound: our built-in queue_size. */
#define PEER_BOUND 4096

/* The empty destructor: destroy.c, compiled apart so that nothing is known of it. */
void peer_destroy(void *object);

/* A drop, for queues that carry pairs of pointers. */
struct peer_drop_pair {
	void *object;
	void (*destroy)(void *object);
};

/* Ends a consumer by a drop that sets *is_over, behind all others. */
void peer_end_behind(void (*push_one)(void *object, void (*destroy)(void *object)), bool *is_over,
	pthread_t consumer);

void peer_start(pthread_t *consumer, void *(*consume)(void *));

/* Zeroed memory that has been touched, as objects have that are to be destroyed. */
void *peer_allocate(uint64_t count, size_t bytes);

/* Lets time pass for who found nothing, or no room, so many times in a row. */
void peer_relax(unsigned times);

#endif
