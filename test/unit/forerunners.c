/* SPDX-License-Identifier: MIT
 *
 * What Rust's crates defer-drop, backdrop, backdrop_arc, async-drop and async-drop-guard can, and
 * what to write here instead: a test for each row of the tables in forerunners.md, which name it.
 */
#include "queues.h"

#include <signal.h>

#include "defer_drop/guard.h"
#include "defer_drop/ref.h"

TestSuite(defer_drop, .timeout = 60);
TestSuite(backdrop, .timeout = 60);
TestSuite(backdrop_arc, .timeout = 60);
TestSuite(async_drop, .timeout = 60);

#define IN_PLACE (&defer_drop_strategy_in_place)

/* ---- defer-drop ------------------------------------------------------------------------------ */

Test(defer_drop, new)
{
	{
		DEFER_DROP_SCOPED(guard, number(0), note, NULL);
	}
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

Test(defer_drop, into_inner)
{
	DEFER_DROP_SCOPED(guard, number(7), forbidden, NULL);

	cr_assert_eq(defer_drop_guard_disarm(&guard), number(7));
}

Test(defer_drop, deref)
{
	int value = 41;
	DEFER_DROP_SCOPED(guard, &value, note, NULL);

	++*(int *)defer_drop_guard_object(&guard);
	cr_assert_eq(value, 42);
}

/* ---- backdrop -------------------------------------------------------------------------------- */

Test(backdrop, new)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(0), note, IN_PLACE);

	answers(0, defer_drop_guard_drop(&guard));
	assert_seen(0, 1);
}

Test(backdrop, into_inner)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_INIT(number(7), forbidden, IN_PLACE);

	cr_assert_eq(defer_drop_guard_disarm(&guard), number(7));
	answers(0, defer_drop_guard_drop(&guard));
}

Test(backdrop, change_strategy)
{
	struct defer_drop_guard guard =
		DEFER_DROP_GUARD_INIT(number(0), note, &defer_drop_strategy_leak);

	defer_drop_guard_retarget(&guard, IN_PLACE);
	answers(0, defer_drop_guard_drop(&guard));
	assert_seen(0, 1);
}

static unsigned executed_count;

static int execute(const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	executed_count++;
	destroy(object);
	return 0;
}

Test(backdrop, execute)
{
	static const struct defer_drop_strategy own = {DEFER_DROP_STRATEGY_VERSION, execute, NULL};

	answers(0, defer_drop_by(&own, number(0), note));
	cr_assert_eq(executed_count, 1);
	assert_seen(0, 1);
}

Test(backdrop, trivial)
{
	answers(0, defer_drop_by(IN_PLACE, number(0), note));
	assert_seen(0, 1);
}

Test(backdrop, leak)
{
	answers(0, defer_drop_by(&defer_drop_strategy_leak, number(0), forbidden));
	answers(0, defer_drop_shutdown());
	cr_assert_eq(atomic_load(&forbidden_count), 0);
}

Test(backdrop, debug)
{
	struct defer_drop_strategy_trace by;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	answers(0, defer_drop_strategy_trace_init(&by, IN_PLACE, defer_drop_trace_print, stream));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	fclose(stream);
	assert_seen(0, 1);
	cr_assert_eq(strncmp(text, "drop ", 5), 0);
	free(text);
}

Test(backdrop, thread)
{
	answers(0, defer_drop_by(&defer_drop_strategy_thread, number(0), note));
	await(atomic_load(&seen_count) == 1);
}

Test(backdrop, global_trash_thread)
{
	answers(0, defer_drop(number(0), note));
	answers(0, defer_drop_flush());
	assert_seen(0, 1);
}

/* A worker of one's own, which has destroyed all when the scope is left. */
Test(backdrop, with_trash_thread)
{
	{
		struct defer_drop_queue *queue = make_queue(WORKER, 8, LANES);
		DEFER_DROP_SCOPED(scope, queue, defer_drop_queue_end, IN_PLACE);
		struct defer_drop_strategy_queue by;

		answers(0, defer_drop_strategy_queue_init(&by, queue, FOREVER));
		for (uintptr_t i = 0; i < 20; i++)
			answers(0, defer_drop_by(&by.strategy, number(i), note));
	}
	assert_seen(0, 20);
}

