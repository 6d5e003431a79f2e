// SPDX-License-Identifier: MIT
//
// A thread that the library creates is a thread of the model, which waits until the library creates it, or until
// it is certain that this will not happen.
#ifndef MODEL_THREAD_H
#define MODEL_THREAD_H

#include "model.h"

#include <pthread.h>
#include <signal.h>

// The thread that the library creates, for one scenario; made anew for each execution.
struct model_thread {
	enum { NOT_YET, CREATED, NEVER };

	rl::atomic<int> life;
	rl::atomic<int> has_ended;
	void *(*function)(void *argument);
	void *argument;
	int refusals = 0; // creations that are still to fail
	int creations = 0;
	int joins = 0;

	static model_thread *the_one;

	model_thread()
	{
		life.store(NOT_YET, rl::mo_relaxed, $);
		has_ended.store(0, rl::mo_relaxed, $);
		the_one = this;
	}

	// Called by the thread of the model that plays this thread.
	void live()
	{
		while (life.load(rl::mo_acquire, $) == NOT_YET)
			model_yield();
		if (life.load(rl::mo_relaxed, $) == CREATED)
			function(argument);
		has_ended.store(1, rl::mo_release, $);
	}

	// Says that the thread will not be created, if it was not.
	void give_up()
	{
		int not_yet = NOT_YET;

		life.compare_exchange_strong(not_yet, NEVER, rl::mo_acq_rel, $);
	}

	int create(void *(*run)(void *), void *its_argument)
	{
		if (refusals-- > 0)
			return EAGAIN;
		function = run;
		argument = its_argument;
		creations++;
		life.store(CREATED, rl::mo_release, $);
		return 0;
	}

	int join()
	{
		joins++;
		while (!has_ended.load(rl::mo_acquire, $))
			model_yield();
		return 0;
	}
};

model_thread *model_thread::the_one;

#define gettid() 0    // no thread's: the kernel cannot be late with the end of this one
#undef pthread_attr_t // the checker does not use it
#define pthread_create(thread, attributes, run, argument) \
	model_thread::the_one->create(run, argument)
#define pthread_join(thread, result)       model_thread::the_one->join()
#define pthread_detach(thread)             (void)(thread)
#define pthread_setcancelstate(state, old) (void)(old)
#define pthread_sigmask(how, set, old)     (void)(set)
#define pthread_setname_np(thread, name)   (void)(name)

#endif
