/* SPDX-License-Identifier: MIT
 *
 * Makes each call of the library once, and checks that the manual lists the result.
 */
#include "script.h"

#include <defer_drop/guard.h>
#include <defer_drop/ref.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault.h"

#define FOREVER DEFER_DROP_FOREVER

/* More nested drops than fit into one chunk. */
#define NESTED 300

static struct ledger *ledger; /* mark: signals that must come */
static int signalled;         /* the eventfd to which they come */
static int first_free;        /* the first descriptor that was free before */

/* The results of a push that does not wait, beside 0: -EAGAIN if the ring is so small that it may
 * be full. Pushes that wait get room: a queue with such a ring has a worker. */
static int full;

/* A caller that drains and has no thread to wait for readers cannot do it itself and keep to a
 * deadline. */
static uint64_t patience_ns;
static int late; /* -ETIMEDOUT, or 0 where that may not be */

static void set_patience(bool drains)
{
	patience_ns = drains ? 1000000 : DEADLINE_NS;
	late = drains ? -ETIMEDOUT : 0;
}

/* ---- Answers --------------------------------------------------------------------------------- */

#define UNTOUCHED 4711

/* Checks that the call returns one of these, and leaves errno alone if it returns 0. Returns the
 * result. */
#define ONE_OF(call, ...) \
	check(__FILE__, __LINE__, #call, (errno = UNTOUCHED, (call)), (const int[]){__VA_ARGS__, 1})

static int check(const char *file, int line, const char *call, int got, const int *list)
{
	int after = errno;

	while (*list != got && *list != 1)
		list++;
	if (*list != got)
		fail_answer(file, line, call, got);
	if (!got && after != UNTOUCHED)
		fail(file, line, "errno stays as it was");
	return got;
}

/* ---- Things that are dropped ----------------------------------------------------------------- */

#define WHOLE UINT64_C(0x77686f6c65)

struct thing {
	uint64_t whole;
	struct defer_drop_ref ref;
};

static struct thing *thing_new(void)
{
	struct thing *thing = true_malloc(sizeof *thing);

	thing->whole = WHOLE;
	return thing;
}

static void thing_free(struct thing *thing)
{
	CHECK(thing->whole == WHOLE);
	thing->whole = 0;
	free(thing);
}

static void destroy(void *object)
{
	thing_free(object);
	atomic_fetch_add(&ledger->destroyed, 1);
}

static int destroy_status(void *object)
{
	destroy(object);
	return -ECOMM;
}

static int destroy_for(void *object, void *queue)
{
	CHECK(queue);
	return destroy_status(object);
}

/* Notes what became of a thing: one that was refused is as it was. */
static int settle(struct thing *thing, int got)
{
	if (got)
		thing_free(thing);
	else
		atomic_fetch_add(&ledger->accepted, 1);
	return got;
}

/* Pushes a new thing, which the call names so. */
#define PUSH(call, ...)                                   \
	do {                                              \
		struct thing *thing = thing_new();        \
                                                          \
		settle(thing, ONE_OF(call, __VA_ARGS__)); \
	} while (0)

/* Makes many more: the first has options, so that it takes two slots. */
static void nest(void *object)
{
	struct defer_drop_queue *queue = ((struct thing *)object)->ref.object;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 10;
	PUSH(defer_drop_queue_push_with(queue, thing, destroy, FOREVER, &options), 0, -ENOMEM);
	for (unsigned i = 0; i < NESTED; i++)
		PUSH(defer_drop_queue_push(queue, thing, destroy, FOREVER), 0, -ENOMEM);
	destroy(object);
}

/* ---- Pushes, and waiting for them ------------------------------------------------------------ */

static void push_plainly(struct defer_drop_queue *queue)
{
	PUSH(defer_drop_queue_push(queue, thing, destroy, FOREVER), 0);
	PUSH(defer_drop_queue_push(queue, thing, destroy, 0), 0, full);
	PUSH(defer_drop_queue_push(queue, thing, destroy, DEADLINE_NS), 0);
	PUSH(defer_drop_queue_push_with(queue, thing, destroy, DEADLINE_NS, NULL), 0);
	PUSH((thing->ref.object = queue, defer_drop_queue_push(queue, thing, nest, FOREVER)), 0);
}

/* Some threads find a lane before they push. */
static void *push_in_thread(void *queue)
{
	ONE_OF(defer_drop_queue_attach(queue), 0, -ENOSPC);
	push_plainly(queue);
	return NULL;
}

static void push_with_ticket(struct defer_drop_queue *queue)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;

	options.ticket = &ticket;
	PUSH(defer_drop_queue_push_with(queue, thing, destroy, DEADLINE_NS, &options), 0);
	ONE_OF(defer_drop_ticket_wait(&ticket, 0), 0, -EAGAIN);
	if (!ONE_OF(defer_drop_ticket_notify(&ticket, signalled), 0, -ESRCH, -EMFILE, -ENOMEM))
		atomic_fetch_add(&ledger->mark, 1);
	ONE_OF(defer_drop_ticket_wait(&ticket, 0), 0, -EAGAIN);
	ONE_OF(defer_drop_ticket_wait(&ticket, patience_ns), 0, late, -ESRCH);
	ONE_OF(defer_drop_queue_ticket(queue, &ticket), 0);
	ONE_OF(defer_drop_ticket_wait(&ticket, FOREVER), 0, -ESRCH);
}

