/* SPDX-License-Identifier: MIT
 *
 * Processes that end wherever they can, in every way, whatever their threads are doing.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gate gate;

#define FOREVER DEFER_DROP_FOREVER

/* The status of processes that end as they should. */
#define GOOD 3

#define DRAIN     "exit_timeout_ns=forever"
#define TIMED     "exit_timeout_ns=60s"
#define TIMED_OUT "exit_timeout_ns=1"
#define AT_ONCE   "exit_timeout_ns=0"

/* What a timed exit reports of a queue, behind its name. */
#define ABANDONS ": exit abandons %u drops"

/* ---- Threads, gates, ends -------------------------------------------------------------------- */

static void spawn(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run, argument));
	CHECK(!pthread_detach(thread)); /* most are still there when the process ends */
}

static void hold_up(void)
{
	ANSWERS(0, defer_drop(&gate, pass_gate));
	AWAIT(atomic_load(&gate.is_entered));
}

/* Opens the gate when the default queue closes. */
static void *open_when_closing(void *argument)
{
	AWAIT(defer_drop_start(NULL) == -ESHUTDOWN);
	atomic_store(&gate.is_open, true);
	return argument;
}

static struct defer_drop_stats stats_of(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	return stats;
}

#define QUEUE_SIZE 16

static void set_options(const char *policy)
{
	char options[128];

	snprintf(options, sizeof options, "queue_size=%d,%s", QUEUE_SIZE, policy);
	CHECK(!setenv("DEFER_DROP_OPTIONS", options, 1));
}

/* The child ends by itself with this status, and says so many lines. */
static void run_to_end(
	struct outcome *outcome, void (*body)(void *), void *argument, int status, unsigned lines)
{
	unsigned said = 0;

	run_child(outcome, body, argument);
	for (const char *at = outcome->words; (at = strchr(at, '\n')); at++)
		said++;
	if (!WIFEXITED(outcome->status) || WEXITSTATUS(outcome->status) != status || said != lines)
		fprintf(stderr, "%s", outcome->words);
	CHECK(WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == status);
	CHECK(said == lines);
}

/* ---- Exit by anyone, beside producers -------------------------------------------------------- */

#define PRODUCERS 3

enum who {
	BY_RETURN,
	BY_PRODUCER,
	BY_DESTRUCTOR,
	BY_NESTED,
	BY_LAST_WORDS, /* a destructor of thread-specific data */
	BY_ANYONE,
};

/* What becomes of the drops. */
struct policy {
	const char *options;
	uint64_t exit_timeout_ns; /* the same, for queues that the environment does not set up */
	bool drains;
	/* A destructor of the worker's does not return, and the rings are full: the report is of
	 * one moment, and threads that still push change nothing. */
	bool is_held;
};

static const struct policy exit_policies[] = {
	{DRAIN, FOREVER, true, false},
	{TIMED, UINT64_C(60000000000), true, false},
	{TIMED_OUT, 1, false, false},
	{TIMED_OUT, 1, false, true},
	{AT_ONCE, 0, false, false},
	{AT_ONCE, 0, false, true},
};

#define POLICIES (sizeof exit_policies / sizeof *exit_policies)

/* Timed policies report how many drops they leave. */
static bool reports(const struct policy *policy)
{
	return policy->exit_timeout_ns && policy->exit_timeout_ns != FOREVER;
}

/* How many a report may say that a queue leaves. */
struct bounds {
	unsigned least;
	unsigned most;
};

/* The default one, and one that the process drains, whose drops are still there at exit. */
#define QUEUES       2
#define SECOND_DROPS 5

static const char *const reported_names[QUEUES] = {"", " second"};

static struct exiting {
	enum who who;
	const struct policy *policy;
	struct bounds *left; /* of each queue; shared with the child */
	/* Of the producers, when exit was called: */
	unsigned accepted;
	unsigned destroyed;
} exiting;

static struct {
	_Atomic(uintptr_t) accepted;
	_Atomic(uintptr_t) destroyed;
	atomic_int answer; /* that ended its pushing, or 1 */
} producers[PRODUCERS];
static atomic_uint nested_destroyed;
static struct defer_drop_queue *second;
static atomic_uint second_destroyed;
static pthread_key_t last_words;

static void note(void *object)
{
	uintptr_t number = (uintptr_t)object / PRODUCERS;
	unsigned producer = (unsigned)((uintptr_t)object % PRODUCERS);

	CHECK(atomic_load(&producers[producer].destroyed) == number);
	atomic_store(&producers[producer].destroyed, number + 1);
}

