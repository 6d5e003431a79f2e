// SPDX-License-Identifier: MIT
//
// Threads come and go. Each gets a lane: while there may be more lanes an empty one, which was added or which
// another thread has left. It pushes, gives the lane back when it ends, and pushes twice more: to the same lane;
// or, if another thread has taken that over, to the shared lane, once the drops in the old lane are destroyed. A
// thread that gets no lane uses the shared one, until there is a lane and its drops in the shared one are
// destroyed. The worker finds each lane complete, destroys all drops, those of each thread in its order, and
// gives the memory of empty lanes back.
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
		bool is_orderly; // the second owner begins after the first has ended, then the worker
		// The most lanes. With one, the second owner has the lane of the first when that one
		// pushes late.
		unsigned lanes;
		// The second owner uses the shared lane when the first leaves the only other one.
		bool is_crossing;
	};
	inline static parameter given;

	library_model model{CAPACITY, true, given.is_fenced};
	rl::atomic<int> step; // of orderly owners
	object objects[OWNERS][DROPS];
	int seen[OWNERS] = {};

	void before()
	{
		step.store(0, rl::mo_relaxed, $);
		model.queue.config.values.max_lanes = given.lanes;
		model.queue.next_lane = given.is_crossing; // the lane that is left
		the_one = this;
	}

	void push(object *dropped)
	{
		dropped->made($) = 1;
		RL_ASSERT(!defer_drop_queue_push(
			&model.queue, dropped, destroy_in_order, DEFER_DROP_FOREVER));
	}

	// Orderly owners alternate: at each step only one of them goes on.
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
		farewell(&dd_self); // again: another destructor of thread-specific data set the key
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

		// So late that a push which should have waited, and did not, is noticed.
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
