/* SPDX-License-Identifier: MIT
 *
 * Destructors that do not return. Each must end the process by abort(3), with a line that names it.
 */
#include "hostile.h"

#include <errno.h>
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

/* How the library reports a destructor that does not return. */
struct accusation {
	const char *report; /* what its line says behind "defer_drop"; NULL: it reports none */
	const char *words[2];
};

static const struct accusation thread_ended = {
	": while 0xdead was destroyed by ends_thread", {"thread was ended", "must return"}};
static const struct accusation thread_ended_in_drain = {
	" drained: while 0xdead was destroyed by ends_thread", {"thread was ended", "must return"}};
static const struct accusation jumped = {
	" drained: while 0xdead was destroyed by jumps", {"longjmp", "must return"}};

static bool is_aborted(const struct outcome *outcome)
{
	return WIFSIGNALED(outcome->status) && WTERMSIG(outcome->status) == SIGABRT;
}

static void run_without_core(struct outcome *outcome, void (*body)(void *argument), void *argument)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	run_child(outcome, body, argument);
}

static void check_accusation(const struct outcome *outcome, const struct accusation *accusation)
{
	if (accusation->report && !has_report(outcome, accusation->report))
		fprintf(stderr, "want: %s\ngot: %s\n", accusation->report, outcome->words);
	CHECK(!accusation->report || has_report(outcome, accusation->report));
	for (unsigned i = 0; i < 2; i++)
		CHECK(!accusation->words[i] || strstr(outcome->words, accusation->words[i]));
}

/* The process aborts, and a line says why. */
static void must_abort(
	void (*body)(void *argument), void *argument, const struct accusation *accusation)
{
	struct outcome outcome;

	run_without_core(&outcome, body, argument);
	if (!is_aborted(&outcome))
		fprintf(stderr, "status %#x, says: %s\n", (unsigned)outcome.status, outcome.words);
	CHECK(is_aborted(&outcome));
	check_accusation(&outcome, accusation);
}

/* The library reported nothing, and the process went on to its end. */
static void check_silence(const struct outcome *outcome)
{
	bool is_silent = !outcome->status && !strstr(outcome->words, "defer_drop");

	if (!is_silent)
		fprintf(stderr, "status %#x, says: %s\n", (unsigned)outcome->status,
			outcome->words);
	CHECK(is_silent);
}

static void must_be_silent(void (*body)(void *argument), void *argument)
{
	struct outcome outcome;

	run_without_core(&outcome, body, argument);
	check_silence(&outcome);
}

/* Checks that the process aborts with the right line, or that nothing is noticed and no destructor
 * is named. */
static void must_be_certain(
	void (*body)(void *argument), void *argument, const struct accusation *accusation)
{
	struct outcome outcome;

	run_without_core(&outcome, body, argument);
	if (is_aborted(&outcome))
		check_accusation(&outcome, accusation);
	else
		check_silence(&outcome);
}

#define OBJECT ((void *)(uintptr_t)0xdead)

static struct defer_drop_queue *make_drained(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = DEFER_DROP_RUNNER_CALLER;
	config.name = "drained";
	return create_queue(&config);
}

