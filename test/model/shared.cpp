// SPDX-License-Identifier: MIT
//
// Two producers push to one ring, one claiming and then waiting for room, the other claiming only where
// there is room; the consumer destroys all, those of each producer in its order.
#include "model.h"

namespace
{

enum { PRODUCERS = 2, DROPS = 2 };

struct shared : rl::test_suite<shared, PRODUCERS + 1> {
	ring_model<2, true> model;
	object objects[PRODUCERS][DROPS];

	uint64_t claim(unsigned producer)
	{
		dd_ring *ring = &model.ring;
		uint64_t at;

		if (producer) {
			while (!dd_ring_claim_try(ring, 1, &at))
				model_yield();
			return at;
		}
		at = dd_ring_claim(ring, 1);
		while (!dd_ring_has_room(ring, at))
			model_yield();
		return at;
	}

	void produce(unsigned producer)
	{
		for (int i = 0; i < DROPS; i++) {
			uint64_t at;

			objects[producer][i].made($) = 1;
			at = claim(producer);
			dd_ring_publish(&model.ring, at, &objects[producer][i], destroy_object);
		}
	}

	void consume()
	{
		int seen[PRODUCERS] = {0, 0};
		dd_drop drop;

		for (int i = 0; i < PRODUCERS * DROPS; i++) {
			while (!dd_ring_take(&model.ring, &drop))
				model_yield();
			int producer = drop.object >= &objects[1][0];

			RL_ASSERT(drop.object == &objects[producer][seen[producer]]);
			seen[producer]++;
			run(drop);
			dd_ring_done(&model.ring);
		}
	}

	void thread(unsigned index)
	{
		if (index < PRODUCERS)
			produce(index);
		else
			consume();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<shared>(1, 50000);
}
