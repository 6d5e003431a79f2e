/* SPDX-License-Identifier: MIT
 *
 * Drops with options: what may be asked for, and what has to be had before the push.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "completion.h"
#include "versioned.h"
#include "worker.h"

_Static_assert(sizeof(struct dd_completion) == sizeof(struct defer_drop_completion) &&
		       offsetof(struct dd_completion, lane) ==
			       offsetof(struct defer_drop_completion, lane),
	"the library's view of defer_drop_completion");

/* Of the first version of the struct, to which later ones add. */
#define DD_OPTIONS_SIZE_0 48

_Static_assert(sizeof(struct defer_drop_options) == DD_OPTIONS_SIZE_0, "defer_drop_options");

#define COUNT_MAX INT32_MAX

/* ---- What is asked for ----------------------------------------------------------------------- */

static int check(defer_drop_fn destroy, const struct defer_drop_options *options)
{
	const struct defer_drop_completion *completion = options->completion;

	if (options->destroy_status ? destroy != NULL : !dd_is_destructor(destroy))
		return -EINVAL;
	if (options->flags & ~(uint32_t)DEFER_DROP_AFTER_GRACE_PERIOD)
		return -EINVAL;
	if (options->bytes >= DEFER_DROP_BYTES_END)
		return -EOVERFLOW;
	return completion && completion->eventfd < -1 ? -EINVAL : 0;
}

/* The request without an object; a grace period alone needs no options, it has a tag. */
static struct dd_request request_of(defer_drop_fn destroy, const struct defer_drop_options *options)
{
	struct dd_request request = {.drop = {NULL, destroy}, .ticket = options->ticket};
	uint64_t word = options->bytes;

	bool is_after_grace = options->flags & DEFER_DROP_AFTER_GRACE_PERIOD;

	if (options->destroy_status) {
		word |= DD_HAS_STATUS;
		request.drop.destroy = (defer_drop_fn)(uintptr_t)options->destroy_status;
	}
	if (word || options->completion)
		request.options.word = word | DD_OPTIONS | (is_after_grace ? DD_AFTER_GRACE : 0);
	else if (is_after_grace)
		request.drop.destroy = dd_tagged(destroy, DD_GRACE);
	request.options.completion = options->completion;
	return request;
}

static int make_request(struct defer_drop_queue *queue, defer_drop_fn destroy,
	const struct defer_drop_options *asked, struct dd_request *request)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int result =
		asked ? dd_versioned_copy(&options, sizeof options, DD_OPTIONS_SIZE_0, asked) : 0;

	if (!result)
		result = check(destroy, &options);
	if (!result && (options.flags & DEFER_DROP_AFTER_GRACE_PERIOD))
		result = dd_grace_use(&queue->grace);
	if (!result)
		*request = request_of(destroy, &options);
	return result;
}

/* ---- The byte budget ------------------------------------------------------------------------- */

static int wait_for_bytes(struct defer_drop_queue *queue, uint64_t bytes, uint64_t deadline_ns)
{
	struct dd_lane *lane = dd_lane_of(queue);
	uint64_t since_ns = dd_now_ns();
	int result = dd_worker_ensure(queue);

	if (result)
		return result;
	result = dd_budget_wait(queue, bytes, deadline_ns);
	dd_add_shared(&lane->waits_total, 1);
	dd_add_shared(&lane->wait_ns_total, dd_now_ns() - since_ns);
	return result;
}

/* Takes bytes for a drop. A nested one gets them: the consumer cannot wait for itself. */
static int take_bytes(struct defer_drop_queue *queue, uint64_t bytes, uint64_t deadline_ns)
{
	int result = 0;

	if (dd_is_running(queue)) {
		dd_budget_add(&queue->budget, bytes);
		return 0;
	}
	if (dd_budget_take(&queue->budget, bytes))
		return 0;
	if (dd_is_closed(queue))
		result = -ESHUTDOWN;
	else if (dd_deadline_has_come(deadline_ns))
		result = -ETIMEDOUT;
	else if (dd_grace_is_reading(&queue->grace))
		result = -EDEADLK;
	else
		result = wait_for_bytes(queue, bytes, deadline_ns);
	if (result)
		dd_add_shared(&dd_lane_of(queue)->refused_total, 1);
	return result;
}

