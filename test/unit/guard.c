/* SPDX-License-Identifier: MIT
 *
 * Guards, alone and several at once, and the troubles that they report.
 */
#include "queues.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

#include "defer_drop/guard.h"

TestSuite(guard, .timeout = 60);

#define IN_PLACE (&defer_drop_strategy_in_place)

/* ---- Helpers --------------------------------------------------------------------------------- */

static struct defer_drop_trouble troubles[16];
static atomic_uint troubles_count;

static void note_trouble(void *context, const struct defer_drop_trouble *trouble)
{
	struct defer_drop_trouble *noted = context;

	noted[atomic_fetch_add(&troubles_count, 1)] = *trouble;
}

static void note_troubles(void)
{
	defer_drop_trouble_handle(note_trouble, troubles);
}

static void assert_trouble(
	unsigned at, enum defer_drop_trouble_kind kind, void *object, int error, unsigned line)
{
	cr_assert_lt(at, atomic_load(&troubles_count));
	cr_assert_eq(troubles[at].kind, kind);
	cr_assert_eq(troubles[at].object, object);
	cr_assert_eq(troubles[at].error, error);
	cr_assert_eq(troubles[at].line, line);
	cr_assert_not_null(strstr(troubles[at].file, "guard.c"));
}

static int refuse(const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	(void)object;
	(void)destroy;
	return -EAGAIN;
}

static const struct defer_drop_strategy refusing = {DEFER_DROP_STRATEGY_VERSION, refuse, NULL};

/* Notes its object; the status is the negated number. */
static int note_status(void *object)
{
	note(object);
	return -(int)(uintptr_t)object;
}

static int await_one(struct defer_drop_guard *guard, uint64_t timeout_ns)
{
	return defer_drop_guard_await(&guard, 1, timeout_ns);
}

/* ---- One guard ------------------------------------------------------------------------------- */

enum way { TO_THE_END, BY_RETURN, BY_GOTO, BY_BREAK };

static void leave_scope(enum way way)
{
	for (unsigned i = 0; i < 2; i++) {
		DEFER_DROP_SCOPED(guard, number(0), note, IN_PLACE);

		if (way == BY_RETURN)
			return;
		if (way == BY_GOTO)
			goto out;
		if (way == BY_BREAK)
			break;
		return;
	}
out:
	assert_seen(0, 1);
}

Test(guard, a_scope_drops_however_it_is_left)
{
	for (enum way way = TO_THE_END; way <= BY_BREAK; way++) {
		atomic_store(&seen_count, 0);
		leave_scope(way);
		assert_seen(0, 1);
	}
}

Test(guard, a_scope_drops_by_its_strategy)
{
	{
		DEFER_DROP_SCOPED(leaked, number(7), forbidden, &defer_drop_strategy_leak);
		DEFER_DROP_SCOPED(guard, number(0), note, NULL);
	}
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
	cr_assert_eq(stats_of(defer_drop_queue_default()).pushed_total, 1);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(guard, what_is_disarmed_is_not_dropped_and_what_is_not_is)
{
	atomic_uint disarmed = 0;
	atomic_uint armed = 0;

	{
		DEFER_DROP_SCOPED(first, &disarmed, count_up, IN_PLACE);
		DEFER_DROP_SCOPED(second, &armed, count_up, IN_PLACE);

		cr_assert_eq(defer_drop_guard_disarm(&first), &disarmed);
		cr_assert_null(defer_drop_guard_disarm(&first));
	}
	cr_assert_eq(atomic_load(&disarmed), 0);
	cr_assert_eq(atomic_load(&armed), 1);
}

Test(guard, the_object_is_there_until_it_is_dropped_or_taken_back)
{
	struct defer_drop_guard dropped = DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE);
	struct defer_drop_guard disarmed = DEFER_DROP_GUARD_INIT(number(1), note, IN_PLACE);

	cr_assert(defer_drop_guard_is_armed(&disarmed));
	cr_assert_eq(defer_drop_guard_object(&disarmed), number(1));
	defer_drop_guard_disarm(&disarmed);
	cr_assert_not(defer_drop_guard_is_armed(&disarmed));
	cr_assert_null(defer_drop_guard_object(&disarmed));
	answers(0, defer_drop_guard_drop(&dropped));
	cr_assert_not(defer_drop_guard_is_armed(&dropped));
	cr_assert_not(defer_drop_guard_is_pending(&dropped));
	cr_assert_eq(defer_drop_guard_state(&dropped), DEFER_DROP_GUARD_EMPTY);
	answers(0, defer_drop_guard_drop(&disarmed));
	assert_seen(0, 1);
}

