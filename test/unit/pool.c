/* SPDX-License-Identifier: MIT
 *
 * Pools: blocks that are taken, given, come home, and go back to the backing.
 */
#include "unit.h"

#include <defer_drop/pool.h>

#include "pool/pools.h"

/* ---- A backing that keeps account ------------------------------------------------------------ */

struct account {
	atomic_uint out;
	atomic_uint taken;
	atomic_uint refusals; /* calls that are still to fail */
	size_t bytes;
	size_t alignment;
};

static void *take_counted(void *context, size_t bytes, size_t alignment)
{
	struct account *account = context;

	if (atomic_load(&account->refusals)) {
		atomic_fetch_sub(&account->refusals, 1);
		return NULL;
	}
	account->bytes = bytes;
	account->alignment = alignment;
	atomic_fetch_add(&account->out, 1);
	atomic_fetch_add(&account->taken, 1);
	return aligned_alloc(alignment < 16 ? 16 : alignment, (bytes + 4095) & ~(size_t)4095);
}

static void give_counted(void *context, void *block, size_t bytes, size_t alignment)
{
	struct account *account = context;

	if (bytes != account->bytes || alignment != account->alignment)
		abort();
	atomic_fetch_sub(&account->out, 1);
	free(block);
}

static struct defer_drop_pool_config config_of(size_t block_bytes, struct account *account)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	config.block_bytes = block_bytes;
	if (account) {
		config.backing_take = take_counted;
		config.backing_give = give_counted;
		config.context = account;
	}
	return config;
}

static struct defer_drop_pool *make_pool(const struct defer_drop_pool_config *config)
{
	struct defer_drop_pool *pool = NULL;

	answers(0, defer_drop_pool_create(&pool, config));
	cr_assert_not_null(pool);
	return pool;
}

static struct defer_drop_pool_counts pool_stats(struct defer_drop_pool *pool)
{
	struct defer_drop_pool_counts stats = DEFER_DROP_POOL_COUNTS_INIT;

	answers(0, defer_drop_pool_stats(pool, &stats));
	return stats;
}

#define MOST 4096
static void *blocks[MOST];

static void take_many(struct defer_drop_pool *pool, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		blocks[i] = defer_drop_pool_take(pool);
		cr_assert_not_null(blocks[i]);
		memset(blocks[i], (int)i, pool->config.block_bytes);
	}
	for (unsigned i = 0; i < count; i++)
		for (size_t j = 0; j < pool->config.block_bytes; j++)
			cr_assert_eq(((unsigned char *)blocks[i])[j], (unsigned char)i);
}

static void give_from(struct defer_drop_pool *pool, unsigned first, unsigned end)
{
	for (unsigned i = first; i < end; i++)
		defer_drop_pool_give(pool, blocks[i]);
}

static void give_many(struct defer_drop_pool *pool, unsigned count)
{
	give_from(pool, 0, count);
}

struct work {
	struct defer_drop_pool *pool;
	unsigned count;
};

static void *give_in_thread(void *argument)
{
	const struct work *work = argument;

	give_many(work->pool, work->count);
	return NULL;
}

static void give_by_another_thread(struct defer_drop_pool *pool, unsigned count)
{
	struct work work = {pool, count};

	join_thread(spawn(give_in_thread, &work));
}

/* ---- Configuration --------------------------------------------------------------------------- */

Test(pool, has_a_built_in_configuration)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	cr_assert_eq(config.size, sizeof config);
	cr_assert_eq(config.block_bytes, 0);
	cr_assert_eq(config.alignment, 16);
	cr_assert_eq(config.max_bytes, UINT64_C(16) << 20);
	cr_assert_eq(config.idle_ns, 500 * MS);
	config.size = 8;
	answers(-EINVAL, defer_drop_pool_config_built_in(&config));
	answers(-EINVAL, defer_drop_pool_config_built_in(NULL));
}

#define REFUSES(want, field, value)                                        \
	do {                                                               \
		struct defer_drop_pool_config asked = config_of(64, NULL); \
		struct defer_drop_pool *refused = NULL;                    \
                                                                           \
		asked.field = value;                                       \
		answers(want, defer_drop_pool_create(&refused, &asked));   \
		cr_assert_null(refused);                                   \
	} while (0)

