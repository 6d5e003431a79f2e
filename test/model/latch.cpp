// SPDX-License-Identifier: MIT
//
// The three uses of a latch. Three threads use something that is set up once: a thread that finds the latch
// closed sets it up under a lock, and all threads see it complete. A thread writes something and wakes another
// one, whose sleep may have ended by itself: that one sees what was written, and may use the memory for something
// else. A thread starts a worker, which fails, and then others: it learns how each of them started.
#include "model_queue.h"

#include "base/latch.h"

namespace
{

struct opened : rl::test_suite<opened, 3> {
	dd_latch latch{};
	model_mutex lock;
	rl::var<int> made;

	void before()
	{
		made($) = 0;
	}

	// As dd_queue_open does.
	void open()
	{
		if (dd_latch_is_open(&latch))
			return;
		pthread_mutex_lock(&lock);
		if (!dd_latch_is_open(&latch)) {
			made($) = made($) + 1;
			dd_latch_set(&latch);
		}
		pthread_mutex_unlock(&lock);
	}

	void thread(unsigned)
	{
		open();
		RL_ASSERT(made($) == 1);
	}
};

struct sleeping : rl::test_suite<sleeping, 2> {
	dd_latch latch{};
	rl::var<int> noted;

	void before()
	{
		model_forget_sleepers();
		noted($) = 0;
	}

	void thread(unsigned index)
	{
		if (index) {
			noted($) = 1;
			dd_latch_open(&latch);
			return;
		}
		while (!dd_latch_is_open(&latch))
			dd_latch_wait(&latch, DEFER_DROP_FOREVER);
		RL_ASSERT(noted($) == 1);
		noted($) = 2;
	}
};

enum { NOT_YET = 1, FAILED = -5, FAILED_AGAIN = -9 };

struct booting : rl::test_suite<booting, 2> {
	dd_latch latch{};
	rl::var<int> reported;
	rl::atomic<int> started;

	void before()
	{
		model_forget_sleepers();
		started.store(NOT_YET, rl::mo_relaxed, $);
	}

	// The release here and the acquire in report are the ordering that pthread_create gives.
	void start(int result)
	{
		dd_latch_close(&latch);
		started.store(result, rl::mo_release, $);
		while (!dd_latch_is_open(&latch))
			dd_latch_wait(&latch, DEFER_DROP_FOREVER);
		RL_ASSERT(reported($) == result);
	}

	void report(int result)
	{
		while (started.load(rl::mo_acquire, $) != result)
			model_yield();
		reported($) = result;
		dd_latch_open(&latch);
	}

	void thread(unsigned index)
	{
		for (int result : {int(FAILED), 0, int(FAILED_AGAIN)})
			index ? report(result) : start(result);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<opened>(3, 20000) && explore<sleeping>(4, 20000) &&
		 explore<booting>(2, 20000));
}
