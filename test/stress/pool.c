/* SPDX-License-Identifier: MIT
 *
 * Threads take blocks, poison them, give them back, drop them, hand them to each other, trim, and
 * end. A thread that gives a block finds its poison whole: no other thread had the block meanwhile.
 */
#include "stress.h"

#include <defer_drop/pool.h>
#include <stdlib.h>
#include <string.h>

#define GENERATIONS 3
#define HELD        64  /* blocks that a thread has at a time */
#define SHELF       256 /* blocks that are left for other threads */
#define MOST_BYTES  10000

/* What a block begins with, and is filled with behind that. */
struct block {
	struct shop *shop;
	size_t bytes;
	unsigned char poison;
};

/* A round: a pool, or size classes. */
struct shop {
	struct defer_drop_queue *queue;
	struct defer_drop_pool *pool; /* NULL: classes */
	struct defer_drop_classes *classes;
	size_t block_bytes;
	_Atomic(struct block *) shelf[SHELF];
	atomic_uint backed; /* blocks that the backing has given */
};

struct customer {
	struct shop *shop;
	uint64_t random;
	pthread_t thread;
};

/* ---- The backing: without memory now and then ------------------------------------------------ */

static void *back(void *context, size_t bytes, size_t alignment)
{
	struct shop *shop = context;
	static atomic_uint calls;
	void *block;

	if (atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % 100 == 99)
		return NULL;
	block = aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));
	CHECK(block);
	atomic_fetch_add_explicit(&shop->backed, 1, memory_order_relaxed);
	return block;
}

static void take_back(void *context, void *block, size_t bytes, size_t alignment)
{
	struct shop *shop = context;

	(void)alignment;
	memset(block, 0xdb, bytes); /* the backing may use it */
	atomic_fetch_sub_explicit(&shop->backed, 1, memory_order_relaxed);
	free(block);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

static unsigned char *body_of(struct block *block)
{
	return (unsigned char *)(block + 1);
}

static void check_poison(struct block *block)
{
	CHECK(block->bytes >= sizeof *block && block->bytes <= MOST_BYTES);
	for (size_t i = 0; i < block->bytes - sizeof *block; i++)
		CHECK(body_of(block)[i] == block->poison);
}

static struct block *take(struct customer *self)
{
	struct shop *shop = self->shop;
	size_t bytes = shop->pool ? shop->block_bytes
				  : sizeof(struct block) +
					    below(&self->random, MOST_BYTES - sizeof(struct block));
	struct block *block = shop->pool ? defer_drop_pool_take(shop->pool)
					 : defer_drop_classes_take(shop->classes, bytes);

	if (!block)
		return NULL;
	*block = (struct block){shop, bytes, (unsigned char)below(&self->random, 256)};
	memset(body_of(block), block->poison, bytes - sizeof *block);
	return block;
}

static void give(void *given)
{
	struct block *block = given;
	struct shop *shop = block->shop;
	size_t bytes = block->bytes;

	check_poison(block);
	if (shop->pool)
		defer_drop_pool_give(shop->pool, block);
	else
		defer_drop_classes_give(shop->classes, block, bytes);
}

static void drop(struct block *block)
{
	CHECK(!defer_drop_queue_push(block->shop->queue, block, give, DEFER_DROP_FOREVER));
}

/* Leaves a block for another thread; takes what lies in its place. */
static struct block *swap(struct customer *self, struct block *block)
{
	return atomic_exchange_explicit(
		&self->shop->shelf[below(&self->random, SHELF)], block, memory_order_acq_rel);
}

static void trim(struct customer *self)
{
	if (self->shop->pool)
		CHECK(!defer_drop_pool_trim(self->shop->pool, below(&self->random, 100000)));
	else
		CHECK(!defer_drop_classes_trim(self->shop->classes, below(&self->random, 100000)));
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void step(struct customer *self, struct block **held)
{
	struct block **place = &held[below(&self->random, HELD)];

	if (!*place) {
		*place = take(self);
		return;
	}
	switch (below(&self->random, 8)) {
	case 0:
		*place = swap(self, *place);
		return;
	case 1:
	case 2:
	case 3:
		give(*place);
		break;
	default:
		drop(*place);
	}
	*place = NULL;
}

static void *visit(void *argument)
{
	struct customer *self = argument;
	uint64_t steps = below(&self->random, 20000);
	struct block *held[HELD] = {NULL};

	while (steps--) {
		step(self, held);
		if (!below(&self->random, 5000))
			trim(self);
	}
	for (unsigned i = 0; i < HELD; i++)
		if (held[i])
			give(held[i]);
	return NULL;
}

static void let_visit(struct stress *stress, struct shop *shop)
{
	struct customer customers[MAX_PRODUCERS];

	for (unsigned i = 0; i < stress->producers; i++) {
		customers[i].shop = shop;
		customers[i].random = next_random(&stress->random) | 1;
		customers[i].thread = spawn(visit, &customers[i]);
	}
	for (unsigned i = 0; i < stress->producers; i++)
		join_thread(customers[i].thread);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static void open_shop(struct stress *stress, struct shop *shop)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	config.magazine_blocks = 2 + (uint32_t)below(&stress->random, 20);
	config.max_bytes =
		below(&stress->random, 2) ? below(&stress->random, 200000) : UINT64_C(1) << 62;
	config.idle_ns = 1000000;
	config.flags = below(&stress->random, 3) ? 0 : DEFER_DROP_POOL_CHECKED;
	config.backing_take = back;
	config.backing_give = take_back;
	config.context = shop;
	if (below(&stress->random, 2)) {
		CHECK(!defer_drop_classes_create(&shop->classes, &config));
		return;
	}
	shop->block_bytes = sizeof(struct block) + below(&stress->random, 500);
	config.block_bytes = shop->block_bytes;
	config.alignment = (size_t)16 << below(&stress->random, 4);
	CHECK(!defer_drop_pool_create(&shop->pool, &config));
}

static void close_shop(struct shop *shop)
{
	struct defer_drop_pool_counts counts = DEFER_DROP_POOL_COUNTS_INIT;

	if (shop->pool)
		CHECK(!defer_drop_pool_stats(shop->pool, &counts));
	else
		CHECK(!defer_drop_classes_stats(shop->classes, &counts));
	CHECK(counts.taken_total == counts.given_total && !counts.out && !counts.out_bytes);
	CHECK(counts.taken_total == counts.from_home_total + counts.from_backing_total);
	if (shop->pool)
		CHECK(!defer_drop_pool_free(shop->pool));
	else
		CHECK(!defer_drop_classes_free(shop->classes));
	CHECK(!atomic_load(&shop->backed));
}

void scenario_pool(struct stress *stress)
{
	struct shop shop = {.queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER)};

	open_shop(stress, &shop);
	for (unsigned i = 0; i < GENERATIONS; i++)
		let_visit(stress, &shop);
	for (unsigned i = 0; i < SHELF; i++)
		if (shop.shelf[i])
			drop(shop.shelf[i]);
	CHECK(!defer_drop_queue_flush(shop.queue, DEFER_DROP_FOREVER));
	close_shop(&shop); /* beside a worker that may be resting */
	end_queue(shop.queue);
}
