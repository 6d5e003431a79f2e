/* SPDX-License-Identifier: MIT
 *
 * Starting the threads of a queue, and how the system schedules them.
 *
 * A new thread has the policy, the niceness and the CPUs of the thread that starts it, which may be
 * the first to push: a real-time thread that never leaves its CPU would leave none to the worker.
 * So policy and CPUs are set from outside, before the new thread runs. "The process" is its main
 * thread.
 */
#include "core/scheduling.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/policy.h"
#include "base/report.h"

/* The smallest stack that is tried if there is no memory for one of the system's size. */
#define LEAST_STACK_BYTES (64 << 10)

/* What is asked of the system for a new thread. */
enum wish {
	AS_CONFIGURED = 1 << 0,
	AS_PROCESS = 1 << 1, /* if the configuration leaves it open */
};

/* ---- From outside ---------------------------------------------------------------------------- */

static bool is_inherited(const struct defer_drop_config *config)
{
	return config->scheduling == DEFER_DROP_SCHEDULING_INHERITED;
}

/* musl cannot: the thread sets its CPUs itself, see settle_cpus. */
static int set_cpus(pthread_attr_t *attributes, const cpu_set_t *cpus)
{
#ifdef __GLIBC__
	return pthread_attr_setaffinity_np(attributes, sizeof *cpus, cpus);
#else
	(void)attributes;
	(void)cpus;
	return 0;
#endif
}

/* True if the calling thread may run on other CPUs than the process, whose CPUs it stores. */
static bool has_own_cpus(cpu_set_t *cpus)
{
	cpu_set_t own;

	return !sched_getaffinity(0, sizeof own, &own) &&
	       !sched_getaffinity(getpid(), sizeof *cpus, cpus) && !CPU_EQUAL(&own, cpus);
}

static int set_policy(pthread_attr_t *attributes, int policy, uint32_t priority)
{
	struct sched_param param = {.sched_priority = (int)priority};
	int error = pthread_attr_setinheritsched(attributes, PTHREAD_EXPLICIT_SCHED);

	if (!error)
		error = pthread_attr_setschedpolicy(attributes, policy);
	return error ? error : pthread_attr_setschedparam(attributes, &param);
}

/* Sets what is configured, except the policies that pthread_attr_setschedpolicy(3) lacks. */
static int set_configured(pthread_attr_t *attributes, const struct defer_drop_config *config)
{
	int error = 0;
	cpu_set_t cpus;

	if (config->cpus) {
		dd_cpus_parse(config->cpus, &cpus);
		error = set_cpus(attributes, &cpus);
	}
	if (error || !config->scheduling || is_inherited(config))
		return error;
	if (config->scheduling == DEFER_DROP_SCHEDULING_BATCH ||
		config->scheduling == DEFER_DROP_SCHEDULING_IDLE)
		return 0; /* see dd_scheduling_settle */
	return set_policy(attributes, dd_config_policy(config), config->scheduling_priority);
}

static bool is_ordinary(int policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

/* Undoes what the starting thread has of its own. What cannot be asked for stays as it is. */
static int set_as_process(pthread_attr_t *attributes)
{
	cpu_set_t cpus;
	int error = 0;

	if (has_own_cpus(&cpus))
		error = set_cpus(attributes, &cpus);
	if (!error && !is_ordinary(dd_policy(0)))
		error = set_policy(attributes, SCHED_OTHER, 0);
	return error;
}

/*
 * Starts the thread. If there is no memory for a stack of the system's size, as under mlockall(2)
 * or a small limit, tries smaller ones, unless the program has chosen the size.
 */
static int create(pthread_attr_t *attributes, const struct defer_drop_config *config,
	pthread_t *thread, void *(*run)(void *argument), void *argument)
{
	int error = dd_thread_create(thread, attributes, run, argument);
	size_t wanted_bytes = 0;
	size_t bytes;

	if (error != EAGAIN || config->stack_size_bytes)
		return error;
	pthread_attr_getstacksize(attributes, &wanted_bytes);
	for (bytes = wanted_bytes / 4; error == EAGAIN && bytes >= LEAST_STACK_BYTES; bytes /= 4) {
		if (!pthread_attr_setstacksize(attributes, bytes))
			error = dd_thread_create(thread, attributes, run, argument);
		if (!error)
			dd_report(config->name, "no memory for a stack of %zu bytes, it has %zu",
				wanted_bytes, bytes);
	}
	return error;
}

/* Starts a thread with these wishes. Returns 0 or an error of pthread_create(3). */
static int start(const struct defer_drop_config *config, unsigned wishes, pthread_t *thread,
	void *(*run)(void *argument), void *argument)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);

	if (error)
		return error;
	if ((wishes & AS_PROCESS) && !is_inherited(config))
		error = set_as_process(&attributes);
	if (!error && (wishes & AS_CONFIGURED))
		error = set_configured(&attributes, config);
	if (!error && config->stack_size_bytes)
		error = pthread_attr_setstacksize(&attributes, config->stack_size_bytes);
	if (!error)
		error = create(&attributes, config, thread, run, argument);
	pthread_attr_destroy(&attributes);
	return error;
}

