/* SPDX-License-Identifier: MIT
 *
 * A script that makes each call of the library, while the system may refuse anything: each answer
 * must be one that the manual lists, and each object is destroyed once or stays the caller's.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdbool.h>

#include "hostile.h"

/* How the default queue begins. */
enum script_start {
	SCRIPT_LAZY,   /* by its first push */
	SCRIPT_STRICT, /* by defer_drop_start, with as much as can be asked for */
	SCRIPT_CALLER, /* by defer_drop_start, to be drained by the caller */
	SCRIPT_STARTS,
};

/* Makes the calls. What was accepted and destroyed goes to the ledger; its mark is the script's. */
void script_run(struct ledger *ledger, enum script_start start);

/*
 * Afterwards, when nothing is refused any more: nothing must be missing, and all must work. What is
 * left is for exit to drain. is_deaf: eventfds could not be written to before.
 */
void script_check(bool is_deaf);

#endif
