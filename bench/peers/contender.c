/* SPDX-License-Identifier: MIT
 *
 * The strategies that need no other library, the list of all, and how one is timed.
 */
#include "contender.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "bench.h"
#include "process.h"

/* ---- Those that need no library -------------------------------------------------------------- */

static const struct contender in_place = {
	.name = "in place", .key = "in_place", .strategy = &defer_drop_strategy_in_place};
static const struct contender leak = {
	.name = "leak", .key = "leak", .strategy = &defer_drop_strategy_leak};
static const struct contender worker = {
	.name = "worker", .key = "worker", .strategy = &defer_drop_strategy_worker};
static const struct contender rcu = {
	.name = "worker, grace period", .key = "rcu", .strategy = &defer_drop_strategy_rcu};
static const struct contender thread = {
	.name = "a thread for each", .key = "thread", .strategy = &defer_drop_strategy_thread};

static struct defer_drop_strategy_trace by_trace;
static FILE *trace_file;

static int begin_trace(void)
{
	trace_file = fopen("/dev/null", "w");
	if (!trace_file)
		return -errno;
	return defer_drop_strategy_trace_init(
		&by_trace, &defer_drop_strategy_worker, defer_drop_trace_print, trace_file);
}

static void end_trace(void)
{
	fclose(trace_file);
}

static const struct contender trace = {.name = "worker, traced",
	.key = "trace",
	.strategy = &by_trace.strategy,
	.begin = begin_trace,
	.end = end_trace};

static struct defer_drop_strategy_queue by_drained;

static int begin_drained(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	int result;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	result = defer_drop_queue_create(&queue, &config);
	return result ? result : defer_drop_strategy_queue_init(&by_drained, queue, 0);
}

static void end_drained(void)
{
	defer_drop_queue_end(by_drained.queue);
}

static const struct contender drained = {.name = "queue the caller drains",
	.key = "caller_drained",
	.strategy = &by_drained.strategy,
	.begin = begin_drained,
	.end = end_drained};

/* ---- All ------------------------------------------------------------------------------------- */

const struct contender *const contenders[] = {
	&in_place,
	&leak,
	&worker,
	&trace,
	&rcu,
	&drained,
	&thread,
#ifdef HAVE_UV
	&contender_uv_pool,
	&contender_uv_loop,
#endif
#ifdef HAVE_GLIB
	&contender_glib_pool,
	&contender_glib_context,
#endif
};

const unsigned contenders_count = sizeof contenders / sizeof contenders[0];

_Static_assert(sizeof contenders / sizeof contenders[0] <= CONTENDERS_MOST, "room for all");

/*
 * Sees to it that a vector that was dropped is destroyed: waits, turns the loop, or destroys it if
 * it was leaked. destroyed_total: of strings, when it is.
 */
static void finish(
	const struct contender *contender, struct vector *vector, uint64_t destroyed_total)
{
	const struct defer_drop_strategy *strategy = contender->strategy;

	if (strategy == &defer_drop_strategy_leak)
		vector_free(vector);
	if (strategy->wait)
		strategy->wait(strategy, DEFER_DROP_FOREVER);
	while (vector_destroyed_total() < destroyed_total) {
		if (contender->turn)
			contender->turn();
		else
			sched_yield();
	}
}

/* Drops a small vector and waits for it, so that the thread that destroys is awake for the next. */
static int warm_up(const struct contender *contender)
{
	uint64_t destroyed_total = vector_destroyed_total() + 1;
	struct vector *vector = vector_make(1);
	int result;

	if (!vector)
		return -ENOMEM;
	result = defer_drop_by(contender->strategy, vector, vector_free);
	if (result)
		vector_free(vector);
	else
		finish(contender, vector, destroyed_total);
	return result;
}

int contender_begin(const struct contender *contender)
{
	int result = contender->begin ? contender->begin() : 0;

	if (result)
		return result;
	result = warm_up(contender);
	if (result)
		contender_end(contender);
	return result;
}

void contender_end(const struct contender *contender)
{
	if (contender->end)
		contender->end();
}

int contender_time(
	const struct contender *contender, uint64_t strings, struct contender_times *times)
{
	struct vector *vector = vector_make(strings);
	uint64_t preemptions, destroyed_total;
	int result = vector ? warm_up(contender) : -ENOMEM;

	if (result)
		return result;
	destroyed_total = vector_destroyed_total() + strings;
	preemptions = process_preemptions();
	times->begin_ns = bench_now_ns();
	result = defer_drop_by(contender->strategy, vector, vector_free);
	times->returned_ns = bench_now_ns();
	times->is_preempted = process_preemptions() != preemptions;
	if (result)
		return result;
	finish(contender, vector, destroyed_total);
	times->gone_ns = bench_now_ns();
	return 0;
}
