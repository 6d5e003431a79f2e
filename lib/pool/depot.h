/* SPDX-License-Identifier: MIT
 *
 * Magazines, and the depot through which they go from thread to thread.
 *
 * A magazine is an array of pointers to blocks. It belongs to one thread, or lies in a stack of the
 * depot. A thread puts one into a stack with a compare-exchange. To take one it exchanges the whole
 * stack for NULL, keeps the first magazine and puts the rest back. So no thread ever follows a
 * pointer of a magazine that another thread may take or free meanwhile, and a magazine that comes
 * back does no harm. (If takers exchanged the first magazine for the second, the stack would have
 * both problems, and none of its magazines could be freed.) While a thread holds the rest, others
 * find nothing and go to the backing: a magazine is taken once in some 100 blocks, and the rest is
 * back within some 20 ns, unless the thread loses its CPU at that moment.
 *
 * The stacks of a depot:
 *   home     with blocks, put there by threads that gave
 *   ready    with blocks, for threads that take
 *   empty    without blocks, for threads that give
 *   spare    without blocks, and not needed
 *
 *   home -> ready             all of them, by a taker that finds none ready
 *   ready -> home             by a taker that puts back the rest, if others are ready meanwhile
 *   ready, home -> backing    as many as were idle, in pieces
 *   empty -> spare -> free    with each turn, dd_depot_turn; in pieces
 *
 * So takers get what has been at home for longest, not what came last. The caches of the CPU that
 * gave still hold the latter, and a taker waits for these longer than for the cache that both
 * share. (Measured with a worker on another core, lists of 64 nodes of 64 bytes, 65000 nodes at
 * once on their way: 10 to 11 ns for a node, and 19 to 21 if takers look at home first.) Takers
 * also have a line of their own, which threads that give do not touch.
 *
 * Blocks that were at rest during a whole turn, however many came and went, are idle (the working
 * set of a depot: Bonwick and Adams, section 3.6).
 *
 * Edges:
 *   HOME    put, put_back, put_rest: first, release -> take_all: first, acquire
 *           carries the magazines, and what the threads that gave did with their blocks
 */
#ifndef DD_POOL_DEPOT_H
#define DD_POOL_DEPOT_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

struct dd_place {
	DD_PLAIN(void *) block;
};

/* A magazine. Its places follow it. */
struct dd_magazine {
	DD_PLAIN(struct dd_magazine *) next; /* in a stack */
	DD_PLAIN(uint64_t) count;            /* blocks; out of date while a thread has it loaded */
};

static inline struct dd_place *dd_magazine_places(struct dd_magazine *magazine)
{
	return (struct dd_place *)(magazine + 1);
}

/* Makes an empty magazine with room for `blocks` blocks; NULL if there is no memory. */
struct dd_magazine *dd_magazine_new(uint32_t blocks);
void dd_magazine_free(struct dd_magazine *magazine);

/* Cache lines written by different threads lie this far apart. */
#define DD_DEPOT_LINE 64

struct dd_stack {
	_Atomic(struct dd_magazine *) first;
};

/* Any thread reads and writes it. */
struct dd_depot {
	alignas(DD_DEPOT_LINE) struct dd_stack home;
	_Atomic(uint64_t) blocks; /* in home and ready; more for a moment, never less */
	alignas(DD_DEPOT_LINE) struct dd_stack empty;
	alignas(DD_DEPOT_LINE) struct dd_stack ready;
	_Atomic(uint64_t) fewest; /* blocks, since the last turn */
	_Atomic(uint64_t) idle;   /* blocks that are to go to the backing */
	struct dd_stack spare;
};

/* ---- Stacks ---------------------------------------------------------------------------------- */

/* True if the stack was empty a moment ago: for hints. */
static inline bool dd_stack_is_empty(struct dd_stack *stack)
{
	return !atomic_load_explicit(&stack->first, memory_order_relaxed);
}

