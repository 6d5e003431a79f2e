// deferdrop: the value could not be moved back
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct careless {
	careless(careless &&other) noexcept(false);
	careless &operator=(careless &&other) = delete;
	~careless();
};

int refused(careless &value);
int refused(careless &value)
{
	return deferdrop::drop(std::move(value));
}
