// SPDX-License-Identifier: MIT
//
// Two callers shut a queue down, one at once and one with a deadline that has come. The worker knows the deadline
// when it sees that the queue closes, and is joined once; without a worker, a caller finishes the queue. A caller
// that has given the queue up asks again. Both get the final counters, and see what was destroyed.
#include "model_lib.h"

namespace
{

enum { CALLERS = 2 };

void destroy_in_time(void *dropped)
{
	RL_ASSERT(!dd_is_closed(model_rest::the_one->the_queue));
	destroy_object(dropped);
}

struct ending : rl::test_suite<ending, CALLERS + 1> {
	using parameter = bool;
	inline static parameter given; // the queue has a worker

	library_model model{2, false, false};
	model_thread thread_of_worker;
	object dropped;

	void before()
	{
		model.attach();
		dropped.made($) = 1;
		RL_ASSERT(!defer_drop_queue_push(
			&model.queue, &dropped, destroy_in_time, DEFER_DROP_FOREVER));
		model.queue.has_thread.store(given, rl::mo_relaxed, $);
		if (given)
			thread_of_worker.create(worker, &model.queue);
		else
			thread_of_worker.give_up();
	}

	void shut(unsigned index)
	{
		defer_drop_stats stats = DEFER_DROP_STATS_INIT;
		int result = defer_drop_queue_shutdown(&model.queue, index ? 0 : 5);

		RL_ASSERT(!result || result == -ECANCELED || (!index && result == -ETIMEDOUT));
		if (result == -ECANCELED)
			RL_ASSERT(!defer_drop_queue_shutdown(&model.queue, DEFER_DROP_FOREVER));
		dd_stats_get(&model.queue, &stats);
		RL_ASSERT(stats.destroyed_total == uint64_t(dropped.destroyed($)));
		RL_ASSERT(stats.destroyed_total + stats.abandoned_total == 1);
		if (result != -ECANCELED && !index)
			RL_ASSERT(result == (stats.abandoned_total ? -ETIMEDOUT : 0));
	}

	void thread(unsigned index)
	{
		index < CALLERS ? shut(index) : thread_of_worker.live();
	}

	void after()
	{
		RL_ASSERT(thread_of_worker.joins == given);
		RL_ASSERT(!dd_read(&model.queue.drain_until_ns));
		RL_ASSERT(dd_queue_state(&model.queue) == DD_JOINED);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<ending>(false, 1, 20000) && explore<ending>(true, 0, 50000));
}
