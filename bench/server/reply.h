/* SPDX-License-Identifier: MIT
 *
 * RESP2 as servers answer it.
 */
#ifndef REPLY_H
#define REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

void reply_status(struct buffer *out, const char *text);
/* As printf(3); text begins with the kind of error, as in "ERR ...". Line ends in it become
 * spaces. */
__attribute__((format(printf, 2, 3))) void reply_error(struct buffer *out, const char *format, ...);
void reply_integer(struct buffer *out, uint64_t integer);
void reply_bulk(struct buffer *out, const char *bytes, size_t length);
void reply_text(struct buffer *out, const char *text);
/* No such thing. */
void reply_null(struct buffer *out);
/* So many answers follow. */
void reply_array(struct buffer *out, uint64_t count);

#endif
