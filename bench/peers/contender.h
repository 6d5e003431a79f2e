/* SPDX-License-Identifier: MIT
 *
 * All strategies, to be measured beside each other on the same vector.
 */
#ifndef CONTENDER_H
#define CONTENDER_H

#include <defer_drop/strategy.h>

#include "vector.h"

struct contender {
	const char *name;
	const char *key; /* in JSON */
	const struct defer_drop_strategy *strategy;
	/* Starts what has to be started: 0 or a negative errno. NULL: nothing has. */
	int (*begin)(void);
	/* What the calling thread has to do again and again, so that objects are destroyed. NULL:
	 * nothing. */
	void (*turn)(void);
	/* Ends what begin started. */
	void (*end)(void);
};

#define CONTENDERS_MOST 16

/* In place comes first. */
extern const struct contender *const contenders[];
extern const unsigned contenders_count;

/* Those that need a library. */
#ifdef HAVE_UV
extern const struct contender contender_uv_pool; /* contender_uv.c */
extern const struct contender contender_uv_loop;
#endif
#ifdef HAVE_GLIB
extern const struct contender contender_glib_pool; /* contender_glib.c */
extern const struct contender contender_glib_context;
#endif

/* 0 or a negative errno: then it can take no part. */
int contender_begin(const struct contender *contender);
void contender_end(const struct contender *contender);

/* Drops a small vector and waits for it, so that who destroys is awake for the next. */
int contender_warm_up(const struct contender *contender);

/*
 * Sees to it that a vector which was dropped is destroyed: waits, turns; or destroys it, where it
 * was leaked. destroyed_total: strings, once it is.
 */
void contender_finish(
	const struct contender *contender, struct vector *vector, uint64_t destroyed_total);

#endif