Test(guard, a_second_drop_does_nothing)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE);

	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_guard_drop(&guard));
	defer_drop_guard_leave(&guard);
	assert_seen(0, 1);
}

Test(guard, the_strategy_can_be_changed_until_the_drop)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, &refusing);

	defer_drop_guard_retarget(&guard, NULL);
	defer_drop_guard_retarget(&guard, IN_PLACE);
	answers(0, defer_drop_guard_drop(&guard));
	assert_seen(0, 1);
	defer_drop_guard_retarget(&guard, &refusing);
	answers(0, defer_drop_guard_drop(&guard));
}

Test(guard, an_object_that_was_refused_is_still_guarded)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, &refusing);

	answers(-EAGAIN, defer_drop_guard_drop(&guard));
	answers(-EAGAIN, defer_drop_guard_status(&guard));
	cr_assert_eq(defer_drop_guard_object(&guard), number(0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	defer_drop_guard_retarget(&guard, IN_PLACE);
	answers(0, defer_drop_guard_drop(&guard));
	assert_seen(0, 1);
}

Test(guard, a_destructor_is_needed)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), NULL, NULL);

	answers(-EINVAL, defer_drop_guard_drop(&guard));
	answers(-EINVAL, await_one(&guard, 0));
	cr_assert(defer_drop_guard_is_armed(&guard));
}

Test(guard, on_error_it_drops_and_on_success_it_gives_back)
{
	struct defer_drop_guard failed = DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE);
	struct defer_drop_guard fine = DEFER_DROP_GUARD_INIT(number(1), note, IN_PLACE);
	struct defer_drop_guard refused = DEFER_DROP_GUARD_INIT(number(2), note, &refusing);

	answers(0, defer_drop_guard_drop_on_error(&failed, -EIO));
	answers(0, defer_drop_guard_drop_on_error(&fine, 0));
	answers(-EAGAIN, defer_drop_guard_drop_on_error(&refused, 1));
	cr_assert_not(defer_drop_guard_is_armed(&fine));
	cr_assert(defer_drop_guard_is_armed(&refused));
	assert_seen(0, 1);
}

Test(guard, a_scope_tells_of_an_object_that_was_refused)
{
	unsigned line;

	note_troubles();
	{
		line = __LINE__ + 1;
		DEFER_DROP_SCOPED(guard, number(3), forbidden, &refusing);
	}
	cr_assert_eq(atomic_load(&troubles_count), 1);
	assert_trouble(0, DEFER_DROP_TROUBLE_REFUSED, number(3), -EAGAIN, line);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

/* ---- A status -------------------------------------------------------------------------------- */

Test(guard, a_status_is_waited_for_and_returned)
{
	struct defer_drop_guard fine = DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, NULL);
	struct defer_drop_guard failed =
		DEFER_DROP_GUARD_STATUS_INIT(number(EIO), note_status, NULL);

	answers(0, defer_drop_guard_drop(&fine));
	answers(-EIO, defer_drop_guard_drop(&failed));
	cr_assert_eq(atomic_load(&seen_count), 2);
	cr_assert_eq(defer_drop_guard_state(&failed), DEFER_DROP_GUARD_EMPTY);
	answers(-EIO, defer_drop_guard_status(&failed));
	answers(0, defer_drop_guard_drop(&failed));
	cr_assert_eq(atomic_load(&seen_count), 2);
}

Test(guard, a_scope_tells_of_a_status)
{
	unsigned line;

	note_troubles();
	{
		line = __LINE__ + 1;
		DEFER_DROP_SCOPED_STATUS(failed, number(EIO), note_status, IN_PLACE);
		DEFER_DROP_SCOPED_STATUS(fine, number(0), note_status, IN_PLACE);
	}
	cr_assert_eq(atomic_load(&troubles_count), 1);
	assert_trouble(0, DEFER_DROP_TROUBLE_FAILED, number(EIO), -EIO, line);
}

/* ---- Several, waited for --------------------------------------------------------------------- */

