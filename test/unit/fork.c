/* SPDX-License-Identifier: MIT
 *
 * What fork(2) leaves of the queues of a process, in the parent and in the child.
 */
#include "queues.h"

#include <sys/eventfd.h>

#include "core/completion.h"

TestSuite(fork, .timeout = 60);

/* Counters that parent and child share. */
static atomic_uint *in_parent;
static atomic_uint *in_child;

static void share_counters(void)
{
	in_parent = share(4096);
	in_child = in_parent + 16;
}

static struct defer_drop_queue *make_for_fork(uint32_t runner, uint32_t at_fork, uint32_t lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.at_fork = at_fork;
	config.queue_size = 16;
	config.max_lanes = lanes;
	config.quiet_spell_ns = 1000000;
	return create_queue(&config);
}

static pid_t process;

/* Counts for the process that runs it. */
static void count_here(void *object)
{
	(void)object;
	atomic_fetch_add(getpid() == process ? in_parent : in_child, 1);
}

static void begin(void)
{
	process = getpid();
	share_counters();
}

static void assert_counts(unsigned parent, unsigned child)
{
	cr_assert_eq(atomic_load(in_parent), parent, "%u in the parent", atomic_load(in_parent));
	cr_assert_eq(atomic_load(in_child), child, "%u in the child", atomic_load(in_child));
}

/* ---- Policies -------------------------------------------------------------------------------- */

/* Ten drops are pending at the fork; the child drops three more, and ends by exit or after a
 * flush. */
