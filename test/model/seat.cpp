// SPDX-License-Identifier: MIT
//
// Three callers want the consumer's seat: the first waits for it without a deadline, the second until a deadline,
// the third takes it only if it is free. One caller at a time has the seat and sees what the one before did; no
// caller waits for ever.
#include "model.h"

#include "core/seat.h"

namespace
{

struct seated : rl::test_suite<seated, 3> {
	model_atomic<uint32_t> seat;
	rl::var<int> turns;
	int seen = 0;

	void before()
	{
		model_forget_sleepers();
		turns($) = 0;
	}

	void drain()
	{
		turns($) = turns($) + 1;
		seen++;
		RL_ASSERT(turns($) == seen);
		dd_seat_leave(&seat);
	}

	void thread(unsigned index)
	{
		if (index == 2 ? dd_seat_try(&seat)
			       : !dd_seat_take(&seat, index ? 0 : DEFER_DROP_FOREVER))
			drain();
		else
			RL_ASSERT(index);
	}
};

// All three wait without a deadline.
struct all_seated : rl::test_suite<all_seated, 3> {
	seated seats;

	void before()
	{
		seats.before();
	}

	void thread(unsigned)
	{
		RL_ASSERT(!dd_seat_take(&seats.seat, DEFER_DROP_FOREVER));
		seats.drain();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<seated>(3, 20000) && explore<all_seated>(2, 20000));
}
