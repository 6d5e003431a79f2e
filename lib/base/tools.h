/* SPDX-License-Identifier: MIT
 *
 * What the tools are told with which a program is checked, though the library itself is not built
 * for them.
 *
 * ThreadSanitizer, helgrind and DRD do not follow the library's atomic accesses. They are told of
 * each edge by which a program's own data goes from thread to thread, at an address that stands for
 * the edge: from a push to the destructor (the slot), from a destructor to a thread that waits (the
 * ring, the completion), from one consumer to the next (the seat), from giving a block to taking it
 * (the block). LeakSanitizer looks for pointers in mapped memory only where it is told to, and does
 * not ask a forked child for what is the parent's.
 *
 * The functions are those of <sanitizer/tsan_interface.h> and <sanitizer/lsan_interface.h>, which
 * are there if the program is built with the sanitizer. valgrind's are instructions that do nothing
 * outside of valgrind.
 */
#ifndef DD_TOOLS_H
#define DD_TOOLS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef DD_HAS_VALGRIND
#include <valgrind/drd.h>
#include <valgrind/helgrind.h>
#else
#define ANNOTATE_HAPPENS_BEFORE(address)        (void)(address)
#define ANNOTATE_HAPPENS_AFTER(address)         (void)(address)
#define VALGRIND_HG_CLEAN_MEMORY(memory, bytes) (void)(memory)
#endif

/* True if ThreadSanitizer sees the library's own accesses: then it need not be told anything. */
#if defined(__SANITIZE_THREAD__)
#define DD_IS_INSTRUMENTED true
#elif defined(__has_feature)
#define DD_IS_INSTRUMENTED __has_feature(thread_sanitizer)
#else
#define DD_IS_INSTRUMENTED false
#endif

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));
extern void __lsan_register_root_region(const void *begin, size_t bytes) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *begin, size_t bytes) __attribute__((weak));
extern void __lsan_ignore_object(const void *object) __attribute__((weak));

/* True if one of valgrind's tools looks for races. */
static inline bool dd_tools_is_valgrind_racing(void)
{
#ifdef DD_HAS_VALGRIND
	const unsigned long no_answer = 0;
	char byte = 0;
	char bits = 0;

	/* How many of these bytes are addressable: only helgrind answers. */
	return DRD_GET_VALGRIND_THREADID ||
	       VALGRIND_DO_CLIENT_REQUEST_EXPR(
		       no_answer, _VG_USERREQ__HG_GET_ABITS, &byte, &bits, 1, 0, 0);
#else
	return false;
#endif
}

/* True if a tool looks for races: then no push and no drop may take the fast path. */
static inline bool dd_tools_look_for_races(void)
{
	return (!DD_IS_INSTRUMENTED && __tsan_acquire) || dd_tools_is_valgrind_racing();
}

/* The begin of an edge. */
static inline void dd_tools_release(void *address)
{
	if (!DD_IS_INSTRUMENTED && __tsan_release)
		__tsan_release(address);
	ANNOTATE_HAPPENS_BEFORE(address);
}

/* The end of an edge. */
static inline void dd_tools_acquire(void *address)
{
	if (!DD_IS_INSTRUMENTED && __tsan_acquire)
		__tsan_acquire(address);
	ANNOTATE_HAPPENS_AFTER(address);
}

/* The program's memory that the library has used, and will not use again. */
static inline void dd_tools_give_back(void *memory, size_t bytes)
{
	VALGRIND_HG_CLEAN_MEMORY(memory, bytes);
	(void)bytes;
}

/* Memory that was mapped, and may hold pointers to the program's objects. */
static inline void dd_tools_mapped(const void *memory, size_t bytes)
{
	if (__lsan_register_root_region)
		__lsan_register_root_region(memory, bytes);
}

static inline void dd_tools_unmapped(const void *memory, size_t bytes)
{
	if (__lsan_unregister_root_region)
		__lsan_unregister_root_region(memory, bytes);
}

/* An object that a forked child leaves to its parent. */
static inline void dd_tools_left(const void *object)
{
	if (__lsan_ignore_object)
		__lsan_ignore_object(object);
}

#endif
