/* SPDX-License-Identifier: MIT
 *
 * The loads of a soak, their destructors, and the calls that push them.
 */
#include "soak.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ALIVE UINT64_C(0x616c697665)
#define MOST  6 /* loads at once */

/* ---- Streams --------------------------------------------------------------------------------- */

struct stream *make_stream(struct site *site)
{
	struct stream *stream = calloc(1, sizeof *stream);

	CHECK(stream);
	stream->site = site;
	pthread_mutex_lock(&site->lock);
	stream->next = site->streams;
	site->streams = stream;
	pthread_mutex_unlock(&site->lock);
	return stream;
}

static void free_stream(struct stream *stream)
{
	while (stream->kept) {
		struct load *load = stream->kept;

		stream->kept = load->next;
		free(load);
	}
	free(stream);
}

void free_streams(struct site *site)
{
	while (site->streams) {
		struct stream *stream = site->streams;

		site->streams = stream->next;
		free_stream(stream);
	}
}

/* ---- Loads ----------------------------------------------------------------------------------- */

struct load *make_load(struct stream *stream, uint64_t *random)
{
	struct load *load = calloc(1, sizeof *load);

	CHECK(load);
	load->mark = ALIVE;
	load->stream = stream;
	load->sequence = stream->accepted + 1;
	load->nests = below(random, 8) ? 0 : (unsigned)below(random, 4);
	load->status = below(random, 4) ? 0 : -(int)(1 + below(random, 100));
	return load;
}

void forget(struct load *load)
{
	CHECK(load->mark == ALIVE);
	atomic_fetch_add(&load->stream->site->refused, 1);
	free(load);
}

void settle(struct stream *stream, struct load *load, int result)
{
	if (result) {
		forget(load);
		return;
	}
	stream->accepted++;
	if (!stream->site->is_gap_allowed)
		return;
	load->next = stream->kept;
	stream->kept = load;
}

bool is_done_or_shut(const struct site *site, int result)
{
	return !result || (result == -ESHUTDOWN && site->is_gap_allowed);
}

bool is_told(const struct site *site, int result)
{
	return is_done_or_shut(site, result) || (result == -ECANCELED && site->is_gap_allowed);
}

/* ---- Destructors ----------------------------------------------------------------------------- */

/* Drops of other lanes may come between them: their order is that of the lane. */
static void nest(struct stream *stream, uint64_t sequence)
{
	struct site *site = stream->site;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	uint64_t random = sequence;
	struct load *load;
	int result;

	if (!stream->nested) {
		stream->nested = make_stream(site);
		stream->nested->is_nested = true;
	}
	load = make_load(stream->nested, &random);
	load->nests = 0;
	options.destroy_status = sequence % 2 ? load_destroy_with_status : NULL;
	result = defer_drop_queue_push_with(
		site->queue, load, sequence % 2 ? NULL : load_destroy, 0, &options);
	CHECK(is_done_or_shut(site, result));
	settle(stream->nested, load, result);
}

/* From 1 on. */
static unsigned number_of_thread(void)
{
	static atomic_uint threads;
	static _Thread_local unsigned number;

	if (!number)
		number = atomic_fetch_add(&threads, 1) + 1;
	return number;
}

/* A queue that was stopped goes on with another worker. */
static void push_across(struct site *site, uint64_t sequence)
{
	uint64_t random = sequence;
	struct load *load;
	int result;

	if (site->across_by != number_of_thread()) {
		site->across_by = number_of_thread();
		site->to_across = make_stream(site->across);
	}
	load = make_load(site->to_across, &random);
	result = defer_drop_queue_push(site->across->queue, load, load_destroy, 0);

	CHECK(!result || result == -EAGAIN || result == -ESHUTDOWN);
	settle(site->to_across, load, result);
}

static void destroy(struct load *load)
{
	struct stream *stream = load->stream;
	struct site *site = stream->site;

	CHECK(load->mark == ALIVE);
	CHECK(load->sequence > stream->last);
	CHECK(site->is_gap_allowed || load->sequence == stream->last + 1);
	stream->last = load->sequence;
	stream->destroyed++;
	for (unsigned i = 0; i < load->nests; i++)
		nest(stream, load->sequence + i);
	if (site->across && load->sequence % 16 == 0 && !stream->is_nested)
		push_across(site, load->sequence);
	load->mark = 0;
	if (!site->is_gap_allowed)
		free(load);
}

void load_destroy(void *load)
{
	destroy(load);
}

int load_destroy_with_status(void *memory)
{
	struct load *load = memory;
	int status = load->status;

	load->stream->site->failed += status && !load->is_guarded;
	destroy(load);
	return status;
}

int load_destroy_at(void *memory, void *site)
{
	const struct load *load = memory;

	CHECK(load->stream->site == site);
	return load_destroy_with_status(memory);
}

/* What a drop may ask for its destruction. */
enum kind {
	KIND_PLAIN,
	KIND_STATUS,
	KIND_CONTEXT,
	KINDS,
};

