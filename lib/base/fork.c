/* SPDX-License-Identifier: MIT
 *
 * The handlers of fork(2).
 */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"

/* Complete before the handlers are set. */
static struct dd_fork_part *parts;
static bool is_deaf;
static pid_t process; /* this one; written before other threads fork */

static _Atomic(pthread_t) holder; /* the thread that holds the locks over a fork, or 0 */

/* Of the holder, until it lets go; under the locks of all parts. */
static sigset_t signals;

/*
 * Signals are held back meanwhile: a handler that calls exit, which POSIX forbids and many programs
 * do, could come when only some of the locks are held.
 */
static void hold(void)
{
	sigset_t before;

	dd_thread_hold_signals(&before);
	for (const struct dd_fork_part *at = parts; at; at = at->next)
		at->hold();
	signals = before;
	/* Relaxed is enough, here and below: each thread only looks for what it has written. */
	atomic_store_explicit(&holder, pthread_self(), memory_order_relaxed);
}

static void let_go(void)
{
	sigset_t before = signals;

	atomic_store_explicit(&holder, (pthread_t)0, memory_order_relaxed);
	for (const struct dd_fork_part *at = parts; at; at = at->next)
		at->let_go();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void survive(void)
{
	process = getpid();
	atomic_store_explicit(&holder, (pthread_t)0, memory_order_relaxed);
	for (const struct dd_fork_part *at = parts; at; at = at->next)
		at->survive();
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
}

void dd_fork_break_off(void)
{
	if (!pthread_equal(atomic_load_explicit(&holder, memory_order_relaxed), pthread_self()))
		return;
	if (getpid() == process)
		let_go();
	else
		survive();
}

void dd_fork_add(struct dd_fork_part *part)
{
	part->next = parts;
	parts = part;
}

bool dd_fork_is_heard(void)
{
	return !is_deaf;
}

/* Runs after all parts were added, and before the constructors of a program that has the static
 * library inside, which may set handlers too. */
__attribute__((constructor(103))) static void hear_of_fork(void)
{
	/* Some allocators set their handlers when they are used for the first time. */
	void *volatile memory = malloc(1);

	free(memory);
	process = getpid();
	is_deaf = pthread_atfork(hold, let_go, survive);
}
