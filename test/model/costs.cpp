// SPDX-License-Identifier: MIT
//
// The consumer gives the place of one function to another, while a thread reads it: it finds each function with times
// of its own alone, or none.
#define DD_COSTS        1
#define DD_TIMES_POWERS 1
#define DD_TIMES_BITS   0
#define DD_COST_LOOKS   2

#include "model_queue.h"

namespace
{

void cheap(void *)
{
}

void dear(void *)
{
}

struct placed : rl::test_suite<placed, 2> {
	std::unique_ptr<dd_costs> costs;

	void before()
	{
		costs = std::make_unique<dd_costs>();
		dd_costs_add(costs.get(), cheap, 1, 1);
	}

	void read()
	{
		dd_reading times;
		defer_drop_fn destroy = dd_cost_read(&costs->places[0], &times);

		if (destroy == cheap)
			RL_ASSERT(times.ns_total == 1 && times.most_ns == 1);
		if (destroy == dear)
			RL_ASSERT(times.ns_total % 2 == 0 && times.most_ns % 2 == 0 &&
				  times.counted_total <= 1);
	}

	void thread(unsigned index)
	{
		if (index) {
			read();
			return;
		}
		dd_costs_add(costs.get(), dear, 2, 1);
	}

	void after()
	{
		dd_reading times;

		RL_ASSERT(dd_cost_read(&costs->places[0], &times) == dear);
		RL_ASSERT(times.ns_total == 2);
		dd_times_read(&costs->all, &times);
		RL_ASSERT(times.ns_total == 3);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<placed>(2, 20000);
}
