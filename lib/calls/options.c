/* SPDX-License-Identifier: MIT
 *
 * Drops with options: which are accepted, and what a push acquires for them beforehand.
 */
#include "calls/options.h"

#include <errno.h>
#include <string.h>

#include "calls/push.h"
#include "calls/room.h"
#include "config/versioned.h"
#include "core/group.h"
#include "life/default.h"

_Static_assert(sizeof(struct dd_completion) == sizeof(struct defer_drop_completion) &&
		       offsetof(struct dd_completion, lane) ==
			       offsetof(struct defer_drop_completion, lane),
	"the library's view of defer_drop_completion");

/* Size of the first version of the struct; later versions add to it. */
#define DD_OPTIONS_SIZE_0 64

DD_FIRST_VERSION(struct defer_drop_options, ticket, DD_OPTIONS_SIZE_0);

#define FLAGS ((uint32_t)(DEFER_DROP_AFTER_GRACE_PERIOD | DEFER_DROP_EXCEED_BUDGET))

#define COUNT_MAX INT32_MAX

/* ---- What is asked for ----------------------------------------------------------------------- */

static int check(const struct defer_drop_queue *queue, defer_drop_fn destroy,
	const struct defer_drop_options *options)
{
	const struct defer_drop_completion *completion = options->completion;
	int destructors = (destroy != NULL) + (options->destroy_status != NULL) +
			  (options->destroy_context != NULL);

	if (destructors != 1 || (destroy && !dd_is_destructor(destroy)))
		return -EINVAL;
	if (options->context && !options->destroy_context)
		return -EINVAL;
	if (options->flags & ~FLAGS)
		return -EINVAL;
	if (options->group && options->group->queue != queue)
		return -EINVAL;
	if (options->bytes >= DEFER_DROP_BYTES_END)
		return -EOVERFLOW;
	return completion && completion->eventfd < -1 ? -EINVAL : 0;
}

/* Stores the destructor of the drop. Returns the flags of its type: 0 for a defer_drop_fn. */
static uint64_t take_destructor(const struct defer_drop_options *options, struct dd_drop *drop)
{
	if (options->destroy_status) {
		drop->destroy = (defer_drop_fn)(uintptr_t)options->destroy_status;
		return DD_HAS_STATUS;
	}
	if (options->destroy_context) {
		drop->destroy = (defer_drop_fn)(uintptr_t)options->destroy_context;
		return DD_HAS_CONTEXT;
	}
	return 0;
}

/* Returns the group of a new drop: what a destructor of a group makes is in that group, too. */
static struct defer_drop_group *group_of(
	const struct defer_drop_queue *queue, const struct defer_drop_options *options)
{
	const struct dd_options *maker;

	if (options->group || !dd_is_running(queue))
		return options->group;
	maker = dd_group_running(queue);
	return maker ? dd_options_group(maker) : NULL;
}

/*
 * Makes the request, without an object and without a member of its group. A grace period alone
 * needs no options: it has a tag.
 */
static struct dd_request request_of(struct defer_drop_group *group, defer_drop_fn destroy,
	const struct defer_drop_options *options)
{
	struct dd_request request = {
		.drop = {NULL, destroy},
		.ticket = options->ticket,
		.group = group,
	};
	uint64_t word = options->bytes | take_destructor(options, &request.drop) |
			(group ? DD_HAS_GROUP : 0);
	bool is_after_grace = options->flags & DEFER_DROP_AFTER_GRACE_PERIOD;

	request.may_exceed = options->flags & DEFER_DROP_EXCEED_BUDGET;
	request.options.pointer = options->context;
	request.kept = options->context;
	if (options->completion) {
		word |= DD_HAS_COMPLETION;
		request.options.pointer = options->completion;
	}
	if (word)
		request.options.word = word | DD_OPTIONS | (is_after_grace ? DD_AFTER_GRACE : 0);
	else if (is_after_grace)
		request.drop.destroy = dd_tagged(destroy, DD_GRACE);
	return request;
}

static int make_request(struct defer_drop_queue *queue, defer_drop_fn destroy,
	const struct defer_drop_options *asked, struct dd_request *request)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int result =
		asked ? dd_versioned_copy(&options, sizeof options, DD_OPTIONS_SIZE_0, asked) : 0;

	if (!result)
		result = check(queue, destroy, &options);
	if (!result && (options.flags & DEFER_DROP_AFTER_GRACE_PERIOD))
		result = dd_grace_use(&queue->grace);
	if (!result)
		*request = request_of(group_of(queue, &options), destroy, &options);
	return result;
}

/* ---- The byte budget ------------------------------------------------------------------------- */

static int wait_for_bytes(struct dd_lane *lane, uint64_t bytes, uint64_t deadline_ns)
{
	uint64_t since_ns = dd_now_ns();
	int result = dd_budget_wait(lane->queue, bytes, deadline_ns);

	dd_add_shared(&lane->waits_total, 1);
	dd_add_shared(&lane->wait_ns_total, dd_now_ns() - since_ns);
	return result;
}

/*
 * Takes bytes for a drop. A nested drop gets them at once, since the consumer cannot wait for
 * itself. So does a drop that may exceed the budget, ahead of pushes that wait.
 */
static int take_bytes(
	struct defer_drop_queue *queue, uint64_t bytes, bool may_exceed, uint64_t deadline_ns)
{
	struct dd_lane *lane;
	int result;

