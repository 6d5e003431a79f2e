/* SPDX-License-Identifier: MIT
 *
 * What becomes of lanes, and of the drops in them, in a forked child.
 */
#include "core/group.h"
#include "core/queue.h"
#include "life/fork.h"
#include "life/fork_ring.h"

static _Atomic(defer_drop_fn) not_run;

static bool is_mine(const struct dd_lane *lane)
{
	const struct dd_tenancy *tenancy = dd_tenancy_of(lane->queue);

	return tenancy && tenancy->lane == lane && !dd_self.is_leaving;
}

/*
 * The completion may lie on the stack of a thread that the child does not have. The context, or the
 * member of a group, that it kept stays.
 */
uint64_t dd_fork_strip(struct dd_options *options)
{
	options->pointer =
		options->word & (DD_HAS_CONTEXT | DD_HAS_GROUP) ? dd_options_kept(options) : NULL;
	options->word &= ~DD_HAS_COMPLETION;
	if (options->word & DD_HAS_GROUP)
		dd_group_keep(options);
	return options->word & DD_BYTES;
}

/* Returns the destructor that no child runs; or NULL, which is no destructor of a drop. */
static defer_drop_fn passed_over(void)
{
	return atomic_load_explicit(&not_run, memory_order_relaxed);
}

void dd_fork_pass_over(defer_drop_fn destroy)
{
	/* Relaxed is enough: the thread that forks has set it, or knows no drop of it. */
	atomic_store_explicit(&not_run, destroy, memory_order_relaxed);
}

/* Takes the place of the destructor that no child runs. */
static void pass_over(void *object)
{
	(void)object;
}

/* Keeps a place in the list of nested drops: options, or a drop. Returns the bytes it holds. */
static uint64_t survive_place(struct dd_drop *place)
{
	struct dd_options options = {(uint64_t)(uintptr_t)place->destroy, place->object};
	uint64_t bytes = 0;

	if (dd_is_options(place->destroy)) {
		bytes = dd_fork_strip(&options);
		*place = (struct dd_drop){options.pointer, dd_options_word(&options)};
	} else if (dd_untagged(place->destroy) == passed_over()) {
		place->destroy = pass_over;
	}
	return bytes;
}

/* Drops what a lane has in the middle, in a child that keeps no drops. */
static void leave_unfinished(struct dd_lane *lane)
{
	struct dd_options options;
	struct dd_drop ignored;

	lane->current.is_again = lane->nested_current.is_again = false;
	while (dd_nested_take(&lane->nested, &options, &ignored))
		;
}

/* Keeps the drops made by the one that this thread is destroying. Returns the bytes they hold. */
static uint64_t survive_nested(struct dd_lane *lane)
{
	struct dd_current *last = &lane->nested_current;
	uint64_t bytes = 0;

	if (last->is_again || lane->queue->nested_running == last)
		bytes += dd_fork_strip(&last->options);
	for (struct dd_chunk *at = lane->nested.first; at; at = at->next)
		for (uint32_t i = at->begin; i < at->end; i++)
			bytes += survive_place(&at->drops[i]);
	return bytes;
}

/* Keeps the drops of a lane, or none. Returns the bytes that they hold. */
static uint64_t survive_drops(struct dd_lane *lane, bool is_kept)
{
	struct defer_drop_queue *queue = lane->queue;
	struct dd_ring *ring = &lane->ring;
	/* A consumer that the child does not have may have been in the middle of anything. */
	bool is_running =
		dd_is_running(queue) && (queue->running_lane == lane || lane->is_unfinished);
	uint64_t bytes = 0;
	uint64_t running;
	uint64_t pairs;

	if (is_running) {
		if (!is_kept)
			leave_unfinished(lane);
		bytes = dd_fork_strip(&lane->current.options) + survive_nested(lane);
	} else {
		lane->current = lane->nested_current = (struct dd_current){.width = 1};
		lane->nested = (struct dd_nested){NULL, NULL, 0, 0};
		lane->is_unfinished = false;
	}
	dd_record_end(&lane->left);
	running = is_running ? lane->current.width : 0;
	if (is_kept)
		dd_ring_lose(ring, passed_over(), running);
	dd_ring_survive(ring, is_kept, running);
	pairs = is_running && lane->current.width == 2;
	for (uint64_t at = dd_plain_load(&ring->cursor); at != dd_ring_tail(ring); at++) {
		struct dd_options options = dd_ring_options(ring, at);

		if (!dd_ring_holds_options(ring, at))
			continue;
		bytes += dd_fork_strip(&options);
		dd_ring_set_options(ring, at, &options);
		pairs++;
	}
	atomic_store_explicit(&ring->pairs_total, pairs, memory_order_relaxed);
	return bytes;
}

static void zero(_Atomic(uint64_t) *counter)
{
	atomic_store_explicit(counter, 0, memory_order_relaxed);
}

static uint64_t survive(struct dd_lane *lane, bool is_kept)
{
	uint64_t bytes = survive_drops(lane, is_kept);

	lane->first = dd_read(&lane->ring.head);
	lane->is_set_aside = false;
	lane->cover.nested = lane->nested.taken_total;
	lane->cover.position = dd_plain_load(&lane->ring.cursor);
	if (lane->queue->grace.is_orphaned) { /* and the only thread of the child is no reader */
		lane->cover.nested = lane->nested.pushed_total;
		lane->cover.position = dd_ring_tail(&lane->ring);
	}
	/* The consumer may have begun a turn, of which this process need not have seen all. */
	lane->queue->next_words[lane->index] = NULL;
	dd_wait_forget(lane);
	atomic_store_explicit(&lane->alarm, lane->first + DD_NO_ALARM, memory_order_relaxed);
	zero(&lane->refused_total);
	zero(&lane->retracted_total);
	zero(&lane->waits_total);
	zero(&lane->wait_ns_total);
	zero(&lane->pairs_done_total);
	zero(&lane->skipped_total);
	zero(&lane->abandoned_total);
	zero(&lane->passed_over_total);
	zero(&lane->highest_backlog);
	return bytes;
}

void dd_lanes_survive(struct defer_drop_queue *queue, bool is_kept)
{
	uint32_t count = atomic_load_explicit(&queue->lane_count, memory_order_relaxed);

	struct dd_tenancy *own = dd_tenancy_of(queue);
	uint64_t bytes = survive(&queue->shared, is_kept);

	queue->free_lanes = queue->cold_lanes = NULL;
	atomic_store_explicit(&queue->free_count, 0, memory_order_relaxed);
	atomic_store_explicit(&queue->vacancy, 0, memory_order_relaxed);
	if (own && own->lane->is_shared)
		own->left_at = dd_ring_own_tail(&queue->shared.ring);
	for (uint32_t i = count; --i > 0;) {
		struct dd_lane *lane = queue->lanes[i];

		bytes += survive(lane, is_kept);
		if (own && own->lane == lane)
			own->left_at = dd_ring_own_tail(&lane->ring);
		if (is_mine(lane))
			continue;
		dd_lane_give_back(lane);
	}
	dd_budget_forget(&queue->budget, bytes);
}
