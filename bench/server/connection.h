/* SPDX-License-Identifier: MIT
 *
 * The connection of a client: requests are read, executed in order, and answered. The server does
 * not read from a client that does not read its answers.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "loop.h"
#include "request.h"

/* The longest name that a client can give itself, with a terminating zero. */
#define CONNECTION_NAME_BYTES 32

struct connection {
	struct watch watch; /* of the socket; first, so that the connection is found from it */
	struct watch done;  /* of the eventfd */
	struct loop *loop;
	struct connection *next;
	struct connection *previous;
	uint64_t id;
	int socket;
	int eventfd; /* -1, or the one that the next request waits for */
	uint32_t events;
	bool is_closing; /* no more requests are executed; closed when the answers are sent */
	bool is_dead;
	struct buffer in;
	struct buffer out;
	struct request request;
	char name[CONNECTION_NAME_BYTES];
};

/* Takes the socket. If there is no room, closes it after an error for the client. */
void connection_open(struct loop *loop, int socket);

/* Answers OK and executes the next request when everything reclaimed so far is destroyed. */
void connection_wait_for_reclaim(struct connection *connection);

/* Stops reading from all clients, and closes the connections whose answers are sent. */
void connection_end_all(struct loop *loop);
/* Closes the connections that are left. */
void connection_close_all(struct loop *loop);

/* Frees the connections that were closed. */
void connection_bury_dead(struct loop *loop);

#endif
