/* SPDX-License-Identifier: MIT
 *
 * A second thread that answers what only reads, at a port of its own, while the first one changes
 * the data set under it: inside a read-side critical section of liburcu (the memb flavor) nothing
 * that it finds is destroyed.
 */
#ifndef READER_H
#define READER_H

#include "command.h"

/* port: 0 picks a free one. Prints where it reads. 0 or a negative errno; -ENOTSUP where there
 * are no grace periods in this build. */
int reader_start(const char *address, uint16_t port, unsigned max_clients);
/* Closes its connections and ends it. */
void reader_stop(void);

/* A command for one of its clients. */
void reader_run(const struct command *command, struct call *call);

#endif
