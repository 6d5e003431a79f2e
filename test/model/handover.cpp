// SPDX-License-Identifier: MIT
//
// Threads come and go: each takes over a lane that was given back, or adds one, pushes, gives it back, and
// pushes once more, to the shared lane, if what it left is destroyed. The consumer finds all lanes that it
// knows of whole, and destroys all drops, those of each thread in its order.
#include "model_queue.h"

#include "handover.h"

namespace
{

enum { OWNERS = 2, DROPS = 1, CAPACITY = 2, ROUNDS = 2 };

// Lanes that are mapped when they are added, by whoever that is.
struct mapped {
	dd_lane lane{};
	dd_slot slots[CAPACITY];
};

struct handed_over : rl::test_suite<handed_over, OWNERS + 1> {
	queue_model<CAPACITY, true> model;
	model_mutex registry_lock;
	mapped *lanes[OWNERS] = {};
	object objects[OWNERS][DROPS + 1];
	int seen[OWNERS] = {};

	// What lane.c does in own_lane.
	dd_lane *attach(unsigned owner)
	{
		defer_drop_queue *queue = &model.queue;
		pthread_mutex_lock(&registry_lock);
		dd_lane *lane = dd_lane_take_over(queue);

		if (!lane) {
			lanes[owner] = new mapped();
			lane = &lanes[owner]->lane;
			model.model_make_lane(lane, queue, lanes[owner]->slots, CAPACITY, false);
			dd_lane_add(queue, lane);
		}
		pthread_mutex_unlock(&registry_lock);
		return lane;
	}

	// What lane.c does in farewell.
	uint64_t leave(dd_lane *lane)
	{
		pthread_mutex_lock(&registry_lock);
		uint64_t left_at = dd_lane_give_back(lane);
		pthread_mutex_unlock(&registry_lock);
		return left_at;
	}

	// What push.c does in push_owned: there is room.
	void push(dd_ring *ring, object *dropped)
	{
		uint64_t at = dd_ring_own_tail(ring);

		dropped->made($) = 1;
		if (dd_ring_is_beyond_limit(ring, at))
			RL_ASSERT(dd_ring_room_owned(ring, at) < CAPACITY);
		dd_ring_publish(ring, at, dropped, destroy_object);
		dd_ring_advance(ring, at + 1);
	}

	// What push.c does in follow_own_lane, where it need not wait, and in push_shared.
	void push_last(dd_ring *own, uint64_t left_at, object *dropped)
	{
		dd_ring *ring = &model.queue.shared.ring;
		uint64_t at;

		if (!dd_ring_is_past(own, left_at))
			return;
		dropped->made($) = 1;
		RL_ASSERT(dd_ring_claim_try(ring, 1, &at));
		dd_ring_publish(ring, at, dropped, destroy_object);
	}

	void own(unsigned owner)
	{
		object *dropped = objects[owner];
		dd_lane *lane = attach(owner);

		for (int i = 0; i < DROPS; i++)
			push(&lane->ring, &dropped[i]);
		push_last(&lane->ring, leave(lane), &dropped[DROPS]);
	}

	void destroy_all(dd_ring *ring)
	{
		dd_drop taken;

		while (dd_ring_take(ring, &taken)) {
			object *dropped = run(ring, taken);
			int owner = dropped >= objects[1];

			RL_ASSERT(dropped == &objects[owner][seen[owner]]);
			seen[owner]++;
		}
	}

	// What worker.c does in its rounds.
	void consume(int rounds)
	{
		while (rounds--) {
			uint32_t count = dd_queue_lanes(&model.queue);

			for (uint32_t i = count; i--;)
				destroy_all(&model.queue.lanes[i]->ring);
		}
	}

	void thread(unsigned index)
	{
		index < OWNERS ? own(index) : consume(ROUNDS);
	}

	void after()
	{
		consume(1);
		for (int owner = 0; owner < OWNERS; owner++)
			RL_ASSERT(seen[owner] >= DROPS);
		for (uint32_t count = dd_queue_lanes(&model.queue); --count;)
			RL_ASSERT(dd_lane_take_over(&model.queue));
		RL_ASSERT(!dd_lane_take_over(&model.queue));
		for (auto *lane : lanes)
			delete lane;
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<handed_over>(2, 50000);
}
