/* SPDX-License-Identifier: MIT
 *
 * Channels of Rust's crossbeam, bounded as our ring and unbounded; crossbeam.rs is their Rust part.
 */
#include "peer.h"

struct channel;

struct channel *crossbeam_begin(size_t bound);
void crossbeam_push(
	struct channel *channel, uint64_t count, void *object, void (*destroy)(void *object));
void crossbeam_end(struct channel *channel);

static struct channel *channel;

static void begin_bounded(void)
{
	channel = crossbeam_begin(PEER_BOUND);
}

static void begin_unbounded(void)
{
	channel = crossbeam_begin(0);
}

static void push(uint64_t count)
{
	crossbeam_push(channel, count, NULL, peer_destroy);
}

static void push_one(void *object, void (*destroy)(void *))
{
	crossbeam_push(channel, 1, object, destroy);
}

static void end(void)
{
	crossbeam_end(channel);
}

const struct peer peer_crossbeam_bounded = {.name = "crossbeam bounded",
	.begin = begin_bounded,
	.push = push,
	.push_one = push_one,
	.end = end};

const struct peer peer_crossbeam_unbounded = {.name = "crossbeam unbounded",
	.begin = begin_unbounded,
	.push = push,
	.push_one = push_one,
	.end = end};
