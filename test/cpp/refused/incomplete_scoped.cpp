// deferdrop: the type is incomplete
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct hidden;

void refused(deferdrop::scoped<hidden> &value);
void refused(deferdrop::scoped<hidden> &value)
{
	(void)value.drop();
}
