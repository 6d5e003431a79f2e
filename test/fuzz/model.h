/* SPDX-License-Identifier: MIT
 *
 * A queue as its manual describes it, one call after the other: which drops are pending in which
 * lane, what each call must answer, and which destructor may run next.
 */
#ifndef MODEL_H
#define MODEL_H

#include <defer_drop.h>
#include <pthread.h>
#include <stdbool.h>

#include "fuzz.h"

#define MOST_DROPS       2048
#define MOST_LANES       5
#define MOST_COMPLETIONS 4
#define NOWHERE          (-1)

enum drop_state {
	DROP_OURS, /* the caller's: not pushed, or refused */
	DROP_PENDING,
	DROP_IN_THE_MIDDLE, /* its destructor has run, but not those of all that it made */
	DROP_DESTROYED,
	DROP_ABANDONED,
};

struct drop {
	enum drop_state state;
	int lane; /* of a nested one, that of the drop whose destructor made it */
	unsigned width;
	unsigned nests;
	bool is_nested;
	bool has_status;
	bool has_context; /* it has a status too */
	int status;
	uint64_t bytes;
	bool may_exceed; /* the budget */
	int completion;  /* or NOWHERE */
	int next;        /* behind it in its lane, or NOWHERE */
	struct defer_drop_ticket ticket;
};

struct list {
	int first;
	int last;
};

struct told {
	struct defer_drop_completion completion;
	unsigned left; /* drops that are pending */
	bool is_used;
	bool is_abandoned;
	int status; /* the first that was not 0 */
};

struct model {
	struct defer_drop_queue *queue;
	uint64_t queue_id; /* of its tickets; 0 before the first */
	struct defer_drop_config config;
	bool is_shut;
	bool is_stopped;
	bool is_forked;  /* a child: what it keeps has the parent's tickets and completions */
	bool is_running; /* something that may destroy */
	int lane;        /* of the main thread, or NOWHERE before its first push */
	struct drop drops[MOST_DROPS];
	unsigned count;
	struct list lanes[MOST_LANES];
	unsigned used[MOST_LANES]; /* places */
	int middle[MOST_LANES];    /* the drop of this lane that is in the middle, or NOWHERE */
	struct list nested[MOST_LANES]; /* what it made, and what those made */
	struct told told[MOST_COMPLETIONS];
	uint64_t pending; /* drops, nested ones and those in the middle included */
	uint64_t ran;     /* destructors */
	uint64_t bytes;
	uint64_t pushed_total;
	uint64_t destroyed_total;
	uint64_t refused_total;
	uint64_t abandoned_total;
	uint64_t nested_total;
	uint64_t failed_total;
	uint64_t failures_told;
};

extern struct model model;

/* Held while the worker may not destroy. */
extern pthread_mutex_t model_gate;

void model_begin(struct defer_drop_queue *queue, const struct defer_drop_config *config);

/* A drop that is not pushed yet; NULL where there were too many. */
struct drop *model_make(struct input *input);
/* The destructor that the drop asks for; the other two are NULL. Its context is the model. */
defer_drop_fn model_destroy(const struct drop *drop);
defer_drop_status_fn model_destroy_status(const struct drop *drop);
defer_drop_context_fn model_destroy_context(const struct drop *drop);

/* Of the configuration. */
void model_hear_of_failure(void *context, const struct defer_drop_failure *failure);

/* Returns the result of a push that does not wait, to this lane; no_room if the lane has none. */
int model_expected(const struct drop *drop, int lane, int no_room);
/* Says that the push returned this. */
void model_pushed(struct drop *drop, int lane, int result);

/* Abandons everything that is pending. */
void model_abandon(void);

/* In a forked child: what a caller of the parent left in the middle is not in it. */
void model_lose_middles(void);

/* In a forked child: none of the parent's drops is pending. */
void model_forget(void);

/* Checks that the library's statistics are the model's. */
void model_check(void);

#endif