Test(backdrop, ensure_initialized)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);

	answers(0, defer_drop_queue_push(queue, number(0), note, 0));
	cr_assert_eq(atomic_load(&seen_count), 0);
	end_queue(queue);
}

Test(backdrop, cleanup_one)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);

	fill(queue, 2);
	drain(queue, 1);
	assert_seen(0, 1);
	cr_assert_eq(defer_drop_queue_backlog(queue), 1);
	end_queue(queue);
}

Test(backdrop, cleanup_all)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);

	fill(queue, 8);
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	assert_seen(0, 8);
	end_queue(queue);
}

Test(backdrop, cleanup_on_exit)
{
	{
		struct defer_drop_queue *queue = make_queue(CALLER, 8, LANES);
		DEFER_DROP_SCOPED(scope, queue, defer_drop_queue_end, IN_PLACE);

		fill(queue, 8);
	}
	assert_seen(0, 8);
}

/* An executor of one drop. The tests of adapters show the executors of libuv and GLib. */
static struct {
	void *object;
	defer_drop_fn destroy;
} submitted;

static int submit(void *executor, void *object, defer_drop_fn destroy)
{
	(void)executor;
	submitted.object = object;
	submitted.destroy = destroy;
	return 0;
}

Test(backdrop, tokio_task)
{
	struct defer_drop_strategy_executor by;

	answers(0, defer_drop_strategy_executor_init(&by, submit, NULL));
	answers(0, defer_drop_by(&by.strategy, number(0), note));
	cr_assert_eq(atomic_load(&seen_count), 0);
	submitted.destroy(submitted.object);
	assert_seen(0, 1);
}

/* ---- backdrop_arc ---------------------------------------------------------------------------- */

struct shared {
	struct defer_drop_ref ref;
	int value;
};

static struct shared shared;

static void make_shared(const struct defer_drop_strategy *strategy)
{
	shared.value = 42;
	answers(0, defer_drop_ref_init(&shared.ref, &shared, note, strategy));
}

/* The last put, which destroys. */
static void put_last(void)
{
	answers(0, defer_drop_ref_put(&shared.ref));
	cr_assert_eq(atomic_load(&seen_count), 1);
	cr_assert_eq(seen[0], &shared);
}

Test(backdrop_arc, new)
{
	make_shared(NULL);
	answers(0, defer_drop_ref_put(&shared.ref));
	answers(0, defer_drop_flush());
	cr_assert_eq(seen[0], &shared);
}

Test(backdrop_arc, clone)
{
	make_shared(IN_PLACE);
	defer_drop_ref_get(&shared.ref);
	answers(0, defer_drop_ref_put(&shared.ref));
	cr_assert_eq(atomic_load(&seen_count), 0);
	put_last();
}

Test(backdrop_arc, with_strategy)
{
	make_shared(&defer_drop_strategy_leak);
	defer_drop_ref_retarget(&shared.ref, IN_PLACE);
	put_last();
}

Test(backdrop_arc, try_unwrap)
{
	make_shared(IN_PLACE);
	defer_drop_ref_get(&shared.ref);
	cr_assert_null(defer_drop_ref_take(&shared.ref));
	answers(0, defer_drop_ref_put(&shared.ref));
	cr_assert_eq(defer_drop_ref_take(&shared.ref), &shared);
	cr_assert_eq(atomic_load(&seen_count), 0);
}

Test(backdrop_arc, get_mut)
{
	make_shared(IN_PLACE);
	cr_assert(defer_drop_ref_is_unique(&shared.ref));
	shared.value++;
	defer_drop_ref_get(&shared.ref);
	cr_assert_not(defer_drop_ref_is_unique(&shared.ref));
	answers(0, defer_drop_ref_put(&shared.ref));
	put_last();
}

