/* SPDX-License-Identifier: MIT
 *
 * A system that refuses: each resource that the library asks it for, in turn. Each case has a
 * process of its own, because a process has one default queue.
 */
#include <defer_drop/pool.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "hostile.h"
#include "script.h"

struct plan {
	struct ledger *ledger;
	enum script_start start;
	unsigned kinds;
	unsigned first;
	bool is_for_good;
};

/* The exit status of a child that asked for fewer things. */
#define ALL_GRANTED 2

static void follow(void *argument)
{
	const struct plan *plan = argument;
	bool was_refused;

	fault_begin(plan->kinds, plan->first, plan->is_for_good);
	script_run(plan->ledger, plan->start);
	was_refused = fault_end();
	script_check(plan->kinds & FAULT_SIGNAL);
	exit(was_refused ? 0 : ALL_GRANTED);
}

/* Returns whether a call was refused. */
static bool try(struct plan *plan)
{
	struct outcome outcome;
	bool is_good;

	atomic_store(&plan->ledger->accepted, 0);
	atomic_store(&plan->ledger->destroyed, 0);
	run_child(&outcome, follow, plan);
	is_good = WIFEXITED(outcome.status) &&
		  (!WEXITSTATUS(outcome.status) || WEXITSTATUS(outcome.status) == ALL_GRANTED) &&
		  atomic_load(&plan->ledger->accepted) == atomic_load(&plan->ledger->destroyed);
	if (is_good)
		return !WEXITSTATUS(outcome.status);
	fprintf(stderr, "%sstart %d, kinds %#x, call %u%s: status %#x, %u accepted, %u destroyed\n",
		outcome.words, plan->start, plan->kinds, plan->first,
		plan->is_for_good ? " and all later ones" : "", (unsigned)outcome.status,
		atomic_load(&plan->ledger->accepted), atomic_load(&plan->ledger->destroyed));
	_exit(1);
}

static void refuse(unsigned kinds, bool is_for_good)
{
	struct plan plan = {.ledger = ledger_open(), .kinds = kinds, .is_for_good = is_for_good};

	for (plan.start = 0; plan.start < SCRIPT_STARTS; plan.start++)
		for (plan.first = 1; try(&plan); plan.first++)
			;
}

static void refuse_once(void)
{
	refuse(FAULT_ALL, false);
}

static void refuse_all(void)
{
	refuse(FAULT_ALL, true);
}

static void refuse_a_kind(void)
{
	for (unsigned kind = 0; kind < FAULT_KINDS; kind++)
		refuse(1u << kind, true);
}

/* ---- Pools ----------------------------------------------------------------------------------- */

#define BLOCKS 600

/* The memory that was taken, NULL if there was none. */
static void *blocks[BLOCKS];

static void take_and_give(struct defer_drop_pool *pool)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < BLOCKS; i++) {
		blocks[i] = defer_drop_pool_take(pool);
		taken += blocks[i] != NULL;
	}
	CHECK(taken + 1 >= BLOCKS || !taken || errno == ENOMEM);
	for (unsigned i = 0; i < BLOCKS; i++)
		defer_drop_pool_give(pool, blocks[i]);
}

static void *use_pool(void *pool)
{
	take_and_give(pool);
	return NULL;
}

static void use_classes(void)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
	struct defer_drop_classes *classes = NULL;
	int result = defer_drop_classes_create(&classes, &config);

	CHECK(result == 0 || result == -ENOMEM);
	CHECK(!result == !!classes);
	for (unsigned i = 0; classes && i < BLOCKS; i++)
		blocks[i] = defer_drop_classes_take(classes, 20 * i);
	for (unsigned i = 0; classes && i < BLOCKS; i++)
		defer_drop_classes_give(classes, blocks[i], 20 * i);
	if (classes)
		ANSWERS(0, defer_drop_classes_free(classes));
}

static void use_pools(void *argument)
{
	const struct plan *plan = argument;
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
	struct defer_drop_pool *pool = NULL;
	bool was_refused;
	int result;

	config.block_bytes = 100;
	fault_begin(plan->kinds, plan->first, plan->is_for_good);
	result = defer_drop_pool_create(&pool, &config);
	CHECK(result == 0 || result == -ENOMEM);
	CHECK(!result == !!pool);
	if (pool) {
		take_and_give(pool);
		pthread_join(true_thread(use_pool, pool), NULL);
		take_and_give(pool);
	}
	use_classes();
	was_refused = fault_end();
	if (pool) {
		struct defer_drop_pool_counts counts = DEFER_DROP_POOL_COUNTS_INIT;

		take_and_give(pool);
		ANSWERS(0, defer_drop_pool_stats(pool, &counts));
		CHECK(!counts.out && counts.taken_total == counts.given_total);
		CHECK(counts.at_rest + counts.to_backing_total == counts.from_backing_total);
		ANSWERS(0, defer_drop_pool_free(pool));
	}
	exit(was_refused ? 0 : ALL_GRANTED);
}

static bool try_pools(struct plan *plan)
{
	struct outcome outcome;

	run_child(&outcome, use_pools, plan);
	if (WIFEXITED(outcome.status) &&
		(!WEXITSTATUS(outcome.status) || WEXITSTATUS(outcome.status) == ALL_GRANTED))
		return !WEXITSTATUS(outcome.status);
	fprintf(stderr, "%spools, call %u%s: status %#x\n", outcome.words, plan->first,
		plan->is_for_good ? " and all later ones" : "", (unsigned)outcome.status);
	_exit(1);
}

/* Each of the first calls; further on, where one is like the other, one in a few. */
static void refuse_pools(void)
{
	struct plan plan = {.kinds = FAULT_ALL};

	for (unsigned i = 0; i < 2; i++) {
		plan.is_for_good = i;
		for (plan.first = 1; try_pools(&plan); plan.first += plan.first < 50 ? 1 : 37)
			;
	}
}

const struct hostile_case hostile_cases[] = {
	{"once", "Whichever call for a resource fails, the answer is documented and nothing lost.",
		refuse_once},
	{"all", "So it is if all calls fail from one on.", refuse_all},
	{"kind", "So it is if all calls of one kind fail from one on.", refuse_a_kind},
	{"pools", "Whichever call for memory fails, a pool answers so, and loses no block.",
		refuse_pools},
	{NULL, NULL, NULL},
};
