// SPDX-License-Identifier: MIT
//
// Three threads take a mutex, two of them twice: each sees all that was done under it before, no two hold it at
// once, and a thread that sleeps for it is woken.
#include "model.h"

#define DD_DEADLINE_H // in place of base/deadline.h: nothing here has a deadline
#include "base/mutex.h"

namespace
{

struct exclusive : rl::test_suite<exclusive, 3> {
	dd_mutex mutex{};
	rl::var<int> done;

	void before()
	{
		model_forget_sleepers();
		done($) = 0;
	}

	void thread(unsigned index)
	{
		for (unsigned i = 0; i < (index ? 2 : 1); i++) {
			dd_mutex_lock(&mutex);
			done($) = done($) + 1;
			dd_mutex_unlock(&mutex);
		}
	}

	void after()
	{
		RL_ASSERT(done($) == 5);
		RL_ASSERT(mutex.word.load(rl::mo_relaxed, $) == DD_FREE);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<exclusive>(3, 20000);
}
