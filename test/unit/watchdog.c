/* SPDX-License-Identifier: MIT
 *
 * The watchdog: destructors that run too long are reported, once for each time that they do.
 *
 * No test depends on a time being short: what must be reported waits until it is, and what must not
 * be has a limit of an hour.
 */
#include "queues.h"

#include <dirent.h>
#include <signal.h>

TestSuite(watchdog, .timeout = 60);

#define HOUR_NS (3600 * 1000 * MS)

static const uint32_t runners[] = {WORKER, CALLER};

/* ---- What was told --------------------------------------------------------------------------- */

#define MAX_TOLD 64

static struct defer_drop_slow told[MAX_TOLD];
static char told_names[MAX_TOLD][256];
static atomic_uint told_count;
static pthread_t told_by;

static void write_down(void *context, const struct defer_drop_slow *slow)
{
	unsigned at = atomic_load(&told_count);

	if (at < MAX_TOLD && context == &told_count) {
		told[at] = *slow;
		snprintf(told_names[at], sizeof told_names[at], "%s", slow->name);
		told_by = pthread_self();
	}
	atomic_store(&told_count, at + 1);
}

/* ---- Destructors ----------------------------------------------------------------------------- */

/* Returns when it has been reported so often since it began. Its name can be found: not static. */
void slow_destructor(void *times);
void slow_destructor(void *times)
{
	unsigned before = atomic_load(&told_count);

	await(atomic_load(&told_count) >= before + (uintptr_t)times);
	note(times);
}

int slow_status(void *times);
int slow_status(void *times)
{
	slow_destructor(times);
	return 0;
}

static void slow_static(void *times)
{
	slow_destructor(times);
}

static struct defer_drop_queue *queue; /* of the test that runs */

static void drop_a_slow_one(void *object)
{
	note(object);
	defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER);
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static struct defer_drop_config watched(uint32_t runner, uint64_t limit_ns)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	atomic_store(&told_count, 0);
	config.runner = runner;
	config.queue_size = 64;
	config.watchdog_ns = limit_ns;
	config.watchdog = write_down;
	config.context = &told_count;
	config.quiet_spell_ns = MS;
	return config;
}

static void make(uint32_t runner, uint64_t limit_ns)
{
	struct defer_drop_config config = watched(runner, limit_ns);

	queue = create_queue(&config);
}

static void flush(void)
{
	answers(0, defer_drop_queue_flush(queue, LONG_NS));
}

static uint32_t watchdog_state(void)
{
	return atomic_load(&queue->watchdog.state);
}

/* Returns how many threads of this process have this name. */
static unsigned threads_named(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(tasks))) {
		char path[300];
		char line[32] = "";
		FILE *file;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(line, sizeof line, file))
			count += !strncmp(line, name, strlen(name)) && line[strlen(name)] == '\n';
		fclose(file);
	}
	closedir(tasks);
	return count;
}

/* ---- What is reported ------------------------------------------------------------------------ */

Test(watchdog, tells_all_about_a_slow_destructor)
{
	for (unsigned i = 0; i < 2; i++) {
		make(runners[i], MS);
		answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
		for (unsigned j = 0; j < 5; j++)
			answers(0, defer_drop_queue_push(queue, number(j), note, FOREVER));
		flush();
		cr_assert_geq(atomic_load(&told_count), 1);
		cr_assert_eq(told[0].object, number(1));
		cr_assert_eq(told[0].destroy, slow_destructor);
		cr_assert_null(told[0].destroy_status);
		cr_assert_str_eq(told_names[0], "slow_destructor");
		cr_assert_geq(told[0].running_ns, MS);
		cr_assert_leq(told[0].backlog, 5);
		/* If the machine stands still, other destructors are slow as well. */
		cr_assert_geq(stats_of(queue).slow_total, 1);
		end_queue(queue);
	}
}

static struct gate gate;

Test(watchdog, counts_the_drops_that_wait_behind_it)
{
	make(WORKER, MS);
	hold_up(queue, &gate);
	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
	/* The reports made before the pushes may have counted fewer. */
	await(atomic_load(&told_count) && told[atomic_load(&told_count) - 1].backlog == 5);
	let_go(&gate);
	flush();
	end_queue(queue);
}

Test(watchdog, tells_again_when_the_running_time_has_doubled)
{
	make(WORKER, MS);
	answers(0, defer_drop_queue_push(queue, number(4), slow_destructor, FOREVER));
	flush();
	cr_assert_geq(atomic_load(&told_count), 4);
	for (unsigned i = 1; i < atomic_load(&told_count); i++)
		cr_assert_geq(told[i].running_ns, 2 * told[i - 1].running_ns);
	cr_assert_eq(stats_of(queue).slow_total, 1, "one destructor was slow, however often told");
	end_queue(queue);
}

