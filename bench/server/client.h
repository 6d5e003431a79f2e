/* SPDX-License-Identifier: MIT
 *
 * One connection of the client that measures: requests go out when it is their time, whether the
 * answers to earlier ones have come or not; answers come in their order.
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
	/* When the requests that were sent, and not answered, were to be sent: a ring. */
	uint64_t *due_ns;
	uint64_t sent;
	uint64_t answered;
	uint64_t room; /* a power of two */
	uint64_t errors;
};

/* Each ends the program with a message where it fails: there is nothing to measure then. */

void client_open(struct client *client, uint16_t port);
void client_close(struct client *client);

/* Appends a request to what is to be sent; count words. */
void client_request(
	struct client *client, uint64_t due_ns, const char *const *words, unsigned count);
/* Sends as much as the socket takes. */
void client_send(struct client *client);
/* Takes what answers have come. histogram: of the time since they were due, or NULL. */
void client_receive(struct client *client, struct histogram *histogram);

static inline bool client_is_idle(const struct client *client)
{
	return client->answered == client->sent;
}

#endif
