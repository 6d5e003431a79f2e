/* SPDX-License-Identifier: MIT
 *
 * Pools: memory that comes home.
 *
 * What one thread allocates and another frees is dear to allocate again: the allocator has to carry
 * it back, and does so on the thread that allocates. A pool carries it back in bulk. The destructor
 * gives each block to the pool; the thread that makes objects takes them from it again:
 *
 *     struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
 *     struct defer_drop_pool *nodes;
 *
 *     config.block_bytes = sizeof(struct node);
 *     defer_drop_pool_create(&nodes, &config);
 *
 *     node = defer_drop_pool_take(nodes);    instead of malloc(sizeof *node)
 *     defer_drop_pool_give(nodes, node);     instead of free(node), above all in destructors
 *
 * A program with nodes of many sizes has a set of size classes: defer_drop_classes_take(classes,
 * bytes) and defer_drop_classes_give(classes, block, bytes).
 *
 * Each thread has two magazines of each pool that it uses: arrays of pointers to blocks. Take and
 * give move one pointer between the caller and a magazine; neither takes a lock, has a locked
 * instruction, or touches the block. A full magazine goes whole to the depot of the pool, and from
 * there, whole, to a thread whose magazines are empty. (Bonwick and Adams, "Magazines and Vmem",
 * USENIX 2001.) Take fetches the blocks that come next into the cache, for writing, ahead of time.
 *
 * A pool gets its blocks from its backing, one at a time, when none is at rest in it: malloc(3)
 * and free(3), or functions of the program. It gives blocks back when more than max_bytes are at
 * rest in the depot, and when they have been there for a while: the worker of any queue
 * (defer_drop.h) does that before it sleeps, and a caller that drains a queue when it has drained.
 * Both also send home what they have in their own magazines, and a thread that ends gives back its
 * own. A pool knows no queue: any thread may give, not only a worker.
 *
 * Fork: the child has all that was at rest in the depot and in the magazines of the thread that
 * forked. What lay in those of other threads is lost to it, and counted as given to the backing.
 *
 * Tools: AddressSanitizer and valgrind know of blocks at rest, and report their use like that of
 * freed memory. A pool looks for both when it is created. They slow it down if they are there, and
 * cost nothing otherwise.
 */
#ifndef DEFER_DROP_POOL_H
#define DEFER_DROP_POOL_H

#include <defer_drop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct defer_drop_pool;    /* opaque */
struct defer_drop_classes; /* opaque */

/* ---- Configuration -------------------------------------------------------------------------- */

/*
 * Gets a block of memory for a pool, or returns NULL; and gives one back. bytes and alignment are
 * those with which it was got. context is that of the configuration.
 *
 * Threads: called by any that takes from the pool, gives to it, trims or frees it, and by threads
 *   that run destructors of any queue; also by several at once. Neither function may use the pool
 *   itself, or free it; it may use other pools.
 */
typedef void *(*defer_drop_backing_take_fn)(void *context, size_t bytes, size_t alignment);
typedef void (*defer_drop_backing_give_fn)(
	void *context, void *block, size_t bytes, size_t alignment);

enum defer_drop_pool_flags {
	/* Finds blocks that are given twice, to another pool than their own, or that were never
	 * taken: reports that, and aborts. Each block gets a header of 16 bytes, or of its
	 * alignment if that is more, and each call takes some 10 ns more. The environment variable
	 * DEFER_DROP_POOL_CHECK, if it is not empty, sets this flag in all pools, except in
	 * set-user-ID programs (secure_getenv(3)). */
	DEFER_DROP_POOL_CHECKED = 1 << 0,
};

/*
 * How a pool is set up. Begin with DEFER_DROP_POOL_CONFIG_INIT, which fills in the built-in values,
 * given in brackets; block_bytes has none.
 */
struct defer_drop_pool_config {
	size_t size; /* sizeof(struct defer_drop_pool_config) */

	size_t block_bytes; /* of each block: 1..2^40; of size classes, 0 [0] */
	/* Of each block: a power of two, 1..2^20; of size classes, 16 [that of malloc(3), 16]. */
	size_t alignment;

	/* Blocks in a magazine: 2..4096, or 0: up to 126, and some 64 KiB of blocks [0]. */
	uint32_t magazine_blocks;
	uint32_t flags; /* enum defer_drop_pool_flags, added up [0] */

