/* SPDX-License-Identifier: MIT
 *
 * Measures reclamation after a grace period, against liburcu's own ways. An updater replaces a
 * pointer that readers follow, and hands the old object over. Paced updates, in which no push waits for
 * room, show what that costs the updater. Updates as fast as possible show the time until all
 * objects are destroyed, and how many wait at worst.
 */
#include <defer_drop.h>
#include <pthread.h>
#include <stdlib.h>
#include <urcu.h>
#include <urcu/defer.h>

#include "bench.h"
#include "histogram.h"
#include "options.h"
#include "results.h"

#define MAX_ROUNDS  101
#define MAX_READERS 64
/* Paced updates come in bursts of this many, so that reading the clock costs little beside them. */
#define BURST 16

static uint64_t rounds = 11;
static uint64_t updates = 1000000;
static uint64_t readers = 1;
static uint64_t section_ns = 1000;
static uint64_t pace_ns = 50000;
static uint64_t bursts = 400;

static const struct options_entry table[] = {
	OPTIONS_NUMBER("rounds", &rounds, 1, MAX_ROUNDS, .quick = 3,
		.what = "how often each way is measured, in turn"),
	OPTIONS_NUMBER("updates", &updates, 1000, 10000000, .quick = 200000,
		.what = "saturating updates of one measurement; 32 bytes each"),
	OPTIONS_NUMBER("readers", &readers, 0, MAX_READERS, .what = "threads that read"),
	OPTIONS_NUMBER("section-ns", &section_ns, 10, 1000000000,
		.what = "length of a read-side critical section; ten times that lies between "
			"two"),
	OPTIONS_NUMBER("pace-ns", &pace_ns, 1000, 1000000000,
		.what = "time from one burst of 16 paced updates to the next"),
	OPTIONS_NUMBER(
		"bursts", &bursts, 10, 1000000, .quick = 100, .what = "bursts of one measurement"),
	{.name = NULL},
};

/* ---- Objects, and their readers -------------------------------------------------------------- */

#define ALIVE    UINT64_C(0x616c697665)
#define POISONED UINT64_C(0x646561646465)

struct object {
	struct rcu_head head; /* as in real use, part of the object */
	uint64_t state;
};

static struct object *objects;
static struct object *current;
static uint64_t destroyed; /* written by one thread at a time; read by the updater */
static uint64_t is_over;

