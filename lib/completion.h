/* SPDX-License-Identifier: MIT
 *
 * The completion of drops: a word in the caller's memory that says whether it is the caller's
 * again.
 *
 * state, with WAITED beside it where a thread sleeps on it:
 *   UNUSED, OVER -> PENDING  the push that begins to use it
 *   PENDING -> UNUSED        that push, where it pushed nothing
 *   PENDING -> TOLD          who counts the last drop, where an eventfd is to be signalled: who
 *                            hears of that must wait until the eventfd is no longer needed
 *   PENDING, TOLD -> OVER    the same: its last access
 *   OVER -> UNUSED           cannot happen: who has not polled yet would not know what became of it
 *
 * Edges:
 *   COUNT  count: left, release -> count: left, acquire
 *          carries what the destructors did, and their status, to who counts the last of them
 *   OVER   end, cancel: state, release -> look, begin: state, acquire
 *          carries the same, and that the memory is the caller's
 */
#ifndef DD_COMPLETION_H
#define DD_COMPLETION_H

#include "futex.h"

enum dd_completion_state {
	DD_COMPLETION_UNUSED,
	DD_COMPLETION_PENDING,
	DD_COMPLETION_TOLD,
	DD_COMPLETION_OVER,
	DD_COMPLETION_WAITED = 1 << 30,
};

/* struct defer_drop_completion, as the library sees it. */
struct dd_completion {
	int32_t eventfd;
	_Atomic(uint32_t) state; /* a futex word */
	_Atomic(uint32_t) left;  /* drops that are not counted yet */
	/* Written while it is pending, by the consumer or a push that fails. */
	DD_PLAIN(int32_t) status;
	DD_PLAIN(int32_t) outcome; /* of defer_drop_completion_poll */
	/* Written by the push, before it publishes. */
	uint32_t generation;
	struct defer_drop_queue *queue;
	struct dd_lane *lane;
};

/* Begins to use it for so many drops. False where it is in use. */
static inline bool dd_completion_begin(struct dd_completion *completion, uint32_t count)
{
	uint32_t state = atomic_load_explicit(&completion->state, memory_order_relaxed);

	do {
		if (state != DD_COMPLETION_UNUSED && state != DD_COMPLETION_OVER)
			return false;
		/* ->OVER: without acquire what is written below could be overwritten by the end of
		 * the last use. */
	} while (!atomic_compare_exchange_weak_explicit(&completion->state, &state,
		DD_COMPLETION_PENDING, memory_order_acquire, memory_order_relaxed));
	dd_plain_store(&completion->status, 0);
	dd_plain_store(&completion->outcome, 0);
	atomic_store_explicit(&completion->left, count, memory_order_relaxed);
	return true;
}

/* Nothing was pushed: it is unused again. */
static inline void dd_completion_cancel(struct dd_completion *completion)
{
	/* OVER->: without release another push could begin before our writes. */
	atomic_store_explicit(&completion->state, DD_COMPLETION_UNUSED, memory_order_release);
}

/* By the consumer, before it counts the drop: keeps the first status that is not 0. */
static inline void dd_completion_note(
	struct dd_completion *completion, int32_t status, int32_t outcome)
{
	if (status && !dd_plain_load(&completion->status))
		dd_plain_store(&completion->status, status);
	if (outcome)
		dd_plain_store(&completion->outcome, outcome);
}

/* So many drops are done with. True for who counts the last one: it must end the completion. */
static inline bool dd_completion_count(struct dd_completion *completion, uint32_t drops)
{
	/* COUNT->: without release the status could be missed; ->COUNT */
	return atomic_fetch_sub_explicit(&completion->left, drops, memory_order_acq_rel) == drops;
}

/*
 * So many drops are done with; where they are the last, tells who wants to know: from then on it is
 * the caller's. Returns 0, or what the eventfd has against being signalled.
 */
int dd_completion_finish(struct dd_completion *completion, uint32_t drops);

/* An eventfd is about to be signalled. */
static inline void dd_completion_tell(struct dd_completion *completion)
{
	atomic_fetch_add_explicit(&completion->state, DD_COMPLETION_TOLD - DD_COMPLETION_PENDING,
		memory_order_relaxed);
}

/* Gives it back to the caller. True where threads sleep on its state, and must be woken. */
static inline bool dd_completion_end(struct dd_completion *completion)
{
	/* OVER->: without release the caller could miss the status, or free it under us. */
	return atomic_exchange_explicit(
		       &completion->state, DD_COMPLETION_OVER, memory_order_release) &
	       DD_COMPLETION_WAITED;
}

/* Its state, without WAITED. */
static inline uint32_t dd_completion_look(struct dd_completion *completion)
{
	/* ->OVER */
	return atomic_load_explicit(&completion->state, memory_order_acquire) &
	       ~(uint32_t)DD_COMPLETION_WAITED;
}

/* Asks to be woken. Returns the word to sleep on, or 0 where there is nothing to wait for. */
static inline uint32_t dd_completion_ask(struct dd_completion *completion)
{
	uint32_t state = atomic_load_explicit(&completion->state, memory_order_relaxed);

	do {
		if (state == DD_COMPLETION_UNUSED || state == DD_COMPLETION_OVER)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(&completion->state, &state,
		state | DD_COMPLETION_WAITED, memory_order_relaxed, memory_order_relaxed));
	return state | DD_COMPLETION_WAITED;
}

#endif
