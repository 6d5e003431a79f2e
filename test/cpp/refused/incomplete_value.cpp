// deferdrop: the type is incomplete
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct hidden;

int refused(hidden &value);
int refused(hidden &value)
{
	return deferdrop::drop(std::move(value));
}