	/* What may be at rest in the depot: 0..2^62. Beside it each thread has two magazines; and a
	 * block at rest takes 8 bytes more, in its magazine. Of size classes, each. The blocks of
	 * all drops that wait come home in one burst. If they are more than this, the others go to
	 * the backing, and have to be got from there again: choose this, or the queue_size of the
	 * queue, so that they fit [16777216, 16 MiB]. */
	uint64_t max_bytes;
	/* Blocks that the depot has not needed for this time, or for up to twice as long, go back to
	 * the backing: 1000000..DEFER_DROP_TIMEOUT_MAX, or DEFER_DROP_NEVER [500000000, 500 ms]. */
	uint64_t idle_ns;

	/* Both or none [NULL: malloc(3), aligned_alloc(3) and free(3)]. */
	defer_drop_backing_take_fn backing_take;
	defer_drop_backing_give_fn backing_give;
	void *context;
};

/*
 * Fills in the built-in values of the library that runs.
 *
 * config: its size field says how much to fill in, and afterwards how much was.
 * Threads: any. Blocks: never.
 * Errors: -EINVAL if config is NULL or its size is smaller than that of the first version.
 */
DEFER_DROP_API int defer_drop_pool_config_built_in(struct defer_drop_pool_config *config);

/* Returns the built-in values: DEFER_DROP_POOL_CONFIG_INIT is this call, and so no constant for
 * objects of static storage. Threads: any. Blocks: never. */
static inline struct defer_drop_pool_config defer_drop_pool_config_init(void)
{
	struct defer_drop_pool_config config;

	memset(&config, 0, sizeof config);
	config.size = sizeof config;
	defer_drop_pool_config_built_in(&config);
	config.size = sizeof config; /* also the fields that an older library does not know */
	return config;
}

#define DEFER_DROP_POOL_CONFIG_INIT defer_drop_pool_config_init()

/* ---- Pools: blocks of one size --------------------------------------------------------------- */

/*
 * Makes a pool. It has no blocks yet.
 *
 * pool: receives the new pool; untouched on error.
 * Threads: any.
 * Blocks: briefly, on the lock of all pools. Calls that make or free pools, or read statistics,
 *   hold it for a moment, and so do a thread's first use of a pool, its end, a worker before it
 *   sleeps, and fork(2).
 * Errors (there is no new pool):
 *   -EINVAL  pool or config is NULL, or a field is out of its range; one function of the backing
 *            without the other; size is smaller than that of the struct's first version
 *   -E2BIG   config is of a later version and uses what this library does not know
 *   -ENOMEM  no memory
 */
DEFER_DROP_API int defer_drop_pool_create(
	struct defer_drop_pool **pool, const struct defer_drop_pool_config *config);

/*
 * Takes a block, which is the caller's then; its contents are undefined.
 *
 * Threads: any, beside every other call; also in destructors.
 * Blocks: as the backing does, if no block is at rest; on the first use of a pool by a thread, as
 *   defer_drop_pool_create.
 * Errors: NULL if the backing has no memory, or pool is NULL. errno is as the backing left it.
 * Ordering: what a thread did with the block before it gave it happens before what the caller does
 *   with it.
 */
DEFER_DROP_API void *defer_drop_pool_take(struct defer_drop_pool *pool);

/*
 * Gives a block back.
 *
 * block: taken from this pool, by any thread, and not used afterwards. With NULL it does nothing.
 * Threads: any, beside every other call; above all in destructors.
 * Blocks: as the backing does, if max_bytes are at rest or there is no memory for a magazine; on
 *   the first use of a pool by a thread, as defer_drop_pool_create.
 * Ordering: as defer_drop_pool_take.
 */
DEFER_DROP_API void defer_drop_pool_give(struct defer_drop_pool *pool, void *block);

/*
 * Gives blocks at rest back to the backing, until no more than keep_bytes are at rest in the depot.
 * The calling thread's own magazines go to the depot first; those of other threads stay.
 *
 * For a program that wants its memory now; or that has no worker, and no caller that drains, which
 * would do it by and by.
 *
 * keep_bytes: any; it counts whole blocks, without their headers.
 * Threads: any, beside every other call.
 * Blocks: as the backing does.
 * Errors: -EINVAL if pool is NULL.
 */
DEFER_DROP_API int defer_drop_pool_trim(struct defer_drop_pool *pool, uint64_t keep_bytes);

/*
 * Gives all blocks at rest back to the backing, and frees the pool.
 *
 * If destructors give to the pool, flush or shut down their queue first.
 *
 * Threads: any; no other call on the pool may be running, and none may follow. Threads that have
 *   used it may live on.
 * Blocks: as the backing does, and as defer_drop_pool_create; also while a worker, or a thread that
 *   ends, is giving back some of the pool's blocks.
 * Errors (nothing was changed):
 *   -EINVAL  pool is NULL
 *   -EBUSY   blocks are out: taken and not given back
 */