static void push_and_flush(struct defer_drop_queue *queue, defer_drop_fn destroy)
{
	for (unsigned i = 0; i < 20; i++)
		ANSWERS(0, defer_drop_queue_push(queue, NULL, ignore, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_push(queue, OBJECT, destroy, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_push(queue, NULL, ignore, DEFER_DROP_FOREVER));
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
	ANSWERS(0, defer_drop_queue_push(queue, OBJECT, ends_thread, DEFER_DROP_FOREVER));
	defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER);
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

/* A watermark function is called between two drops. */
static void end_between_drops(void *runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	config.runner = *(const uint32_t *)runner;
	config.name = "watched";
	config.watermark = end_when_told;
	config.high_drops = 1;
	queue = create_queue(&config);
	ANSWERS(0, defer_drop_queue_push(queue, NULL, await_pushes, DEFER_DROP_FOREVER));
	for (unsigned i = 0; i < 4; i++)
		ANSWERS(0, defer_drop_queue_push(queue, OBJECT, ignore, DEFER_DROP_FOREVER));
	atomic_store(&has_pushed, true);
	defer_drop_queue_flush(queue, DEFER_DROP_FOREVER);
}

static void run_exit(void)
{
	static const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_CALLER};
	static const struct accusation of_none = {" watched: in a function of its configuration",
		{"thread was ended", "must return"}};
	static const struct accusation of_status = {": while 0xdead was destroyed by ", {NULL}};
	static const struct accusation of_cancel = {
		": while 0xdead was destroyed by hostile_escape+0x",
		{"thread was ended", "must return"}};

	must_abort(end_worker, NULL, &thread_ended);
	must_abort(end_worker_nested, NULL, &thread_ended);
	must_abort(end_worker_with_status, NULL, &of_status);
	must_abort(end_shut_down, NULL, &thread_ended_in_drain);
	must_abort(end_drain, NULL, &thread_ended_in_drain);
	must_abort(cancel_itself, NULL, &of_cancel);
	for (unsigned i = 0; i < 2; i++)
		must_abort(end_between_drops, (void *)&runners[i], &of_none);
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
	ANSWERS(0, defer_drop_queue_push(queue, OBJECT, jumps, DEFER_DROP_FOREVER));
}

/* What a thread may do next, after it has jumped out of a drain. */
static void push_again(struct defer_drop_queue *queue)
{
	defer_drop_queue_push(queue, NULL, ignore, DEFER_DROP_FOREVER);
}

static void push_elsewhere(struct defer_drop_queue *queue)
{
	(void)queue;
	defer_drop(NULL, ignore);
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
	defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER);
}

/* Lays its frame over those that were jumped out of, as a call does that uses much stack. */
static __attribute__((noinline)) void overwrite_stack(void)
{
	volatile char frame[65536];

	memset((char *)frame, 1, sizeof frame);
	frame[0] = frame[1];
}

/* Called from a frame that lies over those that were jumped out of. */
static __attribute__((noinline)) void push_from_the_depth(struct defer_drop_queue *queue)
{
	volatile char frame[65536];

	memset((char *)frame, 1, sizeof frame);
	push_again(queue);
	frame[0] = frame[1];
}

struct jump {
	void (*run)(struct defer_drop_queue *queue); /* the call that drains */
	void (*go_on)(struct defer_drop_queue *queue);
	defer_drop_fn destroy; /* jumps, or drops an object whose destructor jumps */
};

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
	{drain_again, push_from_the_depth, jumps},
	{drain_again, push_from_the_depth, drop_jumper},
};

#define JUMPINGS (sizeof jumpings / sizeof *jumpings)

