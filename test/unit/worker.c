/* SPDX-License-Identifier: MIT
 *
 * The worker: its thread, the order in which it runs drops, when it sleeps.
 */
#include "queues.h"

#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/policy.h"

TestSuite(worker, .timeout = 60);

/* What a destructor sees of the thread that runs it. */
struct sight {
	char name[32];
	sigset_t blocked;
	cpu_set_t cpus;
	int policy;
	int niceness;
	size_t stack_bytes;
	pthread_t thread;
};

static void look(void *object)
{
	struct sight *sight = object;
	pthread_attr_t attributes;

	pthread_getname_np(pthread_self(), sight->name, sizeof sight->name);
	pthread_sigmask(SIG_SETMASK, NULL, &sight->blocked);
	sched_getaffinity(0, sizeof sight->cpus, &sight->cpus);
	sight->policy = dd_policy(0);
	sight->niceness = getpriority(PRIO_PROCESS, 0);
	sight->thread = pthread_self();
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstacksize(&attributes, &sight->stack_bytes);
	pthread_attr_destroy(&attributes);
}

static struct sight look_at(const struct defer_drop_config *config)
{
	struct defer_drop_queue *queue = create_queue(config);
	struct sight sight;

	answers(0, defer_drop_queue_push(queue, &sight, look, FOREVER));
	end_queue(queue);
	return sight;
}

static bool is_of_a_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
	       signal == SIGTRAP || signal == SIGSYS || signal == SIGABRT || signal == SIGPROF;
}

Test(worker, is_a_thread_of_its_own_with_a_name_and_all_signals_but_faults_blocked)
{
	struct sight sight = look_at(NULL);
	sigset_t own;

	cr_assert_str_eq(sight.name, "defer_drop");
	cr_assert_not(pthread_equal(sight.thread, pthread_self()));
	for (int signal = 1; signal < SIGRTMAX; signal++)
		if (signal != SIGKILL && signal != SIGSTOP && (signal < 32 || signal >= SIGRTMIN))
			cr_assert_eq(sigismember(&sight.blocked, signal), !is_of_a_fault(signal),
				"signal %d", signal);
	/* The thread that started the worker keeps its own settings. */
	pthread_sigmask(SIG_SETMASK, NULL, &own);
	cr_assert_not(sigismember(&own, SIGUSR1));
}

Test(worker, has_the_name_the_cpus_the_niceness_and_the_stack_it_was_given)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct sight sight;
	cpu_set_t own;
	unsigned cpu = 0;
	char list[16];

	sched_getaffinity(0, sizeof own, &own);
	while (!CPU_ISSET(cpu, &own))
		cpu++;
	snprintf(list, sizeof list, "%u", cpu);
	config.name = "fifteen bytes !";
	config.cpus = list;
	config.niceness = 7;
	config.stack_size_bytes = 3 << 20;
	sight = look_at(&config);
	cr_assert_str_eq(sight.name, "fifteen bytes !");
	cr_assert_eq(CPU_COUNT(&sight.cpus), 1);
	cr_assert(CPU_ISSET(cpu, &sight.cpus));
	cr_assert_eq(sight.niceness, 7);
	/* musl counts thread-local variables in. */
#ifdef __GLIBC__
	cr_assert_eq(sight.stack_bytes, 3 << 20);
#else
	cr_assert(sight.stack_bytes >= 3 << 20 && sight.stack_bytes < (3 << 20) + 8192);
#endif
}

static int policy_of(uint32_t scheduling)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.scheduling = scheduling;
	return look_at(&config).policy;
}

Test(worker, is_scheduled_as_it_was_asked_for)
{
	int own = dd_policy(0);

	answers(own == SCHED_IDLE ? SCHED_IDLE : SCHED_BATCH,
		policy_of(DEFER_DROP_SCHEDULING_DEFAULT));
	answers(own, policy_of(DEFER_DROP_SCHEDULING_INHERITED));
	answers(SCHED_OTHER, policy_of(DEFER_DROP_SCHEDULING_OTHER));
	answers(SCHED_BATCH, policy_of(DEFER_DROP_SCHEDULING_BATCH));
	answers(SCHED_IDLE, policy_of(DEFER_DROP_SCHEDULING_IDLE));
}

