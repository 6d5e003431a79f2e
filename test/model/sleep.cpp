// SPDX-License-Identifier: MIT
//
// The consumer goes to deep sleep while a producer pushes, with membarrier and without: the drop is destroyed,
// however late. It sleeps while another thread makes a wish and rings: it sees the wish, even if a third thread
// is stopped in the middle of ringing. The first pushes find no worker, and it cannot be started at once: one of
// them starts it in the end, and all drops are destroyed.
#include "model_lib.h"

namespace
{

struct pushed_to : rl::test_suite<pushed_to, 2> {
	struct parameter {
		bool is_shared;
		bool is_fenced;
	};
	inline static parameter given;

	library_model model{2, given.is_shared, given.is_fenced};
	object dropped;

	void before()
	{
		model.attach();
	}

	// Drains as drain_until_closed in worker.c does, without its pauses.
	void consume()
	{
		struct rest resting = {};

		while (!dd_worker_round(&model.queue, UINT64_MAX, DEFER_DROP_FOREVER))
			take_rest(&model.queue, &resting, 0);
	}

	void thread(unsigned index)
	{
		if (index)
			consume();
		else
			RL_ASSERT(!model_push(&model.queue, &dropped, 1));
	}
};

enum { CONSUMER, WISHER, STOPPED };

template <int THREADS> struct rung_for : rl::test_suite<rung_for<THREADS>, THREADS> {
	library_model model{2, false, false};
	rl::atomic<int> wish;

	void before()
	{
		wish($).store(0, rl::mo_relaxed);
	}

	void want()
	{
		wish($).store(1, rl::mo_relaxed);
		dd_bell_ring(&model.queue.park.bell);
	}

	void consume()
	{
		struct rest resting = {};

		while (!wish($).load(rl::mo_relaxed))
			take_rest(&model.queue, &resting, 0);
	}

	// Rings as dd_bell_ring does, up to its system call.
	void stop()
	{
		model.queue.park.bell.fetch_or(DD_BELL_RUNG, rl::mo_acq_rel, $);
	}

	void thread(unsigned index)
	{
		if (index == CONSUMER)
			consume();
		else if (index == WISHER)
			want();
		else
			stop();
	}
};

// Two producers push twice each. The first try to start the worker fails, the second succeeds.
struct started : rl::test_suite<started, 3> {
	enum { PRODUCERS = 2, DROPS = 2, CAPACITY = 4 };
	using parameter = bool;
	inline static parameter given; // the queue is fenced

	library_model model{CAPACITY, true, given};
	model_thread worker;
	object objects[PRODUCERS][DROPS];

	void before()
	{
		model.attach();
		model.queue.has_thread.store(false, rl::mo_relaxed, $);
		model.queue.park.attention.fetch_or(DD_ASLEEP, rl::mo_relaxed, $);
		worker.refusals = 2; // a try is two calls: as configured, then without
	}

	// Polls its position: a wait would wake the worker.
	void produce(unsigned producer)
	{
		for (object &dropped : objects[producer])
			RL_ASSERT(!model_push(&model.queue, &dropped, 1));
		while (!dd_ring_is_past(
			&model.queue.shared.ring, dd_ring_first(CAPACITY) + CAPACITY))
			model_yield();
		if (producer)
			return;
		dd_queue_set_state(&model.queue, DD_CLOSING);
		dd_bell_ring(&model.queue.park.bell);
	}

	void thread(unsigned index)
	{
		if (index == PRODUCERS)
			worker.live();
		else
			produce(index);
	}

	void after()
	{
		RL_ASSERT(worker.creations == 1);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<pushed_to>({false, false}, 2, 20000) &&
		 explore<pushed_to>({false, true}, 2, 20000) &&
		 explore<pushed_to>({true, false}, 2, 20000) &&
		 explore<pushed_to>({true, true}, 2, 20000) &&
		 explore<rung_for<STOPPED>>(4, 20000) && explore<rung_for<STOPPED + 1>>(2, 20000) &&
		 explore_randomly<started>(false, 20000) && explore_randomly<started>(true, 20000));
}
