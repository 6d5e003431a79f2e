// deferdrop: the type is incomplete
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct hidden;

int refused(std::unique_ptr<hidden> &owner);
int refused(std::unique_ptr<hidden> &owner)
{
	return deferdrop::drop(std::move(owner));
}
