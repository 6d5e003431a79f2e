/* SPDX-License-Identifier: MIT
 *
 * lfht with | without: a hash table of liburcu, whose nodes updaters replace, delete and drop. No
 * node is destroyed while a reader has it. Destructors look up in the table.
 *
 * without leaves the grace period out: a reader that has a node then sees it destroyed, and the
 * program must fail.
 */
#define URCU_API_MAP /* the names without a flavor */
#include <string.h>
#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>

#include "rcu.h"

#define KEYS    64
#define UPDATES 4000

struct node {
	struct mark mark;
	struct cds_lfht_node link;
	unsigned long key;
};

static struct cds_lfht *table;
static bool has_grace_period;
static _Atomic(bool) has_node;
static _Atomic(bool) is_flushed;

/* ---- The table ------------------------------------------------------------------------------- */

static unsigned long hash(unsigned long key)
{
	return key * 0x9e3779b97f4a7c15ul >> 32;
}

static int has_key(struct cds_lfht_node *link, const void *key)
{
	return caa_container_of(link, struct node, link)->key == *(const unsigned long *)key;
}

/* Inside a read-side critical section, like the next two. NULL: there is none. */
static struct node *find(unsigned long key)
{
	struct cds_lfht_iter iterator;
	struct cds_lfht_node *link;

	cds_lfht_lookup(table, hash(key), has_key, &key, &iterator);
	link = cds_lfht_iter_get_node(&iterator);
	return link ? caa_container_of(link, struct node, link) : NULL;
}

/* Returns the node that it takes the place of, or NULL. */
static struct node *put(unsigned long key)
{
	struct node *node = calloc(1, sizeof *node);
	struct cds_lfht_node *before;

	node->key = key;
	before = cds_lfht_add_replace(table, hash(key), has_key, &key, &node->link);
	return before ? caa_container_of(before, struct node, link) : NULL;
}

/* Returns the node that was deleted, or NULL. */
static struct node *take(unsigned long key)
{
	struct node *node = find(key);

	return node && !cds_lfht_del(table, &node->link) ? node : NULL;
}

/* ---- Drops ----------------------------------------------------------------------------------- */

static void look(unsigned long key)
{
	struct node *node;

	rcu_read_lock();
	node = find(key);
	CHECK(!node || (node->key == key && is_alive(&node->mark)));
	rcu_read_unlock();
}

static void destroy(void *object)
{
	struct node *node = object;

	poison(&node->mark);
	look(node->key);
}

static void drop(struct node *node)
{
	if (node)
		CHECK(!(has_grace_period ? defer_drop_rcu(node, destroy)
					 : defer_drop(node, destroy)));
}

/* ---- A reader that has a node when it is dropped --------------------------------------------- */

static void *hold(void *argument)
{
	struct node *node;

	rcu_register_thread();
	rcu_read_lock();
	node = find(0);
	atomic_store(&has_node, true);
	if (has_grace_period)
		usleep(50000);
	else
		while (!atomic_load(&is_flushed))
			usleep(1000);
	CHECK(is_alive(&node->mark));
	rcu_read_unlock();
	rcu_unregister_thread();
	return argument;
}

static void drop_under_reader(void)
{
	struct node *node;
	pthread_t reader;

	rcu_read_lock();
	put(0);
	rcu_read_unlock();
	CHECK(!pthread_create(&reader, NULL, hold, NULL));
	while (!atomic_load(&has_node))
		usleep(1000);
	rcu_read_lock();
	node = take(0);
	rcu_read_unlock();
	drop(node);
	CHECK(!defer_drop_flush());
	CHECK(!is_alive(&node->mark));
	atomic_store(&is_flushed, true);
	CHECK(!pthread_join(reader, NULL));
}

/* ---- Many ------------------------------------------------------------------------------------ */

static void *read_on(void *argument)
{
	rcu_register_thread();
	for (unsigned long key = 0; !atomic_load(&has_ended); key++)
		look(key % KEYS);
	rcu_unregister_thread();
	return argument;
}

static void *update(void *argument)
{
	rcu_register_thread();
	for (unsigned long i = 0; i < UPDATES; i++) {
		struct node *node;

		rcu_read_lock();
		node = i % 3 ? put(hash(i) % KEYS) : take(hash(i + 1) % KEYS);
		rcu_read_unlock();
		drop(node); /* it may have to wait, so not inside */
	}
	rcu_unregister_thread();
	return argument;
}

static void clear(void)
{
	for (unsigned long key = 0; key < KEYS; key++) {
		struct node *node;

		rcu_read_lock();
		node = take(key);
		rcu_read_unlock();
		drop(node);
	}
	CHECK(!defer_drop_shutdown());
	CHECK(!cds_lfht_destroy(table, NULL));
	free_destroyed();
}

int main(int count, char **arguments)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	has_grace_period = count == 2 && !strcmp(arguments[1], "with");
	if (!has_grace_period && (count != 2 || strcmp(arguments[1], "without"))) {
		fprintf(stderr, "lfht: %s: want with or without\n", count > 1 ? arguments[1] : "");
		return 2;
	}
	config.rcu_flavor = &rcu_flavor; /* the worker reads in either case */
	CHECK(!defer_drop_start(&config));
	rcu_register_thread();
	table = cds_lfht_new(KEYS, KEYS, KEYS, 0, NULL);
	CHECK(table);
	drop_under_reader();
	update_under_readers(update, read_on);
	clear();
	rcu_unregister_thread();
	return 0;
}
