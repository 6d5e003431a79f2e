/* SPDX-License-Identifier: MIT
 *
 * The system calls and allocations of the library, which fail on request.
 */
#include "fault.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hostile.h"

static atomic_uint kinds_failing;
static atomic_uint calls_total;
static atomic_uint first_failing;
static atomic_bool is_failing_for_good;
static atomic_uint percent_interrupted;
static atomic_uint waits_total;
static atomic_uint mappings_total;
static atomic_uint threads_total;

void fault_begin(unsigned kinds, unsigned first, bool is_for_good)
{
	atomic_store(&calls_total, 0);
	atomic_store(&first_failing, first);
	atomic_store(&is_failing_for_good, is_for_good);
	atomic_store(&kinds_failing, kinds);
}

bool fault_end(void)
{
	atomic_store(&kinds_failing, 0);
	return atomic_load(&calls_total) >= atomic_load(&first_failing);
}

void fault_interrupt(unsigned percent)
{
	atomic_store(&percent_interrupted, percent);
}

/* Sets errno where it fails, also for functions that return their error: they may. */
static bool fails(enum fault kind, int error)
{
	unsigned call;

	if (!(atomic_load(&kinds_failing) & kind))
		return false;
	call = atomic_fetch_add(&calls_total, 1) + 1;
	if (call < atomic_load(&first_failing) ||
		(call > atomic_load(&first_failing) && !atomic_load(&is_failing_for_good)))
		return false;
	errno = error;
	return true;
}

/* The linker's names: the wrapped function, and what stands in for it. */
#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

