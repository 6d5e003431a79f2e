/* SPDX-License-Identifier: MIT
 *
 * Reading the settings of defer-drop run.
 */
#include "preload/settings.h"

#include <stdio.h>
#include <string.h>

#include "defer_drop/os.h"

#define MIB (UINT64_C(1) << 20)
#define S   UINT64_C(1000000000)

void dd_settings_init(struct dd_settings *settings)
{
	static const struct dd_settings built_in = {
		.what = DD_WHAT_ALL,
		.file_bytes = DEFER_DROP_UNSET,
		.memory_bytes = 16 * MIB,
		.max_bytes = 8192 * MIB,
		.slice_bytes = 32 * MIB,
		.exit_ns = S,
		.is_for_children = true,
	};

	*settings = built_in;
}

/* ---- Values ---------------------------------------------------------------------------------- */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {{"", 1}, {"k", 1024}, {"M", MIB}, {"G", 1024 * MIB}, {NULL, 0}};
static const struct unit times[] = {
	{"ms", S / 1000}, {"s", S}, {"m", 60 * S}, {"us", 1000}, {"ns", 1}, {NULL, 0}};

/* Reads a number with a unit, up to 2^62. */
static bool read_number(const char *text, const struct unit *units, uint64_t *number)
{
	uint64_t most = UINT64_C(1) << 62;
	uint64_t value = 0;
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 19)
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	for (; units->name; units++)
		if (!strcmp(text + digits, units->name)) {
			if (value > most / units->factor)
				return false;
			*number = value * units->factor;
			return true;
		}
	return false;
}

static bool read_yes_or_no(const char *text, bool *is_yes)
{
	*is_yes = !strcmp(text, "yes");
	return *is_yes || !strcmp(text, "no");
}

static unsigned what_is(const char *text, size_t length)
{
	static const struct {
		const char *name;
		unsigned what;
	} known[] = {
		{"all", DD_WHAT_ALL},
		{"close", DD_WHAT_CLOSE},
		{"free", DD_WHAT_FREE},
		{"munmap", DD_WHAT_MUNMAP},
		{"rename", DD_WHAT_RENAME},
		{"unlink", DD_WHAT_UNLINK},
	};

	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strlen(known[i].name) == length && !strncmp(text, known[i].name, length))
			return known[i].what;
	return 0;
}

/* Reads "close+unlink". */
static bool read_what(const char *text, unsigned *what)
{
	*what = 0;
	for (;;) {
		size_t length = strcspn(text, "+");
		unsigned found = what_is(text, length);

		if (!found)
			return false;
		*what |= found;
		if (!text[length])
			return true;
		text += length + 1;
	}
}

static bool read_text(const char *text, char *to, size_t bytes)
{
	if (!*text || strlen(text) >= bytes)
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static bool read_least(const char *text, uint64_t *bytes)
{
	return read_number(text, sizes, bytes) && *bytes;
}

/* Returns what is accepted if the value is not, "" for an unknown name, or NULL. */
static const char *read_one(struct dd_settings *to, const char *name, const char *value)
{
	static const char size[] = "a size of 1 byte or more, as in 64M";

	if (!strcmp(name, "defer"))
		return read_what(value, &to->what)
			       ? NULL
			       : "all, or some of close+free+munmap+rename+unlink";
	if (!strcmp(name, "file_bytes"))
		return read_least(value, &to->file_bytes) ? NULL : size;
	if (!strcmp(name, "memory_bytes"))
		return read_least(value, &to->memory_bytes) ? NULL : size;
	if (!strcmp(name, "max_bytes"))
		return read_number(value, sizes, &to->max_bytes) ? NULL : size;
	if (!strcmp(name, "slice_bytes"))
		return read_least(value, &to->slice_bytes) && to->slice_bytes >= 4096
			       ? NULL
			       : "a size of 4k or more";
	if (!strcmp(name, "rate"))
		return read_least(value, &to->bytes_per_second) ? NULL : size;
	if (!strcmp(name, "exit"))
		return read_number(value, times, &to->exit_ns) ? NULL : "a time, as in 500ms";
	if (!strcmp(name, "children"))
		return read_yes_or_no(value, &to->is_for_children) ? NULL : "yes or no";
	if (!strcmp(name, "helper"))
		return read_text(value, to->helper, sizeof to->helper) ? NULL : "a name";
	if (!strcmp(name, "report")) {
		to->has_report = true;
		return !strcmp(value, "-") || read_text(value, to->report, sizeof to->report)
			       ? NULL
			       : "a file of up to 255 bytes, or -";
	}
	return "";
}

bool dd_settings_read(struct dd_settings *settings, const char *text, char *why, size_t why_bytes)
{
	char copy[DD_SETTINGS_BYTES];
	char *rest = NULL;

	if (strlen(text) >= sizeof copy) {
		snprintf(why, why_bytes, "the options are longer than %zu bytes", sizeof copy - 1);
		return false;
	}
	memcpy(copy, text, strlen(text) + 1);
	for (char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(name, '=');
		const char *wanted = "";

		if (value) {
			*value = 0;
			wanted = read_one(settings, name, value + 1);
		}
		if (!wanted)
			continue;
		if (*wanted)
			snprintf(why, why_bytes, "%s=%s: want %s", name, value + 1, wanted);
		else
			snprintf(why, why_bytes, "%s: no such option", name);
		return false;
	}
	return true;
}
