/* SPDX-License-Identifier: MIT
 *
 * A system that refuses: each thing that the library asks it for, in turn. Each time in a process
 * of its own, since the default queue is there once.
 */
#define _GNU_SOURCE
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

const struct hostile_case hostile_cases[] = {
	{"once", "Whichever call for a resource fails, the answer is documented and nothing lost.",
		refuse_once},
	{"all", "The same where all calls fail from one on.", refuse_all},
	{"kind", "The same where all calls of one kind fail from one on.", refuse_a_kind},
	{NULL, NULL, NULL},
};
