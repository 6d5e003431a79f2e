/* SPDX-License-Identifier: MIT */
#ifndef DD_SYMBOL_H
#define DD_SYMBOL_H

#include <stddef.h>

#include "defer_drop.h"

/* Of a C function, and of most C++ ones; what is longer is cut off. */
#define DD_SYMBOL_BYTES 512

/*
 * Writes a destructor's name for people, ended by 0: its symbol, or where it lies in its file, as
 * addr2line(1) takes it, or its address. Takes a lock of the dynamic linker's.
 */
void dd_symbol_print(char *to, size_t bytes, defer_drop_fn destroy);

#endif
