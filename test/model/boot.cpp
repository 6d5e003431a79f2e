// SPDX-License-Identifier: MIT
//
// A thread starts a worker that cannot be had as it is wanted, and then others: it hears of each how that
// one came up.
#include "model.h"

#include "boot.h"

namespace
{

enum { NOT_YET = 1, FAILED = -5, FAILED_AGAIN = -9 };

struct booting : rl::test_suite<booting, 2> {
	dd_boot boot{};
	rl::atomic<int> started;

	void before()
	{
		model_forget_sleepers();
		started.store(NOT_YET, rl::mo_relaxed, $);
	}

	// What pthread_create orders, the thread and its start, is ordered here too.
	void start(int result)
	{
		dd_boot_begin(&boot);
		started.store(result, rl::mo_release, $);
		RL_ASSERT(dd_boot_await(&boot) == result);
	}

	void report(int result)
	{
		while (started.load(rl::mo_acquire, $) != result)
			model_yield();
		dd_boot_report(&boot, result);
	}

	void thread(unsigned index)
	{
		for (int result : {int(FAILED), 0, int(FAILED_AGAIN)})
			index ? report(result) : start(result);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<booting>(2, 20000);
}
