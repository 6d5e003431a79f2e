/* SPDX-License-Identifier: MIT
 *
 * The configuration of a queue. One table has a row for each field. The built-in values, the
 * checks, comparisons, messages, and the options of DEFER_DROP_OPTIONS (environment.h) come from
 * it. A new field takes a row, and a place in struct defer_drop_config.
 */
#ifndef DD_CONFIG_H
#define DD_CONFIG_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "defer_drop.h"

struct dd_line; /* report.h */

#define DD_MAX_QUEUE_SIZE (UINT32_C(1) << 24)
#define DD_MAX_LANES      1024
#define DD_NAME_BYTES     16 /* with the final 0: the kernel's limit for a thread's name */
#define DD_CPUS_BYTES     256

/* The strings that a configuration owns. */
struct dd_config_text {
	char name[DD_NAME_BYTES];
	char cpus[DD_CPUS_BYTES];
};

/*
 * A checked configuration. Its strings point into text; values.cpus is NULL if there is no list. In
 * a complete one no field is left to be resolved: runner and at_fork are not DEFAULT,
 * exit_timeout_ns and the low marks are not UNSET. scheduling stays as it was given, because its
 * default depends on the thread that starts the worker.
 */
struct dd_config {
	struct defer_drop_config values;
	struct dd_config_text text;
};

/* Makes a configuration of what was asked; NULL asks for the built-in one. Returns 0, -EINVAL or
 * -E2BIG. Does not check whether liburcu is present. */
int dd_config_make(const struct defer_drop_config *asked, struct dd_config *config);

/* Copies a configuration, with its strings. */
void dd_config_copy(struct dd_config *to, const struct dd_config *from);

bool dd_config_is_equal(const struct dd_config *a, const struct dd_config *b);

/* Fills in as much of the public struct as its size says, and sets the size to what it filled in.
 * The strings belong to the configuration. Returns 0, or -EINVAL if to->size is too small. */
int dd_config_show(const struct dd_config *config, struct defer_drop_config *to);

enum { DD_CPUS_END = 8 * sizeof(cpu_set_t) }; /* as CPU_SETSIZE, except in musl */
/* Reads a list like "0-3,6". False if it is none, or names a CPU that is not below DD_CPUS_END. */
bool dd_cpus_parse(const char *list, cpu_set_t *cpus);

/* Returns SCHED_OTHER and so on, for a scheduling other than the default and the inherited one. */
int dd_config_policy(const struct defer_drop_config *values);

/* ---- The table, for the parser --------------------------------------------------------------- */

enum dd_option_kind {
	DD_COUNT,   /* a number; may end in k, M or G */
	DD_POWER,   /* a count that is a power of two */
	DD_SIGNED,  /* a number that may be negative */
	DD_TIME,    /* in ns; may have a unit */
	DD_CHOICE,  /* one of its words */
	DD_NAME,    /* a string */
	DD_CPUS,    /* a string, a list of CPUs */
	DD_POINTER, /* the program's: any value is valid */
};

/* Whether the program or DEFER_DROP_OPTIONS decides. */
enum dd_option_owner {
	DD_OF_ENVIRONMENT,    /* DEFER_DROP_OPTIONS overrides the program */
	DD_OF_PROGRAM_IF_SET, /* it does unless the program has set a value that is not built in */
	DD_OF_PROGRAM,        /* it does not override */
};

/* A value that is written as a word; it may lie outside of the range. */
struct dd_word {
	const char *text; /* NULL after the last */
	uint64_t value;
};

/* Values are passed around as 64 bits: those of signed fields extended, those of strings and
 * pointers as addresses. */
struct dd_option {
	const char *name;
	/* Small fields: most programs map the table but never read it, so it takes few pages. */
	uint16_t offset; /* of the field in struct defer_drop_config */
	uint8_t bytes;   /* of the field */
	uint8_t kind;    /* enum dd_option_kind */
	uint8_t owner;   /* enum dd_option_owner */
	uint8_t rule;    /* a rule that this field must fulfil together with others, or 0 */
	uint64_t least;  /* of numbers and times */
	uint64_t most;
	uint64_t built_in;
	const char *built_in_text;   /* of strings, instead of built_in */
	const struct dd_word *words; /* or NULL */
};

extern const struct dd_option dd_options[];
extern const unsigned dd_options_count;

/* Returns the value of a field. */
uint64_t dd_option_value(const struct dd_option *option, const struct defer_drop_config *values);

uint64_t dd_option_built_in(const struct dd_option *option);

/* True if the field may have this value. */
bool dd_option_accepts(const struct dd_option *option, uint64_t value);

/* Sets the field to a value that it accepts. A string is copied. */
void dd_option_set(const struct dd_option *option, struct dd_config *config, uint64_t value);

/* Adds a value to a line, in the form that the environment accepts. */
void dd_option_show(const struct dd_option *option, uint64_t value, struct dd_line *line);

/* Reads that form. False if the field does not accept the value. A string is not copied. */
bool dd_option_parse(const struct dd_option *option, const char *text, uint64_t *value);

/* Adds the accepted values to a line, for example "1..1024". */
void dd_option_show_range(const struct dd_option *option, struct dd_line *line);

/* Takes the values that were asked for, unchecked; fields that the caller's version lacks are built
 * in. Returns 0, -EINVAL or -E2BIG. */
int dd_config_take(const struct defer_drop_config *asked, struct defer_drop_config *values);

/* Replaces DEFAULT and UNSET by the values that they stand for. */
void dd_config_resolve(struct defer_drop_config *values);

/* Returns the first rule above `after` that the fields break together, or 0. Rules are numbered
 * from 1 on. */
unsigned dd_config_broken_rule(const struct defer_drop_config *values, unsigned after);

/* Adds the fields of a rule with their values; dd_rule_wants returns what the rule requires. */
void dd_rule_show_fields(
	unsigned rule, const struct defer_drop_config *values, struct dd_line *line);
const char *dd_rule_wants(unsigned rule);

#endif