Test(pool, refuses_what_is_out_of_range)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_pool *pool = NULL;

	answers(-EINVAL, defer_drop_pool_create(NULL, &config));
	answers(-EINVAL, defer_drop_pool_create(&pool, NULL));
	REFUSES(-EINVAL, size, 8);
	REFUSES(-EINVAL, block_bytes, 0);
	REFUSES(-EINVAL, block_bytes, (UINT64_C(1) << 40) + 1);
	REFUSES(-EINVAL, alignment, 0);
	REFUSES(-EINVAL, alignment, 48);
	REFUSES(-EINVAL, alignment, 1 << 21);
	REFUSES(-EINVAL, magazine_blocks, 1);
	REFUSES(-EINVAL, magazine_blocks, 4097);
	REFUSES(-EINVAL, flags, 2);
	REFUSES(-EINVAL, max_bytes, (UINT64_C(1) << 62) + 1);
	REFUSES(-EINVAL, idle_ns, 999999);
	REFUSES(-EINVAL, idle_ns, (UINT64_C(1) << 62) + 1);
	REFUSES(-EINVAL, backing_take, take_counted);
	REFUSES(-EINVAL, backing_give, give_counted);
}

Test(pool, refuses_what_a_later_version_asks_for)
{
	struct {
		struct defer_drop_pool_config config;
		uint64_t later;
	} asked = {config_of(64, NULL), 0};
	struct defer_drop_pool *pool = NULL;

	asked.config.size = sizeof asked;
	answers(0, defer_drop_pool_create(&pool, &asked.config));
	answers(0, defer_drop_pool_free(pool));
	asked.later = 1;
	answers(-E2BIG, defer_drop_pool_create(&pool, &asked.config));
}

Test(pool, accepts_null)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_pool_counts stats = DEFER_DROP_POOL_COUNTS_INIT;
	struct defer_drop_pool *pool = make_pool(&config);

	cr_assert_null(defer_drop_pool_take(NULL));
	defer_drop_pool_give(NULL, &config);
	defer_drop_pool_give(pool, NULL);
	cr_assert_eq(pool_stats(pool).given_total, 0);
	answers(-EINVAL, defer_drop_pool_trim(NULL, 0));
	answers(-EINVAL, defer_drop_pool_free(NULL));
	answers(-EINVAL, defer_drop_pool_stats(NULL, &stats));
	answers(-EINVAL, defer_drop_pool_stats(pool, NULL));
	stats.size = 8;
	answers(-EINVAL, defer_drop_pool_stats(pool, &stats));
	answers(0, defer_drop_pool_free(pool));
}

Test(pool, fills_in_as_much_as_the_caller_knows)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct {
		struct defer_drop_pool_counts stats;
		uint64_t later;
	} large = {.later = 7};
	struct defer_drop_pool *pool = make_pool(&config);

	large.stats.size = sizeof large;
	answers(0, defer_drop_pool_stats(pool, &large.stats));
	cr_assert_eq(large.stats.size, sizeof large.stats);
	cr_assert_eq(large.later, 7);
	answers(0, defer_drop_pool_free(pool));
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

Test(pool, blocks_are_the_callers_alone_and_aligned)
{
	static const size_t sizes[] = {1, 16, 24, 64, 256, 4096, 70000};
	static const size_t alignments[] = {1, 16, 64, 4096};

	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (unsigned j = 0; j < sizeof alignments / sizeof alignments[0]; j++) {
			struct defer_drop_pool_config config = config_of(sizes[i], NULL);
			struct defer_drop_pool *pool;

			config.alignment = alignments[j];
			pool = make_pool(&config);
			for (unsigned again = 0; again < 2; again++) {
				take_many(pool, 300);
				for (unsigned at = 0; at < 300; at++)
					cr_assert_eq((uintptr_t)blocks[at] % alignments[j], 0);
				give_many(pool, 300);
			}
			answers(0, defer_drop_pool_free(pool));
		}
}

