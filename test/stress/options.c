/* SPDX-License-Identifier: MIT
 *
 * Plain drops and drops with options, one by one and many at once, nested ones among them, through
 * a small byte budget: all that was accepted is destroyed in order, each completion has its status,
 * and the budget holds.
 */
#include "stress.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_BYTES 1000
#define TOO_LARGE 1500 /* admitted alone */
#define MOST      8    /* drops at once */

/* One drop of a producer. */
struct load {
	struct producer *producer;
	uint64_t sequence;
	int status; /* of its destructor, where that has one */
};

/* What a round checks beside its producers; written by destructors. */
static struct {
	uint64_t failed;
	uint64_t failures_told;
} seen;

/* ---- Destructors ----------------------------------------------------------------------------- */

static int destroy_nested_with_status(void *memory)
{
	free(memory);
	seen.failed++;
	return -EIO;
}

static void destroy_nested(void *memory)
{
	free(memory);
}

static void nest(struct defer_drop_queue *queue, uint64_t sequence)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	bool has_status = sequence % 3 == 0;

	options.bytes = sequence % 2;
	options.destroy_status = has_status ? destroy_nested_with_status : NULL;
	CHECK(!defer_drop_queue_push_with(
		queue, malloc(1), has_status ? NULL : destroy_nested, 0, &options));
}

static int destroy_with_status(void *memory)
{
	struct load *load = memory;
	struct producer *producer = load->producer;
	int status = load->status;

	CHECK(load->sequence == producer->last + 1);
	producer->last = load->sequence;
	producer->destroyed++;
	seen.failed += status != 0;
	for (unsigned i = 0; i < producer->nests; i++)
		nest(producer->queue, load->sequence);
	free(load);
	return status;
}

static void destroy(void *memory)
{
	struct load *load = memory;

	load->status = 0;
	destroy_with_status(load);
}

static void hear_of_failure(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	CHECK(failure->destroy_status && !failure->destroy && failure->status);
	seen.failures_told++;
}

/* ---- Pushes ---------------------------------------------------------------------------------- */

static uint64_t some_bytes(struct producer *producer)
{
	switch (below(&producer->random, 16)) {
	case 0:
		return TOO_LARGE;
	case 1:
	case 2:
	case 3:
		return 0;
	default:
		return below(&producer->random, MAX_BYTES / 2);
	}
}

static uint64_t some_timeout(struct producer *producer)
{
	return below(&producer->random, 3) ? DEFER_DROP_FOREVER : below(&producer->random, 200000);
}

/* The first status that is not 0, of so many. */
static int first_status(struct load *const *loads, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (loads[i]->status)
			return loads[i]->status;
	return 0;
}

static void await(struct producer *producer, struct defer_drop_completion *completion, int expected)
{
	int status = 1;
	int result =
		defer_drop_completion_wait(completion, below(&producer->random, 100000), &status);

	CHECK(!result || result == -ETIMEDOUT);
	if (result)
		result = defer_drop_completion_wait(completion, DEFER_DROP_FOREVER, &status);
	CHECK(!result && status == expected);
	CHECK(!defer_drop_completion_poll(completion, NULL));
	CHECK(producer->destroyed == producer->accepted);
}

static void make_loads(struct producer *producer, struct load **loads, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		loads[i] = malloc(sizeof *loads[i]);
		*loads[i] = (struct load){producer, producer->accepted + 1 + i, 0};
		if (!below(&producer->random, 4))
			loads[i]->status = -(int)(1 + below(&producer->random, 100));
	}
}

/* So many of the loads were pushed, the others are still ours. */
static void settle(
	struct producer *producer, struct load **loads, size_t count, size_t pushed, int result)
{
	CHECK(result ? result == -ETIMEDOUT && pushed < count : pushed == count);
	producer->accepted += pushed;
	producer->refused += result != 0;
	for (size_t i = pushed; i < count; i++) {
		CHECK(loads[i]->producer == producer);
		free(loads[i]);
	}
}

static void push_many(struct producer *producer)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	size_t count = 1 + below(&producer->random, MOST);
	bool has_status = below(&producer->random, 2);
	struct load *copies[MOST];
	struct load *loads[MOST];
	struct load kept[MOST];
	size_t pushed;
	int result;

	make_loads(producer, loads, count);
	for (size_t i = 0; i < count; i++) {
		kept[i] = *loads[i];
		kept[i].status = has_status ? kept[i].status : 0;
		copies[i] = &kept[i];
	}
	options.bytes = some_bytes(producer);
	options.destroy_status = has_status ? destroy_with_status : NULL;
	options.completion = below(&producer->random, 2) ? &completion : NULL;
	result = defer_drop_queue_push_many(producer->queue, (void *const *)loads, count,
		has_status ? NULL : destroy, some_timeout(producer), &options, &pushed);
	settle(producer, loads, count, pushed, result);
	if (options.completion && pushed)
		await(producer, &completion, first_status(copies, pushed));
	else if (options.completion)
		CHECK(defer_drop_completion_poll(&completion, NULL) == -EINVAL);
}

static void push_plain(struct producer *producer)
{
	struct load *load;
	int result;

	make_loads(producer, &load, 1);
	result =
		defer_drop_queue_push_timed(producer->queue, load, destroy, some_timeout(producer));
	settle(producer, &load, 1, !result, result);
}

static void push_with(struct producer *producer)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;
	struct load *load;
	int result;

	make_loads(producer, &load, 1);
	options.bytes = some_bytes(producer);
	options.ticket = &ticket;
	result = defer_drop_queue_push_with(
		producer->queue, load, destroy, some_timeout(producer), &options);
	settle(producer, &load, 1, !result, result);
	if (!result && !below(&producer->random, 4)) {
		CHECK(!defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER));
		CHECK(producer->destroyed == producer->accepted);
	}
}

static void check_budget(struct producer *producer)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	CHECK(!defer_drop_queue_stats(producer->queue, &stats));
	/* Nested drops wait for nobody: at most one byte each, of one drop at a time. */
	CHECK(stats.backlog_bytes <= MAX_BYTES + producer->nests ||
		stats.backlog_bytes - TOO_LARGE <= producer->nests);
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 100; i++) {
		switch (below(&producer->random, 4)) {
		case 0:
			push_many(producer);
			break;
		case 1:
			push_plain(producer);
			break;
		default:
			push_with(producer);
		}
		check_budget(producer);
	}
	return NULL;
}

/* ---- A round --------------------------------------------------------------------------------- */

static struct defer_drop_queue *make_budgeted_queue(struct stress *stress)
{
	struct defer_drop_config config = make_config(stress, DEFER_DROP_RUNNER_WORKER);
	struct defer_drop_queue *queue;

	config.max_bytes = MAX_BYTES;
	config.error = hear_of_failure;
	CHECK(!defer_drop_queue_create(&queue, &config));
	return queue;
}

void scenario_options(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_budgeted_queue(stress);
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	unsigned nests = (unsigned)below(&stress->random, 2);

	seen.failed = seen.failures_told = 0;
	for (unsigned i = 0; i < stress->producers; i++)
		producers[i].nests = nests;
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	CHECK(!defer_drop_queue_stats(queue, &stats));
	CHECK(!stats.backlog_bytes);
	CHECK(stats.failed_total == seen.failed && seen.failures_told == seen.failed);
	end_queue(queue, producers, stress->producers);
}
