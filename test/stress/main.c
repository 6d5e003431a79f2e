/* SPDX-License-Identifier: MIT
 *
 * stress SCENARIO [PRODUCERS [SECONDS [SEED]]]: runs rounds of one scenario until the time is over,
 * with what the scenarios share.
 */
#include "stress.h"

#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed;
static const char *scenario_name;

static const struct {
	const char *name;
	scenario_fn run;
} scenarios[] = {
	{"await", scenario_await},
	{"burst", scenario_burst},
	{"churn", scenario_churn},
	{"flush", scenario_flush},
	{"fork", scenario_fork},
	{"give_up", scenario_give_up},
	{"group", scenario_group},
	{"nested", scenario_nested},
	{"options", scenario_options},
	{"os", scenario_os},
	{"pool", scenario_pool},
	{"share", scenario_share},
	{"shutdown", scenario_shutdown},
	{"slow", scenario_slow},
	{"soak", scenario_soak},
	{"start", scenario_start},
	{"stop", scenario_stop},
	{"ticket", scenario_ticket},
	{"watchdog", scenario_watchdog},
};

#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

void fail(const char *file, int line, const char *claim)
{
	fprintf(stderr, "%s:%d: not true: %s\nagain with: stress %s, seed %" PRIu64 "\n", file,
		line, claim, scenario_name, seed);
	abort();
}

/* ---- Numbers --------------------------------------------------------------------------------- */

uint64_t some_ns(uint64_t *state, uint64_t bound)
{
	return below(state, 4) ? below(state, bound) : 0;
}

int in_vain(uint64_t timeout_ns)
{
	if (timeout_ns == DEFER_DROP_FOREVER)
		return 1;
	return timeout_ns ? -ETIMEDOUT : -EAGAIN;
}

/* ---- Drops that are counted ------------------------------------------------------------------ */

struct object {
	struct producer *producer;
	uint64_t sequence;
	struct object *next; /* of those that the producer keeps */
};

static void destroy_nested(void *memory)
{
	free(memory);
}

static void destroy(void *memory)
{
	struct object *object = memory;
	struct producer *producer = object->producer;

	CHECK(object->sequence > producer->last);
	CHECK(producer->is_gap_allowed || object->sequence == producer->last + 1);
	producer->last = object->sequence;
	producer->destroyed++;
	for (unsigned i = 0; i < producer->nests; i++) {
		void *nested = malloc(1);

		CHECK(!defer_drop_queue_push(
			producer->queue, nested, destroy_nested, DEFER_DROP_FOREVER));
	}
	if (!producer->is_gap_allowed)
		free(object);
}

int push_one(struct producer *producer)
{
	struct object *object = malloc(sizeof *object);
	uint64_t timeout_ns = DEFER_DROP_FOREVER;
	int result;

	*object = (struct object){producer, producer->accepted + 1, producer->objects};
	if (below(&producer->random, 2))
		timeout_ns = below(&producer->random, 2) ? below(&producer->random, 200000) : 0;
	result = defer_drop_queue_push(producer->queue, object, destroy, timeout_ns);
	CHECK(!result || result == -ESHUTDOWN || result == in_vain(timeout_ns));
	if (!result) {
		producer->accepted++;
		if (producer->is_gap_allowed)
			producer->objects = object;
		return 0;
	}
	CHECK(object->producer == producer && object->sequence == producer->accepted + 1);
	producer->refused++;
	free(object);
	return result;
}

struct defer_drop_config make_config(struct stress *stress, uint32_t runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 2u << below(&stress->random, 3);
	config.max_lanes = (uint32_t)below(&stress->random, stress->producers + 1);
	config.quiet_spell_ns = 1000000;
	config.longest_delay_ns = 1000 + below(&stress->random, 200000);
	config.runner = runner;
	return config;
}

struct defer_drop_queue *make_queue(struct stress *stress, uint32_t runner)
{
	struct defer_drop_config config = make_config(stress, runner);

	return create_queue(&config);
}

void start_producers(struct stress *stress, struct producer *producers, unsigned count,
	struct defer_drop_queue *queue, void *(*run)(void *))
{
	for (unsigned i = 0; i < count; i++) {
		producers[i].queue = queue;
		producers[i].random = next_random(&stress->random);
		producers[i].thread = spawn(run, &producers[i]);
	}
}

void join_producers(struct producer *producers, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		join_thread(producers[i].thread);
}

void check_all_destroyed(struct defer_drop_queue *queue, struct producer *producers, unsigned count)
{
	struct defer_drop_stats stats = stats_of(queue);
	uint64_t accepted = 0;
	uint64_t refused = 0;

	for (unsigned i = 0; i < count; i++) {
		CHECK(producers[i].destroyed == producers[i].accepted);
		accepted += producers[i].accepted * (1 + producers[i].nests);
		refused += producers[i].refused;
	}
	CHECK(stats.pushed_total == accepted);
	CHECK(stats.destroyed_total == accepted);
	CHECK(stats.refused_total == refused);
	CHECK(!stats.abandoned_total && !stats.backlog);
	CHECK(!defer_drop_queue_backlog(queue));
}

void free_objects(struct producer *producers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		while (producers[i].objects) {
			struct object *object = producers[i].objects;

			producers[i].objects = object->next;
			free(object);
		}
	}
}

void end_drained(struct defer_drop_queue *queue, struct producer *producers, unsigned count)
{
	CHECK(!defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	check_all_destroyed(queue, producers, count);
	CHECK(!defer_drop_queue_free(queue));
}

/* ---- main ------------------------------------------------------------------------------------ */

static scenario_fn find_scenario(const char *name)
{
	for (unsigned i = 0; i < SCENARIOS; i++)
		if (!strcmp(scenarios[i].name, name))
			return scenarios[i].run;
	fprintf(stderr, "stress: %s: want one of:", name);
	for (unsigned i = 0; i < SCENARIOS; i++)
		fprintf(stderr, " %s", scenarios[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

static uint64_t number(const char *what, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*end || end == text || value < least || value > most) {
		fprintf(stderr, "stress: %s %s: want %" PRIu64 "..%" PRIu64 "\n", what, text, least,
			most);
		exit(2);
	}
	return value;
}

int main(int count, char **arguments)
{
	struct stress stress = {.producers = 8};
	uint64_t seconds = 2;
	uint64_t rounds = 0;
	uint64_t begin_ns;
	scenario_fn run;

	if (count < 2 || count > 5) {
		fprintf(stderr, "usage: stress SCENARIO [PRODUCERS [SECONDS [SEED]]]\n");
		return 2;
	}
	scenario_name = arguments[1];
	run = find_scenario(scenario_name);
	seed = now_ns() ^ (uint64_t)getpid() << 32;
	if (count > 2)
		stress.producers = (unsigned)number("PRODUCERS", arguments[2], 1, MAX_PRODUCERS);
	if (count > 3)
		seconds = number("SECONDS", arguments[3], 0, 86400);
	if (count > 4)
		seed = number("SEED", arguments[4], 0, UINT64_MAX);
	stress.random = seed;
	begin_ns = now_ns();
	stress.until_ns = begin_ns + seconds * 1000000000u;
	do {
		run(&stress);
		rounds++;
	} while (now_ns() < stress.until_ns);
	printf("%s: %u producers, %" PRIu64 " s, %" PRIu64 " rounds%s, seed %" PRIu64 "\n",
		scenario_name, stress.producers, (now_ns() - begin_ns) / 1000000000u, rounds,
		stress.outcome, seed);
	return 0;
}
