/* SPDX-License-Identifier: MIT
 *
 * Destructors that do unexpected things.
 */
#include "hostile.h"

#include <errno.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- A chain of drops, each made by the destructor of the one before it ---------------------- */

#define CHAIN_LENGTH 3000000

struct chain {
	unsigned left;
	char *lowest; /* of the stack, that any of them saw */
	char *highest;
};

static void drop_next(void *object)
{
	struct chain *chain = object;
	char *here = __builtin_frame_address(0); /* a sanitizer may move a variable */

	if (!chain->lowest || here < chain->lowest)
		chain->lowest = here;
	if (here > chain->highest)
		chain->highest = here;
	if (chain->left-- > 1)
		ANSWERS(0, defer_drop(chain, drop_next));
}

static void run_chain(void)
{
	struct chain chain = {.left = CHAIN_LENGTH};

	ANSWERS(0, defer_drop(&chain, drop_next));
	ANSWERS(0, defer_drop_flush());
	CHECK(!chain.left);
	CHECK(chain.highest - chain.lowest < 4096);
}

/* ---- A tree of drops ------------------------------------------------------------------------- */

#define FAN_WIDTH 3
#define FAN_DEPTH 8

struct fan {
	unsigned dropped;
	unsigned destroyed;
	bool has_ended; /* the drop behind it has been destroyed */
};

struct leaf {
	struct fan *fan;
	unsigned number; /* in the order of dropping */
	unsigned depth;
};

static void drop_leaf(struct fan *fan, unsigned depth);

static void drop_more(void *object)
{
	struct leaf leaf = *(struct leaf *)object;

	free(object);
	CHECK(!leaf.fan->has_ended);
	CHECK(leaf.number == leaf.fan->destroyed++);
	for (unsigned i = 0; leaf.depth && i < FAN_WIDTH; i++)
		drop_leaf(leaf.fan, leaf.depth - 1);
}

static void drop_leaf(struct fan *fan, unsigned depth)
{
	struct leaf *leaf = malloc(sizeof *leaf);

	CHECK(leaf);
	*leaf = (struct leaf){fan, fan->dropped++, depth};
	ANSWERS(0, defer_drop(leaf, drop_more));
}

static void end_fan(void *object)
{
	((struct fan *)object)->has_ended = true;
}

static void run_fan(void)
{
	struct fan fan = {0};

	drop_leaf(&fan, FAN_DEPTH);
	ANSWERS(0, defer_drop(&fan, end_fan));
	ANSWERS(0, defer_drop_flush());
	CHECK(fan.dropped == 9841); /* 3^0 + ... + 3^8 */
	CHECK(fan.destroyed == fan.dropped && fan.has_ended);
}

/* ---- Destructors that wait ------------------------------------------------------------------- */

static struct defer_drop_queue *make_queue(uint32_t runner, uint32_t queue_size)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.queue_size = queue_size;
	return create_queue(&config);
}

struct wait_for_own {
	struct defer_drop_queue *queue;
	struct defer_drop_completion completion; /* of a drop that stands behind */
	struct defer_drop_ticket ticket;
	unsigned done;
};

static void wait_for_own_queue(void *object)
{
	struct wait_for_own *self = object;
	uint64_t destroyed = 7;
	struct defer_drop_ticket own;
	bool is_drained = self->queue != defer_drop_queue_default();

	ANSWERS(-EDEADLK, defer_drop_queue_flush(self->queue, DEFER_DROP_FOREVER));
	ANSWERS(-EDEADLK, defer_drop_queue_flush(self->queue, 0));
	ANSWERS(-EDEADLK, defer_drop_queue_wait_backlog(self->queue, 0, 0, DEFER_DROP_FOREVER));
	ANSWERS(-EDEADLK, defer_drop_ticket_wait(&self->ticket, DEFER_DROP_FOREVER));
	ANSWERS(-EDEADLK, defer_drop_completion_wait(&self->completion, DEFER_DROP_FOREVER, NULL));
	ANSWERS(-EAGAIN, defer_drop_ticket_wait(&self->ticket, 0));
	ANSWERS(-EAGAIN, defer_drop_completion_wait(&self->completion, 0, NULL));
	ANSWERS(-EDEADLK, defer_drop_queue_shutdown(self->queue, DEFER_DROP_FOREVER));
	ANSWERS(-EDEADLK, defer_drop_queue_shutdown(self->queue, 0));
	ANSWERS(-EDEADLK, defer_drop_queue_stop(self->queue, DEFER_DROP_FOREVER));
	ANSWERS(-EDEADLK, defer_drop_queue_stop(self->queue, 0));
	ANSWERS(-EDEADLK, defer_drop_queue_start(self->queue));
	ANSWERS(-EDEADLK, defer_drop_queue_attach(self->queue));
	ANSWERS(-EDEADLK, defer_drop_queue_ticket(self->queue, &own));
	ANSWERS(is_drained ? -EDEADLK : -EINVAL,
		defer_drop_queue_drain(self->queue, 1, DEFER_DROP_FOREVER, &destroyed));
	CHECK(!destroyed || !is_drained);
	self->done++;
}