Test(watchdog, tells_of_each_slow_destructor)
{
	make(WORKER, MS);
	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
	flush();
	cr_assert_eq(stats_of(queue).slow_total, 5, "also where they are the same");
	end_queue(queue);
}

Test(watchdog, is_silent_about_what_returns_in_time)
{
	for (unsigned i = 0; i < 2; i++) {
		make(runners[i], HOUR_NS);
		for (unsigned j = 0; j < 20000; j++) {
			answers(0, defer_drop_queue_push(queue, number(j), note, FOREVER));
			if (j % 64 == 63)
				flush();
		}
		flush();
		end_queue(queue);
		cr_assert_eq(atomic_load(&told_count), 0);
	}
}

#define MANY_LIMIT_NS (200 * MS)

static unsigned long_ones;

/* Together they take longer than the limit; alone, only if the machine stands still. */
static void take_a_part(void *object)
{
	uint64_t begun_ns = dd_now_ns();

	(void)object;
	usleep(10000);
	long_ones += dd_now_ns() - begun_ns >= MANY_LIMIT_NS / 2;
}

Test(watchdog, does_not_add_up_the_time_of_many_destructors)
{
	make(WORKER, MANY_LIMIT_NS);
	for (unsigned i = 0; i < 60; i++)
		answers(0, defer_drop_queue_push(queue, NULL, take_a_part, FOREVER));
	flush();
	cr_assert_leq(stats_of(queue).slow_total, long_ones);
	end_queue(queue);
}

Test(watchdog, tells_of_a_nested_drop)
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned at;

		make(runners[i], MS);
		answers(0, defer_drop_queue_push(queue, number(7), drop_a_slow_one, FOREVER));
		flush();
		at = atomic_load(&told_count) - 1;
		cr_assert_eq(told[at].object, number(1));
		cr_assert_eq(told[at].destroy, slow_destructor);
		/* If the machine stands still, the destructor that drops it is slow as well. */
		cr_assert_geq(stats_of(queue).slow_total, 1);
		end_queue(queue);
	}
}

Test(watchdog, tells_of_a_drop_with_a_status)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.destroy_status = slow_status;
	make(WORKER, MS);
	answers(0, defer_drop_queue_push_with(queue, number(1), NULL, LONG_NS, &options));
	flush();
	cr_assert_geq(atomic_load(&told_count), 1);
	cr_assert_eq(told[0].destroy_status, slow_status);
	cr_assert_null(told[0].destroy);
	cr_assert_str_eq(told_names[0], "slow_status");
	answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
	flush();
	cr_assert_eq(told[atomic_load(&told_count) - 1].destroy, slow_destructor);
	cr_assert_null(told[atomic_load(&told_count) - 1].destroy_status);
	end_queue(queue);
}

Test(watchdog, tells_of_a_drop_with_options)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 1;
	make(CALLER, MS);
	answers(0, defer_drop_queue_push_with(queue, number(1), slow_destructor, 0, &options));
	flush();
	cr_assert_geq(atomic_load(&told_count), 1);
	cr_assert_eq(told[0].destroy, slow_destructor);
	end_queue(queue);
}

Test(watchdog, tells_of_a_drop_after_a_grace_period)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	int result;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	make(WORKER, MS);
	result = defer_drop_queue_push_with(queue, number(1), slow_destructor, LONG_NS, &options);
	if (result != -ENOTSUP) {
		answers(0, result);
		flush();
		cr_assert_geq(atomic_load(&told_count), 1);
		cr_assert_eq(told[0].destroy, slow_destructor, "the tag is no part of the name");
	}
	end_queue(queue);
}

Test(watchdog, says_where_a_destructor_without_a_symbol_is)
{
	make(WORKER, MS);
	answers(0, defer_drop_queue_push(queue, number(1), slow_static, FOREVER));
	flush();
	cr_assert_not_null(strstr(told_names[0], "+0x"), "%s", told_names[0]);
	end_queue(queue);
}

Test(watchdog, watches_while_a_shutdown_drains)
{
	for (unsigned i = 0; i < 2; i++) {
		make(runners[i], MS);
		answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
		end_queue(queue);
		cr_assert_geq(atomic_load(&told_count), 1);
	}
}

