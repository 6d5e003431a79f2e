// deferdrop: the value is not moved: std::move it
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

int refused(std::string &value);
int refused(std::string &value)
{
	return deferdrop::drop(value);
}
