/* SPDX-License-Identifier: MIT
 *
 * Telling an eventfd(2). No cancellation points: locks may be held.
 */
#ifndef DD_EVENTFD_H
#define DD_EVENTFD_H

/*
 * Adds 1. One that would block stands at its maximum, and so is readable already. Returns 0 or what
 * write(2) says against it, -EBADF where it is closed.
 */
int dd_eventfd_signal(int eventfd);

void dd_eventfd_close(int eventfd);

#endif