static bool is_busy(void)
{
	for (unsigned i = 0; i < PRODUCERS; i++)
		if (atomic_load(&producers[i].accepted) < 200)
			return false;
	return true;
}

static void ignore(void *object)
{
	(void)object;
}

/* Whose ring is full waits, and pushes no more while the gate is closed. */
static bool are_full(void)
{
	for (unsigned i = 1; i < PRODUCERS; i++)
		if (atomic_load(&producers[i].accepted) !=
			atomic_load(&producers[i].destroyed) + QUEUE_SIZE)
			return false;
	return true;
}

static unsigned destroyed_by_now(void)
{
	uintptr_t destroyed = 0;

	for (unsigned i = 0; i < PRODUCERS; i++)
		destroyed += atomic_load(&producers[i].destroyed);
	return (unsigned)destroyed;
}

static unsigned accepted_by_now(void)
{
	uintptr_t accepted = 0;

	for (unsigned i = 0; i < PRODUCERS; i++)
		accepted += atomic_load(&producers[i].accepted);
	return (unsigned)accepted;
}

static void exit_good(void *object)
{
	(void)object;
	if (exiting.policy && exiting.policy->is_held) {
		AWAIT(atomic_load(&gate.is_entered));
		AWAIT(are_full());
	}
	exiting.accepted = accepted_by_now();
	exiting.destroyed = destroyed_by_now();
	exit(GOOD);
}

static void *push_until_refused(void *argument)
{
	unsigned self = (unsigned)(uintptr_t)argument;
	uintptr_t number = 0;
	int result;

	while (!(result = defer_drop((void *)(number * PRODUCERS + self), note))) {
		atomic_store(&producers[self].accepted, ++number);
		if (self || number < 500)
			continue;
		AWAIT(is_busy());
		atomic_store(&producers[self].answer, -ESHUTDOWN); /* it pushes no more */
		if (exiting.who == BY_PRODUCER)
			exit_good(NULL);
		CHECK(!pthread_setspecific(last_words, producers));
		return NULL;
	}
	atomic_store(&producers[self].answer, result);
	return argument;
}

static void count_nested(void *object)
{
	(void)object;
	atomic_fetch_add(&nested_destroyed, 1);
}

static void count_second(void *object)
{
	(void)object;
	atomic_fetch_add(&second_destroyed, 1);
}

/* What stands behind the one that ends the process has its turn too, or not. */
static void nest_exit(void *object)
{
	(void)object;
	ANSWERS(0, defer_drop(NULL, count_nested));
	ANSWERS(0, defer_drop(NULL, exit_good));
	ANSWERS(0, defer_drop(NULL, count_nested));
}

/* What the default queue may have said, when nobody pushes any more. */
static void bound_default(uint64_t accepted, uint64_t destroyed)
{
	struct bounds *left = &exiting.left[0];

	left->least = left->most = (unsigned)(accepted - destroyed);
	if (exiting.who == BY_DESTRUCTOR || exiting.who == BY_NESTED || exiting.policy->is_held)
		return;
	/* Producers and worker went on beside the report: what had been accepted before exit and
	 * is still there was counted, what had been destroyed before was not; but for one whose
	 * destructor had not returned. */
	left->most = (unsigned)accepted - exiting.destroyed + 1;
	left->least = exiting.accepted > destroyed ? exiting.accepted - (unsigned)destroyed : 0;
}

/* After the library has had its turn: every push was destroyed or counted. */
static void settle(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	bool drains = exiting.policy->drains;
	uint64_t accepted = exiting.who == BY_DESTRUCTOR ? 1 : exiting.who == BY_NESTED ? 4 : 0;
	uint64_t destroyed = exiting.who == BY_DESTRUCTOR ? 1 : exiting.who == BY_NESTED ? 2 : 0;
	struct defer_drop_stats stats;

	for (unsigned i = 0; i < PRODUCERS; i++)
		AWAIT(atomic_load(&producers[i].answer) == -ESHUTDOWN);
	accepted += accepted_by_now() + exiting.policy->is_held;
	if (exiting.policy->is_held) {
		bound_default(accepted, destroyed_by_now());
		atomic_store(&gate.is_open, true);
		destroyed++;
	}
	AWAIT(!stats_of(queue).backlog); /* whose time is over leaves the worker behind */
	ANSWERS(-ESHUTDOWN, defer_drop(NULL, note));
	ANSWERS(-ESHUTDOWN, defer_drop_start(NULL));
	destroyed += destroyed_by_now() + atomic_load(&nested_destroyed);
	if (!exiting.policy->is_held)
		bound_default(accepted, destroyed);
	stats = stats_of(queue);
	CHECK(stats.pushed_total == accepted && stats.destroyed_total == destroyed);
	CHECK(stats.abandoned_total == accepted - destroyed);
	CHECK(!drains || !stats.abandoned_total);
	CHECK(exiting.who != BY_NESTED || atomic_load(&nested_destroyed) == 1u + drains);
}

