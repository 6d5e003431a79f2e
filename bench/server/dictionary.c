/* SPDX-License-Identifier: MIT
 *
 * A hash table that one thread writes and others may read. A reader that finds an entry is right
 * even while entries are moved, since keys are compared. A reader that finds none may have followed
 * an entry that was moved to another chain meanwhile; it looks again if buckets were moved. Every
 * chain ends, so its search ends too.
 */
#include "dictionary.h"

#include <string.h>

#include "hash.h"
#include "reclaim.h"
#include "value.h"

#define FIRST_BUCKETS 8

/*
 * The buckets moved at each change: more than one for each entry added, so that growing ends in
 * time.
 */
#define MOVED_BUCKETS 4

struct table {
	struct garbage garbage;
	uint64_t buckets;
	_Atomic(struct entry *) first[];
};

static size_t table_size(uint64_t buckets)
{
	return sizeof(struct table) + buckets * sizeof(_Atomic(struct entry *));
}

size_t entry_size(const struct entry *entry)
{
	return sizeof *entry + entry->length;
}

/* A release store: readers see everything written before. */
#define publish(place, pointer) atomic_store_explicit(place, pointer, memory_order_release)
#define read_published(place)   atomic_load_explicit(place, memory_order_acquire)
/* Relaxed: only the thread that writes the pointers calls it. */
#define own(place) atomic_load_explicit(place, memory_order_relaxed)

/* ---- Tables ---------------------------------------------------------------------------------- */

static bool destroy_table(struct garbage *garbage, struct slice *slice)
{
	struct table *table = (struct table *)garbage;

	node_destroy(table, table_size(table->buckets), slice);
	return true;
}

static struct table *create_table(uint64_t buckets, struct tally *holder)
{
	struct table *table = node_create_zeroed(table_size(buckets), holder);

	if (!table)
		return NULL;
	table->garbage.destroy = destroy_table;
	table->garbage.tally = (struct tally){1, node_bytes(table_size(buckets))};
	table->buckets = buckets;
	return table;
}

static void disown(struct dictionary *dictionary, const struct tally *tally)
{
	dictionary->holder->nodes -= tally->nodes;
	dictionary->holder->bytes -= tally->bytes;
}

static _Atomic(struct entry *) *bucket(struct table *table, uint64_t hash)
{
	return &table->first[hash & (table->buckets - 1)];
}

static void move_bucket(struct table *from, struct table *to, uint64_t at)
{
	struct entry *entry = own(&from->first[at]);

	while (entry) {
		struct entry *next = own(&entry->next);
		_Atomic(struct entry *) *place = bucket(to, entry->hash);

		/* Removed from the old chain first, or the two chains would be joined for good. */
		publish(&from->first[at], next);
		publish(&entry->next, own(place));
		publish(place, entry);
		entry = next;
	}
}

/* Replaces the first table, which is empty, by the second. */
static struct table *end_growing(struct dictionary *dictionary)
{
	struct table *old = own(&dictionary->tables[0]);

	publish(&dictionary->tables[0], own(&dictionary->tables[1]));
	publish(&dictionary->tables[1], NULL);
	dictionary->cursor = 0;
	disown(dictionary, &old->garbage.tally);
	return old;
}

static void move_some(struct dictionary *dictionary)
{
	struct table *from = own(&dictionary->tables[0]);
	struct table *to = own(&dictionary->tables[1]);
	struct table *old = NULL;

	if (!to)
		return;
	atomic_store_explicit(
		&dictionary->moves, own(&dictionary->moves) + 1, memory_order_relaxed);
	/* A reader that sees one of the moves sees that they have begun. */
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < MOVED_BUCKETS && dictionary->cursor < from->buckets; i++)
		move_bucket(from, to, dictionary->cursor++);
	if (dictionary->cursor == from->buckets)
		old = end_growing(dictionary);
	atomic_store_explicit(
		&dictionary->moves, own(&dictionary->moves) + 1, memory_order_release);
	/* Not earlier: it may wait for readers, and readers may wait for the end of the moves. */
	if (old)
		reclaim(&old->garbage);
}

/* If there is no memory for it, chains get longer. */
static void begin_growing(struct dictionary *dictionary)
{
	struct table *table = own(&dictionary->tables[0]);

	if (own(&dictionary->tables[1]) || dictionary->count < table->buckets)
		return;
	publish(&dictionary->tables[1], create_table(table->buckets * 2, dictionary->holder));
}

/* ---- Entries --------------------------------------------------------------------------------- */

