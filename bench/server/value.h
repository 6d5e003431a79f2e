/* SPDX-License-Identifier: MIT
 *
 * The values of keys: strings, lists and sets. Every part of them is allocated by itself, as in
 * other servers. Each begins with struct value and is garbage once it is unlinked.
 */
#ifndef VALUE_H
#define VALUE_H

#include "dictionary.h"

enum value_type {
	VALUE_STRING,
	VALUE_LIST,
	VALUE_SET,
};

struct value {
	struct garbage garbage;
	enum value_type type;
	struct entry *entry; /* its removed entry, destroyed with it; NULL while it is in use */
};

/* Never changed once it is created, so that readers need no lock. */
struct string {
	struct value value;
	size_t length;
	char bytes[];
};

struct list_node {
	struct list_node *next;
	struct list_node *previous;
	size_t length;
	char bytes[];
};

struct list {
	struct value value;
	struct list_node *first;
	struct list_node *last;
	uint64_t count;
};

struct set {
	struct value value;
	struct dictionary members;
};

/* All return NULL or false if there is no memory. */
struct value *string_create(const char *bytes, size_t length);

struct value *list_create(void);
bool list_push(struct list *list, bool is_at_front, const char *bytes, size_t length);
/* index: below count. */
struct list_node *list_at(const struct list *list, uint64_t index);

struct value *set_create(void);
/* is_new: set to true if the member was not there. */
bool set_add(struct set *set, const char *bytes, size_t length, bool *is_new);

/* Destroys the entry that was removed together with a value. */
void value_destroy_entry(struct value *value, struct slice *slice);

#endif
