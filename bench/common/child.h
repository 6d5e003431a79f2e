/* SPDX-License-Identifier: MIT
 *
 * Measuring with one allocator after the other. An allocator is chosen when a program starts
 * (ld.so(8), LD_PRELOAD), so a benchmark runs itself once more for each. The figures come back
 * through memory that parent and child have mapped; the parent may write there what the child is to
 * measure.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* Returns where a child writes its figures, of that size. NULL in the parent. */
void *child_figures(size_t bytes);

/* Prepares for children, in the parent. Returns where their figures arrive, zeroed. */
void *child_prepare(size_t bytes);

/*
 * Runs this program once more and waits for its end.
 *
 * preload: a library to load first. NULL: the allocator that the parent has; children with a
 *   library come after that, since they leave it in the environment.
 */
void child_run(char **arguments, const char *preload);

/*
 * Looks for an allocator beside the C library, where distributions put it. False if it is not
 * there.
 */
bool child_find_allocator(const char *name, char *path, size_t room);

#endif
