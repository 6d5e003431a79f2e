/* SPDX-License-Identifier: MIT
 *
 * A push off the fast path: to the shared lane, to a full ring, by a destructor, on a closed queue.
 */
#include "calls/push.h"

#include <errno.h>

#include "calls/room.h"
#include "core/group.h"
#include "core/worker.h"
#include "life/default.h"

/* How many slots ahead the shared lane is prefetched: four cache lines. */
#define PREFETCH_SLOTS 16

/* Refuses a push: the object stays the caller's, also if the queue was given up. */
static int refuse(struct dd_lane *lane, int error)
{
	dd_add_shared(&lane->refused_total, 1);
	return error == -ECANCELED ? -ESHUTDOWN : error;
}

/* ---- Push ------------------------------------------------------------------------------------ */

/* Takes the drop back, if attention was set when this thread had published and the queue closes. */
static bool is_taken_back(struct dd_lane *lane, uint64_t at, defer_drop_fn word, uint32_t attention)
{
	return (attention & DD_CLOSED) && dd_ring_retract(&lane->ring, at, word);
}

static void wake(struct defer_drop_queue *queue, uint32_t attention)
{
	if ((attention & DD_ASLEEP) && dd_rouse(&queue->park.attention))
		dd_worker_wake(queue);
}

int dd_queue_push_settle(struct dd_lane *lane, uint64_t at, defer_drop_fn word)
{
	struct defer_drop_queue *queue = lane->queue;
	uint32_t attention = dd_settle(&queue->park.attention);

	if (is_taken_back(lane, at, word, attention)) {
		/* The tail has not moved, so no thread waits for the drop that was taken back. From
		 * now on every push reads CLOSED first. */
		dd_ring_withdraw(&lane->ring);
		return refuse(lane, -ESHUTDOWN);
	}
	if (dd_is_options(word))
		dd_count(&lane->ring.pairs_total);
	dd_ring_advance(&lane->ring, at + dd_width(word));
	wake(queue, attention);
	return 0;
}

/* Tells tools that look for races of a drop that is about to be published at this position. */
static inline void tell_tools(struct dd_lane *lane, uint64_t at)
{
	if (dd_unlikely(lane->queue->is_observed))
		dd_tools_release(&lane->ring.slots[at & lane->ring.mask]);
}

static uint64_t width_of(const struct dd_request *request)
{
	return request->options.word ? 2 : 1;
}

static int push_owned(
	struct dd_lane *lane, const struct dd_request *request, uint64_t deadline_ns, uint64_t *at)
{
	uint64_t last;
	int result;

	if (dd_is_closed(lane->queue))
		return refuse(lane, -ESHUTDOWN);
	*at = dd_ring_own_tail(&lane->ring);
	last = *at + width_of(request) - 1;
	if (dd_ring_is_beyond_limit(&lane->ring, last) && !dd_has_room(lane, last)) {
		result = dd_may_wait(lane, deadline_ns);
		if (!result)
			result = dd_wait_for_room(lane, last, deadline_ns);
		if (result)
			return refuse(lane, result);
		dd_has_room(lane, last); /* moves the limit, so that the next push is fast */
	}
	tell_tools(lane, *at);
	if (request->options.word)
		return dd_push_both_at(lane, lane->queue, *at, &request->options, &request->drop);
	return dd_push_at(lane, lane->queue, *at, request->drop.object, request->drop.destroy);
}

/* Gives up positions claimed in the shared lane: on a closed queue the gap does no harm. */
static int disclaim(struct dd_lane *lane, uint64_t width)
{
	dd_add_shared(&lane->retracted_total, width);
	return -ESHUTDOWN;
}

/*
 * Claims positions in the shared lane, waiting for room until the time is over. A producer claims
 * nothing while it waits: otherwise each of many producers would be woken for its one position, by
 * a system call. Each time that others were faster, it is checked again that it may wait: their
 * drops may be the queue's first after a grace period, and this producer may be a reader that they
 * wait for. TAIL carries that there are such drops.
 */