Test(worker, lives_on_the_smallest_stack)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.stack_size_bytes = (uint64_t)sysconf(_SC_THREAD_STACK_MIN);
	cr_assert_str_eq(look_at(&config).name, "defer_drop");
}

/* The most that musl accepts is less. */
#ifdef __GLIBC__
enum { USUAL_STACK = 64 << 20 };
#else
enum { USUAL_STACK = 8 << 20 };
#endif
enum { MEMORY = USUAL_STACK / 2 };

/* As where all memory is locked, or there is little of it. */
static void start_in_little_memory(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, USUAL_STACK);
	pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
	limit_memory(MEMORY);
	if (look_at(&config).stack_bytes > MEMORY)
		_exit(1);
	/* A size that the program chose is not made smaller. */
	config.stack_size_bytes = USUAL_STACK;
	_exit(defer_drop_queue_create(&queue, &config) == -ESRCH ? 0 : 2);
}

Test(worker, has_a_smaller_stack_if_there_is_no_memory_for_the_usual_one, .disabled = HAS_SANITIZER)
{
	char line[100];

	answers(0, run_child(start_in_little_memory));
	snprintf(line, sizeof line, "no memory for a stack of %d bytes, it has %d", USUAL_STACK,
		USUAL_STACK / 4);
	cr_assert_eq(times_said(line), 1, "%s", said);
}

/* ---- Order ----------------------------------------------------------------------------------- */

/* Makes two more, each with one digit more, down to three digits. */
static void branch(void *object)
{
	uintptr_t at = (uintptr_t)object;

	note(object);
	for (uintptr_t digit = 1; at < 100 && digit <= 2; digit++)
		if (defer_drop_queue_push(nest, number(10 * at + digit), branch, FOREVER))
			atomic_fetch_add(&nest_errors, 1);
}

static void assert_nested_order(uint32_t runner)
{
	const uintptr_t want[] = {1, 11, 12, 111, 112, 121, 122, 2, 21, 22, 211, 212, 221, 222};

	nest = make_queue(runner, 16, LANES);
	atomic_store(&seen_count, 0);
	answers(0, defer_drop_queue_push(nest, number(1), branch, FOREVER));
	answers(0, defer_drop_queue_push(nest, number(2), branch, FOREVER));
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	cr_assert_eq(atomic_load(&seen_count), 14);
	for (unsigned i = 0; i < 14; i++)
		cr_assert_eq(seen[i], number(want[i]), "place %u has %p", i, seen[i]);
	end_queue(nest);
}

Test(worker, runs_nested_drops_right_after_their_maker_first_in_first_out)
{
	assert_nested_order(DEFER_DROP_RUNNER_WORKER);
	assert_nested_order(DEFER_DROP_RUNNER_CALLER);
}

static void chain(void *object)
{
	uintptr_t left = (uintptr_t)object;

	if (left && defer_drop_queue_push(nest, number(left - 1), chain, FOREVER))
		atomic_fetch_add(&nest_errors, 1);
	count_up(&seen_count);
}

Test(worker, does_not_recurse_however_deep_drops_are_nested)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.stack_size_bytes = 1 << 18;
	nest = create_queue(&config);
	answers(0, defer_drop_queue_push(nest, number(300000), chain, FOREVER));
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	cr_assert_eq(atomic_load(&seen_count), 300001);
	end_queue(nest);
}

static void *push_last(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, number(99999), note, FOREVER));
}

/* So that the other lane's drops take more than a hundred turns. */
static void note_slowly(void *object)
{
	uint64_t until_ns = dd_now_ns() + 1000;

	note(object);
	while (dd_now_ns() < until_ns)
		continue;
}

