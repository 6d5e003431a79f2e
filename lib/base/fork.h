/* SPDX-License-Identifier: MIT
 *
 * Handlers of fork(2) that hold locks of the library, so that a child has none that a missing thread
 * holds.
 *
 * They are set while the library is loaded. Before a fork the newest handler runs first, so that
 * those of the program, which may take a lock that another thread holds while it pushes, run before
 * those of the library: otherwise each of the two threads would wait for the other. Allocators run
 * theirs afterwards, since threads that hold a lock of the library may allocate.
 */
#ifndef DD_FORK_HANDLERS_H
#define DD_FORK_HANDLERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/thread.h"

/* Of a function that sets handlers: the constructors of a program that has the static library
 * inside, which may set handlers too, run after it. */
#define DD_AT_LOAD __attribute__((constructor(101)))

/* Sets the handlers. False if there is no memory for that. */
static inline bool dd_fork_hear(
	void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
	/* Some allocators set theirs when they are used for the first time. */
	void *volatile memory = malloc(1);

	free(memory);
	return !pthread_atfork(before, in_parent, in_child);
}

/*
 * Holds signals back while a thread that forks holds locks: a handler that calls exit, which POSIX
 * forbids and many programs do, would wait for these locks for ever.
 */
static inline void dd_fork_hold_signals(sigset_t *before)
{
	sigset_t mask;

	dd_thread_mask(&mask);
	pthread_sigmask(SIG_BLOCK, &mask, before);
}

static inline void dd_fork_let_signals(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

#endif