static void settle_second(void)
{
	struct defer_drop_stats stats = stats_of(second);
	unsigned destroyed = atomic_load(&second_destroyed);

	CHECK(stats.pushed_total == SECOND_DROPS && !stats.backlog);
	CHECK(stats.destroyed_total == destroyed);
	CHECK(stats.abandoned_total == SECOND_DROPS - destroyed);
	CHECK(!exiting.policy->drains || destroyed == SECOND_DROPS);
	exiting.left[1].least = exiting.left[1].most = SECOND_DROPS - destroyed;
}

static void make_second(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	config.name = "second";
	config.exit_timeout_ns = exiting.policy->exit_timeout_ns;
	ANSWERS(0, defer_drop_queue_create(&second, &config));
	for (unsigned i = 0; i < SECOND_DROPS; i++)
		ANSWERS(0, defer_drop_queue_push(second, NULL, count_second, FOREVER));
}

static void exit_beside_producers(void *argument)
{
	(void)argument;
	set_options(exiting.policy->options);
	CHECK(!atexit(settle));
	CHECK(!atexit(settle_second));
	make_second();
	CHECK(!pthread_key_create(&last_words, exiting.who == BY_LAST_WORDS ? exit_good : ignore));
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		spawn(push_until_refused, (void *)i);
	AWAIT(is_busy());
	if (exiting.policy->is_held) {
		AWAIT(atomic_load(&producers[0].answer)); /* it must not be held up itself */
		hold_up();
	}
	if (exiting.who == BY_RETURN)
		exit_good(NULL);
	if (exiting.who == BY_DESTRUCTOR)
		ANSWERS(0, defer_drop(NULL, exit_good));
	if (exiting.who == BY_NESTED)
		ANSWERS(0, defer_drop(NULL, nest_exit));
	for (;;)
		pause();
}

/* If this text is the one report of the queue of that name, what follows its line. Else NULL. */
static const char *read_line(const char *text, const char *name, unsigned *left)
{
	char line[96];
	unsigned count;
	int length;

	if (*left || strncmp(text, name, strlen(name)) ||
		sscanf(text + strlen(name), ABANDONS, &count) != 1)
		return NULL;
	length = snprintf(line, sizeof line, "%s" ABANDONS "\n", name, count);
	if (!count || strncmp(text, line, (size_t)length)) /* of nothing there is no report */
		return NULL;
	*left = count;
	return text + length;
}

/* Reads how many drops each queue reports that it left, and that nothing else is reported. */
static void read_report(const struct outcome *outcome, unsigned left[QUEUES])
{
	const char *line = outcome->words;

	memset(left, 0, QUEUES * sizeof *left);
	while (*line) {
		const char *text = report_of(outcome, line);
		const char *next = NULL;

		CHECK(text);
		for (unsigned i = 0; !next && i < QUEUES; i++)
			next = read_line(text, reported_names[i], &left[i]);
		CHECK(next);
		line = next;
	}
}

static void check_exit(void)
{
	bool is_reported = reports(exiting.policy);
	unsigned left[QUEUES];
	struct outcome outcome;

	run_child(&outcome, exit_beside_producers, NULL);
	fprintf(stderr, "%s", outcome.words);
	CHECK(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == GOOD);
	read_report(&outcome, left);
	for (unsigned i = 0; i < QUEUES; i++) {
		CHECK(left[i] >= (is_reported ? exiting.left[i].least : 0));
		CHECK(left[i] <= (is_reported ? exiting.left[i].most : 0));
	}
}

static void run_anyone(void)
{
	exiting.left = share_memory(QUEUES * sizeof *exiting.left);
	for (exiting.who = 0; exiting.who < BY_ANYONE; exiting.who++) {
		bool is_worker = exiting.who == BY_DESTRUCTOR || exiting.who == BY_NESTED;

		for (unsigned i = 0; i < POLICIES; i++) {
			exiting.policy = &exit_policies[i];
			if (!is_worker || !exit_policies[i].is_held)
				check_exit();
		}
	}
	exiting.policy = NULL;
}

