// deferdrop: a const value cannot be moved
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

int refused(const std::string &value);
int refused(const std::string &value)
{
	return deferdrop::drop(std::move(value));
}
