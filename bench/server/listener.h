/* SPDX-License-Identifier: MIT
 *
 * Accepts clients at a port.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include "loop.h"

struct listener {
	struct watch watch;
	struct loop *loop;
	int socket;
	int reserve; /* given up to turn a client away when no descriptor is left */
	uint16_t port;
};

/*
 * Opens an address of IPv4 or IPv6. port: 0 picks a free one. Returns 0 or a negative errno;
 * -EINVAL: not an address.
 */
int listener_open(struct listener *listener, struct loop *loop, const char *address, uint16_t port);
void listener_close(struct listener *listener);

#endif
