/* SPDX-License-Identifier: MIT
 *
 * A system with few resources: threads, descriptors, CPUs, fences.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fault.h"
#include "hostile.h"
#include "base/policy.h"
#include "core/queue.h"

#define FOREVER DEFER_DROP_FOREVER
#define NOBODY  65534

/* ---- A busy queue ---------------------------------------------------------------------------- */

#define PRODUCERS 4

struct work {
	struct ledger *ledger;
	struct defer_drop_queue *queue;
	unsigned pushes; /* of each producer, or until the queue is shut down */
};

static void *produce(void *argument)
{
	const struct work *work = argument;
	int result = 0;

	for (unsigned i = 0; i < work->pushes && !result; i++)
		result = ledger_push(work->ledger, work->queue);
	CHECK(!result || result == -ESHUTDOWN);
	return NULL;
}

static struct defer_drop_config small_config(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.queue_size = 16;
	config.max_lanes = 2; /* so that some share one */
	config.quiet_spell_ns = 1000000;
	return config;
}

/* Producers that fill small rings, and flushes beside them; then a shutdown beside more. */
static void work_hard(const struct defer_drop_config *config, unsigned pushes)
{
	struct work work = {.ledger = ledger_open(), .pushes = pushes};
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	pthread_t threads[PRODUCERS];

	ANSWERS(0, defer_drop_queue_create(&work.queue, config));
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < PRODUCERS; i++)
			threads[i] = true_thread(produce, &work);
		for (unsigned i = 0; i < 10; i++)
			ANSWERS(0, defer_drop_queue_flush(work.queue, FOREVER));
		if (round)
			ANSWERS(0, defer_drop_queue_shutdown(work.queue, FOREVER));
		for (unsigned i = 0; i < PRODUCERS; i++)
			CHECK(!pthread_join(threads[i], NULL));
		if (!round)
			ANSWERS(0, defer_drop_queue_flush(work.queue, FOREVER));
		CHECK(work.ledger->accepted == work.ledger->destroyed);
		work.pushes = UINT32_MAX;
	}
	ANSWERS(0, defer_drop_queue_stats(work.queue, &stats));
	CHECK(stats.destroyed_total == work.ledger->accepted && !stats.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(work.queue));
}

/* The kernel lets the process register for membarrier(2), and later refuses the call
 * (seccomp(2)). */
static void lose_membarrier(void)
{
	struct defer_drop_config config = small_config();
	struct defer_drop_queue *first;

	ANSWERS(0, defer_drop_queue_create(&first, NULL));
	fault_begin(FAULT_BARRIER, 3, true); /* query, register */
	work_hard(&config, 200);
	CHECK(fault_end());
	end_queue(first);
}

static void interrupt_waits(void)
{
	struct defer_drop_config config = small_config();

	fault_interrupt(75);
	work_hard(&config, 2000);
	fault_interrupt(0);
}

/* ---- One CPU --------------------------------------------------------------------------------- */

static unsigned stay_on_one_cpu(void)
{
	cpu_set_t cpus;
	unsigned cpu = 0;

	CHECK(!sched_getaffinity(0, sizeof cpus, &cpus));
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	CHECK(!sched_setaffinity(0, sizeof cpus, &cpus));
	return cpu;
}

static void share_one_cpu(void)
{
	struct defer_drop_config config = small_config();

	stay_on_one_cpu();
	work_hard(&config, 5000);
}

#define SPUN_DROPS 3000

/* Counts how often each was destroyed. */
static unsigned spun[SPUN_DROPS];
static unsigned spun_next;

static void destroy_spun(void *object)
{
	CHECK((unsigned *)object == &spun[spun_next++]);
	++*(unsigned *)object;
}

/* A refused push is tried again at once: this thread never sleeps, and never gives its CPU up. */
static void spin_beside(struct defer_drop_config *config)
{
	struct defer_drop_queue *queue;
	char cpus[16];

	memset(spun, 0, sizeof spun);
	spun_next = 0;
	snprintf(cpus, sizeof cpus, "%u", stay_on_one_cpu());
	config->cpus = cpus;
	ANSWERS(0, defer_drop_queue_create(&queue, config));
	for (unsigned i = 0; i < SPUN_DROPS;) {
		int result =
			i % 2 ? defer_drop_queue_push(queue, &spun[i], destroy_spun, 0)
			      : defer_drop_queue_push_with(queue, &spun[i], destroy_spun, 0, NULL);

		CHECK(!result || result == -EAGAIN);
		i += !result;
	}
	ANSWERS(0, defer_drop_queue_flush(queue, FOREVER));
	CHECK(spun_next == SPUN_DROPS);
	for (unsigned i = 0; i < SPUN_DROPS; i++)
		CHECK(spun[i] == 1);
	end_queue(queue);
}

