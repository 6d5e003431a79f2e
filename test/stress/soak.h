/* SPDX-License-Identifier: MIT
 *
 * What the parts of the soak share: sites, which are queues with what the test knows of them;
 * streams, which are the drops of one thread to one site; and visitors, which are threads that push
 * to all sites.
 */
#ifndef SOAK_H
#define SOAK_H

#include <defer_drop/ref.h>

#include "stress.h"

#define SITES     4
#define MAX_BYTES 4000 /* pending in a site */
#define UNKNOWN   (-1)

struct site;

/* Drops in the order of one thread. Plain fields on purpose, as in struct producer. */
struct stream {
	struct site *site;
	struct stream *next;   /* of its site */
	uint64_t accepted;     /* by the thread */
	uint64_t destroyed;    /* by the consumer, and read by others after a wait */
	uint64_t last;         /* sequence number of the last one destroyed, from 1 */
	struct load *kept;     /* where drops may be abandoned: all that were accepted */
	struct stream *nested; /* drops that its destructors make; or NULL */
	bool is_nested;
};

struct load {
	uint64_t mark; /* what readers look at */
	struct stream *stream;
	uint64_t sequence;
	unsigned nests;  /* drops that its destructor makes */
	int status;      /* of its destructor, where that has one */
	bool is_guarded; /* the status is a guard's, not the queue's */
	struct load *next;
	struct defer_drop_ref ref;
};

struct site {
	struct defer_drop_queue *queue;
	struct site *across; /* where its destructors push to; or NULL */
	uint32_t runner;
	bool is_gap_allowed; /* it is shut down while visitors push */
	bool has_watchdog;   /* it has a watchdog */
	bool is_inherited;   /* a child keeps what is pending */
	pthread_mutex_t lock;
	struct stream *streams; /* under the lock */
	atomic_uint_fast64_t refused;
	_Atomic(struct load *) shown; /* to readers */
	/* The consumer's: */
	struct stream *to_across; /* of the thread of this number, since order is by thread */
	unsigned across_by;
	uint64_t failed;
	uint64_t failures_told;
	int last_level; /* told by its watermark, 1 for high; or UNKNOWN */
};

struct visitor {
	uint64_t random;
	struct site *sites;
	struct stream *streams[SITES];
	bool has_readers; /* false in a forked child: liburcu does not survive it */
};

/* ---- soak_push.c ----------------------------------------------------------------------------- */

struct stream *make_stream(struct site *site);
void free_streams(struct site *site);
struct load *make_load(struct stream *stream, uint64_t *random);
void load_destroy(void *load);
int load_destroy_with_status(void *load);
int load_destroy_at(void *load, void *site);
/* Accepted or refused, by this result: if accepted, it may be gone already. */
void settle(struct stream *stream, struct load *load, int result);
/* The drop was refused, and no other thread has it. */
void forget(struct load *load);
/* True if a push may return this that found room, or a site whose end has come. */
bool is_done_or_shut(const struct site *site, int result);
/* True if a wait may return this, also of a site that was given up. */
bool is_told(const struct site *site, int result);
uint64_t some_timeout(uint64_t *random);
void push_some(struct visitor *visitor, struct stream *stream);
void push_many(struct visitor *visitor, struct stream *stream);

/* ---- soak_wait.c ----------------------------------------------------------------------------- */

void wait_some(struct visitor *visitor, struct stream *stream);
/* Waits for a completion that was pushed so. */
void await(struct visitor *visitor, struct stream *stream, struct defer_drop_completion *completion,
	int status);
/* 1 was added to it. */
void hear(int eventfd);

/* ---- soak_hold.c ----------------------------------------------------------------------------- */

/* Drops through a strategy: by a guard or by references. */
void hold_some(struct visitor *visitor, struct stream *stream);
/* Stops the queue and starts it again. */
void stop_some(struct visitor *visitor, struct stream *stream);
/* Starts the queue, whichever thread has stopped it. */
void start_again(const struct site *site);

/* ---- soak_read.c, or soak_read_none.c in a build without liburcu ----------------------------- */

extern const bool soak_has_readers;
void reader_begin(void);
void reader_end(void);
/* Looks at what the site shows, and shows something else in its place. */
void read_some(struct visitor *visitor, struct stream *stream);
/* No thread reads any more. */
void stop_showing(struct site *site);

#endif