Test(worker, lets_no_lane_starve_another)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_WORKER, 16384, LANES);
	unsigned place = 0;
	struct gate gate;

	hold_up(queue, &gate);
	for (uintptr_t i = 0; i < 12000; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note_slowly, FOREVER));
	cr_assert_null(join_thread(spawn(push_last, queue)));
	let_go(&gate);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	while (seen[place] != number(99999))
		place++;
	cr_assert_lt(place, 6000, "it came after %u drops of the other lane", place);
	end_queue(queue);
}

/* ---- Rest ------------------------------------------------------------------------------------ */

static struct defer_drop_queue *make_restless(uint64_t quiet_spell_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.quiet_spell_ns = quiet_spell_ns;
	config.longest_delay_ns = 100000;
	return create_queue(&config);
}

Test(worker, sleeps_after_a_quiet_spell_and_each_push_wakes_it)
{
	struct defer_drop_queue *queue = make_restless(1000000);

	for (uintptr_t i = 0; i < 20; i++) {
		uint64_t wakes;

		await(is_asleep(queue));
		wakes = stats_of(queue).wakes_total;
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
		/* No flush: the destructor must run by itself. */
		await(atomic_load(&seen_count) == i + 1);
		await(stats_of(queue).wakes_total > wakes);
		await(stats_of(queue).deep_sleeps_total > i);
	}
	assert_seen(0, 20);
	await(is_asleep(queue));
	/* A flush with nothing to wait for does not wake the worker. */
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert(is_asleep(queue));
	end_queue(queue);
}

Test(worker, is_woken_from_its_sleep_by_a_shutdown)
{
	const uint64_t timeouts_ns[] = {FOREVER, LONG_NS, 0};

	for (unsigned i = 0; i < 3; i++) {
		struct defer_drop_queue *queue = make_restless(1000000);

		await(is_asleep(queue));
		answers(0, defer_drop_queue_shutdown(queue, timeouts_ns[i]));
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(worker, only_naps_where_it_never_is_to_sleep)
{
	struct defer_drop_queue *queue = make_restless(DEFER_DROP_NEVER);

	await(stats_of(queue).naps_total > 20);
	cr_assert_eq(stats_of(queue).deep_sleeps_total, 0);
	cr_assert_not(atomic_load(&queue->park.attention) & DD_ASLEEP);
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	await(atomic_load(&seen_count) == 1);
	end_queue(queue);
}

Test(worker, finds_by_itself_what_is_pushed_while_it_naps)
{
	struct defer_drop_queue *queue = make_restless(DEFER_DROP_NEVER);

	for (uintptr_t i = 0; i < 200; i++) {
		while (!dd_bell_is_napping(&queue->park.bell))
			sched_yield();
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
		await(atomic_load(&seen_count) == i + 1);
	}
	end_queue(queue);
}

/* Makes a queue whose worker never goes to deep sleep; each of its naps may last this long. */
static struct defer_drop_queue *make_patient(uint64_t longest_delay_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 64;
	config.quiet_spell_ns = DEFER_DROP_NEVER;
	config.longest_delay_ns = longest_delay_ns;
	return create_queue(&config);
}

/* Waits until the worker naps; the nap may be over when this returns. */
static void await_nap(struct defer_drop_queue *queue)
{
	await(dd_bell_is_napping(&queue->park.bell));
}

Test(worker, naps_as_long_as_garbage_may_wait_and_not_from_anew_after_each_drop)
{
	const uint64_t delay_ns = 200 * MS;
	struct defer_drop_queue *queue = make_patient(delay_ns);
	uint64_t begin_ns = dd_now_ns();
	uint64_t naps = stats_of(queue).naps_total;

	/* Far fewer than a quarter of the ring come in one nap, so no push ends it. */
	for (uintptr_t i = 0; i < 20; i++) {
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
		usleep(50000);
	}
	naps = stats_of(queue).naps_total - naps;
	cr_assert_leq(naps, (dd_now_ns() - begin_ns) / delay_ns + 2);
	await(atomic_load(&seen_count) == 20);
	cr_assert_eq(stats_of(queue).wakes_total, 0);
	end_queue(queue);
}

static void ask_flush(struct defer_drop_queue *queue)
{
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
}

static void ask_backlog(struct defer_drop_queue *queue)
{
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	answers(0, defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, FOREVER));
}

static void ask_completion(struct defer_drop_queue *queue)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.completion = &completion;
	answers(0, defer_drop_queue_push_with(queue, number(0), note, FOREVER, &options));
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
}