Test(pool, what_was_given_last_is_taken_first)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_pool *pool = make_pool(&config);

	take_many(pool, 3);
	give_many(pool, 3);
	for (unsigned i = 3; i-- > 0;)
		cr_assert_eq(defer_drop_pool_take(pool), blocks[i]);
	give_many(pool, 3);
	answers(0, defer_drop_pool_free(pool));
}

Test(pool, statistics_agree)
{
	struct defer_drop_pool_config config = config_of(100, NULL);
	struct defer_drop_pool *pool = make_pool(&config);
	struct defer_drop_pool_counts stats;

	take_many(pool, 1000);
	give_many(pool, 600);
	for (unsigned i = 0; i < 200; i++)
		blocks[i] = defer_drop_pool_take(pool);
	stats = pool_stats(pool);
	cr_assert_eq(stats.size, sizeof stats);
	cr_assert_eq(stats.taken_total, 1200);
	cr_assert_eq(stats.given_total, 600);
	cr_assert_eq(stats.from_home_total, 200);
	cr_assert_eq(stats.from_backing_total, 1000);
	cr_assert_eq(stats.to_backing_total, 0);
	cr_assert_eq(stats.out, 600);
	cr_assert_eq(stats.at_rest, 400);
	cr_assert_eq(stats.out_bytes, 60000);
	cr_assert_eq(stats.at_rest_bytes, 40000);
	answers(-EBUSY, defer_drop_pool_free(pool));
	give_many(pool, 200);
	give_from(pool, 600, 1000);
	answers(0, defer_drop_pool_free(pool));
}

/* ---- The backing ----------------------------------------------------------------------------- */

Test(pool, gets_blocks_from_its_backing_and_gives_all_back)
{
	struct account account = {0};
	struct defer_drop_pool_config config = config_of(48, &account);
	struct defer_drop_pool *pool;

	config.alignment = 128;
	pool = make_pool(&config);
	take_many(pool, 500);
	cr_assert_eq(account.bytes, 48);
	cr_assert_eq(account.alignment, 128);
	give_many(pool, 250);
	give_by_another_thread(pool, 0);
	for (unsigned i = 250; i < 500; i++)
		blocks[i - 250] = blocks[i];
	give_by_another_thread(pool, 250);
	cr_assert_eq(atomic_load(&account.out), 500);
	answers(0, defer_drop_pool_free(pool));
	cr_assert_eq(atomic_load(&account.out), 0);
}

Test(pool, a_backing_without_memory_is_asked_again)
{
	struct account account = {.refusals = 2};
	struct defer_drop_pool_config config = config_of(48, &account);
	struct defer_drop_pool *pool = make_pool(&config);

	cr_assert_null(defer_drop_pool_take(pool));
	cr_assert_null(defer_drop_pool_take(pool));
	take_many(pool, 1);
	cr_assert_eq(pool_stats(pool).taken_total, 1);
	give_many(pool, 1);
	answers(0, defer_drop_pool_free(pool));
}

/* A backing that uses a pool itself: the magazines of the calling thread move meanwhile. */
static struct defer_drop_pool *inner;

static void *take_inner(void *context, size_t bytes, size_t alignment)
{
	(void)context, (void)bytes, (void)alignment;
	return defer_drop_pool_take(inner);
}

static void give_inner(void *context, void *block, size_t bytes, size_t alignment)
{
	(void)context, (void)bytes, (void)alignment;
	defer_drop_pool_give(inner, block);
}

Test(pool, can_be_the_backing_of_another)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_pool *pools[40];

	config.backing_take = take_inner;
	config.backing_give = give_inner;
	config.max_bytes = 0;
	pools[0] = make_pool(&config);
	for (unsigned i = 1; i < 40; i++)
		pools[i] = make_pool(&config);
	config = config_of(64, NULL);
	inner = make_pool(&config);
	take_many(pools[0], 1000);
	give_many(pools[0], 1000);
	cr_assert_leq(pool_stats(pools[0]).at_rest, 2 * 126);
	for (unsigned i = 0; i < 40; i++)
		answers(0, defer_drop_pool_free(pools[i]));
	cr_assert_eq(pool_stats(inner).at_rest, 1000);
	answers(0, defer_drop_pool_free(inner));
}