int dd_scheduling_start_worker(
	struct defer_drop_queue *queue, bool is_as_configured, void *(*run)(void *queue))
{
	const struct defer_drop_config *config = &queue->config.values;
	unsigned asked = is_as_configured ? AS_CONFIGURED : 0;
	int error = start(config, asked | AS_PROCESS, &queue->thread, run, queue);

	/* Nothing but what was asked for may fail. */
	if (error && error != EAGAIN)
		error = start(config, asked, &queue->thread, run, queue);
	return -error;
}

int dd_scheduling_start_helper(const struct defer_drop_config *config, pthread_t *thread,
	void *(*run)(void *argument), void *argument)
{
	int error = start(config, AS_PROCESS, thread, run, argument);

	if (error && error != EAGAIN)
		error = start(config, 0, thread, run, argument);
	return error ? -EAGAIN : 0;
}

/* ---- From inside ----------------------------------------------------------------------------- */

/*
 * Sets the policies that pthread_attr_setschedpolicy(3) does not take. By default the worker is a
 * batch thread: otherwise the kernel may let it preempt the very thread that wakes it. In a process
 * that is idle it is idle too.
 */
static int settle_policy(const struct defer_drop_config *config)
{
	int policy = SCHED_BATCH;

	if (config->scheduling)
		policy = dd_config_policy(config);
	else if (dd_policy(getpid()) == SCHED_IDLE)
		policy = SCHED_IDLE;
	if (policy != SCHED_BATCH && policy != SCHED_IDLE)
		return 0;
	/* The default is no more than an attempt. */
	return dd_policy_set(0, policy, 0) && config->scheduling ? -errno : 0;
}

/* Sets the niceness of the process, if the system lets the worker have it. */
static void settle_as_process(void)
{
	int before = errno;
	int wanted;

	errno = 0; /* -1 is a niceness too */
	wanted = getpriority(PRIO_PROCESS, (id_t)getpid());
	if (!errno && wanted != getpriority(PRIO_PROCESS, 0))
		setpriority(PRIO_PROCESS, 0, wanted);
	errno = before;
}

static int settle_niceness(const struct defer_drop_config *config)
{
	if (config->niceness == DEFER_DROP_NICENESS_INHERITED) {
		if (!is_inherited(config))
			settle_as_process();
		return 0;
	}
	if (!setpriority(PRIO_PROCESS, 0, config->niceness))
		return 0;
	/* setpriority(2) tells "not so high" (EACCES) from "not this process" (EPERM). */
	return errno == EACCES ? -EPERM : -errno;
}

static int settle_cpus(const struct defer_drop_config *config)
{
#ifndef __GLIBC__
	cpu_set_t cpus;

	if (config->cpus) {
		dd_cpus_parse(config->cpus, &cpus);
		return sched_setaffinity(0, sizeof cpus, &cpus) ? -errno : 0;
	}
	if (!is_inherited(config) && has_own_cpus(&cpus))
		sched_setaffinity(0, sizeof cpus, &cpus);
#else
	(void)config; /* its CPUs were set from outside */
#endif
	return 0;
}

int dd_scheduling_settle(const struct defer_drop_config *config)
{
	int result = settle_cpus(config);

	if (!result && !is_inherited(config))
		result = settle_policy(config);
	return result ? result : settle_niceness(config);
}