Test(guard, all_strategies_can_be_waited_for)
{
	struct defer_drop_strategy_queue worker;
	struct defer_drop_strategy_queue drained;
	struct defer_drop_guard guards[] = {
		DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, NULL),
		DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, IN_PLACE),
		DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, &defer_drop_strategy_thread),
		DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, &worker.strategy),
		DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, &drained.strategy),
		DEFER_DROP_GUARD_INIT(number(0), note, NULL),
		DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE),
	};
	struct defer_drop_guard *all[7];

	answers(0, defer_drop_strategy_queue_init(&worker, make_queue(WORKER, 8, LANES), FOREVER));
	answers(0, defer_drop_strategy_queue_init(&drained, make_queue(CALLER, 8, LANES), 0));
	for (unsigned i = 0; i < 7; i++)
		all[i] = &guards[i];
	answers(0, defer_drop_guard_await(all, 7, LONG_NS));
	cr_assert_eq(atomic_load(&seen_count), 7);
	for (unsigned i = 0; i < 7; i++)
		cr_assert_eq(defer_drop_guard_state(all[i]), DEFER_DROP_GUARD_EMPTY);
	answers(0, defer_drop_guard_await(all, 7, 0));
	answers(0, defer_drop_guard_await(NULL, 0, 0));
	end_queue(worker.queue);
	end_queue(drained.queue);
}

/* Two destructors, neither of which returns before the other has begun. */
static sem_t here[2];

static int meet_other(void *object)
{
	uintptr_t me = (uintptr_t)object;

	sem_post(&here[me]);
	await_semaphore(&here[!me]);
	return 0;
}

Test(guard, all_are_started_before_one_is_waited_for)
{
	struct defer_drop_guard first = DEFER_DROP_GUARD_STATUS_INIT(number(0), meet_other, NULL);
	struct defer_drop_guard second =
		DEFER_DROP_GUARD_STATUS_INIT(number(1), meet_other, &defer_drop_strategy_thread);
	struct defer_drop_guard *both[] = {&first, &second};

	sem_init(&here[0], 0, 0);
	sem_init(&here[1], 0, 0);
	answers(0, defer_drop_guard_await(both, 2, LONG_NS));
}

Test(guard, the_first_error_is_returned_and_the_others_are_told)
{
	struct defer_drop_guard guards[] = {
		DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, NULL),
		DEFER_DROP_GUARD_STATUS_INIT(number(EIO), note_status, NULL),
		DEFER_DROP_GUARD_STATUS_INIT(number(ENOSPC), note_status, NULL),
		DEFER_DROP_GUARD_INIT(number(5), forbidden, &refusing),
		DEFER_DROP_GUARD_INIT(number(0), note, NULL),
	};
	struct defer_drop_guard *all[5];

	note_troubles();
	for (unsigned i = 0; i < 5; i++)
		all[i] = &guards[i];
	answers(-EIO, defer_drop_guard_await(all, 5, LONG_NS));
	cr_assert_eq(atomic_load(&seen_count), 4);
	cr_assert_eq(atomic_load(&troubles_count), 2);
	assert_trouble(0, DEFER_DROP_TROUBLE_FAILED, number(ENOSPC), -ENOSPC, guards[2].line);
	assert_trouble(1, DEFER_DROP_TROUBLE_REFUSED, number(5), -EAGAIN, guards[3].line);
	answers(-ENOSPC, defer_drop_guard_status(&guards[2]));
	cr_assert(defer_drop_guard_is_armed(&guards[3]));
	answers(-EAGAIN, defer_drop_guard_await(all, 5, LONG_NS));
}

Test(guard, after_the_deadline_it_is_pending_and_can_be_waited_for_again)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_STATUS_INIT(number(EIO), note_status, NULL);
	struct defer_drop_guard fine =
		DEFER_DROP_GUARD_STATUS_INIT(number(0), note_status, IN_PLACE);
	struct defer_drop_guard *both[] = {&guard, &fine};
	struct gate gate;

	hold_up(defer_drop_queue_default(), &gate);
	answers(-EAGAIN, defer_drop_guard_await(both, 2, 0));
	answers(-ETIMEDOUT, defer_drop_guard_await(both, 2, MS));
	cr_assert(defer_drop_guard_is_pending(&guard));
	cr_assert(defer_drop_guard_is_pending(&fine));
	cr_assert_null(defer_drop_guard_object(&guard));
	cr_assert_null(defer_drop_guard_disarm(&guard));
	let_go(&gate);
	answers(-EIO, defer_drop_guard_await(both, 2, LONG_NS));
	cr_assert_not(defer_drop_guard_is_pending(&guard));
	cr_assert_not(defer_drop_guard_is_pending(&fine));
	cr_assert_eq(atomic_load(&seen_count), 2);
}

