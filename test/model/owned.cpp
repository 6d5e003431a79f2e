// SPDX-License-Identifier: MIT
//
// One producer pushes more than the ring holds; the consumer destroys all in order, the producer sees
// what the destructors did once the position is past, and another thread sees it by the tail.
#include "model.h"

namespace
{

enum { DROPS = 3 };

template <int BATCH> struct owned : rl::test_suite<owned<BATCH>, 3> {
	ring_model<2, false> model;
	object objects[DROPS];

	void before()
	{
		model.ring.batch = BATCH;
	}

	void produce()
	{
		dd_ring *ring = &model.ring;

		for (int i = 0; i < DROPS; i++) {
			uint64_t at = dd_ring_own_tail(ring);

			objects[i].made($) = 1;
			while (dd_ring_is_at_limit(ring, at) &&
				dd_ring_room_owned(ring, at) >= dd_ring_capacity(ring))
				model_yield();
			dd_ring_publish(ring, at, &objects[i], destroy_object);
			dd_ring_advance(ring, at + 1);
		}
		while (!dd_ring_is_past(ring, dd_ring_own_tail(ring)))
			model_yield();
		RL_ASSERT(objects[DROPS - 1].destroyed($) == 1);
	}

	void consume()
	{
		dd_drop drop;

		for (int i = 0; i < DROPS; i++) {
			while (!dd_ring_take(&model.ring, &drop)) {
				dd_ring_recycle(&model.ring);
				model_yield();
			}
			RL_ASSERT(drop.object == &objects[i]);
			run(drop);
			dd_ring_done(&model.ring);
		}
		dd_ring_recycle(&model.ring);
	}

	// A flush: what lies before the tail that it sees.
	void look()
	{
		uint64_t tail = dd_ring_tail(&model.ring);
		uint64_t pushed = tail - dd_ring_first(2);

		while (!dd_ring_is_past(&model.ring, tail))
			model_yield();
		if (pushed)
			RL_ASSERT(objects[pushed - 1].destroyed($) == 1);
		RL_ASSERT(dd_ring_is_past(&model.ring, tail)); // and past it stays
	}

	void thread(unsigned index)
	{
		if (index == 0)
			produce();
		else if (index == 1)
			consume();
		else
			look();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<owned<1>>(1, 50000) && explore<owned<2>>(1, 50000));
}