static int claim_slowly(struct dd_lane *lane, uint64_t width, uint64_t deadline_ns, uint64_t *at)
{
	int result;

	if (dd_ring_claim_try(&lane->ring, width, at))
		return 0;
	dd_nudge_shared(lane, *at);
	dd_ring_tail(&lane->ring);
	result = dd_may_wait(lane, deadline_ns);
	while (!result) {
		result = dd_wait_for_room(lane, *at + width - 1, deadline_ns);
		if (!result && dd_ring_claim_try(&lane->ring, width, at))
			return 0;
		dd_ring_tail(&lane->ring);
		if (!result && dd_deadline_has_come(deadline_ns))
			result = -ETIMEDOUT;
		if (!result)
			result = dd_may_wait(lane, deadline_ns);
	}
	return result;
}

/*
 * True if a push without a timeout may claim a position and then wait for room there; the claim
 * cannot be taken back. It may if there is a consumer, or will be, and the thread is no reader. A
 * reader may not even before the queue's first drop after a grace period: others may fill the room
 * with such drops just before the claim.
 */
static inline bool may_claim(struct defer_drop_queue *queue)
{
	/* Relaxed is enough: if the worker ends later, by a stop, it is started again. */
	return (!dd_queue_has_worker(queue) ||
		       atomic_load_explicit(&queue->has_thread, memory_order_relaxed)) &&
	       !dd_grace_is_inside(&queue->grace);
}

/* Claims positions in the shared lane. */
static inline int claim_shared(
	struct dd_lane *lane, uint64_t width, uint64_t deadline_ns, uint64_t *at)
{
	struct dd_ring *ring = &lane->ring;
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (dd_is_closed(lane->queue))
		return -ESHUTDOWN;
	/* One instruction that cannot fail; but others may have claimed the room meanwhile, and
	 * then it has to wait. */
	if (deadline_ns != DEFER_DROP_FOREVER || !dd_ring_has_room(ring, tail + width - 1) ||
		!may_claim(lane->queue))
		return claim_slowly(lane, width, deadline_ns, at);
	*at = dd_ring_claim(ring, width);
	if (dd_likely(dd_ring_has_room(ring, *at + width - 1)))
		return 0;
	return dd_wait_for_room(lane, *at + width - 1, DEFER_DROP_FOREVER) ? disclaim(lane, width)
									   : 0;
}

/* Ends a push that published in the shared lane: reads attention, and acts on it. */
static inline int settle_shared(struct dd_lane *lane, uint64_t at, defer_drop_fn word)
{
	struct dd_park *park = &lane->queue->park;
	uint64_t width = dd_width(word);
	uint32_t attention;

	dd_nudge_shared(lane, at);
	if (dd_likely(!dd_heed(&park->attention)))
		return 0;
	attention = dd_settle(&park->attention);
	if (is_taken_back(lane, at, word, attention)) {
		dd_add_shared(&lane->ring.pairs_total, 1 - width);
		return refuse(lane, disclaim(lane, width));
	}
	wake(lane->queue, attention);
	return 0;
}

/*
 * True if the positions were claimed in vain. A consumer that closes the queue moves head past
 * positions that were claimed but not published. This frees slots that the threads which claimed
 * them may still fill. A producer that finds such room sees CLOSED here, by RECYCLE, and must leave
 * the slot alone.
 */
static inline bool is_claimed_in_vain(struct dd_lane *lane)
{
	return dd_unlikely(dd_is_closed(lane->queue));
}

static inline int push_shared(
	struct dd_lane *lane, void *object, defer_drop_fn word, uint64_t deadline_ns, uint64_t *at)
{
	int result = claim_shared(lane, 1, deadline_ns, at);

	if (dd_unlikely(result))
		return refuse(lane, result);
	if (is_claimed_in_vain(lane))
		return refuse(lane, disclaim(lane, 1));
	/* A locked instruction waits for the stores before it, to lines that the consumer still
	 * has. So the lines of later pushes are fetched meanwhile. (26 ns per drop without, 11
	 * with.) */
	dd_prefetch_to_write(&lane->ring.slots[(*at + PREFETCH_SLOTS) & lane->ring.mask]);
	tell_tools(lane, *at);
	dd_ring_publish(&lane->ring, *at, object, word);
	return settle_shared(lane, *at, word);
}

/* Pushes a drop with options to the shared lane. */
static int push_both_shared(
	struct dd_lane *lane, const struct dd_request *request, uint64_t deadline_ns, uint64_t *at)
{
	int result = claim_shared(lane, 2, deadline_ns, at);

