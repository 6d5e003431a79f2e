// SPDX-License-Identifier: MIT
//
// The consumer closes the queue while two producers push; whoever is told that its drop was accepted
// finds it destroyed, whoever is told otherwise still has it. With membarrier, and without.
#include "model.h"

namespace
{

enum { PRODUCERS = 2, DROPS = 2 };

template <bool IS_SHARED, uint32_t ATTENTION>
struct closing : rl::test_suite<closing<IS_SHARED, ATTENTION>, PRODUCERS + 1> {
	ring_model<2, IS_SHARED> model{ATTENTION};
	object objects[PRODUCERS][DROPS];
	bool is_accepted[PRODUCERS][DROPS] = {};

	bool is_closed()
	{
		return atomic_load_explicit(&model.park.attention, memory_order_relaxed) & DD_CLOSED;
	}

	// What queue.c does in push_owned and push_shared. False: refused.
	bool claim(uint64_t *at)
	{
		dd_ring *ring = &model.ring;

		if (is_closed())
			return false;
		if (IS_SHARED)
			return dd_ring_claim_try(ring, 1, at) && !is_closed();
		*at = dd_ring_own_tail(ring);
		return !dd_ring_is_at_limit(ring, *at) ||
		       dd_ring_room_owned(ring, *at) < dd_ring_capacity(ring);
	}

	bool push(object *dropped)
	{
		dd_ring *ring = &model.ring;
		uint64_t at;

		dropped->made($) = 1;
		if (!claim(&at))
			return false;
		dd_ring_publish(ring, at, dropped, destroy_object);
		if (dd_heed(&model.park.attention) &&
			(dd_settle(&model.park.attention) & DD_CLOSED) &&
			dd_ring_retract(ring, at, destroy_object)) {
			if (!IS_SHARED)
				dd_ring_withdraw(ring);
			return false;
		}
		if (!IS_SHARED)
			dd_ring_advance(ring, at + 1);
		return true;
	}

	void produce(unsigned producer)
	{
		for (int i = 0; i < DROPS; i++)
			is_accepted[producer][i] = push(&objects[producer][i]);
	}

	// What worker.c does: a turn, and then the end.
	void consume()
	{
		dd_ring *ring = &model.ring;
		dd_drop drop;

		if (dd_ring_take(ring, &drop)) {
			run(drop);
			dd_ring_done(ring);
		}
		dd_ring_contest(ring);
		dd_announce(&model.park.attention, DD_CLOSED);
		for (int i = 0; i < 2; i++) {
			if (!dd_ring_take_contested(ring, &drop))
				continue;
			run(drop);
			dd_ring_done(ring);
		}
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
	return !(explore<closing<false, 0>>(2, 20000) &&
		 explore<closing<false, DD_FENCED>>(2, 20000) &&
		 explore<closing<true, 0>>(2, 50000) &&
		 explore<closing<true, DD_FENCED>>(2, 50000));
}
