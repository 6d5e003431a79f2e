// deferdrop: void has no destructor
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

void refused(deferdrop::scoped<void> &value);
void refused(deferdrop::scoped<void> &value)
{
	(void)value.drop();
}
