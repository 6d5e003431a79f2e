/* SPDX-License-Identifier: MIT
 *
 * What a queue measures of itself: how long its drops wait, and what its destructors cost. The
 * consumer measures, and any thread reads.
 *
 * Destructors are timed one by one (exact), or some of them (sampled), or not at all. A sampled
 * one stands for all since the one before it. The intervals are drawn at random, so that they
 * follow no rhythm of the program's. They are the shorter, the longer destructors take: one, if
 * that is DD_TIMED_NS or more. A turn counts the destructors that it may run anyway (run.c), and is
 * cut short at the next one that is timed, so that the others pay nothing.
 */
#ifndef DD_FIGURES_H
#define DD_FIGURES_H

#include "core/age.h"
#include "core/costs.h"

struct defer_drop_queue;
struct dd_lane;

/* The memory of a queue's figures. Pages that are not written to take none. */
struct dd_figures {
	struct dd_times delays;
	struct dd_costs costs;
};

/* Which destructor is timed next. The consumer's. */
struct dd_timing {
	uint64_t until_next; /* destructors before that; UINT64_MAX: none is */
	uint64_t interval;   /* from the last one that was timed to that one */
	uint64_t weight;     /* destructors that the next one stands for */
	uint64_t mean_interval;
	uint64_t seed;
	bool is_armed; /* it is the next one */
};

/* Begins the figures of a queue, or begins them again in a child. is_kept: drops are pending. */
void dd_figures_begin(struct defer_drop_queue *queue, struct dd_figures *figures);
void dd_figures_survive(struct defer_drop_queue *queue, bool is_kept);

/* ---- Ages ------------------------------------------------------------------------------------ */

/* Begins a look. Returns the time, or 0 if the last look that made marks is too recent. */
uint64_t dd_figures_look(struct defer_drop_queue *queue);

/* Marks a lane at a look. By the consumer, as the next one. */
void dd_figures_mark(struct dd_lane *lane, uint64_t tail, uint64_t now_ns);

/* Notes the delays of the drops that the lane's last turn has destroyed. */
void dd_figures_pass(struct dd_lane *lane);

/* ---- Destructors ----------------------------------------------------------------------------- */

/* Returns how many of the next `count` destructors may run before the one that is timed next; if
 * that is none, has the first one timed. later: how many of them remain. By `cut` of run.c. */
uint64_t dd_timing_cut_short(struct defer_drop_queue *queue, uint64_t count, uint64_t *later);

/* Notes that a destructor has run since began_ns. */
void dd_timing_note(struct defer_drop_queue *queue, defer_drop_fn destroy, uint64_t began_ns);

#endif