	if (result)
		return refuse(lane, result);
	if (is_claimed_in_vain(lane))
		return refuse(lane, disclaim(lane, 2));
	dd_add_shared(&lane->ring.pairs_total, 1);
	tell_tools(lane, *at);
	dd_ring_publish_both(&lane->ring, *at, &request->options, &request->drop);
	return settle_shared(lane, *at, dd_options_word(&request->options));
}

static void fill_ticket(struct defer_drop_ticket *ticket, struct dd_lane *lane, uint64_t position)
{
	*ticket = (struct defer_drop_ticket){
		.queue_id = dd_read(&lane->queue->id),
		.position = position,
		.lane = lane->index,
		.generation = lane->queue->generation,
	};
}

/* Stores the queue and lane in the completion, before the consumer can see it. */
static void bind_completion(const struct dd_request *request, struct dd_lane *lane)
{
	struct dd_completion *completion = dd_options_completion(&request->options);

	if (!completion)
		return;
	completion->queue = lane->queue;
	completion->lane = lane;
	completion->generation = lane->queue->generation;
}

/* Pushes a drop without options, made by a destructor of a group: it is in the group, too. */
static int push_inherited(
	struct dd_lane *lane, struct defer_drop_group *group, const struct dd_request *request)
{
	const struct dd_drop drop = {request->drop.object, dd_untagged(request->drop.destroy)};
	bool is_after_grace = dd_is_after_grace(request->drop.destroy);
	struct dd_options options = {
		DD_OPTIONS | DD_HAS_GROUP | (is_after_grace ? DD_AFTER_GRACE : 0), &group->own};
	int result = dd_group_enter(group, &options.word);

	if (result)
		return result;
	result = dd_nested_push(&lane->nested, &options, &drop);
	if (result)
		dd_group_withdraw(group, options.word);
	return result;
}

static int push_nested(struct defer_drop_queue *queue, const struct dd_request *request)
{
	struct dd_lane *lane = queue->running_lane;
	const struct dd_options *maker;
	int result;

	if (queue->watch.is_telling)
		return -EDEADLK;
	/* A destructor has ended the process, and this push comes from an exit handler. */
	if (!lane)
		return -ESHUTDOWN;
	bind_completion(request, lane);
	maker = request->options.word ? NULL : dd_group_running(queue);
	result = maker ? push_inherited(lane, dd_options_group(maker), request)
		       : dd_nested_push(&lane->nested, &request->options, &request->drop);
	if (result)
		return result;
	dd_count(&queue->nested_total);
	if (request->ticket)
		fill_ticket(request->ticket, lane, dd_plain_load(&lane->ring.cursor));
	return 0;
}

/* Notes where the thread's drops in the shared lane end: when they are destroyed, it may leave. */
static void note_end(const struct dd_lane *lane, uint64_t end)
{
	struct dd_tenancy *tenancy = dd_tenancy_of(lane->queue);

	if (tenancy && tenancy->lane == lane)
		tenancy->left_at = end;
}

static int push_in(struct dd_lane *lane, const struct dd_request *request, uint64_t deadline_ns)
{
	uint64_t at = 0;
	int result;

	bind_completion(request, lane);
	if (!lane->is_shared)
		result = push_owned(lane, request, deadline_ns, &at);
	else if (request->options.word)
		result = push_both_shared(lane, request, deadline_ns, &at);
	else
		result = push_shared(
			lane, request->drop.object, request->drop.destroy, deadline_ns, &at);
	if (!result && lane->is_shared)
		note_end(lane, at + width_of(request));
	if (!result && request->ticket)
		fill_ticket(request->ticket, lane, at + width_of(request));
	return result;
}

/*
 * A thread that is ending, and whose lane another thread has taken over, pushes to the shared lane
 * from now on. To keep its order, it first waits until its drops in the old lane are destroyed. It
 * destroys none itself: thread-specific data that a destructor needs may be gone.
 */
static int move_to_shared(struct dd_tenancy *tenancy, uint64_t deadline_ns)
{
	struct dd_lane *lane = tenancy->lane;
	int result = dd_wait_poll(lane, tenancy->left_at);

	if (result == -EINPROGRESS) {
		result = dd_may_wait(lane, deadline_ns);
		if (!result)
			result = dd_wait(lane, tenancy->left_at, deadline_ns);
	}
	if (!result)
		tenancy->lane = &lane->queue->shared;
	return result;
}

/* Pushes as a thread whose lanes were given back. */
static int push_leaving(
	struct defer_drop_queue *queue, const struct dd_request *request, uint64_t deadline_ns)
{
	struct dd_tenancy *tenancy = dd_tenancy_of(queue);
	int result = 0;

