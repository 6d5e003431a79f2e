// SPDX-License-Identifier: MIT
//
// The worker closes the queue while producers push and wait for room; some drops have options. A drop that was
// accepted is destroyed; a drop that was refused still belongs to its producer; no producer waits for ever. With
// membarrier, and without.
#include "model_lib.h"

namespace
{

enum { PRODUCERS = 2, DROPS = 2, CAPACITY = 2 };

struct closing : rl::test_suite<closing, PRODUCERS + 1> {
	struct parameter {
		bool is_shared; // if not, there is only one producer
		bool is_fenced;
		unsigned pairs;
	};
	inline static parameter given;

	library_model model{CAPACITY, given.is_shared, given.is_fenced};
	model_offers<PRODUCERS, DROPS> offers;

	void before()
	{
		model.attach();
	}

	void produce(unsigned producer)
	{
		for (int i = 0; i < DROPS; i++) {
			uint64_t width = width_of(given.pairs, int(producer) * DROPS + i);
			int result = model_push(&model.queue, &offers.objects[producer][i], width);

			RL_ASSERT(!result || result == -ESHUTDOWN);
			offers.is_accepted[producer][i] = !result;
		}
	}

	// Takes a turn and finishes, as worker.c does.
	void consume()
	{
		dd_run_turn(&model.queue.shared, 1, DEFER_DROP_FOREVER);
		dd_queue_set_state(&model.queue, DD_CLOSING);
		dd_worker_finish(&model.queue);
	}

	void thread(unsigned index)
	{
		if (index == PRODUCERS)
			consume();
		else if (given.is_shared || !index)
			produce(index);
	}

	void after()
	{
		offers.check();
		RL_ASSERT(!model.queue.shared.waiters.first);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<closing>({false, false, 0}, 2, 20000) &&
		 explore<closing>({false, true, 0}, 2, 20000) &&
		 explore<closing>({false, false, 2}, 1, 20000) &&
		 explore<closing>({false, true, 1}, 1, 20000) &&
		 explore<closing>({true, false, 0}, 0, 50000) &&
		 explore<closing>({true, true, 0}, 0, 50000) &&
		 explore<closing>({true, false, 6}, 0, 50000) &&
		 explore<closing>({true, true, 9}, 0, 50000));
}