static void fork_with_ten(uint32_t runner, uint32_t at_fork, uint32_t lanes, bool is_flushed)
{
	struct defer_drop_queue *queue = make_for_fork(runner, at_fork, lanes);
	struct gate gate;
	pid_t child;

	if (runner == DEFER_DROP_RUNNER_WORKER)
		hold_up(queue, &gate);
	for (unsigned i = 0; i < 10; i++)
		answers(0, defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	child = fork();
	if (!child) {
		for (unsigned i = 0; i < 3; i++)
			claim_or_exit(1, !defer_drop_queue_push(queue, NULL, count_here, FOREVER));
		if (!is_flushed)
			exit(0);
		claim_or_exit(2, !defer_drop_queue_flush(queue, FOREVER));
		_exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	if (runner == DEFER_DROP_RUNNER_WORKER)
		let_go(&gate);
	end_queue(queue);
}

static void fork_all_ways(uint32_t at_fork, unsigned kept)
{
	const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_CALLER};

	for (unsigned i = 0; i < 8; i++) {
		begin();
		fork_with_ten(runners[i & 1], at_fork, lanes_tried[(i >> 1) & 1], i >> 2);
		assert_counts(10, 3 + kept);
	}
}

Test(fork, a_child_begins_with_none_of_the_parents_drops)
{
	fork_all_ways(DEFER_DROP_AT_FORK_EMPTY, 0);
}

Test(fork, by_default_a_child_begins_with_none)
{
	fork_all_ways(DEFER_DROP_AT_FORK_DEFAULT, 0);
}

Test(fork, a_child_that_keeps_destroys_its_copies_too)
{
	fork_all_ways(DEFER_DROP_AT_FORK_KEEP, 10);
}

Test(fork, a_child_that_keeps_and_does_nothing_destroys_at_exit)
{
	struct defer_drop_queue *queue;
	pid_t child;

	begin();
	queue = make_for_fork(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_KEEP, LANES);
	for (unsigned i = 0; i < 10; i++)
		answers(0, defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	child = fork();
	if (!child)
		exit(0);
	cr_assert_eq(status_of(child), 0);
	end_queue(queue);
	assert_counts(10, 10);
}

static struct defer_drop_queue *nest;

static void nest_here(void *object)
{
	count_here(object);
	if (defer_drop_queue_push(nest, object, count_here, FOREVER))
		_exit(9);
}

/* The child pushes this number more first, so that it has a lane when it drains at exit. */
static void keep_what_nests(unsigned more)
{
	pid_t child;

	begin();
	nest = make_for_fork(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_KEEP, LANES);
	answers(0, defer_drop_queue_push(nest, NULL, nest_here, FOREVER));
	child = fork();
	if (!child) {
		for (unsigned i = 0; i < more; i++)
			claim_or_exit(1, !defer_drop_queue_push(nest, NULL, count_here, FOREVER));
		exit(0);
	}
	cr_assert_eq(status_of(child), 0, "a nested drop was refused at exit");
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	end_queue(nest);
	assert_counts(2, 2 + more);
}

Test(fork, a_child_that_keeps_destroys_what_its_copies_drop)
{
	keep_what_nests(0);
	keep_what_nests(1);
}

Test(fork, kept_drops_stay_in_their_order)
{
	struct defer_drop_queue *queue =
		make_for_fork(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_KEEP, LANES);
	pid_t child;

	for (uintptr_t i = 0; i < 16; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note, FOREVER));
	drain(queue, 5);
	child = fork();
	if (!child) {
		for (uintptr_t i = 16; i < 21; i++)
			claim_or_exit(1, !defer_drop_queue_push(queue, number(i), note, 0));
		claim_or_exit(2, defer_drop_queue_push(queue, NULL, note, 0) == -EAGAIN);
		claim_or_exit(3, !defer_drop_queue_flush(queue, FOREVER));
		for (uintptr_t i = 0; i < 21; i++)
			claim_or_exit(4, seen[i] == number(i));
		_exit(seen_count != 21);
	}
	cr_assert_eq(status_of(child), 0);
	end_queue(queue);
	assert_seen(0, 16);
}

/* ---- The worker at the fork ------------------------------------------------------------------ */

Test(fork, a_fork_while_the_worker_sleeps)
{
	struct defer_drop_queue *queue;
	pid_t child;

	begin();
	queue = make_for_fork(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, LANES);
	answers(0, defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	await(is_asleep(queue));
	child = fork();
	if (!child) {
		claim_or_exit(1, !defer_drop_queue_push(queue, NULL, count_here, FOREVER));
		claim_or_exit(2, !defer_drop_queue_flush(queue, FOREVER));
		await(is_asleep(queue)); /* the child's own */
		claim_or_exit(3, !defer_drop_queue_push(queue, NULL, count_here, FOREVER));
		exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	answers(0, defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	end_queue(queue);
	assert_counts(2, 2);
}

Test(fork, a_child_does_not_wait_for_a_long_destructor_of_its_parent)
{
	struct gate gate;
	pid_t child;

	begin();
	hold_up(defer_drop_queue_default(), &gate);
	answers(0, defer_drop(NULL, count_here));
	child = fork();
	if (!child) {
		claim_or_exit(1, !defer_drop_flush());
		claim_or_exit(2, !defer_drop(NULL, count_here));
		claim_or_exit(3, !defer_drop_flush());
		claim_or_exit(4, !defer_drop_shutdown());
		claim_or_exit(5, defer_drop(NULL, count_here) == -ESHUTDOWN);
		exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	let_go(&gate);
	/* The child's shutdown closed only the child's queue. */
	answers(0, defer_drop(NULL, count_here));
	answers(0, defer_drop_flush());
	assert_counts(2, 1);
}

Test(fork, a_fork_while_a_thread_waits)
{
	struct defer_drop_queue *queue;
	pthread_t thread;
	struct gate gate;
	pid_t child;

	begin();
	queue = make_for_fork(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, LANES);
	hold_up(queue, &gate);
	thread = spawn(flush_in_thread, queue);
	await(has_waiter(queue));
	child = fork();
	if (!child) {
		claim_or_exit(1, !has_waiter(queue));
		claim_or_exit(2, !defer_drop_queue_push(queue, NULL, count_here, FOREVER));
		claim_or_exit(3, !defer_drop_queue_flush(queue, FOREVER));
		exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	end_queue(queue);
	assert_counts(0, 1);
}

Test(fork, a_child_may_drain_though_a_thread_of_the_parent_was_draining)
{
	struct defer_drop_queue *queue;
	struct gate gate;
	pthread_t thread;
	pid_t child;

	begin();
	queue = make_for_fork(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_EMPTY, LANES);
	gate_init(&gate);
	answers(0, defer_drop_queue_push(queue, &gate, pass_gate, FOREVER));
	thread = spawn(drain_in_thread, queue);
	await_semaphore(&gate.entered);
	child = fork();
	if (!child) {
		claim_or_exit(1, !defer_drop_queue_push(queue, NULL, count_here, FOREVER));
		claim_or_exit(2, !defer_drop_queue_drain(queue, 1, FOREVER, NULL));
		exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	let_go(&gate);
	cr_assert_null(join_thread(thread));
	end_queue(queue);
	assert_counts(0, 1);
}

/* ---- Fork by a destructor -------------------------------------------------------------------- */

struct forking {
	struct defer_drop_queue *queue;
	pid_t child;
	int level; /* the depth of nesting at which to fork */
};

/* In the child of a destructor: which may push, and ends the process. */
static void fork_here(void *object)
{
	struct forking *forking = object;

	if (forking->level--) {
		if (defer_drop_queue_push(forking->queue, forking, fork_here, FOREVER))
			_exit(9);
		return;
	}
	forking->child = fork();
	if (!forking->child) {
		claim_or_exit(1, !defer_drop_queue_push(forking->queue, NULL, count_here, FOREVER));
		claim_or_exit(2, defer_drop_queue_flush(forking->queue, FOREVER) == -EDEADLK);
		exit(0);
	}
	count_here(NULL);
}

static void fork_in_destructor(uint32_t runner, uint32_t at_fork, int level, unsigned kept)
{
	struct forking forking = {.level = level};
	struct gate gate;

	begin();
	forking.queue = make_for_fork(runner, at_fork, LANES);
	if (runner == DEFER_DROP_RUNNER_WORKER)
		hold_up(forking.queue, &gate);
	answers(0, defer_drop_queue_push(forking.queue, &forking, fork_here, FOREVER));
	for (unsigned i = 0; i < 5; i++)
		answers(0, defer_drop_queue_push(forking.queue, NULL, count_here, FOREVER));
	if (runner == DEFER_DROP_RUNNER_WORKER)
		let_go(&gate);
	answers(0, defer_drop_queue_flush(forking.queue, FOREVER));
	cr_assert_eq(status_of(forking.child), 0);
	end_queue(forking.queue);
	assert_counts(6, 1 + kept);
}

Test(fork, a_destructor_of_the_worker_forks)
{
	for (int level = 0; level < 3; level++) {
		fork_in_destructor(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, level, 0);
		fork_in_destructor(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, level, 5);
	}
}

Test(fork, a_destructor_of_a_caller_forks)
{
	fork_in_destructor(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_EMPTY, 0, 0);
	fork_in_destructor(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_KEEP, 0, 5);
}

static pid_t forked_by_nested;

static void fork_and_go_on(void *object)
{
	(void)object;
	forked_by_nested = fork();
}

static void nest_a_fork(void *object)
{
	if (defer_drop_queue_push(nest, object, fork_and_go_on, FOREVER) ||
		defer_drop_queue_push(nest, object, note, FOREVER))
		_exit(9);
}

static void *push_nest_a_fork(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, NULL, nest_a_fork, FOREVER));
}

/* The caller drains, so that the child goes on as the same thread and can look afterwards. */
static void assert_balanced_after_nested_fork(uint32_t at_fork)
{
	struct defer_drop_stats stats;

	begin();
	forked_by_nested = -1;
	nest = make_for_fork(DEFER_DROP_RUNNER_CALLER, at_fork, LANES);
	cr_assert_null(join_thread(spawn(push_nest_a_fork, nest)));
	drain(nest, UINT64_MAX);
	stats = (struct defer_drop_stats)DEFER_DROP_STATS_INIT;
	if (!forked_by_nested) {
		claim_or_exit(1, !defer_drop_queue_flush(nest, FOREVER));
		claim_or_exit(2, !defer_drop_queue_stats(nest, &stats));
		claim_or_exit(3, stats.pushed_total == stats.destroyed_total);
		claim_or_exit(4, !stats.backlog && !stats.abandoned_total);
		_exit(0);
	}
	cr_assert_eq(status_of(forked_by_nested), 0);
	answers(0, defer_drop_queue_stats(nest, &stats));
	cr_assert_eq(stats.pushed_total, stats.destroyed_total);
	end_queue(nest);
}

Test(fork, statistics_agree_in_a_child_of_a_nested_drop)
{
	assert_balanced_after_nested_fork(DEFER_DROP_AT_FORK_EMPTY);
	assert_balanced_after_nested_fork(DEFER_DROP_AT_FORK_KEEP);
}

/* ---- Children of children, several queues, statistics, shutdown ------------------------------ */

/* Forks this number of further generations in a child. Each waits for the next. */
static void be_generation(struct defer_drop_queue *queue, unsigned left)
{
	pid_t child = -1;

	while (left-- && !(child = fork()))
		child = -1;
	claim_or_exit(1, !defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	claim_or_exit(2, child < 0 || !status_of(child));
	claim_or_exit(3, !defer_drop_queue_flush(queue, FOREVER));
	claim_or_exit(4, !defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	exit(0);
}

Test(fork, children_have_children)
{
	struct defer_drop_queue *queue;
	pid_t child;

	begin();
	queue = make_for_fork(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, LANES);
	answers(0, defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	child = fork();
	if (!child)
		be_generation(queue, 3);
	cr_assert_eq(status_of(child), 0);
	end_queue(queue);
	assert_counts(1, 8);
}

Test(fork, each_queue_keeps_to_its_own_policy)
{
	struct defer_drop_queue *kept;
	struct defer_drop_queue *empty;
	pid_t child;

	begin();
	kept = make_for_fork(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_KEEP, LANES);
	empty = make_for_fork(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_EMPTY, LANES);
	answers(0, defer_drop_queue_push(empty, NULL, count_here, FOREVER));
	for (unsigned i = 0; i < 4; i++)
		answers(0, defer_drop_queue_push(kept, NULL, count_here, FOREVER));
	child = fork();
	if (!child)
		exit(0);
	cr_assert_eq(status_of(child), 0);
	end_queue(kept);
	end_queue(empty);
	assert_counts(5, 4);
}

Test(fork, statistics_of_a_child_begin_at_the_fork)
{
	const uint32_t policies[] = {DEFER_DROP_AT_FORK_EMPTY, DEFER_DROP_AT_FORK_KEEP};

	for (unsigned i = 0; i < 2; i++) {
		struct defer_drop_queue *queue =
			make_for_fork(DEFER_DROP_RUNNER_CALLER, policies[i], LANES);
		pid_t child;

		for (unsigned j = 0; j < 16; j++)
			answers(0, defer_drop_queue_push(queue, NULL, note, FOREVER));
		answers(-EAGAIN, defer_drop_queue_push(queue, NULL, note, 0));
		drain(queue, 6);
		child = fork();
		if (!child) {
			struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

			claim_or_exit(1, !defer_drop_queue_stats(queue, &stats));
			claim_or_exit(2, stats.pushed_total == (i ? 10 : 0));
			claim_or_exit(3, stats.backlog == stats.pushed_total);
			claim_or_exit(4, !stats.destroyed_total && !stats.refused_total);
			claim_or_exit(5, !defer_drop_queue_push(queue, NULL, note, FOREVER));
			claim_or_exit(6, !defer_drop_queue_flush(queue, FOREVER));
			claim_or_exit(7, !defer_drop_queue_stats(queue, &stats));
			claim_or_exit(8, stats.pushed_total == (i ? 11 : 1));
			claim_or_exit(9, stats.destroyed_total == stats.pushed_total);
			_exit(0);
		}
		cr_assert_eq(status_of(child), 0);
		cr_assert_eq(stats_of(queue).pushed_total, 16);
		cr_assert_eq(stats_of(queue).refused_total, 1);
		end_queue(queue);
	}
}

Test(fork, a_queue_that_was_shut_down_is_so_in_a_child)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_WORKER, 16, LANES);
	pid_t child;

	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	child = fork();
	if (!child) {
		claim_or_exit(
			1, defer_drop_queue_push(queue, NULL, forbidden, FOREVER) == -ESHUTDOWN);
		claim_or_exit(2, defer_drop_queue_flush(queue, FOREVER) == -ESHUTDOWN);
		claim_or_exit(3, !defer_drop_queue_shutdown(queue, FOREVER));
		claim_or_exit(4, !defer_drop_queue_free(queue));
		exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	answers(0, defer_drop_queue_free(queue));
}

static void *push_until_full(void *argument)
{
	while (!defer_drop_queue_push(argument, NULL, count_here, 0))
		;
	return NULL;
}

Test(fork, lanes_of_threads_that_a_child_does_not_have_are_free_there)
{
	struct defer_drop_queue *queue;
	pid_t child;

	begin();
	queue = make_for_fork(DEFER_DROP_RUNNER_CALLER, DEFER_DROP_AT_FORK_EMPTY, 2);
	join_thread(spawn(push_until_full, queue));
	child = fork();
	if (!child) {
		pthread_t thread;

		claim_or_exit(1, !pthread_create(&thread, NULL, push_until_full, queue));
		pthread_join(thread, NULL);
		claim_or_exit(2, !defer_drop_queue_flush(queue, FOREVER));
		claim_or_exit(3, atomic_load(in_child) == 16);
		_exit(0);
	}
	cr_assert_eq(status_of(child), 0);
	end_queue(queue);
}

/* ---- Drops with options ---------------------------------------------------------------------- */

static int push_counting(
	struct defer_drop_queue *queue, uint64_t bytes, struct defer_drop_completion *completion)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = bytes;
	options.completion = completion;
	return defer_drop_queue_push_with(queue, NULL, count_here, FOREVER, &options);
}

/* In the child: the drops that were kept are pending, and may be destroyed. */
static void claim_kept(struct defer_drop_queue *queue, unsigned kept, uint64_t bytes)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	claim_or_exit(21, !defer_drop_queue_stats(queue, &stats));
	claim_or_exit(22, stats.pushed_total == kept && stats.backlog == kept);
	claim_or_exit(23, stats.backlog_bytes == bytes);
	claim_or_exit(24, !push_counting(queue, 7, NULL));
	claim_or_exit(25, !defer_drop_queue_flush(queue, LONG_NS));
	claim_or_exit(26, !defer_drop_queue_stats(queue, &stats));
	claim_or_exit(27, stats.pushed_total == kept + 1 && stats.destroyed_total == kept + 1);
	claim_or_exit(28, !stats.backlog && !stats.backlog_bytes);
}

static void fork_with_options(uint32_t runner, bool is_kept, uint32_t lanes)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_queue *queue;
	struct gate gate;
	pid_t child;

	begin();
	queue = make_for_fork(
		runner, is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY, lanes);
	if (runner == DEFER_DROP_RUNNER_WORKER)
		hold_up(queue, &gate);
	answers(0, push_counting(queue, 100, NULL));
	answers(0, defer_drop_queue_push(queue, NULL, count_here, FOREVER));
	answers(0, push_counting(queue, 1000, &completion));
	answers(0, push_counting(queue, 0, NULL));
	child = fork();
	if (!child) {
		claim_or_exit(1, defer_drop_completion_wait(&completion, 0, NULL) == -ESTALE);
		claim_kept(queue, is_kept ? 4 : 0, is_kept ? 1100 : 0);
		claim_or_exit(2, defer_drop_completion_wait(&completion, LONG_NS, NULL) == -ESTALE);
		/* The completion may be used again. */
		claim_or_exit(3, !push_counting(queue, 0, &completion));
		claim_or_exit(4, !defer_drop_completion_wait(&completion, LONG_NS, NULL));
		_exit(0);
	}
	answers(0, status_of(child));
	answers(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
	if (runner == DEFER_DROP_RUNNER_WORKER)
		let_go(&gate);
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	end_queue(queue);
	assert_counts(4, is_kept ? 6 : 2);
}

Test(fork, drops_with_options_are_the_parents_or_kept_with_all_they_hold)
{
	const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_CALLER};

	for (unsigned i = 0; i < 8; i++)
		fork_with_options(runners[i & 1], i & 2, lanes_tried[i >> 2]);
}

static struct defer_drop_completion of_nested;
static uint64_t kept_bytes;

/* Drops some objects, two of which hold bytes; the child of the fork goes on as the parent does. */
static void nest_options_and_fork(void *object)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	(void)object;
	claim_or_exit(33, !push_counting(nest, 100, &of_nested));
	claim_or_exit(34, !defer_drop_queue_push(nest, NULL, count_here, FOREVER));
	claim_or_exit(35, !push_counting(nest, 1000, NULL));
	forked_by_nested = fork();
	claim_or_exit(36, !defer_drop_queue_stats(nest, &stats));
	kept_bytes = stats.backlog_bytes;
}

/* The child goes on as the thread that forked. */
static void fork_with_nested_options(bool is_kept)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	uint32_t at_fork = is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;

	begin();
	of_nested = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
	nest = make_for_fork(DEFER_DROP_RUNNER_CALLER, at_fork, LANES);
	options.bytes = 10;
	answers(0,
		defer_drop_queue_push_with(nest, NULL, nest_options_and_fork, FOREVER, &options));
	drain(nest, UINT64_MAX);
	if (!forked_by_nested) {
		claim_or_exit(1, kept_bytes == (is_kept ? 1110 : 10));
		claim_or_exit(2, atomic_load(in_child) == (is_kept ? 3 : 0));
		claim_or_exit(3, defer_drop_completion_wait(&of_nested, 0, NULL) == -ESTALE);
		claim_or_exit(4, !defer_drop_queue_stats(nest, &stats));
		claim_or_exit(5, !stats.backlog && !stats.backlog_bytes && is_balanced(&stats));
		_exit(0);
	}
	answers(0, status_of(forked_by_nested));
	cr_assert_eq(kept_bytes, 1110);
	answers(0, defer_drop_completion_wait(&of_nested, 0, NULL));
	end_queue(nest);
	assert_counts(3, is_kept ? 3 : 0);
}

Test(fork, nested_drops_with_options_are_the_parents_or_kept_with_all_they_hold)
{
	fork_with_nested_options(false);
	fork_with_nested_options(true);
}

/* One of the drops stands in a gate at the fork. */
static void pass_first(void *object)
{
	if (object)
		pass_gate(object);
	count_here(NULL);
}

static void fork_with_many(bool is_kept)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue;
	void *objects[4] = {NULL};
	struct gate gate;
	size_t pushed;
	pid_t child;

	begin();
	queue = make_for_fork(DEFER_DROP_RUNNER_WORKER,
		is_kept ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY, LANES);
	gate_init(&gate);
	objects[0] = &gate;
	options.completion = &completion;
	answers(0, defer_drop_queue_push_many(
			   queue, objects, 4, pass_first, FOREVER, &options, &pushed));
	await_held(&gate);
	child = fork();
	if (!child) {
		claim_or_exit(1, !defer_drop_queue_flush(queue, LONG_NS));
		claim_or_exit(2, atomic_load(in_child) == (is_kept ? 3 : 0));
		/* The first drop was the parent's alone. */
		claim_or_exit(3, defer_drop_completion_wait(&completion, 0, NULL) == -ESTALE);
		claim_or_exit(4, defer_drop_completion_wait(&completion, LONG_NS, NULL) == -ESTALE);
		_exit(0);
	}
	answers(0, status_of(child));
	let_go(&gate);
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	end_queue(queue);
}

Test(fork, a_completion_of_many_is_stale_where_the_parent_was_destroying_one)
{
	fork_with_many(false);
	fork_with_many(true);
}

static pid_t forked;

static void fork_if_asked(void *object)
{
	if (object)
		forked = fork();
}

/* The destructor of one forks; the child goes on in the middle of the same wait. */
static void wait_across_fork(uint32_t at_fork, void *const *objects)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_queue *queue = make_for_fork(DEFER_DROP_RUNNER_CALLER, at_fork, LANES);
	int result;

	options.completion = &completion;
	forked = -1;
	/* The drop is either before those that have the completion, or the first of them. */
	if (!objects[0])
		answers(0, defer_drop_queue_push(queue, queue, fork_if_asked, FOREVER));
	answers(0, defer_drop_queue_push_many(
			   queue, objects, 3, fork_if_asked, FOREVER, &options, NULL));
	result = defer_drop_completion_wait(&completion, LONG_NS, NULL);
	if (!forked)
		_exit(result == -ESTALE ? 0 : 1);
	answers(0, result);
	answers(0, status_of(forked));
	end_queue(queue);
}