static void await(struct defer_drop_completion *completion, unsigned pushed)
{
	int status = 1;

	if (!pushed) {
		ONE_OF(defer_drop_completion_wait(completion, 0, &status), -EINVAL);
		return;
	}
	ONE_OF(defer_drop_completion_wait(completion, 0, &status), 0, -EAGAIN);
	/* The completion may not be freed before it is over, so this goes on until a worker can be
	 * started. */
	while (ONE_OF(defer_drop_completion_wait(completion, FOREVER, &status), 0, -ESRCH))
		fault_end();
	CHECK(status == -ECOMM);
}

static void push_with_completion(struct defer_drop_queue *queue)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct thing *things[3] = {thing_new(), thing_new(), thing_new()};
	size_t pushed = 4;

	completion.eventfd = signalled;
	options.completion = &completion;
	options.destroy_context = destroy_for;
	options.context = queue;
	options.bytes = 1000;
	PUSH(defer_drop_queue_push_with(queue, thing, destroy, FOREVER, NULL), 0);
	ONE_OF(defer_drop_queue_push_many(
		       queue, (void **)things, 3, NULL, DEADLINE_NS, &options, &pushed),
		0);
	for (size_t i = 0; i < 3; i++)
		settle(things[i], i < pushed ? 0 : -EAGAIN);
	if (pushed)
		atomic_fetch_add(&ledger->mark, 1);
	await(&completion, (unsigned)pushed);
}

static void push_after_grace_period(struct defer_drop_queue *queue)
{
#if HAS_RCU
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	PUSH(defer_drop_queue_push_with(queue, thing, destroy, DEADLINE_NS, &options), 0);
#else
	(void)queue;
#endif
}

static void wait_for_all(struct defer_drop_queue *queue)
{
	ONE_OF(defer_drop_queue_flush(queue, 0), 0, -EAGAIN);
	ONE_OF(defer_drop_queue_wait_backlog(queue, 1, UINT64_MAX, patience_ns), 0, late, -ESRCH);
	ONE_OF(defer_drop_queue_flush(queue, FOREVER), 0, -ESRCH);
}

/* Pushes would wait for ever for room in the queue, so this goes on until it is started. */
static void stop_and_start(struct defer_drop_queue *queue)
{
	uint64_t backlog;
	unsigned accepted;

	ONE_OF(defer_drop_queue_stop(queue, FOREVER), 0);
	backlog = defer_drop_queue_backlog(queue);
	accepted = atomic_load(&ledger->accepted);
	PUSH(defer_drop_queue_push(queue, thing, destroy, 0), 0, full);
	accepted = atomic_load(&ledger->accepted) - accepted;
	CHECK(defer_drop_queue_backlog(queue) == backlog + accepted);
	ONE_OF(defer_drop_queue_stop(queue, 0), 0);
	while (ONE_OF(defer_drop_queue_start(queue), 0, -ESRCH, -EPERM, -ENOMEM))
		fault_end();
	ONE_OF(defer_drop_queue_start(queue), 0);
	ONE_OF(defer_drop_queue_flush(queue, FOREVER), 0, -ESRCH);
}