static void check_own(struct defer_drop_queue *queue)
{
	struct wait_for_own self = {.queue = queue, .completion = DEFER_DROP_COMPLETION_INIT};
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct gate gate = {0};

	options.completion = &self.completion;
	options.ticket = &self.ticket;
	if (queue == defer_drop_queue_default())
		ANSWERS(0, defer_drop(&gate, pass_gate)); /* until both have come */
	ANSWERS(0, defer_drop_queue_push(queue, &self, wait_for_own_queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_push_with(queue, NULL, ignore, DEFER_DROP_FOREVER, &options));
	gate.is_open = true;
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(self.done == 1);
	ANSWERS(0, defer_drop_completion_wait(&self.completion, 0, NULL));
}

static void run_own(void)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_CALLER, 64);

	check_own(defer_drop_queue_default());
	check_own(queue);
	end_queue(queue);
}

/* All calls on another queue; also draining it, if callers drain that one. */
static void use_other_queue(struct ledger *ledger, uint32_t runner)
{
	struct defer_drop_queue *other = make_queue(runner, 64);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;
	uint64_t destroyed;

	options.completion = &completion;
	options.ticket = &ticket;
	ANSWERS(0, defer_drop_queue_push_with(other, ledger, ledger_count, 0, &options));
	atomic_fetch_add(&ledger->accepted, 1);
	ANSWERS(0, defer_drop_ticket_wait(&ticket, DEADLINE_NS));
	ANSWERS(0, defer_drop_completion_wait(&completion, DEADLINE_NS, NULL));
	ANSWERS(0, ledger_push(ledger, other));
	ANSWERS(0, defer_drop_queue_flush(other, DEADLINE_NS));
	ANSWERS(0, defer_drop_queue_wait_backlog(other, 0, 0, DEADLINE_NS));
	ANSWERS(0, ledger_push(ledger, other));
	if (runner == DEFER_DROP_RUNNER_CALLER) {
		ANSWERS(0, defer_drop_queue_drain(other, UINT64_MAX, DEADLINE_NS, &destroyed));
		CHECK(destroyed == 1 && !defer_drop_queue_backlog(other));
	}
	ANSWERS(0, defer_drop_queue_stop(other, DEADLINE_NS));
	ANSWERS(0, ledger_push(ledger, other));
	ANSWERS(0, defer_drop_queue_start(other));
	end_queue(other);
}

static void use_other_queues(void *object)
{
	struct ledger *ledger = object;

	for (unsigned i = 0; i < 10; i++) {
		use_other_queue(ledger, DEFER_DROP_RUNNER_WORKER);
		use_other_queue(ledger, DEFER_DROP_RUNNER_CALLER);
	}
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default())); /* is nested here again */
}

static void run_other(void)
{
	struct ledger *ledger = ledger_open();

	ANSWERS(0, defer_drop(ledger, use_other_queues));
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	CHECK(ledger->accepted == 81 && ledger->destroyed == 81);
}

/* ---- A destructor that takes long ------------------------------------------------------------ */

#define MOMENT_NS UINT64_C(2000000)