Test(watchdog, tells_of_the_right_queue)
{
	struct defer_drop_config config = watched(WORKER, HOUR_NS);
	struct defer_drop_queue *other;

	other = create_queue(&config);
	make(WORKER, MS);
	for (unsigned i = 0; i < 1000; i++)
		answers(0, defer_drop_queue_push(other, number(i), forbidden, FOREVER));
	answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
	flush();
	end_queue(other);
	for (unsigned i = 0; i < atomic_load(&told_count); i++)
		cr_assert_eq(told[i].destroy, slow_destructor);
	cr_assert_eq(stats_of(queue).slow_total, 1);
	end_queue(queue);
}

/* ---- On stderr ------------------------------------------------------------------------------- */

/* Returns when the default queue's watchdog has counted one more slow destructor. */
void slow_uncounted(void *object);
void slow_uncounted(void *object)
{
	(void)object;
	await(stats_of(defer_drop_queue_default()).slow_total);
}

static void run_slow_by_default(void)
{
	if (defer_drop(number(0x1234), slow_uncounted) || defer_drop_shutdown())
		_exit(9);
}

Test(watchdog, reports_on_stderr_without_a_function)
{
	setenv("DEFER_DROP_OPTIONS", "watchdog_ns=1000000", 1);
	answers(0, run_child(run_slow_by_default));
	cr_assert_not_null(strstr(said, "]: defer_drop: slow_uncounted has been "
					"destroying 0x1234 for "),
		"%s", said);
	cr_assert_not_null(strstr(said, " ms; 0 drops wait behind it\n"), "%s", said);
}

static void run_slow_by_caller(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = CALLER;
	if (defer_drop_start(&config))
		_exit(8);
	run_slow_by_default();
}

Test(watchdog, of_the_environment_watches_a_caller_that_drains)
{
	setenv("DEFER_DROP_OPTIONS", "watchdog_ns=1ms", 1);
	answers(0, run_child(run_slow_by_caller));
	cr_assert_geq(times_said("slow_uncounted has been destroying 0x1234"), 1, "%s", said);
}

static void run_silent(void)
{
	unsigned seen_before = threads_named("drop_watchdog");

	if (defer_drop(NULL, note) || defer_drop_flush() || seen_before)
		_exit(9);
	await(threads_named("drop_watchdog") == 1); /* it gives itself its name */
}

Test(watchdog, of_the_environment_is_silent_about_the_rest)
{
	setenv("DEFER_DROP_OPTIONS", "watchdog_ns=3600000000000", 1);
	answers(0, run_child(run_silent));
	cr_assert_str_empty(said);
}

/* ---- The thread ------------------------------------------------------------------------------ */

Test(watchdog, has_a_thread_only_where_there_is_a_limit)
{
	make(WORKER, 0);
	answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
	flush();
	cr_assert_eq(threads_named("drop_watchdog"), 0);
	cr_assert_eq(atomic_load(&queue->watchdog.record.number), 0, "nothing is written down");
	end_queue(queue);
	make(WORKER, HOUR_NS);
	await(threads_named("drop_watchdog") == 1);
	end_queue(queue);
	cr_assert_eq(threads_named("drop_watchdog"), 0, "shutdown joins it");
}

static sigset_t mask_told;

static void look_at_mask(void *context, const struct defer_drop_slow *slow)
{
	pthread_sigmask(SIG_SETMASK, NULL, &mask_told);
	write_down(context, slow);
}

Test(watchdog, has_the_mask_of_the_worker)
{
	struct defer_drop_config config = watched(CALLER, MS);
	sigset_t mask_wanted;

	config.watchdog = look_at_mask;
	queue = create_queue(&config);
	answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
	flush();
	dd_thread_mask(&mask_wanted);
	sigdelset(&mask_wanted, SIGKILL); /* which the kernel does not block */
	sigdelset(&mask_wanted, SIGSTOP);
	for (int signal = 1; signal < 32; signal++)
		cr_assert_eq(sigismember(&mask_told, signal), sigismember(&mask_wanted, signal),
			"%d", signal);
	cr_assert_not(pthread_equal(told_by, pthread_self()));
	end_queue(queue);
}

Test(watchdog, sleeps_while_the_worker_sleeps)
{
	make(WORKER, MS);
	for (unsigned i = 0; i < 3; i++) {
		await(is_asleep(queue) && watchdog_state() == DD_WATCHDOG_ASLEEP);
		answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
		flush(); /* it was woken */
	}
	cr_assert_eq(stats_of(queue).slow_total, 3);
	end_queue(queue);
}

