/* SPDX-License-Identifier: MIT
 *
 * The program that is to be run: where it is, and whether a library can be preloaded into it.
 */
#ifndef DD_PROGRAM_H
#define DD_PROGRAM_H

#include <stddef.h>

/*
 * Finds a program as execvp(3) does, and looks at it. Returns 0, or the exit status of env(1): 127,
 * there is none; 126, it cannot be run, or not so.
 *
 * path: where it is. why: gets a line if the result is not 0.
 */
int dd_program_find(const char *name, char *path, size_t path_bytes, char *why, size_t why_bytes);

#endif
