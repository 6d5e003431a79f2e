/* SPDX-License-Identifier: MIT
 *
 * A soak without liburcu: there are no readers, and no grace periods.
 */
#include "soak.h"

const bool soak_has_readers = false;

void reader_begin(void)
{
}

void reader_end(void)
{
}

void read_some(struct visitor *visitor, struct stream *stream)
{
	push_some(visitor, stream);
}

void stop_showing(struct site *site)
{
	(void)site;
}
