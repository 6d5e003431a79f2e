/* SPDX-License-Identifier: MIT
 *
 * A build without liburcu has no grace periods, and no readers.
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
