/* SPDX-License-Identifier: MIT
 *
 * Guards, references, strategies and stops in a soak.
 */
#include <defer_drop/guard.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "soak.h"

static void count_trace(void *context, void *object, defer_drop_fn destroy)
{
	uint64_t *traced = context;

	(void)object;
	(void)destroy;
	(*traced)++;
}

/* The last of some references drops. */
static int put_references(
	struct visitor *visitor, const struct defer_drop_strategy *strategy, struct load *load)
{
	uint64_t count = 1 + below(&visitor->random, 4);

	CHECK(!defer_drop_ref_init(&load->ref, load, load_destroy, NULL));
	defer_drop_ref_retarget(&load->ref, strategy);
	defer_drop_ref_get_many(&load->ref, count);
	CHECK(!defer_drop_ref_put_many(&load->ref, count - 1) && !defer_drop_ref_put(&load->ref));
	return defer_drop_ref_put(&load->ref);
}

static int leave_guard(const struct defer_drop_strategy *strategy, struct load *load)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(load, load_destroy, strategy);

	return defer_drop_guard_drop(&guard);
}

/* Drops its object and waits for the status, also of a queue that is given up meanwhile. */
static int drop_guarded(const struct site *site, struct defer_drop_guard *guard)
{
	int result = defer_drop_guard_drop(guard);

	while (defer_drop_guard_is_pending(guard)) {
		CHECK(result == -ECANCELED && site->is_gap_allowed);
		usleep(100);
		result = defer_drop_guard_await(&guard, 1, DEFER_DROP_FOREVER);
	}
	return result;
}

/* no_room: the result of a push that found none. */
static void close_guard(struct stream *stream, const struct defer_drop_strategy *strategy,
	struct load *load, int no_room)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_STATUS_INIT(load, load_destroy_with_status, strategy);
	int expected = load->status;
	int result;

	load->is_guarded = true;
	result = drop_guarded(stream->site, &guard);
	if (defer_drop_guard_is_armed(&guard)) {
		CHECK(result == no_room || is_done_or_shut(stream->site, result));
		CHECK(defer_drop_guard_disarm(&guard) == load);
		settle(stream, load, result);
		return;
	}
	settle(stream, load, 0);
	CHECK(result == expected || (result == -ESHUTDOWN && stream->site->is_gap_allowed));
	CHECK(result == -ESHUTDOWN || stream->destroyed == stream->accepted);
}

void hold_some(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_strategy_queue to_queue;
	struct defer_drop_strategy_trace traced;
	struct load *load = make_load(stream, &visitor->random);
	uint64_t timeout_ns = some_timeout(&visitor->random);
	uint64_t traces = 0;
	int result;

	CHECK(!defer_drop_strategy_queue_init(&to_queue, stream->site->queue, timeout_ns));
	CHECK(!defer_drop_strategy_trace_init(&traced, &to_queue.strategy, count_trace, &traces));
	switch (below(&visitor->random, 3)) {
	case 0:
		result = put_references(visitor, &traced.strategy, load);
		break;
	case 1:
		result = leave_guard(&traced.strategy, load);
		break;
	default:
		close_guard(stream, &traced.strategy, load, in_vain(timeout_ns));
		CHECK(traces == 1);
		return;
	}
	CHECK(traces == 1);
	CHECK(result == in_vain(timeout_ns) || is_done_or_shut(stream->site, result));
	settle(stream, load, result);
}

void start_again(const struct site *site)
{
	int result;

	do
		result = defer_drop_queue_start(site->queue);
	while (result == -EBUSY && !sched_yield());
	CHECK(is_done_or_shut(site, result));
}

/* Other visitors may do the same, and be busy with it. */
void stop_some(struct visitor *visitor, struct stream *stream)
{
	uint64_t timeout_ns = some_timeout(&visitor->random);
	int result = defer_drop_queue_stop(stream->site->queue, timeout_ns);

	CHECK(result == in_vain(timeout_ns) || result == -EBUSY ||
		is_done_or_shut(stream->site, result));
	if (!result && !below(&visitor->random, 4))
		usleep((useconds_t)below(&visitor->random, 1000));
	if (!result)
		start_again(stream->site);
}
