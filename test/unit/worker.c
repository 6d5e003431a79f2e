/* SPDX-License-Identifier: MIT
 *
 * The worker: what thread it is, in which order it runs drops, when it sleeps.
 */
#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define FOREVER DEFER_DROP_FOREVER

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
	sight->policy = sched_getscheduler(0);
	sight->niceness = getpriority(PRIO_PROCESS, 0);
	sight->thread = pthread_self();
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstacksize(&attributes, &sight->stack_bytes);
	pthread_attr_destroy(&attributes);
}

static struct sight look_at(const struct defer_drop_config *config)
{
	struct defer_drop_queue *queue;
	struct sight sight;

	answers(0, defer_drop_queue_create(&queue, config));
	answers(0, defer_drop_queue_push(queue, &sight, look));
	end_queue(queue);
	return sight;
}

Test(worker, is_a_thread_of_its_own_with_a_name_and_all_signals_blocked)
{
	struct sight sight = look_at(NULL);
	sigset_t own;

	cr_assert_str_eq(sight.name, "defer_drop");
	cr_assert_not(pthread_equal(sight.thread, pthread_self()));
	for (int signal = 1; signal < SIGRTMAX; signal++)
		if (signal != SIGKILL && signal != SIGSTOP && (signal < 32 || signal >= SIGRTMIN))
			cr_assert(sigismember(&sight.blocked, signal), "signal %d", signal);
	/* The starter's are as they were. */
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
	config.worker_name = "fifteen bytes !";
	config.cpus = list;
	config.niceness = 7;
	config.stack_size_bytes = 3 << 20;
	sight = look_at(&config);
	cr_assert_str_eq(sight.name, "fifteen bytes !");
	cr_assert_eq(CPU_COUNT(&sight.cpus), 1);
	cr_assert(CPU_ISSET(cpu, &sight.cpus));
	cr_assert_eq(sight.niceness, 7);
	cr_assert_eq(sight.stack_bytes, 3 << 20);
}

static int policy_of(uint32_t scheduling)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.scheduling = scheduling;
	return look_at(&config).policy;
}

Test(worker, is_scheduled_as_it_was_asked_for)
{
	int own = sched_getscheduler(0);

	answers(own == SCHED_OTHER ? SCHED_BATCH : own, policy_of(DEFER_DROP_SCHEDULING_DEFAULT));
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

/* ---- Order ----------------------------------------------------------------------------------- */

static struct defer_drop_queue *nest;
static atomic_int nest_errors;

/* Makes two more, each with one digit more, down to three digits. */
static void branch(void *object)
{
	uintptr_t at = (uintptr_t)object;

	note(object);
	for (uintptr_t digit = 1; at < 100 && digit <= 2; digit++)
		if (defer_drop_queue_push(nest, number(10 * at + digit), branch))
			atomic_fetch_add(&nest_errors, 1);
}

static void assert_nested_order(uint32_t runner)
{
	const uintptr_t want[] = {1, 11, 12, 111, 112, 121, 122, 2, 21, 22, 211, 212, 221, 222};

	nest = make_queue(runner, 16, 0);
	atomic_store(&seen_count, 0);
	answers(0, defer_drop_queue_push(nest, number(1), branch));
	answers(0, defer_drop_queue_push(nest, number(2), branch));
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

	if (left && defer_drop_queue_push(nest, number(left - 1), chain))
		atomic_fetch_add(&nest_errors, 1);
	count_up(&seen_count);
}

Test(worker, does_not_recurse_however_deep_drops_are_nested)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.stack_size_bytes = 1 << 18;
	answers(0, defer_drop_queue_create(&nest, &config));
	answers(0, defer_drop_queue_push(nest, number(300000), chain));
	answers(0, defer_drop_queue_flush(nest, FOREVER));
	cr_assert_eq(atomic_load(&nest_errors), 0);
	cr_assert_eq(atomic_load(&seen_count), 300001);
	end_queue(nest);
}

static void *push_last(void *argument)
{
	return number((uintptr_t)-defer_drop_queue_push(argument, number(99999), note));
}

Test(worker, lets_no_lane_starve_another)
{
	struct defer_drop_queue *queue = make_queue(DEFER_DROP_RUNNER_WORKER, 16384, 0);
	unsigned place = 0;
	struct gate gate;

	hold_up(queue, &gate);
	for (uintptr_t i = 0; i < 12000; i++)
		answers(0, defer_drop_queue_push(queue, number(i), note));
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
	struct defer_drop_queue *queue;

	config.quiet_spell_ns = quiet_spell_ns;
	config.longest_nap_ns = 100000;
	answers(0, defer_drop_queue_create(&queue, &config));
	return queue;
}

Test(worker, sleeps_after_a_quiet_spell_and_each_push_wakes_it)
{
	struct defer_drop_queue *queue = make_restless(1000000);

	for (uintptr_t i = 0; i < 20; i++) {
		uint64_t wakes;

		await(is_asleep(queue));
		wakes = stats_of(queue).wakes_total;
		answers(0, defer_drop_queue_push(queue, number(i), note));
		/* No flush: it must come by itself. */
		await(atomic_load(&seen_count) == i + 1);
		await(stats_of(queue).wakes_total > wakes);
		await(stats_of(queue).deep_sleeps_total > i);
	}
	assert_seen(0, 20);
	await(is_asleep(queue));
	/* A flush with nothing to wait for wakes nobody. */
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	cr_assert(is_asleep(queue));
	end_queue(queue);
}

Test(worker, is_woken_from_its_sleep_by_a_shutdown)
{
	for (unsigned mode = 0; mode < 3; mode++) {
		struct defer_drop_queue *queue = make_restless(1000000);

		await(is_asleep(queue));
		answers(0, defer_drop_queue_shutdown(queue, mode, 0, NULL));
		answers(0, defer_drop_queue_free(queue));
	}
}

Test(worker, only_naps_where_it_never_is_to_sleep)
{
	struct defer_drop_queue *queue = make_restless(DEFER_DROP_NEVER);

	await(stats_of(queue).naps_total > 20);
	cr_assert_eq(stats_of(queue).deep_sleeps_total, 0);
	cr_assert_not(atomic_load(&queue->park.attention) & DD_ASLEEP);
	answers(0, defer_drop_queue_push(queue, number(0), note));
	await(atomic_load(&seen_count) == 1);
	end_queue(queue);
}

Test(worker, finds_by_itself_what_is_pushed_while_it_naps)
{
	struct defer_drop_queue *queue = make_restless(DEFER_DROP_NEVER);

	for (uintptr_t i = 0; i < 200; i++) {
		while (!dd_bell_is_napping(&queue->park.bell))
			sched_yield();
		answers(0, defer_drop_queue_push(queue, number(i), note));
		await(atomic_load(&seen_count) == i + 1);
	}
	end_queue(queue);
}
