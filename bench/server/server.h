/* SPDX-License-Identifier: MIT
 *
 * What there is once in a process: what it was started with, and that it shall end.
 */
#ifndef SERVER_H
#define SERVER_H

#include "reclaim.h"

struct server_options {
	const char *address;
	uint16_t port;
	int read_port; /* -1: none */
	unsigned max_clients;
	uint64_t max_memory_bytes; /* 0: no limit */
	bool is_pinned;
	bool has_pools; /* of nodes */
	struct reclaim_config reclaim;
};

/* Or a message and exit status 2. */
void options_parse(struct server_options *options, int count, char **arguments);

struct server {
	struct server_options options;
	uint16_t port; /* the one in use */
	uint64_t started_ns;
	bool is_ending;
};

extern struct server server; /* main.c */

#endif
