// SPDX-License-Identifier: MIT
//
// The consumer closes the queue while two producers push, drops with options among them; whoever is told
// that its drop was accepted finds it destroyed, whoever is told otherwise still has it. With membarrier,
// and without.
#include "model.h"

namespace
{

enum { PRODUCERS = 2, DROPS = 2 };

template <bool IS_SHARED, uint32_t ATTENTION, unsigned PAIRS>
struct closing : rl::test_suite<closing<IS_SHARED, ATTENTION, PAIRS>, PRODUCERS + 1> {
	ring_model<2, IS_SHARED> model{ATTENTION};
	object objects[PRODUCERS][DROPS];
	bool is_accepted[PRODUCERS][DROPS] = {};

	bool is_closed()
	{
		return atomic_load_explicit(&model.park.attention, memory_order_relaxed) & DD_CLOSED;
	}

	// What push.c does in push_owned and push_shared. False: refused.
	bool claim(uint64_t width, uint64_t *at)
	{
		dd_ring *ring = &model.ring;

		if (is_closed())
			return false;
		if (IS_SHARED)
			return dd_ring_claim_try(ring, width, at) && !is_closed();
		*at = dd_ring_own_tail(ring);
		return !dd_ring_is_beyond_limit(ring, *at + width - 1) ||
		       dd_ring_room_owned(ring, *at + width - 1) < dd_ring_capacity(ring);
	}

	bool push(object *dropped, uint64_t width)
	{
		dd_ring *ring = &model.ring;
		defer_drop_fn word = width == 1 ? destroy_object : options_word();
		uint64_t at;

		dropped->made($) = 1;
		if (!claim(width, &at))
			return false;
		publish(ring, at, dropped, width);
		if (dd_heed(&model.park.attention) &&
			(dd_settle(&model.park.attention) & DD_CLOSED) &&
			dd_ring_retract(ring, at, word)) {
			if (!IS_SHARED)
				dd_ring_withdraw(ring);
			return false;
		}
		if (!IS_SHARED)
			dd_ring_advance(ring, at + width);
		return true;
	}

	void produce(unsigned producer)
	{
		for (int i = 0; i < DROPS; i++)
			is_accepted[producer][i] = push(&objects[producer][i],
				width_of(PAIRS, int(producer) * DROPS + i));
	}

	// What worker.c and run.c do: a turn, and then the end.
	void consume()
	{
		dd_ring *ring = &model.ring;
		dd_drop taken;

		if (dd_ring_take(ring, &taken))
			run(ring, taken);
		dd_ring_contest(ring);
		dd_announce(&model.park.attention, DD_CLOSED);
		for (uint64_t end = ring->cursor($) + 2; dd_is_before(ring->cursor($), end);)
			if (dd_ring_take_contested(ring, &taken))
				run(ring, taken);
	}

	void thread(unsigned index)
	{
		if (index == PRODUCERS)
			consume();
		else if (IS_SHARED || !index)
			produce(index);
	}

	void after()
	{
		for (int i = 0; i < PRODUCERS; i++)
			for (int j = 0; j < DROPS; j++)
				RL_ASSERT(objects[i][j].destroyed($) == is_accepted[i][j]);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<closing<false, 0, 0>>(2, 20000) &&
		 explore<closing<false, DD_FENCED, 0>>(2, 20000) &&
		 explore<closing<true, 0, 0>>(2, 50000) &&
		 explore<closing<true, DD_FENCED, 0>>(2, 50000) &&
		 explore<closing<false, 0, 2>>(2, 20000) &&
		 explore<closing<false, DD_FENCED, 1>>(2, 20000) &&
		 explore<closing<true, 0, 6>>(2, 50000) &&
		 explore<closing<true, DD_FENCED, 9>>(1, 50000));
}