	if (may_exceed || dd_is_running(queue))
		return dd_budget_exceed(&queue->budget, bytes) ? 0 : -EOVERFLOW;
	if (dd_budget_take(&queue->budget, bytes))
		return 0;
	lane = dd_lane_of(queue);
	result = dd_may_wait(lane, deadline_ns);
	if (!result)
		result = wait_for_bytes(lane, bytes, deadline_ns);
	if (result)
		dd_add_shared(&lane->refused_total, 1);
	return result;
}

/* Pushes in the name of the request's group, if it has one. */
static int push_in_group(
	struct defer_drop_queue *queue, struct dd_request *request, uint64_t deadline_ns)
{
	struct defer_drop_group *group = request->group;
	int result = group ? dd_group_enter(group, &request->options.word) : 0;

	if (result)
		return result;
	result = dd_queue_push_request(queue, request, deadline_ns);
	if (result && group)
		dd_group_withdraw(group, request->options.word);
	return result;
}

static int push(struct defer_drop_queue *queue, struct dd_request *request, uint64_t deadline_ns)
{
	uint64_t bytes = request->options.word & DD_BYTES;
	int result = bytes ? take_bytes(queue, bytes, request->may_exceed, deadline_ns) : 0;

	if (result)
		return result;
	result = push_in_group(queue, request, deadline_ns);
	if (result)
		dd_budget_give_back(queue, bytes);
	return result;
}

/* ---- Many, or one ---------------------------------------------------------------------------- */

/* True if an eventfd reports the completion. Asked before the push, which hands it to the queue. */
static bool is_told(const struct dd_request *request)
{
	const struct dd_completion *completion = dd_options_completion(&request->options);

	return completion && completion->eventfd >= 0;
}

/* Makes the member for `count` drops in a group. Returns 0 or -ENOMEM. */
static int make_member(struct dd_request *request, uint32_t count)
{
	struct dd_member *member = dd_member_make(request->group, request->kept, count);

	if (!member)
		return -ENOMEM;
	request->kept = member;
	if (!dd_options_completion(&request->options))
		request->options.pointer = member;
	return 0;
}

/* Gives the member back for drops that were not pushed. */
static void give_member_back(const struct dd_request *request, size_t count)
{
	if (request->group && count)
		dd_member_release(request->kept, (uint32_t)count);
}

/*
 * Prepares a push: opens the queue, checks the options, makes a member of the group and takes the
 * completion into use for `count` drops.
 */
static int prepare(struct defer_drop_queue *queue, defer_drop_fn destroy,
	const struct defer_drop_options *options, uint32_t count, struct dd_request *request)
{
	struct dd_completion *completion;
	int result = dd_queue_open(queue);

	if (!result)
		result = make_request(queue, destroy, options, request);
	if (result)
		return result;
	if (request->group && count)
		result = make_member(request, count);
	completion = dd_options_completion(&request->options);
	if (!result && completion && !dd_completion_begin(completion, count)) {
		give_member_back(request, count);
		return -EBUSY;
	}
	if (!result && completion)
		completion->context = request->kept;
	return result;
}

static int push_all(struct defer_drop_queue *queue, struct dd_request *request,
	void *const *objects, size_t count, uint64_t deadline_ns, size_t *pushed)
{
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
	bool ends_nap;
	int result = queue && (objects || !count) ? dd_timeout_check(timeout_ns) : -EINVAL;

	pushed = pushed ? pushed : &ignored;
	*pushed = 0;
	if (!result && count > COUNT_MAX)
		result = -EOVERFLOW;
	if (!result)
		result = prepare(queue, destroy, options, (uint32_t)count, &request);
	if (result)
		return result;
	completion = dd_options_completion(&request.options);
	ends_nap = is_told(&request);
	result = push_all(queue, &request, objects, count, dd_deadline_after(timeout_ns), pushed);
	if (ends_nap && *pushed)
		dd_queue_ring(queue); /* no thread waits, which would end a nap */
	give_member_back(&request, count - *pushed);
	if (completion && result && !*pushed)
		dd_completion_cancel(completion);
	else if (completion && (result || !count))
		/* The drops that were pushed may be destroyed already. */
		if (dd_completion_finish(completion, (uint32_t)(count - *pushed)))
			dd_add_shared(&queue->failed_total, 1);
	return result;
}

int defer_drop_queue_push_with(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy,
	uint64_t timeout_ns, const struct defer_drop_options *options)
{
	struct dd_completion *completion;
	struct dd_request request;
	bool ends_nap;
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;

	if (!result)
		result = prepare(queue, destroy, options, 1, &request);
	if (result)
		return result;
	request.drop.object = object;
	ends_nap = is_told(&request);
	result = push(queue, &request, dd_deadline_after(timeout_ns));
	completion = dd_options_completion(&request.options);
	if (ends_nap && !result)
		dd_queue_ring(queue); /* no thread waits, which would end a nap */
	if (result)
		give_member_back(&request, 1);
	if (completion && result)
		dd_completion_cancel(completion);
	return result;
}

int dd_queue_push_bytes(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t bytes)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = bytes;
	return defer_drop_queue_push_with(queue, object, destroy, DEFER_DROP_FOREVER, &options);
}

int dd_queue_push_rcu(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy)
{
	struct dd_request request = {.drop = {object, dd_tagged(destroy, DD_GRACE)}};
	int result = dd_is_destructor(destroy) ? dd_queue_open(queue) : -EINVAL;

	if (!result)
		result = dd_grace_use(&queue->grace);
	return result ? result : dd_queue_push_request(queue, &request, DEFER_DROP_FOREVER);
}
