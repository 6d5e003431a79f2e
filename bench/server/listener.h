/* SPDX-License-Identifier: MIT
 *
 * Where clients come in.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include "loop.h"

struct listener {
	struct watch watch;
	struct loop *loop;
	int socket;
	int reserve; /* a descriptor to give up, to turn clients away when there is none left */
	uint16_t port;
};

/* address: of IPv4 or IPv6. port: 0 picks a free one. 0 or a negative errno; -EINVAL: no
 * address. */
int listener_open(struct listener *listener, struct loop *loop, const char *address, uint16_t port);
void listener_close(struct listener *listener);

#endif
