/* SPDX-License-Identifier: MIT
 *
 * Creates and destroys strings, lists and sets.
 */
#include "value.h"

#include <string.h>

void value_destroy_entry(struct value *value, struct slice *slice)
{
	if (value->entry)
		node_destroy(value->entry, entry_size(value->entry), slice);
}

static void *create(size_t bytes, enum value_type type,
	bool (*destroy)(struct garbage *garbage, struct slice *slice))
{
	struct tally tally = {0};
	struct value *value = node_create(bytes, &tally);

	if (value)
		*value = (struct value){{.destroy = destroy, .tally = tally}, type, NULL};
	return value;
}

/* ---- Strings --------------------------------------------------------------------------------- */

static bool destroy_string(struct garbage *garbage, struct slice *slice)
{
	struct string *string = (struct string *)garbage;

	value_destroy_entry(&string->value, slice);
	node_destroy(string, sizeof *string + string->length, slice);
	return true;
}

struct value *string_create(const char *bytes, size_t length)
{
	struct string *string = create(sizeof *string + length, VALUE_STRING, destroy_string);

	if (!string)
		return NULL;
	string->length = length;
	memcpy(string->bytes, bytes, length);
	return &string->value;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static bool destroy_list(struct garbage *garbage, struct slice *slice)
{
	struct list *list = (struct list *)garbage;

	while (list->first) {
		struct list_node *node = list->first;

		if (!slice->left)
			return false;
		list->first = node->next;
		node_destroy(node, sizeof *node + node->length, slice);
	}
	value_destroy_entry(&list->value, slice);
	node_destroy(list, sizeof *list, slice);
	return true;
}

struct value *list_create(void)
{
	struct list *list = create(sizeof *list, VALUE_LIST, destroy_list);

	if (!list)
		return NULL;
	list->first = list->last = NULL;
	list->count = 0;
	return &list->value;
}

bool list_push(struct list *list, bool is_at_front, const char *bytes, size_t length)
{
	struct list_node *node = node_create(sizeof *node + length, &list->value.garbage.tally);

	if (!node)
		return false;
	node->length = length;
	memcpy(node->bytes, bytes, length);
	node->previous = is_at_front ? NULL : list->last;
	node->next = is_at_front ? list->first : NULL;
	*(node->previous ? &node->previous->next : &list->first) = node;
	*(node->next ? &node->next->previous : &list->last) = node;
	list->count++;
	return true;
}

struct list_node *list_at(const struct list *list, uint64_t index)
{
	struct list_node *node;

	if (index < list->count / 2) {
		for (node = list->first; index; index--)
			node = node->next;
		return node;
	}
	node = list->last;
	for (index = list->count - 1 - index; index; index--)
		node = node->previous;
	return node;
}

/* ---- Sets ------------------------------------------------------------------------------------ */

static bool destroy_set(struct garbage *garbage, struct slice *slice)
{
	struct set *set = (struct set *)garbage;

	if (!dictionary_destroy(&set->members, slice))
		return false;
	value_destroy_entry(&set->value, slice);
	node_destroy(set, sizeof *set, slice);
	return true;
}

struct value *set_create(void)
{
	struct set *set = create(sizeof *set, VALUE_SET, destroy_set);

	if (!set)
		return NULL;
	dictionary_init(&set->members, &set->value.garbage.tally);
	return &set->value;
}

bool set_add(struct set *set, const char *bytes, size_t length, bool *is_new)
{
	*is_new = !dictionary_find(&set->members, bytes, length);
	return !*is_new || dictionary_add(&set->members, bytes, length, NULL);
}
