// deferdrop: the deleter is a reference
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct closer {
	int closed = 0;

	void operator()(int *)
	{
		closed++;
	}
};

int refused(std::unique_ptr<int, closer &> &owner);
int refused(std::unique_ptr<int, closer &> &owner)
{
	return deferdrop::drop(std::move(owner));
}
