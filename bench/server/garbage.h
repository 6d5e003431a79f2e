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

/* Garbage that holds nothing: as it is destroyed it adds 1 to an eventfd. NULL with errno set. */
struct garbage *garbage_create_marker(int eventfd);
/* Takes it back: nothing is added. */
void garbage_cancel_marker(struct garbage *garbage);

#endif
