// SPDX-License-Identifier: MIT
//
// The consumer closes a ring while two producers push; some drops have options. In the end either the consumer
// or the producer of a drop has its object, even if another drop lies in its slot by then.
#include "model.h"

namespace
{

enum { PRODUCERS = 2, DROPS = 2 };

struct contested : rl::test_suite<contested, PRODUCERS + 1> {
	struct parameter {
		bool is_shared; // if not, there is only one producer
		unsigned pairs;
	};
	inline static parameter given;

	ring_model model{2, given.is_shared};
	model_offers<PRODUCERS, DROPS> offers;

	bool is_closed()
	{
		return atomic_load_explicit(&model.park.attention, memory_order_relaxed) &
		       DD_CLOSED;
	}

	// Claims as push_owned and push_shared in push.c do. False if the push is refused.
	bool claim(uint64_t width, uint64_t *at)
	{
		dd_ring *ring = &model.ring;

		if (is_closed())
			return false;
		if (given.is_shared)
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
			if (!given.is_shared)
				dd_ring_withdraw(ring);
			return false;
		}
		if (!given.is_shared)
			dd_ring_advance(ring, at + width);
		return true;
	}

	void produce(unsigned producer)
	{
		for (int i = 0; i < DROPS; i++)
			offers.is_accepted[producer][i] = push(&offers.objects[producer][i],
				width_of(given.pairs, int(producer) * DROPS + i));
	}

	// Takes a turn and finishes, as worker.c and run.c do.
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
		else if (given.is_shared || !index)
			produce(index);
	}

	void after()
	{
		offers.check();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<contested>({false, 0}, 2, 20000) &&
		 explore<contested>({true, 0}, 2, 50000) &&
		 explore<contested>({false, 3}, 2, 20000) &&
		 explore<contested>({true, 6}, 1, 50000) &&
		 explore<contested>({true, 9}, 1, 50000));
}