Test(fork, a_child_in_the_middle_of_a_wait_for_a_completion_does_not_wait_for_ever)
{
	void *const none[] = {NULL, NULL, NULL};
	void *const first[] = {&forked, NULL, NULL};

	wait_across_fork(DEFER_DROP_AT_FORK_EMPTY, none);
	wait_across_fork(DEFER_DROP_AT_FORK_EMPTY, first);
	wait_across_fork(DEFER_DROP_AT_FORK_KEEP, none);
	wait_across_fork(DEFER_DROP_AT_FORK_KEEP, first);
}

/* The parent's worker was between the eventfd and its last access. */
Test(fork, a_completion_that_the_parent_was_telling_of_is_stale)
{
	struct defer_drop_queue *queue =
		make_for_fork(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_KEEP, LANES);
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	pid_t child;

	begin();
	answers(0, push_counting(queue, 0, &completion));
	answers(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	completion.state = DD_COMPLETION_TOLD;
	child = fork();
	if (!child) {
		alarm(10);
		claim_or_exit(1, defer_drop_completion_wait(&completion, 0, NULL) == -ESTALE);
		claim_or_exit(2, defer_drop_completion_wait(&completion, LONG_NS, NULL) == -ESTALE);
		_exit(0);
	}
	answers(0, status_of(child));
	end_queue(queue);
}

/* ---- Between two destructors ----------------------------------------------------------------- */

static struct gate watermark_gate;
static atomic_uint watermarks;

static void stand_in_gate(void *context, const struct defer_drop_level *level)
{
	(void)context;
	if (level->is_high && !atomic_fetch_add(&watermarks, 1))
		pass_gate(&watermark_gate);
}

static void push_nested_here(void *object)
{
	claim_or_exit(31, !defer_drop_queue_push(object, NULL, count_here, FOREVER));
}

Test(fork, a_child_of_a_parent_that_was_told_of_a_watermark_has_nested_drops)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	pid_t child;

	begin();
	gate_init(&watermark_gate);
	config.watermark = stand_in_gate;
	config.high_drops = 1;
	queue = create_queue(&config);
	while (!atomic_load(&watermarks)) /* the ring may be full by then */
		defer_drop_queue_push(queue, NULL, note, 0);
	await_held(&watermark_gate);
	child = fork();
	if (!child) {
		claim_or_exit(1, !defer_drop_queue_push(queue, queue, push_nested_here, FOREVER));
		claim_or_exit(2, !defer_drop_queue_flush(queue, LONG_NS));
		_exit(atomic_load(in_child) != 1);
	}
	answers(0, status_of(child));
	let_go(&watermark_gate);
	end_queue(queue);
}

