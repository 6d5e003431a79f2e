/* SPDX-License-Identifier: MIT
 *
 * What the kernel says of this process, and of the memory that is left (proc(5)).
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdint.h>

/* In memory, exact; and mapped. */
uint64_t process_resident_bytes(void);
uint64_t process_mapped_bytes(void);

/* What can be had without swapping. */
uint64_t process_available_bytes(void);

struct process_thread {
	char name[16];
	uint64_t id;     /* the main thread's is that of the process */
	uint64_t cpu_ns; /* so long it ran */
	uint64_t sleeps; /* voluntary context switches */
	uint64_t preemptions;
};

/* Looks at the threads, at most so many; returns how many there are. */
unsigned process_threads(struct process_thread *threads, unsigned most);

/* Returns how often the kernel gave the CPU of the calling thread to another. */
uint64_t process_preemptions(void);

/* Returns the path of a program that lies beside this one. The caller frees it. */
char *process_beside(const char *program);

#endif
