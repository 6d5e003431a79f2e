/* SPDX-License-Identifier: MIT
 *
 * Undoing what was begun, unless all of it succeeds: each step has a guard that undoes it, and
 * success disarms them all.
 */
#include <defer_drop/guard.h>
#include <errno.h>
#include <stdio.h>

#define IN_PLACE (&defer_drop_strategy_in_place)

static unsigned reserved;
static unsigned charged;

static void undo(void *counter)
{
	--*(unsigned *)counter;
}

/* Both are counted or neither is. */
static int order(int is_card_valid)
{
	DEFER_DROP_SCOPED(reservation, &reserved, undo, IN_PLACE);
	DEFER_DROP_SCOPED(charge, &charged, undo, IN_PLACE);

	reserved++;
	charged++;
	if (!is_card_valid)
		return -EPERM;
	defer_drop_guard_disarm(&charge);
	defer_drop_guard_disarm(&reservation);
	return 0;
}

int main(void)
{
	if (order(0) != -EPERM || reserved != 0 || charged != 0)
		return 1;
	if (order(1) != 0 || reserved != 1 || charged != 1)
		return 1;
	printf("of two orders, %u is reserved and %u charged\n", reserved, charged);
	return 0;
}
