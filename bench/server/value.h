/* SPDX-License-Identifier: MIT
 *
 * What keys stand for: strings, lists and sets, every part of them allocated by itself, as servers
 * do. Each begins with struct value and is garbage once it is unlinked.
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
	struct entry *entry; /* taken out with it, and destroyed with it; NULL while it is in use */
};

/* Never changed once it is made, so that readers need no lock. */
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

/* All return NULL, or false, where there is no memory. */
struct value *string_create(const char *bytes, size_t length);

struct value *list_create(void);
bool list_push(struct list *list, bool is_at_front, const char *bytes, size_t length);
/* index: below count. */
struct list_node *list_at(const struct list *list, uint64_t index);

struct value *set_create(void);
/* is_new: whether it was not there. */
bool set_add(struct set *set, const char *bytes, size_t length, bool *is_new);

/* With the last node of a value: the entry that was taken out with it. */
void value_destroy_entry(struct value *value, struct slice *slice);

#endif
