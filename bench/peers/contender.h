/* SPDX-License-Identifier: MIT
 *
 * All strategies, to be measured beside each other on equal vectors of strings.
 */
#ifndef CONTENDER_H
#define CONTENDER_H

#include <defer_drop/strategy.h>
#include <stdbool.h>

#include "vector.h"

struct contender {
	const char *name;
	const char *key; /* in JSON */
	const struct defer_drop_strategy *strategy;
	/* Starts what the strategy needs. Returns 0 or a negative errno. NULL: it needs nothing. */
	int (*begin)(void);
	/*
	 * Called by the waiting thread again and again until objects are destroyed, as for an event
	 * loop. NULL: others destroy.
	 */
	void (*turn)(void);
	/* Ends what begin started. */
	void (*end)(void);
};

#define CONTENDERS_MOST 16

/* In place comes first. */
extern const struct contender *const contenders[];
extern const unsigned contenders_count;

/* Strategies that need another library. */
#ifdef HAVE_UV
extern const struct contender contender_uv_pool; /* contender_uv.c */
extern const struct contender contender_uv_loop;
#endif
#ifdef HAVE_GLIB
extern const struct contender contender_glib_pool; /* contender_glib.c */
extern const struct contender contender_glib_context;
#endif

/* Returns 0, or a negative errno: then it takes no part. */
int contender_begin(const struct contender *contender);
void contender_end(const struct contender *contender);

struct contender_times {
	uint64_t begin_ns;
	uint64_t returned_ns; /* the caller went on */
	uint64_t gone_ns;     /* all strings were destroyed */
	bool is_preempted;    /* the caller lost its CPU before it went on */
};

/*
 * Times a vector of new strings that is dropped, by a thread that destroyed something a moment
 * before. Returns 0 or a negative errno.
 */
int contender_time(
	const struct contender *contender, uint64_t strings, struct contender_times *times);

/* True if its objects are never destroyed. Then gone_ns means nothing. */
static inline bool contender_leaks(const struct contender *contender)
{
	return contender->strategy == &defer_drop_strategy_leak;
}

#endif
