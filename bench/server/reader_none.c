/* SPDX-License-Identifier: MIT
 *
 * The reader of a build without liburcu, which has no grace periods: it cannot start.
 */
#include <errno.h>

#include "reader.h"

int reader_start(const char *address, uint16_t port, unsigned max_clients)
{
	(void)address;
	(void)port;
	(void)max_clients;
	return -ENOTSUP;
}

void reader_stop(void)
{
}

void reader_run(const struct command *command, struct call *call)
{
	command->run(call);
}
