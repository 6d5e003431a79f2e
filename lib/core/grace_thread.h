/* SPDX-License-Identifier: MIT
 *
 * The thread that waits for grace periods, and the consumer that asks it to. It outlives the
 * consumer where a reader never leaves; who lets go last disposes of what they share.
 *
 * Edges:
 *   BEGUN   ask: asked, release -> run: asked, acquire
 *           carries TAIL: what took objects out of reach comes before the grace period
 *   PASSED  run: passed, release -> has_passed: passed, acquire
 *           what readers did comes before the destructor
 *   GONE    let_go: owners, release -> let_go: owners, acquire
 *           who disposes of it comes after the other's last access
 */
#ifndef DD_GRACE_THREAD_H
#define DD_GRACE_THREAD_H

#include <pthread.h>

#include "base/eventfd.h"
#include "core/park.h"

struct dd_grace_thread {
	const struct rcu_flavor_struct *flavor; /* set once */
	pthread_t thread;                       /* the consumer's */
	_Atomic(uint32_t) asked;  /* grace periods; a futex word. The consumer writes */
	_Atomic(uint32_t) passed; /* likewise, the thread writes */
	_Atomic(uint32_t) owners; /* who has not let go of this yet */
	pid_t thread_id;          /* as gettid(2); the thread writes */
	int pending_eventfd;      /* set once; or -1 */
	pthread_mutex_t lock;     /* of the next */
	struct dd_park *park;     /* the consumer's, or NULL: it has let go */
};

/* On zeroed memory, before the thread begins. */
static inline void dd_grace_thread_init(
	struct dd_grace_thread *shared, struct dd_park *park, int pending_eventfd)
{
	shared->park = park;
	shared->pending_eventfd = pending_eventfd;
	atomic_store_explicit(&shared->owners, 2, memory_order_relaxed);
}

/* True for who lets go last, and has to dispose of it. */
static inline bool dd_grace_thread_let_go(struct dd_grace_thread *shared)
{
	/* GONE->: without release it could vanish under us; ->GONE: without acquire, under the
	 * other. */
	return atomic_fetch_sub_explicit(&shared->owners, 1, memory_order_acq_rel) == 1;
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* Waits until more are asked for than have passed. False where nobody wants them any more. */
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

/* Says that so many have passed. */
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

/* Asks the thread for one more. */
static inline void dd_grace_thread_ask(struct dd_grace_thread *shared)
{
	/* BEGUN->: see the thread. */
	atomic_fetch_add_explicit(&shared->asked, 1, memory_order_release);
	dd_futex_wake(&shared->asked, 1);
}

/* Has all passed that was asked for? */
static inline bool dd_grace_thread_has_passed(struct dd_grace_thread *shared)
{
	uint32_t asked = atomic_load_explicit(&shared->asked, memory_order_relaxed);

	/* ->PASSED: without acquire the same. */
	return atomic_load_explicit(&shared->passed, memory_order_acquire) == asked;
}

/* No more will be asked for: the thread ends, and rings the bell no more. */
static inline void dd_grace_thread_dismiss(struct dd_grace_thread *shared)
{
	pthread_mutex_lock(&shared->lock);
	shared->park = NULL;
	pthread_mutex_unlock(&shared->lock);
	dd_grace_thread_ask(shared);
}

#endif
