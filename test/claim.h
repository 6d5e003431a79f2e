/* SPDX-License-Identifier: MIT
 *
 * For tests with a plain main, which run under all checkers: a claim that ends the program where it
 * does not hold.
 */
#ifndef CLAIM_H
#define CLAIM_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(claim)                                                                        \
	do {                                                                                \
		if (!(claim)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
			abort();                                                            \
		}                                                                           \
	} while (0)

#endif
