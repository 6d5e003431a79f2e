/* SPDX-License-Identifier: MIT
 *
 * How long drops wait, without a time in a slot. At its looks the consumer marks each lane that has
 * a backlog: what lies before the tail was pushed before this look, and what lies between the tails
 * of two looks was pushed between the two. When a drop has been destroyed, the time since the first
 * of these two looks is the longest that the drop has waited. The oldest mark that was not passed
 * says since when at most, and since when at least, the oldest pending drop waits.
 *
 * A lane without a mark had nothing pending at the last look, or when the consumer was woken from
 * deep sleep, if that was later: then no drop was pending at all.
 *
 * Edges:
 *   LOOKED  look: looked_ns, release -> since: looked_ns, acquire
 *           carries the marks that the look made: a lane that seems to have none had none then
 *   AGED    publish: after_ns, release -> after: after_ns, acquire
 *           carries the head: this time is not taken for that of a drop which is pending no more
 *   MARKED  publish: position, release -> before: position, acquire
 *           carries the time before which the drops before this position were pushed
 */
#ifndef DD_AGE_H
#define DD_AGE_H

#include "base/counter.h"
#include "base/deadline.h"
#include "core/ring.h"

#define DD_MARKS 16

/* Between two looks that make marks: little compared to a nap, much compared to what they cost. */
#define DD_MARK_NS UINT64_C(100000)

/* Drops from the mark before this one up to position were pushed between these two times. */
struct dd_mark {
	uint64_t position;
	uint64_t after_ns;
	uint64_t before_ns;
};

/* Of a lane. */
struct dd_age {
	/* The consumer's. */
	uint32_t count; /* of marks; read after each turn */
	uint32_t first; /* the oldest; the others follow, modulo DD_MARKS */
	uint64_t from; /* of the drops before the oldest mark, the first whose delay is not noted */

	/* Of the oldest mark. The consumer writes, any thread reads. */
	_Atomic(uint64_t) after_ns; /* 0: there is no mark */
	_Atomic(uint64_t) before_ns;
	_Atomic(uint64_t) position;

	struct dd_mark marks[DD_MARKS]; /* the consumer's */
};

/* Of a queue. */
struct dd_ages {
	_Atomic(uint64_t) looked_ns; /* the last look that made marks; the consumer writes */
	_Atomic(uint64_t) woken_ns;  /* the last push that found the consumer asleep writes */
};

/* Shows the oldest mark of a lane to other threads. */
static inline void dd_age_publish(struct dd_age *age)
{
	const struct dd_mark *mark = &age->marks[age->first];

	/* AGED->: without release this could be read with a head that has not passed the mark
	 * before. */
	atomic_store_explicit(
		&age->after_ns, age->count ? mark->after_ns : 0, memory_order_release);
	if (!age->count)
		return; /* the position has been passed, so before_ns is void */
	atomic_store_explicit(&age->before_ns, mark->before_ns, memory_order_relaxed);
	/* MARKED->: without release this position could be read with the time of the mark before. */
	atomic_store_explicit(&age->position, mark->position, memory_order_release);
}

/* Marks a lane at a look. If there is no place, the newest mark stands for these drops too. */
static inline void dd_age_mark(
	struct dd_age *age, uint64_t done, uint64_t tail, uint64_t after_ns, uint64_t before_ns)
{
	struct dd_mark *newest = &age->marks[(age->first + age->count - 1) % DD_MARKS];

	if (!age->count)
		age->from = done;
	else if (newest->position == tail)
		return;
	if (age->count == DD_MARKS) {
		newest->position = tail;
		newest->before_ns = before_ns;
		return;
	}
	age->marks[(age->first + age->count++) % DD_MARKS] =
		(struct dd_mark){tail, after_ns, before_ns};
	if (age->count == 1)
		dd_age_publish(age);
}

/* True if drops before a mark were destroyed: `done` is the position before which all are. */
static inline bool dd_age_is_due(const struct dd_age *age, uint64_t done)
{
	return age->count && dd_is_before(age->from, done);
}

/* Removes the oldest mark if it was passed. */
static inline void dd_age_pass(struct dd_age *age)
{
	if (dd_is_before(age->from, age->marks[age->first].position))
		return;
	age->first = (age->first + 1) % DD_MARKS;
	age->count--;
	dd_age_publish(age);
}

/* Returns the time since which a lane without a mark has its backlog. */
static inline uint64_t dd_ages_since(struct dd_ages *ages)
{
	/* ->LOOKED: without acquire a lane could seem to have no mark, though the look made one. */
	uint64_t looked_ns = atomic_load_explicit(&ages->looked_ns, memory_order_acquire);
	uint64_t woken_ns = atomic_load_explicit(&ages->woken_ns, memory_order_relaxed);

	return woken_ns > looked_ns ? woken_ns : looked_ns;
}

/* Notes a look, after it has marked all lanes. */
static inline void dd_ages_look(struct dd_ages *ages, uint64_t now_ns)
{
	/* LOOKED->: without release a lane could seem to have no mark yet. */
	atomic_store_explicit(&ages->looked_ns, now_ns, memory_order_release);
}

/*
 * Returns the time after which the oldest pending drop of a lane was pushed. since_ns: of
 * dd_ages_since, read before; the position before which all is destroyed is read afterwards.
 */
static inline uint64_t dd_age_after(struct dd_age *age, uint64_t since_ns)
{
	/* ->AGED: without acquire the position read afterwards could be too old for this time. */
	uint64_t after_ns = atomic_load_explicit(&age->after_ns, memory_order_acquire);

	return after_ns ? after_ns : since_ns;
}

/* Returns the time before which the drop at position `done` was pushed, or 0 if it is not known. */
static inline uint64_t dd_age_before(struct dd_age *age, uint64_t done)
{
	/* ->MARKED: without acquire the time could be that of a mark before this one. */
	uint64_t position = atomic_load_explicit(&age->position, memory_order_acquire);
	uint64_t before_ns = atomic_load_explicit(&age->before_ns, memory_order_relaxed);

	return dd_is_before(done, position) ? before_ns : 0;
}

#endif
