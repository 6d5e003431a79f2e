// SPDX-License-Identifier: MIT
//
// Threads come and go: each finds a lane, taken over from one that left or added, pushes, gives it back when
// it ends, and pushes once more, to the shared lane, once what it left is destroyed. The worker finds all lanes
// that it knows of whole, and destroys all drops, those of each thread in its order.
#include "model_lib.h"

namespace
{

enum { OWNERS = 2, DROPS = 1, CAPACITY = 2 };

struct handed_over;
handed_over *the_one;

void destroy_in_order(void *memory);

struct handed_over : rl::test_suite<handed_over, OWNERS + 1> {
	using parameter = bool;
	inline static parameter given; // is it fenced?

	library_model model{CAPACITY, true, given};
	object objects[OWNERS][DROPS + 1];
	int seen[OWNERS] = {};

	void before()
	{
		model.queue.config.values.max_lanes = OWNERS;
		the_one = this;
	}

	void push(object *dropped)
	{
		dropped->made($) = 1;
		RL_ASSERT(!defer_drop_queue_push(
			&model.queue, dropped, destroy_in_order, DEFER_DROP_FOREVER));
	}

	void own(unsigned owner)
	{
		object *dropped = objects[owner];

		for (int i = 0; i < DROPS; i++)
			push(&dropped[i]);
		farewell(&dd_self);
		push(&dropped[DROPS]);
		farewell(&dd_self); // as another destructor of its data sets the key again
	}

	void see(object *dropped)
	{
		int owner = dropped >= objects[1];

		RL_ASSERT(dropped == &objects[owner][seen[owner]]);
		seen[owner]++;
		destroy_object(dropped);
	}

	void consume()
	{
		struct rest resting = {.pauses = DD_PAUSES};

		for (uint64_t ran = 0; ran < OWNERS * (DROPS + 1);) {
			uint64_t found =
				dd_worker_round(&model.queue, UINT64_MAX, DEFER_DROP_FOREVER);

			if (!found)
				take_rest(&model.queue, &resting);
			ran += found;
		}
	}

	void thread(unsigned index)
	{
		index < OWNERS ? own(index) : consume();
	}

	void after()
	{
		uint32_t lanes = dd_queue_lanes(&model.queue) - 1;

		RL_ASSERT(lanes >= 1 && lanes <= OWNERS);
		while (lanes--)
			RL_ASSERT(dd_lane_take_over(&model.queue));
		RL_ASSERT(!dd_lane_take_over(&model.queue));
		dd_lanes_unmap(&model.queue);
	}
};

void destroy_in_order(void *memory)
{
	the_one->see(static_cast<object *>(memory));
}

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore_randomly<handed_over>(false, 50000) &&
		 explore_randomly<handed_over>(true, 50000));
}
