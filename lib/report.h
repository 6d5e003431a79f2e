/* SPDX-License-Identifier: MIT */
#ifndef DD_REPORT_H
#define DD_REPORT_H

/* One line on stderr, behind the library's name. Not a cancellation point: locks may be held. */
__attribute__((format(printf, 1, 2))) void dd_report(const char *format, ...);

#endif
