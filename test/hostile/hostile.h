/* SPDX-License-Identifier: MIT
 *
 * What the hostile tests share: cases that each run in a process of their own, children whose end
 * and words are looked at, and a ledger that outlives them.
 *
 * A hostile program has a plain main (hostile.c), so that it runs under every checker. Without
 * arguments it runs all its cases, each in a child; with names, only those, in its own process, for
 * a debugger.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <defer_drop.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/check.h"
#include "../common/queues.h"

/* Longer than anything here may take: what has not ended by then hangs. */
#define DEADLINE_SECONDS 120
#define DEADLINE_NS      (UINT64_C(1000000000) * DEADLINE_SECONDS)

/* One thing that a process may do to the library, and what must hold. */
struct hostile_case {
	const char *name;
	const char *claim; /* one sentence */
	void (*run)(void);
};

/* Each program has its own; the last one has no name. */
extern const struct hostile_case hostile_cases[];

/* Ends a case that cannot run here. */
_Noreturn void skip(const char *why);

/*
 * Skips a case where the first thread of a forked child ends before the others, if the C library has
 * the fault that these can then neither start nor end a thread: the kernel is not told to unlock its
 * list of threads (musl 1.2.3).
 */
void need_ends_in_children(void);

/* Returns the first, or in the stress suite, which sets HOSTILE_LONG, the second. */
unsigned scaled(unsigned quick, unsigned stress);

/* Zeros, shared with every child that is forked from here on; never freed. */
void *share_memory(size_t bytes);

/* What was accepted and what was destroyed, in memory that children share. */
struct ledger {
	atomic_uint accepted;
	atomic_uint destroyed;
	atomic_uint mark; /* for the case to use */
};

/* Returns a ledger of zeros, in shared memory. */
struct ledger *ledger_open(void);
/* A destructor: its object is a ledger. */
void ledger_count(void *ledger);
/* Pushes one drop that counts itself destroyed, and counts it accepted if it was. */
int ledger_push(struct ledger *ledger, struct defer_drop_queue *queue);

/* Holds up the thread that destroys it until it is opened. */
struct gate {
	atomic_bool is_entered;
	atomic_bool is_open;
};

/* A destructor: its object is a gate. */
void pass_gate(void *gate);
/* Shuts a gate, and makes the thread that destroys for this queue stand in it. */
void hold_up(struct defer_drop_queue *queue, struct gate *gate);

/* How a child ended. */
struct outcome {
	pid_t process;
	int status;       /* as waitpid(2) gives it */
	char words[8192]; /* what it wrote to stderr, ended by 0 */
};

/* Runs body(argument) in a child, then _exit(0) there, and waits for its end; a child that hangs is
 * a failure. */
void run_child(struct outcome *outcome, void (*body)(void *argument), void *argument);
/* Runs a child that must end by exit status 0; passes its words on. */
void run_good_child(void (*body)(void *argument), void *argument);

/*
 * Returns what follows "PROCESS[PID]: defer_drop" in this line, if the child's library has reported
 * it: ": TEXT" of the default queue, " NAME: TEXT" of a queue of that name. Else NULL.
 */
const char *report_of(const struct outcome *outcome, const char *line);
/* True if the child's library has reported a line that continues with this text. */
bool has_report(const struct outcome *outcome, const char *text);

#endif