/* Waits until the eventfd is signalled, which must be once. */
static void await_told(int eventfd)
{
	cr_assert_eq(read_from(eventfd), 1);
	close(eventfd);
}

static void ask_told_completion(struct defer_drop_queue *queue)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int told = eventfd(0, EFD_CLOEXEC);

	completion.eventfd = told;
	options.completion = &completion;
	answers(0, defer_drop_queue_push_with(queue, number(0), note, FOREVER, &options));
	await_told(told);
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
}

static void ask_told_many(struct defer_drop_queue *queue)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *const objects[2] = {number(0), number(1)};
	int told = eventfd(0, EFD_CLOEXEC);

	completion.eventfd = told;
	options.completion = &completion;
	answers(0, defer_drop_queue_push_many(queue, objects, 2, note, FOREVER, &options, NULL));
	await_told(told);
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
}

static void ask_told_ticket(struct defer_drop_queue *queue)
{
	struct defer_drop_ticket ticket;
	int told = eventfd(0, EFD_CLOEXEC);

	answers(0, push_ticket(queue, number(0), note, FOREVER, &ticket));
	answers(0, defer_drop_ticket_notify(&ticket, told));
	await_told(told);
}

static void push_half_a_ring(struct defer_drop_queue *queue)
{
	for (uintptr_t i = 0; i < 64; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
}

Test(worker, a_nap_is_ended_by_each_wait_and_each_request_to_be_told)
{
	void (*const asks[])(struct defer_drop_queue *) = {ask_flush, ask_backlog, ask_completion,
		ask_told_completion, ask_told_many, ask_told_ticket, push_half_a_ring};

	for (unsigned i = 0; i < sizeof asks / sizeof asks[0]; i++) {
		struct defer_drop_queue *queue = make_patient(100 * MS);
		unsigned tries = 0;

		/* The nap that was seen may end by itself before it is cut short: then once
		 * more. */
		while (!stats_of(queue).wakes_total) {
			cr_assert_lt(tries++, 50, "way %u never ended a nap", i);
			await_nap(queue);
			asks[i](queue);
		}
		end_queue(queue);
	}
}

Test(worker, a_burst_of_less_than_half_of_the_ring_does_not_wake_the_worker)
{
	struct defer_drop_queue *queue = make_patient(1000 * MS);

	for (unsigned round = 0; round < 3; round++) {
		await_nap(queue);
		for (uintptr_t i = 0; i < 31; i++)
			answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
		await(atomic_load(&seen_count) == 31 * (round + 1));
	}
	cr_assert_eq(stats_of(queue).wakes_total, 0);
	end_queue(queue);
}

/* ---- The hook -------------------------------------------------------------------------------- */

/* What the hook saw, and the result that it got. */
struct hook {
	struct defer_drop_queue *queue;
	struct defer_drop_queue *other;
	struct gate gate;
	atomic_uint calls;
	unsigned destroyed_before;
	pthread_t thread;
	char name[32];
	sigset_t blocked;
	int results[9];
};

static struct hook hook;

static void write_down(void *context)
{
	struct hook *told = context;

	told->destroyed_before = atomic_load(&seen_count);
	told->thread = pthread_self();
	pthread_getname_np(pthread_self(), told->name, sizeof told->name);
	pthread_sigmask(SIG_SETMASK, NULL, &told->blocked);
	atomic_fetch_add(&told->calls, 1);
}

static struct defer_drop_queue *make_hooked(defer_drop_worker_fn worker_start)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	memset(&hook, 0, sizeof hook);
	gate_init(&hook.gate);
	config.name = "hooked";
	config.worker_start = worker_start;
	config.context = &hook;
	hook.queue = create_queue(&config);
	return hook.queue;
}

