// SPDX-License-Identifier: MIT
//
// Two producers make something unreachable and then claim positions in a shared ring, each by one of the two ways.
// A grace period that begins after a look at the tail begins after what the producers did before the claims that
// the tail counts.
#include "model.h"

namespace
{

// They claim one slot and two, so that the tail tells which of them has claimed.
enum { PRODUCERS = 2, CAPACITY = 4 };

struct tail : rl::test_suite<tail, PRODUCERS + 1> {
	ring_model model{CAPACITY, true};
	object objects[PRODUCERS];

	void produce(unsigned producer)
	{
		uint64_t at;

		objects[producer].made($) = 1;
		if (producer)
			RL_ASSERT(dd_ring_claim_try(&model.ring, 1, &at));
		else
			dd_ring_claim(&model.ring, 2);
	}

	// Reads the tail as note_cover in grace.c does.
	void look()
	{
		uint64_t claimed = dd_ring_tail(&model.ring) - dd_ring_first(CAPACITY);

		if (claimed & 2)
			RL_ASSERT(objects[0].made($) == 1);
		if (claimed & 1)
			RL_ASSERT(objects[1].made($) == 1);
	}

	void thread(unsigned index)
	{
		if (index < PRODUCERS)
			produce(index);
		else
			look();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<tail>(4, 20000);
}