static uint64_t time_left(uint64_t deadline_ns)
{
	uint64_t now_ns;

	if (deadline_ns == DEFER_DROP_FOREVER)
		return DEFER_DROP_FOREVER;
	now_ns = dd_now_ns();
	return now_ns < deadline_ns ? deadline_ns - now_ns : 0;
}

static int push(
	struct defer_drop_queue *queue, const struct dd_request *request, uint64_t deadline_ns)
{
	uint64_t bytes = request->options.word & DD_BYTES;
	int result = bytes ? take_bytes(queue, bytes, deadline_ns) : 0;

	if (result)
		return result;
	result = dd_queue_push_request(queue, request, time_left(deadline_ns));
	if (result && bytes && dd_budget_give(&queue->budget, bytes))
		dd_budget_serve(queue);
	return result;
}

/* ---- Many, or one ---------------------------------------------------------------------------- */

static int push_all(struct defer_drop_queue *queue, struct dd_request *request,
	void *const *objects, size_t count, uint64_t timeout_ns, size_t *pushed)
{
	uint64_t deadline_ns = dd_deadline_after(timeout_ns);
	int result = 0;

	while (!result && *pushed < count) {
		request->drop.object = objects[*pushed];
		result = push(queue, request, deadline_ns);
		*pushed += !result;
	}
	return result;
}

int defer_drop_queue_push_many(struct defer_drop_queue *queue, void *const *objects, size_t count,
	defer_drop_fn destroy, uint64_t timeout_ns, const struct defer_drop_options *options,
	size_t *pushed)
{
	struct dd_completion *completion;
	struct dd_request request;
	size_t ignored;
	int result = queue && (objects || !count) ? dd_timeout_check(timeout_ns) : -EINVAL;

	pushed = pushed ? pushed : &ignored;
	*pushed = 0;
	if (!result && count > COUNT_MAX)
		result = -EOVERFLOW;
	if (!result)
		result = dd_queue_open(queue);
	if (!result)
		result = make_request(queue, destroy, options, &request);
	if (result)
		return result;
	completion = request.options.completion;
	if (completion && !dd_completion_begin(completion, (uint32_t)count))
		return -EBUSY;
	result = push_all(queue, &request, objects, count, timeout_ns, pushed);
	if (completion && result && !*pushed)
		dd_completion_cancel(completion);
	else if (completion && (result || !count))
		/* Those that were pushed may be destroyed already. */
		if (dd_completion_finish(completion, (uint32_t)(count - *pushed)))
			dd_add_shared(&queue->failed_total, 1);
	return result;
}

int defer_drop_queue_push_with(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy,
	uint64_t timeout_ns, const struct defer_drop_options *options)
{
	struct dd_completion *completion;
	struct dd_request request;
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (!result)
		result = dd_queue_open(queue);
	if (!result)
		result = make_request(queue, destroy, options, &request);
	if (result)
		return result;
	request.drop.object = object;
	completion = request.options.completion;
	if (completion && !dd_completion_begin(completion, 1))
		return -EBUSY;
	result = push(queue, &request, dd_deadline_after(timeout_ns));
	if (completion && result)
		dd_completion_cancel(completion);
	return result;
}

int defer_drop_with(void *object, defer_drop_fn destroy, uint64_t timeout_ns,
	const struct defer_drop_options *options)
{
	return defer_drop_queue_push_with(
		defer_drop_queue_default(), object, destroy, timeout_ns, options);
}

int dd_queue_push_rcu(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy)
{
	struct dd_request request = {.drop = {object, dd_tagged(destroy, DD_GRACE)}};
	int result = dd_is_destructor(destroy) ? dd_queue_open(queue) : -EINVAL;

	if (!result)
		result = dd_grace_use(&queue->grace);
	return result ? result : dd_queue_push_request(queue, &request, DEFER_DROP_FOREVER);
}
