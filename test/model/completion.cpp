// SPDX-License-Identifier: MIT
//
// The consumer counts the drops of a completion that it has destroyed, and a push that fails counts the drops
// that it did not push: exactly one of the two ends the completion. A thread that learns of the end, by looking,
// sleeping or the eventfd, sees what the destructors did and the first status that was not 0, and may free the
// completion or use it again.
#include "model_lib.h"

namespace
{

enum { FAILED = -5, FAILED_AGAIN = -9, ASKED = 3, PUSHED = 2 };

// Drops with one completion, from their push to their end.
struct completing {
	model_rest rest;
	queue_model model;
	dd_completion *completion;
	rl::atomic<int> pushed;
	rl::var<int> destroyed[PUSHED];

	void make(bool has_eventfd)
	{
		model_forget_sleepers();
		completion = new dd_completion;
		completion->queue = &model.queue;
		completion->eventfd = has_eventfd ? 1 : -1;
		completion->state.store(DD_COMPLETION_UNUSED, rl::mo_relaxed, $);
		pushed.store(0, rl::mo_relaxed, $);
		for (auto &drop : destroyed)
			drop($) = 0;
	}

	// Pushes as push_many in options.c does; the last drop is refused.
	void push()
	{
		RL_ASSERT(dd_completion_begin(completion, ASKED + 1));
		for (int i = 1; i <= PUSHED; i++)
			pushed.store(i, rl::mo_release, $);
		dd_completion_finish(completion, ASKED - PUSHED + 1);
	}

	void destroy(int drop, int status)
	{
		while (pushed.load(rl::mo_acquire, $) <= drop)
			model_yield();
		destroyed[drop]($) = 1;
		dd_completion_note(completion, status, 0);
		dd_completion_finish(completion, 1);
	}

	void consume()
	{
		destroy(0, FAILED);
		destroy(1, FAILED_AGAIN);
	}

	void wait()
	{
		sleep_until_over(completion, false, DEFER_DROP_FOREVER);
		RL_ASSERT(dd_completion_look(completion) == DD_COMPLETION_OVER);
	}

	void check(int status)
	{
		RL_ASSERT(dd_plain_load(&completion->status) == status);
		RL_ASSERT(destroyed[0]($) == 1 && destroyed[1]($) == 1);
	}

	void check_and_free()
	{
		check(FAILED);
		dd_plain_store(&completion->status, 0);
		delete completion;
	}
};

// The thread that pushed looks until the completion is over.
struct looked_at : rl::test_suite<looked_at, 2> {
	completing drops;

	void before()
	{
		drops.make(false);
	}

	void thread(unsigned index)
	{
		if (index)
			return drops.consume();
		drops.push();
		while (dd_completion_look(drops.completion) != DD_COMPLETION_OVER)
			model_yield();
		drops.check_and_free();
	}
};

// Another thread reads the eventfd; the wait that follows is short.
struct heard_of : rl::test_suite<heard_of, 3> {
	completing drops;

	void before()
	{
		drops.make(true);
	}

	void hear()
	{
		while (!drops.rest.signalled.load(rl::mo_acquire, $))
			model_yield();
		RL_ASSERT(dd_completion_look(drops.completion) != DD_COMPLETION_PENDING);
		drops.wait();
		drops.check_and_free();
	}

	void thread(unsigned index)
	{
		if (index == 0)
			drops.push();
		else if (index == 1)
			drops.consume();
		else
			hear();
	}
};

// Two threads, one of which pushed, sleep until the completion is over.
struct waited_for : rl::test_suite<waited_for, 3> {
	completing drops;

	void before()
	{
		drops.make(true);
	}

	void thread(unsigned index)
	{
		if (index == 0)
			return drops.consume();
		if (index == 1)
			drops.push();
		while (!drops.pushed.load(rl::mo_acquire, $))
			model_yield();
		drops.wait();
		drops.check(FAILED);
	}

	void after()
	{
		delete drops.completion;
	}
};

// A push uses the completion again without looking first.
struct used_again : rl::test_suite<used_again, 2> {
	completing drops;

	void before()
	{
		drops.make(false);
	}

	void push()
	{
		for (int i = 1; i <= PUSHED; i++) {
			while (!dd_completion_begin(drops.completion, 1))
				model_yield();
			drops.pushed.store(i, rl::mo_release, $);
		}
		drops.wait();
		drops.check(FAILED_AGAIN);
		delete drops.completion;
	}

	void thread(unsigned index)
	{
		index ? drops.consume() : push();
	}
};

// Two pushes that are refused use the same completion.
struct refused : rl::test_suite<refused, 2> {
	completing drops;

	void before()
	{
		drops.make(false);
	}

	void thread(unsigned)
	{
		if (dd_completion_begin(drops.completion, 1))
			dd_completion_cancel(drops.completion);
	}

	void after()
	{
		RL_ASSERT(dd_completion_look(drops.completion) == DD_COMPLETION_UNUSED);
		delete drops.completion;
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<looked_at>(4, 20000) && explore<heard_of>(2, 20000) &&
		 explore<waited_for>(0, 20000) && explore<used_again>(3, 20000) &&
		 explore<refused>(4, 20000));
}
