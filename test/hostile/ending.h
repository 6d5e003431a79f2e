/* SPDX-License-Identifier: MIT
 *
 * Processes that end: with which policy, and what they report of the drops that they leave.
 */
#ifndef ENDING_H
#define ENDING_H

#include "hostile.h"

#define FOREVER DEFER_DROP_FOREVER

/* The status of processes that end as they should. */
#define GOOD 3

#define DRAIN     "exit_timeout_ns=forever"
#define TIMED     "exit_timeout_ns=60s"
#define TIMED_OUT "exit_timeout_ns=1"
#define AT_ONCE   "exit_timeout_ns=0"

/* What a timed exit reports of a queue, behind its name. */
#define ABANDONS ": exit abandons %u drops"

#define QUEUE_SIZE 16

/* What becomes of the drops. */
struct policy {
	const char *options;
	uint64_t exit_timeout_ns; /* the same, for queues that the environment does not set up */
	bool drains;
	/* A destructor of the worker does not return, and the rings are full: the report is of one
	 * moment, and threads that still push change nothing. */
	bool is_held;
};

#define POLICIES 6
extern const struct policy exit_policies[POLICIES];

/* True if exit reports how many drops it leaves: with a time, and not forever. */
bool reports(const struct policy *policy);

/* The default queue, and one that the process drains, whose drops are still pending at exit. */
#define QUEUES 2

/* Reads how many drops each queue reports that it left, and that nothing else is reported. */
void read_report(const struct outcome *outcome, unsigned left[QUEUES]);

extern struct gate gate;
/* Of the cases of check_turn. mark: what the case counts. */
extern struct ledger *ledger;

void spawn_detached(void *(*run)(void *), void *argument);

/* Makes the worker of the default queue stand in the gate. */
void hold_up_default(void);

/* The start of a thread: opens the gate when the default queue closes. */
void *open_when_closing(void *argument);

/* An exit handler: marks how many drops of the ledger are destroyed by now. */
void mark_destroyed(void);

void set_options(const char *policy);

/* Runs a child, which ends by itself with this status, and writes this number of lines. */
void run_to_end(
	struct outcome *outcome, void (*body)(void *), void *argument, int status, unsigned lines);

/* Runs a child that destroys all that it pushed for the ledger, and leaves this mark. */
void check_turn(void (*body)(void *), void *argument, unsigned mark);

#endif
