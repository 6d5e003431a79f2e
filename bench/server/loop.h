/* SPDX-License-Identifier: MIT
 *
 * An event loop over epoll(7): one thread, its connections, and others that wait for a descriptor.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "buffer.h"

/* Called when a descriptor is ready. The objects that wait for one begin with it. */
struct watch {
	void (*ready)(struct watch *watch, uint32_t events);
};

struct connection;

struct loop {
	int epoll;
	bool is_reader; /* beside the loop that writes: see reader.h */
	unsigned max_connections;
	unsigned connections;
	uint64_t accepted_total;
	uint64_t requests_total;
	struct connection *first; /* of the open connections */
	struct connection *dead;  /* closed in this turn: an event may still point to them */
	struct buffer spare_in;
	struct buffer spare_out;
};

/* 0 or a negative errno. */
int loop_open(struct loop *loop, unsigned max_connections);
void loop_close(struct loop *loop);

/* 0 or a negative errno. */
int loop_watch(struct loop *loop, struct watch *watch, int descriptor, uint32_t events);
void loop_watch_for(struct loop *loop, struct watch *watch, int descriptor, uint32_t events);
void loop_unwatch(struct loop *loop, int descriptor);

/* Waits for events and handles them. timeout_ms: -1 is for ever. */
void loop_turn(struct loop *loop, int timeout_ms);

#endif
