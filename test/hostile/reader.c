/* SPDX-License-Identifier: MIT
 *
 * Real readers of liburcu that stay inside while the process forks, ends, or shuts queues down.
 */
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <urcu/urcu-bp.h>
#include <urcu/urcu-mb.h>
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

static struct gate gate;

#define MS UINT64_C(1000000)

/* The status of processes that end as they should. */
#define GOOD 3

typedef const struct rcu_flavor_struct *flavor_t;

/* Where several are included, each header but the first keeps its own to itself. */
extern const struct rcu_flavor_struct urcu_memb_flavor, urcu_mb_flavor, urcu_qsbr_flavor;

static const flavor_t flavors[] = {
	&urcu_memb_flavor, &urcu_mb_flavor, &urcu_bp_flavor, &urcu_qsbr_flavor};
#define FLAVORS (sizeof flavors / sizeof *flavors)

/* ---- A reader -------------------------------------------------------------------------------- */

struct reader {
	flavor_t flavor;
	pthread_t thread;
	atomic_bool is_inside;
	atomic_bool may_leave;
};

/* With QSBR, a thread that is registered is inside. */
static void *read_until_told(void *argument)
{
	struct reader *reader = argument;

	reader->flavor->register_thread();
	reader->flavor->read_lock();
	atomic_store(&reader->is_inside, true);
	AWAIT(atomic_load(&reader->may_leave));
	reader->flavor->read_unlock();
	reader->flavor->unregister_thread();
	return argument;
}

static void enter(struct reader *reader, flavor_t flavor)
{
	*reader = (struct reader){.flavor = flavor};
	CHECK(!pthread_create(&reader->thread, NULL, read_until_told, reader));
	AWAIT(atomic_load(&reader->is_inside));
}

static void leave(struct reader *reader)
{
	atomic_store(&reader->may_leave, true);
	CHECK(!pthread_join(reader->thread, NULL));
}

/* ---- The thread that waits for readers ------------------------------------------------------- */

static flavor_t told_of;
static atomic_bool is_awaited;

static void tell_and_synchronize(void)
{
	atomic_store(&is_awaited, true);
	told_of->update_synchronize_rcu();
}

/*
 * The flavor of this build, which also notes when its readers are waited for: only then does a
 * thread wait that cannot be dismissed. Not for cases that fork with bp, which is recognised by its
 * address.
 */
static flavor_t tell_of(flavor_t flavor)
{
	static struct rcu_flavor_struct telling;

	told_of = flavor;
	telling = *flavor;
	telling.update_synchronize_rcu = tell_and_synchronize;
	atomic_store(&is_awaited, false);
	return &telling;
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static struct defer_drop_queue *make_queue(flavor_t flavor, uint32_t runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.rcu_flavor = flavor;
	config.runner = runner;
	config.quiet_spell_ns = MS;
	return create_queue(&config);
}

static int push_after(struct ledger *ledger, struct defer_drop_queue *queue)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	return defer_drop_queue_push_with(
		queue, ledger, ledger_count, DEFER_DROP_FOREVER, &options);
}

/* Two drops that wait for the readers of now, and one behind them; their grace period begins. */
static void push_stuck(struct ledger *ledger, struct defer_drop_queue *queue, uint32_t runner)
{
	ANSWERS(0, push_after(ledger, queue));
	ANSWERS(0, push_after(ledger, queue));
	ANSWERS(0, ledger_push(ledger, queue));
	while (!stats_of(queue).grace_periods_total)
		if (runner == DEFER_DROP_RUNNER_CALLER)
			ANSWERS(0, defer_drop_queue_drain(queue, 1, DEADLINE_NS, NULL));
		else
			rest_a_bit();
}

