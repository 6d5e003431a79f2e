/* SPDX-License-Identifier: MIT
 *
 * The library's statistics of a queue, as lines of INFO.
 */
#ifndef QUEUE_INFO_H
#define QUEUE_INFO_H

#include <defer_drop.h>

#include "buffer.h"

void queue_describe(struct defer_drop_queue *queue, struct buffer *out);

#endif
