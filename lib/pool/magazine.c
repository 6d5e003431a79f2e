/* SPDX-License-Identifier: MIT
 *
 * The memory of magazines.
 */
#include <stdlib.h>

#include "pool/pools.h"

struct dd_magazine *dd_magazine_new(uint32_t blocks)
{
	struct dd_magazine *magazine = malloc(sizeof *magazine + blocks * sizeof(struct dd_place));

	if (magazine)
		*magazine = (struct dd_magazine){NULL, 0};
	return magazine;
}

void dd_magazine_free(struct dd_magazine *magazine)
{
	free(magazine);
}
