// SPDX-License-Identifier: MIT
//
// Magazines go through a depot: threads give, others take, one takes what is idle meanwhile. Each magazine
// is one thread's at a time, with what the threads that had its block before did with it; none is lost.
#include "model.h"

#include "pool/depot.h"

namespace
{

enum { MAGAZINES = 4 };

// With one block each, which counts what was done with it.
struct model_magazine {
	dd_magazine magazine;
	dd_place place;
	rl::var<int> uses;
	rl::var<int> is_had; // by a thread

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

	// By a thread that has it: its block is given, after one more use.
	void send(model_magazine *had)
	{
		had->uses($) = had->uses($) + 1;
		RL_ASSERT(had->is_had($) == 1);
		had->is_had($) = 0;
		dd_plain_store(&had->magazine.count, 1);
		dd_depot_send(&depot, &had->magazine);
	}

	// Its block is taken.
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

		RL_ASSERT(dd_depot_blocks(&depot) <= MAGAZINES); // at no time less than none
		return had;
	}

	// What is in none of the stacks is lost.
	void check(int uses)
	{
		int found = 0;
		int sum = 0;

		while (take())
			found++;
		RL_ASSERT(found == MAGAZINES);
		RL_ASSERT(dd_depot_blocks(&depot) == 0);
		for (auto &made : magazines)
			sum += made.uses($);
		RL_ASSERT(sum == uses + MAGAZINES);
	}
};

// Two give two magazines each, two take what there is and give it back; one of them takes what came last, too.
struct exchange : rl::test_suite<exchange, 4> {
	depot_model model;
	int taken[2] = {};

	void use(unsigned taker, model_magazine *had)
	{
		if (!had)
			return;
		taken[taker]++;
		model.send(had);
	}

	void thread(unsigned index)
	{
		if (index < 2) {
			model.send(&model.magazines[2 * index]);
			model.send(&model.magazines[2 * index + 1]);
			return;
		}
		use(index - 2, model.take());
		use(index - 2,
			index == 2 ? model.take() : model.have(dd_depot_take_last(&model.depot)));
	}

	void after()
	{
		model.check(MAGAZINES + 2 * (taken[0] + taken[1]));
	}
};

// All are at home. Two take and give them back; one makes turns, and takes what is idle.
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
			return;
		}
		dd_depot_turn(&model.depot);
		dd_depot_turn(&model.depot);
		use(index, model.have(dd_depot_take_idle(&model.depot)));
	}

	void after()
	{
		model.check(MAGAZINES + 2 * (taken[0] + taken[1] + taken[2]));
	}
};

} // namespace

// In place of lib/pool/pool.c: there are as many as there are.
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
