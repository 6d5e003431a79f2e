/* SPDX-License-Identifier: MIT
 *
 * Strategies with GLib: a thread pool, and the main context.
 */
#include <defer_drop/glib.h>

#include "contender.h"

/* ---- The pool -------------------------------------------------------------------------------- */

static struct defer_drop_strategy_executor by_pool;

static int begin_pool(void)
{
	GThreadPool *pool = g_thread_pool_new(defer_drop_glib_run, NULL, 1, TRUE, NULL);

	return defer_drop_strategy_executor_init(&by_pool, defer_drop_glib_submit, pool);
}

static void end_pool(void)
{
	g_thread_pool_free(by_pool.executor, FALSE, TRUE);
}

const struct contender contender_glib_pool = {.name = "GLib's thread pool",
	.key = "glib_pool",
	.strategy = &by_pool.strategy,
	.begin = begin_pool,
	.end = end_pool};

/* ---- The main context ------------------------------------------------------------------------ */

static struct defer_drop_strategy_glib by_context;

static int begin_context(void)
{
	return defer_drop_strategy_glib_open(&by_context, NULL, DEFER_DROP_FOREVER);
}

static void turn(void)
{
	g_main_context_iteration(NULL, FALSE);
}

static void end_context(void)
{
	defer_drop_strategy_glib_close(&by_context);
}

const struct contender contender_glib_context = {.name = "GLib's main context",
	.key = "glib_context",
	.strategy = &by_context.loop.strategy,
	.begin = begin_context,
	.turn = turn,
	.end = end_context};
