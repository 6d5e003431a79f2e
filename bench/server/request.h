/* SPDX-License-Identifier: MIT
 *
 * Parses RESP2 as clients send it: arrays of bulk strings, and inline commands. A request may
 * arrive in pieces; each byte is read once, however many pieces there are.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_MAX_ARGUMENTS 1048576
#define REQUEST_MAX_BULK      (64u << 20) /* bytes of one argument */
#define REQUEST_MAX_BYTES     (128u << 20)
#define REQUEST_MAX_LINE      65536 /* bytes of an inline command; of a length, fewer */

/* Where an argument lies, counted from the beginning of the request. */
struct span {
	size_t begin;
	size_t length;
};

struct request {
	struct span *arguments;
	uint32_t count;
	uint32_t room;

	size_t at;         /* bytes that have been read */
	uint32_t expected; /* arguments of the array; 0: its head is still to come */
	int64_t bulk;      /* length of the next argument; -1: its head is still to come */
};

enum request_state {
	REQUEST_PARTIAL,
	REQUEST_COMPLETE, /* it has at bytes, and perhaps no arguments */
	REQUEST_WRONG,    /* *error tells why; nothing more can be read from this client */
};

void request_init(struct request *request);
void request_free(struct request *request);

/*
 * Parses from the beginning of the request: the bytes of the last call, and more. The quotes of an
 * inline command are removed in place.
 */
enum request_state request_parse(
	struct request *request, char *bytes, size_t count, const char **error);

/* Prepares for the next request. */
void request_reset(struct request *request);

#endif