/* The same timeouts, with a strategy whose thread the library does not know. */
Test(guard, a_thread_can_be_waited_for_until_a_deadline)
{
	struct gate gate;
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_INIT(&gate, pass_gate, &defer_drop_strategy_thread);

	gate_init(&gate);
	answers(-EAGAIN, await_one(&guard, 0));
	answers(-ETIMEDOUT, await_one(&guard, MS));
	sem_post(&gate.open);
	answers(0, await_one(&guard, LONG_NS));
}

Test(guard, a_wrong_timeout_changes_nothing)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, NULL);

	answers(-EOVERFLOW, await_one(&guard, FOREVER - 1));
	cr_assert(defer_drop_guard_is_armed(&guard));
}

Test(guard, a_scope_waits_for_a_guard_that_is_pending)
{
	struct gate gate;

	gate_init(&gate);
	{
		DEFER_DROP_SCOPED(guard, &gate, pass_gate, &defer_drop_strategy_thread);

		answers(-EAGAIN, await_one(&guard, 0));
		sem_post(&gate.open);
	}
	answers(0, sem_trywait(&gate.entered));
	answers(-1, sem_trywait(&gate.open));
}

/* ---- A strategy that cannot wait ------------------------------------------------------------- */

static int drop_in_thread(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	return defer_drop_by(&defer_drop_strategy_thread, object, destroy);
}

static int fail_to_wait(const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	(void)strategy;
	(void)timeout_ns;
	return -ESRCH;
}

static const struct defer_drop_strategy impatient = {
	DEFER_DROP_STRATEGY_VERSION, drop_in_thread, fail_to_wait};

struct stuck {
	struct defer_drop_guard *guard;
	struct gate *gate;
};

