// SPDX-License-Identifier: MIT
//
// A thread notes something down beside a sleeper and wakes it, once: the sleeper, which may have had
// enough of sleeping, wakes up, sees what was noted down, and may use its memory for something else.
#include "model.h"

#include "sleeper.h"

namespace
{

struct sleeping : rl::test_suite<sleeping, 2> {
	dd_sleeper sleeper{};
	rl::var<int> noted;

	void before()
	{
		model_forget_sleepers();
		noted($) = 0;
	}

	void thread(unsigned index)
	{
		if (index) {
			noted($) = 1;
			dd_sleeper_wake(&sleeper);
			return;
		}
		while (!dd_sleeper_is_woken(&sleeper))
			dd_sleeper_wait(&sleeper, DEFER_DROP_FOREVER);
		RL_ASSERT(noted($) == 1);
		noted($) = 2;
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<sleeping>(4, 20000);
}
