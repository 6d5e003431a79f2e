// deferdrop: the value is not moved: std::move it
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

int refused(deferdrop::unique_ptr<std::string> &owner);
int refused(deferdrop::unique_ptr<std::string> &owner)
{
	return deferdrop::drop(owner);
}
