/* SPDX-License-Identifier: MIT
 *
 * The strategies for libuv.
 */
#include "adapter.h"

#include <defer_drop/uv.h>

static unsigned closed_count;

static void turn(void *loop)
{
	uv_run(loop, UV_RUN_ONCE);
}

static void note_closed(uv_handle_t *poll)
{
	CHECK(poll->data);
	check_closed();
	closed_count++;
}

static void nothing(void *object)
{
	(void)object;
}

static void test_threads(uv_loop_t *loop)
{
	struct defer_drop_strategy_executor pool;

	CHECK(!defer_drop_strategy_executor_init(&pool, defer_drop_uv_submit, loop));
	test_pool(&pool.strategy, turn, loop);
	CHECK(defer_drop_uv_submit(NULL, NULL, nothing) == -EINVAL);
	CHECK(defer_drop_uv_submit(loop, NULL, NULL) == -EINVAL);
}

static void test_here(uv_loop_t *uv_loop, uint64_t budget_ns, uv_close_cb closed)
{
	struct defer_drop_strategy_uv here;
	struct loop loop = {&here.loop.strategy, NULL, turn, uv_loop};

	CHECK(!defer_drop_strategy_uv_open(&here, uv_loop, budget_ns));
	loop.queue = here.loop.queue;
	test_loop(&loop);
	drop_before_closing(&loop);
	defer_drop_strategy_uv_close(&here, closed);
	CHECK(!uv_run(uv_loop, UV_RUN_DEFAULT));
	check_closed();
}

static void test_refusals(uv_loop_t *loop)
{
	struct defer_drop_strategy_uv here;

	CHECK(defer_drop_strategy_uv_open(NULL, loop, 1) == -EINVAL);
	CHECK(defer_drop_strategy_uv_open(&here, NULL, 1) == -EINVAL);
	CHECK(defer_drop_strategy_uv_open(&here, loop, DEFER_DROP_TIMEOUT_MAX + 1) == -EOVERFLOW);
	defer_drop_strategy_uv_close(NULL, NULL);
}

int main(void)
{
	uv_loop_t loop;

	CHECK(!uv_loop_init(&loop));
	test_threads(&loop);
	/* The budgets: all at once, and at most one in a turn. */
	test_here(&loop, DEFER_DROP_FOREVER, NULL);
	test_here(&loop, 1, note_closed);
	CHECK(closed_count == 1);
	test_refusals(&loop);
	CHECK(!uv_loop_close(&loop));
	uv_library_shutdown();
	return 0;
}
