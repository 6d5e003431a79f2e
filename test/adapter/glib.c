/* SPDX-License-Identifier: MIT
 *
 * The strategies for GLib.
 */
#define _GNU_SOURCE
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

static void count(void *object)
{
	++*(unsigned *)object;
}

int main(void)
{
	/* The budgets: all at once, and at most one in an iteration. */
	static const guint64 budgets_ns[] = {DEFER_DROP_FOREVER, 1};
	GThreadPool *threads = g_thread_pool_new(defer_drop_glib_run, NULL, 2, TRUE, NULL);
	GMainContext *contexts[] = {g_main_context_new(), g_main_context_default()};
	struct defer_drop_strategy_executor pool;
	struct defer_drop_strategy_glib here;
	unsigned destroyed_count = 0;

	defer_drop_strategy_executor_init(&pool, defer_drop_glib_submit, threads);
	test_pool(&pool.strategy, yield, NULL);
	g_thread_pool_free(threads, FALSE, TRUE);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(!defer_drop_strategy_glib_open(&here, i ? NULL : contexts[i], budgets_ns[i]));
		test_loop(&here.strategy, turn, contexts[i]);
		CHECK(!defer_drop_by(&here.strategy, &destroyed_count, count));
		defer_drop_strategy_glib_close(&here);
	}
	CHECK(destroyed_count == 2);
	g_main_context_unref(contexts[0]);
	return 0;
}
