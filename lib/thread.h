/* SPDX-License-Identifier: MIT
 *
 * How the library starts and joins threads of its own.
 */
#ifndef DD_THREAD_H
#define DD_THREAD_H

#include <pthread.h>
#include <signal.h>

/* pthread_create(3), with all signals blocked from the start. */
static inline int dd_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
	void *(*run)(void *argument), void *argument)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* pthread_join(3), but no cancellation point. */
static inline void dd_thread_join(pthread_t thread)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_join(thread, NULL);
	pthread_setcancelstate(state, NULL);
}

#endif