/* ---- Exit while a thread waits --------------------------------------------------------------- */

enum wait {
	IN_PUSH,
	IN_PUSH_SHARED,
	IN_FLUSH,
	IN_TICKET,
	IN_COMPLETION,
	IN_BACKLOG,
	IN_SHUTDOWN,
	WAITS,
};

static struct {
	enum wait wait;
	const char *policy;
	struct ledger *ledger; /* mark: the answer, negated, plus 1 */
	struct defer_drop_ticket ticket;
	struct defer_drop_completion completion;
	atomic_bool is_set;
} waiting;

static int wait_somewhere(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();

	switch (waiting.wait) {
	case IN_FLUSH:
		return defer_drop_flush();
	case IN_TICKET:
		return defer_drop_ticket_wait(&waiting.ticket, FOREVER);
	case IN_COMPLETION:
		return defer_drop_completion_wait(&waiting.completion, FOREVER, NULL);
	case IN_BACKLOG:
		return defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER);
	case IN_SHUTDOWN:
		return defer_drop_shutdown();
	default:
		return ledger_push(waiting.ledger, queue);
	}
}

static bool pushes(void)
{
	return waiting.wait == IN_PUSH || waiting.wait == IN_PUSH_SHARED;
}

static void *wait_in_thread(void *argument)
{
	while (pushes() && !defer_drop_try(waiting.ledger, ledger_count))
		atomic_fetch_add(&waiting.ledger->accepted, 1);
	atomic_store(&waiting.is_set, true);
	atomic_store(&waiting.ledger->mark, (unsigned)(1 - wait_somewhere()));
	return argument;
}

/* The worker stands in the gate; 3 drops are pending behind it; a thread waits. */
static void begin_wait(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	char policy[96];

	snprintf(policy, sizeof policy, "%s%s", waiting.policy,
		waiting.wait == IN_PUSH_SHARED ? ",max_lanes=0" : "");
	set_options(policy);
	hold_up();
	options.ticket = &waiting.ticket;
	options.completion = &waiting.completion;
	ANSWERS(0, ledger_push(waiting.ledger, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_with(waiting.ledger, ledger_count, 0, &options));
	ANSWERS(0, ledger_push(waiting.ledger, defer_drop_queue_default()));
	atomic_fetch_add(&waiting.ledger->accepted, 1);
	spawn(wait_in_thread, NULL);
	AWAIT(atomic_load(&waiting.is_set));
	usleep(3000); /* most probably it waits by then; all must hold in any case */
}

/* What may be answered where exit leaves at once, beside a destructor that runs on or not. */
static bool is_told_of_leaving(int answer)
{
	if (waiting.wait == IN_SHUTDOWN)
		return !answer;
	if (waiting.wait == IN_BACKLOG && !answer) /* what is abandoned is not pending */
		return true;
	return answer == -ESHUTDOWN || answer == -ECANCELED;
}

/* What the thread was told is the truth. */
static void settle_wait(void)
{
	bool drains = strcmp(waiting.policy, AT_ONCE);
	struct ledger *ledger = waiting.ledger;
	struct defer_drop_stats stats;
	int answer;

	AWAIT(atomic_load(&ledger->mark));
	answer = 1 - (int)atomic_load(&ledger->mark);
	AWAIT(!stats_of(defer_drop_queue_default()).backlog); /* the worker may be left behind */
	stats = stats_of(defer_drop_queue_default());
	if (pushes())
		CHECK(!answer || answer == -ESHUTDOWN);
	else if (!drains)
		CHECK(is_told_of_leaving(answer));
	else
		CHECK(!answer || (answer == -ESHUTDOWN && waiting.wait == IN_BACKLOG));
	CHECK(stats.pushed_total == 1 + atomic_load(&ledger->accepted));
	CHECK(stats.destroyed_total == 1 + atomic_load(&ledger->destroyed));
	if (drains || waiting.wait != IN_SHUTDOWN) /* which may have begun to drain before */
		CHECK(atomic_load(&ledger->destroyed) ==
			(drains ? atomic_load(&ledger->accepted) : 0));
	CHECK(stats.pushed_total == stats.destroyed_total + stats.abandoned_total);
}

static void exit_beside_wait(void *argument)
{
	(void)argument;
	CHECK(!atexit(settle_wait));
	begin_wait();
	spawn(open_when_closing, NULL);
	exit(GOOD);
}

static void run_waits(void)
{
	const char *const policies[] = {DRAIN, TIMED, AT_ONCE};

	for (unsigned i = 0; i < 3 * WAITS; i++) {
		struct outcome outcome;

		waiting.wait = i / 3;
		waiting.policy = policies[i % 3];
		waiting.ledger = ledger_open();
		waiting.completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		run_to_end(&outcome, exit_beside_wait, NULL, GOOD, 0);
	}
}

/* ---- A destructor that does not return ------------------------------------------------------- */

/* Nothing of this may wait: the time is over. */
static void use_in_vain(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	struct defer_drop_queue *made;
	int pushed = defer_drop(&gate, pass_gate);

	CHECK(!pushed || pushed == -ESHUTDOWN); /* accepted, it is abandoned */
	ANSWERS(-ESHUTDOWN, defer_drop_start(NULL));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_start(queue));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_stop(queue, FOREVER));
	ANSWERS(-ESHUTDOWN, defer_drop_queue_create(&made, NULL));
	ANSWERS(-ECANCELED, defer_drop_flush());
	ANSWERS(-ECANCELED, defer_drop_ticket_wait(&waiting.ticket, 0));
	ANSWERS(-ECANCELED, defer_drop_ticket_wait(&waiting.ticket, FOREVER));
	ANSWERS(-ECANCELED, defer_drop_completion_wait(&waiting.completion, 0, NULL));
	ANSWERS(-ECANCELED, defer_drop_completion_wait(&waiting.completion, FOREVER, NULL));
	ANSWERS(-ECANCELED, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	if (waiting.wait == IN_SHUTDOWN) {
		CHECK(!atomic_load(&waiting.ledger->mark)); /* it waits for the destructor */
	} else {
		AWAIT(atomic_load(&waiting.ledger->mark));
		ANSWERS(pushes() ? -ESHUTDOWN : -ECANCELED,
			1 - (int)atomic_load(&waiting.ledger->mark));
	}
	/* If it does return, the worker still has the last word. */
	atomic_store(&gate.is_open, true);
	AWAIT(waiting.wait != IN_SHUTDOWN || atomic_load(&waiting.ledger->mark) == 1);
	AWAIT(!stats_of(queue).backlog);
	CHECK(stats_of(queue).destroyed_total == 1);
	AWAIT(defer_drop_completion_wait(&waiting.completion, 0, NULL) == -ESHUTDOWN);
	ANSWERS(-ESHUTDOWN, defer_drop_ticket_wait(&waiting.ticket, 0));
}

