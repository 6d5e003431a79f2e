/* SPDX-License-Identifier: MIT
 *
 * Signalling an eventfd(2). These are not cancellation points, so locks may be held.
 */
#ifndef DD_EVENTFD_H
#define DD_EVENTFD_H

/*
 * Adds 1 to an eventfd. One that would block is at its maximum, and so readable already. Returns 0
 * or the error of write(2): -EBADF if it is closed.
 */
int dd_eventfd_signal(int eventfd);

void dd_eventfd_close(int eventfd);

#endif
