/* SPDX-License-Identifier: MIT */
#include "peer.h"

void peer_destroy(void *object)
{
	(void)object;
}
