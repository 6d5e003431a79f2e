/* SPDX-License-Identifier: MIT
 *
 * The strategy for event loops of one's own: here one that polls the eventfd and nothing else.
 */
#include "adapter.h"

#include <defer_drop/loop.h>
#include <poll.h>

static void turn(void *strategy)
{
	struct defer_drop_strategy_loop *here = strategy;
	struct pollfd pending = {.fd = here->pending_eventfd, .events = POLLIN};

	if (poll(&pending, 1, -1) == 1)
		defer_drop_strategy_loop_drain(here);
}

static void test_here(uint64_t budget_ns)
{
	struct defer_drop_strategy_loop here;
	struct loop loop = {&here.strategy, NULL, turn, &here};

	CHECK(!defer_drop_strategy_loop_open(&here, budget_ns));
	loop.queue = here.queue;
	test_loop(&loop);
	drop_before_closing(&loop);
	defer_drop_strategy_loop_close(&here);
	check_closed();
}

static void test_refusals(void)
{
	struct defer_drop_strategy_loop here;

	CHECK(defer_drop_strategy_loop_open(NULL, 1) == -EINVAL);
	CHECK(defer_drop_strategy_loop_open(&here, DEFER_DROP_TIMEOUT_MAX + 1) == -EOVERFLOW);
	defer_drop_strategy_loop_drain(NULL);
	defer_drop_strategy_loop_close(NULL);
}

int main(void)
{
	/* The budgets: all at once, and at most one in a turn. */
	test_here(DEFER_DROP_FOREVER);
	test_here(0);
	test_refusals();
	return 0;
}
