/* SPDX-License-Identifier: MIT
 *
 * A thread that is not like the process pushes first, and so starts the threads of the library.
 */
#include "hostile.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/policy.h"

/* How the system schedules a thread. */
struct looks {
	int policy;
	int niceness;
	cpu_set_t cpus;
};

static struct looks worker;

static void look(struct looks *looks)
{
	looks->policy = dd_policy(0);
	looks->niceness = getpriority(PRIO_PROCESS, 0);
	CHECK(!sched_getaffinity(0, sizeof looks->cpus, &looks->cpus));
}

/* A destructor. */
static void be_seen(void *looks)
{
	look(looks);
}

/* Leaves the calling thread the last of its CPUs. */
static void pin(void)
{
	cpu_set_t cpus;
	int last = -1;

	CHECK(!sched_getaffinity(0, sizeof cpus, &cpus));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((unsigned)cpu, &cpus))
			last = cpu;
	CPU_ZERO(&cpus);
	CPU_SET((unsigned)last, &cpus);
	CHECK(!sched_setaffinity(0, sizeof cpus, &cpus));
}

static bool be_urgent(void)
{
	return !dd_policy_set(0, SCHED_FIFO, 10);
}

static void in_thread(void *(*function)(void *))
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, function, NULL));
	CHECK(!pthread_join(thread, NULL));
}

static void *push_first(void *ignored)
{
	(void)ignored;
	pin();
	be_urgent(); /* if it may */
	setpriority(PRIO_PROCESS, 0, 5);
	ANSWERS(0, defer_drop(&worker, be_seen));
	return NULL;
}

static bool may_be_less_nice(void)
{
	struct rlimit limit;

	CHECK(!getrlimit(RLIMIT_NICE, &limit));
	return !geteuid() || limit.rlim_cur >= 20;
}

static void run_first(void)
{
	struct looks own;

	look(&own);
	in_thread(push_first);
	ANSWERS(0, defer_drop_flush());
	CHECK(worker.policy == SCHED_BATCH);
	CHECK(CPU_EQUAL(&worker.cpus, &own.cpus));
	if (may_be_less_nice())
		CHECK(worker.niceness == own.niceness);
}

/* ---- A poller that leaves its CPU to nobody -------------------------------------------------- */

static atomic_bool has_pushed;
static atomic_bool is_over;

static void *poll_for_ever(void *ignored)
{
	(void)ignored;
	pin();
	CHECK(be_urgent());
	ANSWERS(0, defer_drop(&worker, be_seen));
	atomic_store(&has_pushed, true);
	while (!atomic_load(&is_over))
		continue;
	return NULL;
}

static void run_poller(void)
{
	cpu_set_t cpus;
	pthread_t thread;

	CHECK(!sched_getaffinity(0, sizeof cpus, &cpus));
	if (CPU_COUNT(&cpus) < 2)
		skip("a poller that takes the only CPU leaves none to anybody");
	if (!be_urgent())
		skip("real-time scheduling takes CAP_SYS_NICE");
	CHECK(!dd_policy_set(0, SCHED_OTHER, 0));
	CHECK(!pthread_create(&thread, NULL, poll_for_ever, NULL));
	AWAIT(atomic_load(&has_pushed));
	ANSWERS(0, defer_drop_flush()); /* while it polls */
	atomic_store(&is_over, true);
	CHECK(!pthread_join(thread, NULL));
}

/* ---- As it is -------------------------------------------------------------------------------- */

static struct looks starter;

static void *start_inherited(void *ignored)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	(void)ignored;
	config.scheduling = DEFER_DROP_SCHEDULING_INHERITED;
	pin();
	setpriority(PRIO_PROCESS, 0, 5);
	look(&starter);
	ANSWERS(0, defer_drop_start(&config));
	return NULL;
}

static void run_inherited(void)
{
	in_thread(start_inherited);
	ANSWERS(0, defer_drop(&worker, be_seen));
	ANSWERS(0, defer_drop_flush());
	CHECK(worker.policy == starter.policy && worker.niceness == starter.niceness);
	CHECK(CPU_EQUAL(&worker.cpus, &starter.cpus));
}

const struct hostile_case hostile_cases[] = {
	{"first", "The worker is scheduled as the process, not as the thread that pushes first.",
		run_first},
	{"poller", "A pinned real-time thread that pushes first and then polls holds up nobody.",
		run_poller},
	{"inherited", "If that is asked for, it is scheduled as the thread that starts it.",
		run_inherited},
	{NULL, NULL, NULL},
};
