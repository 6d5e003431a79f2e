/* SPDX-License-Identifier: MIT
 *
 * Writes answers in RESP2.
 */
#ifndef REPLY_H
#define REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

void reply_status(struct buffer *out, const char *text);
/*
 * As printf(3). The text begins with the kind of error, as in "ERR ...". Its line ends become
 * spaces.
 */
__attribute__((format(printf, 2, 3))) void reply_error(struct buffer *out, const char *format, ...);
void reply_integer(struct buffer *out, uint64_t integer);
void reply_bulk(struct buffer *out, const char *bytes, size_t length);
void reply_text(struct buffer *out, const char *text);
/* Answers that there is no such value. */
void reply_null(struct buffer *out);
/* Begins an array of that number of answers, which follow. */
void reply_array(struct buffer *out, uint64_t count);

#endif