static inline void dd_stack_put(struct dd_stack *stack, struct dd_magazine *magazine)
{
	struct dd_magazine *first = atomic_load_explicit(&stack->first, memory_order_relaxed);

	do
		dd_plain_store(&magazine->next, first);
	/* HOME->: without release a taker could read blocks that are not in it yet. */
	while (!atomic_compare_exchange_weak_explicit(
		&stack->first, &first, magazine, memory_order_release, memory_order_relaxed));
}

/* Takes all magazines, linked by next, for the caller alone. NULL if there are none. */
static inline struct dd_magazine *dd_stack_take_all(struct dd_stack *stack)
{
	if (dd_stack_is_empty(stack))
		return NULL; /* without a write to the line that others use */
	/* ->HOME: without acquire the caller could read what its magazines held before. */
	return atomic_exchange_explicit(
		&stack->first, (struct dd_magazine *)NULL, memory_order_acquire);
}

/* Puts a chain of magazines below those that came meanwhile, which are few. */
static inline void dd_stack_put_back(struct dd_stack *stack, struct dd_magazine *chain)
{
	struct dd_magazine *none = NULL;

	/* HOME->: without release a taker could read blocks that are not in them yet; it passes on
	 * magazines of other threads too. */
	while (chain && !atomic_compare_exchange_strong_explicit(&stack->first, &none, chain,
				memory_order_release, memory_order_relaxed)) {
		struct dd_magazine *above = dd_stack_take_all(stack);
		struct dd_magazine *last = above;

		while (last && dd_plain_load(&last->next))
			last = dd_plain_load(&last->next);
		if (last)
			dd_plain_store(&last->next, chain);
		chain = last ? above : chain;
		none = NULL;
	}
}

/* Takes the magazine that was put there last, or returns NULL. */
static inline struct dd_magazine *dd_stack_take(struct dd_stack *stack)
{
	struct dd_magazine *first = dd_stack_take_all(stack);

	if (first)
		dd_stack_put_back(stack, dd_plain_load(&first->next));
	return first;
}

/* ---- The depot ------------------------------------------------------------------------------- */

static inline uint64_t dd_depot_blocks(struct dd_depot *depot)
{
	return atomic_load_explicit(&depot->blocks, memory_order_relaxed);
}

/* Sends home a magazine that has blocks. */
static inline void dd_depot_send(struct dd_depot *depot, struct dd_magazine *magazine)
{
	/* Counted first: otherwise it could be taken, and counted as taken, before. */
	atomic_fetch_add_explicit(
		&depot->blocks, dd_plain_load(&magazine->count), memory_order_relaxed);
	dd_stack_put(&depot->home, magazine);
}

/* Puts a magazine where others find it: home, or among the empty ones. Does nothing if it is
 * NULL. */
static inline void dd_depot_return(struct dd_depot *depot, struct dd_magazine *magazine)
{
	if (magazine && dd_plain_load(&magazine->count))
		dd_depot_send(depot, magazine);
	else if (magazine)
		dd_stack_put(&depot->empty, magazine);
}

/* Puts back what a taker does not need. */
static inline void dd_depot_put_rest(struct dd_depot *depot, struct dd_magazine *rest)
{
	struct dd_magazine *none = NULL;

	if (!rest)
		return;
	dd_prefetch(rest); /* to be taken next */
	/* HOME->: without release a taker could read blocks that are not in them yet; it passes on
	 * magazines of other threads. */
	if (atomic_compare_exchange_strong_explicit(
		    &depot->ready.first, &none, rest, memory_order_release, memory_order_relaxed))
		return;
	/* Another taker made all of home ready, so that few have come there since. */
	dd_stack_put_back(&depot->home, rest);
}

/* Notes that only so many blocks were at rest. */
static inline void dd_depot_note(struct dd_depot *depot, uint64_t blocks)
{
	uint64_t fewest = atomic_load_explicit(&depot->fewest, memory_order_relaxed);

	while (blocks < fewest && !atomic_compare_exchange_weak_explicit(&depot->fewest, &fewest,
					  blocks, memory_order_relaxed, memory_order_relaxed))
		continue;
}

