/* SPDX-License-Identifier: MIT
 *
 * What a build chooses. Meson and CMake define these on the command line; a program that compiles the
 * files of lib as its own may define them too, or do without.
 */
#ifndef DD_BUILT_IN_H
#define DD_BUILT_IN_H

/* Drops that a lane holds, a power of two: the Meson option queue_size. */
#ifndef DD_QUEUE_SIZE
#define DD_QUEUE_SIZE 4096u
#endif

/* Threads that get a lane of their own: the Meson option max_lanes. */
#ifndef DD_MAX_LANES_BUILT_IN
#define DD_MAX_LANES_BUILT_IN 64u
#endif

/* 1: grace periods, with liburcu, which the program links with -lurcu-memb -lurcu-common. */
#ifndef DD_HAS_RCU
#define DD_HAS_RCU 0
#endif

#endif
