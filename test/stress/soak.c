/* SPDX-License-Identifier: MIT
 *
 * Everything at once, for hours: visitors come and go and use every call on queues that are made
 * anew in each round and on the default queue, while readers read, signals arrive, queues stop and
 * start and shut down, and the process forks. After each round the test's own counts are the
 * library's, nothing is pending, and neither memory nor file descriptors have become more.
 */
#include "soak.h"

#include <errno.h>
#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOME        (SITES - 1) /* the default queue, which outlives the rounds */
#define GENERATIONS 3
#define VISITS      60
#define CHILD_ROUND 8                     /* one round in this many forks */
#define WARM_ROUNDS 20                    /* until the allocator has seen what there is */
#define GROWTH_KIB  (64 << 10)            /* that noise may make: a leak passes it within hours */
#define SLOW_NS     UINT64_C(1000000)     /* a destructor that waits for its CPU may take that */
#define PATIENCE_NS UINT64_C(60000000000) /* more than anything here takes */

static struct {
	uint64_t drops;
	uint64_t rounds;
	uint64_t warm_kib; /* most in the rounds before the others */
	unsigned files;
} soak;

static struct site sites[SITES];
static struct defer_drop_stats before[SITES]; /* the round */
static atomic_uint signals;
static atomic_uint slow;

/* ---- The process ----------------------------------------------------------------------------- */

static void hear_signal(int number)
{
	(void)number;
	atomic_fetch_add_explicit(&signals, 1, memory_order_relaxed);
}

/* Interrupts system calls all the time, in whichever thread. */
static void start_timer(void)
{
	struct sigaction action = {.sa_handler = hear_signal};
	struct itimerval often = {{0, 3000}, {0, 3000}};

	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(!setitimer(ITIMER_REAL, &often, NULL));
}

