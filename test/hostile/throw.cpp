// SPDX-License-Identifier: MIT
//
// What a destructor cannot do in C.

#include <stdexcept>

extern "C" {
void throws(void *object);
int catches(void (*function)());
}

void throws(void *)
{
	throw std::runtime_error("thrown by a destructor");
}

/* Calls the function; 1 where it throws. */
int catches(void (*function)())
{
	try {
		function();
	} catch (const std::exception &) {
		return 1;
	}
	return 0;
}
