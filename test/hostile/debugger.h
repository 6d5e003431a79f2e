/* SPDX-License-Identifier: MIT
 *
 * A debugger for one thread of a child: runs it one instruction at a time, and leaves it stopped
 * there while the other threads of its process go on. SIGSTOP cannot do that: it stops them all.
 */
#ifndef DEBUGGER_H
#define DEBUGGER_H

#include <stdbool.h>
#include <sys/types.h>

/* Becomes the debugger of this thread; the process ends with its debugger. If that is not
 * permitted, the case is skipped. */
void debugger_attach(pid_t thread);

/* The thread's own request to be stopped. */
void debugger_trap(void);

/* Waits until the thread has asked to be stopped. */
void debugger_await_trap(pid_t thread);

/* Lets a stopped thread execute one instruction; a system call is one. */
void debugger_step(pid_t thread);

/* Lets a stopped thread run. */
void debugger_continue(pid_t thread);

/* Lets a stopped thread run to its end. */
void debugger_see_off(pid_t thread);

/* True if the thread is still there. One that ended by itself has taken its process along. */
bool debugger_has(pid_t thread);

#endif
