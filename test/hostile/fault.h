/* SPDX-License-Identifier: MIT
 *
 * A system that refuses: what the library asks of it passes through fault.c (the linker's --wrap),
 * which fails the call that was agreed upon, as the real one would. Linked with the static library
 * only; what the test itself asks for passes through too, unless it says true_.
 */
#ifndef FAULT_H
#define FAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* What can be refused, each with the errors that the real call has. */
enum fault {
	FAULT_MEMORY = 1 << 0,     /* malloc, calloc, realloc, aligned_alloc: ENOMEM */
	FAULT_MAPPING = 1 << 1,    /* mmap: ENOMEM */
	FAULT_THREAD = 1 << 2,     /* pthread_create: EAGAIN */
	FAULT_ATTRIBUTE = 1 << 3,  /* of a thread, its CPUs: ENOMEM */
	FAULT_KEY = 1 << 4,        /* pthread_key_create: EAGAIN; pthread_setspecific: ENOMEM */
	FAULT_SCHEDULING = 1 << 5, /* sched_setscheduler: EPERM; setpriority: EACCES */
	FAULT_DESCRIPTOR = 1 << 6, /* fcntl: EMFILE */
	FAULT_SIGNAL = 1 << 7,     /* poll: ENOMEM; write: EIO */
	FAULT_HOOK = 1 << 8,       /* atexit, pthread_atfork: ENOMEM */
	FAULT_BARRIER = 1 << 9,    /* membarrier: ENOMEM once; ENOSYS from then on */
	FAULT_KINDS = 10,
	/* Together. What could not be signalled is lost, so that this kind stands alone. */
	FAULT_ALL = ((1 << FAULT_KINDS) - 1) & ~FAULT_SIGNAL,
};

/* Of the calls of these kinds, counted from 1, fails this one; or this one and all later ones. */
void fault_begin(unsigned kinds, unsigned first, bool is_for_good);
/* From now on every call succeeds. Returns whether any was refused. */
bool fault_end(void);

/* Interrupts this number of each hundred waits for a futex before they begin. */
void fault_interrupt(unsigned percent);

/* How many mappings were made and not given back, and threads neither joined nor detached. */
unsigned fault_mappings(void);
unsigned fault_threads(void);

void *true_malloc(size_t bytes);
pthread_t true_thread(void *(*run)(void *), void *argument);

#endif
