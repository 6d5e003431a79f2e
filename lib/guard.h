/* SPDX-License-Identifier: MIT
 *
 * What the lanes have to know of guards.
 */
#ifndef DD_GUARD_H
#define DD_GUARD_H

/*
 * The destructor of a guard that is waited for: it destroys what that guards, and leaves the status
 * there. A forked child may not run one that its parent pushed: the guard may lie on the stack of a
 * thread that is no more.
 */
void dd_guard_run(void *guard);

#endif
