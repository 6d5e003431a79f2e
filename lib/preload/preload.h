/* SPDX-License-Identifier: MIT
 *
 * The preload library: functions that stand before those of the C library and of the allocator, and
 * make their work small where it would be long (defer_drop/os.h).
 *
 *     start.c      reading the settings, and when all is left alone
 *     file.c       close, unlink, rename and their kin
 *     memory.c     munmap, free, realloc
 *     client.c     files that a helper holds (helper.h)
 *     report.c     the report at exit
 *
 * Each function asks first whether the object is big, without a system call where there can be
 * many; then it calls the next function of its name, and returns its result. So a program misses
 * nothing that the next function does, and another preload library has its turn.
 */
#ifndef DD_PRELOAD_H
#define DD_PRELOAD_H

#include <stdatomic.h>

#include "defer_drop/os.h"
#include "preload/settings.h"

/* What is deferred, of enum dd_what; 0 before the constructor has run, in a program that filters
 * its system calls, and in copies of this library that were loaded twice. */
extern atomic_uint dd_preload_what;

static inline bool dd_preload_defers(enum dd_what kind)
{
	return atomic_load_explicit(&dd_preload_what, memory_order_relaxed) & kind;
}

/* Written by the constructor. */
extern struct dd_settings dd_preload_settings;
extern struct defer_drop_os_options dd_preload_files;

/* Prepares for a program's memory: which allocator it has, and from which size. */
void dd_preload_memory_start(void);

/* Prints what was deferred, if that was asked for. */
void dd_preload_report(void);

#endif
