/* SPDX-License-Identifier: MIT
 *
 * What destructors cost: times of all, and of the most expensive functions, in a table of a few
 * places. A function without a place takes from the credit of the cheapest one, and has its place
 * when nothing is left of that: so what is expensive in the end gets in, however many functions
 * there are, and the times of one that has lost its place are those of all minus those of the table.
 *
 * number of a place: odd while the place changes hands, and never the same again.
 *
 * Edges:
 *   PLACED  take_place: number, release -> dd_cost_read: number, acquire
 *           carries the function, and that the times before it are gone
 */
#ifndef DD_COSTS_H
#define DD_COSTS_H

#include <stdbool.h>

#include "core/times.h"
#include "defer_drop.h"

#ifndef DD_COSTS /* models have fewer */
#define DD_COSTS 16
#endif

/* How often a reader looks at a place that changes hands: its consumer may have been stopped. */
#ifndef DD_COST_LOOKS
#define DD_COST_LOOKS 100
#endif

struct dd_cost {
	_Atomic(uint64_t) number;
	_Atomic(defer_drop_fn) destroy; /* NULL: the place is free */
	struct dd_times times;
	uint64_t credit_ns; /* the consumer's */
};

struct dd_costs {
	struct dd_times all;
	struct dd_cost places[DD_COSTS];
};

static inline defer_drop_fn dd_cost_destructor(struct dd_cost *cost)
{
	/* ->REUSED: without acquire the reader's second look at the number could be too old. */
	return atomic_load_explicit(&cost->destroy, memory_order_acquire);
}

/* Gives a place to a function. */
static inline void dd_cost_take_place(struct dd_cost *cost, defer_drop_fn destroy)
{
	/* Odd already in a child, if the parent's consumer was in here. */
	uint64_t number = atomic_load_explicit(&cost->number, memory_order_relaxed) | 1;

	/* Relaxed is enough: REUSED carries it. */
	atomic_store_explicit(&cost->number, number, memory_order_relaxed);
	/* REUSED->: without release the function could be read with the times before it. */
	atomic_store_explicit(&cost->destroy, destroy, memory_order_release);
	dd_times_clear(&cost->times);
	/* PLACED->: without release the times before it could be read with this number. */
	atomic_store_explicit(&cost->number, number + 1, memory_order_release);
	cost->credit_ns = 0;
}

/* Returns the place of a function, the first free one, or the cheapest. */
static inline struct dd_cost *dd_costs_find(struct dd_costs *costs, defer_drop_fn destroy)
{
	struct dd_cost *cheapest = &costs->places[0];

	for (uint32_t i = 0; i < DD_COSTS; i++) {
		struct dd_cost *at = &costs->places[i];
		defer_drop_fn has = dd_cost_destructor(at);

		if (has == destroy || !has)
			return at;
		if (at->credit_ns < cheapest->credit_ns)
			cheapest = at;
	}
	return cheapest;
}

/* Adds the time of a destructor that stands for `weight` calls. By the consumer. */
static inline void dd_costs_add(
	struct dd_costs *costs, defer_drop_fn destroy, uint64_t ns, uint64_t weight)
{
	struct dd_cost *cost = dd_costs_find(costs, destroy);
	uint64_t cost_ns = ns * weight;

	dd_times_add(&costs->all, ns, weight);
	if (dd_cost_destructor(cost) != destroy) {
		if (dd_cost_destructor(cost) && cost->credit_ns > cost_ns) {
			cost->credit_ns -= cost_ns;
			return;
		}
		dd_cost_take_place(cost, destroy);
	}
	dd_times_add(&cost->times, ns, weight);
	cost->credit_ns += cost_ns;
}

/* Reads a place. Returns its function; NULL if it has none, or changes hands. By any thread. */
static inline defer_drop_fn dd_cost_read(struct dd_cost *cost, struct dd_reading *to)
{
	for (uint32_t i = 0; i < DD_COST_LOOKS; i++) {
		/* ->PLACED: without acquire what is read could be older than the number. */
		uint64_t number = atomic_load_explicit(&cost->number, memory_order_acquire);
		defer_drop_fn destroy = dd_cost_destructor(cost);

		dd_times_read(&cost->times, to);
		if (!(number % 2) &&
			atomic_load_explicit(&cost->number, memory_order_relaxed) == number)
			return destroy;
	}
	return NULL;
}

#endif