static __attribute__((noinline)) void jump_out(
	const struct jump *jump, struct defer_drop_queue *queue)
{
	void *object = jump->destroy == jumps ? OBJECT : queue;

	ANSWERS(0, defer_drop_queue_push(queue, NULL, ignore, 0));
	ANSWERS(0, defer_drop_queue_push(queue, object, jump->destroy, 0));
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

static void jump_and_overwrite(void *argument)
{
	const struct jump *jump = argument;
	struct defer_drop_queue *queue = make_drained();

	jump_out(jump, queue);
	overwrite_stack();
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
/* AddressSanitizer may lay frames elsewhere, and nothing over them. */
#ifdef __SANITIZE_ADDRESS__
	void (*const must)(void (*)(void *), void *, const struct accusation *) = must_be_certain;
#else
	void (*const must)(void (*)(void *), void *, const struct accusation *) = must_abort;
#endif

	for (size_t i = 0; i < JUMPINGS; i++)
		must(jump_and_overwrite, (void *)&jumpings[i], &jumped);
	must_abort(jump_in_a_thread_that_ends, NULL, &jumped);
}

/* Nothing, or little, has been laid over the frame yet. */
static void run_unseen(void)
{
	for (size_t i = 0; i < JUMPINGS; i++)
		must_be_certain(jump_and_go_on, (void *)&jumpings[i], &jumped);
}

/* ---- Destructors that change stacks, and return ---------------------------------------------- */

#define STACK_SIZE 65536

/* musl has no contexts. */
#ifdef __GLIBC__
#define HAS_CONTEXTS true
#else
#define HAS_CONTEXTS                      false
#define getcontext(context)               (-1)
#define makecontext(context, body, count) ((void)(body))
#define swapcontext(from, to)             (-1)
#endif

static void need_contexts(void)
{
	if (!HAS_CONTEXTS)
		skip("no contexts in this C library");
}

/* A coroutine, and what it is for. */
static struct {
	struct defer_drop_queue *queue; /* whose destructors resume it */
	struct defer_drop_queue *other; /* one that is drained too */
	struct ledger *ledger;
	void (*act)(void);
	bool is_ended; /* it returns, and is not left where it is */
	ucontext_t here;
	ucontext_t there;
} routine;

static void push_at_once(void)
{
	ANSWERS(0, defer_drop_queue_push(routine.queue, routine.ledger, ledger_count, 0));
	atomic_fetch_add(&routine.ledger->accepted, 1);
}

static void push_patiently(void)
{
	ANSWERS(0, ledger_push(routine.ledger, routine.queue));
}

static void push_with_bytes(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 1;
	ANSWERS(0, defer_drop_queue_push_with(routine.queue, routine.ledger, ledger_count,
			   DEFER_DROP_FOREVER, &options));
	atomic_fetch_add(&routine.ledger->accepted, 1);
}

static void push_to_others(void)
{
	ANSWERS(0, ledger_push(routine.ledger, defer_drop_queue_default()));
	ANSWERS(0, ledger_push(routine.ledger, routine.other));
}

static void drain_other(void)
{
	unsigned already = routine.ledger->destroyed;
	uint64_t destroyed;

	ANSWERS(0, ledger_push(routine.ledger, routine.other));
	ANSWERS(0,
		defer_drop_queue_drain(routine.other, UINT64_MAX, DEFER_DROP_FOREVER, &destroyed));
	CHECK(destroyed == 1 && routine.ledger->destroyed == already + 1);
	push_at_once();
}

static void wait_for_own(void)
{
	ANSWERS(-EDEADLK, defer_drop_queue_flush(routine.queue, DEFER_DROP_FOREVER));
	push_at_once();
	ANSWERS(-EDEADLK, defer_drop_queue_shutdown(routine.queue, 0));
}

static void (*const acts[])(void) = {
	push_at_once, push_patiently, push_with_bytes, push_to_others, drain_other, wait_for_own};

#define ACTS (sizeof acts / sizeof *acts)

/* Acts each time that it is resumed. */
static void be_routine(void)
{
	do {
		routine.act();
		if (!routine.is_ended)
			CHECK(!swapcontext(&routine.there, &routine.here));
	} while (!routine.is_ended);
}

static void begin_routine(void *stack, void (*body)(void))
{
	CHECK(!getcontext(&routine.there));
	routine.there.uc_stack.ss_sp = stack;
	routine.there.uc_stack.ss_size = STACK_SIZE;
	routine.there.uc_link = &routine.here;
	makecontext(&routine.there, body, 0);
}

static void resume(void *ignored)
{
	(void)ignored;
	CHECK(!swapcontext(&routine.here, &routine.there));
}

static void run_routine(void *stack)
{
	begin_routine(stack, be_routine);
	resume(NULL);
}

static void run_in_own_frame(void *ignored)
{
	char stack[STACK_SIZE];

	(void)ignored;
	run_routine(stack);
}

/* What is pending in all three queues is destroyed. */
static void settle_routine(void)
{
	ANSWERS(0, defer_drop_queue_flush(routine.queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_flush(routine.other, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_flush());
	CHECK(routine.ledger->accepted && routine.ledger->destroyed == routine.ledger->accepted);
}

/* Each destructor but the first resumes the coroutine where it was left. */
static void run_on(void *stack)
{
	ANSWERS(0, defer_drop_queue_push(routine.queue, stack, run_routine, 0));
	for (unsigned i = 0; !routine.is_ended && i < 3; i++)
		ANSWERS(0, defer_drop_queue_push(routine.queue, NULL, resume, 0));
	settle_routine();
}

static void *run_in_all_places(void *ignored)
{
	void *heap = malloc(STACK_SIZE);
	char stack[STACK_SIZE]; /* in the frame of a caller of the call that drains */

	ANSWERS(0, defer_drop_queue_push(routine.queue, NULL, run_in_own_frame, 0));
	settle_routine();
	run_on(stack);
	run_on(heap);
	free(heap);
	return ignored;
}

static void run_coroutines(void *runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	pthread_t thread;

	config.runner = *(const uint32_t *)runner;
	routine.queue = create_queue(&config);
	routine.other = make_drained();
	routine.ledger = ledger_open();
	for (unsigned i = 0; i < 2 * ACTS; i++) {
		routine.act = acts[i / 2];
		routine.is_ended = i % 2;
		run_in_all_places(NULL);
		CHECK(!pthread_create(&thread, NULL, run_in_all_places, NULL));
		CHECK(!pthread_join(thread, NULL));
	}
}

static void run_stacks(void)
{
	static const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_CALLER};

	need_contexts();
	for (unsigned i = 0; i < 2; i++)
		must_be_silent(run_coroutines, (void *)&runners[i]);
}

/* ---- Destructors that leave a drain for a while ---------------------------------------------- */

static bool has_drained;

static void yield(void *ignored)
{
	(void)ignored;
	CHECK(!swapcontext(&routine.there, &routine.here));
}

static void drain_here(void)
{
	ANSWERS(0, defer_drop_queue_flush(routine.queue, DEFER_DROP_FOREVER));
	has_drained = true;
}

/* The drain lies on the stack of a coroutine, and its destructors switch to the thread's own. */
static void drain_on(void *stack)
{
	unsigned turns = 0;

	has_drained = false;
	for (unsigned i = 0; i < 3; i++) {
		ANSWERS(0, defer_drop_queue_push(routine.queue, NULL, yield, 0));
		ANSWERS(0, ledger_push(routine.ledger, routine.queue));
	}
	begin_routine(stack, drain_here);
	for (resume(NULL); !has_drained; resume(NULL)) {
		turns++;
		overwrite_stack();
		push_at_once();
		push_patiently();
		ANSWERS(0, ledger_push(routine.ledger, routine.other));
		ANSWERS(0, defer_drop_queue_flush(routine.other, DEFER_DROP_FOREVER));
	}
	CHECK(turns == 3);
	settle_routine();
}

static void leave_drains(void *ignored)
{
	void *heap = malloc(STACK_SIZE);
	char stack[STACK_SIZE];

	(void)ignored;
	routine.queue = make_drained();
	routine.other = make_drained();
	routine.ledger = ledger_open();
	drain_on(stack);
	drain_on(heap);
	free(heap);
}

static void run_yields(void)
{
	need_contexts();
	must_be_silent(leave_drains, NULL);
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
	static const struct accusation by_runtime = {NULL, {"terminate", "thrown by a destructor"}};
	static const struct accusation by_us = {" drained: while 0xdead was destroyed by throws",
		{"exception thrown", "must return"}};

	must_abort(throw_from_worker, NULL, &by_runtime);
	must_abort(throw_from_drain, NULL, &by_us);
}

#endif

const struct hostile_case hostile_cases[] = {
	{"exit", "A destructor that ends its thread aborts the process, by its name.", run_exit},
	{"jump",
		"A destructor that jumps out of a drain is found out, by its name, once the stack "
		"was overwritten or the thread ends.",
		run_jump},
	{"unseen", "Before that no destructor is named, unless it is certain.", run_unseen},
	{"stacks",
		"A destructor may run coroutines, wherever their stacks lie, as long as it "
		"returns.",
		run_stacks},
	{"yields", "A destructor may leave the drain for another stack, and come back.",
		run_yields},
#ifdef HAS_CPP
	{"throw", "No exception of a destructor passes through a drain, or out of a worker.",
		run_throw},
#endif
	{NULL, NULL, NULL},
};