Test(pool, at_rest_is_no_more_than_was_configured)
{
	struct account account = {0};
	struct defer_drop_pool_config config = config_of(64, &account);
	struct defer_drop_pool *pool;

	config.magazine_blocks = 10;
	config.max_bytes = 100 * 64;
	pool = make_pool(&config);
	take_many(pool, 1000);
	give_many(pool, 1000);
	cr_assert_leq(atomic_load(&account.out), 100 + 2 * 10);
	cr_assert_geq(atomic_load(&account.out), 100);
	for (unsigned i = 0; i < 50; i++) { /* threads that come, give and go */
		take_many(pool, 100);
		give_by_another_thread(pool, 100);
		cr_assert_leq(atomic_load(&account.out), 100 + 4 * 10);
	}
	answers(0, defer_drop_pool_free(pool));
	cr_assert_eq(atomic_load(&account.out), 0);
}

Test(pool, trims_to_what_is_kept)
{
	struct account account = {0};
	struct defer_drop_pool_config config = config_of(64, &account);
	struct defer_drop_pool *pool = make_pool(&config);

	take_many(pool, 1000);
	give_many(pool, 1000);
	answers(0, defer_drop_pool_trim(pool, 500 * 64));
	cr_assert_leq(atomic_load(&account.out), 500);
	cr_assert_geq(atomic_load(&account.out), 500 - 126);
	answers(0, defer_drop_pool_trim(pool, 0));
	cr_assert_eq(atomic_load(&account.out), 0);
	cr_assert_eq(pool_stats(pool).at_rest, 0);
	answers(0, defer_drop_pool_free(pool));
}

/* ---- Threads --------------------------------------------------------------------------------- */

Test(pool, what_another_thread_gave_comes_home_when_it_ends)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_pool *pool = make_pool(&config);

	take_many(pool, 1000);
	give_by_another_thread(pool, 1000);
	take_many(pool, 1000);
	cr_assert_eq(pool_stats(pool).from_backing_total, 1000);
	cr_assert_eq(pool_stats(pool).given_total, 1000);
	give_many(pool, 1000);
	answers(0, defer_drop_pool_free(pool));
}

/* A thread that stays, and gives on request. */
struct helper {
	struct work work;
	sem_t go;
	sem_t done;
	pthread_t thread;
};

static void *give_when_told(void *argument)
{
	struct helper *helper = argument;

	for (;;) {
		await_semaphore(&helper->go);
		if (!helper->work.pool)
			return NULL;
		give_many(helper->work.pool, helper->work.count);
		sem_post(&helper->done);
	}
}

static void helper_begin(struct helper *helper)
{
	sem_init(&helper->go, 0, 0);
	sem_init(&helper->done, 0, 0);
	helper->thread = spawn(give_when_told, helper);
}

/* Makes the helper give the first blocks; returns when they are given. */
static void helper_give(struct helper *helper, struct defer_drop_pool *pool, unsigned count)
{
	helper->work = (struct work){pool, count};
	sem_post(&helper->go);
	await_semaphore(&helper->done);
}

static void helper_end(struct helper *helper)
{
	helper->work.pool = NULL;
	sem_post(&helper->go);
	join_thread(helper->thread);
}

Test(pool, full_magazines_come_home_while_their_thread_goes_on)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_pool *pool = make_pool(&config);
	struct helper helper;

	helper_begin(&helper);
	take_many(pool, 1000);
	helper_give(&helper, pool, 1000);
	take_many(pool, 1000 - 2 * 126);
	cr_assert_eq(pool_stats(pool).from_backing_total, 1000);
	give_many(pool, 1000 - 2 * 126);
	cr_assert_eq(pool_stats(pool).out, 0);
	/* The helper lives on, and its magazines are taken from it. */
	answers(0, defer_drop_pool_free(pool));
	/* No magazine that the helper has of the first pool reaches a second one at the same
	 * address. */
	pool = make_pool(&config);
	take_many(pool, 1000);
	helper_give(&helper, pool, 1000);
	cr_assert_eq(pool_stats(pool).given_total, 1000);
	helper_end(&helper);
	cr_assert_eq(pool_stats(pool).at_rest, 1000);
	answers(0, defer_drop_pool_free(pool));
}

