/* SPDX-License-Identifier: MIT
 *
 * The parts of the benchmark of memory that comes home: what a thread pays that makes objects and
 * has them destroyed, if their nodes are freed in place, freed by the worker, or given to a pool by
 * the worker.
 *
 *     pool.c       the options, the allocators one after the other, the results
 *     subject.c    what is made and destroyed: lists, trees, hash tables, nodes of mixed sizes
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
	uint64_t objects; /* made in a round, after a quarter of them to warm up */
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
	unsigned subject;
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
 * The floor of lists: blocks that go round in an array. Only what any way to bring them home has to
 * do is left: the caller writes to lines that the worker has read. In the order of their addresses,
 * or mixed up.
 */
struct subject_floor {
	void *(*build)(void);
	defer_drop_fn destroy;
};
extern const struct subject_floor subject_floor;
bool subject_has_floor(const struct pool_case *of);
void subject_floor_begin(const struct pool_case *of);
void subject_floor_mix_up(void (*shuffle)(void **pointers, uint64_t count));
void subject_floor_end(void);

/*
 * Returns the percentage of the nodes taken from the pools of the case that had come home, since the
 * last call.
 */
double subject_home_percent(void);

/* ---- Figures: shared with the child ---------------------------------------------------------- */

#define SIZES 4
extern const size_t single_bytes[SIZES];

struct single_figures {
	double malloc_ns[MAX_ROUNDS];
	double pool_ns[MAX_ROUNDS];
	double classes_ns[MAX_ROUNDS];
};

enum floor { IN_ORDER, MIXED_UP, FLOORS };

struct paced_figures {
	double ns[WAYS][MAX_ROUNDS]; /* the caller's time, for a node */
	double floor_ns[FLOORS][MAX_ROUNDS];
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
