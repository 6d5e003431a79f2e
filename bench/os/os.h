/* SPDX-License-Identifier: MIT
 *
 * The parts of the benchmark of what the kernel takes long to destroy: the time of the caller, and
 * how much others are disturbed.
 *
 *     main.c      the options, the rounds, the results
 *     object.c    what is destroyed: files and mappings
 *     peers.c     a thread with a mutex and a list, and io_uring
 *     disturb.c   another thread, which faults pages in and makes small files
 */
#ifndef BENCH_OS_H
#define BENCH_OS_H

#include <stdbool.h>
#include <stdint.h>

/* ---- Objects (object.c) ---------------------------------------------------------------------- */

enum kind { UNLINK, CLOSE, UNMAP, UNMAP_HUGE, KINDS };

struct object {
	enum kind kind;
	uint64_t bytes;
	char path[256]; /* UNLINK */
	int fd;         /* CLOSE */
	char *address;  /* UNMAP, UNMAP_HUGE */
};

static inline bool is_file(enum kind kind)
{
	return kind == UNLINK || kind == CLOSE;
}

/* Makes an object, whose bytes are all in memory. False if there is no room. */
bool object_make(struct object *object, enum kind kind, const char *folder, uint64_t bytes);

/* Destroys it by the system call that programs use. */
void object_destroy(struct object *object);

/* ---- Peers (peers.c) ------------------------------------------------------------------------- */

void thread_start(void);
void thread_drop(struct object *object); /* which must stay until thread_flush */
void thread_flush(void);
void thread_end(void);

/* True if io_uring can be used here. */
bool uring_start(void);
const char *uring_version(void);
void uring_drop(struct object *object);
void uring_flush(void);
void uring_end(void);

/* ---- Others (disturb.c) ---------------------------------------------------------------------- */

/* What another thread took longest for. */
struct disturbance {
	uint64_t fault_ns; /* mapping a page, touching it, unmapping it */
	uint64_t file_ns;  /* making a small file, writing to it, removing it */
};

/* Starts the other thread, which works in that folder until it is stopped. */
void disturb_begin(const char *folder);
struct disturbance disturb_end(void);

#endif