static void run_slow(void)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_WORKER, 8);
	struct ledger *ledger = ledger_open();
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct gate gate = {0};
	struct defer_drop_ticket ticket;

	options.ticket = &ticket;
	ANSWERS(0,
		defer_drop_queue_push_with(queue, &gate, pass_gate, DEFER_DROP_FOREVER, &options));
	AWAIT(gate.is_entered);
	while (!defer_drop_queue_push(queue, ledger, ledger_count, 0))
		atomic_fetch_add(&ledger->accepted, 1);
	CHECK(ledger->accepted == 7);
	errno = 0;
	ANSWERS(-ETIMEDOUT, defer_drop_queue_push(queue, ledger, ledger_count, MOMENT_NS));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(queue, MOMENT_NS));
	ANSWERS(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, MOMENT_NS));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_wait_backlog(queue, 0, 0, MOMENT_NS));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_stop(queue, MOMENT_NS));
	CHECK(!ledger->destroyed && !errno);
	gate.is_open = true;
	ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(ledger->accepted == 8 && ledger->destroyed == 8);
	end_queue(queue);
}

/* ---- Destructors that start threads ---------------------------------------------------------- */

#define STARTERS      20
#define STARTER_DROPS 100

static pthread_t started[STARTERS];
static atomic_uint started_count;