/* Functions of file offsets, of which glibc has two. */
#ifdef __GLIBC__
#define OF_64_BITS(name) name##64
#else
#define OF_64_BITS(name) name
#endif
#define WRAP_OFFSET(type, name, ...)                 \
	type OF_64_BITS(__real_##name)(__VA_ARGS__); \
	type OF_64_BITS(__wrap_##name)(__VA_ARGS__); \
	type OF_64_BITS(__wrap_##name)(__VA_ARGS__)

/* ---- Memory ---------------------------------------------------------------------------------- */

WRAP(void *, malloc, size_t bytes)
{
	return fails(FAULT_MEMORY, ENOMEM) ? NULL : __real_malloc(bytes);
}

WRAP(void *, calloc, size_t count, size_t bytes)
{
	return fails(FAULT_MEMORY, ENOMEM) ? NULL : __real_calloc(count, bytes);
}

WRAP(void *, aligned_alloc, size_t alignment, size_t bytes)
{
	return fails(FAULT_MEMORY, ENOMEM) ? NULL : __real_aligned_alloc(alignment, bytes);
}

WRAP(void *, realloc, void *memory, size_t bytes)
{
	return fails(FAULT_MEMORY, ENOMEM) ? NULL : __real_realloc(memory, bytes);
}

WRAP_OFFSET(void *, mmap, void *at, size_t bytes, int protection, int flags, int file, off_t from)
{
	if (fails(FAULT_MAPPING, ENOMEM))
		return MAP_FAILED;
	atomic_fetch_add(&mappings_total, 1);
	return OF_64_BITS(__real_mmap)(at, bytes, protection, flags, file, from);
}

WRAP(int, munmap, void *at, size_t bytes)
{
	atomic_fetch_sub(&mappings_total, 1);
	return __real_munmap(at, bytes);
}

unsigned fault_mappings(void)
{
	return atomic_load(&mappings_total);
}

void *true_malloc(size_t bytes)
{
	void *memory = __real_malloc(bytes);

	CHECK(memory);
	return memory;
}

/* ---- Threads --------------------------------------------------------------------------------- */

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
	void *argument)
{
	int error;

	if (fails(FAULT_THREAD, EAGAIN))
		return EAGAIN;
	error = __real_pthread_create(thread, attributes, run, argument);
	atomic_fetch_add(&threads_total, !error);
	return error;
}

WRAP(int, pthread_join, pthread_t thread, void **result)
{
	atomic_fetch_sub(&threads_total, 1);
	return __real_pthread_join(thread, result);
}

WRAP(int, pthread_detach, pthread_t thread)
{
	atomic_fetch_sub(&threads_total, 1);
	return __real_pthread_detach(thread);
}

pthread_t true_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	CHECK(!__real_pthread_create(&thread, NULL, run, argument));
	atomic_fetch_add(&threads_total, 1);
	return thread;
}

unsigned fault_threads(void)
{
	return atomic_load(&threads_total);
}

#ifdef __GLIBC__
WRAP(int, pthread_attr_setaffinity_np, pthread_attr_t *attributes, size_t bytes,
	const cpu_set_t *cpus)
{
	if (fails(FAULT_ATTRIBUTE, ENOMEM))
		return ENOMEM;
	return __real_pthread_attr_setaffinity_np(attributes, bytes, cpus);
}
#endif

WRAP(int, pthread_key_create, pthread_key_t *key, void (*destroy)(void *))
{
	return fails(FAULT_KEY, EAGAIN) ? EAGAIN : __real_pthread_key_create(key, destroy);
}

WRAP(int, pthread_setspecific, pthread_key_t key, const void *value)
{
	return fails(FAULT_KEY, ENOMEM) ? ENOMEM : __real_pthread_setspecific(key, value);
}

WRAP(int, setpriority, int which, id_t who, int niceness)
{
	if (fails(FAULT_SCHEDULING, EACCES))
		return -1;
	return __real_setpriority(which, who, niceness);
}

/* ---- Files, hooks ---------------------------------------------------------------------------- */

WRAP_OFFSET(int, fcntl, int file, int command, ...)
{
	va_list arguments;
	long argument;

	va_start(arguments, command);
	argument = va_arg(arguments, long);
	va_end(arguments);
	return fails(FAULT_DESCRIPTOR, EMFILE) ? -1
					       : OF_64_BITS(__real_fcntl)(file, command, argument);
}

WRAP(int, poll, struct pollfd *files, nfds_t count, int timeout_ms)
{
	return fails(FAULT_SIGNAL, ENOMEM) ? -1 : __real_poll(files, count, timeout_ms);
}

WRAP(ssize_t, write, int file, const void *bytes, size_t count)
{
	return fails(FAULT_SIGNAL, EIO) ? -1 : __real_write(file, bytes, count);
}

WRAP(int, atexit, void (*run)(void))
{
	return fails(FAULT_HOOK, ENOMEM) ? 1 : __real_atexit(run);
}

WRAP(int, pthread_atfork, void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
	if (fails(FAULT_HOOK, ENOMEM))
		return ENOMEM;
	return __real_pthread_atfork(before, in_parent, in_child);
}

/* ---- System calls that have no function of their own ----------------------------------------- */

static bool is_interrupted(long number, long operation)
{
	if (number != SYS_futex || (operation & FUTEX_CMD_MASK) == FUTEX_WAKE)
		return false;
	if (atomic_fetch_add(&waits_total, 1) % 100 >= atomic_load(&percent_interrupted))
		return false;
	errno = EINTR;
	return true;
}

WRAP(long, syscall, long number, ...)
{
	va_list arguments;
	long at[6];

	va_start(arguments, number);
	for (unsigned i = 0; i < 6; i++)
		at[i] = va_arg(arguments, long);
	va_end(arguments);
	if (is_interrupted(number, at[1]))
		return -1;
	if (number == SYS_membarrier &&
		fails(FAULT_BARRIER, atomic_load(&is_failing_for_good) ? ENOSYS : ENOMEM))
		return -1;
	if (number == SYS_sched_setscheduler && fails(FAULT_SCHEDULING, EPERM))
		return -1;
	return __real_syscall(number, at[0], at[1], at[2], at[3], at[4], at[5]);
}
