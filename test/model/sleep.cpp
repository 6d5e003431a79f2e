// SPDX-License-Identifier: MIT
//
// The consumer goes to sleep for good while a producer pushes, with membarrier and without: the drop is
// destroyed, however late. And while another thread has a wish and rings: the wish is seen, also where a third
// one is stopped while it rings.
#include "model.h"

namespace
{

// What worker.c does in deep_sleep.
template <typename ring_model> void deep_sleep(ring_model &model)
{
	dd_announce(&model.park.attention, DD_ASLEEP);
	if (!dd_ring_is_published(&model.ring))
		dd_bell_rest(&model.park.bell, DEFER_DROP_FOREVER);
	dd_rouse(&model.park.attention);
}

template <uint32_t ATTENTION> struct pushed_to : rl::test_suite<pushed_to<ATTENTION>, 2> {
	ring_model<2, false> model{ATTENTION};
	object dropped;

	// What push.c does in push_owned and settle.
	void produce()
	{
		dd_ring *ring = &model.ring;
		model_atomic<uint32_t> *attention = &model.park.attention;
		uint64_t at = dd_ring_own_tail(ring);

		dropped.made($) = 1;
		dd_ring_room_owned(ring, at);
		dd_ring_publish(ring, at, &dropped, destroy_object);
		if (dd_heed(attention) && (dd_settle(attention) & DD_ASLEEP) && dd_rouse(attention))
			dd_bell_ring(&model.park.bell);
		dd_ring_advance(ring, at + 1);
	}

	void consume()
	{
		dd_drop taken;

		while (!dd_ring_take(&model.ring, &taken))
			deep_sleep(model);
		run(&model.ring, taken);
	}

	void thread(unsigned index)
	{
		index ? consume() : produce();
	}
};

enum { CONSUMER, WISHER, STOPPED };

template <int THREADS> struct rung_for : rl::test_suite<rung_for<THREADS>, THREADS> {
	ring_model<2, false> model;
	rl::atomic<int> wish;

	void before()
	{
		wish($).store(0, rl::mo_relaxed);
	}

	void want()
	{
		wish($).store(1, rl::mo_relaxed);
		dd_bell_ring(&model.park.bell);
	}

	void consume()
	{
		while (!wish($).load(rl::mo_relaxed))
			deep_sleep(model);
	}

	// Comes as far as dd_bell_ring does before its system call, and no further.
	void stop()
	{
		model.park.bell.fetch_or(DD_BELL_RUNG, rl::mo_acq_rel, $);
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

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<pushed_to<0>>(4, 20000) && explore<pushed_to<DD_FENCED>>(4, 20000) &&
		 explore<rung_for<STOPPED>>(4, 20000) && explore<rung_for<STOPPED + 1>>(2, 20000));
}