/* Thread-specific data whose destructor takes and gives after the library's own has run. */
static pthread_key_t late_key;

static void use_late(void *argument)
{
	const struct work *work = argument;
	static _Thread_local int times;
	void *taken;

	if (times++ < 2) {
		pthread_setspecific(late_key, argument);
		return;
	}
	give_many(work->pool, work->count);
	taken = defer_drop_pool_take(work->pool);
	defer_drop_pool_give(work->pool, taken);
}

static void *end_late(void *argument)
{
	const struct work *work = argument;

	defer_drop_pool_give(work->pool, defer_drop_pool_take(work->pool));
	pthread_setspecific(late_key, argument);
	return NULL;
}

Test(pool, can_be_used_by_late_destructors_of_a_thread)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_pool *pool;
	struct work work;

	config.magazine_blocks = 10;
	pool = make_pool(&config);
	work = (struct work){pool, 100};
	pthread_key_create(&late_key, use_late);
	take_many(pool, 100);
	join_thread(spawn(end_late, &work));
	cr_assert_eq(pool_stats(pool).out, 0);
	cr_assert_eq(pool_stats(pool).at_rest, 101);
	cr_assert_eq(pool_stats(pool).given_total, 102);
	answers(0, defer_drop_pool_free(pool));
}

/* ---- Workers, and callers that drain --------------------------------------------------------- */

static struct defer_drop_pool *given_to;

static void give_home(void *block)
{
	defer_drop_pool_give(given_to, block);
}

Test(pool, a_worker_that_rests_sends_home_what_it_has)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_queue *queue = make_queue(WORKER, 16, LANES);

	config.idle_ns = DEFER_DROP_NEVER;
	given_to = make_pool(&config);
	for (unsigned i = 0; i < 20; i++) {
		void *block = defer_drop_pool_take(given_to);

		answers(0, defer_drop_queue_push(queue, block, give_home, FOREVER));
		await(!dd_stack_is_empty(&given_to->depot.home));
	}
	cr_assert_eq(pool_stats(given_to).from_backing_total, 1);
	end_queue(queue);
	answers(0, defer_drop_pool_free(given_to));
}

Test(pool, a_caller_that_has_drained_sends_home_what_it_has)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct defer_drop_queue *queue = make_queue(CALLER, 16, LANES);

	config.idle_ns = DEFER_DROP_NEVER;
	given_to = make_pool(&config);
	answers(0,
		defer_drop_queue_push(queue, defer_drop_pool_take(given_to), give_home, FOREVER));
	answers(0, defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL));
	cr_assert(!dd_stack_is_empty(&given_to->depot.home));
	answers(0, defer_drop_pool_free(given_to));
	end_queue(queue);
}