static void nest_a_gate(void *object)
{
	claim_or_exit(32, !defer_drop_queue_push(nest, object, pass_gate, FOREVER));
}

Test(fork, a_child_does_not_go_on_with_a_nested_drop_of_its_parent)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct gate gate;
	pid_t child;

	nest = make_for_fork(DEFER_DROP_RUNNER_WORKER, DEFER_DROP_AT_FORK_EMPTY, LANES);
	gate_init(&gate);
	answers(0, defer_drop_queue_push(nest, &gate, nest_a_gate, FOREVER));
	await_held(&gate);
	child = fork();
	if (!child) {
		claim_or_exit(1, !nest->nested_running);
		claim_or_exit(2, !defer_drop_queue_stats(nest, &stats));
		claim_or_exit(3, !stats.pushed_total && !stats.nested_total);
		claim_or_exit(4, !defer_drop_queue_push(nest, NULL, leave_by_exit, FOREVER));
		pause();
	}
	answers(0, status_of(child));
	let_go(&gate);
	end_queue(nest);
}

static void *fork_while_cancelled(void *argument)
{
	pid_t child;
	int status = 0;

	(void)argument;
	pthread_cancel(pthread_self()); /* acts at the next cancellation point: fork(2) is none */
	child = fork();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (!child)
		_exit(0);
	cr_assert(child > 0 && waitpid(child, &status, 0) == child);
	cr_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	return NULL;
}

Test(fork, a_thread_that_was_cancelled_forks_while_an_eventfd_is_to_be_signalled)
{
	struct defer_drop_queue *queue = make_for_fork(DEFER_DROP_RUNNER_CALLER, 0, 1);
	struct defer_drop_ticket ticket;
	pthread_t thread;
	int fd = eventfd(0, 0);

	answers(0, push_ticket(queue, NULL, free, FOREVER, &ticket));
	answers(0, defer_drop_ticket_notify(&ticket, fd));
	cr_assert(!pthread_create(&thread, NULL, fork_while_cancelled, NULL));
	cr_assert(!pthread_join(thread, NULL));
	end_queue(queue);
	close(fd);
}
