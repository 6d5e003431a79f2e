/* SPDX-License-Identifier: MIT
 *
 * Starting and joining the library's own threads.
 */
#ifndef DD_THREAD_H
#define DD_THREAD_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/deadline.h"

/* A thread that the kernel still has after this time is held by a debugger. */
#define DD_THREAD_END_NS (100 * DD_MS)

/*
 * Fills in the mask of the library's threads: all signals, except those that a fault of the thread
 * itself raises, with which the program's crash handler runs, and SIGPROF, with which a profiler
 * samples it. The kernel ends a process in which such a fault is blocked.
 */
static inline void dd_thread_mask(sigset_t *mask)
{
	static const int faults[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};

	sigfillset(mask);
	for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
		sigdelset(mask, faults[i]);
}

/* Blocks signals, except those of faults, until `before` is set again. */
static inline void dd_thread_hold_signals(sigset_t *before)
{
	sigset_t mask;

	dd_thread_mask(&mask);
	pthread_sigmask(SIG_BLOCK, &mask, before);
}

/* Calls pthread_create(3) with signals blocked from the start. */
static inline int dd_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
	void *(*run)(void *argument), void *argument)
{
	sigset_t mask;
	sigset_t before;
	int error;

	dd_thread_mask(&mask);
	pthread_sigmask(SIG_SETMASK, &mask, &before);
	error = pthread_create(thread, attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* Waits until the kernel has ended a thread, the gettid(2) of which is given: for a moment longer
 * than it runs, unshare(2) and others still count it. */
static inline void dd_thread_await(pid_t thread_id)
{
	uint64_t until_ns = dd_now_ns() + DD_THREAD_END_NS;
	int before = errno;

	while (!syscall(SYS_tgkill, getpid(), thread_id, 0) && !dd_deadline_has_come(until_ns))
		sched_yield();
	errno = before;
}

/*
 * Joins as pthread_join(3) does, but is not a cancellation point, and waits until the kernel has
 * ended the thread. thread_id: the gettid(2) that the thread stored. Does nothing in that thread
 * itself, which may be in exit: it called it, or it is the last thread of a process.
 */
static inline void dd_thread_join(pthread_t thread, const pid_t *thread_id)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	if (!pthread_equal(thread, pthread_self()) && !pthread_join(thread, NULL))
		dd_thread_await(*thread_id);
	pthread_setcancelstate(state, NULL);
}

#endif