static void ask(struct defer_drop_queue *queue)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ONE_OF(defer_drop_queue_stats(queue, &stats), 0);
	CHECK(stats.pushed_total == stats.destroyed_total + stats.abandoned_total + stats.backlog ||
		stats.backlog);
	ONE_OF(defer_drop_queue_lane_stats(queue, 0, &stats), 0);
	ONE_OF(defer_drop_queue_config(queue, &config), 0);
	CHECK(config.queue_size >= 8);
	ONE_OF(defer_drop_config_check(&config, NULL, 0), 0);
	ONE_OF(defer_drop_queue_set_max_bytes(queue, config.max_bytes - 1), 0);
	ONE_OF(defer_drop_queue_set_max_bytes(queue, config.max_bytes), 0);
	ONE_OF(defer_drop_config_built_in(&config), 0);
}

/* A thread that drains makes room by itself. */
static void make_room(struct defer_drop_queue *queue)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	ONE_OF(defer_drop_queue_config(queue, &config), 0);
	if (config.runner == DEFER_DROP_RUNNER_CALLER)
		ONE_OF(defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL), 0);
	else
		ONE_OF(defer_drop_queue_drain(queue, UINT64_MAX, FOREVER, NULL), -EINVAL);
}

static void use(struct defer_drop_queue *queue)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	ONE_OF(defer_drop_queue_config(queue, &config), 0);
	set_patience(config.runner == DEFER_DROP_RUNNER_CALLER);
	push_plainly(queue);
	make_room(queue);
	CHECK(!pthread_join(true_thread(push_in_thread, queue), NULL));
	make_room(queue);
	push_with_ticket(queue);
	make_room(queue);
	push_with_completion(queue);
	make_room(queue);
	push_after_grace_period(queue);
	wait_for_all(queue);
	ask(queue);
	stop_and_start(queue);
}

/* ---- The default queue ----------------------------------------------------------------------- */

/* A configuration with as much as possible. */
static struct defer_drop_config full_config(char *cpus, size_t size)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	cpu_set_t own;
	size_t cpu = 0;

	CHECK(!sched_getaffinity(0, sizeof own, &own));
	while (!CPU_ISSET(cpu, &own))
		cpu++;
	snprintf(cpus, size, "%zu", cpu);
	config.cpus = cpus;
	config.queue_size = 8;
	config.scheduling = DEFER_DROP_SCHEDULING_OTHER;
	config.niceness = 1;
	config.stack_size_bytes = 1 << 20;
	return config;
}

static struct defer_drop_config config_of_caller(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	return config;
}

static void start_default(enum script_start start)
{
	char cpus[16];
	struct defer_drop_config config = full_config(cpus, sizeof cpus);

	full = 0;
	if (start == SCRIPT_LAZY)
		return;
	if (start == SCRIPT_CALLER)
		config = config_of_caller();
	else
		config.scheduling = DEFER_DROP_SCHEDULING_IDLE;
	if (ONE_OF(defer_drop_start(&config), 0, -ESRCH, -EPERM, -ENOMEM))
		return;
	/* The queue has the configuration that was asked for, and its worker. */
	ONE_OF(defer_drop_start(&config), 0);
	full = start == SCRIPT_STRICT ? -EAGAIN : 0;
}

static void *push_shortly(void *unused)
{
	(void)unused;
	PUSH(defer_drop(thing, destroy), 0);
	PUSH(defer_drop_try(thing, destroy), 0, full);
	PUSH(defer_drop_timed(thing, destroy, DEADLINE_NS), 0);
	PUSH(defer_drop_bytes(thing, destroy, 100), 0);
	PUSH(defer_drop_with(thing, destroy, DEADLINE_NS, NULL), 0);
#if HAS_RCU
	PUSH(defer_drop_rcu(thing, destroy), 0);
#endif
	return NULL;
}