Test(pool, a_worker_gives_back_what_has_been_idle_and_then_sleeps_for_good)
{
	struct account account = {0};
	struct defer_drop_pool_config config = config_of(64, &account);
	struct defer_drop_queue *queue = make_queue(WORKER, 4096, LANES);

	config.idle_ns = 200 * MS; /* more than the quiet spell: a deep sleep ends for it */
	given_to = make_pool(&config);
	take_many(given_to, 4000);
	for (unsigned i = 0; i < 4000; i++)
		answers(0, defer_drop_queue_push(queue, blocks[i], give_home, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	await(!atomic_load(&account.out));
	await(is_asleep(queue) && pool_stats(given_to).at_rest == 0);
	cr_assert_eq(pool_stats(given_to).to_backing_total, 4000);
	end_queue(queue);
	answers(0, defer_drop_pool_free(given_to));
}

Test(pool, what_is_taken_now_and_then_is_not_idle)
{
	struct account account = {0};
	struct defer_drop_pool_config config = config_of(64, &account);
	struct defer_drop_pool *pool;

	config.magazine_blocks = 10;
	pool = make_pool(&config);
	take_many(pool, 100);
	give_many(pool, 100);
	dd_caches_send(true);
	dd_pools_rest(1000 * MS, true); /* all is old now */
	take_many(pool, 55);            /* six magazines of it */
	give_many(pool, 55);
	dd_caches_send(true);
	for (unsigned i = 0; i < 10; i++)
		dd_pools_rest(1500 * MS, true);
	cr_assert_eq(atomic_load(&account.out), 60);
	for (unsigned i = 0; i < 10; i++)
		dd_pools_rest(2000 * MS, true);
	cr_assert_eq(atomic_load(&account.out), 0);
	answers(0, defer_drop_pool_free(pool));
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void use_in_child(void)
{
	unsigned before = (unsigned)pool_stats(given_to).from_backing_total;

	for (unsigned i = 0; i < 500; i++)
		blocks[i] = defer_drop_pool_take(given_to);
	if (pool_stats(given_to).from_backing_total != before)
		_exit(2); /* some had not come home */
	if (pool_stats(given_to).at_rest > 500)
		_exit(3);
	give_many(given_to, 500);
	if (defer_drop_pool_free(given_to))
		_exit(4);
}

Test(pool, a_forked_child_has_what_was_at_rest)
{
	struct defer_drop_pool_config config = config_of(64, NULL);

	given_to = make_pool(&config);
	take_many(given_to, 1000);
	give_by_another_thread(given_to, 500);
	give_from(given_to, 500, 1000);
	answers(0, run_child(use_in_child));
	cr_assert_eq(pool_stats(given_to).at_rest, 1000);
	take_many(given_to, 1000);
	cr_assert_eq(pool_stats(given_to).from_backing_total, 1000);
	give_many(given_to, 1000);
	answers(0, defer_drop_pool_free(given_to));
}

Test(pool, what_other_threads_had_is_lost_to_a_forked_child_and_counted)
{
	struct defer_drop_pool_config config = config_of(64, NULL);
	struct helper helper;

	given_to = make_pool(&config);
	helper_begin(&helper);
	take_many(given_to, 1000);
	helper_give(&helper, given_to, 500);
	give_from(given_to, 500, 1000);
	answers(0, run_child(use_in_child));
	helper_end(&helper);
	answers(0, defer_drop_pool_free(given_to));
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static struct defer_drop_pool *checked;
static struct defer_drop_pool *another;

static void make_checked(void)
{
	struct defer_drop_pool_config config = config_of(64, NULL);

	config.flags = DEFER_DROP_POOL_CHECKED;
	checked = make_pool(&config);
	another = make_pool(&config);
}

static void give_twice(void)
{
	void *block;

	make_checked();
	block = defer_drop_pool_take(checked);
	defer_drop_pool_give(checked, block);
	defer_drop_pool_give(checked, block);
}

static void give_to_another(void)
{
	make_checked();
	defer_drop_pool_give(another, defer_drop_pool_take(checked));
}

static void give_foreign(void)
{
	static char foreign[128];

	make_checked();
	defer_drop_pool_give(checked, foreign + 64);
}

Test(pool, checked_finds_what_is_given_wrongly)
{
	answers(1000 + SIGABRT, run_child(give_twice));
	cr_assert_eq(times_said("was given before"), 1, "%s", said);
	answers(1000 + SIGABRT, run_child(give_to_another));
	cr_assert_eq(times_said("belongs to another pool"), 1, "%s", said);
	answers(1000 + SIGABRT, run_child(give_foreign));
	cr_assert_eq(times_said("was not taken from a pool"), 1, "%s", said);
}

static void check_by_environment(void)
{
	struct defer_drop_pool_config config = config_of(64, NULL);

	setenv("DEFER_DROP_POOL_CHECK", "1", 1);
	config.alignment = 1;
	checked = make_pool(&config);
	take_many(checked, 1000);
	give_many(checked, 1000);
	take_many(checked, 1000);
	give_many(checked, 1000);
	answers(0, defer_drop_pool_trim(checked, 0));
	cr_assert_eq(pool_stats(checked).at_rest, 0);
	defer_drop_pool_give(checked, (char *)defer_drop_pool_take(checked) + 32);
}

Test(pool, is_checked_if_the_environment_says_so)
{
	answers(1000 + SIGABRT, run_child(check_by_environment));
	cr_assert_eq(times_said("was not taken from a pool"), 1, "%s", said);
}
