// SPDX-License-Identifier: MIT
//
// The consumer marks a lane and passes its marks, while a thread reads how long the oldest drop waits: at the moment
// at which it reads how much is destroyed, the drop that follows was pushed between the two times that it finds.
#include "model_queue.h"

namespace
{

// When the drop at each position is pushed.
const uint64_t pushed_ns[] = {11, 21, 31, 51};

struct aged : rl::test_suite<aged, 2> {
	dd_age age;
	dd_ages ages;
	rl::atomic<uint64_t> head;

	void before()
	{
		age.count = age.first = 0;
		head.store(0, rl::mo_relaxed, $);
		dd_ages_look(&ages, 10);
	}

	void look(uint64_t tail, uint64_t now_ns)
	{
		dd_age_mark(&age, head.load(rl::mo_relaxed, $), tail, dd_ages_since(&ages), now_ns);
		dd_ages_look(&ages, now_ns);
	}

	void destroy_before(uint64_t position)
	{
		head.store(position, rl::mo_release, $);
		RL_ASSERT(dd_age_is_due(&age, position));
		age.from = position;
		dd_age_pass(&age);
	}

	void consume()
	{
		look(1, 20);
		look(2, 30);
		destroy_before(1);
		destroy_before(2);
		RL_ASSERT(!age.count);
		look(3, 40);
		destroy_before(3);
		dd_ages_look(&ages, 50);
	}

	void read()
	{
		uint64_t after_ns = dd_age_after(&age, dd_ages_since(&ages));
		uint64_t done = head.load(rl::mo_acquire, $);
		uint64_t before_ns = dd_age_before(&age, done);

		RL_ASSERT(after_ns < pushed_ns[done]);
		RL_ASSERT(!before_ns || pushed_ns[done] < before_ns);
	}

	void thread(unsigned index)
	{
		if (!index)
			consume();
		else
			for (int i = 0; i < 2; i++)
				read();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<aged>(3, 20000);
}
