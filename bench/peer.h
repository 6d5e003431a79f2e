/* SPDX-License-Identifier: MIT
 *
 * Ways to hand destruction to another thread, to be measured beside each other.
 */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>

struct peer {
	const char *name;
	/* Before the clock runs: starts what has to be started. May be NULL. */
	void (*begin)(void);
	/* Hands over so many objects with an empty destructor, one by one. */
	void (*push)(uint64_t count);
	/* Waits until all have been destroyed. */
	void (*flush)(void);
	/* Ends what begin started. May be NULL. */
	void (*end)(void);
};

extern const struct peer peer_bare_ring;   /* peer_bare.c: the floor */
extern const struct peer peer_two_stores;  /* nobody takes them: what memory alone costs */
extern const struct peer peer_drop;        /* peer_drop.c: through the shared library */
extern const struct peer peer_drop_shared; /* the shared lane alone */
extern const struct peer peer_mutex_list;  /* peer_mutex.c */
#ifdef HAVE_URCU
extern const struct peer peer_defer_rcu; /* peer_urcu.c */
extern const struct peer peer_call_rcu;
#endif
#ifdef HAVE_CK
extern const struct peer peer_ck_ring; /* peer_ck.c */
#endif

/* The empty destructor: peer_destroy.c, compiled apart so that nothing is known of it. */
void peer_destroy(void *object);

#endif
