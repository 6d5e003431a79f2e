/* SPDX-License-Identifier: MIT
 *
 * Memory that comes home: what a thread pays that makes objects and has them destroyed, if their
 * nodes are freed in place, freed by the worker, or given to a pool by the worker.
 *
 *     pool.c       options, the allocators one after the other, results
 *     subject.c    what is made and destroyed: lists, trees, hash tables, nodes of mixed sizes
 *     paced.c      one thread, with other things to do between
 *     single.c     take and give, malloc and free, on one thread
 *     crowd.c      1 to 16 threads, as fast as they can
 *     resident.c   memory, at its peak and afterwards
 */
#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include <defer_drop.h>
#include <defer_drop/pool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define MAX_ROUNDS 101

/* How the nodes of what is destroyed are freed. */
enum way {
	IN_PLACE, /* by the thread that made them */
	FREED,    /* by the worker, to malloc */
	HOME,     /* by the worker, to a pool */
	WAYS,
};

/* ---- Settings (pool.c) ----------------------------------------------------------------------- */

struct pool_settings {
	uint64_t rounds;
	uint64_t objects; /* made in a round, beside a quarter as many to warm up */
	uint64_t working_mib;
	uint64_t mixed;          /* so many objects' nodes with each other */
	uint64_t pace_ns;        /* between two objects, for each node */
	uint64_t cached_pace_ns; /* the same, if everything is in the cache */
	uint64_t single_pairs;
	struct options_list producers;
	uint64_t crowd_objects; /* of all producers together */
	uint64_t crowd_queue;   /* objects that may wait */
	uint64_t resident_mib;
	uint64_t resident_seconds;
};

/* ---- Subjects (subject.c) -------------------------------------------------------------------- */

struct pool_case {
	const char *name;
	unsigned subject;
	size_t node_bytes; /* of mixed ones: the mean */
	uint64_t nodes;    /* in an object */
};

#define CASES 7
extern const struct pool_case cases[CASES];

/* The one that serves where there is one: lists of 64 nodes of 64 bytes. */
#define USUAL_CASE 1

/* Makes the pools for a case; gives them back. */
void subject_begin(const struct pool_case *of);
void subject_end(void);

/* Makes an object, destroys it: by a way. Both end the program where there is no memory. */
void *(*subject_build(const struct pool_case *of, enum way way))(void);
defer_drop_fn subject_destroy(const struct pool_case *of, enum way way);

/*
 * Makes so many objects. The nodes of each few of them, mixed, are taken first and used in another
 * order. shuffle: brings pointers into one.
 */
void subject_build_mixed_up(const struct pool_case *of, enum way way, void **objects,
	uint64_t count, uint64_t mixed, void (*shuffle)(void **pointers, uint64_t count));

/* Of the pools of the case, since this was called last: how many nodes of a hundred came home. */
double subject_home_percent(void);

/* ---- Figures: shared with the child ---------------------------------------------------------- */

#define SIZES 4
extern const size_t single_bytes[SIZES];

struct single_figures {
	double malloc_ns[MAX_ROUNDS];
	double pool_ns[MAX_ROUNDS];
	double classes_ns[MAX_ROUNDS];
};

struct paced_figures {
	double ns[WAYS][MAX_ROUNDS]; /* of the caller, for a node */
	double home_percent;
};

struct resident_figures {
	double peak_bytes[MAX_ROUNDS];
	double after_bytes[MAX_ROUNDS];
};

/* The ways of a crowd: who finds no room waits; or destroys the object itself, in place. */
enum { CROWD_FREED_OR_IN_PLACE = WAYS, CROWD_HOME_OR_IN_PLACE, CROWD_WAYS };

struct pool_figures {
	unsigned task; /* written by the parent; all else by the child */
	char allocator[128];
	struct single_figures single[SIZES];
	struct paced_figures paced[CASES];
	struct paced_figures cached[CASES];
	double crowd_ns[CROWD_WAYS][OPTIONS_LIST_MAX][MAX_ROUNDS];
	struct resident_figures resident[WAYS];
};

/* ---- Measuring ------------------------------------------------------------------------------- */

void single_measure(struct pool_figures *figures, const struct pool_settings *settings);
void paced_measure(struct pool_figures *figures, const struct pool_settings *settings);
void crowd_measure(struct pool_figures *figures, const struct pool_settings *settings);
/* In a process of its own. */
void resident_measure(struct pool_figures *figures, const struct pool_settings *settings,
	enum way way, unsigned round);

/* Ends the program where a call failed. */
void pool_check(int result);

#endif
