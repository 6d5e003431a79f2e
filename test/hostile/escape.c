/* SPDX-License-Identifier: MIT
 *
 * Destructors that do not return. Each must end the process by abort(3), with a line that names it.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* In the program's dynamic symbols, unlike static ones. */
void ends_thread(void *object);
void jumps(void *object);
void throws(void *object);
int catches(void (*function)(void));

static void do_nothing(void *object)
{
	(void)object;
}

/* The process aborts, and says why in one line that has all these words. */
static void must_abort(void (*body)(void *argument), void *argument, const char *const *words)
{
	const struct rlimit none = {0, 0};
	struct outcome outcome;

	setrlimit(RLIMIT_CORE, &none);
	run_child(&outcome, body, argument);
	if (!WIFSIGNALED(outcome.status) || WTERMSIG(outcome.status) != SIGABRT)
		fprintf(stderr, "status %#x, says: %s\n", (unsigned)outcome.status, outcome.words);
	CHECK(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT);
	for (; *words; words++) {
		if (!strstr(outcome.words, *words))
			fprintf(stderr, "want: %s\ngot: %s\n", *words, outcome.words);
		CHECK(strstr(outcome.words, *words));
	}
}

static const char *const thread_ended[] = {"defer_drop: while 0xdead was destroyed by ends_thread",
	"thread was ended", "must return", NULL};
static const char *const jumped[] = {
	"defer_drop: while 0xdead was destroyed by jumps", "longjmp", "must return", NULL};

#define OBJECT ((void *)(uintptr_t)0xdead)

static struct defer_drop_queue *make_drained(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	return queue;
}

static void push_and_flush(struct defer_drop_queue *queue, defer_drop_fn destroy)
{
	for (unsigned i = 0; i < 20; i++)
		ANSWERS(0, defer_drop_queue_push(queue, NULL, do_nothing));
	ANSWERS(0, defer_drop_queue_push(queue, OBJECT, destroy));
	ANSWERS(0, defer_drop_queue_push(queue, NULL, do_nothing));
	ANSWERS(0, defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
}

/* ---- The end of the thread ------------------------------------------------------------------- */

void ends_thread(void *object)
{
	(void)object;
	pthread_exit(NULL);
}

static int ends_thread_with_status(void *object)
{
	ends_thread(object);
	return 0;
}

static void end_worker(void *argument)
{
	(void)argument;
	push_and_flush(defer_drop_queue_default(), ends_thread);
}

static void end_nested(void *argument)
{
	(void)argument;
	ANSWERS(0, defer_drop(OBJECT, ends_thread));
}

static void end_worker_nested(void *argument)
{
	(void)argument;
	push_and_flush(defer_drop_queue_default(), end_nested);
}

static void end_worker_with_status(void *argument)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	(void)argument;
	options.destroy_status = ends_thread_with_status;
	ANSWERS(0, defer_drop_with(OBJECT, NULL, DEFER_DROP_FOREVER, &options));
	defer_drop_flush();
}

static void end_shut_down(void *argument)
{
	struct defer_drop_queue *queue = make_drained();

	(void)argument;
	ANSWERS(0, defer_drop_queue_push(queue, OBJECT, ends_thread));
	defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL);
}

static void end_drain(void *argument)
{
	(void)argument;
	push_and_flush(make_drained(), ends_thread);
}

static void become_cancellable(void *object)
{
	(void)object;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_cancel(pthread_self());
	pthread_testcancel();
}

static void cancel_itself(void *argument)
{
	(void)argument;
	push_and_flush(defer_drop_queue_default(), become_cancellable);
}

static void end_when_told(void *context, const struct defer_drop_level *level)
{
	(void)context;
	(void)level;
	pthread_exit(NULL);
}

static atomic_bool has_pushed;

static void await_pushes(void *object)
{
	(void)object;
	AWAIT(atomic_load(&has_pushed));
}

/* Who is told of a watermark stands between two drops. */
static void end_between_drops(void *runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = *(const uint32_t *)runner;
	config.watermark = end_when_told;
	config.high_drops = 1;
	ANSWERS(0, defer_drop_queue_create(&queue, &config));
	ANSWERS(0, defer_drop_queue_push(queue, NULL, await_pushes));
	for (unsigned i = 0; i < 4; i++)
		ANSWERS(0, defer_drop_queue_push(queue, OBJECT, do_nothing));
	atomic_store(&has_pushed, true);
	defer_drop_queue_flush(queue, DEFER_DROP_FOREVER);
}

static void run_exit(void)
{
	static const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_CALLER};
	static const char *const of_none[] = {
		"defer_drop: in its watermark function", "thread was ended", "must return", NULL};
	static const char *const of_status[] = {"while 0xdead was destroyed by ", NULL};
	static const char *const of_cancel[] = {"while 0xdead was destroyed by hostile_escape+0x",
		"thread was ended", "must return", NULL};

	must_abort(end_worker, NULL, thread_ended);
	must_abort(end_worker_nested, NULL, thread_ended);
	must_abort(end_worker_with_status, NULL, of_status);
	must_abort(end_shut_down, NULL, thread_ended);
	must_abort(end_drain, NULL, thread_ended);
	must_abort(cancel_itself, NULL, of_cancel);
	for (unsigned i = 0; i < 2; i++)
		must_abort(end_between_drops, (void *)&runners[i], of_none);
}

/* ---- longjmp --------------------------------------------------------------------------------- */

static _Thread_local jmp_buf before;

void jumps(void *object)
{
	(void)object;
	longjmp(before, 1);
}

static void drop_jumper(void *queue)
{
	ANSWERS(0, defer_drop_queue_push(queue, OBJECT, jumps));
}

