// deferdrop: the type is incomplete
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct hidden;

int refused(deferdrop::unique_ptr<hidden[]> &owner);
int refused(deferdrop::unique_ptr<hidden[]> &owner)
{
	return deferdrop::drop(std::move(owner));
}
