// SPDX-License-Identifier: MIT
//
// Two threads wait until little is pending, one without a deadline and one with, while the worker destroys and
// falls asleep. Each wait returns: because little is pending, because its deadline has come, or because the worker
// has finished.
#include "model_lib.h"

namespace
{

enum { CONSUMER, PATIENT, HASTY, THREADS };

enum { CAPACITY = 2 };

struct pending {
	library_model model{CAPACITY, false, false};
	object objects[CAPACITY];
	rl::atomic<int> ended; // waits that have returned

	void make()
	{
		ended.store(0, rl::mo_relaxed, $);
		model.attach();
		for (object &dropped : objects)
			RL_ASSERT(!model_push(&model.queue, &dropped, 1));
	}

	int wait(uint64_t max_drops, uint64_t timeout_ns)
	{
		return defer_drop_queue_wait_backlog(
			&model.queue, max_drops, UINT64_MAX, timeout_ns);
	}

	// Wakes the worker, so that it sees this: no other thread does.
	void end()
	{
		ended.fetch_add(1, rl::mo_relaxed, $);
		dd_bell_ring(&model.queue.park.bell);
	}

	void check_end()
	{
		RL_ASSERT(!model.queue.watch.list.first);
		RL_ASSERT(!dd_read_32(&model.queue.watchers));
	}
};

struct watched : rl::test_suite<watched, THREADS> {
	pending drops;

	void before()
	{
		drops.make();
	}

	// Drains as worker.c does, one drop at a time, without its pauses.
	void consume()
	{
		defer_drop_queue *queue = &drops.model.queue;
		struct rest resting = {};

		while (drops.ended.load(rl::mo_relaxed, $) < THREADS - 1)
			if (!dd_worker_round(queue, 1, DEFER_DROP_FOREVER))
				take_rest(queue, &resting, 0);
	}

	void wait(unsigned index)
	{
		int result = drops.wait(0, index == PATIENT ? DEFER_DROP_FOREVER : NOT_LONG);

		RL_ASSERT(!result || (index == HASTY && result == -ETIMEDOUT));
		drops.end();
	}

	void thread(unsigned index)
	{
		index == CONSUMER ? consume() : wait(index);
	}

	void after()
	{
		for (object &dropped : drops.objects)
			RL_ASSERT(dropped.destroyed($) == 1);
		drops.check_end();
	}
};

// The worker destroys one of the two drops and abandons the other: then, too, nothing is pending.
struct finished : rl::test_suite<finished, THREADS> {
	pending drops;

	void before()
	{
		drops.make();
	}

	void finish()
	{
		dd_worker_round(&drops.model.queue, 1, DEFER_DROP_FOREVER);
		drops.model.queue.drain_until_ns.store(0, rl::mo_relaxed, $);
		dd_queue_set_state(&drops.model.queue, DD_CLOSING);
		dd_worker_finish(&drops.model.queue);
	}

	void thread(unsigned index)
	{
		if (index == CONSUMER)
			return finish();
		int result = drops.wait(0, index == PATIENT ? DEFER_DROP_FOREVER : NOT_LONG);

		RL_ASSERT(!result || result == -ESHUTDOWN ||
			  (index == HASTY && result == -ETIMEDOUT));
	}

	void after()
	{
		drops.check_end();
	}
};

// The worker does nothing, and the deadlines of both threads come.
struct late : rl::test_suite<late, 2> {
	pending drops;

	void before()
	{
		drops.make();
	}

	void thread(unsigned)
	{
		RL_ASSERT(drops.wait(0, NOT_LONG) == -ETIMEDOUT);
	}

	void after()
	{
		drops.check_end();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<watched>(0, 50000) && explore<finished>(0, 50000) &&
		 explore<late>(2, 20000));
}
