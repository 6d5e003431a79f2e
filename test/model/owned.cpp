// SPDX-License-Identifier: MIT
//
// One producer pushes more drops than the ring holds; some have options. The consumer destroys all in order, and
// puts options back once, as it does if the drop must wait. The producer sees what the destructors did once its
// position has passed, and another thread sees it once the tail that it read has passed.
#include "model.h"

namespace
{

enum { DROPS = 3 };

struct owned : rl::test_suite<owned, 3> {
	struct parameter {
		uint64_t capacity;
		uint64_t batch;
		unsigned pairs;
	};
	inline static parameter given;

	ring_model model{given.capacity, false};
	object objects[DROPS];

	void before()
	{
		model.ring.batch = given.batch;
	}

	// Pushes as push_owned in push.c does.
	void push(object *dropped, uint64_t width)
	{
		dd_ring *ring = &model.ring;
		uint64_t at = dd_ring_own_tail(ring);

		dropped->made($) = 1;
		while (dd_ring_is_beyond_limit(ring, at + width - 1) &&
			dd_ring_room_owned(ring, at + width - 1) >= given.capacity)
			model_yield();
		publish(ring, at, dropped, width);
		dd_ring_advance(ring, at + width);
	}

	void produce()
	{
		for (int i = 0; i < DROPS; i++)
			push(&objects[i], width_of(given.pairs, i));
		while (!dd_ring_is_past(&model.ring, dd_ring_own_tail(&model.ring)))
			model_yield();
		RL_ASSERT(objects[DROPS - 1].destroyed($) == 1);
	}

	// Returns the drop at the cursor, once there is one.
	dd_drop peek()
	{
		dd_drop seen;

		while (!dd_ring_peek(&model.ring, &seen)) {
			dd_ring_recycle(&model.ring);
			model_yield();
		}
		return seen;
	}

	void consume()
	{
		for (int i = 0; i < DROPS; i++) {
			dd_drop taken = peek();

			if (dd_is_options(taken.destroy)) { // set aside for a while
				dd_ring_recycle(&model.ring);
				taken = peek();
			}
			dd_ring_move_on(&model.ring);
			RL_ASSERT(run(&model.ring, taken) == &objects[i]);
		}
		dd_ring_recycle(&model.ring);
	}

	// Flushes: waits for the drops before the tail that it reads.
	void look()
	{
		uint64_t tail = dd_ring_tail(&model.ring);
		uint64_t end = dd_ring_first(given.capacity);

		while (!dd_ring_is_past(&model.ring, tail))
			model_yield();
		for (int i = 0; i < DROPS && end != tail; i++) {
			end += width_of(given.pairs, i);
			RL_ASSERT(objects[i].destroyed($) == 1);
		}
		RL_ASSERT(end == tail); // never between two slots of one drop
		RL_ASSERT(dd_ring_is_past(&model.ring, tail)); // and stays past
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
	return !(explore<owned>({2, 1, 0}, 1, 50000) && explore<owned>({2, 2, 0}, 1, 50000) &&
		 explore<owned>({2, 1, 5}, 1, 50000) && explore<owned>({2, 2, 7}, 1, 50000) &&
		 explore<owned>({4, 1, 3}, 1, 50000) && explore<owned>({4, 2, 6}, 1, 50000));
}
