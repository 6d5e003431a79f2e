/* SPDX-License-Identifier: MIT
 *
 * The atomics of the library. They are C11's; the library takes them from this header so that a
 * model checker can replace them by its own.
 */
#ifndef DD_ATOMIC_H
#define DD_ATOMIC_H

#include <stdatomic.h>

/* A field that is not atomic but handed from thread to thread by an edge of the protocol. */
#define DD_PLAIN(type)               type
#define dd_plain_load(field)         (*(field))
#define dd_plain_store(field, value) (*(field) = (value))

#define dd_likely(claim)   __builtin_expect(!!(claim), 1)
#define dd_unlikely(claim) __builtin_expect(!!(claim), 0)

/* Prefetches a line that will be read, or written. */
static inline void dd_prefetch(const void *address)
{
	__builtin_prefetch(address, 0);
}

static inline void dd_prefetch_to_write(const void *address)
{
	__builtin_prefetch(address, 1);
}

/* Tells the CPU that this is a spin loop. */
static inline void dd_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
