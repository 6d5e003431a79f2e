// SPDX-License-Identifier: MIT
//
// Callers drain a queue without a worker, each until its own wait is over: for its position, its completion, or
// a small backlog. What one caller leaves, another destroys, and no caller waits for ever.
#include "model_lib.h"

namespace
{

enum { POSITION, COMPLETION, BACKLOG, WAYS };

enum { CALLERS = 2, CAPACITY = 4 };

struct draining : rl::test_suite<draining, CALLERS> {
	using parameter = std::array<int, CALLERS>;
	inline static parameter given; // what each waits for

	library_model model{CAPACITY, true, false};
	object objects[CALLERS];
	dd_completion completions[CALLERS]{};

	void before()
	{
		model.attach();
		model.queue.has_thread.store(false, rl::mo_relaxed, $);
		model.queue.config.values.runner = DEFER_DROP_RUNNER_CALLER;
		for (dd_completion &each : completions)
			each.eventfd = -1;
	}

	int wait(unsigned index, const defer_drop_ticket &ticket)
	{
		if (given[index] == POSITION)
			return defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER);
		if (given[index] == BACKLOG)
			return defer_drop_queue_wait_backlog(
				&model.queue, 0, UINT64_MAX, DEFER_DROP_FOREVER);
		return defer_drop_completion_wait(
			reinterpret_cast<defer_drop_completion *>(&completions[index]),
			DEFER_DROP_FOREVER, nullptr);
	}

	void thread(unsigned index)
	{
		defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
		defer_drop_ticket ticket;

		objects[index].made($) = 1;
		options.ticket = &ticket;
		if (given[index] == COMPLETION)
			options.completion =
				reinterpret_cast<defer_drop_completion *>(&completions[index]);
		RL_ASSERT(!defer_drop_queue_push_with(&model.queue, &objects[index], destroy_object,
			DEFER_DROP_FOREVER, &options));
		RL_ASSERT(!wait(index, ticket));
		if (given[index] != BACKLOG) /* waiting for the backlog orders nothing */
			RL_ASSERT(objects[index].destroyed($) == 1);
	}

	void after()
	{
		for (object &dropped : objects)
			RL_ASSERT(dropped.destroyed($) == 1);
		RL_ASSERT(!model.queue.completion_waiters.first && !model.queue.watch.list.first);
		RL_ASSERT(!model.queue.shared.waiters.first);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	for (int one = 0; one < WAYS; one++)
		for (int other = one; other < WAYS; other++)
			if (!explore<draining>({one, other}, 1, 5000))
				return 1;
	return 0;
}
