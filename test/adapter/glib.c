/* SPDX-License-Identifier: MIT
 *
 * The strategies for GLib.
 */
#include "adapter.h"

#include <defer_drop/glib.h>

static void turn(void *context)
{
	g_main_context_iteration(context, TRUE);
}

/* Of a pool, there is no loop to turn. */
static void yield(void *nothing)
{
	(void)nothing;
	g_thread_yield();
}

static void nothing(void *object)
{
	(void)object;
}

static void test_threads(void)
{
	GThreadPool *threads = g_thread_pool_new(defer_drop_glib_run, NULL, 2, TRUE, NULL);
	struct defer_drop_strategy_executor pool;

	CHECK(!defer_drop_strategy_executor_init(&pool, defer_drop_glib_submit, threads));
	test_pool(&pool.strategy, yield, NULL);
	CHECK(defer_drop_glib_submit(NULL, NULL, nothing) == -EINVAL);
	CHECK(defer_drop_glib_submit(threads, NULL, NULL) == -EINVAL);
	g_thread_pool_free(threads, FALSE, TRUE);
}

/* context: NULL means the default one. */
static void test_context(GMainContext *context, guint64 budget_ns)
{
	struct defer_drop_strategy_glib here;
	struct loop loop = {&here.loop.strategy, NULL, turn, context};

	CHECK(!defer_drop_strategy_glib_open(&here, context, budget_ns));
	loop.queue = here.loop.queue;
	test_loop(&loop);
	drop_before_closing(&loop);
	defer_drop_strategy_glib_close(&here);
	check_closed();
}

static void test_refusals(void)
{
	struct defer_drop_strategy_glib here;

	CHECK(defer_drop_strategy_glib_open(NULL, NULL, 1) == -EINVAL);
	CHECK(defer_drop_strategy_glib_open(&here, NULL, DEFER_DROP_TIMEOUT_MAX + 1) == -EOVERFLOW);
	defer_drop_strategy_glib_close(NULL);
}

int main(void)
{
	GMainContext *context = g_main_context_new();

	test_threads();
	/* The budgets: all at once, and at most one in an iteration. */
	test_context(context, DEFER_DROP_FOREVER);
	test_context(NULL, 1);
	test_refusals();
	g_main_context_unref(context);
	return 0;
}