static void *push_many(void *ledger)
{
	for (unsigned i = 0; i < STARTER_DROPS; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	return NULL;
}

static void start_thread(void *ledger)
{
	CHECK(!pthread_create(&started[started_count], NULL, push_many, ledger));
	started_count++;
}

static void run_starters(void)
{
	struct ledger *ledger = ledger_open();

	for (unsigned i = 0; i < STARTERS; i++)
		ANSWERS(0, defer_drop(ledger, start_thread));
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	CHECK(started_count == STARTERS);
	for (unsigned i = 0; i < STARTERS; i++)
		pthread_join(started[i], NULL);
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	CHECK(ledger->accepted == STARTERS * STARTER_DROPS);
	CHECK(ledger->destroyed == ledger->accepted);
}

/* ---- errno ----------------------------------------------------------------------------------- */

static void raise_errno(void *object)
{
	(void)object;
	errno = EIO;
}

static void run_errno(void)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_CALLER, 64);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;

	errno = 0;
	options.ticket = &ticket;
	ANSWERS(0, defer_drop_queue_push(queue, NULL, raise_errno, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_drain(queue, 1, DEADLINE_NS, NULL));
	CHECK(!errno);
	ANSWERS(0, defer_drop_queue_push(queue, NULL, raise_errno, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(!errno);
	ANSWERS(0, defer_drop_queue_push_with(queue, NULL, raise_errno, 0, &options));
	ANSWERS(0, defer_drop_ticket_wait(&ticket, DEADLINE_NS));
	CHECK(!errno);
	ANSWERS(0, defer_drop_queue_push(queue, NULL, raise_errno, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_wait_backlog(queue, 0, 0, DEADLINE_NS));
	CHECK(!errno);
	ANSWERS(0, defer_drop_queue_push(queue, NULL, raise_errno, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	CHECK(!errno);
	ANSWERS(0, defer_drop_queue_free(queue));
	for (unsigned i = 0; i < 1000; i++)
		ANSWERS(0, defer_drop(NULL, raise_errno));
	ANSWERS(0, defer_drop_flush());
	CHECK(!errno);
}

/* ---- Destructors that change the worker ------------------------------------------------------ */

static locale_t foreign_locale;
static pthread_t the_worker;
static atomic_uint signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static void change_thread(void *object)
{
	struct sched_param param = {0};
	cpu_set_t cpus;
	sigset_t none;

	(void)object;
	the_worker = pthread_self();
	sigemptyset(&none);
	CHECK(!pthread_sigmask(SIG_SETMASK, &none, NULL));
	CHECK(!pthread_setname_np(pthread_self(), ""));
	CHECK(!pthread_setschedparam(pthread_self(), SCHED_OTHER, &param));
	CHECK(!sched_getaffinity(0, sizeof cpus, &cpus));
	for (size_t cpu = 0; CPU_COUNT(&cpus) > 1; cpu++)
		CPU_CLR(cpu, &cpus);
	CHECK(!sched_setaffinity(0, sizeof cpus, &cpus));
	CHECK(uselocale(foreign_locale));
	CHECK(!fesetround(FE_UPWARD));
	CHECK(!pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
}

/* Through a full ring, naps and deep sleep, while signals come in. */
static void run_changed(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct sigaction action = {.sa_handler = count_signal}; /* no SA_RESTART */
	struct ledger *ledger = ledger_open();
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	foreign_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	config.queue_size = 8;
	config.quiet_spell_ns = 1000000;
	ANSWERS(0, defer_drop_start(&config));
	ANSWERS(0, defer_drop(NULL, change_thread));
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	for (unsigned i = 0; i < 300; i++) {
		CHECK(!pthread_kill(the_worker, SIGUSR1));
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
		if (i % 50 == 0)
			ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	}
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	CHECK(ledger->accepted == 300 && ledger->destroyed == 300);
	for (unsigned i = 1; i <= 2; i++) {
		AWAIT(!defer_drop_queue_stats(defer_drop_queue_default(), &stats) &&
			stats.deep_sleeps_total >= i);
		AWAIT(!pthread_kill(the_worker, SIGUSR1) && signals >= 10 * i);
		ANSWERS(0, defer_drop(NULL, ignore));
		ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	}
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_shutdown());
	CHECK(ledger->destroyed == 301);
	freelocale(foreign_locale);
}

/* ---- Cancellation ---------------------------------------------------------------------------- */

static void remember_worker(void *object)
{
	(void)object;
	the_worker = pthread_self();
}

/* A destructor with a cancellation point in it. */
static void count_slowly(void *ledger)
{
	usleep(10);
	pthread_testcancel();
	ledger_count(ledger);
}

static void run_cancelled(void)
{
	struct ledger *ledger = ledger_open();

	ANSWERS(0, defer_drop(NULL, remember_worker));
	ANSWERS(0, defer_drop_flush());
	CHECK(!pthread_cancel(the_worker));
	for (unsigned i = 0; i < 100; i++)
		ANSWERS(0, defer_drop(ledger, count_slowly));
	ANSWERS(0, defer_drop_flush_timed(DEADLINE_NS));
	CHECK(ledger->destroyed == 100);
	ANSWERS(0, defer_drop(ledger, count_slowly));
	ANSWERS(0, defer_drop_shutdown());
	CHECK(ledger->destroyed == 101);
}

struct drainer {
	struct defer_drop_queue *queue;
	struct ledger *ledger;
	struct gate gate;
	unsigned drained;
};

static void *drain_while_cancelled(void *argument)
{
	struct drainer *self = argument;

	ANSWERS(0, defer_drop_queue_flush(self->queue, DEFER_DROP_FOREVER));
	self->drained++;
	pthread_testcancel();
	self->drained++; /* was not cancelled after all */
	return NULL;
}

static void run_cancelled_drain(void)
{
	struct drainer self = {
		.queue = make_queue(DEFER_DROP_RUNNER_CALLER, 64), .ledger = ledger_open()};
	pthread_t thread;
	void *result;

	ANSWERS(0, defer_drop_queue_push(self.queue, &self.gate, pass_gate, DEFER_DROP_FOREVER));
	ANSWERS(0,
		defer_drop_queue_push(self.queue, self.ledger, count_slowly, DEFER_DROP_FOREVER));
	CHECK(!pthread_create(&thread, NULL, drain_while_cancelled, &self));
	AWAIT(self.gate.is_entered);
	CHECK(!pthread_cancel(thread));
	self.gate.is_open = true;
	CHECK(!pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED && self.drained == 1 && self.ledger->destroyed == 1);
	end_queue(self.queue);
}

const struct hostile_case hostile_cases[] = {
	{"chain", "A chain of millions of nested drops neither recurses nor grows the stack.",
		run_chain},
	{"fan", "A tree of drops is destroyed once each, in the order in which they were dropped.",
		run_fan},
	{"own", "A destructor that waits for its own queue gets -EDEADLK from every call.",
		run_own},
	{"other", "A destructor may make, use, wait for, drain, shut down and free other queues.",
		run_other},
	{"slow", "Behind a destructor that blocks deadlines hold, and the rest goes on after it.",
		run_slow},
	{"starters", "Destructors may start threads that push.", run_starters},
	{"errno", "No call that drains changes errno, whatever its destructors do to it.",
		run_errno},
	{"changed",
		"A worker whose mask, name, scheduling, locale and rounding were changed works on.",
		run_changed},
	{"cancelled", "To cancel the worker loses no drop and holds up no thread.", run_cancelled},
	{"cancelled_drain",
		"A thread that is cancelled while it drains ends after that, not in it.",
		run_cancelled_drain},
	{NULL, NULL, NULL},
};
