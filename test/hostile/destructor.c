/* SPDX-License-Identifier: MIT
 *
 * Destructors that do what nobody expects of them.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <stdlib.h>

/* ---- A chain of drops, each made by the destructor of the one before it ---------------------- */

#define CHAIN_LENGTH 3000000

struct chain {
	unsigned left;
	char *lowest; /* of the stack, that any of them saw */
	char *highest;
};

static void drop_next(void *object)
{
	struct chain *chain = object;
	char here;

	if (!chain->lowest || &here < chain->lowest)
		chain->lowest = &here;
	if (&here > chain->highest)
		chain->highest = &here;
	if (chain->left-- > 1)
		ANSWERS(0, defer_drop(chain, drop_next));
}

static void run_chain(void)
{
	struct chain chain = {.left = CHAIN_LENGTH};

	ANSWERS(0, defer_drop(&chain, drop_next));
	ANSWERS(0, defer_drop_flush());
	CHECK(!chain.left);
	CHECK(chain.highest - chain.lowest < 4096);
}

const struct hostile_case hostile_cases[] = {
	{"chain", "A chain of millions of nested drops neither recurses nor grows the stack.",
		run_chain},
	{NULL, NULL, NULL},
};
