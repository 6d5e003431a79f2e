// SPDX-License-Identifier: MIT
//
// One caller stops a queue, and its timeout may be over before the worker has left; another caller shuts the queue
// down meanwhile, or only pushes. The worker is joined once, and the drop is destroyed once, by the worker or a
// caller.
#include "model_lib.h"

namespace
{

enum { STOPPER, OTHER, WORKER, THREADS };

struct stopped : rl::test_suite<stopped, THREADS> {
	struct parameter {
		bool is_shut_down; // by the other caller; if not, that one pushes
		uint64_t timeout_ns;
	};
	inline static parameter given;

	library_model model{2, false, false};
	model_thread thread_of_worker;
	object dropped;
	rl::atomic<int> has_stopped;

	void before()
	{
		has_stopped.store(0, rl::mo_relaxed, $);
		model.attach();
		thread_of_worker.create(worker, &model.queue);
		if (given.is_shut_down)
			RL_ASSERT(!model_push(&model.queue, &dropped, 1));
	}

	void shut_down()
	{
		RL_ASSERT(!defer_drop_queue_shutdown(&model.queue, DEFER_DROP_FOREVER));
		RL_ASSERT(dropped.destroyed($) == 1);
	}

	void stop()
	{
		int result = defer_drop_queue_stop(&model.queue, given.timeout_ns);

		RL_ASSERT(!result || (result == -ESHUTDOWN && given.is_shut_down) ||
			  (result == -ETIMEDOUT && given.timeout_ns != DEFER_DROP_FOREVER));
		if (!given.is_shut_down) {
			RL_ASSERT(thread_of_worker.joins == !result);
			RL_ASSERT(dd_queue_state(&model.queue) == (result ? DD_OPEN : DD_STOPPED));
		}
		has_stopped.store(1, rl::mo_release, $);
	}

	void thread(unsigned index)
	{
		if (index == WORKER)
			return thread_of_worker.live();
		if (index == STOPPER)
			return stop();
		if (!given.is_shut_down) {
			RL_ASSERT(!model_push(&model.queue, &dropped, 1));
			while (!has_stopped.load(rl::mo_acquire, $))
				model_yield();
		}
		shut_down();
	}

	void after()
	{
		RL_ASSERT(thread_of_worker.creations == 1 && thread_of_worker.joins == 1);
		RL_ASSERT(dd_queue_state(&model.queue) == DD_JOINED);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<stopped>({true, 5}, 1, 20000) &&
		 explore<stopped>({true, DEFER_DROP_FOREVER}, 1, 20000) &&
		 explore<stopped>({false, 5}, 1, 20000) &&
		 explore<stopped>({false, DEFER_DROP_FOREVER}, 1, 20000));
}