/* A write to a shared object goes to a copy of one's own. */
static struct shared *make_own(struct shared *object, struct shared *copy)
{
	if (defer_drop_ref_is_unique(&object->ref))
		return object;
	copy->value = object->value;
	answers(0, defer_drop_ref_init(&copy->ref, copy, note, IN_PLACE));
	answers(0, defer_drop_ref_put(&object->ref));
	return copy;
}

Test(backdrop_arc, make_mut)
{
	struct shared copy;

	make_shared(IN_PLACE);
	cr_assert_eq(make_own(&shared, &copy), &shared);
	defer_drop_ref_get(&shared.ref);
	cr_assert_eq(make_own(&shared, &copy), &copy);
	cr_assert_eq(copy.value, 42);
	put_last();
}

Test(backdrop_arc, unique_arc)
{
	shared.value = 1; /* no other reference exists yet */
	answers(0, defer_drop_ref_init(&shared.ref, &shared, note, IN_PLACE));
	cr_assert_eq(defer_drop_ref_take(&shared.ref), &shared);
	shared.value = 2; /* no other reference exists any more */
	answers(0, defer_drop_ref_init(&shared.ref, &shared, note, IN_PLACE));
	put_last();
}

Test(backdrop_arc, count)
{
	make_shared(IN_PLACE);
	defer_drop_ref_get_many(&shared.ref, 4);
	cr_assert_eq(defer_drop_ref_count(&shared.ref), 5);
	answers(0, defer_drop_ref_put_many(&shared.ref, 4));
	put_last();
}

/* The object's address is the reference: for ArcBorrow, OffsetArc, ptr_eq and raw pointers too. */
Test(backdrop_arc, into_raw)
{
	void *raw = &shared;
	const struct shared *borrowed = &shared;

	make_shared(IN_PLACE);
	cr_assert_eq(borrowed->value, 42);
	answers(0, defer_drop_ref_put(&((struct shared *)raw)->ref));
	cr_assert_eq(seen[0], &shared);
}

struct slice {
	struct defer_drop_ref ref;
	size_t count;
	int values[];
};

static void free_slice(void *object)
{
	note(object);
	free(object);
}

Test(backdrop_arc, header_slice)
{
	struct slice *slice = malloc(sizeof *slice + 3 * sizeof slice->values[0]);

	answers(0, defer_drop_ref_init(&slice->ref, slice, free_slice, IN_PLACE));
	slice->count = 3;
	for (size_t i = 0; i < slice->count; i++)
		slice->values[i] = (int)i;
	answers(0, defer_drop_ref_put(&slice->ref));
	cr_assert_eq(atomic_load(&seen_count), 1);
}

/* Objects of several types behind one pointer, since each reference knows its destructor. */
Test(backdrop_arc, arc_union)
{
	struct {
		char name[8];
		struct defer_drop_ref ref;
	} other;
	struct defer_drop_ref *either[] = {&shared.ref, &other.ref};

	make_shared(IN_PLACE);
	answers(0, defer_drop_ref_init(&other.ref, &other, note, IN_PLACE));
	for (unsigned i = 0; i < 2; i++)
		answers(0, defer_drop_ref_put(either[i]));
	cr_assert_eq(seen[0], &shared);
	cr_assert_eq(seen[1], &other);
}

static void get_too_many(void)
{
	make_shared(IN_PLACE);
	defer_drop_ref_get_many(&shared.ref, DEFER_DROP_REF_MOST);
}

Test(backdrop_arc, overflow)
{
	answers(1000 + SIGABRT, run_child(get_too_many));
	cr_assert_eq(times_said("more were got or put than there can be"), 1, "%s", said);
}

/* ---- async-drop, async-drop-guard ------------------------------------------------------------ */

/* A cleanup that takes its time and can fail: the object's number is the error. */
static int clean_up(void *object)
{
	usleep(1000);
	note(object);
	return -(int)(uintptr_t)object;
}