static void destroy(void *argument)
{
	struct object *object = argument;

	object->state = POISONED;
	__atomic_store_n(
		&destroyed, __atomic_load_n(&destroyed, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static void destroy_head(struct rcu_head *head)
{
	destroy(caa_container_of(head, struct object, head));
}

static void spin(uint64_t ns)
{
	uint64_t until_ns = bench_now_ns() + ns;

	while (bench_now_ns() < until_ns)
		caa_cpu_relax();
}

static void *read_on(void *argument)
{
	unsigned nth = (unsigned)(uintptr_t)argument;

	if (nth % 2)
		bench_pin_producer(0);
	else
		bench_pin_consumer();
	rcu_register_thread();
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
		const struct object *object;

		rcu_read_lock();
		object = rcu_dereference(current);
		spin(section_ns);
		if (object->state != ALIVE) {
			fprintf(stderr, "grace: a reader found a destroyed object\n");
			abort();
		}
		rcu_read_unlock();
		bench_sleep_ns(section_ns * 10);
	}
	rcu_unregister_thread();
	return NULL;
}

/* ---- The ways -------------------------------------------------------------------------------- */

struct way {
	const char *name;
	void (*join)(void);
	void (*drop)(struct object *object);
	void (*flush)(void);
	void (*leave)(void);
};

static void nothing(void)
{
}

/* The floor: an update whose old object is kept for ever. */
static void drop_nothing(struct object *object)
{
	(void)object;
}

static void drop_ours(struct object *object)
{
	bench_check(defer_drop_rcu(object, destroy));
}

static void flush_ours(void)
{
	bench_check(defer_drop_flush());
}

static void drop_call(struct object *object)
{
	call_rcu(&object->head, destroy_head);
}

/*
 * A worker of liburcu inherits the CPU of its starter, which is on the consumer's CPU for that
 * moment.
 */
static void join_call(void)
{
	bench_pin_consumer();
	if (!get_default_call_rcu_data())
		abort();
	bench_pin_producer(0);
}

static void join_defer(void)
{
	static int is_registered; /* only once: liburcu 0.13 cannot register a thread again */

	bench_pin_consumer();
	if (!is_registered++ && rcu_defer_register_thread())
		abort();
	bench_pin_producer(0);
}

static void drop_defer(struct object *object)
{
	defer_rcu(destroy, object);
}

static const struct way ways[] = {
	{"defer_drop_rcu", nothing, drop_ours, flush_ours, nothing},
	{"nothing dropped", nothing, drop_nothing, nothing, nothing},
	{"liburcu call_rcu", join_call, drop_call, rcu_barrier, nothing},
	{"liburcu defer_rcu", join_defer, drop_defer, rcu_defer_barrier, nothing},
};

#define WAYS (sizeof ways / sizeof ways[0])

/* ---- One measurement ------------------------------------------------------------------------- */

struct figures {
	double paced_ns[MAX_ROUNDS]; /* median of the bursts, per update */
	double update_ns[MAX_ROUNDS];
	double total_ns[MAX_ROUNDS];
	double worst_backlog[MAX_ROUNDS];
	double drop_ns[MAX_ROUNDS]; /* paced_ns minus that of the floor */
};

static void renew(uint64_t count)
{
	for (uint64_t i = 0; i <= count; i++)
		objects[i].state = ALIVE;
	rcu_assign_pointer(current, &objects[0]);
	__atomic_store_n(&destroyed, 0, __ATOMIC_RELAXED);
}

static void update(const struct way *way, uint64_t i)
{
	struct object *before = &objects[i];

	rcu_assign_pointer(current, &objects[i + 1]);
	way->drop(before);
}

static void measure_paced(const struct way *way, struct figures *figures, unsigned round)
{
	static struct histogram histogram;
	uint64_t next_ns;

	histogram = (struct histogram){.count_total = 0};
	renew(bursts * BURST);
	next_ns = bench_now_ns();
	for (uint64_t burst = 0; burst < bursts; burst++) {
		uint64_t begin_ns;

		while ((begin_ns = bench_now_ns()) < next_ns)
			caa_cpu_relax();
		next_ns += pace_ns;
		for (uint64_t i = 0; i < BURST; i++)
			update(way, burst * BURST + i);
		histogram_record(&histogram, (bench_now_ns() - begin_ns));
	}
	way->flush();
	figures->paced_ns[round] = (double)histogram_percentile(&histogram, 50) / BURST;
}

static void measure_saturating(const struct way *way, struct figures *figures, unsigned round)
{
	uint64_t worst = 0;
	uint64_t begin_ns;
	uint64_t pushed_ns;

	renew(updates);
	begin_ns = bench_now_ns();
	for (uint64_t i = 0; i < updates; i++) {
		update(way, i);
		if (i % 1024 == 0) {
			uint64_t backlog = i - __atomic_load_n(&destroyed, __ATOMIC_RELAXED);

			worst = backlog > worst && backlog <= i ? backlog : worst;
		}
	}
	pushed_ns = bench_now_ns();
	way->flush();
	figures->total_ns[round] = (double)(bench_now_ns() - begin_ns) / (double)updates;
	figures->update_ns[round] = (double)(pushed_ns - begin_ns) / (double)updates;
	figures->worst_backlog[round] = (double)worst;
}

/* ---- Results --------------------------------------------------------------------------------- */

static void print(struct results *results, const struct results_table *about, const char *unit,
	struct figures *figures, size_t offset)
{
	results_table(results, about);
	for (unsigned i = 0; i < WAYS; i++) {
		const double *ours = (const double *)((const char *)&figures[0] + offset);
		const double *samples = (const double *)((const char *)&figures[i] + offset);

		results_row(results, &(struct results_row){
					     .name = ways[i].name,
					     .at = "",
					     .unit = unit,
					     .samples = samples,
					     .rounds = (unsigned)rounds,
					     .ratio_of = ours,
					     .ratio_to = samples,
				     });
	}
}

static void print_all(struct results *results, struct figures *figures)
{
	static const struct results_table paced = {"an update, paced", "", "ours/theirs"};
	static const struct results_table drop = {
		"of that the drop: less an update that drops nothing", "", "ours/theirs"};
	static const struct results_table saturating = {
		"an update, as fast as it can", "", "ours/theirs"};
	static const struct results_table total = {
		"the same, until all is destroyed", "", "ours/theirs"};
	static const struct results_table backlog = {
		"objects that wait at worst", "", "ours/theirs"};

	print(results, &paced, "ns", figures, offsetof(struct figures, paced_ns));
	print(results, &drop, "ns", figures, offsetof(struct figures, drop_ns));
	print(results, &saturating, "ns", figures, offsetof(struct figures, update_ns));
	print(results, &total, "ns", figures, offsetof(struct figures, total_ns));
	print(results, &backlog, "objects", figures, offsetof(struct figures, worst_backlog));
}

#define FLOOR 1 /* its index among the ways */

static void subtract_floor(struct figures *figures, unsigned round)
{
	for (unsigned i = 0; i < WAYS; i++)
		figures[i].drop_ns[round] =
			figures[i].paced_ns[round] - figures[FLOOR].paced_ns[round];
}

static void measure_all(struct figures *figures)
{
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < WAYS; i++) {
			ways[i].join();
			renew(BURST);
			for (uint64_t at = 0; at < BURST; at++) /* workers start, lanes are found */
				update(&ways[i], at);
			ways[i].flush();
			measure_paced(&ways[i], &figures[i], round);
			measure_saturating(&ways[i], &figures[i], round);
			ways[i].leave();
		}
		subtract_floor(figures, round);
	}
}

int main(int count, char **arguments)
{
	static struct figures figures[WAYS];
	static pthread_t threads[MAX_READERS];
	struct options options = options_read(table,
		"Measures the cost of reclaiming after a grace period, against liburcu's own ways.",
		count, arguments);
	struct results results;
	uint64_t most = updates > bursts * BURST ? updates : bursts * BURST;

	results_begin(&results, &options);
	results_note(&results,
		"readers on the CPUs of the updater and of the consumers in turn; %s",
		bench_pinning());
	objects = calloc(most + 1, sizeof *objects);
	if (!objects)
		abort();
	renew(most);
	rcu_register_thread();
	for (uint64_t i = 0; i < readers; i++)
		if (pthread_create(&threads[i], NULL, read_on, (void *)(uintptr_t)i))
			abort();
	bench_pin_consumer();
	bench_check(defer_drop_start(NULL));
	bench_pin_producer(0);
	measure_all(figures);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	for (uint64_t i = 0; i < readers; i++)
		pthread_join(threads[i], NULL);
	rcu_defer_unregister_thread();
	rcu_unregister_thread();
	print_all(&results, figures);
	return results_end(&results);
}
