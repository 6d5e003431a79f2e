// deferdrop: the value cannot be moved: use deferdrop::make_unique
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <mutex>

int refused(std::mutex &value);
int refused(std::mutex &value)
{
	return deferdrop::drop(std::move(value));
}
