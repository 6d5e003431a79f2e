/* SPDX-License-Identifier: MIT
 *
 * The parts of the benchmark of memory that comes home: what a thread pays that makes objects and
 * has them destroyed, if their nodes are freed in place, freed by the worker, or given to a pool by
 * the worker.
 *
 *     pool.c       the options, the allocators one after the other, the results
 *     shapes.h     what is made and destroyed: lists, trees, hash tables, nodes of mixed sizes
 *     subject.c    the same, compiled for malloc and pools
 *     floor.c      the same, with memory that comes home at no cost
 *     paced.c      one thread, with other work in between
 *     single.c     take and give, malloc and free, on one thread
 *     takers.c     1 to 16 threads that share a pool, with rests in between
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

/* Who frees the nodes of an object, and where to. */
enum way {
	IN_PLACE, /* by the thread that made them */
	FREED,    /* by the worker, to malloc */
	HOME,     /* by the worker, to a pool */
	WAYS,
};

/* ---- Settings (pool.c) ----------------------------------------------------------------------- */

struct pool_settings {
	uint64_t rounds;
	uint64_t objects; /* made in a round, after as many to warm up */
	uint64_t working_mib;
	uint64_t mixed;          /* objects whose nodes lie mixed up with each other */
	uint64_t pace_ns;        /* of other work between two objects, for each node */
	uint64_t cached_pace_ns; /* of other work, if everything is in the cache */
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
	unsigned shape;
	size_t node_bytes; /* the mean, if sizes are mixed */
	uint64_t nodes;    /* in an object */
};

#define CASES 7
extern const struct pool_case cases[CASES];

/* The case of measurements that have only one: lists of 64 nodes of 64 bytes. */
#define USUAL_CASE 1

/* Creates and frees the pools for a case. */
void subject_begin(const struct pool_case *of);
void subject_end(void);

/*
 * Return the function that builds an object for a way, which ends the program if there is no
 * memory, and the function that destroys the object.
 */
void *(*subject_build(const struct pool_case *of, enum way way))(void);
defer_drop_fn subject_destroy(const struct pool_case *of, enum way way);

/* Destroys an object in place, or drops it, as the way asks. */
void subject_dispose(const struct pool_case *of, enum way way, void *object);

/*
 * Builds objects, count of them. The nodes of mixed objects at a time are taken first and used in
 * another order, which shuffle makes.
 */
void subject_build_mixed_up(const struct pool_case *of, enum way way, void **objects,
	uint64_t count, uint64_t mixed, void (*shuffle)(void **pointers, uint64_t count));

/*
 * Returns the percentage of the nodes taken from the pools of the case that had come home, since the
 * last call.
 */
double subject_home_percent(void);

/* ---- Floors of the subject (floor.c) --------------------------------------------------------- */

struct floor_functions {
	void *(*build)(void);
	defer_drop_fn destroy;
};

/* Blocks that go round in an array, for lists that are destroyed at once. */
extern const struct floor_functions floor_around;
bool floor_has_around(const struct pool_case *of);
void floor_around_begin(const struct pool_case *of);
void floor_around_mix_up(void (*shuffle)(void **pointers, uint64_t count));
void floor_around_end(void);

/*
 * Objects that come home in one piece. Builds objects for a table, count of them; the nodes of
 * mixed objects at a time lie in an order that shuffle makes.
 */
extern const struct floor_functions floor_whole;
void floor_whole_begin(void **objects, uint64_t count, uint64_t mixed,
	void (*shuffle)(void **pointers, uint64_t count));
void floor_whole_end(void);

/* ---- Figures: shared with the child ---------------------------------------------------------- */

#define SIZES 4
extern const size_t single_bytes[SIZES];

struct single_figures {
	double malloc_ns[MAX_ROUNDS];
	double pool_ns[MAX_ROUNDS];
	double classes_ns[MAX_ROUNDS];
};

enum floor { IN_ORDER, MIXED_UP, WHOLE, FLOORS };

struct paced_figures {
	double ns[WAYS][MAX_ROUNDS];         /* the caller's time, for a node */
	double floor_ns[FLOORS][MAX_ROUNDS]; /* 0: not measured */
	double home_percent;
};

struct resident_figures {
	double peak_bytes[MAX_ROUNDS];
	double after_bytes[MAX_ROUNDS];
};

/*
 * The ways of a crowd: a thread that finds no room waits, as in the ways above; or it destroys the
 * object in place.
 */
enum { CROWD_FREED_OR_IN_PLACE = WAYS, CROWD_HOME_OR_IN_PLACE, CROWD_WAYS };

struct pool_figures {
	/* Written by the parent; all else by the child. */
	unsigned part;
	unsigned index; /* of the case; or of the round and the way */

	char allocator[128];
	struct single_figures single[SIZES];
	struct paced_figures paced[CASES];
	struct paced_figures cached[CASES];
	double takers_ns[WAYS][OPTIONS_LIST_MAX][MAX_ROUNDS];
	double crowd_ns[CROWD_WAYS][OPTIONS_LIST_MAX][MAX_ROUNDS];
	struct resident_figures resident[WAYS];
};

/* ---- Measuring ------------------------------------------------------------------------------- */

void single_measure(struct pool_figures *figures, const struct pool_settings *settings);
/* bytes: of the table of objects, or 0 if each is destroyed at once. */
void paced_measure(struct paced_figures *to, const struct pool_settings *settings,
	const struct pool_case *of, uint64_t bytes, uint64_t pace_ns);
void takers_measure(struct pool_figures *figures, const struct pool_settings *settings);
void crowd_measure(struct pool_figures *figures, const struct pool_settings *settings);
/* Needs a process of its own. */
void resident_measure(struct pool_figures *figures, const struct pool_settings *settings,
	enum way way, unsigned round);

#endif
