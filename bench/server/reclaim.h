/* SPDX-License-Identifier: MIT
 *
 * Who destroys garbage: whoever unlinked it, in place; or one of several others, to be compared.
 * All calls are those of the loop's thread.
 */
#ifndef RECLAIM_H
#define RECLAIM_H

#include "buffer.h"
#include "garbage.h"

struct reclaim_config {
	const struct reclaim_way *way;
	uint64_t min_weight; /* from which garbage is left to somebody else */
	/* What may wait, where the way has a limit. */
	uint32_t queue_size; /* drops */
	uint64_t max_bytes;
	bool is_shared;     /* others read what falls out of the data set, until a grace period has
			      * passed: nothing is destroyed in place */
	uint64_t budget_ns; /* for destroying in a turn of the loop, where the loop does that */
};

/* A way to have garbage destroyed by somebody else. What is NULL does not apply to it. */
struct reclaim_way {
	const char *name;
	/* It can destroy after one; then push waits for room as long as it takes. */
	bool has_grace_periods;
	/* 0 or a negative errno. */
	int (*start)(const struct reclaim_config *config);
	/* False where there is no room: it is still the caller's. */
	bool (*push)(struct garbage *garbage);
	/* Adds 1 to the eventfd when all that was pushed is destroyed. 0 or a negative errno. */
	int (*notify)(int eventfd);
	/* The loop's chance to destroy something by itself. True if more is pending. */
	bool (*turn)(void);
	/* Adds lines to INFO. */
	void (*describe)(struct buffer *out);
	/* Destroys what is pending, and ends. */
	void (*stop)(void);
};

extern const struct reclaim_way reclaim_in_place; /* reclaim.c */
extern const struct reclaim_way reclaim_mutex;    /* reclaim_mutex.c: a list and a thread */
extern const struct reclaim_way reclaim_drop;     /* reclaim_drop.c: defer_drop's worker */
extern const struct reclaim_way reclaim_loop;     /* reclaim_loop.c: defer_drop, drained here */
#ifdef HAVE_URCU
extern const struct reclaim_way reclaim_call_rcu; /* reclaim_urcu.c */
#endif

/* NULL where there is no way of that name in this build. */
const struct reclaim_way *reclaim_find(const char *name);
/* The names of all ways in this build, by number; NULL behind the last. */
const char *reclaim_name(unsigned nth);

/* 0 or a negative errno. */
int reclaim_start(const struct reclaim_config *config);

/* Destroys it, or has it destroyed. */
void reclaim(struct garbage *garbage);

/* What was created and not reclaimed: what the data set holds. */
struct tally reclaim_held(void);

/* As those of struct reclaim_way. */
int reclaim_notify(int eventfd);
bool reclaim_turn(void);
void reclaim_describe(struct buffer *out);
void reclaim_stop(void);

#endif
