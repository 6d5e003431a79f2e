/* SPDX-License-Identifier: MIT
 *
 * The thread that waits for grace periods, and the consumer that asks for them. If a reader never
 * leaves, the thread outlives the consumer; the last of the two to let go frees what they share.
 *
 * Edges:
 *   BEGUN   ask: asked, release -> run: asked, acquire
 *           carries TAIL: objects are out of reach of readers before the grace period begins
 *   PASSED  run: passed, release -> has_passed: passed, acquire
 *           carries what readers did: it comes before the destructor
 *   GONE    let_go: owners, release -> let_go: owners, acquire
 *           carries the last access of the other: it comes before the free
 */
#ifndef DD_GRACE_THREAD_H
#define DD_GRACE_THREAD_H

#include <pthread.h>

#include "base/eventfd.h"
#include "core/park.h"

struct dd_grace_thread {
	const struct rcu_flavor_struct *flavor; /* set once */
	pthread_t thread;                       /* the consumer's */
	_Atomic(uint32_t) asked;  /* grace periods asked for; a futex word. The consumer writes */
	_Atomic(uint32_t) passed; /* grace periods that have passed. The thread writes */
	_Atomic(uint32_t) owners; /* how many of the two have not let go */
	pid_t thread_id;          /* as gettid(2). The thread writes */
	int pending_eventfd;      /* set once; or -1 */
	pthread_mutex_t lock;     /* of park */
	struct dd_park *park;     /* the consumer's; NULL after it has let go */
};

/* Sets up zeroed memory, before the thread begins. */
static inline void dd_grace_thread_init(
	struct dd_grace_thread *shared, struct dd_park *park, int pending_eventfd)
{
	shared->park = park;
	shared->pending_eventfd = pending_eventfd;
	atomic_store_explicit(&shared->owners, 2, memory_order_relaxed);
}

/* Lets go. True for the last to let go, which has to free the memory. */
static inline bool dd_grace_thread_let_go(struct dd_grace_thread *shared)
{
	/* GONE->: without release it could be freed while we use it; ->GONE: without acquire, while
	 * the other does. */
	return atomic_fetch_sub_explicit(&shared->owners, 1, memory_order_acq_rel) == 1;
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* Waits until more are asked for than have passed. False if the consumer has let go. */
static inline bool dd_grace_thread_await(
	struct dd_grace_thread *shared, uint32_t passed, uint32_t *asked)
{
	bool is_wanted;

	/* ->BEGUN: without acquire the grace period could begin before the objects were taken out
	 * of reach. */
	while ((*asked = atomic_load_explicit(&shared->asked, memory_order_acquire)) == passed)
		dd_futex_wait(&shared->asked, passed, DEFER_DROP_FOREVER);
	pthread_mutex_lock(&shared->lock);
	is_wanted = shared->park;
	pthread_mutex_unlock(&shared->lock);
	return is_wanted;
}

/* Publishes how many have passed. */
static inline void dd_grace_thread_finish(struct dd_grace_thread *shared, uint32_t passed)
{
	/* PASSED->: without release a destructor could run before a reader's last access. */
	atomic_store_explicit(&shared->passed, passed, memory_order_release);
	pthread_mutex_lock(&shared->lock);
	if (shared->park)
		dd_bell_ring(&shared->park->bell);
	if (shared->park && shared->pending_eventfd >= 0)
		dd_eventfd_signal(shared->pending_eventfd);
	pthread_mutex_unlock(&shared->lock);
}

static inline void dd_grace_thread_run(struct dd_grace_thread *shared, void (*synchronize)(void))
{
	uint32_t asked = 0;

	while (dd_grace_thread_await(shared, asked, &asked)) {
		synchronize();
		dd_grace_thread_finish(shared, asked);
	}
}

/* ---- The consumer ---------------------------------------------------------------------------- */

/* Asks the thread for one more grace period. */
static inline void dd_grace_thread_ask(struct dd_grace_thread *shared)
{
	/* BEGUN->: without release the grace period could begin before objects are out of reach. */
	atomic_fetch_add_explicit(&shared->asked, 1, memory_order_release);
	dd_futex_wake(&shared->asked, 1);
}

/* True if all that were asked for have passed. */
static inline bool dd_grace_thread_has_passed(struct dd_grace_thread *shared)
{
	uint32_t asked = atomic_load_explicit(&shared->asked, memory_order_relaxed);

	/* ->PASSED: without acquire a destructor could run before a reader's last access. */
	return atomic_load_explicit(&shared->passed, memory_order_acquire) == asked;
}

/* Ends the thread: it is asked for no more, and does not ring the bell again. */
static inline void dd_grace_thread_dismiss(struct dd_grace_thread *shared)
{
	pthread_mutex_lock(&shared->lock);
	shared->park = NULL;
	pthread_mutex_unlock(&shared->lock);
	dd_grace_thread_ask(shared);
}

#endif
