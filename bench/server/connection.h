/* SPDX-License-Identifier: MIT
 *
 * A client's connection: requests are read, done in order, and answered. Who does not read its
 * answers is not read from.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "loop.h"
#include "request.h"

/* Longest name that a client can give itself, and the end. */
#define CONNECTION_NAME_BYTES 32

struct connection {
	struct watch watch; /* of the socket; first, so that the one is found from the other */
	struct watch done;  /* of the eventfd */
	struct loop *loop;
	struct connection *next;
	struct connection *previous;
	uint64_t id;
	int socket;
	int eventfd; /* -1, or of what the next request waits for */
	uint32_t events;
	bool is_closing; /* no more requests are done; closed when the answers are out */
	bool is_dead;
	struct buffer in;
	struct buffer out;
	struct request request;
	char name[CONNECTION_NAME_BYTES];
};

/* Takes the socket; closes it, with an error for the client, where there is no room. */
void connection_open(struct loop *loop, int socket);

/* Answers OK, and does the next request, when what was reclaimed so far is destroyed. */
void connection_wait_for_reclaim(struct connection *connection);

/* Reads no more from anyone, and closes who has got its answers. */
void connection_end_all(struct loop *loop);
/* Closes those that are left. */
void connection_close_all(struct loop *loop);

/* Frees those that were closed. */
void connection_bury_dead(struct loop *loop);

#endif
