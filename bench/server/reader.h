/* SPDX-License-Identifier: MIT
 *
 * A second thread that answers read-only commands, at a port of its own, while the loop changes the
 * data set. Inside a read-side critical section of liburcu (the memb flavor) nothing that it finds
 * is destroyed.
 */
#ifndef READER_H
#define READER_H

#include "command.h"

/*
 * Starts the thread and prints its port. port: 0 picks a free one. Returns 0 or a negative errno;
 * -ENOTSUP in a build without grace periods.
 */
int reader_start(const char *address, uint16_t port, unsigned max_clients);
/* Closes the connections of the thread and ends it. */
void reader_stop(void);

/* Executes a command for a client of the thread. */
void reader_run(const struct command *command, struct call *call);

#endif
