// SPDX-License-Identifier: MIT
//
// Threads take blocks of a pool with tiny magazines, and give them; one thread ends, one rests, one frees the
// pool. Each block belongs to one thread at a time, which sees what the threads that had it before did with
// it. In the end the backing has got each block back once.
#include "model_queue.h"

#include <cstring>

#include "defer_drop/pool.h"

#undef malloc
#undef free
#undef realloc

// Variables that the library has once, made anew for each execution.
#define pools_lock                        (*model_pools_lock)
#define PTHREAD_MUTEX_INITIALIZER         nullptr
#define dd_own                            (*model_own())
#define pthread_once(once, make)          (make)()
#define pthread_key_create(key, farewell) 0
#define pthread_key_delete(key)           (void)(key)
#define pthread_setspecific(key, value)   0
#define destructor                        // of a shared object that is closed

struct dd_caches;
struct dd_caches **model_own();

#include "base/fork.h"
#include "pool/pools.h"

struct dd_caches dd_nobody;
struct dd_caches dd_ended;
static struct dd_caches *model_owns[MODEL_THREADS];

struct dd_caches **model_own()
{
	return &model_owns[rl::thread_index()];
}

// Make and free a thread's caches: fields of the checker's types must be constructed and destroyed.
static void *model_make_caches(std::size_t bytes)
{
	std::size_t count = (bytes - sizeof(dd_caches)) / sizeof(dd_cache);
	dd_caches *caches = static_cast<dd_caches *>(std::malloc(bytes));

	std::uninitialized_value_construct_n(caches, 1);
	std::uninitialized_value_construct_n(dd_caches_at(caches, 0), count);
	return caches;
}

static void model_free_caches(dd_caches *caches)
{
	std::destroy_n(dd_caches_at(caches, 0), caches->count);
	std::free(caches);
}

// In place of lib/base/fork.c: no model forks.
bool dd_fork_is_heard()
{
	return true;
}

void dd_fork_add(dd_fork_part *)
{
}

#define aligned_alloc(alignment, bytes) model_make_caches(bytes)
#define realloc(memory, bytes)          std::realloc(memory, bytes)
#define free(caches)                    model_free_caches(caches)
#define memset(memory, zero, bytes)     model_clear(memory, bytes)

static inline void model_clear(dd_caches *, std::size_t)
{
}

static inline void model_clear(defer_drop_pool **memory, std::size_t bytes)
{
	std::fill_n(memory, bytes / sizeof *memory, nullptr);
}

#include "pool/list.c"
#include "pool/cache.c"
#undef free
#undef aligned_alloc
#undef memset

#include "pool/backing.c"
#include "pool/rest.c"
#include "pool/take.c"

namespace
{

enum { BLOCKS = 6, MAGAZINE = 2, THREADS = 3 };

// The most blocks in the depot, and the blocks of a magazine.
struct sizes {
	uint64_t most;
	uint32_t magazine;
};

struct block {
	rl::var<int> uses;
	bool is_out = false; // taken from the backing
};

struct model_magazine {
	dd_magazine magazine;
	dd_place places[MAGAZINE];

	model_magazine()
	{
		dd_plain_store(&magazine.next, nullptr);
		dd_plain_store(&magazine.count, 0);
	}
};

struct pool_model {
	model_mutex lock;
	defer_drop_pool pool{};
	block blocks[BLOCKS];
	int backed = 0;
	int returned = 0;
	int magazines = 0;
	int uses = 0;

	static pool_model *the_one;

	pool_model()
	{
		model_forget_sleepers();
		model_has_membarrier = true;
		model_now_ns = 0;
		model_pools_lock = &lock;
		threads = nullptr;
		dd_pools.at = nullptr;
		dd_pools.places = 0;
		due_ns = 0;
		std::fill_n(model_owns, +MODEL_THREADS, &dd_nobody);
		the_one = this;
	}

	static void *back(void *, std::size_t, std::size_t)
	{
		block *backed = &the_one->blocks[the_one->backed++];

		RL_ASSERT(the_one->backed <= BLOCKS);
		backed->uses($) = 0;
		backed->is_out = true;
		return backed;
	}

	// The thread that returns a block must see all its uses.
	static void take_back(void *, void *memory, std::size_t, std::size_t)
	{
		block *returned = static_cast<block *>(memory);

		RL_ASSERT(returned->is_out);
		returned->is_out = false;
		the_one->uses += returned->uses($);
		returned->uses($) = -1;
		the_one->returned++;
	}