DEFER_DROP_API int defer_drop_pool_free(struct defer_drop_pool *pool);

/* ---- Size classes: blocks of many sizes ------------------------------------------------------ */

/* A block with more bytes comes straight from the backing and goes straight back to it. */
#define DEFER_DROP_CLASSES_MOST_BYTES 8192

/*
 * Makes a set of pools, for all sizes up to DEFER_DROP_CLASSES_MOST_BYTES: one for each 16 bytes
 * up to 128, then four to a doubling, so that at most a fifth of a block is unused there.
 *
 * classes: receives the new set; untouched on error.
 * config: of each pool; block_bytes is 0 and alignment 16.
 * Threads, Blocks, Errors: as defer_drop_pool_create.
 */
DEFER_DROP_API int defer_drop_classes_create(
	struct defer_drop_classes **classes, const struct defer_drop_pool_config *config);

/*
 * Takes a block of at least this size, aligned to 16.
 *
 * bytes: any; with 0 the block is one of the smallest class.
 * Threads, Errors, Ordering: as defer_drop_pool_take.
 * Blocks: as defer_drop_pool_take; for more than DEFER_DROP_CLASSES_MOST_BYTES, as the backing
 *   does.
 */
DEFER_DROP_API void *defer_drop_classes_take(struct defer_drop_classes *classes, size_t bytes);

/*
 * Gives a block back.
 *
 * block: taken from this set, by any thread, and not used afterwards. With NULL it does nothing.
 * bytes: with which it was taken.
 * Threads, Ordering: as defer_drop_pool_give.
 * Blocks: as defer_drop_pool_give; for more than DEFER_DROP_CLASSES_MOST_BYTES, as the backing
 *   does.
 */
DEFER_DROP_API void defer_drop_classes_give(
	struct defer_drop_classes *classes, void *block, size_t bytes);

/*
 * Gives blocks at rest back to the backing, as defer_drop_pool_trim.
 *
 * keep_bytes: for all classes together; those of the smallest classes are kept first.
 * Threads, Blocks: as defer_drop_pool_trim.
 * Errors: -EINVAL if classes is NULL.
 */
DEFER_DROP_API int defer_drop_classes_trim(struct defer_drop_classes *classes, uint64_t keep_bytes);

/*
 * Gives all blocks at rest back to the backing, and frees the set.
 *
 * Threads, Blocks: as defer_drop_pool_free.
 * Errors (nothing was changed): those of defer_drop_pool_free; -EBUSY also if larger blocks are
 *   out.
 */
DEFER_DROP_API int defer_drop_classes_free(struct defer_drop_classes *classes);

/* ---- Statistics ------------------------------------------------------------------------------ */

/*
 * Counters since the pool was created, in a forked child too. Each is exact. They are read one
 * after the other while threads go on; when no other call is running they agree:
 * taken = given + out, taken = from home + from backing.
 */
struct defer_drop_pool_counts {
	size_t size; /* sizeof(struct defer_drop_pool_counts), set by the caller; then what was
		      * filled in */

	uint64_t taken_total;        /* blocks */
	uint64_t given_total;        /* blocks */
	uint64_t from_home_total;    /* taken, and had been given before */
	uint64_t from_backing_total; /* taken, and were new */
	uint64_t to_backing_total;   /* given back to the backing, by any thread */

	uint64_t out;     /* blocks taken and not given */
	uint64_t at_rest; /* blocks in the depot and in magazines */

	uint64_t out_bytes; /* a block counts as the bytes of its class, a larger one as its own */
	uint64_t at_rest_bytes; /* a block counts as the bytes of its class */
};

/*
 * Fills in the statistics of a pool, or of all classes of a set together.
 *
 * Threads: any, beside every other call. Blocks: as defer_drop_pool_create.
 * Errors: -EINVAL if pool, classes or stats is NULL, or stats->size is smaller than that of the
 *   first version.
 */
DEFER_DROP_API int defer_drop_pool_stats(
	struct defer_drop_pool *pool, struct defer_drop_pool_counts *stats);
DEFER_DROP_API int defer_drop_classes_stats(
	struct defer_drop_classes *classes, struct defer_drop_pool_counts *stats);

#ifdef __cplusplus
}

#define DEFER_DROP_POOL_COUNTS_INIT defer_drop_sized<struct defer_drop_pool_counts>()
#else
/* clang-format off */
#define DEFER_DROP_POOL_COUNTS_INIT {.size = sizeof(struct defer_drop_pool_counts)}
/* clang-format on */
#endif

#endif
