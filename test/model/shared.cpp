// SPDX-License-Identifier: MIT
//
// Two or three producers push to one ring; some drops have options. One producer claims and then waits for room,
// the others claim only if there is room. The consumer destroys all drops, those of each producer in its order.
#include "model.h"

namespace
{

enum { DROPS = 2 };

template <int PRODUCERS> struct shared : rl::test_suite<shared<PRODUCERS>, PRODUCERS + 1> {
	struct parameter {
		uint64_t capacity;
		unsigned pairs;
	};
	inline static parameter given;

	ring_model model{given.capacity, true};
	object objects[PRODUCERS][DROPS];

	uint64_t claim(unsigned producer, uint64_t width)
	{
		dd_ring *ring = &model.ring;
		uint64_t at;

		if (producer) {
			while (!dd_ring_claim_try(ring, width, &at))
				model_yield();
			return at;
		}
		at = dd_ring_claim(ring, width);
		while (!dd_ring_has_room(ring, at + width - 1))
			model_yield();
		return at;
	}

	void produce(unsigned producer)
	{
		for (int i = 0; i < DROPS; i++) {
			uint64_t width = width_of(given.pairs, int(producer) * DROPS + i);
			uint64_t at = claim(producer, width);

			// Slots that are filled lie before the limit, so that a forked child knows them.
			RL_ASSERT(dd_is_before(
				at + width - 1, model.ring.limit.load(rl::mo_relaxed, $)));
			objects[producer][i].made($) = 1;
			publish(&model.ring, at, &objects[producer][i], width);
		}
	}

	void consume()
	{
		int seen[PRODUCERS] = {};
		dd_drop taken;

		for (int i = 0; i < PRODUCERS * DROPS; i++) {
			while (!dd_ring_take(&model.ring, &taken))
				model_yield();
			object *dropped = run(&model.ring, taken);
			long producer = (dropped - &objects[0][0]) / DROPS;

			RL_ASSERT(dropped == &objects[producer][seen[producer]]);
			seen[producer]++;
		}
	}

	void thread(unsigned index)
	{
		if (int(index) < PRODUCERS)
			produce(index);
		else
			consume();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<shared<2>>({2, 0}, 1, 50000) && explore<shared<2>>({2, 9}, 1, 50000) &&
		 explore<shared<2>>({4, 6}, 1, 50000) && explore<shared<2>>({4, 13}, 1, 50000) &&
		 explore_randomly<shared<3>>({2, 8}, 50000) &&
		 explore_randomly<shared<3>>({4, 37}, 50000));
}
