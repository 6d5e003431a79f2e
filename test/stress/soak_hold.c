/* SPDX-License-Identifier: MIT
 *
 * Guards, references and strategies in a soak.
 */
#include <defer_drop/guard.h>
#include <errno.h>

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

	defer_drop_ref_init(&load->ref, load, load_destroy, NULL);
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

/* Waits for the status. */
static void close_guard(
	struct stream *stream, const struct defer_drop_strategy *strategy, struct load *load)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_STATUS_INIT(load, load_destroy_with_status, strategy);
	int expected = load->status;
	int result;

	load->is_guarded = true;
	result = defer_drop_guard_drop(&guard);
	CHECK(!defer_drop_guard_is_pending(&guard));
	if (defer_drop_guard_is_armed(&guard)) {
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
	uint64_t traces = 0;
	int result;

	defer_drop_strategy_queue_init(
		&to_queue, stream->site->queue, some_timeout(&visitor->random));
	defer_drop_strategy_trace_init(&traced, &to_queue.strategy, count_trace, &traces);
	switch (below(&visitor->random, 3)) {
	case 0:
		result = put_references(visitor, &traced.strategy, load);
		break;
	case 1:
		result = leave_guard(&traced.strategy, load);
		break;
	default:
		close_guard(stream, &traced.strategy, load);
		CHECK(traces == 1);
		return;
	}
	CHECK(traces == 1);
	CHECK(result == -ETIMEDOUT || is_done_or_shut(stream->site, result));
	settle(stream, load, result);
}
