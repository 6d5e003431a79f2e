/* SPDX-License-Identifier: MIT
 *
 * What is out of everybody's reach and waits to be destroyed: a value, a table that was outgrown, a
 * data set. It begins with this head.
 */
#ifndef GARBAGE_H
#define GARBAGE_H

#include <stdbool.h>
#ifdef HAVE_URCU
#include <urcu.h>
#endif

#include "memory.h"

struct garbage {
	/* Destroys some of it, as much as the slice allows. True when all of it is gone. */
	bool (*destroy)(struct garbage *garbage, struct slice *slice);
	struct tally tally; /* what it holds, itself included */
#ifdef HAVE_URCU
	struct rcu_head head; /* for call_rcu(3), which wants it in the object */
#endif
};

/* Destroys about so many nodes of it. True when all of it is gone. Any thread. */
bool garbage_destroy_some(struct garbage *garbage, uint64_t nodes);
/* The same, all of it: a defer_drop_fn. */
void garbage_destroy(void *garbage);

/*
 * Pushes garbage that holds nothing and adds 1 to an eventfd as it is destroyed. Returns 0 or a
 * negative errno; -EAGAIN if push refused it.
 */
int garbage_push_marker(bool (*push)(struct garbage *garbage), int eventfd);

#endif
