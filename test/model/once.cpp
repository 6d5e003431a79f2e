// SPDX-License-Identifier: MIT
//
// Three threads want to use what is set up once: whoever finds that it was not does so under a lock, and
// all see it whole.
#include "model_queue.h"

#include "once.h"

namespace
{

struct opened : rl::test_suite<opened, 3> {
	model_atomic<bool> is_open;
	model_mutex lock;
	rl::var<int> made;

	void before()
	{
		made($) = 0;
	}

	// What global.c does in dd_queue_open.
	void open()
	{
		if (dd_once_is_done(&is_open))
			return;
		pthread_mutex_lock(&lock);
		if (!dd_once_is_done(&is_open)) {
			made($) = made($) + 1;
			dd_once_done(&is_open);
		}
		pthread_mutex_unlock(&lock);
	}

	void thread(unsigned)
	{
		open();
		RL_ASSERT(made($) == 1);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<opened>(3, 20000);
}