Test(watchdog, sleeps_while_no_thread_drains)
{
	make(CALLER, MS);
	for (unsigned i = 0; i < 3; i++) {
		await(watchdog_state() == DD_WATCHDOG_ASLEEP);
		answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
		cr_assert_eq(watchdog_state(), DD_WATCHDOG_ASLEEP, "a push alone wakes nobody");
		drain(queue, 1);
	}
	cr_assert_eq(stats_of(queue).slow_total, 3);
	end_queue(queue);
}

Test(watchdog, of_an_hour_holds_up_no_shutdown)
{
	for (unsigned i = 0; i < 2; i++) {
		make(runners[i], HOUR_NS);
		answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		flush(); /* it naps, for a quarter of an hour, or sleeps */
		end_queue(queue);
	}
}

/* ---- What the callback may do ---------------------------------------------------------------- */

static atomic_int callback_result = 1;

static void shut_down(void *context, const struct defer_drop_slow *slow)
{
	atomic_store(&callback_result, defer_drop_queue_shutdown(queue, FOREVER));
	write_down(context, slow);
}

static void push(void *context, const struct defer_drop_slow *slow)
{
	atomic_store(&callback_result, defer_drop_queue_push(queue, number(9), note, 0));
	write_down(context, slow);
}

static void run_with(defer_drop_watchdog_fn watchdog)
{
	struct defer_drop_config config = watched(WORKER, MS);

	config.watchdog = watchdog;
	queue = create_queue(&config);
	answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
	end_queue(queue);
}

Test(watchdog, cannot_shut_its_own_queue_down)
{
	run_with(shut_down);
	answers(-EDEADLK, atomic_load(&callback_result));
}

Test(watchdog, may_push)
{
	run_with(push);
	/* Before the shutdown has closed it, or after. */
	cr_assert(atomic_load(&callback_result) == 0 || atomic_load(&callback_result) == -ESHUTDOWN,
		"%d", atomic_load(&callback_result));
}

static void end_by_exit(void *context, const struct defer_drop_slow *slow)
{
	(void)slow;
	atomic_store((atomic_uint *)context, 1); /* lets the destructor go */
	exit(5);
}

static void exit_in_callback(void)
{
	struct defer_drop_config config = watched(WORKER, MS);

	config.watchdog = end_by_exit;
	if (defer_drop_queue_create(&queue, &config) ||
		defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER))
		_exit(9);
	for (;;)
		pause();
}

Test(watchdog, may_end_the_process)
{
	answers(5, run_child(exit_in_callback));
}

static void fork_in_callback(void *context, const struct defer_drop_slow *slow)
{
	pid_t child = fork();

	if (!child) {
		/* The child has a watchdog of its own, for a worker of its own. */
		struct defer_drop_stats stats = stats_of(queue);

		answers(0, defer_drop_queue_shutdown(queue, FOREVER));
		_exit(stats.slow_total == 0 ? 4 : 3);
	}
	if (!atomic_load(&told_count))
		atomic_store(&callback_result, status_of(child));
	else
		status_of(child);
	write_down(context, slow);
}

Test(watchdog, may_fork)
{
	run_with(fork_in_callback);
	answers(4, atomic_load(&callback_result));
}

static void fork_and_return_from_callback(void *context, const struct defer_drop_slow *slow)
{
	pid_t child = fork();

	if (!child)
		return; /* it may not */
	atomic_store(&callback_result, status_of(child));
	write_down(context, slow);
}

/* The thread that returned is all that the child had. */
Test(watchdog, that_forked_and_returned_ends_the_child_which_destroys_nothing)
{
	atomic_uint *destroyed = share(4096);
	struct defer_drop_config config = watched(WORKER, MS);

	config.watchdog = fork_and_return_from_callback;
	queue = create_queue(&config);
	answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
	answers(0, defer_drop_queue_push(queue, destroyed, count_up, FOREVER));
	end_queue(queue);
	answers(0, atomic_load(&callback_result));
	cr_assert_eq(atomic_load(destroyed), 1);
}

/* ---- Fork and exit --------------------------------------------------------------------------- */

static void run_slow_in_child(void)
{
	if (threads_named("drop_watchdog") || stats_of(queue).slow_total)
		_exit(8);
	atomic_store(&told_count, 0);
	if (defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER) ||
		defer_drop_queue_flush(queue, LONG_NS))
		_exit(9);
	if (threads_named("drop_watchdog") != 1 || stats_of(queue).slow_total != 1)
		_exit(7);
}

Test(watchdog, begins_anew_in_a_forked_child)
{
	for (unsigned i = 0; i < 2; i++) {
		make(runners[i], MS);
		answers(0, defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER));
		flush();
		answers(0, run_child(run_slow_in_child));
		end_queue(queue);
	}
}

