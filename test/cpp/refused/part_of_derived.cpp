// deferdrop: the value could not be moved back
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct base {
	base(base &&other) noexcept;
	base &operator=(base &&other) = delete;
	virtual ~base();
};

int refused(base &value);
int refused(base &value)
{
	return deferdrop::drop(std::move(value));
}