Test(worker, calls_the_hook_once_when_it_starts_before_it_destroys)
{
	struct sight sight;
	struct defer_drop_queue *queue = make_hooked(write_down);

	for (uintptr_t i = 0; i < 100; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
	answers(0, defer_drop_queue_push(queue, &sight, look, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&hook.calls), 1);
	cr_assert_eq(hook.destroyed_before, 0);
	cr_assert(pthread_equal(hook.thread, sight.thread));
	cr_assert_str_eq(hook.name, "hooked");
	cr_assert(sigismember(&hook.blocked, SIGUSR1));
	end_queue(queue);
	cr_assert_eq(atomic_load(&hook.calls), 1);
}

static void hold_hook(void *context)
{
	write_down(context);
	pass_gate(&hook.gate);
}

Test(worker, destroys_nothing_before_the_hook_returns_and_create_does_not_wait_for_it)
{
	struct defer_drop_queue *queue = make_hooked(hold_hook);

	await_held(&hook.gate);
	answers(0, defer_drop_queue_push(queue, number(0), note, FOREVER));
	answers(-ETIMEDOUT, defer_drop_queue_flush(queue, 5 * MS));
	assert_seen(0, 0);
	let_go(&hook.gate);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 1);
	end_queue(queue);
}

static void make_its_own(void *context)
{
	struct hook *told = context;
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
	pthread_setname_np(pthread_self(), "made my own");
	atomic_fetch_add(&told->calls, 1);
}

