// SPDX-License-Identifier: MIT
//
// A queue is given up while a destructor runs. Threads that wait for a later drop, by its position or its
// completion, return with -ECANCELED. When the destructor has returned after all, the later drop is abandoned,
// and its position and its completion say so.
#include "model_lib.h"

namespace
{

enum { CLOSER, POSITION, COMPLETION, THREADS };

struct given_up : rl::test_suite<given_up, THREADS> {
	using parameter = bool;
	inline static parameter given; // the queue is fenced

	library_model model{2, false, given};
	dd_completion completion{};
	object dropped;
	rl::atomic<int> heard; // threads whose wait has returned

	void before()
	{
		defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		heard.store(0, rl::mo_relaxed, $);
		completion.eventfd = -1;
		model.attach();
		options.completion = reinterpret_cast<defer_drop_completion *>(&completion);
		dropped.made($) = 1;
		RL_ASSERT(!defer_drop_queue_push_with(
			&model.queue, &dropped, destroy_object, DEFER_DROP_FOREVER, &options));
	}

	// The destructor returns when both waits have returned.
	void close()
	{
		RL_ASSERT(close_queue(&model.queue, 1, 1, false) == -ECANCELED);
		while (heard.load(rl::mo_relaxed, $) < THREADS - 1)
			model_yield();
		dd_worker_finish(&model.queue);
	}

	void wait(unsigned index)
	{
		auto *asked = reinterpret_cast<defer_drop_completion *>(&completion);
		uint64_t position = dd_ring_tail(&model.queue.shared.ring);
		int result =
			index == POSITION
				? dd_wait(&model.queue.shared, position, DEFER_DROP_FOREVER)
				: defer_drop_completion_wait(asked, DEFER_DROP_FOREVER, nullptr);

		RL_ASSERT(result == -ECANCELED);
		heard.fetch_add(1, rl::mo_relaxed, $);
	}

	void thread(unsigned index)
	{
		index == CLOSER ? close() : wait(index);
	}

	void after()
	{
		RL_ASSERT(!model.queue.completion_waiters.first);
		RL_ASSERT(!model.queue.shared.waiters.first);
		RL_ASSERT(dd_completion_look(&completion) == DD_COMPLETION_OVER);
		RL_ASSERT(dd_plain_load(&completion.outcome) == -ESHUTDOWN);
		RL_ASSERT(dd_queue_state(&model.queue) == DD_FINISHED);
		RL_ASSERT(!dropped.destroyed($));
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<given_up>(false, 1, 20000) && explore<given_up>(true, 1, 20000));
}
