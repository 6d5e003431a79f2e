/* SPDX-License-Identifier: MIT
 *
 * Times the destruction of a vector of strings, each allocated by itself: the workload with which
 * Rust's crates for deferred drops introduce themselves. The vector is destroyed in place, by a
 * thread made for it, through a queue that the caller drains, and by the worker. The worker is
 * asleep once, since building takes longer than its quiet spell, and awake once, since it had
 * something to do a moment before.
 */
#include "demo.h"

#include <pthread.h>

/* The longest quiet spell for which the demo waits until the worker falls asleep. */
#define LONGEST_QUIET_NS UINT64_C(1000000000)
/* Added to the quiet spell and a nap, for a busy machine. */
#define QUIET_SLACK_NS UINT64_C(20000000)

/* When the worker was last seen at work. */
static uint64_t worked_at_ns;

/* ---- The vector ------------------------------------------------------------------------------ */

static struct vector *build(struct strings_figures *figures, uint64_t count)
{
	uint64_t start_ns = bench_now_ns();
	struct vector *vector = make_vector(count);

	samples_add(&figures->build, bench_now_ns() - start_ns);
	figures->created += count;
	return vector;
}

/* ---- The ways -------------------------------------------------------------------------------- */

static void in_place(struct strings_figures *figures, struct vector *vector)
{
	struct way_figures *way = &figures->ways[WAY_IN_PLACE];
	struct stopwatch stopwatch = stopwatch_start();

	vector_free(vector);
	stopwatch_stop(&stopwatch, &way->caller);
	samples_add(&way->gone, bench_now_ns() - stopwatch.start_ns);
}

static void *run_vector_free(void *object)
{
	vector_free(object);
	return NULL;
}

/*
 * The thread is joined, so that its end can be timed. A caller that detaches it spends the same
 * until pthread_create returns.
 */
static void by_thread(struct strings_figures *figures, struct vector *vector)
{
	struct way_figures *way = &figures->ways[WAY_THREAD];
	pthread_t thread;
	struct stopwatch stopwatch = stopwatch_start();
	int error = pthread_create(&thread, NULL, run_vector_free, vector);

	stopwatch_stop(&stopwatch, &way->caller);
	if (error)
		fail(error, "pthread_create");
	pthread_join(thread, NULL);
	samples_add(&way->gone, bench_now_ns() - stopwatch.start_ns);
}

static void by_caller(
	struct strings_figures *figures, struct vector *vector, struct defer_drop_queue *queue)
{
	struct way_figures *way = &figures->ways[WAY_CALLER];
	struct stopwatch stopwatch = stopwatch_start();
	uint64_t drain_from_ns, destroyed;
	int result = defer_drop_queue_push(queue, vector, vector_free, 0);

	stopwatch_stop(&stopwatch, &way->caller);
	drain_from_ns = bench_now_ns();
	if (result)
		fail(-result, "defer_drop_queue_push");
	result = defer_drop_queue_drain(queue, UINT64_MAX, DEFER_DROP_FOREVER, &destroyed);
	if (result || destroyed != 1)
		fail(-result, "defer_drop_queue_drain");
	samples_add(&way->gone, bench_now_ns() - stopwatch.start_ns);
	samples_add(&figures->drain, bench_now_ns() - drain_from_ns);
}

static uint64_t wakes_total(void)
{
	return library_stats(defer_drop_queue_default()).wakes_total;
}

static void by_worker(struct way_figures *way, struct vector *vector, uint64_t wakes_before)
{
	struct stopwatch stopwatch = stopwatch_start();

	drop(vector, vector_free);
	stopwatch_stop(&stopwatch, &way->caller);
	/* Read before the flush, which may wake the worker too. */
	way->woken += wakes_total() != wakes_before;
	flush();
	worked_at_ns = bench_now_ns();
	samples_add(&way->gone, worked_at_ns - stopwatch.start_ns);
}

/* ---- Asleep and awake ------------------------------------------------------------------------ */

/* Waits, since a vector of a few strings is built before the quiet spell is over. */
static void wait_for_sleep(const struct defer_drop_config *config)
{
	uint64_t quiet_ns = config->quiet_spell_ns + config->longest_delay_ns + QUIET_SLACK_NS;
	uint64_t passed_ns = bench_now_ns() - worked_at_ns;
	uint64_t left_ns = passed_ns < quiet_ns ? quiet_ns - passed_ns : 0;

	if (config->quiet_spell_ns <= LONGEST_QUIET_NS)
		bench_sleep_ns(left_ns);
}

static void by_worker_asleep(struct strings_figures *figures, const struct settings *settings,
	const struct defer_drop_config *config)
{
	/*
	 * Read before the vector is built: just before the drop, reading would warm up cache lines
	 * of the drop.
	 */
	uint64_t wakes_before = wakes_total();
	struct vector *vector = build(figures, settings->strings);

	wait_for_sleep(config);
	by_worker(&figures->ways[WAY_ASLEEP], vector, wakes_before);
}

static void do_nothing(void *object)
{
	(void)object;
}

static void by_worker_awake(struct strings_figures *figures, const struct settings *settings)
{
	struct vector *vector = build(figures, settings->strings);

	drop(NULL, do_nothing);
	flush();
	by_worker(&figures->ways[WAY_AWAKE], vector, wakes_total());
}

/* ---- All ------------------------------------------------------------------------------------- */

static void measure_round(struct strings_figures *figures, const struct settings *settings,
	const struct defer_drop_config *config, struct defer_drop_queue *queue)
{
	in_place(figures, build(figures, settings->strings));
	by_thread(figures, build(figures, settings->strings));
	by_caller(figures, build(figures, settings->strings), queue);
	by_worker_asleep(figures, settings, config);
	by_worker_awake(figures, settings);
}

void strings_measure(struct strings_figures *figures, const struct settings *settings)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	int result;

	*figures = (struct strings_figures){0};
	config.runner = DEFER_DROP_RUNNER_CALLER;
	result = defer_drop_queue_create(&queue, &config);
	if (result)
		fail(-result, "defer_drop_queue_create");
	config = library_config(defer_drop_queue_default());
	worked_at_ns = bench_now_ns();
	for (unsigned round = 1; round <= settings->rounds; round++) {
		progress("strings: round %u of %u", round, settings->rounds);
		measure_round(figures, settings, &config, queue);
	}
	progress_clear();
	library_end(queue);
	figures->destroyed = vector_destroyed_total();
	figures->stats = library_stats(defer_drop_queue_default());
}