Test(worker, stays_as_the_hook_made_it)
{
	struct sight sight;
	struct defer_drop_queue *queue = make_hooked(make_its_own);

	answers(0, defer_drop_queue_push(queue, &sight, look, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_str_eq(sight.name, "made my own");
	cr_assert_not(sigismember(&sight.blocked, SIGUSR2));
	cr_assert(sigismember(&sight.blocked, SIGUSR1));
	end_queue(queue);
}

static void ask_for_all(void *context)
{
	struct hook *told = context;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue;

	pass_gate(&told->gate); /* until the test knows the queue */
	queue = told->queue;
	options.bytes = 10;
	told->results[0] = defer_drop_queue_push(queue, NULL, forbidden, FOREVER);
	told->results[1] = defer_drop_queue_push(queue, NULL, forbidden, 0);
	told->results[2] = defer_drop_queue_push_with(queue, NULL, forbidden, FOREVER, &options);
	told->results[3] = defer_drop_queue_flush(queue, FOREVER);
	told->results[4] = defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER);
	told->results[5] = defer_drop_queue_shutdown(queue, FOREVER);
	told->results[6] = defer_drop_queue_stop(queue, FOREVER);
	told->results[7] = defer_drop_queue_start(queue);
	told->results[8] = defer_drop_queue_push(told->other, number(7), note, FOREVER);
	atomic_fetch_add(&told->calls, 1);
}

Test(worker, a_hook_that_would_use_its_queue_gets_edeadlk)
{
	struct defer_drop_queue *queue = make_hooked(ask_for_all);

	await_held(&hook.gate);
	hook.other = make_queue(WORKER, 16, LANES);
	let_go(&hook.gate);
	answers(0, defer_drop_queue_push(queue, number(6), note, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert_eq(atomic_load(&hook.calls), 1);
	for (unsigned i = 0; i < 8; i++)
		answers(-EDEADLK, hook.results[i]);
	answers(0, hook.results[8]);
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	cr_assert_eq(stats_of(queue).nested_total, 0);
	end_queue(queue);
	end_queue(hook.other);
	cr_assert_eq(atomic_load(&seen_count), 2);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(worker, of_the_default_queue_calls_its_hook)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.worker_start = write_down;
	config.context = &hook;
	answers(0, defer_drop_start(&config));
	await(atomic_load(&hook.calls) == 1);
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_flush());
	answers(0, defer_drop_shutdown());
	cr_assert_eq(atomic_load(&hook.calls), 1);
}

static void nest_after_hook(void *object)
{
	hook.results[0] = defer_drop_queue_push(object, number(1), note, FOREVER);
}

/* In the child, which has a worker once it pushes. */
static void be_child(struct defer_drop_queue *queue)
{
	if (atomic_load(&hook.calls) != 1)
		_exit(1);
	if (defer_drop_queue_push(queue, queue, nest_after_hook, FOREVER) ||
		defer_drop_queue_flush(queue, LONG_NS))
		_exit(2);
	if (atomic_load(&hook.calls) != 2 || hook.results[0])
		_exit(3);
	_exit(defer_drop_queue_shutdown(queue, FOREVER) || atomic_load(&seen_count) != 1);
}

Test(worker, of_a_forked_child_calls_the_hook_again)
{
	struct defer_drop_queue *queue = make_hooked(write_down);
	pid_t child;

	await(atomic_load(&hook.calls) == 1);
	child = fork();
	if (!child)
		be_child(queue);
	answers(0, status_of(child));
	cr_assert_eq(atomic_load(&hook.calls), 1);
	end_queue(queue);
}

Test(worker, a_hook_without_one_is_refused)
{
	const uint32_t runners[] = {CALLER, DRAINER};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
		struct defer_drop_queue *queue;

		config.runner = runners[i];
		config.worker_start = write_down;
		answers(-EINVAL, defer_drop_queue_create(&queue, &config));
	}
}

static void exit_in_hook(void *context)
{
	(void)context;
	exit(5);
}

static atomic_uint *destroyed_shared;

static void start_and_exit(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;

	alarm(50);
	config.worker_start = exit_in_hook;
	if (defer_drop(destroyed_shared, count_up) || defer_drop_queue_create(&queue, &config))
		_exit(9);
	for (;;)
		pause();
}

Test(worker, a_hook_may_end_the_process)
{
	destroyed_shared = share(4096);
	answers(5, run_child(start_and_exit));
	cr_assert_eq(atomic_load(destroyed_shared), 1);
}

/* ---- No worker to be had --------------------------------------------------------------------- */

enum { CROWD = 8, PLACES = 2 };

static struct defer_drop_queue *crowded;
static atomic_uint accepted, refused;

static void *push_in_crowd(void *argument)
{
	int result;

	await(atomic_load(&has_no_threads));
	result = defer_drop_queue_push(crowded, argument, note, FOREVER);
	if (!result)
		atomic_fetch_add(&accepted, 1);
	else if (result == -ESRCH)
		atomic_fetch_add(&refused, 1);
	return NULL;
}

/* In a forked child the worker is to be started by the first push, and cannot be. */
static void crowd_without_worker(void)
{
	pthread_t threads[CROWD];

	for (unsigned i = 0; i < CROWD; i++)
		if (pthread_create(&threads[i], NULL, push_in_crowd, NULL))
			_exit(2);
	forbid_threads();
	for (unsigned i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	_exit(atomic_load(&accepted) != PLACES || atomic_load(&refused) != CROWD - PLACES);
}

Test(worker, a_push_that_lost_the_last_place_answers_where_no_worker_can_be_started,
	.disabled = HAS_SANITIZER)
{
	crowded = make_queue(WORKER, PLACES, 0);
	for (unsigned i = 0; i < 20; i++)
		answers(0, run_child(crowd_without_worker));
	end_queue(crowded);
}