	void begin(const sizes &given)
	{
		pool.magazine_blocks = given.magazine;
		pool.max_blocks = given.most;
		pool.config.block_bytes = 1;
		pool.config.idle_ns = DD_MS;
		pool.config.backing_take = back;
		pool.config.backing_give = take_back;
		dd_pools_add(&pool);
		pool.fast_index = pool.index;
		// As if so many had been at rest for a turn: a thread that rests takes some, and puts back others.
		pool.depot.idle.store(3, rl::mo_relaxed, $);
	}

	// As in lib/pool/pool.c.
	void end()
	{
		RL_ASSERT(!dd_pools_remove(&pool));
		dd_pool_await(&pool);
		dd_pool_shrink(&pool, 0);
	}

	void use(int count)
	{
		block *had[BLOCKS];

		for (int i = 0; i < count; i++) {
			had[i] = static_cast<block *>(dd_pool_take(&pool));
			had[i]->uses($) = had[i]->uses($) + 1;
		}
		for (int i = 0; i < count; i++) {
			had[i]->uses($) = had[i]->uses($) + 1;
			dd_pool_give(&pool, had[i]);
		}
	}

	// All blocks that were taken went back to the backing, with all their uses.
	void check(int taken)
	{
		RL_ASSERT(returned == backed);
		RL_ASSERT(uses == 2 * taken);
		RL_ASSERT(!magazines);
		RL_ASSERT(!dd_depot_blocks(&pool.depot));
		std::free(dd_pools.at);
		for (dd_caches *left = threads; left;) {
			dd_caches *next = left->next;

			model_free_caches(left);
			left = next;
		}
	}
};

pool_model *pool_model::the_one;

// Two threads take and give, and one of them ends; a third rests, and returns idle blocks. Then the pool is
// freed.
struct using_all : rl::test_suite<using_all, THREADS> {
	using parameter = sizes;
	inline static parameter given;

	pool_model model;

	void before()
	{
		model.begin(given);
	}

	void thread(unsigned index)
	{
		if (index == 2) {
			dd_pools_rest(dd_now_ns(), true);
			dd_pools_rest(dd_now_ns() + DD_MS, true);
			return;
		}
		if (index == 0) {
			model.use(1);
			model.use(3);
			return;
		}
		model.use(2);
		farewell(&dd_own);
		model.use(1); // by a destructor of its thread-specific data
	}

	void after()
	{
		model.end();
		model.check(7);
	}
};

// A pool is freed after the last call of the threads that used it, while one of them ends and another rests.
struct freeing : rl::test_suite<freeing, THREADS> {
	using parameter = sizes;
	inline static parameter given;

	pool_model model;
	rl::atomic<int> used;
	rl::var<int> is_there;

	void before()
	{
		used.store(0, rl::mo_relaxed, $);
		is_there($) = 1;
		model.begin(given);
	}

	void thread(unsigned index)
	{
		model.use(2);
		if (index) {
			used.fetch_add(1, rl::mo_acq_rel, $);
			if (index == 1)
				farewell(&dd_own);
			else
				dd_pools_rest(dd_now_ns(), true);
			return;
		}
		while (used.load(rl::mo_acquire, $) < 2)
			model_yield();
		model.end();
		// A thread that still uses the pool races with this.
		model.pool.depot.blocks.store(0, rl::mo_relaxed, $);
	}

	void after()
	{
		model.check(6);
	}
};

} // namespace

dd_magazine *dd_magazine_new(uint32_t)
{
	pool_model::the_one->magazines++;
	return &(new model_magazine)->magazine;
}

void dd_magazine_free(dd_magazine *magazine)
{
	pool_model::the_one->magazines--;
	delete reinterpret_cast<model_magazine *>(magazine);
}

// In place of lib/pool/check.c: no pool is checked.
void dd_check_enter(defer_drop_pool *, void *)
{
}

void dd_check_leave(defer_drop_pool *, void *)
{
}

void dd_check_take(defer_drop_pool *, void *)
{
}

void dd_check_give(defer_drop_pool *, void *)
{
}

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore_randomly<using_all>({100, 1}, 20000) &&
		 explore_randomly<using_all>({100, 2}, 20000) &&
		 explore_randomly<using_all>({1, 1}, 20000) &&
		 explore_randomly<freeing>({100, 1}, 20000));
}