static void exit_before_gate(void *argument)
{
	(void)argument;
	CHECK(!atexit(use_in_vain));
	begin_wait();
	exit(GOOD);
}

/* A thread of ours drains, and stands in the gate. */
static void *drain_in_thread(void *argument)
{
	defer_drop_queue_drain(argument, UINT64_MAX, FOREVER, NULL);
	return NULL;
}

static void exit_beside_drain(void *exit_timeout_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	config.name = "stuck";
	config.exit_timeout_ns = (uintptr_t)exit_timeout_ns;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	ANSWERS(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
	ANSWERS(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
	spawn(drain_in_thread, queue);
	AWAIT(atomic_load(&gate.is_entered));
	exit(GOOD);
}

/* Exit reports how many drops it leaves, or nothing if it leaves at once. */
static void check_stuck(const char *policy)
{
	bool is_reported = strcmp(policy, AT_ONCE);
	unsigned more[WAITS] = {[IN_PUSH] = 16, [IN_PUSH_SHARED] = 11};
	struct outcome outcome;
	char text[64];

	waiting.policy = policy;
	waiting.ledger = ledger_open();
	waiting.completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	run_to_end(&outcome, exit_before_gate, NULL, GOOD, is_reported);
	snprintf(text, sizeof text, ABANDONS "\n", 4 + more[waiting.wait]);
	fprintf(stderr, "%s", outcome.words);
	CHECK(has_report(&outcome, text) == is_reported);
	CHECK(!atomic_load(&waiting.ledger->destroyed));
}

static void run_stuck(void)
{
	struct outcome outcome;
	char text[64];

	for (waiting.wait = 0; waiting.wait < WAITS; waiting.wait++) {
		check_stuck("exit_timeout_ns=2ms");
		check_stuck(AT_ONCE);
	}
	run_to_end(&outcome, exit_beside_drain, (void *)1000000, GOOD, 1);
	snprintf(text, sizeof text, " stuck" ABANDONS "\n", 2);
	CHECK(has_report(&outcome, text));
	run_to_end(&outcome, exit_beside_drain, (void *)0, GOOD, 0);
}

/* ---- Whose turn it is ------------------------------------------------------------------------ */

static struct ledger *ledger; /* of the cases below */
static struct defer_drop_queue *ending;
static struct defer_drop_queue *other;

static struct defer_drop_queue *make_queue(uint32_t runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = runner;
	config.queue_size = 4;
	config.max_lanes = 0;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	return queue;
}

/* Waits for room in the queue whose destructor ends the process. */
static void fill_ending(void *object)
{
	int result;

	(void)object;
	do
		result = ledger_push(ledger, ending);
	while (!result && atomic_load(&ledger->accepted) < 100);
	CHECK(!result || result == -ESHUTDOWN);
	atomic_fetch_add(&ledger->mark, 1);
}

static void exit_when_full(void *object)
{
	(void)object;
	ANSWERS(0, defer_drop_queue_push(other, NULL, fill_ending, FOREVER));
	AWAIT(atomic_load(&ledger->accepted) >= 3);
	exit(GOOD);
}

/* The newer of two queues has its turn first, unless the older one must. */
static void exit_while_another_waits(void *is_default)
{
	set_options("queue_size=4,max_lanes=0");
	ending = is_default ? defer_drop_queue_default() : make_queue(DEFER_DROP_RUNNER_WORKER);
	other = make_queue(DEFER_DROP_RUNNER_WORKER);
	ANSWERS(0, defer_drop_queue_push(ending, NULL, exit_when_full, FOREVER));
	for (;;)
		pause();
}

static void exit_default_while_older_waits(void *argument)
{
	(void)argument;
	set_options("queue_size=4,max_lanes=0");
	other = make_queue(DEFER_DROP_RUNNER_WORKER);
	ending = defer_drop_queue_default();
	ANSWERS(0, defer_drop_queue_push(ending, NULL, exit_when_full, FOREVER));
	for (;;)
		pause();
}

static void push_to_default(void *object)
{
	(void)object;
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
}

static void exit_with_pushes_to_default(void *is_default_first)
{
	if (is_default_first)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	other = make_queue(DEFER_DROP_RUNNER_CALLER);
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, defer_drop_queue_push(other, NULL, push_to_default, FOREVER));
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	exit(GOOD);
}

static void check_turn(void (*body)(void *), void *argument, unsigned marks)
{
	struct outcome outcome;

	ledger = ledger_open();
	run_to_end(&outcome, body, argument, GOOD, 0);
	CHECK(atomic_load(&ledger->destroyed) == atomic_load(&ledger->accepted));
	CHECK(atomic_load(&ledger->mark) == marks);
}

static void run_turns(void)
{
	check_turn(exit_while_another_waits, NULL, 1);
	check_turn(exit_while_another_waits, &gate, 1);
	check_turn(exit_default_while_older_waits, NULL, 1);
	check_turn(exit_with_pushes_to_default, NULL, 0);
	check_turn(exit_with_pushes_to_default, &gate, 0);
}

/* ---- Exit inside a drain, a shutdown --------------------------------------------------------- */

static void drain_other(void *object)
{
	(void)object;
	ANSWERS(0, defer_drop_queue_drain(other, UINT64_MAX, FOREVER, NULL));
	fail(__FILE__, __LINE__, "a destructor that ends the process does not return");
}

/* A worker may have ended the process by now. */
static void push_unless_over(struct defer_drop_queue *queue)
{
	int result = ledger_push(ledger, queue);

	CHECK(!result || result == -ESHUTDOWN);
}

static void push_around(struct defer_drop_queue *queue, defer_drop_fn destroy)
{
	for (unsigned i = 0; i < 3; i++)
		if (i == 1)
			ANSWERS(0, defer_drop_queue_push(queue, NULL, destroy, FOREVER));
		else
			push_unless_over(queue);
}

static void exit_in_inner_drain(void *argument)
{
	(void)argument;
	ending = make_queue(DEFER_DROP_RUNNER_CALLER);
	other = make_queue(DEFER_DROP_RUNNER_CALLER);
	push_around(ending, drain_other);
	push_around(other, exit_good);
	ANSWERS(0, defer_drop_queue_flush(ending, FOREVER));
}

static void exit_in_shutdown(void *runner)
{
	ending = make_queue((uint32_t)(uintptr_t)runner);
	push_around(ending, exit_good);
	ANSWERS(0, defer_drop_queue_shutdown(ending, FOREVER));
	pause();
}

static void run_inside(void)
{
	check_turn(exit_in_inner_drain, NULL, 0);
	check_turn(exit_in_shutdown, (void *)DEFER_DROP_RUNNER_WORKER, 0);
	check_turn(exit_in_shutdown, (void *)DEFER_DROP_RUNNER_CALLER, 0);
}

/* ---- What exit waits for, and what is gone --------------------------------------------------- */

static void take_a_while(void *object)
{
	atomic_store(&gate.is_entered, true);
	usleep(20000);
	ledger_count(object);
}

static void look_for_the_long_one(void)
{
	atomic_store(&ledger->mark, atomic_load(&ledger->destroyed));
}

static void exit_beside_a_long_one(void *policy)
{
	set_options(policy);
	CHECK(!atexit(look_for_the_long_one));
	ANSWERS(0, defer_drop(ledger, take_a_while));
	atomic_fetch_add(&ledger->accepted, 1);
	AWAIT(atomic_load(&gate.is_entered));
	exit(GOOD);
}

static void run_long(void)
{
	check_turn(exit_beside_a_long_one, (void *)DRAIN, 1);
	check_turn(exit_beside_a_long_one, (void *)TIMED, 1);
}

/* The owner of a queue ends it while exit does. */
static void *end_queue(void *queue)
{
	atomic_store(&gate.is_entered, true);
	ANSWERS(0, defer_drop_queue_shutdown(queue, FOREVER));
	ANSWERS(0, defer_drop_queue_free(queue));
	atomic_store(&gate.is_open, true);
	return NULL;
}

/* After the library has had its turn. */
static void await_freed(void)
{
	AWAIT(atomic_load(&gate.is_open));
}

static void exit_beside_owner(void *argument)
{
	struct defer_drop_queue *queue;

	(void)argument;
	CHECK(!atexit(await_freed));
	queue = make_queue(DEFER_DROP_RUNNER_CALLER);
	for (unsigned i = 0; i < 3; i++)
		ANSWERS(0, ledger_push(ledger, queue));
	spawn(end_queue, queue);
	AWAIT(atomic_load(&gate.is_entered));
	exit(GOOD);
}

static void run_owner(void)
{
	for (unsigned i = 0; i < 40; i++)
		check_turn(exit_beside_owner, NULL, 0);
}

/* ---- First and last uses --------------------------------------------------------------------- */

#define NEWCOMERS 6

static pthread_barrier_t start;

static void *push_first(void *argument)
{
	int result = pthread_barrier_wait(&start);

	CHECK(!result || result == PTHREAD_BARRIER_SERIAL_THREAD);
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	pthread_barrier_wait(&start);
	return argument;
}

static void exit_after_first_use(void *argument)
{
	(void)argument;
	CHECK(!pthread_barrier_init(&start, NULL, NEWCOMERS));
	for (unsigned i = 1; i < NEWCOMERS; i++)
		spawn(push_first, NULL);
	push_first(NULL);
	exit(GOOD);
}

static void run_first_use(void)
{
	for (unsigned i = 0; i < 20; i++)
		check_turn(exit_after_first_use, NULL, 0);
}

static void push_last(void *object)
{
	(void)object;
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
}

#define LAST_DROPS 10 /* there is room for them behind the gate */

/* Whose time is over leaves the worker in the gate. */
static void settle_last(void)
{
	struct defer_drop_stats stats;

	atomic_store(&gate.is_open, true);
	AWAIT(!stats_of(defer_drop_queue_default()).backlog);
	ANSWERS(-ESHUTDOWN, defer_drop_try(ledger, ledger_count));
	stats = stats_of(defer_drop_queue_default());
	/* The gate is one. */
	CHECK(stats.pushed_total == atomic_load(&ledger->accepted) + 1);
	CHECK(stats.destroyed_total == atomic_load(&ledger->destroyed) + 1);
	CHECK(stats.abandoned_total == stats.pushed_total - stats.destroyed_total);
}

/* The main thread has ended; the worker would keep the process. */
static void *be_last(void *policy)
{
	for (unsigned i = 0; i < 1000; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	AWAIT(atomic_load(&ledger->mark));
	if (!policy) {
		ANSWERS(0, defer_drop_shutdown());
		return NULL;
	}
	ANSWERS(0, defer_drop_flush());
	hold_up();
	for (unsigned i = 0; i < LAST_DROPS; i++)
		ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	if (!((const struct policy *)policy)->is_held)
		spawn(open_when_closing, NULL);
	exit(GOOD);
}

static void mark_end(void *object)
{
	push_last(object);
	atomic_fetch_add(&ledger->mark, 1);
}

static void end_main_thread(void *argument)
{
	struct policy *policy = argument;

	if (policy) {
		set_options(policy->options);
		CHECK(!atexit(settle_last));
	}
	CHECK(!pthread_key_create(&last_words, mark_end));
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	CHECK(!pthread_setspecific(last_words, &gate));
	spawn(be_last, policy);
	pthread_exit(NULL);
}

/* What was pushed before the gate was destroyed; what stands behind it is left, and the gate too
 * where it does not open. */
static void check_last(struct policy *policy)
{
	bool is_reported = policy->is_held && reports(policy);
	unsigned left[QUEUES];
	struct outcome outcome;

	ledger = ledger_open();
	run_child(&outcome, end_main_thread, policy);
	fprintf(stderr, "%s", outcome.words);
	CHECK(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == GOOD);
	read_report(&outcome, left);
	CHECK(left[0] == (is_reported ? LAST_DROPS + 1 : 0) && !left[1]);
	CHECK(atomic_load(&ledger->accepted) == 1002 + LAST_DROPS);
	CHECK(atomic_load(&ledger->destroyed) == 1002 + (policy->drains ? LAST_DROPS : 0));
	CHECK(atomic_load(&ledger->mark) == 1);
}

static void run_main_thread(void)
{
	static struct policy policy; /* a checker may take the first thread's stack away with it */
	struct outcome outcome;

	for (unsigned i = 0; i < POLICIES; i++) {
		policy = exit_policies[i];
		/* Whose time is over is always held here: the number is known. */
		if (policy.drains || policy.is_held || !policy.exit_timeout_ns)
			check_last(&policy);
	}
	ledger = ledger_open();
	run_to_end(&outcome, end_main_thread, NULL, 0, 0);
	CHECK(atomic_load(&ledger->destroyed) == atomic_load(&ledger->accepted));
}

/* ---- Ends that the library does not hear of -------------------------------------------------- */

static void end_quickly(void)
{
	quick_exit(GOOD);
}

static void end_at_once(void)
{
	_exit(GOOD);
}

static void end_abruptly(void *end)
{
	ledger = waiting.ledger;
	begin_wait();
	CHECK(!at_quick_exit(look_for_the_long_one));
	((void (*)(void))(uintptr_t)end)();
}

static void end_in_destructor(void *end)
{
	waiting.policy = DRAIN;
	((void (*)(void))(uintptr_t)end)();
}

static void drop_the_end(void *end)
{
	begin_wait();
	ANSWERS(0, defer_drop(end, end_in_destructor));
	atomic_store(&gate.is_open, true);
	pause();
}

static void run_abruptly(void)
{
	void (*const ends[])(void) = {end_quickly, end_at_once, abort};

	for (unsigned i = 0; i < 6; i++) {
		struct outcome outcome;

		waiting.wait = IN_FLUSH;
		waiting.policy = DRAIN;
		waiting.ledger = ledger_open();
		waiting.completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
		run_child(&outcome, i / 3 ? drop_the_end : end_abruptly,
			(void *)(uintptr_t)ends[i % 3]);
		CHECK(!strstr(outcome.words, "defer_drop")); /* an emulator tells of an abort */
		CHECK(atomic_load(&waiting.ledger->destroyed) == (i / 3 ? 3 : 0));
		if (i % 3 == 2)
			CHECK(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT);
		else
			CHECK(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == GOOD);
	}
}

const struct hostile_case hostile_cases[] = {
	{"anyone",
		"Whoever ends the process, beside producers, every accepted drop is destroyed in "
		"its order or counted as left.",
		run_anyone},
	{"waits", "Whoever waits while the process ends is told the truth.", run_waits},
	{"stuck",
		"A timed exit waits for nothing that takes longer, and counts what it leaves; one "
		"at once waits for nothing.",
		run_stuck},
	{"turns", "Queues whose destructors push to each other do not hold exit up.", run_turns},
	{"inside", "Exit from a destructor that a drain or a shutdown runs destroys the rest.",
		run_inside},
	{"long", "Exit waits for the destructor that is running, unless it leaves at once.",
		run_long},
	{"owner", "A queue may be freed while exit deals with it.", run_owner},
	{"first_use", "Threads whose first push is the process's lose nothing.", run_first_use},
	{"main_thread",
		"Without its main thread the process ends as the last one and the policy say.",
		run_main_thread},
	{"abruptly", "Where no handlers run, nothing is destroyed and nothing waits.",
		run_abruptly},
	{NULL, NULL, NULL},
};
