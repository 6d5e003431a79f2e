/* SPDX-License-Identifier: MIT
 *
 * Threads push in the name of a group of their own, which they flush, end or abandon now and then,
 * and of one that all share and flush: a flush that returns 0 has seen all of the thread's own
 * destroyed, an end too, and after an abandonment each drop was destroyed or told of once.
 */
#include "stress.h"

#include <defer_drop/group.h>
#include <stdlib.h>

/* What becomes of the drops of one group. */
struct tally {
	struct defer_drop_queue *queue;
	struct defer_drop_group *group;
	uint64_t pushed;    /* by the thread */
	uint64_t destroyed; /* by the consumer, and read by others after a flush */
	uint64_t told;      /* too */
	uint64_t random;
};

static struct defer_drop_group *shared;

static void make_group(struct tally *tally)
{
	tally->pushed = tally->destroyed = tally->told = 0;
	CHECK(!defer_drop_group_create(&tally->group, tally->queue));
}

static void count(void *object)
{
	struct tally *tally = object;

	tally->destroyed++;
}

/* Makes a nested drop, which is in the group too. */
static void count_twice(void *object)
{
	struct tally *tally = object;

	tally->destroyed++;
	CHECK(!defer_drop_queue_push(tally->queue, tally, count, 0));
}

static int count_with_context(void *object, void *context)
{
	CHECK(context == &shared);
	count(object);
	return 0;
}

static void count_told(void *context, void *object)
{
	struct tally *tally = object;

	CHECK(context == tally);
	tally->told++;
}

static void push_some(struct tally *tally)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	bool is_twice = !below(&tally->random, 3);
	uint64_t timeout_ns = some_ns(&tally->random, 100000);
	int result;

	options.group = tally->group;
	if (below(&tally->random, 4)) {
		result = defer_drop_group_push(
			tally->group, tally, is_twice ? count_twice : count, timeout_ns);
		tally->pushed += result ? 0 : 1 + is_twice;
	} else {
		options.destroy_context = count_with_context;
		options.context = (void *)&shared;
		result =
			defer_drop_queue_push_with(tally->queue, tally, NULL, timeout_ns, &options);
		tally->pushed += !result;
	}
	CHECK(!result || result == in_vain(timeout_ns));
}

static void flush_some(struct tally *tally)
{
	uint64_t timeout_ns = some_ns(&tally->random, 1000000);
	int result = defer_drop_group_flush(tally->group, timeout_ns);

	CHECK(!result || result == in_vain(timeout_ns));
	CHECK(result || tally->destroyed == tally->pushed);
}

static void end_some(struct tally *tally)
{
	bool is_abandoned = !below(&tally->random, 2);

	if (is_abandoned)
		CHECK(!defer_drop_group_abandon(
			tally->group, count_told, tally, DEFER_DROP_FOREVER));
	CHECK(!defer_drop_group_end(tally->group, DEFER_DROP_FOREVER));
	/* Of a drop that makes another, only one is told if that was before its destructor. */
	CHECK(is_abandoned ? tally->destroyed + tally->told <= tally->pushed
			   : tally->destroyed == tally->pushed);
	CHECK(!defer_drop_group_backlog(tally->group));
	CHECK(!defer_drop_group_free(tally->group));
	make_group(tally);
}

static void ignore_shared(void *object)
{
	(void)object;
}

static void *run(void *argument)
{
	struct producer *producer = argument;
	struct tally tally = {.queue = producer->queue, .random = producer->random};

	make_group(&tally);
	for (unsigned i = 0; i < 200; i++) {
		push_some(&tally);
		CHECK(!defer_drop_group_push(shared, NULL, ignore_shared, DEFER_DROP_FOREVER));
		if (!below(&tally.random, 8))
			flush_some(&tally);
		if (!below(&tally.random, 32))
			CHECK(!defer_drop_group_flush(shared, DEFER_DROP_FOREVER));
		if (!below(&tally.random, 32))
			end_some(&tally);
	}
	CHECK(!defer_drop_group_end(tally.group, DEFER_DROP_FOREVER));
	CHECK(tally.destroyed == tally.pushed);
	CHECK(!defer_drop_group_free(tally.group));
	return NULL;
}

void scenario_group(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	CHECK(!defer_drop_group_create(&shared, queue));
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_group_end(shared, DEFER_DROP_FOREVER));
	CHECK(!defer_drop_group_stats(shared, &stats));
	CHECK(stats.destroyed_total == UINT64_C(200) * stress->producers);
	CHECK(!defer_drop_group_free(shared));
	end_queue(queue);
}
