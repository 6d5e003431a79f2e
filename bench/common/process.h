/* SPDX-License-Identifier: MIT
 *
 * Facts from the kernel about this process and about free memory (proc(5)).
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdint.h>

/* The bytes that are in memory, which is exact, and the bytes that are mapped. */
uint64_t process_resident_bytes(void);
uint64_t process_mapped_bytes(void);

/* The memory that can be had without swapping. */
uint64_t process_available_bytes(void);

struct process_thread {
	char name[16];
	uint64_t id;     /* the main thread's is that of the process */
	uint64_t cpu_ns; /* the time for which it ran */
	uint64_t sleeps; /* voluntary context switches */
	uint64_t preemptions;
};

/* Describes at most that many threads of this process. Returns the number of threads there are. */
unsigned process_threads(struct process_thread *threads, unsigned most);

/* Returns how often the kernel gave the CPU of the calling thread to another. */
uint64_t process_preemptions(void);

/* Returns the path of a program that lies beside this one. The caller frees it. */
char *process_beside(const char *program);

#endif
