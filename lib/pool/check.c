/* SPDX-License-Identifier: MIT
 *
 * Checked pools. They check themselves, by a header before each block that names its pool and tells
 * whether it is out. AddressSanitizer and valgrind check them too, if the process has them.
 *
 * AddressSanitizer belongs to the program, not to the library: its functions exist in a process
 * that was built with it, and are NULL otherwise.
 */
#include "pool/pools.h"

#include <stdlib.h>

#include "base/report.h"
#include "base/tools.h"

#ifdef DD_HAS_VALGRIND
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND                             0
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, is_zero) (void)(pool)
#define VALGRIND_DESTROY_MEMPOOL(pool)                  (void)(pool)
#define VALGRIND_MEMPOOL_ALLOC(pool, block, bytes)      (void)(block)
#define VALGRIND_MEMPOOL_FREE(pool, block)              (void)(block)
#define VALGRIND_MAKE_MEM_UNDEFINED(block, bytes)       (void)(block)
#endif

__attribute__((weak, visibility("default"))) void __asan_poison_memory_region(
	const volatile void *memory, size_t bytes);
__attribute__((weak, visibility("default"))) void __asan_unpoison_memory_region(
	const volatile void *memory, size_t bytes);

/* ---- Headers --------------------------------------------------------------------------------- */

/* The state in the word before a block, beside the address of its pool: bits no address has. */
#define OUT     ((uintptr_t)0x0d0f << 48)
#define AT_REST ((uintptr_t)0x0de5 << 48)
#define STATE   ((uintptr_t)0xffff << 48)

struct header {
	_Atomic(uintptr_t) word;
};

/* The word lies directly before the block. */
#define LEAST_HEADER_BYTES 16

static struct header *header_of(void *block)
{
	return (struct header *)((char *)block - sizeof(struct header));
}

/* True if a pool of the program lies at this address. */
static bool is_pool(uintptr_t address)
{
	struct defer_drop_pool *pool;
	bool is = false;

	for (uint32_t i = 1; !is && (pool = dd_pools_visit(&i)); i++) {
		is = (uintptr_t)pool == address;
		dd_pool_leave(pool);
	}
	return is;
}

_Noreturn static void fail(struct defer_drop_pool *pool, const void *block, uintptr_t word)
{
	uintptr_t owner = word & ~STATE;
	const char *what = "was not taken from a pool";

	if (word == ((uintptr_t)pool | AT_REST))
		what = "was given before";
	else if (((word & STATE) == OUT || (word & STATE) == AT_REST) && is_pool(owner))
		what = "belongs to another pool";
	dd_report(NULL, "block %p, given to the pool %p of blocks of %zu bytes, %s", block,
		(void *)pool, pool->config.block_bytes, what);
	abort();
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

void dd_check_begin(struct defer_drop_pool *pool)
{
	const char *asked = secure_getenv("DEFER_DROP_POOL_CHECK");

	pool->checks = pool->config.flags;
	if (asked && *asked)
		pool->checks |= DD_POOL_CHECKED;
	if (__asan_poison_memory_region)
		pool->checks |= DD_POOL_POISONED;
	if (RUNNING_ON_VALGRIND)
		pool->checks |= DD_POOL_MEMCHECKED;
	if (dd_tools_look_for_races())
		pool->checks |= DD_POOL_TRACED;
	if (pool->checks & DD_POOL_CHECKED) {
		if (pool->config.alignment < LEAST_HEADER_BYTES)
			pool->config.alignment = LEAST_HEADER_BYTES;
		pool->header_bytes = pool->config.alignment;
	}
	if (pool->checks & DD_POOL_MEMCHECKED)
		VALGRIND_CREATE_MEMPOOL(pool, 0, 0);
}

void dd_check_end(struct defer_drop_pool *pool)
{
	if (pool->checks & DD_POOL_MEMCHECKED)
		VALGRIND_DESTROY_MEMPOOL(pool);
}

void dd_check_enter(struct defer_drop_pool *pool, void *block)
{
	/* Relaxed, here and below: the depot carries it, and a block that came any other way is an
	 * error. */
	if (pool->checks & DD_POOL_CHECKED)
		atomic_store_explicit(
			&header_of(block)->word, (uintptr_t)pool | AT_REST, memory_order_relaxed);
}

void dd_check_leave(struct defer_drop_pool *pool, void *block)
{
	if (pool->checks & DD_POOL_POISONED)
		__asan_unpoison_memory_region(block, pool->config.block_bytes);
	if (pool->checks & DD_POOL_MEMCHECKED)
		VALGRIND_MAKE_MEM_UNDEFINED(block, pool->config.block_bytes);
}

void dd_check_take(struct defer_drop_pool *pool, void *block)
{
	if (pool->checks & DD_POOL_TRACED)
		dd_tools_acquire(block);
	if (pool->checks & DD_POOL_CHECKED)
		atomic_store_explicit(
			&header_of(block)->word, (uintptr_t)pool | OUT, memory_order_relaxed);
	if (pool->checks & DD_POOL_POISONED)
		__asan_unpoison_memory_region(block, pool->config.block_bytes);
	if (pool->checks & DD_POOL_MEMCHECKED)
		VALGRIND_MEMPOOL_ALLOC(pool, block, pool->config.block_bytes);
}

void dd_check_give(struct defer_drop_pool *pool, void *block)
{
	if (pool->checks & DD_POOL_CHECKED) {
		uintptr_t out = (uintptr_t)pool | OUT;

		if (!atomic_compare_exchange_strong_explicit(&header_of(block)->word, &out,
			    (uintptr_t)pool | AT_REST, memory_order_relaxed, memory_order_relaxed))
			fail(pool, block, out);
	}
	if (pool->checks & DD_POOL_TRACED)
		dd_tools_release(block);
	if (pool->checks & DD_POOL_POISONED)
		__asan_poison_memory_region(block, pool->config.block_bytes);
	if (pool->checks & DD_POOL_MEMCHECKED)
		VALGRIND_MEMPOOL_FREE(pool, block);
}
