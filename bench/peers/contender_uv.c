/* SPDX-License-Identifier: MIT
 *
 * Strategies with libuv: its thread pool, and its loop.
 */
#include <defer_drop/uv.h>

#include "contender.h"

static void end(uv_loop_t *loop)
{
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
}

/* ---- The pool -------------------------------------------------------------------------------- */

static uv_loop_t pool_loop;
static struct defer_drop_strategy_executor by_pool;

static int begin_pool(void)
{
	int result = uv_loop_init(&pool_loop);

	if (result)
		return result;
	return defer_drop_strategy_executor_init(&by_pool, defer_drop_uv_submit, &pool_loop);
}

static void turn_pool(void)
{
	uv_run(&pool_loop, UV_RUN_NOWAIT);
}

static void end_pool(void)
{
	end(&pool_loop);
}

const struct contender contender_uv_pool = {.name = "libuv's thread pool",
	.key = "uv_pool",
	.strategy = &by_pool.strategy,
	.begin = begin_pool,
	.turn = turn_pool,
	.end = end_pool};

/* ---- The loop -------------------------------------------------------------------------------- */

static uv_loop_t loop;
static struct defer_drop_strategy_uv by_loop;

static int begin_loop(void)
{
	int result = uv_loop_init(&loop);

	if (result)
		return result;
	result = defer_drop_strategy_uv_open(&by_loop, &loop, DEFER_DROP_FOREVER);
	if (result)
		uv_loop_close(&loop);
	return result;
}

static void turn_loop(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void end_loop(void)
{
	defer_drop_strategy_uv_close(&by_loop, NULL);
	end(&loop);
}

const struct contender contender_uv_loop = {.name = "libuv's loop",
	.key = "uv_loop",
	.strategy = &by_loop.loop.strategy,
	.begin = begin_loop,
	.turn = turn_loop,
	.end = end_loop};