Test(async_drop, async_drop)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	int status;

	options.destroy_status = clean_up;
	options.completion = &completion;
	answers(0, defer_drop_with(number(EIO), NULL, FOREVER, &options));
	answers(0, defer_drop_completion_wait(&completion, LONG_NS, &status));
	answers(-EIO, status);
}

Test(async_drop, dropper)
{
	{
		DEFER_DROP_SCOPED_STATUS(guard, number(0), clean_up, NULL);
	}
	assert_seen(0, 1);
}

Test(async_drop, guard_new)
{
	DEFER_DROP_SCOPED_STATUS(guard, number(0), clean_up, NULL);

	answers(0, defer_drop_guard_must_close(&guard));
	answers(0, defer_drop_guard_drop(&guard));
	assert_seen(0, 1);
}

Test(async_drop, guard_async_drop)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_STATUS_INIT(number(EIO), clean_up, NULL);

	answers(-EIO, defer_drop_guard_drop(&guard));
	answers(0, defer_drop_guard_drop(&guard));
	cr_assert_eq(atomic_load(&seen_count), 1);
}

static void forget(void)
{
	defer_drop_trouble_handle(defer_drop_trouble_abort, NULL);
	{
		DEFER_DROP_SCOPED_STATUS(guard, number(0), clean_up, NULL);

		if (defer_drop_guard_must_close(&guard))
			_exit(1);
	}
}

Test(async_drop, guard_panic)
{
	answers(1000 + SIGABRT, run_child(forget));
	cr_assert_eq(times_said("was never closed"), 1, "%s", said);
	cr_assert_eq(times_said("forerunners.c:"), 1, "%s", said);
}

/* The object moves to another guard, in another shape. */
Test(async_drop, map_unsafe)
{
	struct defer_drop_guard first = DEFER_DROP_GUARD_INIT(number(6), forbidden, NULL);
	uintptr_t value = (uintptr_t)defer_drop_guard_disarm(&first);
	struct defer_drop_guard second = DEFER_DROP_GUARD_INIT(number(value - 6), note, IN_PLACE);

	answers(0, defer_drop_guard_drop(&first));
	answers(0, defer_drop_guard_drop(&second));
	assert_seen(0, 1);
}

Test(async_drop, sync_drop)
{
	{
		DEFER_DROP_SCOPED_STATUS(guard, number(0), clean_up, NULL);

		answers(0, defer_drop_guard_drop(&guard));
		assert_seen(0, 1);
	}
	assert_seen(0, 1);
}

static int shared_status;

/* A cleanup that the thread which puts the last reference waits for. */
static void clean_up_shared(void *object)
{
	struct defer_drop_guard guard = DEFER_DROP_GUARD_STATUS_INIT(object, clean_up, NULL);

	shared_status = defer_drop_guard_drop(&guard);
}

Test(async_drop, arc)
{
	struct defer_drop_ref ref;

	answers(0, defer_drop_ref_init(&ref, number(EIO), clean_up_shared, IN_PLACE));
	defer_drop_ref_get(&ref);
	answers(0, defer_drop_ref_put(&ref));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_ref_put(&ref));
	answers(-EIO, shared_status);
}

static unsigned failed_count;

static void note_failed(void *context, const struct defer_drop_trouble *trouble)
{
	(void)context;
	failed_count += trouble->kind == DEFER_DROP_TROUBLE_FAILED;
}

Test(async_drop, all_at_once)
{
	struct defer_drop_guard fine = DEFER_DROP_GUARD_STATUS_INIT(number(0), clean_up, NULL);
	struct defer_drop_guard first = DEFER_DROP_GUARD_STATUS_INIT(number(EIO), clean_up, NULL);
	struct defer_drop_guard second =
		DEFER_DROP_GUARD_STATUS_INIT(number(ENOSPC), clean_up, NULL);
	struct defer_drop_guard *all[] = {&fine, &first, &second};

	defer_drop_trouble_handle(note_failed, NULL);
	answers(-EIO, defer_drop_guard_await(all, 3, LONG_NS));
	cr_assert_eq(atomic_load(&seen_count), 3);
	cr_assert_eq(failed_count, 1);
}
