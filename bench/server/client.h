/* SPDX-License-Identifier: MIT
 *
 * One connection of the client that measures. Requests go out when they are due, whether or not
 * earlier ones are answered. Answers come in the order of the requests.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "histogram.h"

struct client {
	int socket;
	struct buffer in;
	struct buffer out;
	/* When each request that is not answered was due: a ring. */
	uint64_t *due_ns;
	uint64_t sent;
	uint64_t answered;
	uint64_t room; /* a power of two */
	uint64_t errors;
};

/* Each call ends the program with a message if it fails, since there is nothing to measure then. */

void client_open(struct client *client, uint16_t port);
void client_close(struct client *client);

/* Appends a request of count words to the bytes that wait to be sent. */
void client_request(
	struct client *client, uint64_t due_ns, const char *const *words, unsigned count);
/* Sends as much as the socket takes. */
void client_send(struct client *client);
/*
 * Takes the answers that have come. histogram: of the time since their requests were due, or NULL.
 */
void client_receive(struct client *client, struct histogram *histogram);

static inline bool client_is_idle(const struct client *client)
{
	return client->answered == client->sent;
}

#endif