static void use_default(void)
{
	push_shortly(NULL);
	make_room(defer_drop_queue_default());
	CHECK(!pthread_join(true_thread(push_shortly, NULL), NULL));
	use(defer_drop_queue_default());
	ONE_OF(defer_drop_flush(), 0, -ESRCH);
	ONE_OF(defer_drop_flush_timed(patience_ns), 0, late, -ESRCH);
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static void end(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ONE_OF(defer_drop_queue_shutdown(queue, FOREVER), 0);
	ONE_OF(defer_drop_queue_stats(queue, &stats), 0);
	CHECK(!stats.abandoned_total && stats.destroyed_total == stats.pushed_total);
	PUSH(defer_drop_queue_push(queue, thing, destroy, FOREVER), -ESHUTDOWN);
	ONE_OF(defer_drop_queue_free(queue), 0);
}

static void use_queue(uint32_t runner)
{
	struct defer_drop_queue *const none = (void *)&ledger;
	struct defer_drop_queue *queue = none;
	char cpus[16];
	struct defer_drop_config config = full_config(cpus, sizeof cpus);
	int before = full;
	unsigned mappings = fault_mappings();
	unsigned threads = fault_threads();

	config.runner = runner;
	if (runner == DEFER_DROP_RUNNER_CALLER)
		config.queue_size = 1024;
	if (ONE_OF(defer_drop_queue_create(&queue, &config), 0, -ESRCH, -EPERM, -ENOMEM)) {
		CHECK(queue == none);
		CHECK(fault_mappings() == mappings && fault_threads() == threads);
		return;
	}
	full = runner == DEFER_DROP_RUNNER_WORKER ? -EAGAIN : 0;
	use(queue);
	end(queue);
	CHECK(fault_mappings() == mappings && fault_threads() == threads);
	full = before;
}

/* ---- What stands beside the queues ----------------------------------------------------------- */

static void use_guards(const struct defer_drop_strategy *strategy)
{
	struct thing *thing = thing_new();
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(thing, destroy, strategy);
	struct defer_drop_guard other =
		DEFER_DROP_GUARD_STATUS_INIT(thing_new(), destroy_status, strategy);

	ONE_OF(defer_drop_guard_must_close(&guard), 0, -ENOMEM);
	if (settle(thing, ONE_OF(defer_drop_guard_drop(&guard), 0, -ESRCH, -ENOMEM)))
		CHECK(defer_drop_guard_disarm(&guard) == thing);
	ONE_OF(defer_drop_guard_must_close(&other), 0, -ENOMEM);
	/* The queue may not be freed either. */
	while (ONE_OF(defer_drop_guard_drop(&other), -ECOMM, -ESRCH, -ENOMEM) != -ECOMM)
		fault_end();
	atomic_fetch_add(&ledger->accepted, 1);
}

static void use_refs(const struct defer_drop_strategy *strategy)
{
	struct thing *thing = thing_new();

	ONE_OF(defer_drop_ref_init(&thing->ref, thing, destroy, strategy), 0);
	defer_drop_ref_get(&thing->ref);
	ONE_OF(defer_drop_ref_put(&thing->ref), 0);
	settle(thing, ONE_OF(defer_drop_ref_put(&thing->ref), 0, -ESRCH, -ENOMEM));
}

static void use_strategies(void)
{
	const struct defer_drop_strategy *const all[] = {
		NULL,
		&defer_drop_strategy_in_place,
		&defer_drop_strategy_thread,
#if HAS_RCU
		&defer_drop_strategy_rcu,
#endif
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		PUSH(defer_drop_by(all[i], thing, destroy), 0, -ESRCH, -ENOMEM);
		use_refs(all[i]);
		use_guards(all[i]);
	}
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void use_all(void)
{
	use_default();
	use_queue(DEFER_DROP_RUNNER_WORKER);
	use_queue(DEFER_DROP_RUNNER_CALLER);
	use_strategies();
}

static int next_free(void)
{
	int file = dup(STDERR_FILENO);

	CHECK(file >= 0);
	close(file);
	return file;
}

void script_run(struct ledger *to, enum script_start start)
{
	ledger = to;
	atomic_store(&ledger->mark, 0);
	first_free = next_free();
	signalled = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK(signalled >= 0);
	start_default(start);
	use_all();
}

static unsigned read_signals(void)
{
	uint64_t count = 0;

	CHECK(read(signalled, &count, sizeof count) == sizeof count || errno == EAGAIN);
	return (unsigned)count;
}

/* Checks that all accepted drops were destroyed, and that each waiter was woken once. */
static void balance(bool is_deaf)
{
	unsigned told = 0;

	ANSWERS(0, defer_drop_flush());
	AWAIT(atomic_load(&ledger->accepted) == atomic_load(&ledger->destroyed));
	AWAIT((told += read_signals()) >= atomic_load(&ledger->mark) || is_deaf);
	CHECK(told <= atomic_load(&ledger->mark));
	atomic_store(&ledger->mark, 0);
}

void script_check(bool is_deaf)
{
	balance(is_deaf);
	use_all();
	/* Nothing was refused: there is this number of tickets and completions. */
	CHECK(atomic_load(&ledger->mark) == 6);
	balance(false);
	close(signalled);
	AWAIT(next_free() == first_free); /* duplicates are closed after they were signalled */
	push_shortly(NULL);               /* for exit to drain */
}
