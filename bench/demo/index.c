/* SPDX-License-Identifier: MIT
 *
 * Times the replacement of a search index, whose old version is destroyed in place or dropped. The
 * index tells which names contain a word. A trie of letters leads from a word to the list of its
 * postings, each of which leads to a name. Every node of any kind is allocated by itself, as in a
 * program that grows its index as names come.
 */
#include "demo.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A longer word is indexed as several, so that destroying the trie recurses no deeper. */
#define WORD_BYTES 64

/* Room for what marks the names of a further pass: "/copy-" and a number. */
#define MARK_BYTES 32

struct name {
	struct name *next;
	size_t bytes;
	char text[];
};

struct posting {
	struct posting *next;
	struct name *name;
};

struct letter {
	struct letter *first; /* of the letters that can follow */
	struct letter *next;  /* instead of this one */
	struct posting *postings;
	unsigned char byte;
};

struct index {
	struct letter root;
	struct name *names;
	uint64_t nodes; /* the index itself is the first */
	uint64_t letters;
	uint64_t postings;
	uint64_t names_total;
	uint64_t passes;
};

/*
 * Not atomic on purpose: the thread that destroys writes them, and a flush makes them visible to
 * the caller.
 */
static uint64_t destroyed_total;
static uint64_t worker_ns;

/* ---- Building -------------------------------------------------------------------------------- */

static struct letter *add_letter(struct index *index, unsigned char byte)
{
	struct letter *letter = allocate(sizeof *letter);

	*letter = (struct letter){.byte = byte};
	index->letters++;
	index->nodes++;
	return letter;
}

/*
 * Returns the letter that follows another, found or made. It moves to the front, since words
 * repeat.
 */
static struct letter *follow(struct index *index, struct letter *letter, unsigned char byte)
{
	struct letter **link = &letter->first;
	struct letter *following;

	while (*link && (*link)->byte != byte)
		link = &(*link)->next;
	following = *link;
	if (following)
		*link = following->next;
	else
		following = add_letter(index, byte);
	following->next = letter->first;
	letter->first = following;
	return following;
}

static void add_posting(struct index *index, struct letter *last, struct name *name)
{
	struct posting *posting;

	/*
	 * Names come one after the other, so the second occurrence of a word in a name finds the
	 * name in front.
	 */
	if (last->postings && last->postings->name == name)
		return;
	posting = allocate(sizeof *posting);
	*posting = (struct posting){last->postings, name};
	last->postings = posting;
	index->postings++;
	index->nodes++;
}

static bool is_word_byte(unsigned char byte)
{
	return isalnum(byte) || byte >= 0x80; /* UTF-8 beyond ASCII: taken for letters */
}

static void add_words(struct index *index, struct name *name)
{
	size_t i = 0;

	while (i < name->bytes) {
		struct letter *letter = &index->root;
		size_t end = name->bytes - i < WORD_BYTES ? name->bytes : i + WORD_BYTES;

		for (; i < end && is_word_byte((unsigned char)name->text[i]); i++)
			letter = follow(index, letter,
				(unsigned char)tolower((unsigned char)name->text[i]));
		if (letter == &index->root)
			i++;
		else
			add_posting(index, letter, name);
	}
}

static void add_name(struct index *index, const char *mark, const char *line, size_t bytes)
{
	size_t mark_bytes = strlen(mark);
	struct name *name = allocate(sizeof *name + mark_bytes + bytes);

	name->next = index->names;
	name->bytes = mark_bytes + bytes;
	memcpy(name->text, mark, mark_bytes);
	memcpy(name->text + mark_bytes, line, bytes);
	index->names = name;
	index->names_total++;
	index->nodes++;
	add_words(index, name);
}

/*
 * Goes over the input until there are enough nodes. Names after the first pass are marked as
 * copies.
 */
static struct index *build(const struct input *input, uint64_t nodes)
{
	struct index *index = allocate(sizeof *index);
	char mark[MARK_BYTES] = "";