/* Wakes the thread that sleeps until the guard is over: once for no reason, then because it is. */
static void *wake_and_open(void *argument)
{
	const struct stuck *stuck = argument;

	await(syscall(SYS_futex, &stuck->guard->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 1);
	sem_post(&stuck->gate->open);
	return NULL;
}

Test(guard, a_scope_waits_for_a_guard_for_which_its_strategy_cannot)
{
	struct gate gate;
	struct stuck stuck = {NULL, &gate};
	pthread_t thread;

	note_troubles();
	gate_init(&gate);
	{
		DEFER_DROP_SCOPED(guard, &gate, pass_gate, &impatient);

		answers(-ESRCH, await_one(&guard, 0));
		answers(-ESRCH, await_one(&guard, FOREVER));
		cr_assert(defer_drop_guard_is_pending(&guard));
		stuck.guard = &guard;
		thread = spawn(wake_and_open, &stuck);
	}
	answers(0, sem_trywait(&gate.entered));
	answers(-1, sem_trywait(&gate.open));
	join_thread(thread);
	cr_assert_eq(atomic_load(&troubles_count), 0);
}

/* The thread's wait takes all the time that it has, and then lets its own object be destroyed. */
struct slow_strategy {
	struct defer_drop_strategy strategy;
	struct gate gate;
	struct defer_drop_guard *guard;
};

static int use_up(const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	struct slow_strategy *slow = (struct slow_strategy *)strategy;

	if (!timeout_ns)
		return -EAGAIN;
	usleep((useconds_t)(timeout_ns / 1000) + 1000);
	sem_post(&slow->gate.open);
	await(defer_drop_guard_state(slow->guard) != DEFER_DROP_GUARD_PENDING);
	return 0;
}

Test(guard, a_later_guard_for_which_no_time_is_left_is_looked_at_and_answers_etimedout)
{
	struct slow_strategy slow = {{DEFER_DROP_STRATEGY_VERSION, drop_in_thread, use_up}};
	struct defer_drop_guard first =
		DEFER_DROP_GUARD_INIT(&slow.gate, pass_gate, &slow.strategy);
	struct defer_drop_guard second = DEFER_DROP_GUARD_INIT(number(0), note, NULL);
	struct defer_drop_guard *both[] = {&first, &second};
	struct gate gate;

	gate_init(&slow.gate);
	slow.guard = &first;
	hold_up(defer_drop_queue_default(), &gate);
	answers(-ETIMEDOUT, defer_drop_guard_await(both, 2, MS));
	cr_assert(defer_drop_guard_is_pending(&second));
	let_go(&gate);
	answers(0, defer_drop_guard_await(both, 2, LONG_NS));
	assert_seen(0, 1);
}

Test(guard, what_a_shutdown_left_is_told)
{
	struct defer_drop_strategy_queue by;
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(NULL, forbidden, &by.strategy);
	struct defer_drop_guard late = DEFER_DROP_GUARD_INIT(NULL, forbidden, &by.strategy);

	answers(0, defer_drop_strategy_queue_init(&by, make_queue(CALLER, 8, LANES), 0));
	answers(-EAGAIN, await_one(&guard, 0));
	answers(0, defer_drop_queue_shutdown(by.queue, 0));
	answers(-ESHUTDOWN, await_one(&guard, LONG_NS));
	cr_assert_not(defer_drop_guard_is_pending(&guard));
	cr_assert_not(defer_drop_guard_is_armed(&guard));
	answers(-ESHUTDOWN, await_one(&late, LONG_NS));
	cr_assert(defer_drop_guard_is_armed(&late));
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	answers(0, defer_drop_queue_free(by.queue));
}

Test(guard, what_leaks_is_not_waited_for)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_INIT(NULL, forbidden, &defer_drop_strategy_leak);

	answers(-ESHUTDOWN, await_one(&guard, FOREVER));
	cr_assert_eq(defer_drop_guard_state(&guard), DEFER_DROP_GUARD_EMPTY);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

static struct defer_drop_guard inner;
static int inner_result;

static void await_inner(void *object)
{
	(void)object;
	inner_result = await_one(&inner, LONG_NS);
}

Test(guard, a_destructor_that_would_wait_for_itself_keeps_the_object)
{
	inner = (struct defer_drop_guard)DEFER_DROP_GUARD_INIT(number(0), note, NULL);
	answers(0, defer_drop(NULL, await_inner));
	answers(0, defer_drop_flush());
	answers(-EDEADLK, inner_result);
	cr_assert(defer_drop_guard_is_armed(&inner));
	answers(0, await_one(&inner, LONG_NS));
	assert_seen(0, 1);
}

Test(guard, a_pending_guard_is_the_parents_after_a_fork)
{
	struct defer_drop_guard guards[] = {
		DEFER_DROP_GUARD_INIT(NULL, note, NULL),
		DEFER_DROP_GUARD_INIT(NULL, note, &defer_drop_strategy_thread),
	};
	struct defer_drop_guard *both[] = {&guards[0], &guards[1]};
	struct gate gates[2];
	pid_t child;

	gate_init(&gates[1]);
	guards[1].object = &gates[1];
	guards[1].destroy = pass_gate;
	hold_up(defer_drop_queue_default(), &gates[0]);
	answers(-EAGAIN, defer_drop_guard_await(both, 2, 0));
	child = fork();
	if (!child) {
		int first = await_one(both[0], LONG_NS);
		int second = await_one(both[1], LONG_NS);

		_exit(first == -ESTALE && second == -ESTALE ? 0 : 1);
	}
	answers(0, status_of(child));
	let_go(&gates[0]);
	sem_post(&gates[1].open);
	answers(0, defer_drop_guard_await(both, 2, LONG_NS));
}

/* ---- Guards that must be closed -------------------------------------------------------------- */

Test(guard, one_that_must_be_closed_and_was_not_is_told_of_and_dropped)
{
	unsigned line;

	note_troubles();
	{
		line = __LINE__ + 1;
		DEFER_DROP_SCOPED(guard, number(0), note, IN_PLACE);
		answers(0, defer_drop_guard_must_close(&guard));
		answers(0, defer_drop_guard_must_close(&guard));
	}
	cr_assert_eq(atomic_load(&troubles_count), 1);
	assert_trouble(0, DEFER_DROP_TROUBLE_FORGOTTEN, number(0), 0, line);
	assert_seen(0, 1);
}

Test(guard, one_that_was_closed_is_not_told_of)
{
	note_troubles();
	{
		DEFER_DROP_SCOPED(dropped, number(0), note, NULL);
		DEFER_DROP_SCOPED(disarmed, number(1), forbidden, NULL);
		DEFER_DROP_SCOPED_STATUS(awaited, number(0), note_status, NULL);

		answers(0, defer_drop_guard_must_close(&dropped));
		answers(0, defer_drop_guard_must_close(&disarmed));
		answers(0, defer_drop_guard_must_close(&awaited));
		answers(0, defer_drop_guard_drop(&dropped));
		defer_drop_guard_disarm(&disarmed);
		answers(0, await_one(&awaited, LONG_NS));
		answers(-EINVAL, defer_drop_guard_must_close(&dropped));
	}
	cr_assert_eq(atomic_load(&troubles_count), 0);
}

Test(guard, one_that_was_refused_must_still_be_closed)
{
	note_troubles();
	{
		DEFER_DROP_SCOPED(guard, number(0), note, &refusing);

		answers(0, defer_drop_guard_must_close(&guard));
		answers(-EAGAIN, defer_drop_guard_drop(&guard));
		answers(-EAGAIN, await_one(&guard, 0));
	}
	cr_assert_eq(atomic_load(&troubles_count), 2);
	cr_assert_eq(troubles[0].kind, DEFER_DROP_TROUBLE_FORGOTTEN);
	cr_assert_eq(troubles[1].kind, DEFER_DROP_TROUBLE_REFUSED);
}

/* On a stack frame that is gone when the process ends. */
__attribute__((noinline)) static void forget(unsigned *line)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, NULL);

	*line = __LINE__ - 2;
	if (defer_drop_guard_must_close(&guard))
		_exit(1);
}

