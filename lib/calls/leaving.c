/* SPDX-License-Identifier: MIT
 *
 * What is pending is destroyed before the static objects of C++, which its destructors may use.
 *
 * Handlers of atexit(3) and destructors of static objects run in the reverse order in which they
 * were set: a static object that is made after the first push is destroyed before the library's own
 * handler of exit runs. But when the main thread leaves main or calls exit, its thread-local objects
 * are destroyed first of all ([basic.start.term]). So the library flushes when those of the main
 * thread are, if it is there from the start. Queues stay open: what comes later still is for the
 * handler of exit, and no harm is done where pthread_exit(3) in main destroys these objects too.
 */
#include <errno.h>
#include <link.h>
#include <unistd.h>

#include "base/fork.h"
#include "calls/drain.h"
#include "core/registry.h"
#include "core/stats.h"

/*
 * If no destructor returns for this long, it is left to the handler of exit. It may wait for a
 * handler of the program's, or the thread may have left by a signal in the middle of a push.
 */
#define PATIENCE_NS DD_S

static bool is_due(const struct defer_drop_queue *queue)
{
	return !queue->has_seen_main_end && dd_queue_has_worker(queue) &&
	       queue->config.values.exit_timeout_ns;
}

/* Takes the next queue; of equals, the newest; last the default one, as exit does. */
static struct defer_drop_queue *next_queue(void)
{
	struct defer_drop_queue *found = NULL;

	dd_registry_lock();
	for (struct defer_drop_queue *at = dd_registry_first(); at; at = at->next)
		if (is_due(at) && (!found || dd_queue_is_default(found)))
			found = at;
	if (found)
		found->has_seen_main_end = found->is_in_main_end = true;
	dd_registry_unlock();
	return found;
}

/* Lets go of a queue, which may have been removed meanwhile; its memory stays in that case. */
static void let_go(struct defer_drop_queue *queue)
{
	dd_registry_lock();
	queue->is_in_main_end = false;
	dd_registry_unlock();
}

static uint64_t ended_total(struct defer_drop_queue *queue, uint64_t *pushed_total)
{
	struct defer_drop_stats stats;

	dd_stats_get(queue, &stats);
	*pushed_total = stats.pushed_total;
	return stats.destroyed_total + stats.abandoned_total;
}

/* Waits until all that was pushed by now is destroyed, as long as that goes on. */
static void flush(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	uint64_t ignored;
	uint64_t wanted_total;
	uint64_t total = ended_total(queue, &wanted_total);
	uint64_t before = total - 1;

	while (total != before && total < wanted_total && dd_queue_state(queue) == DD_OPEN &&
		!dd_deadline_has_come(deadline_ns)) {
		uint64_t left_ns =
			deadline_ns == DEFER_DROP_FOREVER ? PATIENCE_NS : deadline_ns - dd_now_ns();

		if (defer_drop_queue_flush(queue, dd_least(left_ns, PATIENCE_NS)) != -ETIMEDOUT)
			return;
		before = total;
		total = ended_total(queue, &ignored);
	}
	queue->is_out_of_time = dd_deadline_has_come(deadline_ns);
}

static void at_main_end(void *ignored)
{
	struct defer_drop_queue *queue;

	(void)ignored;
	dd_fork_break_off();
	while ((queue = next_queue())) {
		flush(queue, dd_deadline_after(queue->config.values.exit_timeout_ns));
		let_go(queue);
	}
}

/* ---- Hearing of it --------------------------------------------------------------------------- */

/* How C++ destroys thread-local objects; not all C libraries have it. */
extern int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *dso)
	__attribute__((weak));

/* Of the program or shared object that the library is part of; a static program may have none. */
extern const ElfW(Dyn) dynamic_section[] __asm__("_DYNAMIC")
	__attribute__((weak, visibility("hidden")));

/* True if the code stays until the process ends: in a program, or in an object that says so. */
static bool is_permanent(void)
{
	for (const ElfW(Dyn) *at = dynamic_section; at && at->d_tag != DT_NULL; at++) {
		if (at->d_tag == DT_DEBUG) /* which only programs have */
			return true;
		if (at->d_tag == DT_FLAGS_1 && (at->d_un.d_val & (DF_1_NODELETE | DF_1_PIE)))
			return true;
	}
	return !dynamic_section;
}

/* LeakSanitizer's, if it is there. */
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

__attribute__((constructor)) static void hear_of_main_end(void)
{
	if (!__cxa_thread_atexit_impl || gettid() != getpid() || !is_permanent())
		return;
	/* glibc allocates memory, and leaves it behind when the main thread ends by pthread_exit. */
	if (__lsan_disable)
		__lsan_disable();
	__cxa_thread_atexit_impl(at_main_end, NULL, (void *)(uintptr_t)dynamic_section);
	if (__lsan_enable)
		__lsan_enable();
}