/* The kernel lets even the worker of least weight have its share of the CPU, in the end. */
static void push_spinning(void)
{
	struct defer_drop_config config = small_config();

	config.queue_size = 64; /* each lap takes a slice, of which an idle thread gets few */
	config.niceness = 19;
	spin_beside(&config);
	config.niceness = DEFER_DROP_NICENESS_INHERITED;
	config.scheduling = DEFER_DROP_SCHEDULING_IDLE;
	spin_beside(&config);
}

/* Takes a privilege. */
static void become_urgent(void)
{
	if (!dd_policy_set(0, SCHED_FIFO, 1))
		return;
	CHECK(errno == EPERM);
	skip("no real-time priority here");
}

/* Returns how often the calling thread slept, rather than was preempted. */
static long sleeps_of_thread(void)
{
	struct rusage usage;

	CHECK(!getrusage(RUSAGE_THREAD, &usage));
	return usage.ru_nvcsw;
}

/*
 * A thread that waits must sleep: the kernel gives an ordinary thread none of this CPU while a
 * real-time one can run, or a twentieth of it (sched(7), sched_rt_runtime_us).
 */
static void push_urgently(void)
{
	struct defer_drop_config config = small_config();
	struct work work = {.ledger = ledger_open(), .pushes = 3000};
	long sleeps;

	stay_on_one_cpu();
	config.scheduling = DEFER_DROP_SCHEDULING_OTHER;
	ANSWERS(0, defer_drop_queue_create(&work.queue, &config));
	become_urgent();
	sleeps = sleeps_of_thread();
	produce(&work);
	ANSWERS(0, defer_drop_queue_flush(work.queue, FOREVER));
	/* The ring holds this number: the others took at least one sleep each lap. */
	CHECK(sleeps_of_thread() - sleeps >= 3000 / 16 - 1);
	CHECK(work.ledger->destroyed == 3000);
	end_queue(work.queue);
}

/* A push stopped in its middle. */
static void *publish_late(void *argument)
{
	struct work *work = argument;
	struct dd_ring *ring = &work->queue->shared.ring;
	uint64_t at = dd_ring_claim(ring, 1);

	atomic_store(&work->ledger->mark, 1);
	AWAIT(atomic_load(&work->ledger->mark) == 2);
	dd_ring_publish(ring, at, work->ledger, ledger_count);
	return NULL;
}