static void forget_some(void)
{
	struct defer_drop_guard closed = DEFER_DROP_GUARD_INIT(number(0), note, NULL);
	unsigned line;

	forget(&line);
	if (defer_drop_guard_must_close(&closed))
		_exit(1);
	forget(&line);
	defer_drop_guard_drop(&closed);
}

static char *line_of_forget(void)
{
	static char text[64];
	unsigned line;

	forget(&line);
	snprintf(text, sizeof text, "guard.c:%u: the guard of %p was never closed\n", line,
		(void *)NULL);
	return text;
}

Test(guard, the_end_of_the_process_tells_file_and_line)
{
	answers(0, run_child(forget_some));
	cr_assert_eq(times_said(line_of_forget()), 2, "%s", said);
	cr_assert_eq(times_said("defer_drop: "), 2, "%s", said);
	note_troubles();
}

static void forget_and_abort(void)
{
	unsigned line;

	defer_drop_trouble_handle(defer_drop_trouble_abort, NULL);
	forget(&line);
}

Test(guard, the_handler_for_debugging_aborts)
{
	answers(1000 + SIGABRT, run_child(forget_and_abort));
	cr_assert_eq(times_said(line_of_forget()), 1, "%s", said);
	note_troubles();
}

static void fail_and_not_abort(void)
{
	defer_drop_trouble_handle(defer_drop_trouble_abort, NULL);
	{
		DEFER_DROP_SCOPED_STATUS(failed, number(EIO), note_status, IN_PLACE);
		DEFER_DROP_SCOPED(refused, number(1), forbidden, &refusing);
	}
	defer_drop_trouble_handle(NULL, NULL);
	{
		DEFER_DROP_SCOPED_STATUS(failed, number(EIO), note_status, IN_PLACE);
		DEFER_DROP_SCOPED(refused, number(1), forbidden, &refusing);
	}
}

Test(guard, other_troubles_are_printed)
{
	char line[120];

	answers(0, run_child(fail_and_not_abort));
	cr_assert_eq(times_said("guard.c:"), 4, "%s", said);
	snprintf(line, sizeof line, "destroying 0x5 failed: %s\n", strerror(EIO));
	cr_assert_eq(times_said(line), 2, "%s", said);
	snprintf(line, sizeof line, "0x1 could not be dropped: %s\n", strerror(EAGAIN));
	cr_assert_eq(times_said(line), 2, "%s", said);
}

static struct defer_drop_guard closed_late;

static void close_late(void)
{
	defer_drop_guard_drop(&closed_late);
}

static void close_at_exit(void)
{
	atexit(close_late);
	closed_late = (struct defer_drop_guard)DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE);
	if (defer_drop_guard_must_close(&closed_late))
		_exit(1);
}

Test(guard, a_handler_of_atexit_may_close_what_was_armed_after_it_was_set)
{
	answers(0, run_child(close_at_exit));
	cr_assert_str_empty(said);
}

static void fork_and_forget(void)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE);

	if (defer_drop_guard_must_close(&guard))
		_exit(1);
	if (!fork())
		exit(0);
	if (wait(NULL) < 0)
		_exit(1);
	defer_drop_guard_drop(&guard);
}

Test(guard, a_child_does_not_tell_of_its_parents_guards)
{
	answers(0, run_child(fork_and_forget));
	cr_assert_str_empty(said);
}

Test(guard, without_memory_a_guard_cannot_be_declared_so, .disabled = HAS_SANITIZER)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE);
	struct block *memory = take_memory();
	int result = defer_drop_guard_must_close(&guard);

	give_memory(memory);
	answers(-ENOMEM, result);
	answers(0, defer_drop_guard_drop(&guard));
	assert_seen(0, 1);
}
