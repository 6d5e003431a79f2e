// SPDX-License-Identifier: MIT
//
// A thread drains a queue whenever its eventfd is signalled, and at no other time. Another thread drains once, at
// any time, and may hold the seat then. Still all drops are destroyed.
#include "model_lib.h"

namespace
{

enum { PRODUCER, DRAINER, OTHER, THREADS };

enum { DROPS = 2, CAPACITY = 2, EVENTFD = 1 };

struct told : rl::test_suite<told, THREADS> {
	struct parameter {
		bool is_shared;
		bool is_fenced;
	};
	inline static parameter given;

	library_model model{CAPACITY, given.is_shared, given.is_fenced};
	object objects[DROPS];
	rl::atomic<int> all; // drops that were destroyed

	void before()
	{
		all.store(0, rl::mo_relaxed, $);
		model.attach();
		model.queue.has_thread.store(false, rl::mo_relaxed, $);
		model.queue.config.values.runner = DEFER_DROP_RUNNER_DRAINER;
		model.queue.config.values.pending_eventfd = EVENTFD;
		model.queue.park.attention.fetch_or(DD_ASLEEP, rl::mo_relaxed, $);
	}

	void produce()
	{
		for (object &dropped : objects)
			RL_ASSERT(!model_push(&model.queue, &dropped, 1));
	}

	void drain(uint64_t most)
	{
		uint64_t destroyed;
		int result =
			defer_drop_queue_drain(&model.queue, most, DEFER_DROP_FOREVER, &destroyed);

		RL_ASSERT(!result || result == -EBUSY);
		all.fetch_add(int(destroyed), rl::mo_relaxed, $);
	}

	void drain_when_told()
	{
		while (all.load(rl::mo_relaxed, $) < DROPS) {
			while (!model.signalled.exchange(0, rl::mo_acq_rel, $)) {
				if (all.load(rl::mo_relaxed, $) == DROPS)
					return;
				model_yield();
			}
			drain(1 + rl::rand(2));
		}
	}

	void thread(unsigned index)
	{
		if (index == PRODUCER)
			produce();
		else if (index == DRAINER)
			drain_when_told();
		else
			drain(1);
	}

	void after()
	{
		for (object &dropped : objects)
			RL_ASSERT(dropped.destroyed($) == 1);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<told>({false, false}, 1, 20000) &&
		 explore<told>({false, true}, 1, 20000) && explore<told>({true, false}, 1, 20000) &&
		 explore<told>({true, true}, 1, 20000));
}