	if (tenancy && dd_lane_reclaim(tenancy)) {
		result = push_in(tenancy->lane, request, deadline_ns);
		dd_lane_return(tenancy);
		return result;
	}
	if (tenancy && !tenancy->lane->is_shared)
		result = move_to_shared(tenancy, deadline_ns);
	return result ? refuse(&queue->shared, result)
		      : push_in(&queue->shared, request, deadline_ns);
}

int dd_queue_push_request(
	struct defer_drop_queue *queue, const struct dd_request *request, uint64_t deadline_ns)
{
	int result;

	if (dd_is_running(queue))
		return push_nested(queue, request);
	result = dd_queue_open(queue);
	if (result)
		return result;
	if (dd_self.is_leaving)
		return push_leaving(queue, request, deadline_ns);
	return push_in(dd_lane_of(queue), request, deadline_ns);
}

/* True if the calling thread may push to the lane of its tenancy without more checks. */
static inline bool is_at_home(const struct dd_tenancy *tenancy)
{
	return tenancy && !dd_self.running && !dd_self.is_leaving;
}

static inline int push_off_path(struct defer_drop_queue *queue, struct dd_tenancy *tenancy,
	void *object, defer_drop_fn word, uint64_t timeout_ns)
{
	struct dd_request request;
	int result;
	uint64_t at;

	if (!dd_is_destructor(word))
		return -EINVAL;
	if (is_at_home(tenancy) && tenancy->lane->is_shared && !dd_read_32(&queue->vacancy)) {
		result = push_shared(
			tenancy->lane, object, word, dd_deadline_after(timeout_ns), &at);
		if (!result)
			tenancy->left_at = at + 1;
		return result;
	}
	request = (struct dd_request){.drop = {object, word}};
	return dd_queue_push_request(queue, &request, dd_deadline_after(timeout_ns));
}

int dd_queue_push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn word, uint64_t timeout_ns)
{
	return push_off_path(queue, dd_tenancy_of(queue), object, word, timeout_ns);
}

int defer_drop_queue_push(
	struct defer_drop_queue *queue, void *object, defer_drop_fn destroy, uint64_t timeout_ns)
{
	int result = queue ? dd_timeout_check(timeout_ns) : -EINVAL;
	struct dd_tenancy *tenancy;

	if (dd_unlikely(result))
		return result;
	tenancy = dd_tenancy_of(queue);
	if (is_at_home(tenancy) && !tenancy->lane->is_shared)
		return dd_push(tenancy->lane, queue, object, destroy, timeout_ns);
	return push_off_path(queue, tenancy, object, destroy, timeout_ns);
}

int defer_drop_again(void *object, defer_drop_fn destroy)
{
	struct defer_drop_queue *queue = dd_self.running ? dd_self.running->queue : NULL;
	struct dd_drop current = {NULL, NULL};

	if (!destroy)
		return -EINVAL;
	if (queue)
		current = dd_escape_current(queue);
	if (!current.destroy || current.object != object)
		return -ENOENT;
	return defer_drop_queue_push(queue, object, destroy, 0);
}

int defer_drop_queue_attach(struct defer_drop_queue *queue)
{
	int result = queue ? dd_queue_open(queue) : -EINVAL;

	if (result)
		return result;
	if (dd_is_running(queue))
		return -EDEADLK;
	if (dd_queue_state(queue) >= DD_CLOSING)
		return -ESHUTDOWN;
	return dd_lane_of(queue)->is_shared ? -ENOSPC : 0;
}

int defer_drop_queue_ticket(struct defer_drop_queue *queue, struct defer_drop_ticket *ticket)
{
	struct dd_tenancy *tenancy;
	struct dd_lane *lane;
	int result;

	if (!queue || !ticket)
		return -EINVAL;
	if (dd_is_running(queue))
		return -EDEADLK;
	result = dd_queue_open(queue);
	if (result)
		return result;
	tenancy = dd_tenancy_of(queue);
	lane = tenancy ? tenancy->lane : &queue->shared;
	/* The lane that an ending thread gave back may belong to another thread by now. */
	fill_ticket(ticket, lane,
		dd_self.is_leaving && !lane->is_shared ? tenancy->left_at
						       : dd_ring_tail(&lane->ring));
	return 0;
}
