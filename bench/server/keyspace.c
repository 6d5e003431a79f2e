/* SPDX-License-Identifier: MIT
 *
 * The data set: one dictionary of keys, which can be replaced as a whole.
 */
#include "keyspace.h"

#include <errno.h>

#include "reclaim.h"

struct keyspace {
	struct garbage garbage;
	struct dictionary keys;
};

static _Atomic(struct keyspace *) current;

/* Relaxed: only the thread that writes the keyspace calls it. */
static struct keyspace *own(void)
{
	return atomic_load_explicit(&current, memory_order_relaxed);
}

static bool destroy(struct garbage *garbage, struct slice *slice)
{
	struct keyspace *keyspace = (struct keyspace *)garbage;

	if (!dictionary_destroy(&keyspace->keys, slice))
		return false;
	node_destroy(keyspace, sizeof *keyspace, slice);
	return true;
}

int keyspace_create(void)
{
	struct tally tally = {0};
	struct keyspace *keyspace = node_create(sizeof *keyspace, &tally);

	if (!keyspace)
		return -ENOMEM;
	keyspace->garbage = (struct garbage){.destroy = destroy, .tally = tally};
	dictionary_init(&keyspace->keys, &keyspace->garbage.tally);
	atomic_store_explicit(&current, keyspace, memory_order_release);
	return 0;
}

uint64_t keyspace_count(void)
{
	return own()->keys.count;
}

struct value *keyspace_get(const char *key, size_t length)
{
	struct entry *entry = dictionary_find(&own()->keys, key, length);

	return entry ? atomic_load_explicit(&entry->value, memory_order_relaxed) : NULL;
}

struct value *keyspace_get_shared(const char *key, size_t length)
{
	struct keyspace *keyspace = atomic_load_explicit(&current, memory_order_acquire);
	struct entry *entry = dictionary_find_shared(&keyspace->keys, key, length);

	return entry ? atomic_load_explicit(&entry->value, memory_order_acquire) : NULL;
}

bool keyspace_set(const char *key, size_t length, struct value *value)
{
	struct entry *entry = dictionary_find(&own()->keys, key, length);
	struct value *old;

	if (!entry)
		return dictionary_add(&own()->keys, key, length, value);
	old = atomic_load_explicit(&entry->value, memory_order_relaxed);
	atomic_store_explicit(&entry->value, value, memory_order_release);
	reclaim(&old->garbage);
	return true;
}

bool keyspace_delete(const char *key, size_t length)
{
	struct entry *entry = dictionary_remove(&own()->keys, key, length);
	struct value *value;

	if (!entry)
		return false;
	value = atomic_load_explicit(&entry->value, memory_order_relaxed);
	value->entry = entry;
	value->garbage.tally.nodes++;
	value->garbage.tally.bytes += node_bytes(entry_size(entry));
	reclaim(&value->garbage);
	return true;
}

static void reclaim_all(struct keyspace *keyspace, const struct tally *held)
{
	keyspace->garbage.tally = *held;
	reclaim(&keyspace->garbage);
}

bool keyspace_flush(void)
{
	struct keyspace *old = own();
	struct tally held = reclaim_held();

	if (keyspace_create())
		return false;
	reclaim_all(old, &held);
	return true;
}

void keyspace_destroy(void)
{
	struct tally held = reclaim_held();

	reclaim_all(own(), &held);
}
