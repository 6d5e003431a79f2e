/* SPDX-License-Identifier: MIT
 *
 * The locks of the library over fork(2): the thread that forks holds all of them, so that a child
 * has none that a missing thread holds.
 *
 * The handlers are set while the library is loaded. Before a fork the newest handler runs first, so
 * that those of the program, which may take a lock that another thread holds while it pushes, run
 * before those of the library: otherwise each of the two threads would wait for the other.
 * Allocators run theirs afterwards, since threads that hold a lock of the library may allocate.
 */
#ifndef DD_FORK_HANDLERS_H
#define DD_FORK_HANDLERS_H

#include <stdbool.h>

/* A part of the library that has locks. */
struct dd_fork_part {
	void (*hold)(void);    /* takes the locks, before a fork */
	void (*let_go)(void);  /* gives them back, in the parent */
	void (*survive)(void); /* repairs what they protect in the child, then gives them back */
	struct dd_fork_part *next; /* one that was added before */
};

/* Of a function that adds a part. */
#define DD_AT_LOAD __attribute__((constructor(101)))

/* The part that was added last holds its locks first. */
void dd_fork_add(struct dd_fork_part *part);

/* False if there was no memory for the handlers. */
bool dd_fork_is_heard(void);

/*
 * Gives the locks back if the calling thread holds them over a fork. It is about to exit, in a
 * handler of the program that runs between those of the library, so the fork goes no further; and
 * exit needs the locks.
 */
void dd_fork_break_off(void);

#endif
