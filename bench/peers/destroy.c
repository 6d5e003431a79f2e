/* SPDX-License-Identifier: MIT
 *
 * The empty destructor, in a file of its own so that the compiler cannot see that it is empty.
 */
#include "peer.h"

void peer_destroy(void *object)
{
	(void)object;
}
