// SPDX-License-Identifier: MIT
//
// Threads come and go: each finds a lane, an empty one while there can be one more, taken over from one that
// left or added, pushes, gives it back when it ends, and pushes twice more: to the same lane, or, if another
// thread has that by now, to the shared lane once its drops in its own are destroyed. A thread that found no
// lane has the shared one until there is one, and its drops in the shared are destroyed. The worker finds all
// lanes that it knows of whole, and destroys all drops, those of each thread in its order; and it gives the
// memory of empty lanes back.
#include "model_lib.h"

namespace
{

enum { OWNERS = 2, DROPS = 3, CAPACITY = 2 };

struct handed_over;
handed_over *the_one;

void destroy_in_order(void *memory);

struct handed_over : rl::test_suite<handed_over, OWNERS + 1> {
	struct parameter {
		bool is_fenced;
		bool is_orderly; // the second owner comes when the first has ended, and the worker later
		unsigned
			lanes; // at most; with one, the second has the first's when that pushes late
		// The second is in the shared lane when the first leaves the only one there is.
		bool is_crossing;
	};
	inline static parameter given;

	library_model model{CAPACITY, true, given.is_fenced};
	rl::atomic<int> step; // of those that are orderly
	object objects[OWNERS][DROPS];
	int seen[OWNERS] = {};

	void before()
	{
		step.store(0, rl::mo_relaxed, $);
		model.queue.config.values.max_lanes = given.lanes;
		model.queue.next_lane = given.is_crossing; // that which is left, not the shared one
		the_one = this;
	}

	void push(object *dropped)
	{
		dropped->made($) = 1;
		RL_ASSERT(!defer_drop_queue_push(
			&model.queue, dropped, destroy_in_order, DEFER_DROP_FOREVER));
	}

	// If all is orderly, the owners take turns: only one of them goes on from each step.
	void await(int wanted)
	{
		while (given.is_orderly && step.load(rl::mo_relaxed, $) < wanted)
			model_yield();
	}

	void reach(int reached)
	{
		step.store(reached, rl::mo_relaxed, $);
	}

	void cross(unsigned owner)
	{
		object *dropped = objects[owner];

		await(owner ? 1 : 0);
		if (owner)
			push(&dropped[0]);
		else
			dd_lane_of(&model.queue);
		reach(owner ? 2 : 1);
		await(owner ? 3 : 2);
		if (!owner) {
			farewell(&dd_self);
			reach(3);
			push(&dropped[0]);
		}
		push(&dropped[1]);
		push(&dropped[2]);
		farewell(&dd_self);
	}

	void own(unsigned owner)
	{
		object *dropped = objects[owner];

		await(owner ? 1 : 0);
		if (given.lanes == OWNERS)
			RL_ASSERT(is_empty(dd_lane_of(&model.queue)));
		push(&dropped[0]);
		if (owner) {
			reach(2);
			await(3);
		}
		farewell(&dd_self);
		if (!owner) {
			reach(1);
			await(2);
		}
		push(&dropped[1]);
		if (!owner)
			reach(3);
		push(&dropped[2]);
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
		struct rest resting = {};

		// Late enough for a late push to be seen that did not wait.
		await(given.is_crossing ? 3 : 2);
		for (int i = 0; given.is_orderly && i < 30; i++)
			model_yield();
		for (uint64_t ran = 0; ran < OWNERS * DROPS;) {
			uint64_t found =
				dd_worker_round(&model.queue, UINT64_MAX, DEFER_DROP_FOREVER);

			if (!found) {
				dd_lanes_trim(&model.queue);
				take_rest(&model.queue, &resting, 0);
			}
			ran += found;
		}
	}

	void thread(unsigned index)
	{
		if (index == OWNERS)
			consume();
		else
			given.is_crossing ? cross(index) : own(index);
	}

	void after()
	{
		uint32_t lanes = dd_queue_lanes(&model.queue) - 1;

		RL_ASSERT(lanes >= 1 && lanes <= OWNERS);
		while (lanes--)
			RL_ASSERT(take_over_empty(&model.queue));
		RL_ASSERT(!take_over(&model.queue));
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
	for (bool is_fenced : {false, true})
		if (!explore_randomly<handed_over>({is_fenced, false, OWNERS}, 30000) ||
			!explore_randomly<handed_over>({is_fenced, false, 1}, 30000) ||
			!explore_randomly<handed_over>({is_fenced, true, OWNERS}, 30000) ||
			!explore_randomly<handed_over>({is_fenced, true, 1}, 30000) ||
			!explore_randomly<handed_over>({is_fenced, true, 1, true}, 30000))
			return 1;
	return 0;
}
