/* SPDX-License-Identifier: MIT
 *
 * The parts of the benchmark that compares destroying in place with dropping.
 *
 *     main.c     the options, the allocators one after the other, the results
 *     subject.c  what is destroyed: lists, trees, tables, buffers, mappings, files
 *     once.c     destroys one object at a time, from small to huge
 *     cycle.c    builds and destroys again and again: the size from which on dropping pays
 */
#ifndef TEARDOWN_H
#define TEARDOWN_H

#include <defer_drop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define MAX_ROUNDS 101

/* ---- Settings (main.c) ----------------------------------------------------------------------- */

struct teardown_settings {
	uint64_t rounds;
	struct options_list nodes; /* sizes of lists, trees, tables and buffers */
	struct options_list map_mib;
	struct options_list file_mib;
	const char *folder; /* for the files */
	uint64_t cycle_rounds;
	uint64_t cycle_nodes; /* of the largest cycle */
	uint64_t cycle_total; /* nodes, in one measurement of cycles */
};

/* ---- Subjects (subject.c) -------------------------------------------------------------------- */

/*
 * The size of a node of a list, a tree or a table. A buffer has as many bytes as that number of
 * nodes.
 */
#define NODE_BYTES 64

enum { LIST, TREE, TABLE, BUFFER, NODE_SUBJECTS, MAPPING = NODE_SUBJECTS, DELETED_FILE, SUBJECTS };

struct subject {
	const char *name;
	/* Ends the program if the object cannot be made. size: nodes or MiB. */
	void *(*build)(uint64_t size);
	defer_drop_fn destroy;
	size_t size_bytes; /* memory for each node or MiB, about */
};

extern const struct subject subjects[SUBJECTS];

/* Sets the folder for deleted files. Ends the program if none can be made there. */
void subject_use_folder(const char *folder);

/* ---- Figures: shared with the child ---------------------------------------------------------- */

/* One figure for each round. */
struct once_figures {
	double in_place_ns[MAX_ROUNDS];
	double dropped_ns[MAX_ROUNDS]; /* until the push returned */
	double gone_ns[MAX_ROUNDS];    /* until the flush returned */
};

/* Sizes of cycles: powers of two, 1 to 2^16. */
#define POWERS 17

/* The caller's time, for a cycle. */
struct cycle_costs {
	double allocate_ns[MAX_ROUNDS];
	double destroy_ns[MAX_ROUNDS]; /* or drop */
	double all_ns[MAX_ROUNDS];
};

struct cycle_figures {
	struct cycle_costs in_place;
	struct cycle_costs dropped;
};

/* Limits on what is measured. */
struct teardown_limits {
	uint64_t most_bytes; /* of an object */
	bool has_kernel;     /* mappings and files too */
};

struct teardown_figures {
	struct teardown_limits limits; /* written by the parent; all else by the child */
	char allocator[128];
	struct once_figures once[SUBJECTS][OPTIONS_LIST_MAX];
	struct cycle_figures cycle[NODE_SUBJECTS][POWERS];
	uint64_t cycle_waits_total; /* drops of cycles that found the ring full */
};

/* ---- Measuring (once.c, cycle.c) ------------------------------------------------------------- */

const struct options_list *once_sizes(const struct teardown_settings *settings, unsigned subject);
bool once_is_measured(const struct teardown_limits *limits, unsigned subject, uint64_t size);
void once_measure(struct teardown_figures *figures, const struct teardown_settings *settings);

/* Returns the number of powers of two up to the largest cycle. */
unsigned cycle_powers(const struct teardown_settings *settings);
void cycle_measure(struct teardown_figures *figures, const struct teardown_settings *settings);

#endif
