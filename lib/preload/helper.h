/* SPDX-License-Identifier: MIT
 *
 * The helper of defer-drop run: a process that holds the files of a program which ends at once. The
 * program sends it a descriptor of each file that it is about to remove, and closes the connection
 * when it has done so; then the file is the helper's to destroy.
 */
#ifndef DD_HELPER_H
#define DD_HELPER_H

#include <stddef.h>

/* ---- For the command (helper.c) -------------------------------------------------------------- */

/*
 * Starts a helper, which ends when this process, or what it becomes by execve(2), has ended and all
 * is destroyed. It is no child of this process. Returns 0 or a negative errno.
 *
 * name: gets the name of its socket.
 */
int dd_helper_start(char *name, size_t name_bytes);

/* ---- For the preload library (client.c) ------------------------------------------------------ */

/* Has the helper of that name hold a file, the path of which is not followed. Returns a connection
 * to be closed when its name is removed, or -1. */
int dd_helper_hold(const char *name, int folder, const char *path);

#endif
