// SPDX-License-Identifier: MIT
//
// A thread of the library's own is one of the model's, which waits until it is created, or never will be.
#ifndef MODEL_THREAD_H
#define MODEL_THREAD_H

#include "model.h"

#include <pthread.h>
#include <signal.h>

// For one scenario, made anew for each execution.
struct model_thread {
	enum { NOT_YET, CREATED, NEVER };

	rl::atomic<int> life;
	rl::atomic<int> has_ended;
	void *(*function)(void *argument);
	void *argument;
	int refusals = 0; // still to come
	int creations = 0;
	int joins = 0;

	static model_thread *the_one;

	model_thread()
	{
		life.store(NOT_YET, rl::mo_relaxed, $);
		has_ended.store(0, rl::mo_relaxed, $);
		the_one = this;
	}

	// By the thread of the model that is it.
	void live()
	{
		while (life.load(rl::mo_acquire, $) == NOT_YET)
			model_yield();
		if (life.load(rl::mo_relaxed, $) == CREATED)
			function(argument);
		has_ended.store(1, rl::mo_release, $);
	}

	// Where it was not created, it never will be.
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

#define gettid() 0    // nobody's: there is no thread whose end the kernel could be late with
#undef pthread_attr_t // which the checker does not use
#define pthread_create(thread, attributes, run, argument) \
	model_thread::the_one->create(run, argument)
#define pthread_join(thread, result)       model_thread::the_one->join()
#define pthread_detach(thread)             (void)(thread)
#define pthread_setcancelstate(state, old) (void)(old)
#define pthread_sigmask(how, set, old)     (void)(set)
#define pthread_setname_np(thread, name)   (void)(name)

#endif
