// deferdrop: the type is incomplete
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct hidden;

void refused();
void refused()
{
	(void)deferdrop::make_unique<hidden>();
}
