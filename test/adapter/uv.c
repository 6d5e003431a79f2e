/* SPDX-License-Identifier: MIT
 *
 * The strategies for libuv.
 */
#define _GNU_SOURCE
#include "adapter.h"

#include <defer_drop/uv.h>

static unsigned closed_count;

static void turn(void *loop)
{
	uv_run(loop, UV_RUN_ONCE);
}

static void note_closed(uv_handle_t *async)
{
	CHECK(async->data);
	closed_count++;
}

static void count(void *object)
{
	++*(unsigned *)object;
}

int main(void)
{
	/* The budgets: all at once, and at most one in a turn. */
	static const uint64_t budgets_ns[] = {DEFER_DROP_FOREVER, 1};
	struct defer_drop_strategy_executor pool;
	struct defer_drop_strategy_uv here;
	unsigned destroyed_count = 0;
	uv_loop_t loop;

	CHECK(!uv_loop_init(&loop));
	defer_drop_strategy_executor_init(&pool, defer_drop_uv_submit, &loop);
	test_pool(&pool.strategy, turn, &loop);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(!defer_drop_strategy_uv_open(&here, &loop, budgets_ns[i]));
		test_loop(&here.strategy, turn, &loop);
		CHECK(!defer_drop_by(&here.strategy, &destroyed_count, count));
		defer_drop_strategy_uv_close(&here, i ? note_closed : NULL);
		CHECK(!uv_run(&loop, UV_RUN_DEFAULT));
	}
	CHECK(destroyed_count == 2);
	CHECK(closed_count == 1);
	CHECK(!uv_loop_close(&loop));
	uv_library_shutdown();
	return 0;
}