/* In the child of a destructor that forked: the worker goes on, and soon has a watchdog again. */
static void *end_child(void *ignored)
{
	(void)ignored;
	await(threads_named("drop_watchdog") == 1);
	if (defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER) ||
		defer_drop_queue_flush(queue, LONG_NS))
		_exit(8);
	_exit(stats_of(queue).slow_total == 1 ? 6 : 7);
}

static pid_t forked;

static void fork_and_return(void *object)
{
	note(object);
	forked = fork();
	if (!forked) {
		alarm(60);
		spawn(end_child, NULL);
	}
}

Test(watchdog, begins_anew_beside_a_worker_that_has_forked)
{
	make(WORKER, MS);
	answers(0, defer_drop_queue_push(queue, NULL, fork_and_return, FOREVER));
	flush();
	answers(6, status_of(forked));
	end_queue(queue);
}

Test(watchdog, watches_no_destructor_of_a_parent_in_a_child)
{
	make(WORKER, HOUR_NS);
	hold_up(queue, &gate);
	/* The child does not report what the parent's worker is destroying. */
	forked = fork();
	if (!forked)
		_exit(atomic_load(&queue->watchdog.record.number) & DD_RECORD_RUNS ? 3 : 0);
	answers(0, status_of(forked));
	let_go(&gate);
	end_queue(queue);
}

static void exit_while_slow(void)
{
	struct defer_drop_config config = watched(WORKER, MS);

	config.watchdog = NULL;
	config.exit_timeout_ns = MS;
	gate_init(&gate);
	if (defer_drop_queue_create(&queue, &config) ||
		defer_drop_queue_push(queue, &gate, pass_gate, FOREVER))
		_exit(9);
	await(stats_of(queue).slow_total);
}

Test(watchdog, does_not_keep_a_process_that_exits)
{
	answers(0, run_child(exit_while_slow));
	cr_assert_geq(times_said("has been destroying"), 1, "%s", said);
	cr_assert_eq(times_said("exit abandons 1 drops"), 1, "%s", said);
}

static void abandon_at_exit(void)
{
	struct defer_drop_config config = watched(WORKER, HOUR_NS);

	config.exit_timeout_ns = 0;
	if (defer_drop_queue_create(&queue, &config) ||
		defer_drop_queue_push(queue, NULL, note, FOREVER))
		_exit(9);
}

static void exit_by_destructor(void *object)
{
	(void)object;
	exit(0);
}

static void exit_in_destructor(void)
{
	make(WORKER, MS);
	if (defer_drop_queue_push(queue, NULL, exit_by_destructor, FOREVER) ||
		defer_drop_queue_push(queue, number(1), slow_destructor, FOREVER))
		_exit(9);
	for (;;)
		pause();
}

Test(watchdog, lets_a_process_exit_that_abandons)
{
	answers(0, run_child(abandon_at_exit));
}

Test(watchdog, watches_what_is_destroyed_after_a_destructor_has_called_exit)
{
	answers(0, run_child(exit_in_destructor));
}

/* ---- Where there are no threads -------------------------------------------------------------- */

static void do_without_threads(void)
{
	struct rlimit none = {0, 0};

	if (!HAS_SANITIZER) {
		forbid_threads();
		return;
	}
	/* Left out in builds with coverage: the user nobody may not write the counters. */
	setrlimit(RLIMIT_NPROC, &none);
	if (!geteuid() && (setgid(65534) || setuid(65534)))
		_exit(9);
}

static void create_without_threads(void)
{
	struct defer_drop_config config = watched(CALLER, MS);

	do_without_threads();
	_exit(defer_drop_queue_create(&queue, &config) == -ESRCH ? 0 : 8);
}

/* In a forked child no call asks for the watchdog: that it cannot be started is only reported. */
static void drain_without_threads(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	pid_t child;

	config.runner = CALLER;
	config.watchdog_ns = MS;
	if (defer_drop_start(&config))
		_exit(9);
	child = fork();
	if (child)
		_exit(status_of(child));
	do_without_threads();
	errno = 77;
	for (unsigned i = 0; i < 3; i++)
		if (defer_drop(number(i), note) || defer_drop_flush())
			_exit(8);
	if (errno != 77 || atomic_load(&seen_count) != 3)
		_exit(7);
}

Test(watchdog, that_cannot_be_started_is_an_error_where_it_was_asked_for)
{
	answers(0, run_child(create_without_threads));
}

Test(watchdog, that_cannot_be_started_otherwise_is_said_once)
{
	answers(0, run_child(drain_without_threads));
	cr_assert_eq(times_said("cannot start the watchdog"), 1, "%s", said);
}