static void start(flavor_t flavor, uint32_t at_fork, uint64_t exit_timeout_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.rcu_flavor = flavor;
	config.at_fork = at_fork;
	config.exit_timeout_ns = exit_timeout_ns;
	ANSWERS(0, defer_drop_start(&config));
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void expect(struct ledger *ledger, unsigned destroyed)
{
	CHECK(atomic_load(&ledger->destroyed) == destroyed);
}

static unsigned kept; /* by children, of what was pending */

/* Plain drops are all that there is: a flush, and the exit or the shutdown, see to them. */
static void use_orphaned(struct ledger *ledger, struct defer_drop_queue *queue)
{
	unsigned before = atomic_load(&ledger->destroyed);

	ANSWERS(-ENOTSUP, push_after(ledger, queue));
	ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(atomic_load(&ledger->destroyed) == before + 1);
	ANSWERS(0, ledger_push(ledger, queue));
}

static void be_orphan(void *argument)
{
	struct ledger *ledger = argument;

	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	expect(ledger, kept);
	ANSWERS(-ENOTSUP, defer_drop_rcu(ledger, ledger_count));
	for (unsigned i = 0; i < FLAVORS; i++) {
		struct defer_drop_queue *other = make_queue(flavors[i], DEFER_DROP_RUNNER_WORKER);

		if (flavors[i] != &urcu_bp_flavor)
			use_orphaned(ledger, other);
		else
			ANSWERS(0, push_after(ledger, other));
		end_queue(other);
	}
	use_orphaned(ledger, defer_drop_queue_default()); /* the last drop is left to the exit */
	exit(0);
}

static void fork_beside_reader(void *argument)
{
	struct ledger *ledger = argument;
	struct reader reader;

	start(NULL, kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY, DEFER_DROP_FOREVER);
	enter(&reader, &urcu_memb_flavor);
	push_stuck(ledger, defer_drop_queue_default(), DEFER_DROP_RUNNER_WORKER);
	run_good_child(be_orphan, ledger);
	expect(ledger, kept + 9);
	leave(&reader);
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	expect(ledger, kept + 12);
}

static void run_orphan(void)
{
	for (kept = 0; kept <= 3; kept += 3)
		run_good_child(fork_beside_reader, ledger_open());
}

static void be_orphan_inside(void *argument)
{
	use_orphaned(argument, defer_drop_queue_default());
	exit(0);
}

static void run_orphan_inside(void)
{
	struct ledger *ledger = ledger_open();

	urcu_memb_register_thread();
	ANSWERS(0, push_after(ledger, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	urcu_memb_read_lock();
	run_good_child(be_orphan_inside, ledger);
	urcu_memb_read_unlock();
	expect(ledger, 3);
	urcu_memb_unregister_thread();
}

/* The default queue has nothing to do with a reader; another queue has. */
static void run_orphan_beside(void)
{
	struct ledger *ledger = ledger_open();
	struct defer_drop_queue *other;

	other = make_queue(&urcu_memb_flavor, DEFER_DROP_RUNNER_WORKER);
	ANSWERS(0, defer_drop_start(NULL));
	ANSWERS(0, push_after(ledger, other));
	ANSWERS(0, defer_drop_queue_flush(other, DEADLINE_NS));
	run_good_child(be_orphan_inside, ledger);
	expect(ledger, 3);
	end_queue(other);
}

static struct defer_drop_queue *stopped;

static void be_orphan_stopped(void *argument)
{
	ANSWERS(-ENOTSUP, push_after(argument, stopped));
	ANSWERS(0, defer_drop_queue_start(stopped));
	use_orphaned(argument, stopped);
	end_queue(stopped);
}

/* Its threads have ended, but the process has a reader of its own. */
static void run_orphan_stopped(void)
{
	struct ledger *ledger = ledger_open();
	struct reader reader;

	stopped = make_queue(&urcu_memb_flavor, DEFER_DROP_RUNNER_WORKER);
	ANSWERS(0, push_after(ledger, stopped));
	ANSWERS(0, defer_drop_queue_flush(stopped, DEADLINE_NS));
	ANSWERS(0, defer_drop_queue_stop(stopped, DEFER_DROP_FOREVER));
	enter(&reader, &urcu_memb_flavor);
	run_good_child(be_orphan_stopped, ledger);
	expect(ledger, 3);
	leave(&reader);
	end_queue(stopped);
}

static void be_orphan_anew(void *argument)
{
	struct defer_drop_queue *queue = make_queue(NULL, DEFER_DROP_RUNNER_WORKER);

	use_orphaned(argument, queue);
	end_queue(queue);
}

static void run_orphan_later(void)
{
	flavor_t flavor = tell_of(&urcu_memb_flavor);
	struct ledger *ledger = ledger_open();
	struct defer_drop_queue *queue = make_queue(flavor, DEFER_DROP_RUNNER_WORKER);
	struct reader reader;

	enter(&reader, flavor);
	push_stuck(ledger, queue, DEFER_DROP_RUNNER_WORKER);
	AWAIT(atomic_load(&is_awaited));
	ANSWERS(0, defer_drop_queue_shutdown(queue, 0));
	ANSWERS(0, defer_drop_queue_free(queue));
	run_good_child(be_orphan_anew, ledger);
	expect(ledger, 2);
	leave(&reader);
}

/* ---- fork with bp ---------------------------------------------------------------------------- */

static void run_good_bp_child(void (*body)(void *argument), void *argument)
{
	pid_t child;
	int status;

	urcu_bp_before_fork();
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		urcu_bp_after_fork_child();
		alarm(DEADLINE_SECONDS);
		body(argument);
		exit(0);
	}
	urcu_bp_after_fork_parent();
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

static void be_grandchild(void *argument)
{
	ANSWERS(0, push_after(argument, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	ANSWERS(0, push_after(argument, defer_drop_queue_default()));
}

/* Its parent's reader is not its own. */
static void be_bp_child(void *argument)
{
	struct ledger *ledger = argument;
	struct reader reader;

	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	expect(ledger, kept);
	enter(&reader, &urcu_bp_flavor);
	ANSWERS(0, push_after(ledger, defer_drop_queue_default()));
	ANSWERS(-ETIMEDOUT, defer_drop_flush_timed(5 * MS));
	expect(ledger, kept);
	leave(&reader);
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	expect(ledger, kept + 1);
	run_good_bp_child(be_grandchild, ledger);
	expect(ledger, kept + 3);
	ANSWERS(0, push_after(ledger, defer_drop_queue_default()));
}

/* No grace period has begun, or urcu_bp_before_fork would wait for its end. */
static void fork_bp_beside_reader(void *argument)
{
	struct ledger *ledger = argument;
	struct reader reader;

	start(&urcu_bp_flavor, kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY,
		DEFER_DROP_FOREVER);
	ANSWERS(0, push_after(argument, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	atomic_store(&ledger->destroyed, 0);
	enter(&reader, &urcu_bp_flavor);
	ANSWERS(0, defer_drop(&gate, pass_gate));
	AWAIT(atomic_load(&gate.is_entered));
	ANSWERS(0, push_after(ledger, defer_drop_queue_default()));
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	run_good_bp_child(be_bp_child, ledger);
	expect(ledger, kept + 4);
	atomic_store(&gate.is_open, true);
	leave(&reader);
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	expect(ledger, kept + 6);
}

static void run_bp(void)
{
	for (kept = 0; kept <= 2; kept += 2)
		run_good_child(fork_bp_beside_reader, ledger_open());
}

/* ---- exit ------------------------------------------------------------------------------------ */

static struct {
	flavor_t flavor;
	uint64_t timeout_ns;
	struct reader reader;
} exiting;

static void *push_plain(void *ledger)
{
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	return NULL;
}

static void *let_leave_when_closing(void *ledger)
{
	AWAIT(defer_drop_start(NULL) == -ESHUTDOWN);
	usleep(3000); /* in which what must not happen would */
	expect(ledger, 1);
	atomic_store(&exiting.reader.may_leave, true);
	return NULL;
}

static void exit_beside_reader(void *ledger)
{
	pthread_t thread;

	start(exiting.flavor, 0, exiting.timeout_ns);
	enter(&exiting.reader, exiting.flavor);
	push_stuck(ledger, defer_drop_queue_default(), DEFER_DROP_RUNNER_WORKER);
	CHECK(!pthread_create(&thread, NULL, push_plain, ledger));
	CHECK(!pthread_join(thread, NULL));
	AWAIT(atomic_load(&((struct ledger *)ledger)->destroyed) == 1);
	if (exiting.timeout_ns == DEFER_DROP_FOREVER)
		CHECK(!pthread_create(&thread, NULL, let_leave_when_closing, ledger));
	exit(GOOD);
}

static void run_to_end(struct outcome *outcome, void (*body)(void *), void *argument)
{
	run_child(outcome, body, argument);
	if (!WIFEXITED(outcome->status) || WEXITSTATUS(outcome->status) != GOOD)
		fprintf(stderr, "%s", outcome->words);
	CHECK(WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == GOOD);
}

static void run_exit(void)
{
	static const uint64_t timeouts_ns[] = {DEFER_DROP_FOREVER, 5 * MS, 0};
	static const char text[] = ": exit abandons 3 drops\n";

	for (unsigned i = 0; i < 3 * FLAVORS; i++) {
		struct ledger *ledger = ledger_open();
		struct outcome outcome;
		const char *report;

		exiting.flavor = flavors[i / 3];
		exiting.timeout_ns = timeouts_ns[i % 3];
		run_to_end(&outcome, exit_beside_reader, ledger);
		fprintf(stderr, "%s", outcome.words);
		expect(ledger, exiting.timeout_ns == DEFER_DROP_FOREVER ? 4 : 1);
		report = report_of(&outcome, outcome.words);
		if (exiting.timeout_ns == 5 * MS)
			CHECK(report && !strcmp(report, text));
		else
			CHECK(!outcome.words[0]);
	}
}

static void exit_online(void *ledger)
{
	start(&urcu_qsbr_flavor, 0, DEFER_DROP_FOREVER);
	urcu_qsbr_register_thread();
	push_stuck(ledger, defer_drop_queue_default(), DEFER_DROP_RUNNER_WORKER);
	exit(GOOD);
}

static void exit_good(void *object)
{
	CHECK(!object && urcu_qsbr_read_ongoing());
	exit(GOOD);
}

static void count_online(void *ledger)
{
	CHECK(urcu_qsbr_read_ongoing());
	ledger_count(ledger);
}

/* The worker, online, ends the process, and destroys the drops behind it. */
static void exit_worker_online(void *ledger)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	start(&urcu_qsbr_flavor, 0, DEFER_DROP_FOREVER);
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	ANSWERS(0, defer_drop(&gate, pass_gate));
	ANSWERS(0, defer_drop(NULL, exit_good));
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, defer_drop_with(ledger, count_online, 0, &options));
	atomic_store(&gate.is_open, true);
	for (;;)
		pause();
}

/* No thread drained: this thread does, and its destructors read as it may. */
static void exit_drains_online(void *ledger)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue = make_queue(&urcu_qsbr_flavor, DEFER_DROP_RUNNER_CALLER);

	urcu_qsbr_register_thread();
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, defer_drop_queue_push_with(queue, ledger, count_online, 0, &options));
	exit(GOOD);
}

static void run_online(void)
{
	struct ledger *ledger = ledger_open();
	struct outcome outcome;

	run_to_end(&outcome, exit_online, ledger);
	CHECK(!outcome.words[0]);
	expect(ledger, 3);
	run_to_end(&outcome, exit_worker_online, ledger);
	CHECK(!outcome.words[0]);
	expect(ledger, 6);
	run_to_end(&outcome, exit_drains_online, ledger);
	CHECK(!outcome.words[0]);
	expect(ledger, 9);
}

/* ---- Shutdown -------------------------------------------------------------------------------- */

static void shut_down_beside(flavor_t flavor, uint32_t runner, uint64_t timeout_ns)
{
	struct defer_drop_queue *queue = make_queue(tell_of(flavor), runner);
	struct ledger *ledger = ledger_open();
	struct defer_drop_stats stats;
	struct reader reader;

	enter(&reader, flavor);
	push_stuck(ledger, queue, runner);
	AWAIT(atomic_load(&is_awaited));
	ANSWERS(timeout_ns ? -ETIMEDOUT : 0, defer_drop_queue_shutdown(queue, timeout_ns));
	stats = stats_of(queue);
	CHECK(stats.abandoned_total == 3 && !stats.destroyed_total);
	ANSWERS(0, defer_drop_queue_free(queue));
	AWAIT(count_threads() == 3); /* one outlives the queue until the reader leaves */
	leave(&reader);
	AWAIT(count_threads() == 1);
	expect(ledger, 0);
}

static void run_shutdown(void)
{
	for (unsigned i = 0; i < FLAVORS; i++)
		for (uint32_t runner = DEFER_DROP_RUNNER_WORKER; runner <= DEFER_DROP_RUNNER_CALLER;
			runner++) {
			shut_down_beside(flavors[i], runner, MS);
			shut_down_beside(flavors[i], runner, 0);
		}
}

/* ---- Flavors --------------------------------------------------------------------------------- */

static void *flush_inside(void *argument)
{
	struct defer_drop_queue **queues = argument;

	for (unsigned i = 0; i < FLAVORS; i++) {
		flavors[i]->register_thread();
		flavors[i]->read_lock();
		for (unsigned j = 0; j < FLAVORS; j++) {
			if (i == j)
				ANSWERS(-EDEADLK, defer_drop_queue_flush(queues[j], DEADLINE_NS));
			else
				ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(queues[j], MS));
		}
		flavors[i]->read_unlock();
		flavors[i]->unregister_thread();
	}
	return NULL;
}

/* The workers sleep while they wait. */
static void run_flavors(void)
{
	struct ledger *ledgers[FLAVORS];
	struct reader readers[FLAVORS];
	struct defer_drop_queue *queues[FLAVORS];

	for (unsigned i = 0; i < FLAVORS; i++) {
		ledgers[i] = ledger_open();
		enter(&readers[i], flavors[i]);
		queues[i] = make_queue(flavors[i], DEFER_DROP_RUNNER_WORKER);
		push_stuck(ledgers[i], queues[i], DEFER_DROP_RUNNER_WORKER);
		AWAIT(stats_of(queues[i]).deep_sleeps_total >= 1);
	}
	flush_inside(queues);
	for (unsigned i = 0; i < FLAVORS; i++) {
		leave(&readers[i]);
		ANSWERS(0, defer_drop_queue_flush(queues[i], DEADLINE_NS));
		for (unsigned j = 0; j < FLAVORS; j++)
			expect(ledgers[j], j <= i ? 3 : 0);
	}
	for (unsigned i = 0; i < FLAVORS; i++)
		end_queue(queues[i]);
}

/* A thread that waits for readers need not wait for a worker in deep sleep. */
static void run_asleep(void)
{
	for (unsigned i = 0; i < FLAVORS; i++) {
		struct defer_drop_queue *queue = make_queue(flavors[i], DEFER_DROP_RUNNER_WORKER);

		AWAIT(stats_of(queue).deep_sleeps_total);
		flavors[i]->update_synchronize_rcu();
		end_queue(queue);
	}
}

const struct hostile_case hostile_cases[] = {
	{"orphan", "A child of a process that waited for readers has all except grace periods.",
		run_orphan},
	{"orphan_inside", "Its exit and its flushes work even if it forked inside a section.",
		run_orphan_inside},
	{"orphan_beside", "It has none in queues either of which its parent asked for none.",
		run_orphan_beside},
	{"orphan_stopped", "It has none in a queue that its parent had stopped either.",
		run_orphan_stopped},
	{"orphan_later",
		"It has none either if a thread that waits for a reader has outlived its queue.",
		run_orphan_later},
	{"bp", "With bp, children and their children have grace periods of their own readers.",
		run_bp},
	{"exit", "Exit waits for a reader, gives up and reports it, or leaves, as configured.",
		run_exit},
	{"online",
		"A thread that is online with QSBR, the worker too, may end the process, and "
		"destructors that it runs then may read.",
		run_online},
	{"shutdown", "A thread that waits for a reader outlives its queue, but not the reader.",
		run_shutdown},
	{"flavors", "Readers of one flavor hold up its queues alone.", run_flavors},
	{"asleep", "A worker that sleeps holds up no grace period.", run_asleep},
	{NULL, NULL, NULL},
};