	*index = (struct index){.nodes = 1};
	while (index->nodes < nodes) {
		index->passes++;
		if (index->passes > 1)
			snprintf(mark, sizeof mark, "/copy-%" PRIu64, index->passes);
		for (size_t i = 0; i < input->lines && index->nodes < nodes; i++)
			add_name(index, mark, input->text + input->starts[i],
				input->starts[i + 1] - input->starts[i]);
	}
	return index;
}

/* ---- Destroying ------------------------------------------------------------------------------ */

static void free_postings(struct posting *posting)
{
	while (posting) {
		struct posting *next = posting->next;

		free(posting);
		destroyed_total++;
		posting = next;
	}
}

/* Recurses as deep as the longest word. */
static void free_letters(struct letter *letter)
{
	while (letter) {
		struct letter *next = letter->next;

		free_letters(letter->first);
		free_postings(letter->postings);
		free(letter);
		destroyed_total++;
		letter = next;
	}
}

static void free_index(void *object)
{
	struct index *index = object;

	free_letters(index->root.first);
	while (index->names) {
		struct name *next = index->names->next;

		free(index->names);
		destroyed_total++;
		index->names = next;
	}
	free(index);
	destroyed_total++;
}

/* Destroys an index on the worker, and times that. */
static void free_index_timed(void *object)
{
	uint64_t start_ns = bench_now_ns();

	free_index(object);
	worker_ns = bench_now_ns() - start_ns;
}

/* ---- Replacing ------------------------------------------------------------------------------- */

struct replacement {
	struct index_figures *figures;
	const struct input *input;
	const struct settings *settings;
	struct index *current;
};

static struct index *build_timed(struct replacement *replacement)
{
	struct index_figures *figures = replacement->figures;
	uint64_t start_ns = bench_now_ns();
	struct index *index = build(replacement->input, replacement->settings->nodes);

	samples_add(&figures->build, bench_now_ns() - start_ns);
	figures->created += index->nodes;
	return index;
}

static void replace_in_place(struct replacement *replacement)
{
	struct index *fresh = build_timed(replacement);
	struct index *old = replacement->current;
	struct stopwatch stopwatch = stopwatch_start();

	replacement->current = fresh;
	free_index(old);
	stopwatch_stop(&stopwatch, &replacement->figures->in_place);
}

static void replace_dropping(struct replacement *replacement)
{
	struct defer_drop_stats before;
	struct defer_drop_stats after;
	struct index *fresh;
	struct index *old = replacement->current;
	struct stopwatch stopwatch;

	/*
	 * Read before the index is built: just before the drop, reading would warm up cache lines
	 * of the drop.
	 */
	before = library_stats(defer_drop_queue_default());
	fresh = build_timed(replacement);
	stopwatch = stopwatch_start();
	replacement->current = fresh;
	drop(old, free_index_timed);
	stopwatch_stop(&stopwatch, &replacement->figures->dropped);
	after = library_stats(defer_drop_queue_default());
	replacement->figures->woken += after.wakes_total != before.wakes_total;
	flush();
	samples_add(&replacement->figures->worker, worker_ns);
}

void index_measure(
	struct index_figures *figures, const struct input *input, const struct settings *settings)
{
	struct replacement replacement = {figures, input, settings, NULL};
	struct index *first;

	*figures = (struct index_figures){0};
	progress("index: building the first");
	first = build_timed(&replacement);
	figures->nodes = first->nodes;
	figures->names = first->names_total;
	figures->letters = first->letters;
	figures->postings = first->postings;
	figures->passes = first->passes;
	replacement.current = first;
	for (unsigned round = 1; round <= settings->rounds; round++) {
		progress("index: round %u of %u, in place", round, settings->rounds);
		replace_in_place(&replacement);
		progress("index: round %u of %u, dropped", round, settings->rounds);
		replace_dropping(&replacement);
	}
	drop(replacement.current, free_index);
	flush();
	progress_clear();
	figures->destroyed = destroyed_total;
	figures->stats = library_stats(defer_drop_queue_default());
}
