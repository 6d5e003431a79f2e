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

/* ---- Destructors ----------------------------------------------------------------------------- */

static void nest(struct site *site, uint64_t sequence)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	uint64_t random = sequence;
	struct load *load = make_load(site->nested, &random);
	int result;

	load->nests = 0;
	options.destroy_status = sequence % 2 ? load_destroy_with_status : NULL;
	result = defer_drop_queue_push_with(
		site->queue, load, sequence % 2 ? NULL : load_destroy, 0, &options);
	CHECK(is_done_or_shut(site, result));
	settle(site->nested, load, result);
}

static void push_across(struct site *site, uint64_t sequence)
{
	uint64_t random = sequence;
	struct load *load = make_load(site->to_across, &random);
	int result = defer_drop_queue_push_try(site->across->queue, load, load_destroy);

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
		nest(site, load->sequence + i);
	if (site->across && load->sequence % 16 == 0 && stream != site->nested)
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

/* ---- Pushes ---------------------------------------------------------------------------------- */

uint64_t some_timeout(uint64_t *random)
{
	return below(random, 2) ? DEFER_DROP_FOREVER : below(random, 200000);
}

static bool is_answer(const struct site *site, int result, int no_room)
{
	return is_done_or_shut(site, result) || result == no_room;
}

static int push_plain(struct visitor *visitor, struct stream *stream, struct load *load)
{
	struct site *site = stream->site;
	struct defer_drop_ticket ticket;
	uint64_t timeout_ns = some_timeout(&visitor->random);
	int result;

	switch (below(&visitor->random, 4)) {
	case 0:
		result = defer_drop_queue_push_try(site->queue, load, load_destroy);
		CHECK(is_answer(site, result, -EAGAIN));
		return result;
	case 1:
		result = defer_drop_queue_push_timed(site->queue, load, load_destroy, timeout_ns);
		break;
	case 2:
		result = defer_drop_queue_push_ticket(
			site->queue, load, load_destroy, timeout_ns, &ticket);
		break;
	default:
		result = defer_drop_queue_push(site->queue, load, load_destroy);
		CHECK(is_done_or_shut(site, result));
	}
	CHECK(is_answer(site, result, -ETIMEDOUT));
	return result;
}

static void push_with(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
	struct load *load = make_load(stream, &visitor->random);
	bool has_status = below(&visitor->random, 2);
	bool is_told = below(&visitor->random, 2);
	int expected = has_status ? load->status : 0;
	int result;

	if (is_told && !below(&visitor->random, 4))
		completion.eventfd = eventfd(0, EFD_CLOEXEC);
	options.bytes = below(&visitor->random, MAX_BYTES / 4);
	options.destroy_status = has_status ? load_destroy_with_status : NULL;
	options.completion = is_told ? &completion : NULL;
	if (visitor->has_readers && !below(&visitor->random, 4))
		options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	result = defer_drop_queue_push_with(stream->site->queue, load,
		has_status ? NULL : load_destroy, some_timeout(&visitor->random), &options);
	CHECK(is_answer(stream->site, result, -ETIMEDOUT));
	settle(stream, load, result);
	if (!result && completion.eventfd >= 0)
		hear(completion.eventfd);
	if (!result && is_told)
		await(visitor, stream, &completion, expected);
	if (completion.eventfd >= 0)
		close(completion.eventfd);
}

void push_some(struct visitor *visitor, struct stream *stream)
{
	struct load *load;

	if (!below(&visitor->random, 3)) {
		push_with(visitor, stream);
		return;
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
	options.destroy_status = load_destroy_with_status;
	options.completion = &completion;
	result = defer_drop_queue_push_many(stream->site->queue, (void *const *)loads, count, NULL,
		some_timeout(&visitor->random), &options, &pushed);
	CHECK(is_answer(stream->site, result, -ETIMEDOUT));
	settle_many(stream, loads, count, pushed, result);
	if (pushed)
		await(visitor, stream, &completion, expected[pushed]);
}
