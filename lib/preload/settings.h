/* SPDX-License-Identifier: MIT
 *
 * What defer-drop run is asked for: one text, which the command checks and passes on in one
 * variable of the environment, and the preload library reads.
 */
#ifndef DD_SETTINGS_H
#define DD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DD_SETTINGS_VARIABLE "DEFER_DROP_RUN"
/* With the final 0. Longer texts are refused. */
#define DD_SETTINGS_BYTES 512

/* What may be deferred. */
enum dd_what {
	DD_WHAT_CLOSE = 1 << 0,  /* close, fclose */
	DD_WHAT_UNLINK = 1 << 1, /* unlink, unlinkat, remove */
	DD_WHAT_RENAME = 1 << 2, /* rename and its kin, over a file */
	DD_WHAT_MUNMAP = 1 << 3,
	DD_WHAT_FREE = 1 << 4, /* free, realloc */
	DD_WHAT_ALL = (1 << 5) - 1,
};

struct dd_settings {
	unsigned what;         /* enum dd_what, added up */
	uint64_t file_bytes;   /* least; UINT64_MAX - 1: as measured */
	uint64_t memory_bytes; /* least */
	uint64_t max_bytes;
	uint64_t slice_bytes;
	uint64_t bytes_per_second; /* 0: no limit */
	uint64_t exit_ns;
	bool has_report;
	char report[256]; /* the file; empty: standard error */
	bool is_for_children;
	char helper[64]; /* the name of its socket; empty: none */
};

void dd_settings_init(struct dd_settings *settings);

/*
 * Reads "name=value,name=value". Takes no memory.
 *
 * why: gets a line that says what is wrong; untouched if nothing is.
 */
bool dd_settings_read(struct dd_settings *settings, const char *text, char *why, size_t why_bytes);

#endif
