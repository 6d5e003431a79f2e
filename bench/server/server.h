/* SPDX-License-Identifier: MIT
 *
 * The state that a process has once: its options, and whether it is ending.
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

/* Reads the command line; bad input ends the program (options.h). */
void server_options_read(struct server_options *options, int count, char **arguments);

struct server {
	struct server_options options;
	uint16_t port; /* the port in use */
	uint64_t started_ns;
	bool is_ending;
};

extern struct server server; /* main.c */

#endif