/* Returns what a push gets as its destroy. */
static defer_drop_fn choose_destructor(
	struct site *site, struct defer_drop_options *options, enum kind kind)
{
	if (kind == KIND_STATUS)
		options->destroy_status = load_destroy_with_status;
	if (kind == KIND_CONTEXT) {
		options->destroy_context = load_destroy_at;
		options->context = site;
	}
	return kind == KIND_PLAIN ? load_destroy : NULL;
}

/* ---- Pushes ---------------------------------------------------------------------------------- */

uint64_t some_timeout(uint64_t *random)
{
	return below(random, 2) ? DEFER_DROP_FOREVER : some_ns(random, 200000);
}

/* True if a push that waited this long may return this. */
static bool is_answer(const struct site *site, int result, uint64_t timeout_ns)
{
	return is_done_or_shut(site, result) || result == in_vain(timeout_ns);
}

static int push_plain(struct visitor *visitor, struct stream *stream, struct load *load)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct site *site = stream->site;
	struct defer_drop_ticket ticket;
	uint64_t timeout_ns = some_timeout(&visitor->random);
	int result;

	if (below(&visitor->random, 3)) {
		result = defer_drop_queue_push(site->queue, load, load_destroy, timeout_ns);
	} else if (site->queue == defer_drop_queue_default()) {
		timeout_ns = DEFER_DROP_FOREVER;
		result = defer_drop_bytes(
			load, load_destroy, below(&visitor->random, MAX_BYTES / 4));
	} else {
		options.ticket = &ticket;
		result = defer_drop_queue_push_with(
			site->queue, load, load_destroy, timeout_ns, &options);
	}
	CHECK(is_answer(site, result, timeout_ns));
	return result;
}

static void push_with(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct load *load = make_load(stream, &visitor->random);
	uint64_t timeout_ns = some_timeout(&visitor->random);
	enum kind kind = (enum kind)below(&visitor->random, KINDS);
	bool has_completion = below(&visitor->random, 2);
	int expected = kind == KIND_PLAIN ? 0 : load->status;
	int result;

	if (has_completion && !below(&visitor->random, 4))
		completion.eventfd = eventfd(0, EFD_CLOEXEC);
	options.bytes = below(&visitor->random, MAX_BYTES / 4);
	options.completion = has_completion ? &completion : NULL;
	if (visitor->has_readers && !below(&visitor->random, 4))
		options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	if (!below(&visitor->random, 8))
		options.flags |= DEFER_DROP_EXCEED_BUDGET;
	result = defer_drop_queue_push_with(stream->site->queue, load,
		choose_destructor(stream->site, &options, kind), timeout_ns, &options);
	CHECK(is_answer(stream->site, result, timeout_ns));
	settle(stream, load, result);
	if (!result && completion.eventfd >= 0)
		hear(completion.eventfd);
	if (!result && has_completion)
		await(visitor, stream, &completion, expected);
	if (completion.eventfd >= 0)
		close(completion.eventfd);
}

void push_some(struct visitor *visitor, struct stream *stream)
{
	struct load *load;

	int result;

	if (!below(&visitor->random, 3)) {
		push_with(visitor, stream);
		return;
	}
	if (!below(&visitor->random, 16)) {
		result = defer_drop_queue_attach(stream->site->queue);
		CHECK(result == -ENOSPC || is_done_or_shut(stream->site, result));
	}
	load = make_load(stream, &visitor->random);
	settle(stream, load, push_plain(visitor, stream, load));
}

/* What was accepted, and what was not, which is one refusal. */
static void settle_many(
	struct stream *stream, struct load **loads, size_t count, size_t pushed, int result)
{
	CHECK(result ? pushed < count : pushed == count);
	for (size_t i = 0; i < pushed; i++)
		settle(stream, loads[i], 0);
	for (size_t i = pushed; i < count; i++)
		forget(loads[i]);
	if (result)
		atomic_fetch_sub(&stream->site->refused, count - pushed - 1);
}

void push_many(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	size_t count = 1 + below(&visitor->random, MOST);
	enum kind kind = below(&visitor->random, 2) ? KIND_STATUS : KIND_CONTEXT;
	uint64_t timeout_ns = some_timeout(&visitor->random);
	struct load *loads[MOST];
	size_t pushed;
	int expected[MOST + 1] = {0};
	int result;

	for (size_t i = 0; i < count; i++) {
		loads[i] = make_load(stream, &visitor->random);
		loads[i]->sequence += i;
		expected[i + 1] = expected[i] ? expected[i] : loads[i]->status;
	}
	options.bytes = below(&visitor->random, MAX_BYTES / 8);
	options.completion = &completion;
	result = defer_drop_queue_push_many(stream->site->queue, (void *const *)loads, count,
		choose_destructor(stream->site, &options, kind), timeout_ns, &options, &pushed);
	CHECK(is_answer(stream->site, result, timeout_ns));
	settle_many(stream, loads, count, pushed, result);
	if (pushed)
		await(visitor, stream, &completion, expected[pushed]);
}
