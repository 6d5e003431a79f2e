/* SPDX-License-Identifier: MIT
 *
 * Names of functions, for people.
 */
#ifndef DD_SYMBOL_H
#define DD_SYMBOL_H

#include <stddef.h>

#include "defer_drop.h"

/* Enough for a C function, and for most C++ functions; a longer name is cut off. */
#define DD_SYMBOL_BYTES 512

/*
 * Writes a destructor's name for people, ended by 0: its symbol; or its place in its file, in the
 * form for addr2line(1); or its address. Takes a lock of the dynamic linker.
 */
void dd_symbol_print(char *to, size_t bytes, defer_drop_fn destroy);

#endif