static uint64_t resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages;

	CHECK(file && fscanf(file, "%*u %" SCNu64, &pages) == 1);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static unsigned open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	CHECK(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void check_process(struct stress *stress)
{
	uint64_t until_ns = now_ns() + PATIENCE_NS;
	uint64_t kib;

#ifdef __GLIBC__
	malloc_trim(0);
#endif
	kib = resident_kib();
	if (soak.rounds == 1)
		soak.files = open_files();
	/* A duplicate of an eventfd is closed after that was signalled. */
	while (open_files() > soak.files && now_ns() < until_ns)
		usleep(1000);
	CHECK(open_files() == soak.files);
	if (soak.rounds <= WARM_ROUNDS)
		soak.warm_kib = kib > soak.warm_kib ? kib : soak.warm_kib;
	CHECK(kib <= soak.warm_kib + GROWTH_KIB);
	snprintf(stress->outcome, sizeof stress->outcome,
		", %" PRIu64 " drops, %u slow, %u signals, rss %" PRIu64 " KiB warm, %" PRIu64
		" KiB at end",
		soak.drops, atomic_load(&slow), atomic_load(&signals), soak.warm_kib, kib);
}

/* ---- Sites ----------------------------------------------------------------------------------- */

static void hear_of_failure(void *context, const struct defer_drop_failure *failure)
{
	struct site *site = context;

	CHECK(!failure->destroy && failure->status);
	CHECK(failure->destroy_status == load_destroy_with_status ||
		failure->destroy_context == load_destroy_at);
	site->failures_told++;
}

static void hear_of_level(void *context, const struct defer_drop_level *level)
{
	struct site *site = context;

	CHECK(site->last_level == UNKNOWN || level->is_high == !site->last_level);
	site->last_level = level->is_high;
}

static void hear_of_slow(void *context, const struct defer_drop_slow *told)
{
	const struct site *site = context;

	CHECK(told->running_ns >= SLOW_NS && site->has_watchdog);
	CHECK(!!told->destroy + !!told->destroy_status + !!told->destroy_context == 1);
	CHECK(!told->destroy_status || told->destroy_status == load_destroy_with_status);
	CHECK(!told->destroy_context || told->destroy_context == load_destroy_at);
	atomic_fetch_add_explicit(&slow, 1, memory_order_relaxed);
}

static void open_queue(struct stress *stress, unsigned i)
{
	struct defer_drop_config config = make_config(stress, sites[i].runner);

	config.queue_size <<= below(&stress->random, 6);
	config.max_lanes = i == 1 ? 0 : config.max_lanes;
	config.max_bytes = MAX_BYTES;
	config.high_drops = config.queue_size / 2;
	config.high_bytes = MAX_BYTES / 2;
	config.watermark_interval_ns = 1000;
	config.watermark = hear_of_level;
	config.error = hear_of_failure;
	sites[i].has_watchdog = below(&stress->random, 2);
	config.watchdog_ns = sites[i].has_watchdog ? SLOW_NS : 0;
	config.watchdog = hear_of_slow;
	sites[i].is_inherited = below(&stress->random, 2);
	config.at_fork = sites[i].is_inherited ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;
	config.context = &sites[i];
	if (i == HOME)
		CHECK(!defer_drop_start(&config));
	else
		CHECK(!defer_drop_queue_create(&sites[i].queue, &config));
}

/* Nothing is pending. */
static void count_from_here(unsigned i)
{
	struct site *site = &sites[i];

	CHECK(!pthread_mutex_init(&site->lock, NULL));
	site->streams = NULL;
	atomic_store(&site->refused, 0);
	site->failed = site->failures_told = 0;
	before[i] = stats_of(site->queue);
}

/* Destructors of the first push to the second, those to the default queue, those to the first. */
static void connect_sites(void)
{
	static const unsigned across[SITES] = {1, HOME, SITES, 0};

	for (unsigned i = 0; i < SITES; i++) {
		sites[i].across = across[i] < SITES ? &sites[across[i]] : NULL;
		sites[i].across_by = 0;
	}
}

static void open_sites(struct stress *stress)
{
	for (unsigned i = 0; i < SITES; i++)
		sites[i].runner = DEFER_DROP_RUNNER_WORKER;
	sites[2].runner =
		below(&stress->random, 2) ? DEFER_DROP_RUNNER_CALLER : DEFER_DROP_RUNNER_DRAINER;
	if (!sites[HOME].queue) {
		sites[HOME].queue = defer_drop_queue_default();
		open_queue(stress, HOME);
	}
	for (unsigned i = 0; i < SITES; i++) {
		if (i != HOME) {
			open_queue(stress, i);
			sites[i].last_level = 0;
			sites[i].is_gap_allowed = !below(&stress->random, 3);
		}
		count_from_here(i);
	}
	connect_sites();
}

/* The library's counts are equal to the test's. */
static void check_site(unsigned i)
{
	struct site *site = &sites[i];
	struct defer_drop_stats stats;
	uint64_t accepted = 0;
	uint64_t destroyed = 0;
	uint64_t nested = 0;

	for (const struct stream *at = site->streams; at; at = at->next) {
		CHECK(site->is_gap_allowed || at->destroyed == at->accepted);
		accepted += at->accepted;
		nested += at->is_nested ? at->accepted : 0;
		destroyed += at->destroyed;
	}
	stats = stats_of(site->queue);
	CHECK(stats.pushed_total - before[i].pushed_total == accepted);
	CHECK(stats.destroyed_total - before[i].destroyed_total == destroyed);
	CHECK(stats.abandoned_total == accepted - destroyed);
	CHECK(stats.refused_total - before[i].refused_total == atomic_load(&site->refused));
	CHECK(stats.nested_total - before[i].nested_total == nested);
	CHECK(stats.failed_total - before[i].failed_total == site->failed);
	CHECK(site->failures_told == site->failed);
	CHECK(!stats.backlog && !stats.backlog_bytes && !defer_drop_queue_backlog(site->queue));
	soak.drops += accepted;
}

/* A destructor that gets no CPU for a tenth of a second is given up. */
static void close_queue(uint64_t *random, struct site *site)
{
	uint64_t timeout_ns = DEFER_DROP_FOREVER;
	int result;

	if (site->is_gap_allowed && below(random, 3))
		timeout_ns = below(random, 2) ? 1 + below(random, 100000) : 0;
	result = defer_drop_queue_shutdown(site->queue, timeout_ns);
	if (timeout_ns == DEFER_DROP_FOREVER)
		CHECK(!result);
	else if (result == -ECANCELED)
		CHECK(!defer_drop_queue_shutdown(site->queue, DEFER_DROP_FOREVER));
	else
		CHECK(!result || (result == -ETIMEDOUT && timeout_ns));
}

/* Only destructors push any more; the drainer ends with its queue. */
static void close_sites(uint64_t *random, struct producer *drainer)
{
	for (unsigned i = 0; i < HOME; i++)
		close_queue(random, &sites[i]);
	join_producers(drainer, 1);
	CHECK(!defer_drop_queue_flush(sites[HOME].queue, DEFER_DROP_FOREVER));
	for (unsigned i = 0; i < SITES; i++)
		check_site(i);
	for (unsigned i = 0; i < SITES; i++) {
		stop_showing(&sites[i]);
		free_streams(&sites[i]);
		if (i != HOME)
			CHECK(!defer_drop_queue_free(sites[i].queue));
	}
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void visit(struct visitor *visitor)
{
	for (unsigned i = 0; i < SITES; i++)
		visitor->streams[i] = make_stream(&sites[i]);
	for (unsigned i = 0; i < VISITS; i++) {
		struct stream *stream = visitor->streams[below(&visitor->random, SITES)];

		switch (below(&visitor->random, 8)) {
		case 0:
			if (below(&visitor->random, 8))
				wait_some(visitor, stream);
			else
				stop_some(visitor, stream);
			break;
		case 1:
			hold_some(visitor, stream);
			break;
		case 2:
			push_many(visitor, stream);
			break;
		case 3:
			if (visitor->has_readers)
				read_some(visitor, stream);
			break;
		default:
			push_some(visitor, stream);
		}
	}
}

static void *run_visitor(void *argument)
{
	struct visitor *visitor = argument;

	reader_begin();
	visit(visitor);
	reader_end();
	return NULL;
}

/* Visitors come one after the other. */
static void *run_visitors(void *argument)
{
	const struct producer *producer = argument;
	struct visitor visitor = {.random = producer->random, .has_readers = soak_has_readers};
	pthread_t thread;

	for (unsigned i = 0; i < GENERATIONS; i++) {
		CHECK(!pthread_create(&thread, NULL, run_visitor, &visitor));
		CHECK(!pthread_join(thread, NULL));
	}
	return NULL;
}

static void *drain(void *argument)
{
	struct producer *producer = argument;
	int result;

	do {
		result = defer_drop_queue_drain(producer->queue, below(&producer->random, 9),
			below(&producer->random, 100000), NULL);
		CHECK(!result || result == -EBUSY || result == -ESHUTDOWN);
		usleep(20);
	} while (result != -ESHUTDOWN);
	return NULL;
}

/* ---- A child --------------------------------------------------------------------------------- */

/* No other thread drains it. */
static void flush_site(const struct site *site)
{
	if (site->runner == DEFER_DROP_RUNNER_DRAINER)
		CHECK(!defer_drop_queue_drain(site->queue, UINT64_MAX, DEFER_DROP_FOREVER, NULL));
	CHECK(!defer_drop_queue_flush(site->queue, DEFER_DROP_FOREVER));
}

/* Returns how many were destroyed: they may have made others, for sites flushed before. */
static uint64_t flush_sites(void)
{
	uint64_t destroyed = 0;

	for (unsigned i = 0; i < SITES; i++) {
		uint64_t already = stats_of(sites[i].queue).destroyed_total;

		flush_site(&sites[i]);
		destroyed += stats_of(sites[i].queue).destroyed_total - already;
	}
	return destroyed;
}

/* What it keeps of its parent's drops: one before them was perhaps running, and is the parent's. */
static void destroy_inherited(void)
{
	uint64_t kept[SITES];

	for (unsigned i = 0; i < SITES; i++) {
		CHECK(!pthread_mutex_init(&sites[i].lock, NULL)); /* a thread may have held it */
		kept[i] = stats_of(sites[i].queue).backlog;
		CHECK(sites[i].is_inherited || !kept[i]);
		sites[i].is_gap_allowed = true;
		sites[i].last_level = UNKNOWN;
	}
	for (unsigned i = 0; i < SITES; i++)
		start_again(&sites[i]); /* it may have been stopped */
	while (flush_sites())
		;
	for (unsigned i = 0; i < SITES; i++) {
		CHECK(stats_of(sites[i].queue).destroyed_total >= kept[i]);
		sites[i].is_gap_allowed = false;
	}
}

/* It uses all the queues, from none pending on, and ends them. */
static _Noreturn void be_child(struct stress *stress)
{
	struct producer drainer = {0};
	struct visitor visitor = {.random = next_random(&stress->random)};

	destroy_inherited();
	for (unsigned i = 0; i < SITES; i++) {
		atomic_store(&sites[i].shown, NULL);
		count_from_here(i);
	}
	connect_sites();
	start_producers(stress, &drainer, 1, sites[2].queue, drain);
	visit(&visitor);
	close_sites(&stress->random, &drainer);
	exit(0);
}

static void fork_one(struct stress *stress)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child)
		be_child(stress);
	while (waitpid(child, &status, 0) != child)
		CHECK(errno == EINTR);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- A round --------------------------------------------------------------------------------- */

void scenario_soak(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct producer drainer = {0};

	if (!soak.rounds++)
		start_timer();
	open_sites(stress);
	start_producers(stress, &drainer, 1, sites[2].queue, drain);
	start_producers(stress, producers, stress->producers, NULL, run_visitors);
	usleep((useconds_t)below(&stress->random, 10000));
	if (!below(&stress->random, CHILD_ROUND))
		fork_one(stress);
	for (unsigned i = 0; i < HOME; i++)
		if (sites[i].is_gap_allowed)
			close_queue(&stress->random, &sites[i]);
	join_producers(producers, stress->producers);
	close_sites(&stress->random, &drainer);
	check_process(stress);
}
