/* SPDX-License-Identifier: MIT
 *
 * Ways to hand destruction to another thread, to be measured beside each other. The calls come in
 * this order: begin; in each producer join, pushes, and leave when all have pushed; a flush by one
 * producer between the pushes and leave; end.
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
	/*
	 * Producers spin for each other. With more producers than CPUs, each push would take a time
	 * slice or two.
	 */
	bool is_spinning;
	/* Starts the consumer, on the CPU of the caller. May be NULL. */
	void (*begin)(void);
	/*
	 * Makes the calling thread the nth producer, with at most that number of pushes. May be
	 * NULL.
	 */
	void (*join)(unsigned nth, uint64_t pushes);
	/* Hands over that number of objects with an empty destructor, one by one. */
	void (*push)(uint64_t count);
	/*
	 * Hands over one object with its destructor. Only for peers that keep the order of pushes,
	 * on which peer_flush relies; else NULL.
	 */
	void (*push_one)(void *object, void (*destroy)(void *object));
	/*
	 * Waits until everything pushed before is destroyed. NULL: push_one is used instead, or
	 * nothing is handed over.
	 */
	void (*flush)(void);
	/* These undo join and begin. May be NULL. */
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

/* All peers of this build, defer_drop first; NULL behind the last. */
extern const struct peer *const peers[];
#define PEERS_MOST 24

/* The largest number of producers at a time. */
#define PEER_PRODUCERS 64

/* Adds to the results the versions of the peers, and the peers that this build lacks. */
void peers_describe(struct results *results);

/* ---- Parts of several peers ------------------------------------------------------------------ */

/* The number of drops that wait at most in a peer with a bound: our built-in queue_size. */
#define PEER_BOUND 4096

/* The empty destructor (destroy.c). */
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

/* Returns zeroed memory that has been touched, as real objects have when they are dropped. */
void *peer_allocate(uint64_t count, size_t bytes);

/* Lets time pass. times: how often in a row the caller found nothing, or no room. */
void peer_relax(unsigned times);

#endif