/* What a thread may do next, after it has jumped out of a drain. */
static void push_again(struct defer_drop_queue *queue)
{
	defer_drop_queue_push(queue, NULL, do_nothing);
}

static void push_elsewhere(struct defer_drop_queue *queue)
{
	(void)queue;
	defer_drop(NULL, do_nothing);
}

static void drain_again(struct defer_drop_queue *queue)
{
	defer_drop_queue_drain(queue, UINT64_MAX, DEFER_DROP_FOREVER, NULL);
}

static void flush_again(struct defer_drop_queue *queue)
{
	defer_drop_queue_flush(queue, DEFER_DROP_FOREVER);
}

static void shut_down(struct defer_drop_queue *queue)
{
	defer_drop_queue_shutdown(queue, DEFER_DROP_SHUTDOWN_DRAIN, 0, NULL);
}

/* Lays its frame over those that were jumped out of. */
static __attribute__((noinline)) void push_from_the_depth(struct defer_drop_queue *queue)
{
	volatile char frame[16384];

	memset((char *)frame, 1, sizeof frame);
	defer_drop_queue_push(queue, NULL, do_nothing);
	frame[0] = frame[1];
}

struct jump {
	void (*run)(struct defer_drop_queue *queue); /* what drains, */
	void (*go_on)(struct defer_drop_queue *queue);
	defer_drop_fn destroy; /* jumps, or drops who does */
};

static __attribute__((noinline)) void jump_out(
	const struct jump *jump, struct defer_drop_queue *queue)
{
	ANSWERS(0, defer_drop_queue_push(queue, NULL, do_nothing));
	ANSWERS(0, defer_drop_queue_push(
			   queue, jump->destroy == jumps ? OBJECT : queue, jump->destroy));
	if (!setjmp(before)) {
		jump->run(queue);
		fail(__FILE__, __LINE__, "a jump passes by");
	}
}

static void jump_and_go_on(void *argument)
{
	const struct jump *jump = argument;
	struct defer_drop_queue *queue = make_drained();

	jump_out(jump, queue);
	jump->go_on(queue);
}

static void *jump_and_end(void *queue)
{
	const struct jump jump = {drain_again, NULL, jumps};

	jump_out(&jump, queue);
	return NULL;
}

/* Another thread waits for the end of the drain, which does not come. */
static void jump_in_a_thread_that_ends(void *argument)
{
	struct defer_drop_queue *queue = make_drained();
	pthread_t thread;

	(void)argument;
	CHECK(!pthread_create(&thread, NULL, jump_and_end, queue));
	pthread_join(thread, NULL);
	flush_again(queue);
}

static void run_jump(void)
{
	static const struct jump jumpings[] = {
		{drain_again, push_again, jumps},
		{drain_again, push_elsewhere, jumps},
		{drain_again, drain_again, jumps},
		{drain_again, flush_again, jumps},
		{drain_again, shut_down, jumps},
		{flush_again, push_again, jumps},
		{flush_again, drain_again, jumps},
		{shut_down, push_again, jumps},
		{drain_again, push_again, drop_jumper},
#ifndef __SANITIZE_ADDRESS__ /* it may lay frames elsewhere, and nothing over them */
		{drain_again, push_from_the_depth, jumps},
		{drain_again, push_from_the_depth, drop_jumper},
#endif
	};

	for (size_t i = 0; i < sizeof jumpings / sizeof *jumpings; i++)
		must_abort(jump_and_go_on, (void *)&jumpings[i], jumped);
	must_abort(jump_in_a_thread_that_ends, NULL, jumped);
}

/* ---- A destructor that changes stacks, and returns ------------------------------------------- */

static ucontext_t here;
static ucontext_t there;
static struct ledger *ledger;

static void push_there(void)
{
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
}

static void change_stacks(void *stack)
{
	CHECK(!getcontext(&there));
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = 65536;
	there.uc_link = &here;
	makecontext(&there, push_there, 0);
	CHECK(!swapcontext(&here, &there));
}

static void run_stacks(void)
{
	void *stack = malloc(65536);

	ledger = ledger_open();
	ANSWERS(0, defer_drop(stack, change_stacks));
	ANSWERS(0, defer_drop_flush());
	CHECK(ledger->accepted == 2 && ledger->destroyed == 2);
	free(stack);
}

/* ---- An exception ---------------------------------------------------------------------------- */

#ifdef HAS_CPP

static struct defer_drop_queue *drained;

static void throw_from_worker(void *argument)
{
	(void)argument;
	push_and_flush(defer_drop_queue_default(), throws);
}

static void drain_throwing(void)
{
	push_and_flush(drained, throws);
}

static void throw_from_drain(void *argument)
{
	(void)argument;
	drained = make_drained();
	catches(drain_throwing);
}

static void run_throw(void)
{
	static const char *const by_runtime[] = {"terminate", "thrown by a destructor", NULL};
	static const char *const by_us[] = {"defer_drop: while 0xdead was destroyed by throws",
		"exception thrown", "must return", NULL};

	must_abort(throw_from_worker, NULL, by_runtime);
	must_abort(throw_from_drain, NULL, by_us);
}

#endif

const struct hostile_case hostile_cases[] = {
	{"exit", "A destructor that ends its thread aborts the process, by its name.", run_exit},
	{"jump", "A destructor that jumps out of a drain is found out, by its name.", run_jump},
	{"stacks", "A destructor may change stacks, as long as it returns.", run_stacks},
#ifdef HAS_CPP
	{"throw", "No exception of a destructor passes through a drain, or out of a worker.",
		run_throw},
#endif
	{NULL, NULL, NULL},
};
