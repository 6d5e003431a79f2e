/* SPDX-License-Identifier: MIT
 *
 * The end of a program with a claim that does not hold: fuzzers recognise an abort.
 */
#include "check.h"

#include <stdlib.h>

void fail(const char *file, int line, const char *claim)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
	abort();
}