static void flush_urgently(void)
{
	struct defer_drop_config config = small_config();
	struct work work = {.ledger = ledger_open()};
	pthread_t thread;
	long sleeps;

	stay_on_one_cpu();
	config.runner = DEFER_DROP_RUNNER_CALLER;
	ANSWERS(0, defer_drop_queue_create(&work.queue, &config));
	thread = true_thread(publish_late, &work);
	AWAIT(atomic_load(&work.ledger->mark));
	become_urgent();
	sleeps = sleeps_of_thread();
	atomic_store(&work.ledger->mark, 2); /* which is seen when this CPU is free */
	ANSWERS(0, defer_drop_queue_flush(work.queue, FOREVER));
	CHECK(work.ledger->destroyed == 1);
	CHECK(sleeps_of_thread() > sleeps);
	CHECK(!pthread_join(thread, NULL));
	end_queue(work.queue);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

#ifdef __GLIBC__
typedef __rlimit_resource_t resource_t;
#else
typedef int resource_t;
#endif

static void limit(resource_t resource, rlim_t most)
{
	struct rlimit now;

	CHECK(!getrlimit(resource, &now));
	now.rlim_cur = most < now.rlim_max ? most : now.rlim_max;
	CHECK(!setrlimit(resource, &now));
}

/* For root there are no such limits, so it has to become another user. */
static void need_limits(void)
{
	if (!getuid() && (setreuid(NOBODY, (uid_t)-1) || setreuid(0, (uid_t)-1)))
		skip("root has no limits here, and cannot become another user");
}

static void become_nobody(void)
{
	if (!getuid())
		CHECK(!setuid(NOBODY));
	CHECK(!prctl(PR_SET_DUMPABLE, 1)); /* for the checker of leaks */
}

/* What a push with options took is given back where it is refused. */
static void refuse_options(void *object)
{
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.completion = &completion;
	options.bytes = 100;
	ANSWERS(-ESRCH, defer_drop_with(object, ledger_count, FOREVER, &options));
	ANSWERS(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
}

/* What the default queue answers while its worker cannot be started and its ring is full. */
static void starve(struct ledger *ledger)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	struct defer_drop_queue *made;
	struct defer_drop_ticket ticket;
	int result;

	options.completion = &completion;
	options.ticket = &ticket;
	ANSWERS(0, defer_drop_with(ledger, ledger_count, FOREVER, &options));
	atomic_fetch_add(&ledger->accepted, 1);
	while (!(result = ledger_push(ledger, queue)))
		;
	CHECK(result == -ESRCH);
	CHECK(!ledger->destroyed);
	ANSWERS(-ESRCH, defer_drop_timed(ledger, ledger_count, FOREVER));
	ANSWERS(-EAGAIN, defer_drop_timed(ledger, ledger_count, 0));
	ANSWERS(-EAGAIN, defer_drop_try(ledger, ledger_count));
	refuse_options(ledger);
	ANSWERS(-ESRCH, defer_drop_flush());
	ANSWERS(-ESRCH, defer_drop_flush_timed(DEADLINE_NS));
	ANSWERS(-ESRCH, defer_drop_queue_wait_backlog(queue, 0, 0, FOREVER));
	ANSWERS(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
	ANSWERS(-ESRCH, defer_drop_ticket_wait(&ticket, FOREVER));
	ANSWERS(-ESRCH, defer_drop_ticket_notify(&ticket, STDERR_FILENO));
	ANSWERS(-EAGAIN, defer_drop_completion_wait(&completion, 0, NULL));
	ANSWERS(-ESRCH, defer_drop_completion_wait(&completion, FOREVER, NULL));
	ANSWERS(-ESRCH, defer_drop_start(NULL));
	ANSWERS(-ESRCH, defer_drop_queue_start(queue));
	ANSWERS(-ESRCH, defer_drop_queue_create(&made, NULL));
	limit(RLIMIT_NPROC, RLIM_INFINITY);
	ANSWERS(0, ledger_push(ledger, queue));
	ANSWERS(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	ANSWERS(0, defer_drop_flush());
	CHECK(ledger->accepted == ledger->destroyed);
	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	CHECK(!stats.backlog && !stats.backlog_bytes);
}

static void have_no_threads(void)
{
	need_limits();
	limit(RLIMIT_NPROC, 0);
	become_nobody();
	starve(ledger_open());
}

/* No thread waits for them, so a push must start the worker. */
static void start_later(void)
{
	struct ledger *ledger = ledger_open();

	fault_begin(FAULT_THREAD, 1, true);
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	CHECK(fault_end());
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	AWAIT(atomic_load(&ledger->destroyed) == 2);
}

/* More than once, so that what is left of the first attempt would show. */
static void fail_to_start(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct ledger *ledger = ledger_open();
	unsigned mappings = fault_mappings();

	config.queue_size = 1 << 20; /* larger than what is there without being mapped */
	fault_begin(FAULT_THREAD, 1, true);
	for (unsigned i = 0; i < 3; i++) {
		ANSWERS(-ESRCH, defer_drop_start(&config));
		CHECK(fault_mappings() == mappings);
	}
	CHECK(fault_end());
	ANSWERS(0, ledger_push(ledger, defer_drop_queue_default()));
	ANSWERS(0, defer_drop_flush());
	ANSWERS(0, defer_drop_queue_config(defer_drop_queue_default(), &config));
	CHECK(config.queue_size < 1 << 20);
}

/* A queue that cannot be started stays as it was stopped, and can be shut down so. */
static void fail_to_start_again(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	struct ledger *ledger = ledger_open();

	for (unsigned round = 0; round < 3; round++) {
		ANSWERS(0, ledger_push(ledger, queue));
		ANSWERS(0, defer_drop_flush());
		ANSWERS(0, defer_drop_queue_stop(queue, FOREVER));
		fault_begin(FAULT_THREAD, 1, true);
		ANSWERS(0, ledger_push(ledger, queue));
		for (unsigned i = 0; i < 3; i++)
			ANSWERS(-ESRCH, defer_drop_queue_start(queue));
		CHECK(fault_threads() == 0 && defer_drop_queue_backlog(queue) == 1);
		ANSWERS(-ETIMEDOUT, defer_drop_flush_timed(1000000));
		if (round == 2)
			ANSWERS(0, defer_drop_shutdown());
		CHECK(fault_end());
		if (round < 2)
			ANSWERS(0, defer_drop_queue_start(queue));
	}
	CHECK(ledger->accepted == 6 && ledger->destroyed == 6);
}

/* Runs after the library's exit: a checker of leaks needs a thread. */
static void allow_threads(void)
{
	limit(RLIMIT_NPROC, RLIM_INFINITY);
}

static void exit_without_threads(void *argument)
{
	CHECK(!atexit(allow_threads));
	limit(RLIMIT_NPROC, 0);
	become_nobody();
	for (unsigned i = 0; i < 10; i++)
		ANSWERS(0, ledger_push(argument, defer_drop_queue_default()));
#if HAS_RCU
	ANSWERS(0, defer_drop_rcu(argument, ledger_count));
	atomic_fetch_add(&((struct ledger *)argument)->accepted, 1);
#endif
	exit(0);
}

static void drain_without_threads(void)
{
	struct ledger *ledger = ledger_open();

	need_limits();
	run_good_child(exit_without_threads, ledger);
	CHECK(ledger->accepted == ledger->destroyed);
}

/* As a process that locks itself up does: it keeps its open descriptors, and opens no more. */
static void have_no_descriptors(void)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct ledger *ledger = ledger_open();
	struct defer_drop_ticket ticket;
	uint64_t count;
	struct defer_drop_options named = DEFER_DROP_OPTIONS_INIT;
	int signalled = eventfd(0, EFD_CLOEXEC);

	named.ticket = &ticket;
	limit(RLIMIT_NOFILE, 0);
	completion.eventfd = signalled;
	options.completion = &completion;
	ANSWERS(0, defer_drop_queue_push_with(queue, ledger, ledger_count, FOREVER, &named));
	ANSWERS(-EMFILE, defer_drop_ticket_notify(&ticket, signalled));
	ANSWERS(-EBADF, defer_drop_ticket_notify(&ticket, -1));
	ANSWERS(0, defer_drop_with(ledger, ledger_count, FOREVER, &options));
	CHECK(read(signalled, &count, sizeof count) == sizeof count && count == 1);
	ANSWERS(0, defer_drop_completion_wait(&completion, FOREVER, NULL));
	limit(RLIMIT_NOFILE, RLIM_INFINITY);
	ANSWERS(0, defer_drop_ticket_notify(&ticket, signalled));
	CHECK(read(signalled, &count, sizeof count) == sizeof count && count == 1);
	close(signalled);
}

const struct hostile_case hostile_cases[] = {
	{"membarrier", "If membarrier fails after it was registered, nothing is lost.",
		lose_membarrier},
	{"interrupted", "Waits that are interrupted more often than not change nothing.",
		interrupt_waits},
	{"one-cpu", "All goes well if producers and worker share one CPU.", share_one_cpu},
	{"spinning-push",
		"Pushes that never wait, on the CPU of a worker of least weight, get through.",
		push_spinning},
	{"urgent-push", "A real-time producer sleeps for room, so that the worker gets its CPU.",
		push_urgently},
	{"urgent-flush", "A real-time thread that drains sleeps until a producer has published.",
		flush_urgently},
	{"no-threads", "If no worker can be started all calls say so, and later one is started.",
		have_no_threads},
	{"no-threads-push", "The next push starts the worker that could not be started.",
		start_later},
	{"no-threads-start", "A start that fails, however often, changes nothing.", fail_to_start},
	{"no-threads-again",
		"A queue that was stopped and cannot be started is still stopped, and shuts down.",
		fail_to_start_again},
	{"no-threads-exit", "If no thread can be started exit drains, grace periods included.",
		drain_without_threads},
	{"no-descriptors", "Without descriptors notify says so, and eventfds are signalled.",
		have_no_descriptors},
	{NULL, NULL, NULL},
};
