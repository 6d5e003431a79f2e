/* SPDX-License-Identifier: MIT
 *
 * Decides what is destroyed in place, and passes the rest to the chosen way.
 */
#include "reclaim.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>

const struct reclaim_way reclaim_in_place = {.name = "place"};

static const struct reclaim_way *const ways[] = {
	&reclaim_in_place,
	&reclaim_mutex,
#ifdef HAVE_URCU
	&reclaim_call_rcu,
#endif
	&reclaim_drop,
	&reclaim_loop,
};

#define WAYS (sizeof ways / sizeof ways[0])

static const struct reclaim_way *way;
static uint64_t min_weight;
static bool is_shared;

static struct tally reclaimed;
static uint64_t in_place_total;
static uint64_t deferred_total;
static uint64_t refused_total; /* there was no room; counted in in_place_total too */

const struct reclaim_way *reclaim_find(const char *name)
{
	for (unsigned i = 0; i < WAYS; i++)
		if (!strcmp(ways[i]->name, name))
			return ways[i];
	return NULL;
}

const char *reclaim_name(unsigned nth)
{
	return nth < WAYS ? ways[nth]->name : NULL;
}

int reclaim_start(const struct reclaim_config *config)
{
	way = config->way;
	min_weight = config->min_weight;
	is_shared = config->is_shared;
	return way->start ? way->start(config) : 0;
}

/* Returns what the cost of destroying grows with: nodes, or pages if there are more of them. */
static uint64_t weight(const struct tally *tally)
{
	uint64_t pages = tally->bytes / 4096;

	return tally->nodes > pages ? tally->nodes : pages;
}

void reclaim(struct garbage *garbage)
{
	/* Copied, since garbage may not be read once it is pushed. */
	struct tally tally = garbage->tally;
	bool is_worth_it = is_shared || (way->push && weight(&tally) >= min_weight);

	reclaimed.nodes += tally.nodes;
	reclaimed.bytes += tally.bytes;
	if (is_worth_it && way->push(garbage)) {
		deferred_total++;
		return;
	}
	/*
	 * If the queue is full, the thread that fills it helps: that bounds the memory that waits.
	 */
	refused_total += is_worth_it;
	in_place_total++;
	garbage_destroy(garbage);
}

struct tally reclaim_held(void)
{
	struct tally created = memory_created();

	return (struct tally){created.nodes - reclaimed.nodes, created.bytes - reclaimed.bytes};
}

int reclaim_notify(int eventfd)
{
	if (way->notify)
		return way->notify(eventfd);
	return eventfd_write(eventfd, 1) ? -errno : 0;
}

bool reclaim_turn(void)
{
	return way->turn && way->turn();
}

void reclaim_describe(struct buffer *out)
{
	buffer_print(out, "reclaim:%s\r\nreclaim_min:%" PRIu64 "\r\n", way->name, min_weight);
	buffer_print(out, "in_place_total:%" PRIu64 "\r\ndeferred_total:%" PRIu64 "\r\n",
		in_place_total, deferred_total);
	buffer_print(out, "refused_total:%" PRIu64 "\r\n", refused_total);
	if (way->describe)
		way->describe(out);
}

void reclaim_stop(void)
{
	if (way->stop)
		way->stop();
}
