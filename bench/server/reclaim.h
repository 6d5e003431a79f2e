/* SPDX-License-Identifier: MIT
 *
 * Decides who destroys garbage: the loop, in place, or one of several others that are to be
 * compared. All functions are called by the thread of the loop.
 */
#ifndef RECLAIM_H
#define RECLAIM_H

#include "buffer.h"
#include "garbage.h"

struct reclaim_config {
	const struct reclaim_way *way;
	uint64_t min_weight; /* from which on garbage is left to the way */
	/* Limits on what waits, if the way has any. */
	uint32_t queue_size; /* drops */
	uint64_t max_bytes;
	bool is_shared;     /* there are readers, so nothing is destroyed before a grace period */
	uint64_t budget_ns; /* for destroying in a turn of the loop, if the loop destroys */
};

/* A way to have garbage destroyed. A function that is NULL does not apply to the way. */
struct reclaim_way {
	const char *name;
	/* It can destroy after a grace period; then push waits for room for ever. */
	bool has_grace_periods;
	/* Returns 0 or a negative errno. */
	int (*start)(const struct reclaim_config *config);
	/* False if there is no room: the garbage is still the caller's. */
	bool (*push)(struct garbage *garbage);
	/*
	 * Adds 1 to the eventfd when everything pushed so far is destroyed. Returns 0 or a negative
	 * errno.
	 */
	int (*notify)(int eventfd);
	/* Destroys some garbage, in a turn of the loop. True if more is pending. */
	bool (*turn)(void);
	/* Adds lines to INFO. */
	void (*describe)(struct buffer *out);
	/* Destroys everything that is pending, and ends. */
	void (*stop)(void);
};

extern const struct reclaim_way reclaim_in_place; /* reclaim.c */
extern const struct reclaim_way reclaim_mutex;    /* reclaim_mutex.c: a list and a thread */
extern const struct reclaim_way reclaim_drop;     /* reclaim_drop.c: defer_drop's worker */
extern const struct reclaim_way reclaim_loop;     /* reclaim_loop.c: defer_drop, drained here */
#ifdef HAVE_URCU
extern const struct reclaim_way reclaim_call_rcu; /* reclaim_urcu.c */
#endif

/* Returns NULL if this build has no way of that name. */
const struct reclaim_way *reclaim_find(const char *name);
/* Returns the name of the nth way of this build, or NULL behind the last. */
const char *reclaim_name(unsigned nth);

/* Returns 0 or a negative errno. */
int reclaim_start(const struct reclaim_config *config);

/* Destroys garbage, or has it destroyed. */
void reclaim(struct garbage *garbage);

/* Returns what the data set holds: what was created and not reclaimed. */
struct tally reclaim_held(void);

/* As those of struct reclaim_way. */
int reclaim_notify(int eventfd);
bool reclaim_turn(void);
void reclaim_describe(struct buffer *out);
void reclaim_stop(void);

#endif
