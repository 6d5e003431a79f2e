/* SPDX-License-Identifier: MIT
 *
 * Plain drops and drops with options, one by one and many at once, nested ones among them, through
 * a small byte budget that changes all the time: all that was accepted is destroyed in order, each
 * completion has its status, and the budget holds, except for drops that may exceed it.
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

/* What destructors return. */
enum kind {
	KIND_PLAIN,
	KIND_STATUS,
	KIND_CONTEXT,
	KINDS,
};

/* What a round checks beside its producers; written by destructors. */
static struct {
	uint64_t failed;
	uint64_t failures_told;
} seen;

/* Bytes of drops that may exceed the budget: counted before the push, and once they are known to be
 * destroyed or were refused. */
static struct {
	atomic_uint_fast64_t begun;
	atomic_uint_fast64_t ended;
} exceeding;

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

static int destroy_for(void *memory, void *context)
{
	const struct load *load = memory;

	CHECK(load->producer == context);
	return destroy_with_status(memory);
}

/* Asks for a destructor of this kind. Returns what a push gets as its destroy. */
static defer_drop_fn choose_destructor(
	struct producer *producer, struct defer_drop_options *options, enum kind kind)
{
	if (kind == KIND_STATUS)
		options->destroy_status = destroy_with_status;
	if (kind == KIND_CONTEXT) {
		options->destroy_context = destroy_for;
		options->context = producer;
	}
	return kind == KIND_PLAIN ? destroy : NULL;
}

static void hear_of_failure(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	CHECK(!failure->destroy && failure->status);
	CHECK(!failure->destroy_status == (failure->destroy_context == destroy_for));
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
	return below(&producer->random, 3) ? DEFER_DROP_FOREVER
					   : some_ns(&producer->random, 200000);
}

/* Returns the first status that is not 0, of this number. */
static int first_status(struct load *const *loads, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (loads[i]->status)
			return loads[i]->status;
	return 0;
}

static void await(struct producer *producer, struct defer_drop_completion *completion, int expected)
{
	uint64_t timeout_ns = some_ns(&producer->random, 100000);
	int status = 1;
	int result = defer_drop_completion_wait(completion, timeout_ns, &status);

	CHECK(!result || result == in_vain(timeout_ns));
	if (result)
		result = defer_drop_completion_wait(completion, DEFER_DROP_FOREVER, &status);
	CHECK(!result && status == expected);
	CHECK(!defer_drop_completion_wait(completion, 0, NULL));
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

/* Accounts for loads that were pushed together: `pushed` of them were accepted, the others are
 * still the caller's. */
static void settle(
	struct producer *producer, struct load **loads, size_t count, size_t pushed, int result)
{
	CHECK(result ? pushed < count : pushed == count);
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
	uint64_t timeout_ns = some_timeout(producer);
	enum kind kind = (enum kind)below(&producer->random, KINDS);
	struct load *copies[MOST];
	struct load *loads[MOST];
	struct load kept[MOST];
	size_t pushed;
	int result;

	make_loads(producer, loads, count);
	for (size_t i = 0; i < count; i++) {
		kept[i] = *loads[i];
		kept[i].status = kind ? kept[i].status : 0;
		copies[i] = &kept[i];
	}
	options.bytes = some_bytes(producer);
	options.completion = below(&producer->random, 2) ? &completion : NULL;
	result = defer_drop_queue_push_many(producer->queue, (void *const *)loads, count,
		choose_destructor(producer, &options, kind), timeout_ns, &options, &pushed);
	CHECK(!result || result == in_vain(timeout_ns));
	settle(producer, loads, count, pushed, result);
	if (options.completion && pushed)
		await(producer, &completion, first_status(copies, pushed));
	else if (options.completion)
		CHECK(defer_drop_completion_wait(&completion, 0, NULL) == -EINVAL);
}

static void push_plain(struct producer *producer)
{
	uint64_t timeout_ns = some_timeout(producer);
	struct load *load;
	int result;

	make_loads(producer, &load, 1);
	result = defer_drop_queue_push(producer->queue, load, destroy, timeout_ns);
	CHECK(!result || result == in_vain(timeout_ns));
	settle(producer, &load, 1, !result, result);
}

static void push_with(struct producer *producer)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	uint64_t timeout_ns = some_timeout(producer);
	struct defer_drop_ticket ticket;
	struct load *load;
	int result;

	make_loads(producer, &load, 1);
	options.bytes = some_bytes(producer);
	options.ticket = &ticket;
	if (!below(&producer->random, 4)) {
		options.flags = DEFER_DROP_EXCEED_BUDGET;
		atomic_fetch_add(&exceeding.begun, options.bytes);
	}
	result = defer_drop_queue_push_with(producer->queue, load,
		choose_destructor(producer, &options, (enum kind)below(&producer->random, KINDS)),
		timeout_ns, &options);
	CHECK(!result || result == in_vain(timeout_ns));
	settle(producer, &load, 1, !result, result);
	if (!result && (options.flags || !below(&producer->random, 4))) {
		CHECK(!defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER));
		CHECK(producer->destroyed == producer->accepted);
	}
	if (options.flags)
		atomic_fetch_add(&exceeding.ended, options.bytes);
}

static void check_budget(struct producer *producer)
{
	struct defer_drop_stats stats;
	uint64_t ended = atomic_load(&exceeding.ended);
	/* Nested drops do not wait: at most one byte each, of one drop at a time. */
	uint64_t beyond = producer->nests;

	stats = stats_of(producer->queue);
	beyond += atomic_load(&exceeding.begun) - ended;
	CHECK(stats.backlog_bytes <= MAX_BYTES + beyond ||
		stats.backlog_bytes - TOO_LARGE <= beyond);
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < 100; i++) {
		switch (below(&producer->random, 9)) {
		case 0:
			CHECK(!defer_drop_queue_set_max_bytes(producer->queue,
				MAX_BYTES / 2 + below(&producer->random, MAX_BYTES / 2 + 1)));
			break;
		case 1:
		case 2:
			push_many(producer);
			break;
		case 3:
		case 4:
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

	config.max_bytes = MAX_BYTES;
	config.error = hear_of_failure;
	return create_queue(&config);
}

void scenario_options(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_budgeted_queue(stress);
	struct defer_drop_stats stats;
	unsigned nests = (unsigned)below(&stress->random, 2);

	seen.failed = seen.failures_told = 0;
	atomic_store(&exceeding.begun, 0);
	atomic_store(&exceeding.ended, 0);
	for (unsigned i = 0; i < stress->producers; i++)
		producers[i].nests = nests;
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	stats = stats_of(queue);
	CHECK(!stats.backlog_bytes);
	CHECK(atomic_load(&exceeding.begun) == atomic_load(&exceeding.ended));
	CHECK(stats.failed_total == seen.failed && seen.failures_told == seen.failed);
	end_drained(queue, producers, stress->producers);
}