/* Takes a magazine with blocks, or returns NULL. */
static inline struct dd_magazine *dd_depot_take(struct dd_depot *depot)
{
	struct dd_magazine *first = dd_stack_take_all(&depot->ready);
	uint64_t count;

	if (!first)
		first = dd_stack_take_all(&depot->home);
	if (!first) {
		dd_depot_note(depot, 0);
		return NULL;
	}
	dd_depot_put_rest(depot, dd_plain_load(&first->next));
	count = dd_plain_load(&first->count);
	dd_depot_note(depot,
		atomic_fetch_sub_explicit(&depot->blocks, count, memory_order_relaxed) - count);
	return first;
}

/* Takes the magazine that came home last, or returns NULL. */
static inline struct dd_magazine *dd_depot_take_last(struct dd_depot *depot)
{
	struct dd_magazine *magazine = dd_stack_take(&depot->home);

	if (magazine)
		atomic_fetch_sub_explicit(
			&depot->blocks, dd_plain_load(&magazine->count), memory_order_relaxed);
	return magazine;
}

/* True if, a moment ago, there was no magazine with blocks. */
static inline bool dd_depot_is_empty(struct dd_depot *depot)
{
	return dd_stack_is_empty(&depot->home) && dd_stack_is_empty(&depot->ready);
}

/* Makes a turn: what was at rest all the time is idle. By one thread at a time. */
static inline void dd_depot_turn(struct dd_depot *depot)
{
	atomic_store_explicit(&depot->idle,
		atomic_exchange_explicit(
			&depot->fewest, dd_depot_blocks(depot), memory_order_relaxed),
		memory_order_relaxed);
	dd_stack_put_back(&depot->spare, dd_stack_take_all(&depot->empty));
}

/* Takes a magazine with idle blocks, or returns NULL. */
static inline struct dd_magazine *dd_depot_take_idle(struct dd_depot *depot)
{
	uint64_t idle = atomic_load_explicit(&depot->idle, memory_order_relaxed);
	struct dd_magazine *magazine = idle ? dd_depot_take(depot) : NULL;
	uint64_t count = magazine ? dd_plain_load(&magazine->count) : idle;

	/* If another thread takes idle blocks too, or makes a turn, the count is wrong: then some
	 * go sooner or later than they should. */
	atomic_store_explicit(&depot->idle, idle > count ? idle - count : 0, memory_order_relaxed);
	return magazine;
}

/* ---- Fork ------------------------------------------------------------------------------------ */

/* What the thread that forks takes out, so that the child finds it whole. */
struct dd_depot_held {
	struct dd_magazine *home, *empty, *ready, *spare;
};

static inline void dd_depot_hold(struct dd_depot *depot, struct dd_depot_held *held)
{
	held->home = dd_stack_take_all(&depot->home);
	held->empty = dd_stack_take_all(&depot->empty);
	held->ready = dd_stack_take_all(&depot->ready);
	held->spare = dd_stack_take_all(&depot->spare);
}

/* Resets a depot in the child: what others did to the stacks meanwhile is lost, and may be half
 * done. blocks: how many are held. */
static inline void dd_depot_survive(struct dd_depot *depot, uint64_t blocks)
{
	atomic_store_explicit(&depot->home.first, (struct dd_magazine *)NULL, memory_order_relaxed);
	atomic_store_explicit(
		&depot->empty.first, (struct dd_magazine *)NULL, memory_order_relaxed);
	atomic_store_explicit(
		&depot->ready.first, (struct dd_magazine *)NULL, memory_order_relaxed);
	atomic_store_explicit(
		&depot->spare.first, (struct dd_magazine *)NULL, memory_order_relaxed);
	atomic_store_explicit(&depot->blocks, blocks, memory_order_relaxed);
}

static inline void dd_depot_let_go(struct dd_depot *depot, const struct dd_depot_held *held)
{
	dd_stack_put_back(&depot->home, held->home);
	dd_stack_put_back(&depot->empty, held->empty);
	dd_stack_put_back(&depot->ready, held->ready);
	dd_stack_put_back(&depot->spare, held->spare);
}

#endif
