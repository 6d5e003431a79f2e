/* SPDX-License-Identifier: MIT
 *
 * How the debugger runs its child: it stops the victim at a given instruction, and has the mate do
 * its duties meanwhile (stopped.h).
 */
#include "stopped.h"
#include "debugger.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

struct stage *stage;
const struct course *course;
pid_t victim;
unsigned instructions;

static pid_t child;

void begin(const struct course *of)
{
	course = of;
	stage = share_memory(sizeof *stage);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		be_mate();
	AWAIT(stage->victim);
	victim = (pid_t)stage->victim;
	debugger_attach(victim);
	atomic_store(&stage->is_watched, 1);
	debugger_await_trap(victim);
}

void await_mate(void)
{
	uint64_t until_ns = now_ns() + DEADLINE_NS / 2;

	while (stage->duty) {
		if (!debugger_has(victim) || now_ns() > until_ns) {
			fprintf(stderr,
				"the others cannot go on: duty %u, mode %u, stopped after %u\n",
				stage->duty, stage->mode, instructions);
			exit(1);
		}
		rest_a_bit();
	}
}

void order(enum duty duty)
{
	atomic_store(&stage->duty, duty);
	await_mate();
}

void await_child(void)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		CHECK(errno == EINTR);
	CHECK(!status);
	CHECK(!munmap(stage, sizeof *stage));
}

void finish(void)
{
	atomic_store(&stage->is_over, 1);
	debugger_see_off(victim);
	atomic_store(&stage->duty, END);
	await_child();
}

void release(void)
{
	debugger_continue(victim);
	debugger_await_trap(victim);
}

/* From the trap. */
static bool step_on(unsigned count)
{
	while (!stage->is_pushing)
		debugger_step(victim);
	for (instructions = 0; instructions < count && stage->is_pushing; instructions++)
		debugger_step(victim);
	return stage->is_pushing;
}

bool step_into(unsigned count)
{
	debugger_continue(victim);
	debugger_await_trap(victim);
	return step_on(count);
}

bool stops_after(unsigned count)
{
	do {
		if (step_into(count))
			return true;
		release();
	} while (course->is_waking && !stage->has_woken);
	return false;
}

/* Makes the worker trap, where a round begins. */
static void trap_worker(void)
{
	atomic_store(&stage->duty, BEGIN_ROUND);
	debugger_await_trap(victim);
	await_mate();
}

bool stops_in_round(unsigned count)
{
	bool is_inside;

	trap_worker();
	atomic_store(&stage->is_standing, 0);
	atomic_store(&stage->duty, ROUSE);
	is_inside = step_on(count);
	atomic_store(&stage->is_standing, 1);
	await_mate();
	return is_inside;
}

void finish_worker(void)
{
	trap_worker();
	atomic_store(&stage->duty, END);
	debugger_see_off(victim);
	await_child();
}