void dictionary_init(struct dictionary *dictionary, struct tally *holder)
{
	*dictionary = (struct dictionary){.holder = holder};
}

static bool is_key(const struct entry *entry, uint64_t hash, const char *key, size_t length)
{
	return entry->hash == hash && entry->length == length && !memcmp(entry->key, key, length);
}

/*
 * Finds an entry. place: set to the pointer that leads to the entry. NULL if there is no such
 * entry.
 */
static struct entry *find(struct dictionary *dictionary, const char *key, size_t length,
	_Atomic(struct entry *) **place)
{
	uint64_t code = hash(key, length);

	for (unsigned i = 0; i < 2; i++) {
		struct table *table = read_published(&dictionary->tables[i]);
		struct entry *entry;

		if (!table)
			continue;
		*place = bucket(table, code);
		for (; (entry = read_published(*place)); *place = &entry->next)
			if (is_key(entry, code, key, length))
				return entry;
	}
	return NULL;
}

struct entry *dictionary_find(struct dictionary *dictionary, const char *key, size_t length)
{
	_Atomic(struct entry *) *place;

	return find(dictionary, key, length, &place);
}

struct entry *dictionary_find_shared(struct dictionary *dictionary, const char *key, size_t length)
{
	_Atomic(struct entry *) *place;
	struct entry *entry;
	uint64_t moves;

	do {
		moves = read_published(&dictionary->moves);
		entry = find(dictionary, key, length, &place);
		/* Orders the reads above before the second look at moves. */
		atomic_thread_fence(memory_order_acquire);
	} while (!entry && (moves % 2 || moves != own(&dictionary->moves)));
	return entry;
}

struct entry *dictionary_add(
	struct dictionary *dictionary, const char *key, size_t length, struct value *value)
{
	struct table *table = own(&dictionary->tables[0]);
	struct entry *entry = NULL;
	_Atomic(struct entry *) *place;

	if (!table) {
		table = create_table(FIRST_BUCKETS, dictionary->holder);
		publish(&dictionary->tables[0], table);
	}
	if (table)
		entry = node_create(sizeof *entry + length, dictionary->holder);
	if (!entry)
		return NULL;
	begin_growing(dictionary);
	move_some(dictionary);
	table = own(&dictionary->tables[own(&dictionary->tables[1]) ? 1 : 0]);
	entry->hash = hash(key, length);
	entry->length = length;
	memcpy(entry->key, key, length);
	atomic_init(&entry->value, value);
	place = bucket(table, entry->hash);
	atomic_init(&entry->next, own(place));
	publish(place, entry);
	dictionary->count++;
	return entry;
}

struct entry *dictionary_remove(struct dictionary *dictionary, const char *key, size_t length)
{
	_Atomic(struct entry *) *place;
	struct entry *entry = find(dictionary, key, length, &place);

	if (!entry)
		return NULL;
	publish(place, own(&entry->next));
	dictionary->count--;
	disown(dictionary, &(struct tally){1, node_bytes(entry_size(entry))});
	move_some(dictionary);
	return entry;
}

/* ---- The end --------------------------------------------------------------------------------- */

static bool destroy_entry(struct entry *entry, struct slice *slice)
{
	struct value *value = own(&entry->value);

	if (value && !value->garbage.destroy(&value->garbage, slice))
		return false;
	node_destroy(entry, entry_size(entry), slice);
	return true;
}

static bool destroy_bucket(_Atomic(struct entry *) *first, struct slice *slice)
{
	struct entry *entry;

	while ((entry = own(first)) && slice->left) {
		struct entry *next = own(&entry->next);

		if (!destroy_entry(entry, slice))
			return false;
		atomic_store_explicit(first, next, memory_order_relaxed);
	}
	return !entry;
}

static bool destroy_entries(struct dictionary *dictionary, struct table *table, struct slice *slice)
{
	for (; dictionary->cursor < table->buckets; dictionary->cursor++) {
		if (!slice->left || !destroy_bucket(&table->first[dictionary->cursor], slice))
			return false;
		slice->left -= slice->left ? 1 : 0;
	}
	return true;
}

bool dictionary_destroy(struct dictionary *dictionary, struct slice *slice)
{
	for (unsigned i = 0; i < 2; i++) {
		struct table *table = own(&dictionary->tables[i]);

		if (!table)
			continue;
		if (!destroy_entries(dictionary, table, slice))
			return false;
		destroy_table(&table->garbage, slice);
		atomic_store_explicit(&dictionary->tables[i], NULL, memory_order_relaxed);
		dictionary->cursor = 0;
	}
	return true;
}
