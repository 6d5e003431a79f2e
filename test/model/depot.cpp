// SPDX-License-Identifier: MIT
//
// Threads send magazines to a depot, others take them, and one turns out idle ones meanwhile. Each magazine
// belongs to one thread at a time, which sees what the threads that had its block before did with it. No
// magazine is lost.
#include "model.h"

#include "pool/depot.h"

namespace
{

enum { MAGAZINES = 4 };

// A magazine with one block, which counts its uses.
struct model_magazine {
	dd_magazine magazine;
	dd_place place;
	rl::var<int> uses;
	rl::var<int> is_had; // a thread has it

	void begin()
	{
		dd_plain_store(&magazine.next, nullptr);
		dd_plain_store(&magazine.count, 1);
		dd_plain_store(&place.block, &uses);
		uses($) = 0;
		is_had($) = 1;
	}
};

struct depot_model {
	dd_depot depot;
	model_magazine magazines[MAGAZINES];

	depot_model()
	{
		for (auto &made : magazines)
			made.begin();
	}

	// Uses the block of a magazine once more and sends the magazine, by the thread that has it.
	void send(model_magazine *had)
	{
		had->uses($) = had->uses($) + 1;
		RL_ASSERT(had->is_had($) == 1);
		had->is_had($) = 0;
		dd_plain_store(&had->magazine.count, 1);
		dd_depot_send(&depot, &had->magazine);
	}

	// Takes the block of a magazine.
	model_magazine *have(dd_magazine *taken)
	{
		model_magazine *had = reinterpret_cast<model_magazine *>(taken);

		if (!taken)
			return nullptr;
		RL_ASSERT(had->is_had($) == 0);
		had->is_had($) = 1;
		RL_ASSERT(dd_plain_load(&taken->count) == 1);
		RL_ASSERT(dd_plain_load(&dd_magazine_places(taken)->block) == &had->uses);
		had->uses($) = had->uses($) + 1;
		return had;
	}

	model_magazine *take()
	{
		model_magazine *had = have(dd_depot_take(&depot));

		RL_ASSERT(dd_depot_blocks(&depot) <= MAGAZINES); // never below 0
		return had;
	}

	// Finds all magazines in the stacks: one that is in none is lost.
	void check(int uses)
	{
		int found = 0;
		int sum = 0;

		while (take())
			found++;
		while (have(dd_depot_take_from(&depot, &depot.leaving)))
			found++;
		RL_ASSERT(found == MAGAZINES);
		RL_ASSERT(dd_depot_blocks(&depot) == 0);
		for (auto &made : magazines)
			sum += made.uses($);
		RL_ASSERT(sum == uses + MAGAZINES);
	}
};

// Two threads send two magazines each; two others take what is there and send it back.
struct exchange : rl::test_suite<exchange, 4> {
	depot_model model;
	int taken[2] = {};

	void thread(unsigned index)
	{
		if (index < 2) {
			model.send(&model.magazines[2 * index]);
			model.send(&model.magazines[2 * index + 1]);
			return;
		}
		for (int i = 0; i < 2; i++)
			if (model_magazine *had = model.take()) {
				taken[index - 2]++;
				model.send(had);
			}
	}

	void after()
	{
		model.check(MAGAZINES + 2 * (taken[0] + taken[1]));
	}
};

// All magazines are at home. Two threads take some and send them back; a third turns the depot, and sends back
// what leaves.
struct turning : rl::test_suite<turning, 3> {
	depot_model model;
	int taken[3] = {};

	void before()
	{
		for (auto &made : model.magazines)
			model.send(&made);
	}

	void use(unsigned index, model_magazine *had)
	{
		if (!had)
			return;
		taken[index]++;
		model.send(had);
	}

	void thread(unsigned index)
	{
		if (index < 2) {
			use(index, model.take());
			use(index, model.take());
			return;
		}
		dd_depot_turn(&model.depot);
		dd_depot_turn(&model.depot);
		use(index, model.have(dd_depot_take_from(&model.depot, &model.depot.leaving)));
	}

	void after()
	{
		model.check(MAGAZINES + 2 * (taken[0] + taken[1] + taken[2]));
	}
};

} // namespace

// In place of lib/pool/magazine.c: no magazine is made or freed.
dd_magazine *dd_magazine_new(uint32_t)
{
	return nullptr;
}

void dd_magazine_free(dd_magazine *)
{
	RL_ASSERT(false);
}

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<exchange>(1, 50000) && explore<turning>(1, 50000));
}
