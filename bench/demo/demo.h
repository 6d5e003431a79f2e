/* SPDX-License-Identifier: MIT
 *
 * The demo: what defer_drop does to the caller's time, on two workloads.
 *
 *     input.c       lines of text to make an index from
 *     index.c       a search index of millions of nodes, replaced again and again
 *     strings.c     a vector of millions of strings, destroyed in five ways
 *     strategies.c  a smaller vector, destroyed by every strategy
 *     print.c       the figures, for people and for programs
 *     main.c        the options, and the measurements one after the other
 */
#ifndef DEMO_H
#define DEMO_H

#include <defer_drop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "contender.h"
#include "library.h"
#include "machine.h"

#define MAX_ROUNDS 1000

/* Exit statuses, beside 0. */
enum {
	EXIT_NOT_DESTROYED = 1,
	EXIT_CANNOT_RUN = 2, /* usage, input, memory, threads */
};

struct settings {
	uint64_t nodes;   /* the least number of nodes in the index */
	uint64_t strings; /* in the vector */
	unsigned rounds;  /* how often everything is timed */
	bool is_json;
	char **paths; /* of the input; NULL after the last */
};

/* ---- Shared by all (main.c) ------------------------------------------------------------------ */

/* One figure for each round. */
struct samples {
	uint64_t ns[MAX_ROUNDS];
	unsigned count;
	unsigned preempted; /* rounds in which the kernel gave the CPU to another thread */
};

void samples_add(struct samples *samples, uint64_t ns);
/* All three return 0 if there are no samples. */
uint64_t samples_median(const struct samples *samples);
uint64_t samples_least(const struct samples *samples);
uint64_t samples_most(const struct samples *samples);

/* Times what the calling thread does, and notes if it lost its CPU meanwhile. */
struct stopwatch {
	uint64_t preemptions;
	uint64_t start_ns;
};

struct stopwatch stopwatch_start(void);
void stopwatch_stop(const struct stopwatch *stopwatch, struct samples *samples);

/* Ends the program with one line on stderr. error: an errno value to explain it, or 0. */
_Noreturn void fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As malloc(3), but ends the program if there is no memory. */
void *allocate(size_t bytes);
/* As vector_make, but ends the program if there is no memory. */
struct vector *make_vector(uint64_t count);

/* Replaces the line of progress on stderr, if that is a terminal. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void progress_clear(void);

/* Hands an object to the worker of the default queue, as a program would. */
void drop(void *object, defer_drop_fn destroy);
void flush(void);

/* ---- Input (input.c) ------------------------------------------------------------------------- */

struct input {
	const char *source;
	char *text;     /* all lines, without their line ends */
	size_t *starts; /* of each line in text; one more, for the end of the last */
	size_t bytes;
	size_t lines;
	size_t files;    /* read line by line */
	size_t folders;  /* walked */
	size_t left_out; /* folders below them that could not be read */
	size_t text_room;
	size_t starts_room;
};

/*
 * Reads the paths. Without any it reads the package lists of this machine, or else the names below
 * /usr.
 */
void input_read(struct input *input, char **paths);
void input_free(struct input *input);

/* ---- The index (index.c) --------------------------------------------------------------------- */

struct index_figures {
	uint64_t nodes; /* of all kinds, in one index */
	uint64_t names;
	uint64_t letters;
	uint64_t postings;
	uint64_t passes; /* over the input; the last one may end early */
	struct samples build;
	struct samples in_place;
	struct samples dropped;
	struct samples worker; /* in the destructor of the dropped index */
	unsigned woken;        /* rounds in which the drop had to wake the worker */
	uint64_t created;      /* nodes, in all rounds */
	uint64_t destroyed;
	struct defer_drop_stats stats;
};

void index_measure(
	struct index_figures *figures, const struct input *input, const struct settings *settings);

/* ---- The strings (strings.c) ----------------------------------------------------------------- */

enum way {
	WAY_IN_PLACE,
	WAY_THREAD,
	WAY_CALLER,
	WAY_ASLEEP,
	WAY_AWAKE,
	WAYS,
};

struct way_figures {
	struct samples caller; /* until the caller can go on */
	struct samples gone;   /* until everything is destroyed */
	unsigned woken;        /* rounds in which the drop had to wake the worker */
};

struct strings_figures {
	struct way_figures ways[WAYS];
	struct samples build;
	struct samples drain; /* of the queue that the caller drains */
	uint64_t created;     /* strings, in all rounds */
	uint64_t destroyed;
	struct defer_drop_stats stats;
};

void strings_measure(struct strings_figures *figures, const struct settings *settings);

/* ---- The strategies (strategies.c) ----------------------------------------------------------- */

struct contender_figures {
	const struct contender *contender;
	struct samples caller;
	struct samples gone; /* without samples, if the strategy leaks */
};

struct strategies_figures {
	struct contender_figures each[CONTENDERS_MOST]; /* in place comes first */
	unsigned count;
	uint64_t strings; /* in the vector */
};

void strategies_measure(struct strategies_figures *figures, const struct settings *settings);

/* ---- Figures (print.c) ----------------------------------------------------------------------- */

struct machine {
	struct machine_facts facts;
	uint64_t timer_ns;               /* between two looks at the clock, one after the other */
	struct defer_drop_config config; /* of the default queue */
};

void machine_look(struct machine *machine);

bool is_all_destroyed(uint64_t created, uint64_t destroyed, const struct defer_drop_stats *stats);

void print_machine(const struct machine *machine, const struct settings *settings);
void print_index(const struct index_figures *figures, const struct input *input);
void print_strings(const struct strings_figures *figures, const struct settings *settings);
void print_strategies(const struct strategies_figures *figures);
void print_json(const struct machine *machine, const struct settings *settings,
	const struct input *input, const struct index_figures *index,
	const struct strings_figures *strings, const struct strategies_figures *strategies);

#endif
