// SPDX-License-Identifier: MIT
//
// Pushes take bytes from the budget or wait for them in line, with a deadline and without; the consumer gives
// bytes back. No more than the budget is held, except by one drop alone. No push waits for ever, not even if
// the consumer finishes meanwhile.
#include "model_lib.h"

namespace
{

enum { SMALL = 1, LARGE = 2, BUDGET = 2, HUGE = 3 };

struct budgeted {
	library_model model{2, true, true};
	defer_drop_queue &queue = model.queue;
	uint64_t held = 0; // at most the bytes that are pending
	unsigned holders = 0;

	budgeted()
	{
		queue.budget.max_bytes.store(BUDGET, rl::mo_relaxed, $);
		model.attach();
	}

	bool take(uint64_t bytes, uint64_t deadline_ns)
	{
		if (take_bytes(&queue, bytes, false, deadline_ns))
			return false;
		held += bytes;
		holders++;
		RL_ASSERT(held <= BUDGET || holders == 1);
		return true;
	}

	void give(uint64_t bytes)
	{
		dd_current current = {};

		held -= bytes;
		holders--;
		current.options.word = DD_OPTIONS | bytes;
		settle(&queue, &current, 0);
	}

	void take_and_give(uint64_t bytes, uint64_t deadline_ns)
	{
		bool is_taken = take(bytes, deadline_ns);

		RL_ASSERT(is_taken || deadline_ns != DEFER_DROP_FOREVER);
		if (is_taken)
			give(bytes);
	}

	void finish()
	{
		dd_queue_set_state(&queue, DD_CLOSING);
		dd_worker_finish(&queue);
	}
};

// Each push gets the bytes that it asks for; the second has a deadline, and may get none.
struct contended : rl::test_suite<contended, 3> {
	using parameter = std::array<uint64_t, 3>;
	inline static parameter given; // bytes

	budgeted budget;

	void thread(unsigned index)
	{
		budget.take_and_give(given[index], index == 1 ? NOT_LONG : DEFER_DROP_FOREVER);
	}

	void after()
	{
		RL_ASSERT(!budget.queue.budget.pending_bytes.load(rl::mo_relaxed, $));
		RL_ASSERT(!budget.queue.budget.line.first);
	}
};

// No bytes are given back. A push that does not fit leaves the line, and the push behind it, which needs less,
// gets its bytes.
struct left : rl::test_suite<left, 2> {
	budgeted budget;

	void before()
	{
		RL_ASSERT(budget.take(SMALL, DEFER_DROP_FOREVER));
	}

	void thread(unsigned index)
	{
		if (index)
			RL_ASSERT(budget.take(SMALL, DEFER_DROP_FOREVER));
		else
			budget.take_and_give(LARGE, NOT_LONG);
	}
};

// The consumer finishes and gives nothing back: pushes that wait are refused.
struct finished : rl::test_suite<finished, 3> {
	budgeted budget;

	void before()
	{
		RL_ASSERT(budget.take(BUDGET, DEFER_DROP_FOREVER));
	}

	void thread(unsigned index)
	{
		if (index == 2)
			budget.finish();
		else
			RL_ASSERT(!budget.take(SMALL, index ? NOT_LONG : DEFER_DROP_FOREVER));
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<contended>({LARGE, SMALL, LARGE}, 1, 20000) &&
		 explore<contended>({HUGE, LARGE, SMALL}, 1, 20000) && explore<left>(4, 20000) &&
		 explore<finished>(2, 20000));
}
